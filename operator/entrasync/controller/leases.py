"""The Lease that says who owns a tenant: how it is written and read. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from entrasync.api.directory_sync import DirectorySync
from entrasync.api.sync_run import SYNC_LABEL
from entrasync.controller.manifests import MANAGED_BY

NAMESPACE_LABEL: Final = "entrasync.dev/sync-namespace"
"""Label of a Lease: namespace of the DirectorySync that holds it."""
TAKEN_FROM: Final = "entrasync.dev/taken-from"
"""Annotation of a Lease: the DirectorySync it was taken from, while that may still be at work."""

Lease = dict[str, Any]


class Holding(Enum):
    """What another sync's hold on a tenant rests on."""

    OWNS = "it owns this tenant"
    ENDING = "it owned this tenant and is still at work"
    UNSEEN = "it cannot be read by this operator"


@dataclass(slots=True, frozen=True, kw_only=True)
class Held:
    """A tenant that another sync holds.

    Attributes:
        owner: the other DirectorySync, as `namespace/name`.
        how: what its hold rests on.
        lease: the Lease, as `namespace/name`.
        detail: what is still at work.
    """

    owner: str
    how: Holding
    lease: str
    detail: str = ""

    @property
    def message(self) -> str:
        """What that means for a sync, and what to do."""
        field = "`spec.target`"
        if self.how is Holding.ENDING:
            return (
                f"{field}: DirectorySync {self.owner} owned this tenant, and {self.detail}; this"
                " sync goes on by itself when that has ended"
            )
        if self.how is Holding.UNSEEN:
            namespace, _, name = self.lease.partition("/")
            return (
                f"{field}: DirectorySync {self.owner} owns this tenant, in a namespace this"
                " operator may not read; delete it or set its `spec.mode` to Preview, and if it is"
                f" gone for good: kubectl delete lease -n {namespace} {name}"
            )
        return (
            f"{field}: DirectorySync {self.owner} owns this tenant already; delete it, or set"
            " `spec.mode` of one of them to Preview"
        )


def holder_of(sync: DirectorySync) -> str:
    """How a sync is named in the Lease."""
    return f"{sync.metadata.namespace}/{sync.metadata.uid}"


def new_lease(name: str, namespace: str, sync: DirectorySync, taken_from: str = "") -> Lease:
    """The Lease of a tenant that a sync takes.

    Args:
        name: of the Lease.
        namespace: of the Lease.
        sync: its new holder.
        taken_from: the holder before, as `namespace/name`; empty where there was none.
    """
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {
                **MANAGED_BY,
                NAMESPACE_LABEL: sync.metadata.namespace,
                SYNC_LABEL: sync.metadata.name,
            },
            "annotations": {TAKEN_FROM: taken_from} if taken_from else {},
        },
        "spec": {"holderIdentity": holder_of(sync)},
    }


def identity_of(lease: Lease) -> str:
    """Who holds it, as `holder_of` names a sync; empty when nobody does."""
    return str(lease.get("spec", {}).get("holderIdentity") or "")


def owner_of(lease: Lease) -> str:
    """The holder as people call it; the uid where an earlier version noted no name."""
    if not identity_of(lease):
        return ""
    namespace, _, uid = identity_of(lease).partition("/")
    return f"{namespace}/{labels_of(lease).get(SYNC_LABEL, '') or uid}"


def labels_of(lease: Lease) -> dict[str, str]:
    """Its labels; there may be none."""
    return lease.get("metadata", {}).get("labels") or {}


def annotations_of(lease: Lease) -> dict[str, str]:
    """Its annotations; there may be none."""
    return lease.get("metadata", {}).get("annotations") or {}
