"""A plan for a person: at a terminal, or in the log of a report run."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from entrasync.api.sync_run import Pacing, PlanSummary
from entrasync.engine.changes import Action
from entrasync.engine.explain_text import printable

_MARKS: Final[Mapping[str, str]] = {
    Action.ADD: "+",
    Action.UPDATE: "~",
    Action.DISABLE: "~",
    Action.DELETE: "-",
    Action.LINKS: "~",
}
_NOTHING: Final = "No changes.\n"


def stored_text(head: str, lines: Iterable[str], *, names: bool) -> Iterator[str]:
    """A plan as text, line by line.

    Args:
        head: of `plan_head`.
        lines: of `plan_lines`.
        names: whether values and DNs are shown; else how long the values are.
    """
    count = 0
    for line in lines:
        count += 1
        yield from _change(json.loads(line), names=names)
    if not count:
        yield _NOTHING
        return
    told = json.loads(head)
    if told["changes"] > count:
        yield f"and {told['changes'] - count} changes more, which were not kept\n"
    yield f"Plan {told['digest']}\n"
    if "plan" in told:
        pacing = Pacing.model_validate(told["pacing"]) if "pacing" in told else None
        yield f"It takes {effort_text(PlanSummary.model_validate(told['plan']), pacing)}\n"


def effort_text(plan: PlanSummary, pacing: Pacing | None) -> str:
    """What a plan costs, in words."""
    told = [_counted(plan.writes or 0, "write"), _counted(plan.links or 0, "link")]
    if pacing is not None:
        told.append(f"at {pacing.quota} writes in 5 minutes")
    if plan.expected_completion_time is not None:
        told.append(f"expected to be done at {plan.expected_completion_time}")
    return ", ".join(told)


def _change(record: Mapping[str, Any], *, names: bool) -> Iterator[str]:
    mark = _MARKS.get(record["action"], "~")
    dn = f"  ({printable(record['dn'])})" if names and "dn" in record else ""
    yield f"{mark} {record['type']} {printable(record['anchor'])}{_said(record)}{dn}\n"
    for reason in ("braked", "held"):
        if reason in record:
            yield f"    {reason}: {record[reason]}\n"
    if "replaces" in record:
        yield f"    follows {printable(record['replaces'])}; lost with that: {record['lost']}\n"
    for key, value in record.get("attributes", {}).items():
        yield _attribute(key, value, added=record["action"] == Action.ADD, names=names)
    links = record.get("links", {})
    for mark, key in (("-", "removed"), ("+", "added")):
        yield from (f"    {mark} {printable(member)}\n" for member in links.get(key, ()))
        more = links.get("remove" if key == "removed" else "add", 0) - len(links.get(key, ()))
        if more:
            yield f"    {mark} and {more} more\n"


def _said(record: Mapping[str, Any]) -> str:
    if "links" in record:
        links = record["links"]
        return f": {_counted(links['add'], 'member')} added, {links['remove']} removed"
    if record.get("temporary"):
        return ": for a moment, to free its values"
    told = record.get("why") or record.get("outcome")
    return f": {told}" if told else ""


def _attribute(key: str, value: Mapping[str, Any], *, added: bool, names: bool) -> str:
    new = _shown(value["new"], names=names)
    change = new if added else f"{_shown(value['old'], names=names)} -> {new}"
    why = f"  [{value['why']}]" if "why" in value else ""
    return f"    {key}: {change}{why}\n"


def _shown(value: object, *, names: bool) -> str:
    if value is None:
        return "none"
    if isinstance(value, list):
        return "[" + ", ".join(_shown(each, names=names) for each in value) + "]"
    if isinstance(value, dict):
        return f"<{_counted(len(base64.b64decode(value['b'])), 'byte')}>"
    if names or isinstance(value, bool | int):  # switches and numbers name nobody
        return _quoted(value)
    return f"<{_counted(len(str(value)), 'character')}>"


def _quoted(value: object) -> str:
    """A value that does nothing to a terminal."""
    return json.dumps(value, ensure_ascii=not str(value).isprintable())


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
