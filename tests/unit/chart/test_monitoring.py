"""Alerts and dashboard ask for metrics there are, and the chart brings them where it is told to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import promql_parser
import pytest
import yaml

from dev.dashboard import ROWS
from dev.grafana import render_dashboard
from dev.metrics_reference import with_metrics
from entrasync.controller.environment import METRICS_PORT
from entrasync.controller.metric_families import OF_PROCESS, OF_RESOURCES, MetricType
from tests.support.chart import CHART, render

ALERTS = CHART / "files" / "alerts.yaml"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
]
DASHBOARD: dict[str, Any] = json.loads((CHART / "files" / "dashboard.json").read_text())
OF_TARGET = frozenset({"namespace", "job", "instance", "pod"})
"""Labels that the one who scrapes adds."""
PROCESS = frozenset({"process_resident_memory_bytes"})


def _known() -> dict[str, frozenset[str]]:
    """Names of samples and the labels they have."""
    found = dict.fromkeys(PROCESS, OF_TARGET)
    for family in (*OF_RESOURCES, *OF_PROCESS):
        labels = OF_TARGET | set(family.labels)
        if family.type is MetricType.HISTOGRAM:
            found[f"{family.name}_bucket"] = labels | {"le"}
            found[f"{family.name}_count"] = found[f"{family.name}_sum"] = labels
        else:
            found[family.name] = labels
    return found


KNOWN = _known()


class Asked:
    """What an expression asks for.

    Args:
        expression: in PromQL.
    """

    def __init__(self, expression: str) -> None:
        self.metrics: dict[str, set[str]] = {}
        self.values: list[tuple[str, str]] = []
        self.grouped: set[str] = set()
        promql_parser.walk(promql_parser.parse(expression), self.see)

    def see(self, part: Any) -> bool:
        if isinstance(part, promql_parser.VectorSelector):
            assert part.name is not None
            labels = self.metrics.setdefault(part.name, set())
            for matcher in part.matchers.matchers:
                if matcher.name != "__name__":
                    labels.add(matcher.name)
                    self.values.append((matcher.name, matcher.value))
        modifier = getattr(part, "modifier", None)
        for named in (getattr(modifier, "labels", None), getattr(modifier, "matching", None)):
            self.grouped |= set(getattr(named, "labels", named) or ())
        return True


def expressions() -> Iterator[tuple[str, str]]:
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"].replace("$__rate_interval", "5m")


def test_expressions_are_read_to_their_ends() -> None:
    asked = Asked(
        'sum by (a) (x{b="1"}) > 2 and on (c) max_over_time(y{d=~"e|f"}[5m]) unless ignoring (g) z'
    )
    assert asked.metrics == {"x": {"b"}, "y": {"d"}, "z": set()}
    assert asked.values == [("b", "1"), ("d", "e|f")]
    assert asked.grouped == {"a", "c", "g"}


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_it_asks_for_what_there_is(where: str, expression: str) -> None:
    asked = Asked(expression)
    assert asked.metrics, where
    for metric, labels in asked.metrics.items():
        assert metric in KNOWN, f"{where}: {metric} is no metric"
        assert labels <= KNOWN[metric], f"{where}: {metric} has no {labels - KNOWN[metric]}"
    all_labels = frozenset().union(*(KNOWN[metric] for metric in asked.metrics))
    assert asked.grouped <= all_labels, f"{where}: {asked.grouped - all_labels}"


def test_every_metric_of_a_sync_is_looked_at_somewhere() -> None:
    text = ALERTS.read_text() + render_dashboard(ROWS)
    unseen = {each.name for each in OF_RESOURCES if each.name not in text}
    # these answer questions of another kind
    assert unseen == {
        "entrasync_checks_total",
        "entrasync_sync_next_schedule_timestamp_seconds",
        "entrasync_sync_requests_total",
        "entrasync_sync_suspended",
        "entrasync_throttled_total",
    }


def test_every_alert_says_what_to_do() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule["alert"].startswith("Entrasync")
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["annotations"]["description"].endswith(".")
        words = rule["annotations"]["description"].replace("`", " ").split()
        named = {word.strip(".,;:") for word in words if word.startswith("entrasync_")}
        assert named <= {each.name for each in (*OF_RESOURCES, *OF_PROCESS)}


def test_a_label_in_a_sentence_is_there() -> None:
    for rule in RULES:
        for label in rule["annotations"]["summary"].split("$labels.")[1:]:
            name = label.split()[0]
            assert f"{name}" in Asked(rule["expr"]).grouped | {"instance"}, rule["alert"]


def test_the_page_names_every_metric_and_every_alert() -> None:
    page = (Path(CHART).parents[1] / "docs" / "metrics.md").read_text()
    for each in (*OF_RESOURCES, *OF_PROCESS):
        assert f"`{each.name}`" in page
    for rule in RULES:
        assert f"`{rule['alert']}`" in page


def test_a_page_without_its_marks_is_not_filled_in() -> None:
    with pytest.raises(ValueError, match="marks"):
        with_metrics("# Metrics\n", ALERTS.read_text())


# --- the chart -----------------------------------------------------------------------------


def by_kind(objects: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for each in objects:
        found.setdefault(each["kind"], []).append(each)
    return found


def environment(objects: list[dict[str, Any]]) -> dict[str, Any]:
    (deployment,) = by_kind(objects)["Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {each["name"]: each.get("value") for each in container["env"]} | {
        "ports": {each["name"]: each["containerPort"] for each in container["ports"]}
    }


def test_metrics_are_served_by_default_and_nothing_else_is_made() -> None:
    objects = render("--set=crds.install=false")
    kinds = by_kind(objects)
    (service,) = kinds["Service"]
    assert service["spec"]["ports"] == [{"name": "metrics", "port": 8081, "targetPort": "metrics"}]
    assert environment(objects)[METRICS_PORT] == "8081"
    assert environment(objects)["ports"]["metrics"] == 8081
    assert not kinds.keys() & {"ServiceMonitor", "PrometheusRule", "ConfigMap"}


def test_the_service_finds_the_operator() -> None:
    kinds = by_kind(render("--set=crds.install=false"))
    (service,), (deployment,) = kinds["Service"], kinds["Deployment"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()


def test_metrics_can_be_left_out() -> None:
    objects = render("--set=crds.install=false,metrics.enabled=false")
    assert "Service" not in by_kind(objects)
    assert environment(objects)[METRICS_PORT] == "0"
    assert "metrics" not in environment(objects)["ports"]


def test_another_port() -> None:
    objects = render("--set=crds.install=false,metrics.port=9100")
    assert environment(objects)[METRICS_PORT] == "9100"
    assert environment(objects)["ports"]["metrics"] == 9100


def test_all_of_it() -> None:
    wanted = ",".join(
        f"metrics.{each}.enabled=true" for each in ("serviceMonitor", "prometheusRule", "dashboard")
    )
    objects = render(
        f"--set=crds.install=false,{wanted}",
        "--set=metrics.serviceMonitor.labels.release=prometheus",
        "--set=metrics.dashboard.annotations.folder=Identity",
    )
    kinds = by_kind(objects)
    (service,), (monitor,) = kinds["Service"], kinds["ServiceMonitor"]
    labels = service["metadata"]["labels"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint == {"port": "metrics", "interval": "30s", "honorLabels": True}
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    (rule,) = kinds["PrometheusRule"]
    assert rule["spec"] == yaml.safe_load(ALERTS.read_text())
    (board,) = kinds["ConfigMap"]
    assert json.loads(board["data"]["entrasync.json"]) == DASHBOARD
    assert board["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert board["metadata"]["annotations"] == {"folder": "Identity"}
    for each in (service, board):
        kubernetes_validate.validate(each, "1.31", strict=True)


def test_a_monitor_without_metrics_is_not_made() -> None:
    kinds = by_kind(
        render("--set=crds.install=false,metrics.enabled=false,metrics.serviceMonitor.enabled=true")
    )
    assert "ServiceMonitor" not in kinds
