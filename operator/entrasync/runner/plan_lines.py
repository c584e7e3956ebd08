"""A plan as JSON: a head and one line a change, as it is kept and as `--output json` prints it.

Values are personal data: they are in the state and on the user's own terminal only.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from entrasync.api.sync_run import Pacing, PlanSummary
from entrasync.engine.changes import Action, PlannedChange
from entrasync.engine.flows import FlowSet
from entrasync.engine.plan import RECREATE
from entrasync.engine.source import SourceKind
from entrasync.entra.contracts import SyncObjectType
from entrasync.state.rows import to_storable

MOST_MEMBERS: Final = 1_000
"""Members of a group that a line names; all are counted."""
LOST: Final = (
    "the cloud object, its licences, its mailbox and data, and memberships that others gave it"
)
"""What goes with an object that is created anew."""
UNKNOWN: Final = "unknown"

Words = Callable[[SyncObjectType, str], str]
"""Type and property to the flow that says so, in words."""
Names = Callable[[PlannedChange], str | None]
"""A change to the DN of its object; `None` where there is none any more."""

_KINDS: Final = {
    SyncObjectType.USER: SourceKind.USER,
    SyncObjectType.GROUP: SourceKind.GROUP,
    SyncObjectType.CONTACT: SourceKind.CONTACT,
}


def words_of(flows: FlowSet) -> Words:
    """What flows say of properties."""
    return lambda object_type, key: flows.why(_KINDS[object_type], key)


def plan_head(digest: str, total: int, summary: PlanSummary | None, pacing: Pacing | None) -> str:
    """What is told of a whole plan, as JSON.

    Args:
        digest: of all its changes.
        total: how many these are.
        summary: what it costs.
        pacing: how much may be written at a time.
    """
    head: dict[str, object] = {"digest": digest, "changes": total}
    if summary is not None:
        head["plan"] = summary.model_dump(mode="json", by_alias=True, exclude_none=True)
    if pacing is not None:
        head["pacing"] = pacing.model_dump(mode="json", by_alias=True, exclude_none=True)
    return _dump(head)


def plan_lines(
    changes: Iterable[PlannedChange], words: Words, names: Names | None = None
) -> Iterator[str]:
    """Changes as JSON, one a line, values included.

    Args:
        changes: of a plan.
        words: what flows say of properties.
        names: DNs, to be added.
    """
    for change in changes:
        yield _dump(_record(change, words, None if names is None else names(change)))


def _record(change: PlannedChange, words: Words, dn: str | None) -> dict[str, object]:
    message = change.message
    record: dict[str, object] = {
        "anchor": message.source_anchor,
        "type": str(message.object_type),
        "action": str(change.action),
    }
    if dn is not None:
        record["dn"] = dn
    if change.why.get(""):
        record["why"] = change.why[""]
    if change.action is Action.ADD:
        record["outcome"] = change.outcome or UNKNOWN
    if change.outcome == RECREATE:
        record |= {"replaces": change.replaces, "lost": LOST}
    if change.temporary:
        record["temporary"] = True
    if message.properties:
        record["attributes"] = {
            key: _attribute(change, key, words) for key in sorted(message.properties)
        }
    if change.action is Action.LINKS:
        record["links"] = _links(change)
    for key, reason in (("braked", change.braked), ("held", change.held)):
        if reason is not None:
            record[key] = reason
    return record


def _attribute(change: PlannedChange, key: str, words: Words) -> dict[str, object]:
    attribute: dict[str, object] = {
        "old": to_storable(change.previous.get(key)),
        "new": to_storable(change.message.properties[key]),
    }
    why = change.why.get(key) or words(change.message.object_type, key)
    return attribute | ({"why": why} if why else {})


def _links(change: PlannedChange) -> dict[str, object]:
    added = [link.anchor for link in change.message.links if link.add]
    removed = [link.anchor for link in change.message.links if not link.add]
    return {
        "add": len(added),
        "remove": len(removed),
        "added": added[:MOST_MEMBERS],
        "removed": removed[:MOST_MEMBERS],
    }


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def without_values(line: str) -> str:
    """A line of `plan_lines` for the eyes of others: no DN, and lengths in the place of values."""
    record = json.loads(line)
    record.pop("dn", None)
    for attribute in record.get("attributes", {}).values():
        attribute |= {key: _length_of(attribute[key]) for key in ("old", "new")}
    return _dump(record)


def _length_of(value: object) -> object:
    match value:
        case None | bool() | int():
            return value  # switches and numbers name nobody
        case list():
            return [_length_of(each) for each in value]
        case {"b": str(encoded)}:
            return {"bytes": len(base64.b64decode(encoded))}
        case _:
            return {"characters": len(str(value))}
