"""Reports from the state alone, by a SyncRun and by hand."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from entrasync.api.result import RunResult
from entrasync.api.snapshot import SNAPSHOT_FILE, Snapshot, dump_snapshot
from entrasync.errors import ConfigurationError, TransientError
from entrasync.runner.report_run import explain, report
from entrasync.runner.run import run
from entrasync.state.database import FILE_NAME, Database
from entrasync.state.reports import Reports
from entrasync.state.rows import encode_attributes, encode_properties
from entrasync.state.schema import Kind
from tests.support import samples

ANN = b"\x01" * 16


def asked(*, names: bool = False, **report: Any) -> Snapshot:
    sync = samples.sync(reporting={"names": names})
    return Snapshot(
        run=samples.run("report", spec={"mode": "Report", "report": report}),
        sync=sync,
        directories={},
        tenant=None,
        cloud=None,
        config_maps={},
    )


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state that knows Ann."""
    folder = tmp_path / "state"
    database = Database(folder)
    execute = database.connection.execute
    execute("INSERT INTO sources VALUES (1, 'contoso', 0, 'contoso.test')")
    guid, anchor = database.guid_number(ANN), database.anchor_number("ann=")
    attributes = encode_attributes({"mail": (b"ann@contoso.test",)})
    execute(
        "INSERT INTO source_objects (id, source, kind, dn, attributes, seen)"
        " VALUES (?, 1, ?, 'CN=Ann,DC=contoso', ?, 1)",
        (guid, Kind.USER, attributes),
    )
    execute(
        "INSERT INTO parts (object, kind, computed, anchor) VALUES (?, ?, ?, ?)",
        (guid, Kind.USER, anchor, anchor),
    )
    execute(
        "INSERT INTO cloud_objects (anchor, type, owned, properties) VALUES (?, 'User', 1, ?)",
        (anchor, encode_properties({"mail": "ann@contoso.test"})),
    )
    database.close()
    return folder


def printed(snapshot: Snapshot, state: Path | None) -> str:
    out = io.StringIO()
    report(snapshot, state, out, {})
    return out.getvalue()


def test_an_object_is_explained_without_its_values(state: Path) -> None:
    text = printed(asked(explain={"object": "ann@contoso.test"}), state)

    assert text.startswith("Object ann=\n")
    assert "in scope" in text
    assert "mail: <16 characters>" in text
    assert "contoso.test" not in text


def test_with_names_its_values_are_shown(state: Path) -> None:
    text = printed(asked(names=True, explain={"object": "ann="}), state)

    assert "mail: ann@contoso.test" in text
    assert "CN=Ann,DC=contoso" in text


def test_the_result_says_where_the_report_is(state: Path) -> None:
    snapshot = asked(explain={"object": "ann="})

    result = report(snapshot, state, io.StringIO(), {"HOSTNAME": "report-x7d"})

    assert (result.outcome, result.reason, result.mode) == ("Succeeded", "Reported", "Report")
    assert result.message.endswith("kubectl logs --namespace identity report-x7d")


def keep(state: Path) -> None:
    """A run with a plan of one change and a result."""
    database = Database(state)
    reports = Reports(database)
    line = {
        "anchor": "ann=",
        "type": "User",
        "action": "update",
        "dn": "CN=Ann,DC=contoso",
        "attributes": {"department": {"old": "Sales", "new": "Marketing", "why": "department"}},
        "braked": "IdentityChangeThresholdExceeded",
    }
    head = {"digest": "sha256:1", "changes": 1, "plan": {"writes": 1}}
    reports.keep_plan("contoso-1", samples.NOW, "sha256:1", json.dumps(head), [json.dumps(line)])
    result = RunResult(outcome="Blocked", reason="IdentityChangeThresholdExceeded", message="m")
    reports.keep_result("contoso-1", samples.NOW, result.to_message())
    database.close()


