"""Real parts for the integration tests: Active Directories and an emulated Azure cloud."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.samba import SambaServer


@pytest.fixture(scope="session")
def samba_small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SambaServer]:
    """A small company, for tests that change nothing others read."""
    with SambaServer(tmp_path_factory.mktemp("ad") / "small") as server:
        yield server


@pytest.fixture(scope="session")
def samba_company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SambaServer]:
    """The demo's company with its group of 2,000 members, for tests that change nothing."""
    with SambaServer(tmp_path_factory.mktemp("ad") / "company", "company") as server:
        yield server


@pytest.fixture
def samba_fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SambaServer]:
    """A small company of the test's own, to be changed, stopped and started at will."""
    with SambaServer(tmp_path_factory.mktemp("ad") / "fresh") as server:
        yield server
