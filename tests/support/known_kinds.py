"""The kinds as kubectl and the API server know them: names, fields, conditions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from entrasync.api.crds import RESOURCES, build_crd
from entrasync.controller.part_status import CLOUD_CONDITIONS, PART_CONDITIONS
from entrasync.controller.run_status import RUN_CONDITIONS
from entrasync.controller.sync_conditions import SYNC_CONDITIONS

CONDITIONS: Final = {
    "AzureCloud": CLOUD_CONDITIONS,
    "EntraTenant": PART_CONDITIONS,
    "ActiveDirectory": PART_CONDITIONS,
    "DirectorySync": SYNC_CONDITIONS,
    "SyncRun": RUN_CONDITIONS,
}
CATEGORY: Final = "entrasync"
BUILT_IN: Final = frozenset(
    {
        *("configmap", "configmaps", "crd", "deploy", "deployment", "endpointslices", "events"),
        *("job", "jobs", "lease", "leases", "namespace", "networkpolicy", "node", "nodes"),
        *("pod", "pods", "pvc"),
        *("rolebinding", "secret", "secrets", "service", "serviceaccount"),
        *("validatingadmissionpolicy", "validatingadmissionpolicybinding"),
    }
)
"""Names of Kubernetes' own kinds that pages use."""
_METADATA: Final = frozenset(
    {"name", "namespace", "uid", "labels", "annotations", "finalizers", "generateName"}
)


@cache
def schemas() -> dict[str, dict[str, Any]]:
    """The schema of each kind, as the API server has it."""
    return {
        resource.definition.kind: build_crd(resource)["spec"]["versions"][0]["schema"][
            "openAPIV3Schema"
        ]
        for resource in RESOURCES
    }


@cache
def kinds_by_name() -> dict[str, str]:
    """Kinds by every name that kubectl takes."""
    found: dict[str, str] = {}
    for resource in RESOURCES:
        definition = resource.definition
        names = (definition.plural, definition.singular, *definition.short_names)
        found |= dict.fromkeys((*names, f"{definition.plural}.entrasync.dev"), definition.kind)
    return found


def selectable(kind: str) -> set[str]:
    """Fields that `--field-selector` takes."""
    (resource,) = [each for each in RESOURCES if each.definition.kind == kind]
    return {"metadata.name", "metadata.namespace", *resource.definition.selectable_fields}


def unknown(value: object, schema: dict[str, Any], path: str) -> Iterator[str]:
    """Fields that the API server would prune, and choices that it would refuse."""
    if isinstance(value, dict):
        known = schema.get("properties", {})
        for name, each in value.items():
            if name in known:
                yield from unknown(each, known[name], f"{path}.{name}")
            elif "additionalProperties" not in schema and path != ".metadata":
                yield f"{path}.{name}"
    elif isinstance(value, list):
        for each in value:
            yield from unknown(each, schema["items"], f"{path}[]")
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value}"


def has_field(kind: str, path: str) -> bool:
    """Whether a path such as `spec.sources[].name` leads somewhere.

    Args:
        kind: the kind.
        path: names with dots between them; brackets with anything in them stand for any item.
    """
    schema = schemas()[kind]
    first, _, rest = path.lstrip(".").partition(".")
    if first == "metadata":
        return not rest or re.split(r"[.\[]", rest)[0] in _METADATA
    for name in re.sub(r"\[[^\]]*\]", "[]", path.lstrip(".")).split("."):
        plain = name.removesuffix("[]")
        if "additionalProperties" in schema:
            schema = schema["additionalProperties"]
            continue
        if plain not in schema.get("properties", {}):
            return False
        schema = schema["properties"][plain]
        if schema.get("type") == "array":  # a list may be named as a whole, or go on with an item's
            schema = schema["items"]
    return True