def test_a_run_is_told_with_its_plan_and_its_result(state: Path) -> None:
    keep(state)

    text = printed(asked(run="contoso-1"), state)

    assert text.startswith("Run contoso-1\n~ User ann=\n")
    assert "braked: IdentityChangeThresholdExceeded" in text
    assert "department: <5 characters> -> <9 characters>" in text
    assert "Plan sha256:1\n" in text
    assert "Blocked: IdentityChangeThresholdExceeded" in text
    for value in ("Sales", "Marketing", "CN=Ann"):
        assert value not in text


def test_with_names_its_plan_shows_values(state: Path) -> None:
    keep(state)

    text = printed(asked(names=True, run="contoso-1"), state)

    assert "CN=Ann,DC=contoso" in text
    assert 'department: "Sales" -> "Marketing"' in text


def test_a_run_that_is_not_kept_is_told_with_those_that_are(state: Path) -> None:
    with pytest.raises(ConfigurationError, match="contoso-2 is kept; kept are none"):
        printed(asked(run="contoso-2"), state)
    keep(state)

    with pytest.raises(ConfigurationError, match="kept are contoso-1") as caught:
        printed(asked(run="contoso-2"), state)

    assert caught.value.reason == "ReportNotFound"


@pytest.mark.parametrize("made", [True, False])
def test_without_a_state_nothing_is_made(made: bool, tmp_path: Path) -> None:  # noqa: FBT001  - a table
    with pytest.raises(ConfigurationError, match="make a run first"):
        printed(asked(run="contoso-1"), tmp_path if made else None)

    assert not list(tmp_path.iterdir())


def test_it_waits_for_no_run_that_holds_the_state(state: Path) -> None:
    holder = Database(state)
    try:
        with pytest.raises(TransientError) as caught:
            printed(asked(run="contoso-1"), state)
    finally:
        holder.close()

    assert caught.value.reason == "RunActive"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = tmp_path / "config"
    folder.mkdir()
    resources = [samples.tenant(), samples.directory(), samples.sync()]
    (folder / SNAPSHOT_FILE).write_text(dump_snapshot(resources))
    return folder


def test_by_hand_it_is_text_or_json(
    config: Path, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain([config], name="ann=", state=state) == 0
    assert "mail: <16 characters>" in capsys.readouterr().out

    assert explain([config], name="ann=", state=state, names=True, output="json") == 0
    read = json.loads(capsys.readouterr().out)
    assert read["values"][0] | {"why": ""} == {
        "property": "mail",
        "value": "ann@contoso.test",
        "pending": False,
        "why": "",
    }


def test_by_hand_what_is_not_known_is_an_error(
    config: Path, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain([config], name="nobody", state=state) == 2

    told = capsys.readouterr()
    assert told.out == ""
    assert "Failed: ObjectNotFound" in told.err


def test_a_damaged_state_is_no_empty_one(state: Path) -> None:
    for file in state.iterdir():
        if file.name == FILE_NAME:
            file.write_bytes(b"no database at all" * 1000)

    with pytest.raises(ConfigurationError, match="set aside") as caught:
        printed(asked(explain={"object": "ann="}), state)

    assert caught.value.reason == "ReportNotFound"


def test_standard_output_holds_nothing_but_json_where_that_is_wanted(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    snapshot = asked(explain={"object": "ann="})
    assert snapshot.sync is not None
    assert snapshot.run is not None
    config = tmp_path / SNAPSHOT_FILE
    config.write_text(dump_snapshot([snapshot.sync, snapshot.run]))

    assert run([config], secrets=tmp_path, state=state, output="json") == 0

    told = capsys.readouterr()
    assert json.loads(told.out)["reason"] == "Reported"
    assert "Object ann=" in told.err


def test_by_hand_neither_tenant_nor_directory_need_be_there(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / SNAPSHOT_FILE
    config.write_text(dump_snapshot([samples.sync()]))

    assert explain([config], name="ann=", state=state) == 0
    assert "Object ann=" in capsys.readouterr().out
