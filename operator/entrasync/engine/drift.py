"""Drift: what status says of what somebody else changed; the plan leaves out what it is told to."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Final

from entrasync.api.directory_sync import DriftCounts
from entrasync.api.sync_run import ObjectError
from entrasync.state.drift import MEMBER_PREFIX
from entrasync.state.store import Store

NOT_ACCEPTED: Final = "NotAccepted"
_SHOWN: Final = 5
"""Properties that are named."""


def drift_counts(store: Store) -> DriftCounts:
    """What status says of drift."""
    counts = store.cloud.drift_counts()
    return DriftCounts(
        objects=counts["objects"], links=counts["links"], not_accepted=counts["not_accepted"]
    )


def not_accepted(store: Store) -> Iterator[ObjectError]:
    """Objects with values that were written again twice and did not stay."""
    for anchor, rows in groupby(store.cloud.drift.not_accepted_of(), key=itemgetter(0)):
        keys = [key for _, key in rows]
        names = [key for key in keys if not key.startswith(MEMBER_PREFIX)]
        told = names[:_SHOWN]
        if len(names) > _SHOWN:
            told.append(f"{len(names) - _SHOWN} more properties")
        if len(keys) > len(names):
            told.append(f"{len(keys) - len(names)} members")
        yield ObjectError(
            anchor=anchor,
            code=NOT_ACCEPTED,
            message=f"{', '.join(told)}: written again twice, and each time somebody else changed"
            " it in the tenant; it is left alone until the directory has another value. Find out"
            " who writes it, or let it flow no longer (`omit`)",
        )
