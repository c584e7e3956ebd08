"""Drift: owned properties and links of which a read-back said something else than was exported."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from entrasync.state.database import Database

MEMBER_PREFIX: Final = "member:"
"""Of keys of links; the number of the member follows."""
REPAIRS: Final = 2
"""As many repairs that did not last end the trying."""
_PRESENT: Final = "true"
_ABSENT: Final = "false"


class Difference(NamedTuple):
    """What a read-back says of one key of an owned object, both values as JSON."""

    anchor: int
    key: str
    before: str
    told: str


@dataclass(slots=True, frozen=True, kw_only=True)
class Drifted:
    """A row of `drift`."""

    told: str
    exported: str
    times: int


class DriftSpace:
    """The table `drift`.

    A key is in it from the read-back that told something else than was known, until one tells what
    was exported, or until something else is wanted. `times` counts how often the tenant told
    something else though the same value had been exported again in between.

    Args:
        database: the open state.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection = database.connection

    # --- told by a read-back ---------------------------------------------------------------

    def known(self, anchors: Iterable[int]) -> dict[int, dict[str, Drifted]]:
        """What is known of some objects, by their number and key."""
        found: dict[int, dict[str, Drifted]] = {}
        for anchor, key, told, exported, times in self._connection.execute(
            "SELECT anchor, key, told, exported, times FROM drift"
            " WHERE anchor IN (SELECT value FROM json_each(?))",
            (json.dumps(list(anchors)),),
        ):
            found.setdefault(anchor, {})[key] = Drifted(told=told, exported=exported, times=times)
        return found

    def note(
        self, differences: Iterable[Difference], known: Mapping[int, dict[str, Drifted]]
    ) -> None:
        """Takes in what a read-back says; also of keys that are as they were, where these drifted.

        Args:
            differences: one for each key.
            known: what `known` said before.
        """
        kept: list[tuple[int, str, str, str, int]] = []
        dropped: list[tuple[int, str]] = []
        for each in differences:
            row = known.get(each.anchor, {}).get(each.key)
            after = next_drift(row, each.before, each.told)
            if after is None:
                if row is not None:
                    dropped.append((each.anchor, each.key))
            elif after != row:
                kept.append((each.anchor, each.key, after.told, after.exported, after.times))
        self._connection.executemany("INSERT OR REPLACE INTO drift VALUES (?, ?, ?, ?, ?)", kept)
        self._connection.executemany("DELETE FROM drift WHERE anchor = ? AND key = ?", dropped)

    # --- asked by the plan -----------------------------------------------------------------

    def of(self, anchor: int) -> dict[str, int]:
        """Times by key of one object."""
        return dict(
            self._connection.execute("SELECT key, times FROM drift WHERE anchor = ?", (anchor,))
        )

    def rows(self) -> Iterator[tuple[int, str, Drifted]]:
        """All there is, in order of anchors and keys; nothing is written meanwhile."""
        for anchor, key, told, exported, times in self._connection.execute(
            "SELECT anchor, key, told, exported, times FROM drift ORDER BY anchor, key"
        ):
            yield anchor, key, Drifted(told=told, exported=exported, times=times)

    def not_accepted(self, repairs: int = REPAIRS) -> dict[tuple[int, str], int]:
        """Anchors and keys that so many repairs did not bring back, with their times."""
        return {
            (anchor, key): times
            for anchor, key, times in self._connection.execute(
                "SELECT anchor, key, times FROM drift WHERE times > ?", (repairs,)
            )
        }

    def not_accepted_of(self, repairs: int = REPAIRS) -> Iterator[tuple[str, str]]:
        """SourceAnchors and keys of `not_accepted`, in order; nothing is written meanwhile."""
        yield from self._connection.execute(
            "SELECT anchors.anchor, key FROM drift JOIN anchors ON anchors.id = drift.anchor"
            " WHERE times > ? ORDER BY drift.anchor, key",
            (repairs,),
        )

    def counts(self, repairs: int = REPAIRS) -> dict[str, int]:
        """`objects` with properties that drifted, `links` that did, objects `not_accepted`."""
        objects, links, not_accepted = self._connection.execute(
            "SELECT COUNT(DISTINCT CASE WHEN key NOT LIKE 'member:%' THEN anchor END),"
            " COUNT(CASE WHEN key LIKE 'member:%' THEN 1 END),"
            " COUNT(DISTINCT CASE WHEN times > ? THEN anchor END) FROM drift",
            (repairs,),
        ).fetchone()
        return {"objects": objects, "links": links, "not_accepted": not_accepted}

    def settle(self) -> int:
        """Forgets drift of what is not wanted as it was exported any more; returns how much.

        To be called once it is evaluated what is wanted, before it is planned. A key stays while
        what was exported is to be written again, or was and is not read back yet.
        """
        with self._database.transaction():
            return self._connection.execute(
                f"DELETE FROM drift WHERE NOT {_STAYS}"  # noqa: S608  - conditions of ours
            ).rowcount


def next_drift(row: Drifted | None, before: str, told: str) -> Drifted | None:
    """What is known of a key after a read-back; `None` when it is as it should be.

    Args:
        row: what was known of its drift.
        before: the value last known, which is the exported one where it was repaired.
        told: the value that the tenant tells now.
    """
    if row is None or before not in {row.exported, row.told}:
        # never drifted, or something else was exported since
        return None if told == before else Drifted(told=told, exported=before, times=1)
    if told == row.exported:
        return None
    repaired = before == row.exported
    return Drifted(told=told, exported=row.exported, times=row.times + repaired)


def member_key(member: int) -> str:
    """Key of a link."""
    return f"{MEMBER_PREFIX}{member}"


def presence(present: bool) -> str:  # noqa: FBT001  - the value itself
    """Value of a link."""
    return _PRESENT if present else _ABSENT


_STAYS: Final = """
CASE WHEN key LIKE 'member:%' THEN CASE
    WHEN EXISTS (
        SELECT 1 FROM pending_links WHERE owner = drift.anchor
        AND member = CAST(SUBSTR(drift.key, 8) AS INTEGER)
    ) THEN EXISTS (
        SELECT 1 FROM pending_links WHERE owner = drift.anchor
        AND member = CAST(SUBSTR(drift.key, 8) AS INTEGER)
        AND adds = (drift.exported = 'true')
    ) ELSE (drift.exported = 'true') = EXISTS (
        SELECT 1 FROM cloud_links WHERE owner = drift.anchor
        AND member = CAST(SUBSTR(drift.key, 8) AS INTEGER)
    ) END
ELSE COALESCE(
    (
        SELECT (properties -> ('$."' || drift.key || '"')) = drift.exported FROM pending
        WHERE pending.anchor = drift.anchor
        AND (properties -> ('$."' || drift.key || '"')) IS NOT NULL LIMIT 1
    ), (
        SELECT COALESCE(properties -> ('$."' || drift.key || '"'), 'null') = drift.exported
        FROM cloud_objects WHERE cloud_objects.anchor = drift.anchor
    ), FALSE
) END
"""
"""Whether what was exported is to be written again, or was."""
