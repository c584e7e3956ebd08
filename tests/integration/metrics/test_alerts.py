"""Prometheus' own tool takes the alerts, and they fire when they should and only then."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.integration

RULES = Path(__file__).parents[3] / "helm" / "entrasync" / "files" / "alerts.yaml"
CASES: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("alerts.yaml").read_text())
LEADS = {
    'entrasync_build_info{instance="a", job="entrasync", namespace="ops"}': "1x2000",
    'entrasync_leader{instance="a", job="entrasync", namespace="ops"}': "1x2000",
}
FIRING = 'sum without (alertstate) (ALERTS{alertstate="firing"})'


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)


def test_the_rules_are_valid() -> None:
    done = promtool("check", "rules", RULES)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_alerts_fire_when_they_should(case: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump(_as_test(case)))
    done = promtool("test", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_fires_in_some_case() -> None:
    rules = [
        rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
    ]
    fired = {
        each["alertname"] for case in CASES for found in case["fires"].values() for each in found
    }
    assert fired == {rule["alert"] for rule in rules}


def _as_test(case: dict[str, Any]) -> dict[str, Any]:
    """A case as promtool wants it."""
    series = (LEADS if case.get("operator", True) else {}) | case["series"]
    return {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": key, "values": str(each)} for key, each in series.items()
                ],
                "promql_expr_test": [
                    {
                        "expr": FIRING,
                        "eval_time": time,
                        "exp_samples": [{"labels": _labels(each), "value": 1} for each in alerts],
                    }
                    for time, alerts in case["fires"].items()
                ],
                "alert_rule_test": [
                    _saying(case, time, told) for time, told in case.get("says", {}).items()
                ],
            }
        ],
    }


def _labels(alert: dict[str, str]) -> str:
    return "{" + ", ".join(f'{key}="{value}"' for key, value in alert.items()) + "}"


def _saying(case: dict[str, Any], time: str, told: dict[str, str]) -> dict[str, Any]:
    """That the one alert of a name that fires says this."""
    name = told["alertname"]
    (alert,) = [each for each in case["fires"][time] if each["alertname"] == name]
    rules = [
        rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
    ]
    (description,) = [rule["annotations"]["description"] for rule in rules if rule["alert"] == name]
    return {
        "eval_time": time,
        "alertname": name,
        "exp_alerts": [
            {
                "exp_labels": {key: value for key, value in alert.items() if key != "alertname"},
                "exp_annotations": {"summary": told["summary"], "description": description},
            }
        ],
    }
