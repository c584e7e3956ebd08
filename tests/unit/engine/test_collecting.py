"""How often circles are looked for while a cycle runs."""

from __future__ import annotations

import gc

import pytest

from entrasync.engine.collecting import seldom_collected


def fail_within() -> None:
    with seldom_collected():
        raise ValueError


def test_circles_are_looked_for_less_often() -> None:
    before = gc.get_threshold()

    with seldom_collected():
        within, enabled = gc.get_threshold(), gc.isenabled()

    assert all(now > then for now, then in zip(within, before, strict=True))
    assert enabled


def test_afterwards_all_is_as_before() -> None:
    before, frozen = gc.get_threshold(), gc.get_freeze_count()

    with pytest.raises(ValueError):  # noqa: PT011  - it is ours
        fail_within()

    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == frozen
