"""Links of the cloud space as a read-back tells them; a group's members are held at a time."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from itertools import chain

from entrasync.state.cloud_rows import ToldMembers
from entrasync.state.database import Database
from entrasync.state.drift import MEMBER_PREFIX


class LinkWriter:
    """Writes links and marks what changed.

    Args:
        database: the open state.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection = database.connection

    def take(self, owner: int, told: ToldMembers) -> tuple[list[int], list[int]]:
        """Brings the links of a group to what the tenant tells.

        Returns:
            Numbers of members that were not known, and of such as are members no longer.
        """
        missing = told.anchors
        missing.update(self._resolved(told.cloud_anchors))
        if told.whole:
            added, removed = self._compared(owner, missing)
        else:
            gone = {*told.removed, *self._resolved(told.removed_cloud_anchors)} - missing
            have = self._have(owner, self._database.known_anchors(missing | gone).values())
            added = [n for n in self._database.anchor_numbers(missing).values() if n not in have]
            removed = [n for n in self._database.known_anchors(gone).values() if n in have]
        self._write(owner, added, removed)
        return added, removed

    def presence(self, owner: int, keys: Iterable[str]) -> Iterator[tuple[int, bool]]:
        """Of keys of drift that mean links: the member, and whether it is one."""
        members = [
            int(key.removeprefix(MEMBER_PREFIX)) for key in keys if key.startswith(MEMBER_PREFIX)
        ]
        have = self._have(owner, members)
        for member in members:
            yield member, member in have

    def drop_owner(self, owner: int) -> None:
        """Removes all links of a group."""
        self._connection.execute(
            "INSERT OR IGNORE INTO changed_pairs"
            " SELECT owner, member FROM cloud_links WHERE owner = ?",
            (owner,),
        )
        self._connection.execute("DELETE FROM cloud_links WHERE owner = ?", (owner,))
        self._connection.execute(
            "UPDATE cloud_objects SET links = 0 WHERE anchor = ? AND links", (owner,)
        )

    def drop_member(self, member: int) -> None:
        """Removes all links to an object."""
        owners = self._owners(member)
        self._forget(owners, member)

    def rename(self, old: int, new: int) -> None:
        """Lets an object be a member wherever it was one under another anchor."""
        owners = self._owners(old)
        if not owners:
            return
        pairs = [(owner, new) for owner in owners if not self._have(owner, (new,))]
        self._connection.executemany("INSERT INTO cloud_links VALUES (?, ?)", pairs)
        self._connection.executemany("INSERT OR IGNORE INTO changed_pairs VALUES (?, ?)", pairs)
        self._connection.executemany(
            "UPDATE cloud_objects SET links = links + 1 WHERE anchor = ?",
            [(owner,) for owner, _ in pairs],
        )
        self._forget(owners, old)

    # --- steps -----------------------------------------------------------------------------

    def _compared(self, owner: int, missing: set[str]) -> tuple[list[int], list[int]]:
        """Numbers of what must be added and removed; what is known is taken from the set."""
        removed: list[int] = []
        for member, anchor in self._connection.execute(
            "SELECT member, anchor FROM cloud_links JOIN anchors ON id = member WHERE owner = ?",
            (owner,),
        ):
            if anchor in missing:
                missing.discard(anchor)
            else:
                removed.append(member)
        return sorted(self._database.anchor_numbers(missing).values()), removed

    def _write(self, owner: int, added: Collection[int], removed: Collection[int]) -> None:
        if not added and not removed:
            return
        for statement, members in (
            ("INSERT INTO cloud_links VALUES (?, ?)", added),
            ("DELETE FROM cloud_links WHERE owner = ? AND member = ?", removed),
            ("INSERT OR IGNORE INTO changed_pairs VALUES (?, ?)", chain(added, removed)),
        ):
            self._connection.executemany(statement, ((owner, member) for member in members))
        self._connection.execute(
            "UPDATE cloud_objects SET links = links + ? WHERE anchor = ?",
            (len(added) - len(removed), owner),
        )

    def _forget(self, owners: Collection[int], member: int) -> None:
        pairs = [(owner, member) for owner in owners]
        self._connection.executemany("INSERT OR IGNORE INTO changed_pairs VALUES (?, ?)", pairs)
        self._connection.execute("DELETE FROM cloud_links WHERE member = ?", (member,))
        self._connection.executemany(
            "UPDATE cloud_objects SET links = links - 1 WHERE anchor = ?",
            [(owner,) for owner in owners],
        )

    def _owners(self, member: int) -> list[int]:
        rows = self._connection.execute("SELECT owner FROM cloud_links WHERE member = ?", (member,))
        return [owner for (owner,) in rows]

    def _have(self, owner: int, members: Collection[int]) -> set[int]:
        """Which of these are members."""
        rows = self._connection.execute(
            "SELECT member FROM cloud_links WHERE owner = ?"
            " AND member IN (SELECT value FROM json_each(?))",
            (owner, json.dumps(list(members))),
        )
        return {member for (member,) in rows}

    def _resolved(self, cloud_anchors: Collection[str]) -> list[str]:
        """SourceAnchors of CloudAnchors, where they are known."""
        if not cloud_anchors:
            return []
        names = json.dumps(list(cloud_anchors))
        found: dict[str, str] = {}
        for table in ("cloud_aliases", "cloud_objects"):
            found.update(
                self._connection.execute(
                    f"SELECT cloud_anchor, anchors.anchor FROM {table}"  # noqa: S608  - tables of ours
                    f" JOIN anchors ON anchors.id = {table}.anchor"
                    " WHERE cloud_anchor IN (SELECT value FROM json_each(?))",
                    (names,),
                )
            )
        return [found.get(name, name) for name in cloud_anchors]
