from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from entrasync.cli import main as cli


def modules_after(*arguments: str) -> set[str]:
    """Modules loaded once a command has ended, in a process of its own."""
    code = (
        "import sys\n"
        "from entrasync.cli.main import main\n"
        "try:\n"
        f"    main({list(arguments)!r})\n"
        "except SystemExit:\n"
        "    pass\n"
        "print('\\n'.join(sys.modules), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])

    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("entrasync ")


@pytest.mark.parametrize("command", ["operator", "run", "plan", "explain", "emulate", "crds"])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([command, "--help"])

    assert caught.value.code == 0
    assert command in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["run"],
        ["run", "--config", "a", "--secrets", "b", "--mode", "Destroy"],
        ["plan", "--secrets", "b"],
        ["plan", "-f", "a", "--secrets", "b", "--output", "yaml"],
        ["explain", "--config", "a", "--state", "b"],
        ["explain", "ann@contoso.test", "--config", "a"],
        ["unknown"],
    ],
)
def test_wrong_arguments_are_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)

    assert caught.value.code == 2
    assert "usage: entrasync" in capsys.readouterr().err


def test_crds_prints_all_five_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["crds"]) == 0

    printed = capsys.readouterr().out
    assert printed.count("kind: CustomResourceDefinition") == 5
    assert "kind: ValidatingAdmissionPolicy" in printed


@pytest.mark.parametrize(
    ("environment", "extra", "in_job", "log"),
    [
        ({}, [], False, None),
        ({"ENTRASYNC_IN_JOB": "1"}, [], True, Path("/dev/termination-log")),
        ({"ENTRASYNC_IN_JOB": "1"}, ["--termination-log", "/t"], True, Path("/t")),
        ({}, ["--termination-log", "/t"], False, Path("/t")),
    ],
)
def test_run_hands_over_what_was_asked(
    environment: dict[str, str],
    extra: list[str],
    in_job: bool,  # noqa: FBT001  - a table
    log: Path | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: dict[str, Any] = {}

    def run(paths: list[Path], **options: Any) -> int:
        seen.update(options, paths=paths)
        return 3

    monkeypatch.delenv("ENTRASYNC_IN_JOB", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("entrasync.runner.run.run", run)

    code = cli.main(["run", "--config", "c", "--secrets", "s", "--state", "d", *extra])

    assert code == 3
    assert seen["paths"] == [Path("c")]
    assert seen["secrets"] == Path("s")
    assert seen["state"] == Path("d")
    assert seen["mode"] is None
    assert seen["in_job"] is in_job
    assert seen["termination_log"] == log


def test_plan_hands_over_what_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def plan(paths: list[Path], **options: Any) -> int:
        seen.update(options, paths=paths)
        return 3

    monkeypatch.setattr("entrasync.runner.run.plan", plan)

    code = cli.main(["plan", "-f", "a", "-f", "b", "--secrets", "s", "--output", "json"])

    assert code == 3
    assert seen == {
        "paths": [Path("a"), Path("b")],
        "secrets": Path("s"),
        "state": None,
        "names": False,
        "output": "json",
    }


def test_explain_hands_over_what_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def explain(paths: list[Path], **options: Any) -> int:
        seen.update(options, paths=paths)
        return 2

    monkeypatch.setattr("entrasync.runner.report_run.explain", explain)

    arguments = ["--config", "c", "--state", "d", "--secrets", "s", "--names", "--output", "json"]
    code = cli.main(["explain", "CN=Ann,DC=x", *arguments])

    assert code == 2
    assert seen == {
        "paths": [Path("c")],
        "name": "CN=Ann,DC=x",
        "state": Path("d"),
        "names": True,
        "output": "json",
    }


def test_explaining_loads_no_kubernetes_client(tmp_path: Path) -> None:
    where = str(tmp_path)
    loaded = modules_after("explain", "ann", "--config", where, "--state", where)

    assert "entrasync.runner.report_run" in loaded
    assert not loaded & {"kopf", "kubernetes", "uvicorn"}


def test_the_sync_job_loads_no_kubernetes_client(tmp_path: Path) -> None:
    loaded = modules_after(
        "run", "--config", str(tmp_path), "--secrets", str(tmp_path), "--mode", "Check"
    )

    assert "entrasync.runner.run" in loaded
    assert not loaded & {"kopf", "kubernetes", "uvicorn"}


def test_printing_crds_loads_no_network_library() -> None:
    loaded = modules_after("crds")

    assert not loaded & {"kopf", "kubernetes", "ldap3", "msal", "httpx", "uvicorn"}
