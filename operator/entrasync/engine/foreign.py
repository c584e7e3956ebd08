"""Whether this sync is the only one that writes its tenant.

A tenant tells when it was synced last, and not by whom. So what it told after an export of ours is
kept, and asked again before the next one: another time means that somebody else wrote meanwhile.
Entra Connect, cloud sync, or a second cluster that was restored from the same backup all show by
that. What may be told late, and what a killed run may have done, is known well enough to be ours.

See docs/adr/0035-a-foreign-engine-shows-by-the-time-of-the-last-sync.md.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Final

import structlog

from entrasync.api.choices import TenantTakeover
from entrasync.api.directory_sync import BlockedPlan, SyncMode
from entrasync.api.entra_tenant import LastExport
from entrasync.engine.inputs import CycleInputs, CycleParts
from entrasync.engine.outcome import CycleOutcome
from entrasync.entra.graph import LastSync
from entrasync.errors import BlockedError, CancelledError, EntrasyncError, TransientError
from entrasync.state.store import Store

META_LAST_EXPORT: Final = "last-export"
"""What is known of our last export, `Memory` as JSON."""
REASON: Final = "ForeignEngineActive"
SILENCE: Final = dt.timedelta(hours=1)
"""How long an engine that is taken over must have been silent: two cycles of Entra Connect."""
LATENESS: Final = dt.timedelta(minutes=10)
"""How long after an export the tenant may still tell of it."""
SKEW: Final = dt.timedelta(minutes=5)
"""How far the clock of the service may be from ours."""
BEAT_SECONDS: Final = 60
"""How often an export notes that it goes on."""

log = structlog.get_logger()


@dataclass(slots=True, frozen=True, kw_only=True)
class Memory:
    """What is known of our last export; times as RFC 3339 text.

    Attributes:
        told: when the tenant was synced last, as it said after that export; empty where it did not
            say, or said never.
        ended: when the export ended; of one that was killed, when it was last seen to go on.
        began: when an export began whose end was never noted; else empty.
        late: whether the tenant did not yet tell of that export when it was asked.
    """

    told: str = ""
    ended: str = ""
    began: str = ""
    late: bool = False


def is_ours(told: dt.datetime, memory: Memory) -> bool:
    """Whether the last sync a tenant tells of was our own. Pure."""
    before = _time(memory.told)
    if before is not None and told <= before:
        return True  # an earlier time comes from a replica that is behind
    ended = _time(memory.ended)
    if ended is None:
        return False
    began = _time(memory.began)
    if began is not None:
        return began - SKEW <= told <= ended + LATENESS
    return memory.late and told <= ended + LATENESS


class EngineWatch:
    """Sees to it that this sync is the only one that writes.

    Args:
        inputs: what the cycle is to do.
        parts: what it does it with.
        outcome: told what blocks, and what is worth remembering.
    """

    def __init__(self, inputs: CycleInputs, parts: CycleParts, outcome: CycleOutcome) -> None:
        self._inputs = inputs
        self._parts = parts
        self._store: Store = parts.store
        self._outcome = outcome
        self._beaten = parts.monotonic()
        self._asked: dt.datetime | None = None

    def require_alone(self) -> None:
        """Refuses a tenant that somebody else synced since our last export.

        Raises:
            BlockedError: `ForeignEngineActive`.
            TransientError: the tenant cannot be asked now, and could before.
        """
        if self._inputs.mode is not SyncMode.APPLY:
            return
        memories = self._memories()
        found = self._ask(required=any(each.told for each in memories))
        if found is None or found.time is None:
            return
        told = found.time
        self._asked = told
        for memory in memories:
            if is_ours(told, memory):
                self._remember(_closed(memory, told))
                return
        digest = foreign_digest(self._inputs.tenant_id, told)
        if digest in self._inputs.approved:
            self._outcome.approval_used = digest
        elif memories or not self._may_take_over(told):
            raise self._blocked(told, memories, digest)
        log.info("last_sync_accepted", told=_text(told))
        self._remember(Memory(told=_text(told), ended=_text(told)))

    def begin(self) -> None:
        """An export is about to begin: nobody else may have written since the run began."""
        self.require_alone()
        now = _text(self._parts.clock())
        memory = self._memory() or Memory()
        self._remember(replace(memory, began=now, ended=now, late=False))
        self._beaten = self._parts.monotonic()

    def beat(self) -> None:
        """The export goes on; noted now and then, for the case that it is killed."""
        memory = self._memory()
        if memory is None or not memory.began:
            return
        if self._parts.monotonic() - self._beaten >= BEAT_SECONDS:
            self._beaten = self._parts.monotonic()
            self._remember(replace(memory, ended=_text(self._parts.clock())))

    def end(self) -> None:
        """The service was told that an export of ours ended: what it says of that is kept."""
        now = self._parts.clock()
        found = self._ask(required=False)
        told = None if found is None else found.time
        before = self._memory() or Memory()
        known = [time for time in (self._asked, _time(before.told)) if time is not None]
        # a replica that is behind tells again what was told before this export, or even less
        late = told is None or any(told <= time for time in known)
        newest = max([*known, *([] if told is None else [told])], default=None)
        text = "" if newest is None else _text(newest)
        self._remember(Memory(told=text, ended=_text(now), late=late))
        self._outcome.last_export = LastExport(time=_text(now), tenant_time=text or None)

    # --- what is known ---------------------------------------------------------------------

    def _memories(self) -> list[Memory]:
        """All that is known of exports from here, of another sync before this one as well."""
        known = self._inputs.last_export
        kept = self._memory()
        found = [] if kept is None else [kept]
        if known is not None:
            found.append(Memory(told=known.tenant_time or "", ended=known.time, late=True))
        return found

    def _memory(self) -> Memory | None:
        """What the state knows of our last export."""
        kept = self._store.get(META_LAST_EXPORT)
        return None if kept is None else Memory(**json.loads(kept))

    def _remember(self, memory: Memory) -> None:
        text = json.dumps(asdict(memory))
        if text != self._store.get(META_LAST_EXPORT):
            self._store.put(META_LAST_EXPORT, text)

    def _ask(self, *, required: bool) -> LastSync | None:
        """When the tenant was synced last; `None` where that cannot be read.

        Raises:
            TransientError: it is required, and cannot be read now.
        """
        try:
            return self._parts.last_sync()
        except CancelledError:
            raise
        except TransientError:
            if required:
                raise
        except EntrasyncError as error:
            log.info("last_sync_not_readable", reason=error.reason)
        return None

    # --- what follows ----------------------------------------------------------------------

    def _may_take_over(self, told: dt.datetime) -> bool:
        """Whether a tenant that we never exported to may be synced from now on."""
        if any(self._store.cloud.owned_counts().values()):
            return True  # an earlier version of ours exported, and did not keep this
        if self._inputs.takeover is not TenantTakeover.FROM_ENTRA_CONNECT:
            return False
        return self._parts.clock() - told >= SILENCE

    def _blocked(self, told: dt.datetime, memories: list[Memory], digest: str) -> BlockedError:
        self._outcome.blocked_plan = BlockedPlan(digest=digest, reason=REASON)
        return BlockedError(
            REASON,
            f"the tenant was synced at {_text(told)} by another engine,"
            f" {self._why(told, memories)}. Nothing was exported. Two engines would undo each"
            " other's changes: see to it that only this one writes, then set `spec.approvedPlan` to"
            f" {digest} to go on, once",
            resource=self._inputs.tenant_resource,
            field="" if memories else "spec.takeover",
        )

    def _why(self, told: dt.datetime, memories: list[Memory]) -> str:
        if memories:
            ended = max(each.ended for each in memories)
            return (
                f"after the last export from here, which ended at {ended}: Entra Connect, cloud"
                " sync, or a second cluster restored from the same backup"
            )
        if self._inputs.takeover is TenantTakeover.FROM_ENTRA_CONNECT:
            silent = int((self._parts.clock() - told).total_seconds() // 60)
            return (
                f"{max(0, silent)} minutes ago; it is taken over once it was silent for an hour, so"
                " put Entra Connect into staging mode or switch its scheduler off"
            )
        return (
            "and this sync knows of no export of its own; where Entra Connect is to be replaced,"
            " set `spec.takeover` to FromEntraConnect and switch it off"
        )


def foreign_digest(tenant_id: str, told: dt.datetime) -> str:
    """Names exactly one sync of a tenant by somebody else, for an approval to name it."""
    named = hashlib.sha256(f"last sync {tenant_id} {_text(told)}".encode()).hexdigest()
    return f"sha256:{named}"


def _closed(memory: Memory, told: dt.datetime) -> Memory:
    """What is known once the tenant has told of our last export."""
    before = _time(memory.told)
    if before is not None and told <= before and not memory.began:
        return memory
    late = before is not None and told <= before
    newest = memory.told if late else _text(told)
    return Memory(told=newest, ended=memory.ended, late=late)


def _text(time: dt.datetime) -> str:
    return time.astimezone(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _time(text: str) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None
