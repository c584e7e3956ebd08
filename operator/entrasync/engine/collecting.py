"""How often Python looks for garbage while a cycle runs."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_NEW_OBJECTS: Final = 20_000
"""Containers that are made and still there before the young ones are looked at."""
_ROUNDS: Final = 20
"""How often the young are looked at before those that survived are."""


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Lets the collector of circles work seldom.

    A cycle makes rows by the million, a page of them at a time. None refers to itself, so all go
    when they are let go of; left alone, the collector would take a tenth of the time to find that
    out.
    """
    before = gc.get_threshold()
    gc.freeze()  # modules stay until the end
    gc.set_threshold(_NEW_OBJECTS, _ROUNDS, _ROUNDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
