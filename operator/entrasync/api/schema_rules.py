"""Rules between fields, checked without an API server: the CEL of our own definitions.

The API server fills in a schema's defaults before it evaluates the rules; so does this. Rules about
a change (`oldSelf`) need an object that is there already, and are left to it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from entrasync.api.common import Resource
from entrasync.api.crds import build_crd
from entrasync.errors import ConfigurationError

EXTRA = "lint"
"""The extra of the package that brings the CEL engine."""


@dataclass(slots=True, frozen=True, kw_only=True)
class BrokenRule:
    """A rule that an object breaks.

    Attributes:
        field: path of the field to look at, for example `spec.schedule.interval`.
        message: what is wrong, as the API server would say it.
    """

    field: str
    message: str


def broken_rules(kind: type[Resource], manifest: Mapping[str, Any]) -> list[BrokenRule]:
    """The rules of a kind's definition that a manifest breaks.

    Args:
        kind: of the manifest, which fits its schema otherwise.
        manifest: as a user wrote it.

    Raises:
        ConfigurationError: the CEL engine is not installed.
    """
    schema = _schema(kind)
    filled = {key: copy.deepcopy(value) for key, value in manifest.items() if key != "status"}
    _fill(filled, schema)
    return list(_broken(filled, schema, ""))


@cache
def _schema(kind: type[Resource]) -> dict[str, Any]:
    (version,) = build_crd(kind)["spec"]["versions"]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return schema


def _fill(value: Any, schema: Mapping[str, Any]) -> None:
    """Defaults of a schema, in place."""
    if isinstance(value, dict):
        for name, member in schema.get("properties", {}).items():
            if name not in value and "default" in member:
                value[name] = copy.deepcopy(member["default"])
            if name in value:
                _fill(value[name], member)
    elif isinstance(value, list):
        for each in value:
            _fill(each, schema.get("items", {}))


def _broken(value: Any, schema: Mapping[str, Any], path: str) -> Iterator[BrokenRule]:
    for rule in schema.get("x-kubernetes-validations", []):
        if "oldSelf" not in rule["rule"] and not _holds(rule["rule"], value):
            yield BrokenRule(
                field=f"{path}{rule.get('fieldPath', '')}".lstrip("."), message=rule["message"]
            )
    if isinstance(value, dict):
        for name, member in schema.get("properties", {}).items():
            if name in value:
                yield from _broken(value[name], member, f"{path}.{name}")
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _broken(each, schema.get("items", {}), f"{path}[{number}]")


def _holds(expression: str, value: Any) -> bool:
    try:
        return _program(expression).execute({"self": value}) is True
    except (ValueError, TypeError, RuntimeError):
        return False  # the API server, too, refuses what a rule cannot be evaluated for


@cache
def _program(expression: str) -> Any:
    try:
        import cel  # noqa: PLC0415  - an extra: only this command needs it
    except ImportError:
        raise ConfigurationError(
            "ConfigurationInvalid",
            "rules between fields cannot be checked, as the CEL engine is not installed: install"
            f" entrasync[{EXTRA}]",
        ) from None
    return cel.compile(expression)
