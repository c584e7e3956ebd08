"""The field reference, rendered from the same schemas as the CRDs."""

from __future__ import annotations

from typing import Any

from entrasync.api.crds import RESOURCES, build_crd

_INTRODUCTION = """# The resources, field by field

Generated from the models; `kubectl explain KIND.spec` shows the same. Required fields are marked
*required*. A rule that spans fields stands below its table.
"""


def render_reference() -> str:
    """All kinds as one Markdown page."""
    parts = [_INTRODUCTION]
    for resource in RESOURCES:
        crd = build_crd(resource)
        version = crd["spec"]["versions"][0]
        schema = version["schema"]["openAPIV3Schema"]
        names = crd["spec"]["names"]
        parts.append(
            f"## {names['kind']}\n\n{schema['description']} {crd['spec']['scope']}; short name"
            f" `{names['shortNames'][0]}`; columns"
            f" {', '.join(column['name'] for column in version['additionalPrinterColumns'])}.\n"
        )
        for section in ("spec", "status"):
            parts.append(_table(section, schema["properties"][section]))
    return "\n".join(parts)


def _table(section: str, schema: dict[str, Any]) -> str:
    rows = ["| field | type | meaning |", "|---|---|---|"]
    rules: list[str] = []
    _collect(section, schema, rows, rules)
    notes = "".join(f"- {text}\n" for text in dict.fromkeys(rules))
    return "\n".join(rows) + "\n" + (f"\n{notes}" if notes else "")


def _collect(path: str, schema: dict[str, Any], rows: list[str], rules: list[str]) -> None:
    rules += [entry["message"] for entry in schema.get("x-kubernetes-validations", [])]
    required = set(schema.get("required", []))
    for name, child in schema.get("properties", {}).items():
        field = f"{path}.{name}"
        mark = " *required*" if name in required else ""
        description = str(child.get("description", "")).replace("|", "\\|")
        rows.append(f"| `{field}` | {_type_name(child)}{mark} | {description} |")
        if child.get("type") == "array":
            _collect(f"{field}[]", child["items"], rows, rules)
        else:
            _collect(field, child, rows, rules)


def _type_name(schema: dict[str, Any]) -> str:
    kind = str(schema.get("type", ""))
    if kind == "array":
        return f"list of {_type_name(schema['items'])}"
    if "enum" in schema:
        return " \\| ".join(f"`{value}`" for value in schema["enum"])
    return "map" if "additionalProperties" in schema else kind
