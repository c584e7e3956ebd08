"""What a look-up in the state gives: one class a table, values decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from entrasync.entra.contracts import PropertyValue
from entrasync.state.schema import Kind, Part


@dataclass(slots=True, frozen=True, kw_only=True)
class PartRow:
    """What evaluation found of a source object.

    Attributes:
        kind: what it is synced as.
        rule: what leaves it out, `None` when it takes part.
        computed: anchor that its own attributes give.
        anchor: number of the cloud object it belongs to.
        withheld: reason why that one is left as it is.
        message: what to do about it.
    """

    kind: Kind
    rule: str | None
    computed: str | None
    anchor: int | None
    withheld: str | None
    message: str | None


@dataclass(slots=True, frozen=True, kw_only=True)
class SourceRow:
    """One object of a source.

    Attributes:
        number: in the state.
        guid: objectGUID.
        source: name of its source.
        named: whether the sync still names that source.
        kind: what it is.
        dn: as last told.
        attributes: as read.
        part: what evaluation found; `None` outside the containers of the scope.
    """

    number: int
    guid: str
    source: str
    named: bool
    kind: Kind
    dn: str
    attributes: Mapping[str, tuple[bytes, ...]]
    part: PartRow | None


@dataclass(slots=True, frozen=True, kw_only=True)
class CloudRow:
    """One object of the tenant, as last known."""

    type: str
    cloud_anchor: str | None
    guid: str | None
    owned: bool
    cloud_managed: bool
    links: int
    properties: Mapping[str, PropertyValue]


@dataclass(slots=True, frozen=True, kw_only=True)
class PendingRow:
    """One change that is pending; `why` says by property which flow wants it, '' of the whole."""

    part: Part
    action: str
    properties: Mapping[str, PropertyValue]
    why: Mapping[str, str]


@dataclass(slots=True, frozen=True, kw_only=True)
class PlannedRow:
    """One change as the last plan had it."""

    part: Part
    action: str
    outcome: str | None
    braked: str | None
    held: str | None


@dataclass(slots=True, frozen=True, kw_only=True)
class FailureRow:
    """What the service refused of an object."""

    part: Part
    code: str
    message: str
    attempts: int
    first_time: str
    next_try: str


@dataclass(slots=True, frozen=True, kw_only=True)
class DriftRow:
    """One property, or with `member` one link, that somebody else changed."""

    key: str
    member: str | None
    told: PropertyValue
    exported: PropertyValue
    times: int


@dataclass(slots=True, frozen=True, kw_only=True)
class LinkCounts:
    """Links of a group that are pending, and of an object in the groups of others."""

    adds: int
    removes: int
    joins: int
    leaves: int
