"""A state as imports leave it behind, written row by row, for tests of the evaluation."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from entrasync.api.choices import AnchorSource, JoinBy
from entrasync.engine.evaluate import EvaluationRules, EvaluationTotals, evaluate
from entrasync.engine.flows import flow_set
from entrasync.engine.inputs import AnchorRules
from entrasync.engine.scope import Scope
from entrasync.engine.selection import SelectionRules
from entrasync.entra.contracts import PropertyValue
from entrasync.state.rows import decode_properties, encode_attributes, encode_properties
from entrasync.state.schema import Kind
from entrasync.state.store import Store

DOMAIN = "contoso.test"
ROOT = 1
CLASSES = {
    Kind.USER: b"user",
    Kind.GROUP: b"group",
    Kind.CONTACT: b"contact",
    Kind.CONTAINER: b"organizationalUnit",
    Kind.OTHER: b"computer",
}
BASICS: dict[Kind, dict[str, str]] = {
    Kind.USER: {"userAccountControl": "512"},
    Kind.GROUP: {"groupType": "-2147483646"},
    Kind.CONTACT: {},
    Kind.CONTAINER: {},
    Kind.OTHER: {},
}
TYPES = {Kind.USER: "User", Kind.GROUP: "Group", Kind.CONTACT: "Contact"}
FLOWS = flow_set()


def guid_of(number: int) -> str:
    return str(uuid.UUID(int=number))


def anchor_of(number: int) -> str:
    return base64.b64encode(uuid.UUID(int=number).bytes_le).decode()


class World:
    """A state, and the sources and the tenant behind it.

    Args:
        folder: where the state lies.
        sources: how many sources there are; their roots have the numbers 1, 2, ...
    """

    def __init__(self, folder: Path, sources: int = 1) -> None:
        self.store = Store(folder)
        self.connection = self.store.database.connection
        self.roots = list(range(ROOT, ROOT + sources))
        for number in self.roots:
            self.connection.execute(
                "INSERT INTO sources (id, name, rank, domain) VALUES (?, ?, ?, ?)",
                (number, f"source{number}", number - 1, DOMAIN),
            )
            self.put(number, Kind.CONTAINER, parent=None, source=number)

    # --- sources ---------------------------------------------------------------------------

    def number(self, guid: int) -> int:
        return self.store.database.guid_number(uuid.UUID(int=guid).bytes)

    def put(
        self,
        guid: int,
        kind: Kind,
        *,
        parent: int | None = ROOT,
        source: int = ROOT,
        name: str | None = None,
        sid: bytes | None = None,
        raw: Mapping[str, bytes] | None = None,
        **attributes: str | tuple[str, ...] | None,
    ) -> None:
        """Adds an object, or replaces it, and marks it."""
        own: dict[str, tuple[bytes, ...]] = {"objectClass": (CLASSES[kind],)}
        named = f"{kind.name.lower()}{guid}"
        known: dict[str, Any] = {
            **BASICS[kind],
            "cn": named,
            "mail": f"{named}@{DOMAIN}" if kind is Kind.CONTACT else None,
            "sAMAccountName": None if kind is Kind.CONTACT else named,
            **attributes,
        }
        for key, value in known.items():
            if value is not None:
                values = (value,) if isinstance(value, str) else value
                own[key] = tuple(each.encode() for each in values)
        for key, octets in (raw or {}).items():
            own[key] = (octets,)
        if sid is not None:
            own["objectSid"] = (sid,)
        number = self.number(guid)
        self.connection.execute(
            "INSERT OR REPLACE INTO source_objects"
            " (id, source, parent, kind, dn, sid, attributes, seen)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
            (
                number,
                source,
                None if parent is None else self.number(parent),
                kind,
                f"CN={name or named},DC=stale" if parent else f"DC=root{guid}",
                sid,
                encode_attributes(own),
            ),
        )
        self._mark(number)

    def user(self, guid: int, **more: Any) -> None:
        self.put(guid, Kind.USER, **more)

    def group(self, guid: int, *members: int, **more: Any) -> None:
        self.put(guid, Kind.GROUP, **more)
        for member in members:
            self.link(guid, member)

    def remove(self, guid: int) -> None:
        """An object is gone, and all its links with it."""
        number = self.number(guid)
        for owner, target in self.connection.execute(
            "SELECT owner, target FROM source_references WHERE attribute = 0"
            " AND (owner = ?1 OR target = ?1)",
            (number,),
        ).fetchall():
            self._mark_link(owner, target)
        self.connection.execute(
            "INSERT OR IGNORE INTO changed_objects SELECT owner FROM source_references"
            " WHERE attribute > 0 AND target = ?",
            (number,),
        )
        self.connection.execute(
            "DELETE FROM source_references WHERE owner = ?1 OR target = ?1", (number,)
        )
        self.connection.execute("DELETE FROM source_objects WHERE id = ?", (number,))
        self._mark(number)

    def link(self, owner: int, target: int) -> None:
        pair = self.number(owner), self.number(target)
        self.connection.execute("INSERT OR IGNORE INTO source_references VALUES (?, 0, ?)", pair)
        self._mark_link(*pair)

    def unlink(self, owner: int, target: int) -> None:
        pair = self.number(owner), self.number(target)
        self.connection.execute(
            "DELETE FROM source_references WHERE owner = ? AND attribute = 0 AND target = ?", pair
        )
        self._mark_link(*pair)

    def refer(self, owner: int, attribute: str, *targets: int) -> None:
        """An object names others."""
        self.connection.execute(
            "INSERT OR IGNORE INTO reference_attributes (name) VALUES (?)", (attribute,)
        )
        (number,) = self.connection.execute(
            "SELECT id FROM reference_attributes WHERE name = ?", (attribute,)
        ).fetchone()
        self.connection.execute(
            "DELETE FROM source_references WHERE owner = ? AND attribute = ?",
            (self.number(owner), number),
        )
        for target in targets:
            self.connection.execute(
                "INSERT INTO source_references VALUES (?, ?, ?)",
                (self.number(owner), number, self.number(target)),
            )
        self._mark(self.number(owner))

    def foreign(self, guid: int, sid: bytes) -> None:
        """A foreign security principal."""
        self.connection.execute(
            "INSERT OR REPLACE INTO foreign_principals VALUES (?, ?)", (self.number(guid), sid)
        )

    def _mark(self, number: int) -> None:
        self.connection.execute("INSERT OR IGNORE INTO changed_objects VALUES (?)", (number,))

    def _mark_link(self, *pair: int) -> None:
        self.connection.execute("INSERT OR IGNORE INTO changed_links VALUES (?, ?)", pair)

    # --- tenant ----------------------------------------------------------------------------

    def anchor(self, guid: int) -> int:
        return self.store.database.anchor_number(anchor_of(guid))

    def hold(
        self,
        guid: int,
        kind: Kind = Kind.USER,
        *,
        owned: bool = True,
        pinned: bool = False,
        managed: bool = False,
        identifier: int | None = None,
        properties: Mapping[str, PropertyValue] | None = None,
    ) -> None:
        """The tenant holds an object under the anchor that an objectGUID gives."""
        number = self.anchor(guid)
        octets = uuid.UUID(int=guid).bytes
        self.connection.execute(
            "INSERT OR REPLACE INTO cloud_objects"
            " (anchor, type, guid, identifier, owned, cloud_managed, properties)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                number,
                TYPES[kind],
                octets if owned else None,
                None if identifier is None else uuid.UUID(int=identifier).bytes,
                owned,
                managed,
                encode_properties(properties or {}),
            ),
        )
        if pinned:
            self.pin(guid, guid)
        self._mark_anchor(number)

    def pin(self, guid: int, anchor: int) -> None:
        """The object was exported under the anchor that another objectGUID gives."""
        self.connection.execute(
            "INSERT OR REPLACE INTO pins VALUES (?, ?)",
            (uuid.UUID(int=guid).bytes, self.anchor(anchor)),
        )

    def lose(self, guid: int) -> None:
        """The tenant holds an object no longer."""
        number = self.anchor(guid)
        self.connection.execute("DELETE FROM cloud_objects WHERE anchor = ?", (number,))
        for pair in self.connection.execute(
            "SELECT owner, member FROM cloud_links WHERE owner = ?1 OR member = ?1", (number,)
        ).fetchall():
            self._mark_pair(*pair)
        self.connection.execute(
            "DELETE FROM cloud_links WHERE owner = ?1 OR member = ?1", (number,)
        )
        self._mark_anchor(number)

    def hold_link(self, owner: int, member: int, *, held: bool = True) -> None:
        pair = self.anchor(owner), self.anchor(member)
        if held:
            self.connection.execute("INSERT OR IGNORE INTO cloud_links VALUES (?, ?)", pair)
        else:
            self.connection.execute("DELETE FROM cloud_links WHERE owner = ? AND member = ?", pair)
        self._mark_pair(*pair)

    def _mark_anchor(self, number: int) -> None:
        self.connection.execute("INSERT OR IGNORE INTO changed_anchors VALUES (?)", (number,))

    def _mark_pair(self, owner: int, member: int) -> None:
        self.connection.execute(
            "INSERT OR IGNORE INTO changed_pairs VALUES (?, ?)", (owner, member)
        )

    def export(self, *, deletes: bool = True) -> None:
        """The tenant takes all that is pending; and, as if all candidates were gone, deletes."""
        execute, cloud = self.connection.execute, self.store.cloud
        for anchor, type_, guid, properties in execute(
            "SELECT anchor, type, guid, properties FROM pending ORDER BY part"
        ).fetchall():
            cloud.record_set(anchor, type_, guid, decode_properties(properties))
        execute("DELETE FROM pending")
        for owner, member, adds in execute("SELECT * FROM pending_links").fetchall():
            cloud.record_links(owner, (member,) if adds else (), () if adds else (member,))
        execute("DELETE FROM pending_links")
        for (anchor,) in execute("SELECT anchor FROM candidates").fetchall() if deletes else ():
            cloud.record_deleted(anchor)

    # --- evaluating ------------------------------------------------------------------------

    def rules(self, **more: Any) -> EvaluationRules:
        known: dict[str, Any] = {
            "scopes": {
                f"source{number}": Scope(include=frozenset({guid_of(number)}))
                for number in self.roots
            },
            "selection": SelectionRules(resource="DirectorySync/contoso"),
            "group_guids": {},
            "attributes": {"source1": ("objectClass", "employeeType")},
            "anchors": AnchorRules(source=AnchorSource.CONSISTENCY_GUID),
            "join_users": JoinBy.NONE,
            "flows": FLOWS,
            "max_group_members": 250_000,
        }
        return EvaluationRules(**(known | more))

    def evaluate(self, **more: Any) -> EvaluationTotals:
        return evaluate(self.store, self.rules(**more), lambda _done, _total: None)

    # --- looking ---------------------------------------------------------------------------

    def forget(self) -> None:
        """Forgets all that was ever evaluated."""
        for table in (
            "parts", "join_keys", "claims", "conflicts", "pending", "pending_links", "candidates",
        ):  # fmt: skip
            self.connection.execute(f"DELETE FROM {table}")  # noqa: S608  - ours
        self.connection.execute("DELETE FROM meta WHERE key LIKE 'evaluation-%'")

    def parts(self) -> dict[int, tuple[str | None, str | None, str | None]]:
        """By object the rule, the anchor and why it is withheld."""
        return {
            uuid.UUID(bytes=guid).int: (rule, anchor, withheld)
            for guid, rule, anchor, withheld in self.connection.execute(
                "SELECT g.guid, p.rule, a.anchor, p.withheld FROM parts p"
                " JOIN guids g ON g.id = p.object LEFT JOIN anchors a ON a.id = p.anchor"
            )
        }

    def pending(self) -> dict[tuple[str, int], tuple[str, dict[str, Any]]]:
        """By anchor and part the action and what is written."""
        return {
            (anchor, part): (action, json.loads(properties))
            for anchor, part, action, properties in self.connection.execute(
                "SELECT a.anchor, p.part, p.action, p.properties FROM pending p"
                " JOIN anchors a ON a.id = p.anchor"
            )
        }

    def links(self) -> set[tuple[str, str, int]]:
        """Links to be added and removed."""
        return set(
            self.connection.execute(
                "SELECT a.anchor, b.anchor, l.adds FROM pending_links l"
                " JOIN anchors a ON a.id = l.owner JOIN anchors b ON b.id = l.member"
            )
        )

    def candidates(self) -> set[str]:
        return {each.anchor for each in self.store.evaluation.candidates()}

    def conflicts(self) -> dict[str, str]:
        return dict(
            self.connection.execute(
                "SELECT a.anchor, c.code FROM conflicts c JOIN anchors a ON a.id = c.anchor"
            )
        )

    def claims(self) -> set[tuple[int, str]]:
        return set(
            self.connection.execute(
                "SELECT c.value, a.anchor FROM claims c JOIN anchors a ON a.id = c.anchor"
            )
        )

    def picture(self) -> dict[str, Any]:
        """All that an evaluation leaves behind."""
        return {
            "parts": self.parts(),
            "pending": self.pending(),
            "links": self.links(),
            "candidates": self.candidates(),
            "conflicts": self.conflicts(),
            "claims": self.claims(),
            "counts": dict(self.store.evaluation.counts()),
        }

    def waiting(self) -> int:
        """Rows in the lists of changes."""
        return sum(
            self.connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]  # noqa: S608  - ours
            for table in ("changed_objects", "changed_links", "changed_anchors", "changed_pairs")
        )


def anchors(*guids: int) -> set[str]:
    return set(map(anchor_of, guids))


def pairs(*links: tuple[int, int, int]) -> set[tuple[str, str, int]]:
    return {(anchor_of(owner), anchor_of(member), adds) for owner, member, adds in links}


def written(world: World, guid: int, part: int = 0) -> dict[str, Any]:
    """What would be written of one object."""
    return world.pending().get((anchor_of(guid), part), ("", {}))[1]


def sids(*relative: int) -> Iterable[bytes]:
    for each in relative:
        yield (
            bytes((1, 2, 0, 0, 0, 0, 0, 5))
            + (21).to_bytes(4, "little")
            + each.to_bytes(4, "little")
        )
