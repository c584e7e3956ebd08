"""Removals among what is pending: deletions and disables of what is wanted no longer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from entrasync.state.database import Database

_ENABLED: Final = "cloud_objects.properties -> '$.accountEnabled'"


@dataclass(slots=True, frozen=True, kw_only=True)
class RemovalRule:
    """What becomes of candidates.

    Attributes:
        type: their SyncObjectType.
        evidence: what was found out about them.
        action: `delete` or `disable`.
        why: said of each.
    """

    type: str
    evidence: str
    action: str
    why: str


class RemovalSpace:
    """Turns candidates and orphans into pending removals.

    Args:
        database: the open state.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection = database.connection

    def replace(
        self, rules: Iterable[RemovalRule], orphans: Sequence[str], why_orphans: str
    ) -> None:
        """Makes exactly these removals pending; what is there already stays untouched.

        Args:
            rules: what becomes of candidates, by type and evidence.
            orphans: types of which objects that nobody wants and that are not owned are deleted.
            why_orphans: said of each of these.
        """
        execute = self._connection.execute
        with self._database.transaction():
            execute("DELETE FROM removals")
            for rule in rules:
                execute(
                    "INSERT INTO removals SELECT candidates.anchor, :action, :why FROM candidates"  # noqa: S608  - an expression of ours
                    " JOIN cloud_objects ON cloud_objects.anchor = candidates.anchor"
                    " WHERE evidence = :evidence AND owned AND NOT cloud_managed AND type = :type"
                    " AND (:action = 'delete'"
                    f" OR {_ENABLED} IS NOT 'false')",
                    {
                        "action": rule.action,
                        "why": _reason(rule.why),
                        "evidence": rule.evidence,
                        "type": rule.type,
                    },
                )
            for each in orphans:
                execute(
                    "INSERT INTO removals SELECT anchor, 'delete', ? FROM cloud_objects"
                    " WHERE owned = 0 AND type = ? AND NOT cloud_managed AND NOT EXISTS"
                    " (SELECT 1 FROM parts WHERE parts.anchor = cloud_objects.anchor)",
                    (_reason(why_orphans), each),
                )
            self._write()

    def _write(self) -> None:
        execute = self._connection.execute
        execute(
            "DELETE FROM pending WHERE action IN ('delete', 'disable') AND NOT EXISTS"
            " (SELECT 1 FROM removals WHERE removals.anchor = pending.anchor"
            " AND removals.action = pending.action)"
        )
        execute(
            # what is wanted no longer changes in no other way
            "DELETE FROM pending WHERE (action NOT IN ('delete', 'disable') OR part <> 0)"
            " AND anchor IN (SELECT anchor FROM candidates)"
        )
        execute(
            "INSERT INTO pending (anchor, part, action, type, guid, properties, previous, why)"  # noqa: S608  - expressions of ours
            " SELECT removals.anchor, 0, action, type, guid,"
            " CASE action WHEN 'disable' THEN '{\"accountEnabled\":false}' ELSE '{}' END,"
            f" CASE WHEN action = 'disable' AND {_ENABLED} = 'true'"
            " THEN '{\"accountEnabled\":true}' ELSE '{}' END, why"
            " FROM removals JOIN cloud_objects ON cloud_objects.anchor = removals.anchor WHERE true"
            " ON CONFLICT (anchor, part) DO UPDATE SET action = excluded.action,"
            " type = excluded.type, guid = excluded.guid, properties = excluded.properties,"
            " previous = excluded.previous, why = excluded.why"
            " WHERE pending.action <> excluded.action OR pending.why <> excluded.why"
        )

    def unaccounted(self, known: Iterable[str]) -> Iterator[str]:
        """SourceAnchors of candidates without evidence that they are gone, in order.

        Args:
            known: evidence that they are gone.
        """
        for (anchor,) in self._connection.execute(
            "SELECT anchors.anchor FROM candidates JOIN anchors ON anchors.id = candidates.anchor"
            " WHERE evidence IS NULL OR evidence NOT IN (SELECT value FROM json_each(?))"
            " ORDER BY anchors.anchor",
            (json.dumps(list(known)),),
        ):
            yield str(anchor)

    def count_unaccounted(self, known: Iterable[str]) -> int:
        """How many `unaccounted` gives."""
        (count,) = self._connection.execute(
            "SELECT COUNT(*) FROM candidates"
            " WHERE evidence IS NULL OR evidence NOT IN (SELECT value FROM json_each(?))",
            (json.dumps(list(known)),),
        ).fetchone()
        return int(count)


def _reason(why: str) -> str:
    return json.dumps({"": why}, ensure_ascii=False)
