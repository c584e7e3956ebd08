"""Read-backs, full and delta, whole and broken off, end in what the tenant holds."""

from __future__ import annotations

import random
import tempfile
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from typing_extensions import override

from entrasync.entra.contracts import LinkChange, SyncObject, SyncObjectType, SyncOperation
from entrasync.state.cloud import CloudSpace
from entrasync.state.cloud_reading import ReadBackRules, Reading
from entrasync.state.cloud_rows import KINDS
from entrasync.state.database import Database

RULES = ReadBackRules(comparable=frozenset({"title"}), watched=frozenset({"title"}))
TYPES = st.sampled_from([*SyncObjectType, SyncObjectType.USER, SyncObjectType.GROUP])
NUMBERS = st.integers(0, 7)


@dataclass
class Held:
    """An object of the model."""

    type: SyncObjectType
    name: str
    anchor: str
    title: str = ""
    members: set[str] = field(default_factory=set)
    deleted: bool = False
    version: int = 0


Known = tuple[dict[str, tuple[str, object]], set[tuple[str, str]]]
"""Types and titles by SourceAnchor, and links."""


class ReadBacks(RuleBasedStateMachine):
    """A tenant as a table of objects by CloudAnchor, beside the cloud space that follows it."""

    @initialize(seed=st.integers(0, 2**32))
    def start(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311  - no secret
        self.objects: dict[str, Held] = {}
        self.version = 0
        self.read = 0
        self.trusted = False
        self.number = 0
        self.open = ExitStack()
        folder = self.open.enter_context(tempfile.TemporaryDirectory())
        self.database = self.open.enter_context(closing(Database(Path(folder))))
        self.database.connection.execute("PRAGMA synchronous = OFF")
        self.cloud = CloudSpace(self.database)

    @override
    def teardown(self) -> None:
        self.open.close()

    # --- the tenant ------------------------------------------------------------------------

    @rule(kind=TYPES, synced=st.booleans())
    def create(self, kind: SyncObjectType, *, synced: bool) -> None:
        self.number += 1
        name = f"{kind}_{self.number}"
        self._touch(Held(type=kind, name=name, anchor=f"a{self.number}" if synced else ""))

    @rule(which=NUMBERS, title=st.sampled_from(["", "x", "y"]))
    def change(self, which: int, title: str) -> None:
        if found := self._pick(which):
            found.title = title
            self._touch(found)

    @rule(which=NUMBERS, member=NUMBERS)
    def link(self, which: int, member: int) -> None:
        group, other = self._pick(which, SyncObjectType.GROUP), self._pick(member)
        if group and other:
            group.members ^= {other.name}
            self._touch(group)

    @rule(which=NUMBERS)
    def delete(self, which: int) -> None:
        if found := self._pick(which):
            found.deleted = True
            # whose member it was is not told again
            for each in self.objects.values():
                each.members.discard(found.name)
            found.members.clear()
            self._touch(found)

    @rule(which=NUMBERS)
    def create_again(self, which: int) -> None:
        gone = [e for e in self.objects.values() if e.deleted and e.anchor]
        live = {e.anchor for e in self.objects.values() if not e.deleted}
        if gone and (old := gone[which % len(gone)]).anchor not in live:
            self.number += 1
            self._touch(Held(type=old.type, name=f"{old.type}_{self.number}", anchor=old.anchor))

    @rule(which=NUMBERS)
    def give_another_anchor(self, which: int) -> None:
        if found := self._pick(which):
            self.number += 1
            found.anchor = "" if found.anchor and which % 2 else f"b{self.number}"
            self._touch(found)

    def _pick(self, which: int, kind: SyncObjectType | None = None) -> Held | None:
        live = [e for e in self.objects.values() if not e.deleted and kind in {None, e.type}]
        return live[which % len(live)] if live else None

    def _touch(self, each: Held) -> None:
        self.version += 1
        each.version = self.version
        self.objects[each.name] = each

    # --- reading it back -------------------------------------------------------------------

    @rule(size=st.integers(1, 5))
    def read_full(self, size: int) -> None:
        self._clear_marks()
        before = self._known()
        full = self.cloud.full_read_back(RULES)
        for page in self._pages(-1, size):
            full.take(page)
        full.finish()
        self._done(before)

    @rule(size=st.integers(1, 5), stop=st.integers(0, 3))
    def restart_or_break_off(self, size: int, stop: int) -> None:
        full = self.cloud.full_read_back(RULES)
        for page in self._pages(-1, size)[:stop]:
            full.take(page)
        if stop % 2:
            self.trusted = False
            return
        self._clear_marks()
        before = self._known()
        full.restart()
        for page in self._pages(-1, size):
            full.take(page)
        full.finish()
        self._done(before)

    @rule(size=st.integers(1, 5))
    def read_changes(self, size: int) -> None:
        if not self.trusted:
            return
        self._clear_marks()
        before = self._known()
        reading: Reading = self.cloud.delta_read_back(RULES)
        for page in self._pages(self.read, size):
            reading.take(page)
        self._done(before)

    def _pages(self, after: int, size: int) -> list[list[SyncObject]]:
        told = sorted(
            (
                e
                for e in self.objects.values()
                if e.version > after and not (after < 0 and e.deleted)
            ),
            key=lambda each: each.version,
        )
        objects = [self._told(each) for each in told]
        return [objects[at : at + size] for at in range(0, len(objects), size)]

    def _told(self, each: Held) -> SyncObject:
        if each.deleted:
            return SyncObject(
                object_type=each.type,
                operation=SyncOperation.DELETE,
                source_anchor=each.anchor,
                cloud_anchor=each.name,
            )
        links = []
        anchors = []
        for name in sorted(each.members):
            anchor = self.objects[name].anchor
            if not anchor or self.whole_by_name:
                links.append(LinkChange(name, add=True, by_cloud_anchor=True))
            else:
                anchors.append(anchor)
        return SyncObject(
            object_type=each.type,
            operation=SyncOperation.SET,
            source_anchor=each.anchor,
            cloud_anchor=each.name,
            properties={"Title": each.title or None, "Member": tuple(anchors)},
            links=tuple(links),
        )

    @property
    def whole_by_name(self) -> bool:
        return self.random.random() < 0.5

    # --- both agree ------------------------------------------------------------------------

    def _done(self, before: Known) -> None:
        unchanged = self.trusted and self.read == self.version
        self.read = self.version
        self.trusted = True
        objects, links = self._known()
        live = {e.name: e for e in self.objects.values() if not e.deleted}
        synced = {e.name: e.anchor or e.name for e in live.values()}
        kept = [e for e in live.values() if e.anchor and e.type in KINDS]
        assert objects == {e.anchor: (e.type, e.title) for e in kept}
        assert links == {
            (e.anchor, synced[name])
            for e in kept
            if e.type is SyncObjectType.GROUP
            for name in e.members
        }
        marked = {
            anchor
            for (anchor,) in self.database.connection.execute(
                "SELECT a.anchor FROM changed_anchors JOIN anchors a ON id = changed_anchors.anchor"
            )
        }
        both = before[0].keys() | objects.keys()
        assert {a for a in both if before[0].get(a) != objects.get(a)} <= marked
        assert before[1] ^ links <= set(self._pairs("changed_pairs"))
        if unchanged:
            assert (marked, self._pairs("changed_pairs")) == (set(), [])

    def _known(self) -> Known:
        objects: dict[str, tuple[str, object]] = {}
        for anchor, number, kind in self.database.connection.execute(
            "SELECT anchors.anchor, cloud_objects.anchor, type FROM cloud_objects"
            " JOIN anchors ON id = cloud_objects.anchor"
        ).fetchall():
            properties = self.cloud.properties(number) or {}
            objects[anchor] = (kind, properties.get("title", ""))
        return objects, set(self._pairs("cloud_links"))

    def _pairs(self, table: str) -> list[tuple[str, str]]:
        return self.database.connection.execute(
            f"SELECT o.anchor, m.anchor FROM {table} JOIN anchors o ON o.id = owner"  # noqa: S608  - tables of ours
            " JOIN anchors m ON m.id = member"
        ).fetchall()

    def _clear_marks(self) -> None:
        self.database.connection.execute("DELETE FROM changed_anchors")
        self.database.connection.execute("DELETE FROM changed_pairs")

    @invariant()
    def links_are_counted(self) -> None:
        if hasattr(self, "database"):
            assert not self.database.connection.execute(
                "SELECT anchor, links FROM cloud_objects WHERE links <>"
                " (SELECT COUNT(*) FROM cloud_links WHERE owner = anchor)"
            ).fetchall()


TestReadBacks = ReadBacks.TestCase
TestReadBacks.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
