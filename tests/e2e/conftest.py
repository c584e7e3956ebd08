"""The local cluster for the end-to-end tests, and a namespace for each."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Generator, Iterator

import pytest

from tests.support.stage import Place, Stage

_PLACES = pytest.StashKey[list[Place]]()
LONGEST_NAME = 40
LONGEST_SECONDS = 900
"""A test may have to bring up the cluster, and its images, first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives the tests of this folder more time than others, and the last ones their place."""
    for item in items:
        if item.get_closest_marker("cluster") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(LONGEST_SECONDS))
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)


@pytest.fixture(scope="session")
def stage() -> Stage:
    """The cluster with operator, cloud and directory; `make down` removes it."""
    return Stage()


@pytest.fixture
def place(stage: Stage, request: pytest.FixtureRequest) -> Iterator[Place]:
    """A namespace of the test's own, with a tenant of its own; by parameter, certain ones."""
    where = getattr(request, "param", (_place_name(request.node.name), None))
    with stage.place(*where) as found:
        request.node.stash[_PLACES] = [found]
        yield found


def _place_name(test: str) -> str:
    """A name that fits a namespace and that no other test has."""
    name = re.sub(r"[^a-z0-9]+", "-", test.removeprefix("test_")).strip("-")
    if len(name) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(test.encode()).hexdigest()[:6]
    return f"{name[: LONGEST_NAME - 7].strip('-')}-{digest}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows the namespace of a test that failed, and what the operator said."""
    report = yield
    if call.when == "call" and report.failed:
        for place in item.stash.get(_PLACES, []):
            report.sections.append((f"namespace {place.name}", place.describe()))
            log = place.kubectl.run(
                "logs", "-n", "entrasync-system", "deploy/entrasync", "--tail=60"
            )
            report.sections.append(("operator", log))
    return report
