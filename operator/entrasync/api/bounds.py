"""What is written is cut to the bounds of its schema: the API server refuses what exceeds one."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from pydantic import BaseModel

from entrasync.api.crds import build_schema

ELLIPSIS: Final = "…"
_SHORTEST_CUT: Final = 0.8
"""A cut falls between words if one ends in the last fifth; else within one."""


def shorten(text: str, length: int) -> str:
    """A text of so many characters at most, cut between words where it is cut."""
    if len(text) <= length:
        return text
    room = length - len(ELLIPSIS)
    head = text[: room + 1]
    end = max(head.rfind(mark) for mark in (" ", "\n", "\t"))
    return text[: end if end >= room * _SHORTEST_CUT else room].rstrip() + ELLIPSIS


def bounded(document: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """A document of a model, with every string, list and map within the bounds of its schema.

    Of a list or map the first members stay; what is cut stays readable. Empty lists are left out:
    they are what an absent one means, and only fill a page.
    """
    cut = _bounded(document, _schema(model))
    if not isinstance(cut, dict):  # a model is an object in every schema
        raise TypeError(f"{model.__name__} has no schema of an object")
    return cut


@cache
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return build_schema(model)


def _bounded(value: Any, schema: dict[str, Any]) -> Any:
    if isinstance(value, str):
        length = schema.get("maxLength")
        return value if length is None else shorten(value, length)
    if isinstance(value, list):
        items = schema.get("items", {})
        return [_bounded(each, items) for each in value[: schema.get("maxItems")]]
    if isinstance(value, dict):
        properties, others = schema.get("properties", {}), schema.get("additionalProperties", {})
        members = list(value.items())[: schema.get("maxProperties")]
        return {
            name: _bounded(each, properties.get(name, others))
            for name, each in members
            if each != []
        }
    return value
