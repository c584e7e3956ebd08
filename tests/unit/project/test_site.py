"""The documentation as a site: it builds without a warning, and fetches nothing from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.documentation import ROOT, build_site

FETCHED = re.compile(
    r"<(?:script|img|iframe)[^>]* src=\"(https?:[^\"]+)\"|<link[^>]*stylesheet[^>]*>"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_site(tmp_path_factory.mktemp("site"))


def test_every_page_is_built(site: Path) -> None:
    pages = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    built = {path.relative_to(site) for path in site.rglob("*.html")} - {Path("404.html")}
    assert built == {page.with_suffix(".html") for page in pages}


def test_pages_fetch_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        for found in FETCHED.finditer(page.read_text()):
            assert "http" not in found.group(0).partition("canonical")[0], page.name
