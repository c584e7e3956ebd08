"""Explanations for a person at a terminal, and as JSON lines for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from entrasync.engine.explanation import ExplainedChange, ExplainedSource, Explanation, Shown


def explanation_text(explained: Sequence[Explanation]) -> str:
    """Explanations as text, a blank line between them."""
    return "\n".join("".join(f"{printable(line)}\n" for line in _lines(each)) for each in explained)


def printable(text: str) -> str:
    """A text that does nothing to a terminal: with control characters in it, it is escaped."""
    return text if text.isprintable() else json.dumps(text)[1:-1]


def explanation_lines(explained: Sequence[Explanation]) -> Iterator[str]:
    """Explanations as JSON, one a line."""
    for each in explained:
        yield each.model_dump_json(by_alias=True, exclude_none=True)


def _lines(explained: Explanation) -> Iterator[str]:
    yield f"Object {explained.anchor}" if explained.anchor else "Object without an anchor"
    if not explained.sources:
        yield "  source: none; no directory of the sync has it"
    for source in explained.sources:
        yield from _source_lines(source)
    yield f"  cloud: {_cloud(explained)}"
    if explained.removal is not None:
        yield f"  wanted no longer; evidence: {explained.removal}"
    if explained.values:
        yield "  values:"
    for value in explained.values:
        cloud = "nothing" if value.cloud is None else _shown(value.cloud)
        wanted = "cleared" if value.value is None else _shown(value.value)
        pending = f" (pending; the cloud has {cloud})" if value.pending else ""
        yield f"    {value.property}: {wanted}{pending}  <- {value.why}"
    yield from _pending_lines(explained)
    for error in explained.errors:
        tries = (
            ""
            if error.attempts is None
            else f" (tried {_times(error.attempts)}, next try {error.next_try})"
        )
        yield f"  error: {error.code} {error.message}".rstrip() + tries
    for drift in explained.drift:
        exported = "nothing" if drift.exported is None else _shown(drift.exported)
        told = "nothing" if drift.told is None else _shown(drift.told)
        yield (
            f"  changed by others: {drift.property}: exported {exported}, the tenant said {told}"
            f" ({_times(drift.times)})"
        )
    if explained.drift_count > len(explained.drift):
        more = explained.drift_count - len(explained.drift)
        yield f"  changed by others: {more} more"


def _source_lines(source: ExplainedSource) -> Iterator[str]:
    yield f"  source {source.source}: {source.kind} {source.dn} (objectGUID {source.guid})"
    yield f"    {'in scope' if source.in_scope else 'out of scope'}: {source.scope}"
    if source.withheld is not None:
        yield f"    left as it is: {source.withheld}"
    for name, value in source.attributes.items():
        yield f"    {name}: {_shown(value)}"


def _cloud(explained: Explanation) -> str:
    cloud = explained.cloud
    if cloud is None:
        return "the tenant does not have it"
    told = [cloud.type, cloud.cloud_anchor or ""]
    told.append("owned by this sync" if cloud.owned else "not owned by this sync")
    text = " ".join(each for each in told if each)
    if cloud.managed_in_cloud:
        text += ", managed in the cloud"
    return f"{text}, {cloud.members} members" if cloud.members else text


def _pending_lines(explained: Explanation) -> Iterator[str]:
    links = explained.links
    if not explained.pending and not any(links.model_dump().values()):
        yield "  pending: nothing"
    for change in explained.pending:
        yield f"  pending: {_change(change)}"
    if links.add or links.remove:
        yield f"  members pending: {links.add} to add, {links.remove} to remove"
    if links.join or links.leave:
        yield f"  memberships pending: {links.join} to add, {links.leave} to remove"


def _change(change: ExplainedChange) -> str:
    told = [change.action]
    if change.properties:
        told.append(f"of {', '.join(change.properties)}")
    if change.why:
        told.append(f"because {change.why}")
    notes = [
        f"{what} {reason}"
        for what, reason in (
            ("expected to", change.outcome),
            ("braked by", change.braked),
            ("held back by", change.held),
        )
        if reason
    ]
    return " ".join(told) + (f" ({', '.join(notes)})" if notes else "")


def _shown(value: Shown) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(value) if isinstance(value, list) else str(value)


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
