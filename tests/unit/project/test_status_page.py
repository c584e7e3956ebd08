"""The page on statuses names every condition there is."""

from __future__ import annotations

import re
from pathlib import Path

from entrasync.controller.part_status import CLOUD_CONDITIONS, PART_CONDITIONS
from entrasync.controller.run_status import RUN_CONDITIONS
from entrasync.controller.sync_conditions import SYNC_CONDITIONS

PAGE = Path(__file__).parents[3] / "docs" / "status.md"


def test_every_condition_is_explained() -> None:
    rows = [line.split(" | ")[0] for line in PAGE.read_text().splitlines() if line.startswith("|")]
    explained = {name for row in rows for name in re.findall(r"`([A-Z]\w+)`", row)}
    wanted = {*CLOUD_CONDITIONS, *PART_CONDITIONS, *RUN_CONDITIONS, *SYNC_CONDITIONS}
    assert wanted - explained == set()
