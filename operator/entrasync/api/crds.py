"""CustomResourceDefinitions generated from the models, and the admission policy beside them.

pydantic's JSON schema is no structural schema: references are inlined, `title` and null defaults
dropped, optional members unwrapped, and Kubernetes' own extensions added.
"""

from __future__ import annotations

from typing import Any, Final, get_args

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from entrasync.api.active_directory import ActiveDirectory
from entrasync.api.azure_cloud import AzureCloud
from entrasync.api.common import (
    CATEGORY,
    DEFAULT_IN_CODE,
    GROUP,
    VERSION,
    PrinterColumn,
    Resource,
    rule,
)
from entrasync.api.directory_sync import DirectorySync
from entrasync.api.entra_tenant import EntraTenant
from entrasync.api.policy import render_policy
from entrasync.api.sync_run import SyncRun

RESOURCES: Final[tuple[type[Resource], ...]] = (
    AzureCloud,
    EntraTenant,
    ActiveDirectory,
    DirectorySync,
    SyncRun,
)
HEADER: Final = "# Generated from operator/entrasync/api. Do not edit: run `make generate`.\n"
_DROPPED_KEYS: Final = frozenset({"title", "default", "additionalProperties"})


def render_files() -> dict[str, str]:
    """File name -> text of everything in `crds/`."""
    files = {
        f"{GROUP}_{resource.definition.plural}.yaml": _to_yaml([build_crd(resource)])
        for resource in RESOURCES
    }
    files["policy.yaml"] = _to_yaml(render_policy())
    return files


def render_all() -> str:
    """Everything in `crds/` as one stream of YAML documents."""
    return "---\n".join(render_files().values())


def build_crd(resource: type[Resource]) -> dict[str, Any]:
    """The CustomResourceDefinition of one kind."""
    definition = resource.definition
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": _root_schema(resource)},
        "additionalPrinterColumns": [_column(column) for column in definition.columns],
    }
    if definition.selectable_fields:
        version["selectableFields"] = [
            {"jsonPath": f".{field}"} for field in definition.selectable_fields
        ]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{definition.plural}.{GROUP}",
            "labels": {"app.kubernetes.io/part-of": "entrasync"},
        },
        "spec": {
            "group": GROUP,
            "scope": "Cluster" if definition.cluster_scoped else "Namespaced",
            "names": {
                "kind": definition.kind,
                "listKind": f"{definition.kind}List",
                "plural": definition.plural,
                "singular": definition.singular,
                "shortNames": list(definition.short_names),
                "categories": [CATEGORY],
            },
            "versions": [version],
        },
    }


def _root_schema(resource: type[Resource]) -> dict[str, Any]:
    spec_model = _member_model(resource, "spec")
    status_model = _member_model(resource, "status")
    schema: dict[str, Any] = {
        "type": "object",
        "description": (resource.__doc__ or "").strip(),
        "required": ["spec"],
        "properties": {
            "apiVersion": {
                "type": "string",
                "description": "Version of the API this object is written in.",
            },
            "kind": {"type": "string", "description": "Kind of this object."},
            "metadata": {"type": "object"},
            "spec": build_schema(spec_model),
            "status": _status_schema(status_model),
        },
    }
    limit = resource.definition.name_max_length
    if limit is not None:
        schema["x-kubernetes-validations"] = [
            rule(
                f"self.metadata.name.size() <= {limit}",
                f"`metadata.name` must have at most {limit} characters",
            )
        ]
    return schema


def _status_schema(model: type[BaseModel]) -> dict[str, Any]:
    """A status begins with generation -1, so that kstatus sees a new object as in progress."""
    schema = _without_defaults(build_schema(model))
    schema["default"] = {"observedGeneration": -1}
    return schema


def _without_defaults(node: dict[str, Any]) -> dict[str, Any]:
    """The operator writes every member it means; the API server must not add to a status."""
    result = {key: value for key, value in node.items() if key != "default"}
    if "properties" in result:
        result["properties"] = {k: _without_defaults(v) for k, v in node["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(result.get(key), dict):
            result[key] = _without_defaults(result[key])
    return result


def _member_model(resource: type[Resource], name: str) -> type[BaseModel]:
    annotation = resource.model_fields[name].annotation
    candidates = [annotation, *get_args(annotation)]
    return next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))


def build_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The structural schema of one model."""
    raw = model.model_json_schema(by_alias=True, mode="validation")
    return _structural(raw, raw.get("$defs", {}), _models_by_name(model))


def _structural(
    node: dict[str, Any], definitions: dict[str, Any], models: dict[str, type[BaseModel]]
) -> dict[str, Any]:
    """Inlines references and keeps what a structural schema may hold."""
    node = _unwrapped(dict(node))
    model_name = node.get("title") if node.get("type") == "object" else None
    if "$ref" in node:
        model_name = node.pop("$ref").rsplit("/", 1)[-1]
        target = definitions[model_name]
        # what the field says of itself stands above what its type says
        node = {**target, **node}
        node = _unwrapped(node)
    result = {k: v for k, v in node.items() if k not in _DROPPED_KEYS and not k.startswith("$")}
    in_code = result.pop(DEFAULT_IN_CODE, False)
    if not in_code and isinstance(node.get("default"), bool | int | str):
        result["default"] = node["default"]
    if "description" in result:
        result["description"] = " ".join(str(result["description"]).split())
    if "properties" in node:
        result["properties"] = {
            name: _structural(child, definitions, models)
            for name, child in node["properties"].items()
        }
    if "items" in node:
        result["items"] = _structural(node["items"], definitions, models)
    if isinstance(node.get("additionalProperties"), dict):
        result["additionalProperties"] = _structural(
            node["additionalProperties"], definitions, models
        )
    model = models.get(str(model_name))
    if model is not None and "properties" in result:
        own = [dict(entry) for entry in getattr(model, "validations", ())]
        rules = own + list(result.get("x-kubernetes-validations", []))
        if rules:
            result["x-kubernetes-validations"] = rules
    return result


def _unwrapped(node: dict[str, Any]) -> dict[str, Any]:
    """`anyOf: [X, null]` becomes X; the field's own words stay."""
    if "anyOf" in node:
        (choice,) = [option for option in node["anyOf"] if option.get("type") != "null"]
        rest = {k: v for k, v in node.items() if k not in {"anyOf", "default"}}
        return {**choice, **rest}
    if "allOf" in node:
        (choice,) = node["allOf"]
        rest = {k: v for k, v in node.items() if k != "allOf"}
        return {**choice, **rest}
    return node


def _models_by_name(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    found: dict[str, type[BaseModel]] = {}
    pending = [model]
    while pending:
        current = pending.pop()
        if current.__name__ in found:
            continue
        found[current.__name__] = current
        for field in current.model_fields.values():
            pending += _models_in(field)
    return found


def _models_in(field: FieldInfo) -> list[type[BaseModel]]:
    pending: list[Any] = [field.annotation]
    found: list[type[BaseModel]] = []
    while pending:
        annotation = pending.pop()
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            found.append(annotation)
        pending += get_args(annotation)
    return found


def _column(column: PrinterColumn) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": column.name,
        "type": column.type,
        "jsonPath": column.json_path,
    }
    if column.priority:
        entry["priority"] = column.priority
    if column.description:
        entry["description"] = column.description
    return entry


def _to_yaml(documents: list[dict[str, Any]]) -> str:
    text = yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True, width=100)
    return HEADER + text
