"""The documentation as a site, in a real browser, opened from a folder of files."""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import Browser, Page
from tests.support.documentation import SITE_PAGES, build_site, tables

pytestmark = pytest.mark.integration
WIDE, NARROW = 1400, 500
OUTSIDE = "https://cdn.example.test/x.css"
PROBE = """
<meta http-equiv="Content-Security-Policy"
  content="default-src file: data: blob: 'unsafe-inline' 'unsafe-eval'">
<script>
const refused = [];
document.addEventListener("securitypolicyviolation", (event) => refused.push(event.blockedURI));
addEventListener("load", () => {
  const root = document.documentElement;
  const shown = [...document.querySelectorAll(".md-content table")];
  const told = {
    page: location.pathname.split("/").pop(),
    heading: document.querySelector("h1")?.firstChild.textContent,
    overflow: root.scrollWidth - root.clientWidth,
    tables: shown.filter((table) => table.offsetHeight > 40 && table.offsetWidth > 100).length,
    background: getComputedStyle(document.body).backgroundColor,
    refused,
  };
  parent.postMessage(told, "*");
});
</script>
"""
"""Refuses all that is not a file, and tells of it and of the page's look."""
FRAMES = """<!doctype html><title>probe</title><pre id="told"></pre>
<script>
const told = [];
addEventListener("message", (event) => {
  told.push(event.data);
  document.getElementById("told").textContent = JSON.stringify(told);
});
</script>
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    return Browser(tmp_path_factory.mktemp("profile"), width=WIDE)


@pytest.fixture(scope="module")
def start(site: Path, browser: Browser) -> Page:
    return browser.open((site / "index.html").as_uri())


@pytest.fixture(scope="module")
def probed(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same pages with a probe in each."""
    folder = tmp_path_factory.mktemp("probed") / "site"
    shutil.copytree(site, folder)
    for page in SITE_PAGES:
        file = (folder / page.name).with_suffix(".html")
        file.write_text(file.read_text().replace("<head>", f"<head>{PROBE}", 1))
    return folder


def look_at(folder: Path, profile: Path, *, width: int, dark: bool = False) -> list[dict[str, Any]]:
    """What the probes tell of all pages, each in a frame of a width."""
    names = sorted(path.name for path in folder.glob("*.html") if PROBE in path.read_text())
    frames = [f'<iframe src="{each}" width="{width}" height="900"></iframe>' for each in names]
    page = folder / "frames.htm"
    page.write_text(FRAMES + "".join(frames))
    switches = ["--virtual-time-budget=60000"]
    browser = Browser(profile, width=WIDE, dark=dark, switches=switches)
    written = re.search(r'<pre id="told">(.*?)</pre>', browser.open(page.as_uri()).dom, re.DOTALL)
    assert written is not None
    told: list[dict[str, Any]] = json.loads(html.unescape(written[1]))
    assert sorted(each["page"] for each in told) == names
    return told


def test_the_start_page_leads_to_every_page(site: Path, start: Page) -> None:
    assert start.title == "Documentation - entrasync"
    pages = {(site / page.name).with_suffix(".html").as_uri() for page in SITE_PAGES}
    assert pages <= {address.partition("#")[0] for _, address in start.links}


def test_a_reader_goes_from_page_to_page(browser: Browser, start: Page) -> None:
    safety = browser.open(start.link("safety"))
    assert safety.title == "What protects the tenant - entrasync"
    assert "DeletionThresholdExceeded" in safety.text
    assert safety.link("Brakes").endswith("safety.html#brakes")
    assert 'id="brakes"' in safety.dom

    scope = browser.open(safety.link("scope"))
    assert scope.title == "Who takes part - entrasync"


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_pages_are_whole_and_ask_nobody(probed: Path, tmp_path: Path, width: int) -> None:
    """No page is wider than its window (tables scroll by themselves), and none needs a network."""
    told = {each["page"]: each for each in look_at(probed, tmp_path / "profile", width=width)}

    for page in SITE_PAGES:
        seen = told[page.with_suffix(".html").name]
        title = re.findall(r"^# (.*)$", page.read_text(), re.MULTILINE)[0]
        assert seen["heading"] == title
        assert (page.name, seen["overflow"]) == (page.name, 0)
        assert (page.name, seen["tables"]) == (page.name, len(list(tables(page))))
        assert (page.name, seen["refused"]) == (page.name, [])


def test_a_page_that_asks_somebody_would_be_found(probed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    shutil.copytree(probed, folder, ignore=shutil.ignore_patterns("*.html"))
    text = (probed / "index.html").read_text()
    asks = f'<link rel="stylesheet" href="{OUTSIDE}"></head>'
    (folder / "index.html").write_text(text.replace("</head>", asks, 1))

    (told,) = look_at(folder, tmp_path / "profile", width=WIDE)

    assert told["refused"] == [OUTSIDE]


def test_dark_pages_are_dark(site: Path, tmp_path: Path) -> None:
    schemes = {}
    for dark in (False, True):
        browser = Browser(tmp_path / f"profile-{dark}", width=NARROW, dark=dark)
        page = browser.open((site / "reasons.html").as_uri())
        schemes[dark] = re.findall(r'<body[^>]* data-md-color-scheme="(\w+)"', page.dom)
        picture = browser.picture(page.url, tmp_path / f"{dark}.png")
        # a page of one colour would be a page nobody can read
        assert picture.stat().st_size > 10_000
    assert schemes == {False: ["default"], True: ["slate"]}
