"""Taking read-backs in: a page is one transaction, and only what differs is written and marked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

from entrasync.entra.contracts import SyncObject, SyncObjectType, SyncOperation
from entrasync.state.cloud_links import LinkWriter
from entrasync.state.cloud_rows import KINDS, Spelling, ToldObject, told_members
from entrasync.state.database import Database
from entrasync.state.drift import Difference, Drifted, DriftSpace, member_key
from entrasync.state.rows import decode_properties, encode_properties, encode_value

_PAGE: Final = 1000
"""Objects handled together where a page of the service is larger."""
_TWO: Final = 2


@dataclass(slots=True, frozen=True, kw_only=True)
class ReadBackRules:
    """How a read-back is taken.

    Attributes:
        comparable: properties that are compared, in our spelling; others are not kept.
        watched: those of them whose difference is drift: they were compared before too.
        unsettled: SourceAnchors of which it is not known what was exported: no drift is theirs.
    """

    comparable: frozenset[str]
    watched: frozenset[str]
    unsettled: frozenset[str] = frozenset()


class _Known(NamedTuple):
    """A row of `cloud_objects`."""

    cloud_anchor: str | None
    type: str
    identifier: bytes | None
    cloud_managed: int
    properties: str
    owned: int


class Reading:
    """Takes pages of a read-back.

    Args:
        database: the open state.
        drift: told what differs of what is owned.
        rules: how it is taken.
        changes: whether the pages tell of changes since another read-back, not of everything.
    """

    def __init__(
        self, database: Database, drift: DriftSpace, rules: ReadBackRules, *, changes: bool
    ) -> None:
        self._database = database
        self._connection = database.connection
        self._drift = drift
        self._rules = rules
        self._changes = changes
        self._spelling = Spelling(rules.comparable)
        self._links = LinkWriter(database)

    def take(self, objects: Sequence[SyncObject]) -> None:
        """Takes one page, in one durable transaction."""
        rest = iter(objects)
        with self._database.transaction():
            while page := list(islice(rest, _PAGE)):
                self._take(page)

    def seen(self, numbers: Iterable[int]) -> None:
        """Told which objects a page names; a full read-back remembers them."""

    # --- a page ----------------------------------------------------------------------------

    def _take(self, page: Sequence[SyncObject]) -> None:
        live = _live(page)
        kept = {anchor: each for anchor, each in live.items() if each.object_type in KINDS}
        self._end([each for each in page if each.operation is SyncOperation.DELETE])
        self._end_foreign([each for each in page if not each.source_anchor and each.cloud_anchor])
        numbers = self._database.anchor_numbers(
            anchor
            for anchor, each in live.items()
            if each.object_type in KINDS or each.cloud_anchor
        )
        told = {numbers[anchor]: self._spelling.told_object(each) for anchor, each in kept.items()}
        for number in self._never_synced(told):
            del told[number]
        kept = {anchor: each for anchor, each in kept.items() if numbers[anchor] in told}
        names = {e.cloud_anchor: numbers[a] for a, e in live.items() if e.cloud_anchor}
        aliases = {name: n for name, n in names.items() if n not in told}
        self._name(names, aliases)
        self.seen((*told, *aliases.values()))
        drifted = self._drift.known(told)
        known = self._known(told)
        watched = {
            numbers[anchor]
            for anchor in kept
            if anchor not in self._rules.unsettled
            and (row := known.get(numbers[anchor])) is not None
            and row.owned
        }
        self._write(told, known, watched, drifted)
        for anchor, each in kept.items():
            number = numbers[anchor]
            if each.object_type is SyncObjectType.GROUP:
                self._take_members(number, each, drifted, watched=number in watched)
            elif number in known and known[number].type == SyncObjectType.GROUP:
                self._links.drop_owner(number)

    def _never_synced(self, told: Mapping[int, ToldObject]) -> list[int]:
        """Accounts of the cloud that have an anchor and were never taken over.

        They may be members, and an addition may meet them; they are nothing that an engine made.
        """
        found = [number for number, each in told.items() if each.never_synced]
        known = self._known(found) if found else {}
        strangers = [n for n in found if n not in known or not known[n].owned]
        for number in known.keys() & set(strangers):
            self._links.drop_owner(number)
            self._connection.execute("DELETE FROM cloud_objects WHERE anchor = ?", (number,))
            self._connection.execute("INSERT OR IGNORE INTO changed_anchors VALUES (?)", (number,))
        return strangers

    def _known(self, numbers: Iterable[int]) -> dict[int, _Known]:
        return {
            anchor: _Known(*row)
            for anchor, *row in self._connection.execute(
                "SELECT anchor, cloud_anchor, type, identifier, cloud_managed, properties, owned"
                " FROM cloud_objects WHERE anchor IN (SELECT value FROM json_each(?))",
                (json.dumps(list(numbers)),),
            )
        }

    def _write(
        self,
        told: Mapping[int, ToldObject],
        known: Mapping[int, _Known],
        watched: set[int],
        drifted: Mapping[int, dict[str, Drifted]],
    ) -> None:
        """Writes what differs, and marks what of it matters."""
        rows: list[tuple[object, ...]] = []
        changed: list[tuple[int]] = []
        differences: list[Difference] = []
        for number, each in told.items():
            row = (
                each.cloud_anchor,
                each.type,
                each.identifier,
                int(each.cloud_managed),
                encode_properties(each.properties),
            )
            before = known.get(number)
            if before is not None and number in watched:
                of_drift = drifted.get(number, {})
                if of_drift or before.properties != row[-1]:
                    differences += self._differences(number, before, each, of_drift)
            if before is not None and before[:-1] == row:
                continue
            rows.append((number, *row))
            if before is None or before[1:-1] != row[1:]:
                # a name that the tenant gave is nothing to compare
                changed.append((number,))
        self._connection.executemany(
            "INSERT INTO cloud_objects"
            " (anchor, cloud_anchor, type, identifier, cloud_managed, properties, owned)"
            " VALUES (?, ?, ?, ?, ?, ?, 0) ON CONFLICT (anchor) DO UPDATE SET type = excluded.type,"
            " cloud_anchor = excluded.cloud_anchor, identifier = excluded.identifier,"
            " cloud_managed = excluded.cloud_managed, properties = excluded.properties",
            rows,
        )
        self._connection.executemany("INSERT OR IGNORE INTO changed_anchors VALUES (?)", changed)
        self._drift.note(differences, drifted)

    def _differences(
        self, number: int, before: _Known, told: ToldObject, drifted: Mapping[str, Drifted]
    ) -> list[Difference]:
        old = decode_properties(before.properties)
        keys = (old.keys() | told.properties.keys() | drifted.keys()) & self._rules.watched
        return [
            Difference(
                number, key, encode_value(old.get(key)), encode_value(told.properties.get(key))
            )
            for key in sorted(keys)
            if key in drifted or old.get(key) != told.properties.get(key)
        ]

    def _take_members(
        self,
        number: int,
        each: SyncObject,
        drifted: Mapping[int, dict[str, Drifted]],
        *,
        watched: bool,
    ) -> None:
        told = told_members(each, changes=self._changes)
        added, removed = self._links.take(number, told)
        if not watched:
            return
        links = [(member, False, True) for member in added]
        links += [(member, True, False) for member in removed]
        rows = drifted.get(number, {})
        if rows:
            differing = {member_key(member) for member, _, _ in links}
            links += [
                (member, present, present)
                for member, present in self._links.presence(number, rows)
                if member_key(member) not in differing
            ]
        self._drift.note(
            (
                Difference(number, member_key(member), json.dumps(before), json.dumps(after))
                for member, before, after in links
            ),
            drifted,
        )

    # --- what is gone, what is called otherwise ---------------------------------------------

    def _end(self, deleted: Sequence[SyncObject]) -> None:
        """The tenant says that it deleted these."""
        numbers = self._database.known_anchors(
            e.source_anchor or e.cloud_anchor or "" for e in deleted
        )
        known = self._known(numbers.values())
        for each in deleted:
            number = numbers.get(each.source_anchor or each.cloud_anchor or "")
            if number is None:
                continue
            row = known.get(number)
            if (
                row is None
                or row.cloud_anchor in {None, each.cloud_anchor}
                or not each.cloud_anchor
            ):
                # else another object had this anchor before; it was deleted, not this one
                self._forget(number)
        for _, number in self._named(each.cloud_anchor for each in deleted):
            # it bore another anchor when it was told of last
            self._forget(number)

    def _end_foreign(self, objects: Iterable[SyncObject]) -> None:
        """Objects without SourceAnchor are the cloud's own, also such as had one before."""
        operations = {each.cloud_anchor: each.operation for each in objects}
        for name, number in self._named(operations):
            if operations[name] is not SyncOperation.DELETE:
                # still a member wherever it was one
                self._links.rename(number, self._database.anchor_number(name))
            self._forget(number)

    def _forget(self, number: int) -> None:
        self._links.drop_owner(number)
        self._links.drop_member(number)
        execute = self._connection.execute
        gone = execute("DELETE FROM cloud_objects WHERE anchor = ?", (number,)).rowcount
        execute("DELETE FROM cloud_aliases WHERE anchor = ?", (number,))
        execute("DELETE FROM drift WHERE anchor = ?", (number,))
        if gone:
            execute("INSERT OR IGNORE INTO changed_anchors VALUES (?)", (number,))

    def _name(self, all_names: Mapping[str, int], aliases: Mapping[str, int]) -> None:
        """Learns CloudAnchors: who was a member under one is a member under the SourceAnchor."""
        for cloud_anchor, old in self._database.known_anchors(all_names).items():
            if old != all_names[cloud_anchor]:
                self._links.rename(old, all_names[cloud_anchor])
        for cloud_anchor, old in self._named(all_names):
            if old != all_names[cloud_anchor]:
                # the same object bears another anchor now
                self._links.rename(old, all_names[cloud_anchor])
                self._forget(old)
        self._connection.executemany(
            "INSERT INTO cloud_aliases VALUES (?, ?)"
            " ON CONFLICT (cloud_anchor) DO UPDATE SET anchor = excluded.anchor"
            " WHERE anchor <> excluded.anchor",
            list(aliases.items()),
        )

    def _named(self, cloud_anchors: Iterable[str | None]) -> list[tuple[str, int]]:
        """Known objects that have one of these CloudAnchors."""
        names = json.dumps(list(cloud_anchors))
        return [
            (cloud_anchor, number)
            for table in ("cloud_objects", "cloud_aliases")
            for cloud_anchor, number in self._connection.execute(
                f"SELECT cloud_anchor, anchor FROM {table}"  # noqa: S608  - tables of ours
                " WHERE cloud_anchor IN (SELECT value FROM json_each(?))",
                (names,),
            ).fetchall()
        ]


def _live(page: Iterable[SyncObject]) -> dict[str, SyncObject]:
    """What a page leaves of each SourceAnchor.

    An object that was deleted says nothing of another one that has its anchor since.
    """
    live: dict[str, SyncObject] = {}
    for each in page:
        if not each.source_anchor:
            continue
        if each.operation is not SyncOperation.DELETE:
            live[each.source_anchor] = each
            continue
        before = live.get(each.source_anchor)
        names = {None if before is None else before.cloud_anchor, each.cloud_anchor} - {None}
        if len(names) < _TWO:
            live.pop(each.source_anchor, None)
    return live
