"""AzureClouds of a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from entrasync.api.snapshot import dump_snapshot
from entrasync.controller.brought_clouds import read_clouds
from entrasync.errors import ConfigurationError
from tests.support import samples


def test_without_a_folder_there_are_none() -> None:
    assert read_clouds(None) == ()


def test_all_files_are_read(tmp_path: Path) -> None:
    cloud = samples.cloud()
    (tmp_path / "a.yaml").write_text(dump_snapshot([cloud]))
    (tmp_path / "notes.txt").write_text("nothing")
    assert [each.spec for each in read_clouds(tmp_path)] == [cloud.spec]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: [", "cannot be read as YAML"),
        ("- a", "no resource"),
        (dump_snapshot([samples.tenant()]), "no AzureCloud"),
        (yaml.safe_dump({"apiVersion": "v1", "kind": "Secret"}), "known kind"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match=complaint):
        read_clouds(tmp_path)


def test_a_folder_without_clouds_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="ENTRASYNC_CLOUDS"):
        read_clouds(tmp_path)
