"""Whether the cluster's CustomResourceDefinitions are those this operator was made for.

kopf would go on without them and be silent; an older schema would drop what is written to a status.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import structlog

from entrasync.api.common import GROUP, VERSION
from entrasync.api.crds import RESOURCES, build_crd
from entrasync.controller.gateway import ApiError, Gateway
from entrasync.errors import ConfigurationError, TransientError

FORBIDDEN: Final = 403
MOST_NAMED: Final = 5
REMEDY: Final = (
    "upgrade the chart with crds.install=true, or"
    " `entrasync crds | kubectl apply --server-side --force-conflicts -f -` with this version"
)


def check_definitions(gateway: Gateway) -> None:
    """Fails with a sentence when the CustomResourceDefinitions do not fit this operator.

    Newer ones fit: versions only ever add.

    Raises:
        ConfigurationError: one is missing or older.
        TransientError: one is not served yet.
    """
    for resource in RESOURCES:
        plural = resource.definition.plural
        name = f"{plural}.{GROUP}"
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
        try:
            found = gateway.get(path)
        except ApiError as error:
            if error.status != FORBIDDEN:
                raise
            structlog.get_logger().info("definition_not_readable", definition=name)
            _check_served(gateway, plural)
            continue
        if found is None:
            raise _missing(name)
        lacking = lacking_in(found, build_crd(resource))
        if lacking:
            raise ConfigurationError(
                "ConfigurationInvalid",
                f"the CustomResourceDefinition {name} is older than this operator and lacks"
                f" {_named(lacking)}; {REMEDY}",
            )
        if not _is_established(found):
            raise TransientError(
                "RunFailed", f"the CustomResourceDefinition {name} is not served yet"
            )


def lacking_in(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """What a CustomResourceDefinition lacks that another one has: versions, fields, selectors."""
    versions = {version["name"]: version for version in found["spec"]["versions"]}
    lacking = []
    for version in wanted["spec"]["versions"]:
        there = versions.get(version["name"])
        if there is None or not there.get("served"):
            lacking.append(f"version {version['name']}")
            continue
        fields = set(_fields(there["schema"]["openAPIV3Schema"]))
        lacking += [
            each for each in _fields(version["schema"]["openAPIV3Schema"]) if each not in fields
        ]
        selectable = {each["jsonPath"] for each in there.get("selectableFields", [])}
        lacking += [
            f"selectable field {each['jsonPath']}"
            for each in version.get("selectableFields", [])
            if each["jsonPath"] not in selectable
        ]
    return lacking


def _fields(schema: Mapping[str, Any], at: str = "") -> Iterator[str]:
    """Paths of all fields of a schema, outer ones first."""
    for name, child in schema.get("properties", {}).items():
        path = f"{at}.{name}" if at else name
        yield path
        yield from _fields(child, path)
    for inner in ("items", "additionalProperties"):
        if isinstance(schema.get(inner), Mapping):
            yield from _fields(schema[inner], f"{at}[]")


def _named(lacking: Sequence[str]) -> str:
    more = len(lacking) - MOST_NAMED
    named = ", ".join(lacking[:MOST_NAMED])
    return f"{named} and {more} more" if more > 0 else named


def _is_established(found: Mapping[str, Any]) -> bool:
    conditions = (found.get("status") or {}).get("conditions") or []
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)


def _check_served(gateway: Gateway, plural: str) -> None:
    """The next best when definitions may not be read: whether the API server serves the kind."""
    served = gateway.get(f"/apis/{GROUP}/{VERSION}") or {}
    if plural not in {each["name"] for each in served.get("resources", [])}:
        raise _missing(f"{plural}.{GROUP}")


def _missing(name: str) -> ConfigurationError:
    return ConfigurationError(
        "ConfigurationInvalid",
        f"the CustomResourceDefinition {name} is not installed; install the chart with"
        " crds.install=true, or `entrasync crds | kubectl apply --server-side -f -`",
    )
