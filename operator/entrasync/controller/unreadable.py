"""Resources that this version of the operator does not understand: said on the resource itself.

They were stored by another version of the schema. They stay as they are, are never taken for gone,
and do not keep any other from being served.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog
from pydantic import ValidationError

from entrasync.api.common import Condition, Resource
from entrasync.controller.conditions import FALSE, TRUE, Wanted, merge
from entrasync.controller.gateway import ApiError, Gateway
from entrasync.controller.resources import KINDS, Resources, merge_patch, path_of

CONDITIONS: Final = ("Ready", "Reconciling", "Stalled")
MOST_FIELDS: Final = 5

_Reconcile = Callable[[str | None, str, dt.datetime], dt.datetime | None]


@dataclass(slots=True, frozen=True, kw_only=True)
class UnreadableTeller:
    """Tells of what was read and not understood.

    Attributes:
        gateway: the API.
        resources: remembers what it could not read.
        class_name: class of the resources that are served.
    """

    gateway: Gateway
    resources: Resources
    class_name: str

    def after(self, plural: str, reconcile: _Reconcile) -> _Reconcile:
        """What reconciles a kind, and tells of a resource of it that cannot be read."""
        kind = KINDS[plural]

        def reconcile_and_tell(
            namespace: str | None, name: str, now: dt.datetime
        ) -> dt.datetime | None:
            due = reconcile(namespace, name, now)
            found = self.resources.unreadable.pop(path_of(kind, namespace, name), None)
            if found is not None:
                self._tell(kind, found, now)
            return due

        return reconcile_and_tell

    def _tell(self, kind: type[Resource], found: dict[str, Any], now: dt.datetime) -> None:
        metadata, before = found["metadata"], found.get("status") or {}
        fields = fields_of(kind, found)
        if not fields or found.get("spec", {}).get("className", "") != self.class_name:
            return
        after = unreadable_status(metadata.get("generation", 1), before, fields, now)
        if after == before:
            return
        path = path_of(kind, metadata.get("namespace"), metadata["name"])
        patch = merge_patch(before, after)
        try:
            self.gateway.patch_status(path, patch, metadata.get("resourceVersion", ""))
        except ApiError as error:
            # where even the status cannot be written, the log has it
            structlog.get_logger().warning("unreadable_untold", path=path, error=error.message)


def fields_of(kind: type[Resource], manifest: dict[str, Any]) -> list[str]:
    """The fields of a spec that are not understood."""
    try:
        kind.model_validate({key: value for key, value in manifest.items() if key != "status"})
    except ValidationError as error:
        paths = [".".join(map(str, each["loc"])) for each in error.errors()]
        return [path for path in dict.fromkeys(paths) if path.startswith("spec")]
    return []


def unreadable_status(
    generation: int, before: dict[str, Any], fields: list[str], now: dt.datetime
) -> dict[str, Any]:
    """A status that says so, beside whatever else is in it.

    Args:
        generation: of the resource.
        before: the status as it was.
        fields: that are not understood.
        now: the time.
    """
    named = ", ".join(f"`{field}`" for field in fields[:MOST_FIELDS])
    more = f" and {len(fields) - MOST_FIELDS} more" if len(fields) > MOST_FIELDS else ""
    message = (
        f"this version of the operator does not understand {named}{more}; upgrade it, or correct"
        " the field. Nothing is done until then"
    )
    wanted = {
        "Ready": Wanted(status=FALSE, reason="SpecNotUnderstood", message=message),
        "Stalled": Wanted(status=TRUE, reason="SpecNotUnderstood", message=message),
    }
    known = [Condition.model_validate(each) for each in before.get("conditions", [])]
    merged = merge(known, wanted, managed=CONDITIONS, generation=generation, now=now)
    dumped = [each.model_dump(mode="json", by_alias=True) for each in merged]
    return {**before, "observedGeneration": generation, "conditions": dumped}
