"""Health checks and actions for Argo CD, in its own format and in a Lua interpreter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.argocd import CONFIG_MAP, FOLDER, render_argocd
from entrasync.api.crds import RESOURCES
from tests.support.argocd import run_lua

HEALTH = FOLDER / "_"
CODES = {"Healthy", "Suspended", "Progressing", "Missing", "Degraded", "Unknown"}


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


def health_cases() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = load(HEALTH / "health_test.yaml")["tests"]
    return found


def action_files() -> list[Path]:
    return sorted(FOLDER.glob("*/actions/action_test.yaml"))


def cases_of(what: str) -> list[Any]:
    """Folder and case of every test of actions."""
    return [
        pytest.param(path.parent, case, id=f"{path.parents[1].name}-{number}")
        for path in action_files()
        for number, case in enumerate(load(path)[what])
    ]


@pytest.mark.parametrize("case", health_cases(), ids=lambda case: Path(case["inputPath"]).stem)
def test_health(case: dict[str, Any]) -> None:
    script = (HEALTH / "health.lua").read_text()
    told = run_lua(script, load(HEALTH / case["inputPath"]))
    assert told == case["healthStatus"]
    assert told["status"] in CODES


def test_every_file_of_test_data_is_a_case() -> None:
    named = {case["inputPath"] for case in health_cases()}
    assert named == {f"testdata/{path.name}" for path in (HEALTH / "testdata").iterdir()}


@pytest.mark.parametrize(("folder", "case"), cases_of("discoveryTests"))
def test_discovery(folder: Path, case: dict[str, Any]) -> None:
    offered = run_lua((folder / "discovery.lua").read_text(), load(folder / case["inputPath"]))
    told = [{"name": name, "disabled": False, **offered[name]} for name in sorted(offered)]
    assert told == sorted(case["result"], key=lambda each: str(each["name"]))
    assert set(offered) == {path.parent.name for path in folder.glob("*/action.lua")}


@pytest.mark.parametrize(("folder", "case"), cases_of("actionTests"))
def test_action(folder: Path, case: dict[str, Any]) -> None:
    script = (folder / case["action"] / "action.lua").read_text()
    after = run_lua(script, load(folder / case["inputPath"]))
    assert after == load(folder / case["expectedOutputPath"])


def test_nothing_is_approved_where_nothing_is_blocked() -> None:
    folder = FOLDER / "DirectorySync" / "actions"
    script = (folder / "approve" / "action.lua").read_text()
    with pytest.raises(Exception, match="nothing to approve"):
        run_lua(script, load(folder / "testdata" / "sync.yaml"))


def test_the_config_map_holds_every_kind_and_action() -> None:
    assert CONFIG_MAP.read_text() == render_argocd()
    data = load(CONFIG_MAP)["data"]
    for resource in RESOURCES:
        script = data[f"resource.customizations.health.entrasync.dev_{resource.definition.kind}"]
        assert script == (HEALTH / "health.lua").read_text()
    actions = yaml.safe_load(data["resource.customizations.actions.entrasync.dev_DirectorySync"])
    assert {each["name"] for each in actions["definitions"]} == {
        "run-now",
        "suspend",
        "resume",
        "approve",
    }
