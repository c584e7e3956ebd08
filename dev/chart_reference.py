"""The table of helm/entrasync/README.md: every value, from the chart's schema and defaults."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

CHART: Final = Path(__file__).parents[1] / "helm" / "entrasync"
README: Final = CHART / "README.md"
_TABLE: Final = re.compile(
    r"(?<=<!-- begin generated: values -->\n).*?(?=<!-- end generated: values -->\n)", re.DOTALL
)
_LONGEST: Final = 60
"""Characters of a default that still fit into a cell."""


def chart_readme(page: str, schema: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """The page with today's table between its marks.

    Args:
        page: as it is.
        schema: values.schema.json.
        defaults: values.yaml.

    Raises:
        ValueError: the page lacks a mark.
    """
    rows = "".join(_rows(schema["properties"], defaults))
    page, replaced = _TABLE.subn(
        lambda _: "| value | default | says |\n|---|---|---|\n" + rows, page, count=1
    )
    if not replaced:
        raise ValueError("the page lacks the marks of the generated table of values")
    return page


def rendered_readme() -> str:
    """The page as it is to be, from the files of the chart."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    return chart_readme(README.read_text(), schema, defaults)


def _rows(
    properties: Mapping[str, Any], defaults: Mapping[str, Any], above: str = ""
) -> Iterator[str]:
    """A row for each value that holds no others, in the order of the defaults."""
    for name in defaults:
        described, path = properties[name], f"{above}{name}"
        if "properties" in described:
            yield from _rows(described["properties"], defaults[name], f"{path}.")
        else:
            says = _cell(described["description"])
            yield f"| `{path}` | {_default(defaults[name])} | {says}{_fields(described)} |\n"


def _fields(described: Mapping[str, Any]) -> str:
    """What the items of a list are made of."""
    fields = described.get("items", {}).get("properties", {})
    if not fields:
        return ""
    parts = [
        f"`{name}`" + (f": {_cell(each['description'])}" if "description" in each else "")
        for name, each in fields.items()
    ]
    return f" Each has {'; '.join(part.rstrip('.') for part in parts)}."


def _default(value: Any) -> str:
    text = json.dumps(value)
    if value in ("", [], {}):
        return ""
    return f"`{_cell(text)}`" if len(text) <= _LONGEST else "see values.yaml"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
