"""What people read in typical situations: columns of `kubectl get`, the status, the Events.

The golden files are the place to look at when a word of a status changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest

from entrasync.api.common import PrinterColumn
from entrasync.api.reason import Severity
from entrasync.api.reasons import REASONS
from entrasync.controller.events import build_event, transitions
from tests.support import statuses
from tests.support.golden import check_golden
from tests.support.samples import NOW
from tests.support.situations import ALL, Situation

SEVERITIES: Final = {
    "PlanBlocked": {Severity.BLOCKED},
    "Degraded": {Severity.DEGRADED, Severity.BLOCKED},
    "Throttled": {Severity.WAITS},
    "Suspended": {Severity.OK},
    "Complete": {Severity.OK, Severity.DEGRADED},
}
"""What a reason of such a condition may be like."""
CONDITION: Final = re.compile(r"\.status\.conditions\[\?\(@\.type==\"(\w+)\"\)\]\.(\w+)")


def column(resource: dict[str, Any], column: PrinterColumn) -> str:
    """What `kubectl get` prints in a column."""
    condition = CONDITION.fullmatch(column.json_path)
    if condition is not None:
        kind, member = condition.groups()
        conditions = resource["status"].get("conditions", [])
        return "".join(str(each[member]) for each in conditions if each["type"] == kind)
    found: Any = resource
    for member in column.json_path.strip(".").split("."):
        found = found.get(member) if isinstance(found, dict) else None
    return "" if found is None else str(found)


def shown(situation: Situation) -> dict[str, Any]:
    """A resource as people see it."""
    resource, before, status = situation.resource, situation.before, situation.after
    written = statuses.written(resource, status)
    whole = resource.to_manifest() | {"status": written["status"]}
    statuses.assert_fits_schema(resource, written["status"])
    events = [
        build_event(resource, each, NOW)
        for each in transitions(before.conditions if before else [], status.conditions, "1")
    ]
    facts = {
        name: value
        for name, value in written["status"].items()
        if name not in {"conditions", "history"}
    }
    return {
        "columns": {
            each.name: column(whole, each)
            for each in resource.definition.columns
            if each.name != "Age" and not each.priority
        },
        "conditions": {
            each["type"]: f"{each['status']} {each['reason']}: {each['message']}"
            for each in written["status"].get("conditions", [])
        },
        "facts": facts,
        "events": [f"{each['type']} {each['reason']}: {each['message']}" for each in events],
    }


@pytest.mark.parametrize(("name", "found"), ALL.items(), ids=ALL)
def test_what_people_read(name: str, found: Callable[[], Mapping[str, Situation]]) -> None:
    check_golden(f"status/{name}", {what: shown(each) for what, each in found().items()})


@pytest.mark.parametrize("found", ALL.values(), ids=ALL)
def test_reasons_show_where_the_register_says(found: Callable[[], Mapping[str, Situation]]) -> None:
    for what, situation in found().items():
        for condition in situation.after.conditions:
            reason = REASONS[condition.reason]
            assert situation.resource.kind in reason.kinds, (what, condition.reason)
            assert SEVERITIES.get(condition.type, set(Severity)) >= {reason.severity}, what
