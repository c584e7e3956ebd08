"""What the service will do with each addition of a plan, foreseen from what the tenant holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, Protocol

from entrasync.api.choices import Takeover
from entrasync.engine.matching import (
    Addition,
    Forecast,
    MatchFeatures,
    Outcome,
    can_take_over,
    forecast_of,
    keys_of,
)
from entrasync.entra.contracts import PropertyValue, SyncObjectType
from entrasync.entra.graph import (
    COLLECTIONS,
    Account,
    Collection,
    GraphFacts,
    GraphRefusedError,
    Names,
)
from entrasync.entra.graph_accounts import PERMISSIONS
from entrasync.errors import TransientError
from entrasync.state.database import Database
from entrasync.state.forecasts import MetAccounts, addition_types

FEW: Final = 500
"""Most additions whose names are looked up one by one; for more all accounts are read."""
_FEW_ADDRESSES: Final = 5_000
_PAGE: Final = 500


class AccountFinder(Protocol):
    """What the forecast needs of Microsoft Graph; `entra.graph.GraphClient` is one."""

    @property
    def facts(self) -> GraphFacts:
        """What could not be read so far."""

    def accounts_by(self, collection: Collection, names: Names) -> Iterator[Account]:
        """Accounts that have one of the names."""

    def all_accounts(self, collection: Collection) -> Iterator[list[Account]]:
        """Everything in a collection, page by page."""

    def identifiers(self, accounts: Iterable[Account]) -> dict[str, bytes | None]:
        """Which directory objects users are tied to, by object id."""


class Additions(Protocol):
    """What the forecast needs of the plan."""

    def additions(
        self,
    ) -> Iterator[tuple[int, SyncObjectType, str, Mapping[str, PropertyValue]]]:
        """Position, type, SourceAnchor and properties of each."""

    def set_outcomes(self, rows: Iterable[tuple[int, str, int]]) -> None:
        """Notes outcome and takeovers by position."""


class Rules(Protocol):
    """Whether additions may take over accounts; `inputs.MatchingRules` is one."""

    @property
    def soft(self) -> Takeover:
        """By a name."""

    @property
    def hard(self) -> Takeover:
        """By an anchor."""


class Holder(Protocol):
    """The open state."""

    @property
    def database(self) -> Database:
        """Its file."""

    @property
    def plan(self) -> Additions:
        """The plan of this run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """What was foreseen.

    Attributes:
        counts: additions by outcome.
        warning: what to do so that takeovers can be foreseen; `None` when nothing is to be done.
    """

    counts: Mapping[Outcome, int]
    warning: str | None = None


def forecast(
    store: Holder,
    finder: AccountFinder | None,
    features: MatchFeatures,
    rules: Rules,
    progress: Callable[[int, int | None], None],
) -> Foresight:
    """Sets the outcome, and whether it is a takeover, of each addition of the plan.

    Args:
        store: the state.
        finder: Microsoft Graph, `None` where the cloud has none.
        features: the tenant's switches.
        rules: whether takeovers matter.
        progress: told additions done and all additions.

    Raises:
        TransientError: Graph cannot be reached, and a takeover could happen that nobody allowed.
    """
    types = addition_types(store.database)
    total = sum(types.values())
    if not total:
        return Foresight(counts={})
    met = MetAccounts(store.database)
    try:
        unreadable = _meet(_wanted(store.plan, types), met, finder, features, rules)
        counts: Counter[Outcome] = Counter()
        for page in _paged(store.plan.additions()):
            found = _forecasts(page, met, finder, features, unreadable)
            store.plan.set_outcomes(
                (position, each.text, each.takeovers) for position, each in found
            )
            counts.update(each.outcome for _, each in found)
            progress(counts.total(), total)
    finally:
        met.close()
    warning = _warning(counts[Outcome.UNKNOWN], unreadable, finder, rules)
    return Foresight(counts=counts, warning=warning)


# --- reading the tenant ------------------------------------------------------------------------


def _meet(
    wanted: Mapping[Collection, Names | None],
    met: MetAccounts,
    finder: AccountFinder | None,
    features: MatchFeatures,
    rules: Rules,
) -> frozenset[Collection]:
    """Keeps the accounts that additions might meet; gives what could not be read."""
    if finder is None:
        return frozenset(Collection)
    try:
        for collection, names in wanted.items():
            _read(met, finder, features, collection, names)
    except TransientError:
        if not (features.block_all or _is_all_allowed(rules)):
            raise
        return frozenset(Collection)
    return finder.facts.unreadable


