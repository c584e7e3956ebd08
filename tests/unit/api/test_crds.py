"""The generated CRDs: committed, structural, bounded, and honest about defaults."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from entrasync.api.crds import RESOURCES, build_crd, render_files

CRDS = Path(__file__).parents[3] / "crds"


def walk(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from walk(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from walk(schema[key], f"{path}[]")


SCHEMAS = {
    resource.definition.kind: build_crd(resource)["spec"]["versions"][0]["schema"][
        "openAPIV3Schema"
    ]
    for resource in RESOURCES
}
NODES = [(kind, path, node) for kind, schema in SCHEMAS.items() for path, node in walk(schema)]


def test_committed_files_are_what_the_models_say() -> None:
    rendered = render_files()
    assert {path.name for path in CRDS.glob("*.yaml")} == set(rendered)
    for name, text in rendered.items():
        assert (CRDS / name).read_text() == text, f"crds/{name} drifted: run `make generate`"


@pytest.mark.parametrize("name", sorted(render_files()))
def test_kubernetes_own_schema_accepts_them(name: str) -> None:
    for document in yaml.safe_load_all(render_files()[name]):
        kubernetes_validate.validate(document, "1.31", strict=True)


def test_every_node_is_structural() -> None:
    forbidden = {"$ref", "anyOf", "oneOf", "allOf", "title", "const", "$defs"}
    for kind, path, node in NODES:
        assert node.get("type") in {"object", "array", "string", "integer", "boolean"}, (kind, path)
        assert not forbidden & set(node), (kind, path)


def test_every_field_is_described_and_bounded() -> None:
    for kind, path, node in NODES:
        if not path or path == ".metadata":
            continue
        if not path.endswith("[]") and path not in {".spec", ".status"}:
            assert node.get("description"), (kind, path)
        if node["type"] == "array":
            assert "maxItems" in node, (kind, path)
        if node["type"] == "string" and path not in {".apiVersion", ".kind"}:
            assert "maxLength" in node or "enum" in node, (kind, path)
        if node["type"] == "object" and "additionalProperties" in node:
            assert "maxProperties" in node, (kind, path)


def test_status_schemas_have_no_enums_and_no_patterns() -> None:
    for kind, path, node in NODES:
        if path.startswith(".status"):
            assert not {"enum", "pattern"} & set(node), (kind, path)


def test_keys_of_lists_are_always_there() -> None:
    for kind, path, node in NODES:
        for key in node.get("x-kubernetes-list-map-keys", []):
            assert key in node["items"].get("required", []), (kind, path, key)


def test_no_default_stands_inside_a_list() -> None:
    for kind, path, node in NODES:
        if "[]" in path:
            assert "default" not in node, (kind, path)
