"""Reading a source: all of it, or what changed since a cookie; into the state, all or nothing."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from entrasync.directory.dirsync import REPLICATION_RIGHT
from entrasync.directory.model import SourceEntry
from entrasync.engine.change_resolver import MOST_ENTRIES, ChangeResolver, Elsewhere, too_many
from entrasync.engine.directory_reader import DirectoryReader, SourceReading
from entrasync.engine.kinds import describe
from entrasync.errors import BlockedError
from entrasync.state.schema import Kind
from entrasync.state.sources import FullRead
from entrasync.state.store import Store

META_COOKIE: Final = "source-cookie"
META_READ: Final = "source-read"
"""Digest of what a complete read was made with; absent until there was one."""
META_FULL_READ: Final = "source-full-read"
"""When the last complete read began, in ISO 8601."""

FULL_READ_AFTER: Final = dt.timedelta(hours=23)
"""An hour less than a day: a schedule that is a little late still reads everything daily."""

_OBJECTS: Final = frozenset({Kind.USER, Kind.GROUP, Kind.CONTACT})


def key_of(fact: str, source: str) -> str:
    """The key of a fact about a source."""
    return f"{fact}:{source}"


def usable_cookie(store: Store, source: str, digest: str) -> bytes | None:
    """The cookie of a source to go on from, `None` when only a full read will do."""
    cookie = store.get(key_of(META_COOKIE, source))
    if not cookie or store.get(key_of(META_READ, source)) != digest:
        return None
    return base64.b64decode(cookie)


def forget_cookie(store: Store, source: str) -> None:
    """Makes the next read of a source a full one."""
    store.put(key_of(META_COOKIE, source), None)


def forget_cookies(store: Store) -> None:
    """Makes the next read of every source a full one."""
    with store.transaction():
        for source in store.sources.names():
            forget_cookie(store, source)


def full_read_due(store: Store, source: str, method: tuple[str, str], now: dt.datetime) -> bool:
    """Whether everything must be read again although the changes could be.

    Only with the replication right a directory tells every change. Else what comes into sight or
    goes out of it, since somebody changed rights, is not told: that is found once a day.

    Args:
        store: the state.
        source: name of the source.
        method: how changes are read, and why so.
        now: the time.
    """
    if method[1] == REPLICATION_RIGHT:
        return False
    before = store.get(key_of(META_FULL_READ, source))
    if before is None:
        return True
    age = now - dt.datetime.fromisoformat(before)
    # a time to come is of a clock that was set back since: no telling how old the read is
    return not dt.timedelta(0) <= age < FULL_READ_AFTER


def import_full(
    reader: DirectoryReader,
    store: Store,
    reading: SourceReading,
    now: dt.datetime,
    progress: Callable[[int], None],
) -> int:
    """Brings a source up to all that can be read now; gives the number of entries.

    Raises:
        BlockedError: `SourceEmpty`: there is nothing; what was known is kept.
    """
    # taken first: what changes during the read comes again with the next delta
    cookie = reader.current_cookie()
    with store.sources.full_read(reading.number) as taker:
        count = _read_whole(reader, reading, taker, progress)
        for fact, value in (
            (META_COOKIE, base64.b64encode(cookie).decode()),
            (META_READ, reading.digest),
            (META_FULL_READ, now.isoformat()),
        ):
            store.put(key_of(fact, reading.name), value)
    return count


def _read_whole(
    reader: DirectoryReader,
    reading: SourceReading,
    taker: FullRead,
    progress: Callable[[int], None],
) -> int:
    """Reads all containers and groups, each once; gives the number of entries."""
    wanted = {each.guid for each in (*reading.containers, *reading.groups)}
    seen: set[str] = set()
    count = objects = 0

    def take(entry: SourceEntry) -> Kind:
        nonlocal count
        kind, sid = describe(entry.attributes)
        taker.take(entry, kind, sid)
        if entry.guid in wanted:
            seen.add(entry.guid)
        count += 1
        progress(count)
        return kind

    # shorter names first: a container inside another was read with it
    for container in sorted(reading.containers, key=lambda each: len(each.dn)):
        if container.guid not in seen:
            for entry in reader.read_all(container.dn, reading.attributes):
                objects += take(entry) in _OBJECTS
    if not objects:
        raise source_empty(reading.resource)
    for group in reading.groups:
        if group.guid not in seen:
            for entry in reader.read_all(group.dn, reading.attributes):
                take(entry)
    return count


def source_empty(resource: str) -> BlockedError:
    """The error of a scope without anything in it."""
    return BlockedError(
        "SourceEmpty",
        "the directory shows no user, group or contact in scope; nothing is exported or deleted."
        " Check that the account may read the containers in `spec.sources`, and that they are the"
        " right ones",
        resource=resource,
        field="spec.baseDN",
    )


def import_changes(
    reader: DirectoryReader,
    store: Store,
    reading: SourceReading,
    cookie: bytes,
    progress: Callable[[int], None],
    elsewhere: Elsewhere = lambda _: None,
    note: Callable[[Sequence[str]], Mapping[str, str]] = lambda _: {},
) -> int:
    """Applies what changed since the cookie; gives the number of entries that came.

    Nothing is applied before the last page came: a container may come after what is in it.

    Args:
        reader: the directory.
        store: the state.
        reading: what is read.
        cookie: where to go on from.
        progress: told the entries so far.
        elsewhere: finds an object in another directory of the sync, to which it may have moved.
        note: given the objectGUIDs of what is in sight and was itself told as changed; gives
            further facts to remember with the cookie.

    Raises:
        CookieRejectedError: only a full read helps; what was known is kept.
    """
    entries: list[SourceEntry] = []
    for page in reader.changes(cookie, reading.attributes):
        entries += page.entries
        cookie = page.cookie
        progress(len(entries))
        if len(entries) > MOST_ENTRIES:
            raise too_many(reading.resource)
    resolved = ChangeResolver(reader, store.sources, reading, elsewhere).resolve(entries)
    store.sources.merge(
        reading.number,
        resolved,
        {
            key_of(META_COOKIE, reading.name): base64.b64encode(cookie).decode(),
            **note(_told(entries, resolved)),
        },
        describe=describe,
    )
    return len(entries)


def _told(entries: Sequence[SourceEntry], resolved: Sequence[SourceEntry]) -> list[str]:
    """Who was told as changed, of what is merged: not who was read again, nor what is elsewhere."""
    told = {entry.guid for entry in entries}
    return list(dict.fromkeys(entry.guid for entry in resolved if entry.guid in told))
