"""Whole syncs from a real Active Directory to an emulated cloud, over TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.branch import Branch
from tests.support.emulator import EmulatorServer
from tests.support.hand import Hand
from tests.support.rig import Rig
from tests.support.samba import SambaServer


@pytest.fixture
def cloud() -> Iterator[EmulatorServer]:
    with EmulatorServer() as server:
        yield server


@pytest.fixture
def rig(tmp_path: Path, samba_small: SambaServer, cloud: EmulatorServer) -> Rig:
    """A sync of a small company that nobody changes."""
    return Rig(tmp_path, samba_small, cloud)


@pytest.fixture
def fresh(tmp_path: Path, samba_fresh: SambaServer, cloud: EmulatorServer) -> Rig:
    """A sync of a small company of the test's own."""
    return Rig(tmp_path, samba_fresh, cloud)


@pytest.fixture
def hand(samba_fresh: SambaServer) -> Iterator[Hand]:
    """Changes the directory of `fresh`."""
    with Hand(samba_fresh) as found:
        yield found


@pytest.fixture
def big(tmp_path: Path, cloud: EmulatorServer) -> Iterator[Rig]:
    """A sync of the demo's company of some 2,000 people, to be changed."""
    with SambaServer(tmp_path / "ad", "company") as server:
        yield Rig(tmp_path, server, cloud)


@pytest.fixture(scope="session")
def samba_shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SambaServer]:
    """A company in which each test changes a branch of its own."""
    with SambaServer(tmp_path_factory.mktemp("ad") / "shared") as server:
        yield server


@pytest.fixture
def branch(samba_shared: SambaServer) -> Iterator[Branch]:
    """An empty branch, to be filled and changed."""
    with Hand(samba_shared) as found:
        yield Branch(found)


@pytest.fixture
def local(tmp_path: Path, samba_shared: SambaServer, cloud: EmulatorServer, branch: Branch) -> Rig:
    """A sync of `branch`."""
    found = Rig(tmp_path, samba_shared, cloud)
    found.source["include"] = [branch.dn]
    return found
