"""Golden files: compared by default, written anew with UPDATE_GOLDEN=1."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

GOLDEN = Path(__file__).parents[1] / "golden"


def check_golden(name: str, value: Any) -> None:
    """Compares a value with `tests/golden/<name>.yaml`."""
    path = GOLDEN / f"{name}.yaml"
    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert path.is_file(), f"{path} is missing: run with UPDATE_GOLDEN=1 and read the result"
    assert yaml.safe_load(path.read_text()) == value, f"{path}: UPDATE_GOLDEN=1 shows the change"