def _wanted(plan: Additions, types: Mapping[SyncObjectType, int]) -> dict[Collection, Names | None]:
    """What to look for in the collections that matter, `None` where all is to be read."""
    names: Names | None = None
    if sum(types.values()) <= FEW:
        # an addition may meet an account of another kind by its names
        names = _names(
            [Addition.of(kind, anchor, told) for _, kind, anchor, told in plan.additions()]
        )
        names = names if len(names.addresses) <= _FEW_ADDRESSES else None
    collections = {COLLECTIONS[kind]: names for kind in types if kind in COLLECTIONS}
    if Collection.USERS in collections:
        collections[Collection.DELETED_USERS] = None
    return collections


def _names(additions: Sequence[Addition]) -> Names:
    return Names(
        anchors=frozenset(
            each.anchor for each in additions if each.object_type is SyncObjectType.USER
        ),
        user_principal_names=frozenset(each.name for each in additions if each.name),
        addresses=frozenset(address for each in additions for address in each.addresses),
    )


def _read(
    met: MetAccounts,
    finder: AccountFinder,
    features: MatchFeatures,
    collection: Collection,
    names: Names | None,
) -> None:
    pages = finder.all_accounts(collection)
    if names is not None:
        try:
            found = list(finder.accounts_by(collection, names))
        except GraphRefusedError:
            pass  # a name that Graph does not take: everything is read
        else:
            pages = iter([found])
    for page in pages:
        keyed = ((each, keys_of(each, features)) for each in page)
        met.add((each, keys) for each, keys in keyed if keys)


# --- the forecast ------------------------------------------------------------------------------


def _forecasts(
    page: Sequence[tuple[int, Addition]],
    met: MetAccounts,
    finder: AccountFinder | None,
    features: MatchFeatures,
    unreadable: frozenset[Collection],
) -> list[tuple[int, Forecast]]:
    by_key = met.found({key for _, each in page for key in each.wanted_keys()})
    accounts = {
        position: [account for key in each.wanted_keys() for account in by_key.get(key, ())]
        for position, each in page
    }
    identifiers = _identifiers(page, accounts, finder)
    found = []
    for position, each in page:
        known = [_tied(account, identifiers) for account in accounts[position]]
        told = forecast_of(each, known, features)
        collection = COLLECTIONS.get(each.object_type)
        is_blind = told.outcome is Outcome.CREATE and collection in unreadable
        if is_blind and can_take_over(each, features):
            told = Forecast(outcome=Outcome.UNKNOWN)
        found.append((position, told))
    return found


def _identifiers(
    page: Sequence[tuple[int, Addition]],
    accounts: Mapping[int, Sequence[Account]],
    finder: AccountFinder | None,
) -> Mapping[str, bytes | None]:
    """Which directory objects the accounts are tied to that would be taken over by their anchor.

    Deleted ones cannot be asked.
    """
    wanted = {
        account.id: account
        for position, each in page
        if each.identifier is not None
        for account in accounts[position]
        if account.immutable_id == each.anchor and not (account.synced or account.deleted)
    }
    if finder is None or not wanted:
        return {}
    try:
        return finder.identifiers(wanted.values())
    except TransientError:
        # not knowing it, a takeover is foreseen, which is the careful side
        return {}


def _tied(account: Account, identifiers: Mapping[str, bytes | None]) -> Account:
    identifier = identifiers.get(account.id)
    return account if identifier is None else replace(account, identifier=identifier)


def _paged(
    additions: Iterator[tuple[int, SyncObjectType, str, Mapping[str, PropertyValue]]],
) -> Iterator[list[tuple[int, Addition]]]:
    while some := list(islice(additions, _PAGE)):
        yield [
            (position, Addition.of(object_type, anchor, properties))
            for position, object_type, anchor, properties in some
        ]


# --- what to do about it -----------------------------------------------------------------------


def _is_all_allowed(rules: Rules) -> bool:
    return rules.soft is Takeover.ALLOW and rules.hard is Takeover.ALLOW


def _warning(
    unknown: int,
    unreadable: frozenset[Collection],
    finder: AccountFinder | None,
    rules: Rules,
) -> str | None:
    if not unknown or _is_all_allowed(rules):
        return None
    begin = (
        f"whether {unknown} additions take over accounts of the cloud cannot be foreseen, and"
        " `spec.matching` cannot hold them back"
    )
    switches = (
        "switch on blockSoftMatch and blockCloudObjectTakeoverThroughHardMatch in the tenant's"
        " onPremisesSynchronization, so that the service itself takes over nobody"
    )
    if finder is None:
        return f"{begin}: set `spec.microsoftGraph` of the cloud, or {switches}"
    permissions = " and ".join(sorted({PERMISSIONS[each] for each in unreadable}))
    return (
        f"{begin}: grant the application {permissions} (or Directory.Read.All) on Microsoft Graph"
        f" with admin consent, or {switches}"
    )
