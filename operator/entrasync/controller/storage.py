"""The claim that keeps the state of a sync: made, grown, or taken as it is.

A claim of another sync, or of somebody who did not say so, is never mounted: the pod would change
its files' owner and write beside them.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from entrasync.api.directory_sync import DirectorySync
from entrasync.api.runner import AccessMode, Storage, StorageType
from entrasync.api.sync_run import SYNC_LABEL
from entrasync.controller.gateway import ApiError, Gateway, core_path
from entrasync.controller.manifests import MANAGED_BY, build_claim, claim_name, storage_of

_UNSUITABLE: Final = "StateVolumeUnsuitable"
_ONE_WRITER: Final = frozenset(str(mode) for mode in AccessMode)
_BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50}
_DECIMAL: Final = {"m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15}
_REFUSED: Final = frozenset({403, 422})


@dataclass(slots=True, frozen=True, kw_only=True)
class StoragePlan:
    """What to do about a claim.

    Attributes:
        problem: reason and message, when it must not be used as it is.
        create: the claim to make.
        grow_to: the size to let it grow to.
        note: what it does not do though the spec asks for it.
    """

    problem: tuple[str, str] | None = None
    create: dict[str, Any] | None = None
    grow_to: str | None = None
    note: str = ""


def plan_storage(sync: DirectorySync, claim: dict[str, Any] | None) -> StoragePlan:
    """What to do about the claim of a sync. Pure.

    Args:
        sync: whose state it keeps.
        claim: as it is; `None` when there is none of its name.
    """
    storage = storage_of(sync)
    if storage.type is StorageType.EPHEMERAL:
        return StoragePlan()
    if storage.claim_name is not None:
        return StoragePlan(problem=_foreign_problem(sync, storage.claim_name, claim))
    if claim is None:
        return StoragePlan(create=build_claim(sync))
    problem = _own_problem(sync, claim)
    if problem is not None:
        return StoragePlan(problem=problem)
    return _changes(storage, claim)


def settle_storage(gateway: Gateway, sync: DirectorySync) -> StoragePlan:
    """Makes the claim of a sync what it should be, as far as that goes.

    Raises:
        ApiError: the claim cannot be made.
    """
    name = claim_name(sync)
    if storage_of(sync).type is StorageType.EPHEMERAL:
        return StoragePlan()
    namespace = sync.metadata.namespace or ""
    path = core_path("persistentvolumeclaims", namespace, name)
    plan = plan_storage(sync, gateway.get(path))
    if plan.create is not None:
        gateway.create(core_path("persistentvolumeclaims", namespace), plan.create)
    if plan.grow_to is not None:
        wanted = {"spec": {"resources": {"requests": {"storage": plan.grow_to}}}}
        try:
            gateway.patch(path, wanted)
        except ApiError as error:
            if error.status not in _REFUSED:
                raise
            return StoragePlan(
                note=f"claim {name} cannot grow to {plan.grow_to} (`spec.runner.storage.size`):"
                f" {error.message[:300]}"
            )
    return plan


def _foreign_problem(
    sync: DirectorySync, name: str, claim: dict[str, Any] | None
) -> tuple[str, str] | None:
    """Why an existing claim that a sync names must not be used."""
    field = "`spec.runner.storage.claimName`"
    if claim is None:
        return "ReferenceNotFound", f"{field}: claim {name} does not exist; create it"
    if claim["metadata"].get("deletionTimestamp"):
        return _UNSUITABLE, f"{field}: claim {name} is being deleted; name another one"
    owner = (claim["metadata"].get("labels") or {}).get(SYNC_LABEL)
    if owner != sync.metadata.name:
        return (
            _UNSUITABLE,
            (
                f"{field}: claim {name} does not carry the label {SYNC_LABEL}={sync.metadata.name};"
                " set it if this sync may keep its state there"
            ),
        )
    modes = claim.get("spec", {}).get("accessModes", [])
    if not _ONE_WRITER.intersection(modes):
        return (
            _UNSUITABLE,
            (
                f"{field}: claim {name} has the access modes {', '.join(modes)}; ReadWriteOncePod"
                " or ReadWriteOnce keeps a second writer away"
            ),
        )
    return None


def _own_problem(sync: DirectorySync, claim: dict[str, Any]) -> tuple[str, str] | None:
    """Why a claim of the operator's own name must not be used."""
    metadata = claim["metadata"]
    name = metadata["name"]
    if metadata.get("deletionTimestamp"):
        return "Queued", f"claim {name} is being deleted; it is made anew once it is gone"
    if not _is_made_for(sync, claim):
        return (
            _UNSUITABLE,
            (
                f"claim {name} was not made by entrasync; rename it, or name the claim to use in"
                " `spec.runner.storage.claimName`"
            ),
        )
    owners = {owner["uid"] for owner in metadata.get("ownerReferences", [])}
    if owners and sync.metadata.uid not in owners:
        return (
            "Queued",
            (
                f"claim {name} belongs to an earlier DirectorySync of this name, and goes with it;"
                " it is made anew once it is gone. To keep its state, let a claim on the same"
                f" volume carry the label {SYNC_LABEL}={sync.metadata.name}, and name it in"
                " `spec.runner.storage.claimName`"
            ),
        )
    return None


def belongs_to_sync(sync: DirectorySync, claim: dict[str, Any]) -> bool:
    """Whether a claim was made for a sync, and no other one of its name owns it."""
    owners = {owner["uid"] for owner in claim["metadata"].get("ownerReferences") or ()}
    return _is_made_for(sync, claim) and owners <= {sync.metadata.uid}


def _is_made_for(sync: DirectorySync, claim: dict[str, Any]) -> bool:
    labels = claim["metadata"].get("labels") or {}
    return MANAGED_BY.items() <= labels.items() and labels.get(SYNC_LABEL) == sync.metadata.name


def _changes(storage: Storage, claim: dict[str, Any]) -> StoragePlan:
    """How a claim that is there differs from what the spec says."""
    spec = claim.get("spec", {})
    name = claim["metadata"]["name"]
    has = str(spec.get("resources", {}).get("requests", {}).get("storage", "0"))
    notes = []
    grow_to = None
    if storage.size is not None and bytes_of(storage.size) != bytes_of(has):
        if bytes_of(storage.size) > bytes_of(has):
            grow_to = storage.size
        else:
            notes.append(f"keeps its size of {has}, as a claim cannot shrink")
    mode = storage.access_mode
    if mode is not None and str(mode) not in spec.get("accessModes", []):
        notes.append(f"keeps its access modes {', '.join(spec.get('accessModes', []))}")
    wanted = storage.storage_class_name
    if wanted is not None and wanted != spec.get("storageClassName", wanted):
        notes.append(f"keeps its storage class {spec['storageClassName']}")
    note = f"claim {name} {', '.join(notes)}; delete it to have it made anew" if notes else ""
    return StoragePlan(grow_to=grow_to, note=note)


def bytes_of(quantity: str) -> Decimal:
    """A quantity of Kubernetes as a number; nothing for one that cannot be read."""
    number = quantity.rstrip("KMGTPEikm")
    suffix = quantity[len(number) :]
    try:
        value = Decimal(number)
    except ArithmeticError:
        return Decimal(0)
    if suffix in _BINARY:
        return value * (1 << _BINARY[suffix])
    power: Decimal = Decimal(10) ** _DECIMAL.get(suffix, 0)
    return value * power
