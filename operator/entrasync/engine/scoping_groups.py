"""Reading what is in groups that decide what takes part, wherever it lies."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from entrasync.directory.model import SourceEntry
from entrasync.engine.directory_reader import GuidReader, SourceReading
from entrasync.engine.kinds import describe
from entrasync.state.store import Store

log = structlog.get_logger()


def read_groups_within(
    readers: Mapping[str, GuidReader],
    store: Store,
    readings: Mapping[str, SourceReading],
    groups: frozenset[str],
) -> int:
    """Reads what is in scoping groups and lies outside of the containers; gives the entries read.

    It is part of the source space from then on, so that changes of it are followed like any other.
    Works from what the store knows, so a run that was killed meanwhile mends itself.

    Args:
        readers: the directories by name of source, in order of precedence.
        store: the state, imported.
        readings: what is read of each.
        groups: objectGUIDs of groups whose members count at any depth.
    """
    if not groups:
        return 0
    read = 0
    tried: set[str] = set()
    while waiting := [guid for guid in store.sources.unknown_within(groups) if guid not in tried]:
        tried.update(waiting)
        found = {name: list[SourceEntry]() for name in readings}
        for guid in waiting:
            for name, reading in readings.items():
                entry = readers[name].read_guid(guid, (*reading.attributes, "objectClass"))
                if entry is not None and not entry.deleted:
                    found[name].append(entry)
                    read += 1
                    break
        for name, entries in found.items():
            store.sources.merge(readings[name].number, entries, {}, describe=describe)
    if tried:
        log.info("scoping_groups_read", read=read, not_seen=len(tried) - read)
    return read
