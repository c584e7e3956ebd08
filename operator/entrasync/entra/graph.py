"""A client of Microsoft Graph that reads what additions might meet, and changes nothing.

What it may not read is a fact (`GraphFacts`), not an error: a sync works without Graph.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import httpx
import structlog

from entrasync.entra.clouds import Cloud
from entrasync.entra.graph_accounts import (
    COLLECTIONS,
    PERMISSIONS,
    Account,
    Collection,
    Names,
    account_of,
    identifier_of,
    lookup_paths,
    page_path,
)
from entrasync.entra.graph_calling import (
    BATCH_SIZE,
    GraphCaller,
    GraphForbiddenError,
    GraphRefusedError,
)
from entrasync.entra.surroundings import Surroundings
from entrasync.entra.tokens import Audience, TokenSource
from entrasync.errors import ConfigurationError

__all__ = [
    "COLLECTIONS",
    "Account",
    "Collection",
    "GraphClient",
    "GraphFacts",
    "GraphRefusedError",
    "LastSync",
    "Names",
    "SyncSettings",
    "graph_audience",
]

VERSION: Final = "v1.0"
BETA: Final = "beta"
MOST_PAGES: Final = 4_000
"""Most pages of one collection: four times the largest tenant there is."""
_MOST_PAGES_OF_A_LOOKUP: Final = 20
LAST_SYNC: Final = "onPremisesLastSyncDateTime"
_COUNTED: Final = "enabledForCount"
_ENABLED: Final = "Enabled"

log = structlog.get_logger()


def graph_audience(cloud: Cloud) -> Audience | None:
    """Whom tokens for Graph are for, `None` where the cloud names no Graph."""
    if cloud.microsoft_graph is None:
        return None
    return Audience(scope=f"{cloud.microsoft_graph.rstrip('/')}/.default")


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphFacts:
    """What could not be read so far.

    Attributes:
        unreadable: collections that the application may not read, or of which Graph told no end.
    """

    unreadable: frozenset[Collection] = frozenset()

    @property
    def readable(self) -> bool:
        """Whether all that was asked for could be read."""
        return not self.unreadable

    @property
    def permissions(self) -> tuple[str, ...]:
        """Application permissions that are lacking."""
        return tuple(sorted({PERMISSIONS[each] for each in self.unreadable}))


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncSettings:
    """How the tenant is set up for synchronization (`onPremisesSynchronization`).

    Attributes:
        deletion_threshold: most deletions of one export, `None` when they are not counted.
        features: by Graph's names without `Enabled`, for example `blockSoftMatch`.
    """

    deletion_threshold: int | None
    features: Mapping[str, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class LastSync:
    """When a tenant was synced last, by whatever engine (`onPremisesLastSyncDateTime`).

    Attributes:
        time: aware; `None` for never.
    """

    time: dt.datetime | None


class GraphClient:
    """Reads one tenant; a context manager. One connection, kept.

    Args:
        cloud: hosts and trust; names a Graph.
        tokens: access tokens for `graph_audience(cloud)`.
        surroundings: time, ids, waiting.
        resource: `Kind/name` that errors point at.
        transport: of the HTTP client, for tests.

    Raises:
        ConfigurationError: the cloud names no Graph, or its certificates cannot be read.
    """

    def __init__(
        self,
        cloud: Cloud,
        tokens: TokenSource,
        surroundings: Surroundings,
        *,
        resource: str = "",
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        if cloud.microsoft_graph is None:
            raise ConfigurationError(
                "ConfigurationInvalid",
                "the cloud names no Microsoft Graph; set `spec.microsoftGraph`",
                resource=f"AzureCloud/{cloud.name}",
                field="spec.microsoftGraph",
            )
        self._caller = GraphCaller(
            cloud,
            cloud.microsoft_graph,
            tokens,
            surroundings,
            resource=resource,
            transport=transport,
        )
        self.facts = GraphFacts()
        """What could not be read so far."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._caller.close()

    def accounts_by(self, collection: Collection, names: Names) -> Iterator[Account]:
        """Accounts that have one of the names; the same one may come several times.

        Asked for in batches. What must not be read gives none, and is noted in `facts`.

        Args:
            collection: users, groups or contacts.
            names: any number.

        Raises:
            GraphRefusedError: Graph does not take a name; `all_accounts` needs none.
            TransientError: Graph cannot be reached, or is busy for too long.
        """
        for some in _split(lookup_paths(collection, names)):
            try:
                for _, document in self._caller.batch(VERSION, some):
                    for page in self._pages(document, _MOST_PAGES_OF_A_LOOKUP, collection):
                        yield from page
            except GraphForbiddenError as error:
                self._note(collection, error.status)
                return

    def all_accounts(self, collection: Collection) -> Iterator[list[Account]]:
        """Everything in a collection, page by page.

        What must not be read gives none, and is noted in `facts`; so is a collection that goes on
        and on, the pages so far stand.

        Raises:
            TransientError: Graph cannot be reached, or is busy for too long.
        """
        try:
            document = self._caller.get(f"{VERSION}/{page_path(collection)}")
            yield from self._pages(document, MOST_PAGES, collection)
        except GraphRefusedError as error:
            self._note(collection, error.status)

    def identifiers(self, accounts: Iterable[Account]) -> dict[str, bytes | None]:
        """Which directory objects users are tied to, by object id; those not told are absent.

        Graph tells it in its beta only, so that a refusal says nothing of what may be read.

        Raises:
            TransientError: Graph cannot be reached, or is busy for too long.
        """
        ids = sorted({each.id for each in accounts})
        found: dict[str, bytes | None] = {}
        paths = {f"users/{each}?$select=id,onPremisesObjectIdentifier": each for each in ids}
        for some in _split(paths):
            try:
                for path, document in self._caller.batch(BETA, some):
                    if "onPremisesObjectIdentifier" in document:
                        found[paths[path]] = identifier_of(document)
            except GraphRefusedError as error:
                log.info("graph_identifiers_not_told", status=error.status)
                break
        return found

    def settings(self) -> SyncSettings | None:
        """The tenant's settings of synchronization, `None` when they must not be read.

        Raises:
            TransientError: Graph cannot be reached, or is busy for too long.
        """
        return _settings(
            self._first("directory/onPremisesSynchronization", "graph_settings_not_readable")
        )

    def last_sync(self) -> LastSync | None:
        """When the tenant was synced last, `None` when that must not be read.

        Raises:
            TransientError: Graph cannot be reached, or is busy for too long.
        """
        return _last_sync(
            self._first(f"organization?$select={LAST_SYNC}", "graph_last_sync_not_readable")
        )

    def _first(self, path: str, refusal: str) -> Any:
        """The first of a list, `None` when it is empty or must not be read, which is logged."""
        try:
            document = self._caller.get(f"{VERSION}/{path}")
        except GraphRefusedError as error:
            log.info(refusal, status=error.status)
            return None
        found = document.get("value")
        return found[0] if isinstance(found, list) and found else None

    def _pages(
        self, document: Mapping[str, Any], most: int, collection: Collection
    ) -> Iterator[list[Account]]:
        for _ in range(most):
            found = document.get("value")
            items = found if isinstance(found, list) else []
            accounts = (account_of(each, collection) for each in items if isinstance(each, dict))
            yield [each for each in accounts if each is not None]
            proceed = document.get("@odata.nextLink")
            if not isinstance(proceed, str):
                return
            document = self._caller.get(proceed)
        log.warning("graph_too_many_pages", collection=collection.value, pages=most)
        self._note(collection, None)

    def _note(self, collection: Collection, status: int | None) -> None:
        log.info("graph_not_readable", collection=collection.value, status=status)
        self.facts = replace(self.facts, unreadable=self.facts.unreadable | {collection})


