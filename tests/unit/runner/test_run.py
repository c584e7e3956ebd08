"""A run's waiting: it ends when somebody asks the run to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from entrasync.errors import CancelledError
from entrasync.runner.run import _Request
from entrasync.runner.secret_files import SecretFiles


def request(folder: Path, answers: Iterator[bool]) -> _Request:
    return _Request([], SecretFiles(folder=folder), None, None, None, lambda: next(answers))


def test_a_run_that_waits_ends_when_it_is_asked_to(tmp_path: Path) -> None:
    # an hour: only the question ends it
    with pytest.raises(CancelledError, match="goes on where it stopped"):
        request(tmp_path, iter([False, True]))._nap(3600)


def test_a_run_waits_no_longer_than_it_must(tmp_path: Path) -> None:
    request(tmp_path, iter([False, False]))._nap(0.001)
