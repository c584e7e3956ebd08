"""How long changes of a real directory take to arrive, told by the runs that export them."""

from __future__ import annotations

import pytest

from tests.support.branch import Branch
from tests.support.rig import Rig

pytestmark = pytest.mark.integration


def test_changes_are_measured_and_a_first_fill_is_not(local: Rig, branch: Branch) -> None:
    anna = branch.person("anna")
    team = branch.group("team")
    assert local.run().latency is None

    branch.hand.link(team, anna)
    branch.person("bert")
    told = local.run().latency

    # the group with its member, and a user; everybody's clock is the same one
    assert told is not None
    assert told.objects == 2
    assert told.max_seconds < 300
    assert local.run().latency is None


def test_what_was_planned_only_counts_when_it_is_exported(local: Rig, branch: Branch) -> None:
    branch.person("anna")
    local.run()
    branch.person("bert")
    assert local.run(mode="Preview").latency is None
    # what a preview read is told by no later delta
    assert local.run().latency is None
