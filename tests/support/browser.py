"""A real browser without a window: what it makes of a page, and a picture of it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin

from typing_extensions import override

from dev.cluster.packages import BROWSER, missing

_SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--ignore-certificate-errors",
)
_SECONDS = 240


@dataclass
class Page:
    """A page as the browser has it after loading."""

    url: str
    dom: str
    title: str = ""
    text: str = ""
    links: list[tuple[str, str]] = field(default_factory=list)
    """Texts and whole addresses."""
    elements: list[str] = field(default_factory=list)
    """Names of all elements, in order."""

    def link(self, text: str) -> str:
        """Where the first link with a text leads."""
        found = [address for shown, address in self.links if shown == text]
        assert found, f"no link {text!r} among {[shown for shown, _ in self.links]}"
        return found[0]


class Browser:
    """Chromium with a profile of its own.

    Args:
        profile: an empty folder.
        width: of the window in pixels.
        dark: whether it prefers dark pages.
        switches: further arguments of Chromium.
    """

    def __init__(
        self,
        profile: Path,
        *,
        width: int = 1200,
        dark: bool = False,
        switches: Sequence[str] = (),
    ) -> None:
        lacking = missing(BROWSER)
        assert not lacking, f"Install what the tests need: apt-get install {' '.join(lacking)}"
        self._switches = [
            *_SWITCHES,
            f"--user-data-dir={profile}",
            f"--window-size={width},900",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            *switches,
        ]

    def open(self, url: str) -> Page:
        """Loads a page."""
        reader = _Reader()
        dom = self._run("--dump-dom", url)
        reader.feed(dom)
        return Page(
            url=url,
            dom=dom,
            title=reader.title,
            text=" ".join(" ".join(reader.texts).split()),
            links=[(text, urljoin(url, href)) for text, href in reader.links],
            elements=reader.elements,
        )

    def picture(self, url: str, file: Path) -> Path:
        """A picture of a page (PNG)."""
        self._run(f"--screenshot={file}", url)
        return file

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            ["chromium", *self._switches, *arguments],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.title = ""
        self.texts: list[str] = []
        self.links: list[tuple[str, str]] = []
        self.elements: list[str] = []
        self._inside: list[str] = []
        self._href: str | None = None

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self._inside.append(tag)
        if tag == "a":
            self._href = dict(attrs).get("href") or ""

    @override
    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._href = None
        while self._inside and self._inside.pop() != tag:
            pass

    @override
    def handle_data(self, data: str) -> None:
        if "title" in self._inside:
            self.title += data
        elif "style" not in self._inside:
            self.texts.append(data)
        if self._href is not None:
            self.links.append((data.strip(), self._href))