def _split(paths: Iterable[str]) -> Iterator[Sequence[str]]:
    some: list[str] = []
    for each in paths:
        some.append(each)
        if len(some) == BATCH_SIZE:
            yield some
            some = []
    if some:
        yield some


def _last_sync(document: Any) -> LastSync | None:
    """What Graph says of the organization; what is no time is nothing that was said."""
    if not isinstance(document, dict) or LAST_SYNC not in document:
        return None
    told = document[LAST_SYNC]
    if told is None:
        return LastSync(time=None)
    try:
        time = dt.datetime.fromisoformat(told)
    except (TypeError, ValueError):
        log.warning("graph_last_sync_unreadable")
        return None
    return LastSync(time=time if time.tzinfo else time.replace(tzinfo=dt.UTC))


def _settings(document: Any) -> SyncSettings | None:
    """Settings from a document of Graph; what it does not say is off."""
    if not isinstance(document, dict):
        return None
    prevention = _inner(_inner(document, "configuration"), "accidentalDeletionPrevention")
    threshold = prevention.get("alertThreshold")
    counted = prevention.get("synchronizationPreventionType") == _COUNTED
    return SyncSettings(
        deletion_threshold=threshold if counted and isinstance(threshold, int) else None,
        features={
            name.removesuffix(_ENABLED): value is True
            for name, value in _inner(document, "features").items()
        },
    )


def _inner(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = document.get(name)
    return found if isinstance(found, dict) else {}
