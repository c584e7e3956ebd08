from __future__ import annotations

from structlog.testing import capture_logs

from entrasync.runner.progress import ProgressLog


def lines(steps: list[tuple[float, str, int, int | None]]) -> list[tuple[str, int]]:
    now = 0.0
    log = ProgressLog(monotonic=lambda: now)
    with capture_logs() as captured:
        for now, stage, done, total in steps:  # noqa: B007  - the clock reads it
            log(stage, done, total)
    return [(line["stage"], line["done"]) for line in captured if line["event"] == "progress"]


def test_says_each_stage_once_when_it_is_short() -> None:
    assert lines([(0, "Import", 0, None), (0.1, "Export", 0, 5)]) == [("Import", 0), ("Export", 0)]


def test_says_at_most_one_line_a_second_within_a_stage() -> None:
    steps: list[tuple[float, str, int, int | None]] = [
        (n / 10, "Export", n, 1000) for n in range(25)
    ]

    assert lines(steps) == [("Export", 0), ("Export", 10), ("Export", 20)]


def test_always_says_the_end() -> None:
    assert lines([(0, "Export", 0, 2), (0.1, "Export", 1, 2), (0.2, "Export", 2, 2)]) == [
        ("Export", 0),
        ("Export", 2),
    ]


def test_says_every_half_minute_how_long_it_waits() -> None:
    now = 0.0
    log = ProgressLog(monotonic=lambda: now)
    with capture_logs() as captured:
        log("Export", 100, 5_000)
        for second in range(70):
            now = float(second)
            log.waiting(299.5 - second)
        now = 70.0
        log("Export", 200, 5_000)
        log.waiting(3.0)

    assert [(line["done"], line.get("paced_seconds")) for line in captured] == [
        (100, None),
        (100, 300),
        (100, 270),
        (100, 240),
        (200, None),
        (200, 3),
    ]
    assert {(line["event"], line["stage"], line["total"]) for line in captured} == {
        ("progress", "Export", 5_000)
    }
