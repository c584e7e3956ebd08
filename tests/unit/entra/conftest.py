from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.entra.service_stage import Answer, Stage, Start


@pytest.fixture
def start() -> Iterator[Start]:
    """Makes stages; their clients are closed after the test."""
    stages: list[Stage] = []

    def make(*answers: Answer, **options: Any) -> Stage:
        stages.append(Stage(list(answers), **options))
        return stages[-1]

    yield make
    for each in stages:
        each.client.close()
