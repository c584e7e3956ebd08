"""What a cycle takes of a read-back."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from entrasync.engine.outcome import CycleOutcome
from entrasync.engine.reading import TenantReader
from entrasync.entra.contracts import ReadBackPage, SyncObject, SyncObjectType, SyncOperation


def page(*anchors: str, restart: bool = False) -> ReadBackPage:
    objects = tuple(
        SyncObject(object_type=SyncObjectType.USER, operation=SyncOperation.SET, source_anchor=each)
        for each in anchors
    )
    return ReadBackPage(objects=objects, restart=restart)


def taken(pages: Iterable[ReadBackPage]) -> tuple[list[str], int]:
    """Anchors a cycle goes on with, and requests it counted."""
    parts: Any = SimpleNamespace(
        client=SimpleNamespace(read_back=lambda: iter(pages)),
        store=None,
        monotonic=lambda: 0.0,
        progress=lambda *_: None,
    )
    outcome = CycleOutcome()
    inputs: Any = None
    objects = TenantReader(inputs, parts, outcome)._objects()
    return [each.source_anchor for each in objects], outcome.requests.import_


def test_all_pages_are_taken() -> None:
    assert taken([page("a", "b"), page(), page("c")]) == (["a", "b", "c"], 3)


def test_what_was_read_before_a_restart_is_dropped() -> None:
    # an object that was gone by then must not be taken for one that is there
    assert taken([page("a", "b"), page(restart=True), page("b")]) == (["b"], 3)
