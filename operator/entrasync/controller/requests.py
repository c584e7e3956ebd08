"""What somebody asks for by annotation."""

from __future__ import annotations

from typing import Final

from entrasync.api.bounds import shorten
from entrasync.api.common import Resource
from entrasync.api.sync_run import REQUEST_ANNOTATION

LONGEST_REQUEST: Final = 256
"""The bound of its echo in the status: a longer one would never be seen as answered."""


def requested(resource: Resource) -> str | None:
    """The annotation that asks for a run or a check now, as its echo has room for it.

    `None` when there is none.
    """
    told = resource.metadata.annotations.get(REQUEST_ANNOTATION, "")
    return shorten(told, LONGEST_REQUEST) or None
