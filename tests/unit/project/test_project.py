"""The project's own files: pinned requirements, folder rules, layers."""

from __future__ import annotations

import operator
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def test_operator_is_a_folder_and_no_package() -> None:
    """A package named operator would shadow the standard library's."""
    assert not (ROOT / "operator" / "__init__.py").exists()
    assert operator.eq(1, 1)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_requirement_is_pinned_and_hashed_without_an_address(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    entries = re.split(r"\n(?=[a-z])", text.replace("\\\n", " "))
    requirements = [e for e in entries if re.match(r"[a-z]", e)]
    assert requirements
    for entry in requirements:
        assert re.match(r"[a-z0-9._-]+(\[[a-z0-9,]+\])?==", entry), entry[:60]
        assert "--hash=sha256:" in entry, entry[:60]


def test_there_is_no_other_lock_file() -> None:
    assert not list(ROOT.glob("uv.lock"))
