"""Logs: one JSON object a line, whoever writes them."""

from __future__ import annotations

import json
import logging
from typing import Any

import kopf
import pytest
import structlog

from entrasync.cli.logs import configure_logging


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_our_lines_and_those_of_libraries_have_one_form(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("info")

    structlog.get_logger().info("leading", lease="entrasync-leader")
    logging.getLogger("kopf").warning("something about %s", "watching")

    ours, theirs = lines(capsys)
    assert (ours["event"], ours["level"]) == ("leading", "info")
    assert (theirs["event"], theirs["level"]) == ("something about watching", "warning")
    assert theirs["logger"] == "kopf"
    assert {"event", "level", "timestamp"} <= ours.keys() & theirs.keys()


def test_lines_of_kopf_name_their_object_and_nothing_of_its_inside(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("info")
    about = {"apiVersion": "v1", "kind": "Pod", "name": "a", "namespace": "b", "uid": "c"}
    extra = {"k8s_ref": about, "k8s_skip": True, "settings": kopf.OperatorSettings()}

    logging.getLogger("kopf.objects").error("Handler failed.", extra=extra)

    (line,) = lines(capsys)
    assert (line["kind"], line["namespace"], line["name"]) == ("Pod", "b", "a")
    assert not {"k8s_ref", "k8s_skip", "settings"} & line.keys()


def test_a_traceback_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info")
    try:
        int("no number")
    except ValueError:
        logging.getLogger("kopf").exception("Request failed.")

    (line,) = lines(capsys)
    assert "ValueError" in line["exception"]


def test_libraries_tell_little_unless_asked(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info")
    logging.getLogger("kopf").info("Handler 'seen' succeeded.")
    assert lines(capsys) == []

    configure_logging("debug")
    logging.getLogger("kopf").info("Handler 'seen' succeeded.")
    assert len(lines(capsys)) == 1
