"""What takes part, what is in the way of it, and what is wanted no longer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from entrasync.state.clusters import ClusterSpace
from entrasync.state.comparison import ComparisonSpace
from entrasync.state.database import Database
from entrasync.state.groups import GroupSpace
from entrasync.state.marks import Marks
from entrasync.state.parts import PartSpace
from entrasync.state.rows import guid_text
from entrasync.state.schema import Kind

META_KEPT: Final = "evaluation-kept"
"""Numbers of the kinds that are not synced, joined by commas."""
_PAGE: Final = 1000
_TYPES: Final = {Kind.USER: "User", Kind.GROUP: "Group", Kind.CONTACT: "Contact"}


_WITHHELD_PARTS: Final = (
    "SELECT a.anchor, g.guid, p.kind, p.withheld, p.message FROM parts p"
    " JOIN guids g ON g.id = p.object LEFT JOIN anchors a ON a.id = p.anchor"
    " WHERE p.withheld IS NOT NULL ORDER BY +p.object"
)
_CONFLICTS: Final = (
    "SELECT a.anchor, g.guid, p.kind, c.code, c.message FROM conflicts c"
    " JOIN anchors a ON a.id = c.anchor JOIN parts p ON p.object ="
    " (SELECT MIN(object) FROM parts q WHERE q.anchor = c.anchor)"
    " JOIN guids g ON g.id = p.object ORDER BY c.anchor"
)


class Withheld(NamedTuple):
    """An object that takes part but is left as it is in the cloud, and why.

    Attributes:
        anchor: SourceAnchor under which the cloud may hold it; empty when it has none.
        guid: objectGUID of its source.
        object_type: its SyncObjectType.
        reason: for example `AnchorChanged`, `DuplicateAnchor` or `GroupTooLarge`.
        message: what to do.
    """

    anchor: str
    guid: str
    object_type: str
    reason: str
    message: str


class Candidate(NamedTuple):
    """An owned object that is wanted no longer.

    Attributes:
        number: of its anchor.
        anchor: its SourceAnchor.
        object_type: its SyncObjectType.
        guid: objectGUID it came from, if that is known.
        evidence: what reading it again told, `None` before that.
    """

    number: int
    anchor: str
    object_type: str
    guid: str | None
    evidence: str | None


class EvaluationSpace:
    """What the evaluation keeps, for itself and for the stages after it.

    Args:
        database: the open state.

    Attributes:
        parts: what of the sources takes part.
        clusters: which of that may belong together.
        groups: who is in groups that decide that.
        marks: what must be compared again.
        comparison: what must change in the cloud.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self._connection = database.connection
        self.parts = PartSpace(database)
        self.clusters = ClusterSpace(database)
        self.groups = GroupSpace(database)
        self.marks = Marks(database)
        self.comparison = ComparisonSpace(database, self.marks)

    def counts(self) -> dict[tuple[str | None, int], int]:
        """Objects by the rule that leaves them out and by `Kind`."""
        return self.parts.counts()

    def withheld(self) -> Iterator[Withheld]:
        """Objects that take part but are left as they are; not those of a kind not synced."""
        kept = self.database.get(META_KEPT) or ""
        for query in (_WITHHELD_PARTS, _CONFLICTS):
            for anchor, guid, kind, reason, message in self._connection.execute(query).fetchall():
                if str(kind) not in kept.split(","):
                    yield Withheld(anchor or "", guid_text(guid), _TYPES[kind], reason, message)

    def candidates(self) -> Iterator[Candidate]:
        """Owned objects that are wanted no longer, in order; they may be changed meanwhile."""
        last = -1
        while rows := self._connection.execute(
            "SELECT c.anchor, a.anchor, o.type, o.guid, c.evidence FROM candidates c"
            " JOIN anchors a ON a.id = c.anchor JOIN cloud_objects o ON o.anchor = c.anchor"
            " WHERE c.anchor > ? ORDER BY c.anchor LIMIT ?",
            (last, _PAGE),
        ).fetchall():
            for number, anchor, object_type, guid, evidence in rows:
                text = None if guid is None else guid_text(guid)
                yield Candidate(number, anchor, object_type, text, evidence)
            last = rows[-1][0]

    def candidate_count(self) -> int:
        """How many candidates there are."""
        return int(self._connection.execute("SELECT COUNT(*) FROM candidates").fetchone()[0])

    def set_evidence(self, number: int, evidence: str) -> None:
        """Writes what reading a candidate again told.

        Args:
            number: of its anchor.
            evidence: value of `Evidence`.
        """
        with self.database.transaction():
            self._connection.execute(
                "UPDATE candidates SET evidence = ? WHERE anchor = ?", (evidence, number)
            )

    def want_nothing(self, evidence: str) -> None:
        """Makes everything owned a candidate, and nothing else pending than its removal.

        Args:
            evidence: why nobody wants any of it; a value of `Evidence`.
        """
        with self.database.transaction():
            for table in ("candidates", "pending", "pending_links"):
                self._connection.execute(f"DELETE FROM {table}")  # noqa: S608  - names of ours
            self._connection.execute(
                "INSERT INTO candidates SELECT anchor, ? FROM cloud_objects WHERE owned",
                (evidence,),
            )
