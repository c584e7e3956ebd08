"""`entrasync plan`: what a pull request would change."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.rig import Rig

pytestmark = pytest.mark.integration

WITHOUT_LEGAL = ["OU=Legal,OU=Staff,OU=Contoso,DC=contoso,DC=test"]


def plan(rig: Rig, *arguments: str, code: int = 0) -> list[str]:
    """The lines the command prints, as a process of its own: it sets up logging for good."""
    rig.write()
    command = [sys.executable, "-m", "entrasync", "plan", "-f", str(rig.config)]
    done = subprocess.run(
        [*command, "--secrets", str(rig.secrets), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout.splitlines()


def test_a_plan_names_each_change_and_writes_nothing(rig: Rig) -> None:
    lines = plan(rig, "--names")

    assert sum(line.startswith("+ User ") for line in lines) == 48
    assert any("CN=浩 田中" in line for line in lines)
    assert any(line.startswith("Plan sha256:") for line in lines)
    assert "  users: 48 added, 0 updated, 0 deleted, 0 failed" in lines
    assert rig.writes() == 0


def test_names_are_shown_only_when_asked_for(rig: Rig) -> None:
    assert not any("CN=" in line for line in plan(rig))


def test_with_the_state_of_the_sync_only_what_would_change_is_shown(rig: Rig) -> None:
    rig.run()
    rig.source["exclude"] = WITHOUT_LEGAL

    lines = plan(rig, "--state", str(rig.state))

    assert sum(line.startswith("- User ") for line in lines) == 8
    assert len(rig.anchors("User")) == 48


def test_a_braked_plan_is_told_by_its_exit_code(rig: Rig, tmp_path: Path) -> None:
    rig.run()
    rig.sync["spec"]["safety"] = {"users": {"count": 3}}
    rig.source["exclude"] = WITHOUT_LEGAL

    lines = plan(rig, "--state", str(rig.state), code=3)
    assert any("set spec.approvedPlan to sha256:" in line for line in lines)
    # from nothing, what the tenant holds is adopted or an orphan: nothing is to be deleted
    plan(rig, "--state", str(tmp_path / "other"))
