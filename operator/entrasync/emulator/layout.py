"""The frame of the pages for people, and the few elements they are made of."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from string import Template
from typing import Any, Final
from urllib.parse import urlencode

ROWS: Final = 50
"""Rows of a table before the next page."""
_SHOWN_VALUES: Final = 100
_LONGEST_VALUE: Final = 2000
_SHOWN_OCTETS: Final = 96

_PAGE: Final = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light dark; --back: #fff; --text: #1b1f24; --faint: #57606a;
  --line: #d0d7de; --head: #f3f5f8; --link: #0b57d0; }
@media (prefers-color-scheme: dark) {
  :root { --back: #15181d; --text: #e6e8eb; --faint: #9aa4af; --line: #343b44;
    --head: #1e232a; --link: #8ab4f8; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 78rem; padding: 1rem 1.25rem 3rem; background: var(--back);
  color: var(--text); font: 1rem/1.5 system-ui, sans-serif; }
a { color: var(--link); }
a:focus-visible, .scroll:focus-visible, button:focus-visible, input:focus-visible,
select:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
h1 { font-size: 1.6rem; margin: .5rem 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
.trail { color: var(--faint); font-size: .9rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid var(--line); padding: .4rem .7rem; text-align: left;
  vertical-align: top; overflow-wrap: break-word; }
td:last-child { overflow-wrap: anywhere; }
th { background: var(--head); white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.25rem; margin: 0; }
dt { color: var(--faint); }
dd { margin: 0; overflow-wrap: anywhere; }
td ul { margin: 0; padding-left: 1.1rem; }
code { font: .9em ui-monospace, monospace; }
form { display: flex; flex-wrap: wrap; gap: .75rem; align-items: end; margin: 0 0 1rem; }
input, select, button { font: inherit; padding: .3rem .6rem; border: 1px solid var(--line);
  border-radius: .3rem; background: var(--head); color: inherit; }
nav[aria-label=Pages] { display: flex; gap: 1rem; margin-top: 1rem; }
</style>
</head>
<body>
$trail<main>
<h1>$title</h1>
$body
</main>
</body>
</html>
""")


def page(title: str, body: str, trail: Sequence[tuple[str, str]] = ()) -> str:
    """A whole page.

    Args:
        title: text of its heading.
        body: its content, in HTML.
        trail: pages above it, outermost first: text and address.
    """
    links = " / ".join(f"<a href='{escape(at)}'>{escape(text)}</a>" for text, at in trail)
    nav = f"<nav class='trail' aria-label='Where this is'>{links}</nav>\n" if links else ""
    return _PAGE.substitute(title=escape(title), body=body, trail=nav)


def table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Iterable[int] = ()
) -> str:
    """A table.

    Args:
        heads: texts of the columns.
        rows: cells, in HTML.
        numbers: columns that hold numbers.
    """
    right = set(numbers)
    css = [" class='number'" if index in right else "" for index in range(len(heads))]
    head = "".join(
        f"<th scope='col'{style}>{escape(text)}</th>"
        for text, style in zip(heads, css, strict=True)
    )
    body = "\n".join(
        "<tr>"
        + "".join(f"<td{style}>{cell}</td>" for cell, style in zip(row, css, strict=True))
        + "</tr>"
        for row in rows
    )
    return (
        "<div class='scroll' role='region' aria-label='Table' tabindex='0'>"
        f"<table><thead><tr>{head}</tr></thead>\n"
        f"<tbody>{body}</tbody></table></div>"
    )


def describe_list(facts: Iterable[tuple[str, str]]) -> str:
    """Names, as text, and what they are, in HTML."""
    items = "".join(f"<dt>{escape(name)}</dt><dd>{value}</dd>" for name, value in facts)
    return f"<dl>{items}</dl>"


def value_of(value: Any) -> str:
    """A value for people: several one below the other, octets as base64, none without end."""
    if isinstance(value, tuple):
        rest = len(value) - _SHOWN_VALUES
        more = [f"and {rest:,} more"] if rest > 0 else []
        shown = [value_of(item) for item in value[:_SHOWN_VALUES]] + more
        return "<ul>" + "".join(f"<li>{item}</li>" for item in shown) + "</ul>"
    if isinstance(value, bytes):
        text = base64.b64encode(value[:_SHOWN_OCTETS]).decode()
        return text if len(value) <= _SHOWN_OCTETS else f"{text}... ({len(value):,} octets)"
    text = str(value)
    return escape(text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}...")


def table_or_none(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Iterable[int] = ()
) -> str:
    """A table, or the word that there is nothing."""
    return table(heads, rows, numbers=numbers) if rows else "<p>None.</p>"


def steps(address: str, query: Mapping[str, str], begin: int, *, more: bool) -> str:
    """Links to the pages before and after."""
    found = []
    if begin > 0:
        before = urlencode({**query, "from": str(max(0, begin - ROWS))})
        found.append(f"<a rel='prev' href='{escape(f'{address}?{before}')}'>Previous</a>")
    if more:
        after = urlencode({**query, "from": str(begin + ROWS)})
        found.append(f"<a rel='next' href='{escape(f'{address}?{after}')}'>Next</a>")
    return f"<nav aria-label='Pages'>{' '.join(found)}</nav>" if found else ""


def link(text: str, address: str) -> str:
    """A link with a text."""
    return f"<a href='{escape(address)}'>{escape(text)}</a>"
