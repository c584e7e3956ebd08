"""Label and field selectors of the Kubernetes API, as far as anybody here uses them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_SET: Final = re.compile(r"^(?P<key>\S+)\s+(?P<how>in|notin)\s+\((?P<values>[^)]*)\)$")


def has_labels(manifest: Mapping[str, Any], selector: str) -> bool:
    """Whether the labels of an object fit a selector; an empty one fits everything."""
    labels = manifest.get("metadata", {}).get("labels") or {}
    return all(_fits(labels, part.strip()) for part in _parts(selector))


def has_fields(manifest: Mapping[str, Any], fields: Mapping[str, str] | None) -> bool:
    """Whether members of an object, named by dotted paths, have these values."""
    return all(_member(manifest, path) == value for path, value in (fields or {}).items())


def _parts(selector: str) -> list[str]:
    """The requirements of a selector: commas within parentheses part nothing."""
    return [part for part in re.split(r",(?![^(]*\))", selector) if part.strip()]


def _fits(labels: Mapping[str, str], requirement: str) -> bool:
    among = _SET.match(requirement)
    if among is not None:
        values = {value.strip() for value in among["values"].split(",")}
        return (labels.get(among["key"]) in values) is (among["how"] == "in")
    if "!=" in requirement:
        key, _, value = requirement.partition("!=")
        return labels.get(key.strip()) != value.strip()
    if "=" in requirement:
        key, _, value = requirement.replace("==", "=").partition("=")
        return labels.get(key.strip()) == value.strip()
    if requirement.startswith("!"):
        return requirement[1:] not in labels
    return requirement in labels


def _member(manifest: Mapping[str, Any], path: str) -> str:
    found: Any = manifest
    for name in path.split("."):
        found = found.get(name, {}) if isinstance(found, Mapping) else {}
    return "" if found == {} else str(found)
