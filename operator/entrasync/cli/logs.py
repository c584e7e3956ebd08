"""Logs: one JSON object a line on standard error."""

from __future__ import annotations

import logging
import sys
from typing import Any, Final

import structlog
from structlog.typing import EventDict

LEVELS: Final = ("debug", "info", "warning", "error")


def _name_object(_: Any, __: str, event: EventDict) -> EventDict:
    """What kopf attaches to its records, in the words of ours: which object they are about."""
    for internal in ("settings", "k8s_skip"):
        event.pop(internal, None)
    about = event.pop("k8s_ref", None)
    if isinstance(about, dict):
        event.update({key: about.get(key) for key in ("kind", "namespace", "name")})
    return event


def configure_logging(level: str) -> None:
    """Sends structlog and the standard library's loggers to standard error as JSON lines.

    Args:
        level: one of `LEVELS`; names, DNs and UPNs appear only at debug.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            *shared,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                *shared,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(),
                _name_object,
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    # Libraries tell more than they should below warning (URLs, names): only on request.
    logging.basicConfig(
        level=number if number <= logging.DEBUG else max(number, logging.WARNING),
        handlers=[handler],
        force=True,
    )
