"""Stamping: users without an anchor of their own get their objectGUID written into it.

That changes no anchor, for the value written is the anchor such a user has anyway; from then on it
stays the same when the user moves to another forest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain, takewhile
from types import TracebackType
from typing import Final, Protocol, Self

import structlog

from entrasync.api.directory_sync import SyncMode
from entrasync.directory.writer import ATTRIBUTE, Stamp, Stamping
from entrasync.engine.inputs import CycleInputs, CycleParts
from entrasync.engine.source import SourceKind
from entrasync.errors import TransientError
from entrasync.state.store import Store
from entrasync.state.unstamped import PAGE, Unstamped

MOST_REFUSED: Final = 100
"""Refusals one after the other; then the rest is left for another run."""
_EVERY: Final = 100
"""How many users are looked at between two words on progress."""

log = structlog.get_logger()


class Writer(Protocol):
    """What stamping needs of a writer."""

    def stamp(self, guid: str) -> Stamping:
        """Writes the objectGUID of a user into its anchor, if that is empty."""
        ...


@dataclass(slots=True, frozen=True, kw_only=True)
class StampTally:
    """What became of the users.

    Attributes:
        stamped: users that have the value now.
        refused: users the directory would not let be written to.
        already: users that had a value.
        missing: users that are gone, or not to be seen, or no users after all.
        left: whether the rest was left after too many refusals.
        why: what was wrong with those refused, each sentence once, with its remedy.
    """

    stamped: int = 0
    refused: int = 0
    already: int = 0
    missing: int = 0
    left: bool = False
    why: tuple[str, ...] = ()


def stamp(
    writer: Writer,
    users: Iterable[tuple[str, bool]],
    progress: Callable[[int, int | None], None],
) -> StampTally:
    """Stamps the users that have no value; one that is refused stops nobody else.

    Args:
        writer: writes to the directory.
        users: objectGUID of each, and whether it has a value.
        progress: told how many users were looked at.

    Raises:
        TransientError: the directory is lost. Stamping goes on in the next run.
    """
    counts: Counter[Stamp] = Counter()
    why: dict[str, None] = {}
    in_a_row = 0
    for number, (guid, has_value) in enumerate(users, start=1):
        found = Stamping(outcome=Stamp.ALREADY) if has_value else writer.stamp(guid)
        counts[found.outcome] += 1
        if found.outcome is Stamp.REFUSED:
            in_a_row += 1
            if found.why not in why:
                why[found.why] = None
                log.warning("stamping_refused", message=found.why)
            if in_a_row == MOST_REFUSED:
                break
        elif found.outcome is not Stamp.ALREADY:
            in_a_row = 0
        if not number % _EVERY:
            progress(number, None)
    progress(counts.total(), None)
    return StampTally(
        stamped=counts[Stamp.STAMPED],
        refused=counts[Stamp.REFUSED],
        already=counts[Stamp.ALREADY],
        missing=counts[Stamp.GONE] + counts[Stamp.NO_USER],
        left=in_a_row == MOST_REFUSED,
        why=tuple(why),
    )


def follow_unstamped(inputs: CycleInputs, store: Store) -> None:
    """Keeps in mind whom to stamp; between import and evaluation, in every mode."""
    if _stamps(inputs):
        store.unstamped.follow(ATTRIBUTE)
    else:
        store.unstamped.forget()


def stamp_users(inputs: CycleInputs, parts: CycleParts) -> str:
    """Stamps the users that take part and whose anchor is their objectGUID, source by source.

    After the evaluation. Never with Preview. Ends early when the run is to end. A directory that
    cannot be written to now does not stop the sync: the next run goes on.

    Returns:
        What became of them, for people; empty when there was nobody to stamp.

    Raises:
        ConfigurationError: a directory refuses the account.
    """
    if parts.open_writer is None or inputs.mode is not SyncMode.APPLY or not _stamps(inputs):
        return ""
    told = [
        _told(source.name, each, named=len(inputs.sources) > 1)
        for source in inputs.sources
        if (each := _stamp_source(source.name, parts.open_writer, parts)) is not None
    ]
    return "; ".join(each for each in told if each)


def _stamps(inputs: CycleInputs) -> bool:
    return inputs.anchors.stamp and SourceKind.USER not in inputs.selection.disabled


def _stamp_source(
    source: str,
    open_writer: Callable[[str], AbstractContextManager[Writer]],
    parts: CycleParts,
) -> StampTally | TransientError | None:
    """Stamps users of one source; `None` when there is nobody, so that nobody connects."""
    waiting = parts.store.unstamped.waiting(source)
    first = next(waiting, None)
    if first is None:
        return None
    try:
        with (
            open_writer(source) as writer,
            _Noting(writer, parts.store.unstamped, source) as noting,
        ):
            asked = takewhile(lambda _: not parts.cancelled(), chain((first,), waiting))
            users = ((guid, False) for guid in asked)
            tally = stamp(noting, users, lambda done, total: parts.progress("Stamp", done, total))
    except TransientError as error:
        log.warning("stamping_broke_off", source=source, message=error.message)
        return error
    log.info(
        "stamped",
        source=source,
        stamped=tally.stamped,
        refused=tally.refused,
        already=tally.already,
        missing=tally.missing,
        left=tally.left,
    )
    return tally


def _told(source: str, found: StampTally | TransientError, *, named: bool) -> str:
    where = f" of {source}" if named else ""
    if isinstance(found, TransientError):
        return f"users{where} could not be stamped: {found.message}"
    counted = []
    if found.stamped:
        counted.append(f"{_users(found.stamped, where)} stamped")
    if found.refused:
        rest = ", the rest is left for the next run" if found.left else ""
        counted.append(f"{_users(found.refused, where)} not stamped{rest}: {' '.join(found.why)}")
    return "; ".join(counted)


def _users(count: int, where: str) -> str:
    return f"1 user{where} was" if count == 1 else f"{count} users{where} were"


class _Noting:
    """A writer that strikes off who need not be looked at again, some at a time.

    Args:
        writer: writes to the directory.
        unstamped: who is waiting.
        source: whose users they are.
    """

    def __init__(self, writer: Writer, unstamped: Unstamped, source: str) -> None:
        self._writer = writer
        self._unstamped = unstamped
        self._source = source
        self._settled: list[str] = []
        self._last: str | None = None
        self._looked_at = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._note()

    def stamp(self, guid: str) -> Stamping:
        """Writes the objectGUID of a user into its anchor, if that is empty."""
        found = self._writer.stamp(guid)
        self._last = guid
        self._looked_at += 1
        if found.outcome is not Stamp.REFUSED:
            self._settled.append(guid)
        if not self._looked_at % PAGE:
            self._note()
        return found

    def _note(self) -> None:
        if self._last is not None:
            self._unstamped.strike_off(self._source, self._settled, self._last)
            self._settled.clear()
