"""The tables of docs/metrics.md: all metrics from their list, all alerts from the rules."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from entrasync.controller.metric_families import OF_PROCESS, OF_RESOURCES, Family

ALERTS: Final = Path(__file__).parents[1] / "helm" / "entrasync" / "files" / "alerts.yaml"
_LABEL: Final = re.compile(r"\{\{ *\$labels\.(\w+) *\}\}")
_VALUE: Final = re.compile(r"\{\{ *\$value[^}]*\}\}")


def with_metrics(page: str, alerts: str) -> str:
    """A page with today's tables between its marks.

    Args:
        page: as it is.
        alerts: the rule file.

    Raises:
        ValueError: it lacks a mark.
    """
    rules = [rule for group in yaml.safe_load(alerts)["groups"] for rule in group["rules"]]
    for name, table in (
        ("resources", _metrics(OF_RESOURCES)),
        ("operator", _metrics(OF_PROCESS)),
        ("alerts", _alerts(rules)),
    ):
        page = _between(page, name, table)
    return page


def _between(page: str, name: str, table: str) -> str:
    first, last = f"<!-- begin generated: {name} -->\n", f"<!-- end generated: {name} -->\n"
    before, begin, rest = page.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise ValueError(f"the page lacks the marks of the generated table {name}")
    return f"{before}{begin}\n{table}\n{end}{after}"


def _metrics(families: Sequence[Family]) -> str:
    rows = [
        f"| `{each.name}` | {each.type} | {', '.join(f'`{name}`' for name in each.labels)} |"
        f" {_cell(each.help)}{_buckets(each)} |"
        for each in families
    ]
    return "\n".join(("| metric | type | labels | meaning |", "|---|---|---|---|", *rows)) + "\n"


def _buckets(family: Family) -> str:
    if not family.buckets:
        return ""
    return f" Buckets up to {', '.join(f'{bound:g}' for bound in family.buckets)} s."


def _alerts(rules: Sequence[dict[str, Any]]) -> str:
    rows = [
        f"| `{rule['alert']}` | {rule['labels']['severity']} | {rule.get('for', 'at once')} |"
        f" {_said(rule['annotations']['summary'])} | {_cell(rule['annotations']['description'])} |"
        for rule in rules
    ]
    head = "| alert | severity | after | says | what it means and what to do |"
    return "\n".join((head, "|---|---|---|---|---|", *rows)) + "\n"


def _said(summary: str) -> str:
    """A summary with the names of its labels in capitals, and N for its value."""
    named = _LABEL.sub(lambda found: found[1].upper(), summary)
    return _cell(_VALUE.sub("N", named))


def _cell(text: str) -> str:
    """Text within a table: on one line, and without what ends a cell."""
    return " ".join(text.split()).replace("|", "\\|")
