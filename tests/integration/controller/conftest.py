"""A control plane for the operator's tests, and the operator itself on it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.control_plane import ControlPlane
from tests.support.operator_process import OperatorProcess

_COUNTER = itertools.count(1)


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One for all tests that leave its parts running; each works in a namespace of its own."""
    with ControlPlane(tmp_path_factory.mktemp("control-plane"), audit=True) as found:
        yield found


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A namespace of the test's own."""
    name = control_plane.namespace(f"test-{next(_COUNTER)}")
    yield name
    control_plane.kube.delete("Namespace", name)


@pytest.fixture
def start_operator(
    control_plane: ControlPlane, tmp_path: Path
) -> Iterator[Callable[..., OperatorProcess]]:
    """Starts an operator as administrator; its arguments are those of `OperatorProcess`."""
    started: list[OperatorProcess] = []

    def start(
        *namespaces: str, kubeconfig: Path | None = None, **environment: str
    ) -> OperatorProcess:
        operator = OperatorProcess(
            kubeconfig or control_plane.kubeconfig,
            tmp_path / f"operator-{len(started)}.log",
            namespaces,
            environment,
        )
        started.append(operator)
        operator.start()
        return operator

    yield start
    for operator in started:
        operator.kill()
