"""kopf's handlers: they put keys on the queue, and nothing else.

They are coroutines, though they never wait: kopf runs plain functions in threads, and the queue
belongs to the event loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import kopf

from entrasync.api.common import GROUP, VERSION
from entrasync.api.sync_run import SYNC_LABEL
from entrasync.controller.manifests import MANAGED_BY
from entrasync.controller.queue import Key
from entrasync.controller.resources import KINDS

WAKES: Final = {
    "azureclouds": ("entratenants", "directorysyncs"),
    "entratenants": ("directorysyncs",),
    "activedirectories": ("directorysyncs",),
    "syncruns": ("directorysyncs", "entratenants", "activedirectories"),
    "directorysyncs": (),
}
"""A change of one kind concerns others: all known keys of these are looked at again."""


def register(registry: kopf.OperatorRegistry, wake: Callable[[Key], None], known: set[Key]) -> None:
    """Registers the watch handlers.

    Args:
        registry: kopf's.
        wake: puts a key on the queue; safe to call from the event loop.
        known: keys seen so far; filled here.
    """
    for plural in KINDS:
        _register_kind(registry, plural, wake, known)

    @kopf.on.event("batch", "v1", "jobs", labels=dict(MANAGED_BY), registry=registry, id="job")
    async def job_seen(namespace: str | None, body: kopf.Body, **_: Any) -> None:
        _wake_owner(body, namespace, wake)

    @kopf.on.event("", "v1", "pods", labels=dict(MANAGED_BY), registry=registry, id="pod")
    async def pod_seen(namespace: str | None, body: kopf.Body, **_: Any) -> None:
        sync = body["metadata"].get("labels", {}).get(SYNC_LABEL)
        if sync:
            wake(Key("directorysyncs", namespace or "", str(sync)))


def _register_kind(
    registry: kopf.OperatorRegistry, plural: str, wake: Callable[[Key], None], known: set[Key]
) -> None:
    @kopf.on.event(GROUP, VERSION, plural, registry=registry, id=plural)
    async def seen(name: str, namespace: str | None, type: str | None, **_: Any) -> None:  # noqa: A002  - kopf's name
        key = Key(plural, namespace or "", name)
        if type == "DELETED":
            known.discard(key)
        else:
            known.add(key)
        # what is gone is looked at once more: its tenant is released
        wake(key)
        for other in tuple(known):
            same_place = not key.namespace or other.namespace == key.namespace
            if other.plural in WAKES[plural] and same_place:
                wake(other)


def _wake_owner(body: kopf.Body, namespace: str | None, wake: Callable[[Key], None]) -> None:
    for owner in body["metadata"].get("ownerReferences", []):
        if owner["kind"] == "SyncRun":
            wake(Key("syncruns", namespace or "", owner["name"]))
