"""Panels as a dashboard that Grafana takes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

_WIDTH: Final = 24
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One picture.

    Attributes:
        title: above it.
        asks: expression -> how its series are called.
        kind: Grafana's type of panel.
        unit: Grafana's name of the unit.
        help: what it tells, behind the small i.
        width: of 24 columns.
        height: in rows.
        instant: whether only the last value is asked for.
        options: of its kind.
    """

    title: str
    asks: dict[str, str]
    kind: str = "timeseries"
    unit: str = "short"
    help: str = ""
    width: int = 8
    height: int = 8
    instant: bool = False
    options: dict[str, Any] = field(default_factory=dict)


def render_dashboard(rows: Mapping[str, Sequence[Panel]]) -> str:
    """A dashboard as JSON.

    Args:
        rows: panels by the title of their row.
    """
    panels: list[dict[str, Any]] = []
    y = 0
    for row, members in rows.items():
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": row,
                "collapsed": False,
                "panels": [],
                "gridPos": {"h": 1, "w": _WIDTH, "x": 0, "y": y},
            }
        )
        x, y, height = 0, y + 1, 0
        for member in members:
            if x + member.width > _WIDTH:
                x, y, height = 0, y + height, 0
            place = {"h": member.height, "w": member.width, "x": x, "y": y}
            panels.append(_panel(member, len(panels) + 1, place))
            x, height = x + member.width, max(height, member.height)
        y += height
    dashboard = {
        "uid": "entrasync",
        "title": "entrasync",
        "description": "Syncs of Active Directory into Entra ID, and the operator that runs them.",
        "tags": ["entrasync"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "templating": {"list": _variables()},
        "panels": panels,
    }
    return json.dumps(dashboard, indent=2) + "\n"


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.help,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": _SOURCE,
                "expr": expression,
                "legendFormat": legend,
                "instant": panel.instant,
                "range": not panel.instant,
            }
            for index, (expression, legend) in enumerate(panel.asks.items())
        ],
    }
    if panel.kind == "stat":
        found["options"] = {
            "colorMode": "value",
            "graphMode": "none",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        }
    return found


def _defaults(panel: Panel) -> dict[str, Any]:
    found: dict[str, Any] = {"unit": panel.unit, "min": 0}
    if "alarm" in panel.options:
        found["thresholds"] = {
            "mode": "absolute",
            "steps": [
                {"color": "green", "value": None},
                {"color": "red", "value": panel.options["alarm"]},
            ],
        }
    if panel.options.get("bars"):
        found["custom"] = {"drawStyle": "bars", "fillOpacity": 60, "stacking": {"mode": "normal"}}
    return found


def _variables() -> list[dict[str, Any]]:
    queries = {
        "namespace": ("Namespace", "label_values(entrasync_sync_info, namespace)"),
        "sync": ("Sync", 'label_values(entrasync_sync_info{namespace=~"$namespace"}, name)'),
    }
    return [
        {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
        *(
            {
                "name": name,
                "label": label,
                "type": "query",
                "datasource": _SOURCE,
                "query": {"query": query, "refId": name},
                "definition": query,
                "refresh": 2,
                "sort": 1,
                "multi": True,
                "includeAll": True,
                "allValue": ".*",
            }
            for name, (label, query) in queries.items()
        ),
    ]
