"""All that is known of one object, from the state alone: why it is in the cloud as it is."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Iterator
from typing import Final, Protocol

from entrasync.engine.explanation import (
    ExplainedChange,
    ExplainedCloud,
    ExplainedDrift,
    ExplainedError,
    ExplainedLinks,
    ExplainedSource,
    ExplainedValue,
    Explanation,
    Shown,
)
from entrasync.engine.source import SourceKind, first_rdn
from entrasync.entra.contracts import PropertyValue, SyncObjectType
from entrasync.errors import ConfigurationError
from entrasync.state.lookup import MOST_FOUND, Lookup
from entrasync.state.lookup_rows import PlannedRow, SourceRow
from entrasync.state.schema import Kind, Part

OBJECT_NOT_FOUND: Final = "ObjectNotFound"
SIGN_IN_ATTRIBUTES: Final = ("userPrincipalName", "mail")
"""What a person may name an object by, beside its identifiers; called the same on both sides."""
_MOST_CHARACTERS: Final = 2_048
"""Of a name; as many as a DN may have."""
_GUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_KINDS: Final = {
    Kind.USER: SourceKind.USER,
    Kind.GROUP: SourceKind.GROUP,
    Kind.CONTACT: SourceKind.CONTACT,
}
_TYPES: Final = {
    SyncObjectType.USER: SourceKind.USER,
    SyncObjectType.GROUP: SourceKind.GROUP,
    SyncObjectType.CONTACT: SourceKind.CONTACT,
}


class Flows(Protocol):
    """What explaining needs of the flows of a sync."""

    @property
    def reference_targets(self) -> Collection[str]:
        """Properties that name other objects by their anchors."""
        ...

    def why(self, kind: SourceKind, target: str) -> str:
        """The flow that gives a property, in a few words; empty when none does."""
        ...


def explain(
    lookup: Lookup,
    name: str,
    *,
    flows: Flows,
    names: bool,
    disabled: Collection[SourceKind] = (),
) -> list[Explanation]:
    """Explains the objects of a name; one, but for what several have, such as a mail address.

    Args:
        lookup: into the state.
        name: an anchor, objectGUID, DN, userPrincipalName or mail address.
        flows: of the sync.
        names: whether names and values are shown; else only how long they are.
        disabled: kinds of objects that are not synchronized.

    Raises:
        ConfigurationError: `ObjectNotFound`.
    """
    explainer = _Explainer(lookup, flows, disabled, names=names)
    subjects = _subjects(lookup, name.strip()) if _is_name(name) else ()
    found = [explainer.of(anchor, sources) for anchor, sources in subjects]
    if not found:
        raise ConfigurationError(
            OBJECT_NOT_FOUND,
            "the state knows no object of this name; name its anchor, objectGUID, DN,"
            " userPrincipalName or mail address as the directory has it, and see that a run was"
            " made since it is there",
        )
    return found


def _is_name(text: str) -> bool:
    """Whether anything may be called so: a command line brings any length, and any bytes."""
    return len(text) <= _MOST_CHARACTERS and not any("\ud800" <= each <= "\udfff" for each in text)


def _subjects(lookup: Lookup, name: str) -> Iterator[tuple[int | None, list[SourceRow]]]:
    """Anchors with the source objects that belong to each, each anchor once."""
    told: set[int] = set()
    for anchor, row in _found(lookup, name):
        if anchor is None and row is not None:
            yield None, [row]
        elif anchor is not None and anchor not in told:
            told.add(anchor)
            sources = lookup.sources_of(anchor)
            # one that was exported and has left the scope belongs here as well
            apart = row is not None and all(each.number != row.number for each in sources)
            yield anchor, [*sources, row] if apart and row is not None else sources


def _found(lookup: Lookup, name: str) -> list[tuple[int | None, SourceRow | None]]:
    """The first of the ways to name an object that finds any."""
    anchor = lookup.anchor_number(name)
    if anchor is not None and (lookup.cloud(anchor) or lookup.sources_of(anchor)):
        return [(anchor, None)]
    guid = name.lower().strip("{}")
    if _GUID.fullmatch(guid):
        row = lookup.source_by_guid(guid)
        pinned = lookup.pinned(guid)
        if row is not None:
            return [(_anchor_of(lookup, row), row)]
        return [] if pinned is None else [(pinned, None)]
    rows = _by_dn(lookup, name) if "=" in name else []
    rows = rows or lookup.sources_with(SIGN_IN_ATTRIBUTES, name)
    if rows:
        return [(_anchor_of(lookup, row), row) for row in rows]
    return [(each, None) for each in lookup.anchors_with(SIGN_IN_ATTRIBUTES, name)]


def _by_dn(lookup: Lookup, dn: str) -> list[SourceRow]:
    wanted = dn.casefold()
    found = []
    for row in lookup.sources_named(first_rdn(dn)):
        if wanted in {row.dn.casefold(), _dn_now(lookup, row).casefold()}:
            found.append(row)
            if len(found) == MOST_FOUND:
                break
    return found


def _dn_now(lookup: Lookup, row: SourceRow) -> str:
    """The DN as it is now: a renamed container renames all below it, without telling."""
    *below, root = lookup.containers(row.number)
    return ",".join([*(first_rdn(dn) for dn in below), root])


def _anchor_of(lookup: Lookup, row: SourceRow) -> int | None:
    if row.part is not None and row.part.anchor is not None:
        return row.part.anchor
    return lookup.pinned(row.guid)


class _Explainer:
    def __init__(
        self, lookup: Lookup, flows: Flows, disabled: Collection[SourceKind], *, names: bool
    ) -> None:
        self._lookup = lookup
        self._flows = flows
        self._disabled = disabled
        self._names = names

    def of(self, anchor: int | None, sources: list[SourceRow]) -> Explanation:
        explained = Explanation(sources=[self._source(row) for row in sources])
        if anchor is None:
            return explained
        explained.anchor = self._lookup.anchor_name(anchor)
        explained.cloud = self._cloud(anchor)
        explained.values = list(self._values(anchor, sources))
        explained.pending = self._pending(anchor)
        links = self._lookup.pending_links(anchor)
        explained.links = ExplainedLinks(
            add=links.adds, remove=links.removes, join=links.joins, leave=links.leaves
        )
        explained.errors = self._errors(anchor)
        explained.removal = self._removal(anchor)
        explained.drift = self._drift(anchor)
        explained.drift_count = self._lookup.drift_count(anchor)
        return explained

    def _source(self, row: SourceRow) -> ExplainedSource:
        part = row.part
        withheld = None
        if part is not None and part.withheld is not None:
            withheld = f"{part.withheld}: {part.message or ''}".removesuffix(": ")
        in_scope, scope = _scope(row, self._disabled)
        return ExplainedSource(
            source=row.source,
            guid=row.guid,
            dn=self._text(_dn_now(self._lookup, row)),
            kind=row.kind.name.capitalize(),
            in_scope=in_scope,
            scope=scope,
            withheld=withheld,
            attributes={
                name: self._shown(_decoded(values))
                for name, values in sorted(row.attributes.items())
            },
        )

    def _cloud(self, anchor: int) -> ExplainedCloud | None:
        row = self._lookup.cloud(anchor)
        if row is None:
            return None
        return ExplainedCloud(
            type=row.type,
            cloud_anchor=row.cloud_anchor,
            owned=row.owned,
            managed_in_cloud=row.cloud_managed,
            members=row.links,
        )

    def _values(self, anchor: int, sources: list[SourceRow]) -> Iterator[ExplainedValue]:
        cloud = self._lookup.cloud(anchor)
        held = {} if cloud is None else cloud.properties
        changes = self._lookup.pending(anchor)
        wanted = {key: value for row in changes for key, value in row.properties.items()}
        reasons = {key: text for row in changes for key, text in row.why.items()}
        kind = _kind_of(sources, None if cloud is None else cloud.type)
        for key in sorted({*held, *wanted}):
            value = wanted.get(key, held.get(key))
            yield ExplainedValue(
                property=key,
                value=self._property(key, value),
                cloud=self._property(key, held.get(key)) if key in wanted else None,
                pending=key in wanted,
                why=reasons.get(key) or self._why(kind, key),
            )

    def _why(self, kind: SourceKind | None, key: str) -> str:
        flow = "" if kind is None else self._flows.why(kind, key)
        return flow or "no flow: as the tenant has it"

    def _pending(self, anchor: int) -> list[ExplainedChange]:
        planned = {row.part: row for row in self._lookup.planned(anchor)}
        found = []
        for row in self._lookup.pending(anchor):
            change = ExplainedChange(
                action=row.action, properties=sorted(row.properties), why=row.why.get("")
            )
            found.append(_with_plan(change, planned.get(row.part)))
        links = planned.get(Part.LINKS)
        if links is not None:
            found.append(_with_plan(ExplainedChange(action=links.action), links))
        return found

    def _errors(self, anchor: int) -> list[ExplainedError]:
        found = [
            ExplainedError(
                code=row.code, message=row.message, attempts=row.attempts, next_try=row.next_try
            )
            for row in self._lookup.failures(anchor)
        ]
        conflict = self._lookup.conflict(anchor)
        if conflict is not None:
            found.append(ExplainedError(code=conflict[0], message=conflict[1]))
        return found

    def _removal(self, anchor: int) -> str | None:
        wanted_no_longer, evidence = self._lookup.is_candidate(anchor)
        if not wanted_no_longer:
            return None
        return evidence or "not looked for yet"

    def _drift(self, anchor: int) -> list[ExplainedDrift]:
        return [
            ExplainedDrift(
                property=row.key if row.member is None else f"member {row.member}",
                exported=self._property(row.key, row.exported),
                told=self._property(row.key, row.told),
                times=row.times,
            )
            for row in self._lookup.drift(anchor)
        ]

    def _property(self, key: str, value: PropertyValue) -> Shown | None:
        if value is None:
            return None
        # anchors are no names
        plain = key in self._flows.reference_targets
        return _whole(value) if plain else self._shown(value)

    def _shown(self, value: PropertyValue) -> Shown:
        shown = _whole(value)
        if isinstance(shown, list):
            return [self._text(each) for each in shown]
        return self._text(shown) if isinstance(shown, str) else shown

    def _text(self, text: str) -> str:
        return text if self._names else f"<{len(text)} characters>"


def _with_plan(change: ExplainedChange, planned: PlannedRow | None) -> ExplainedChange:
    if planned is not None:
        change.outcome = planned.outcome
        change.braked, change.held = planned.braked, planned.held
    return change


def _scope(row: SourceRow, disabled: Collection[SourceKind]) -> tuple[bool, str]:
    part = row.part
    if not row.named:
        return False, (
            f"the sync names source {row.source} no longer: what came from it stays as it is"
        )
    if row.kind not in _KINDS:
        return False, "it is no user, group or contact"
    if _KINDS[row.kind] in disabled:
        return False, (
            f"`synchronize` in `spec.objects.{_KINDS[row.kind]}s` is Disabled: what the cloud has"
            " of it stays as it is"
        )
    if part is None:
        return False, (
            f"it lies outside the containers of source {row.source} (`include` and `exclude` in"
            " `spec.sources`)"
        )
    if part.rule is not None and part.anchor is None:
        return False, f"rule {part.rule} leaves it out"
    return True, f"it lies in the containers of source {row.source}, and no rule leaves it out"


def _kind_of(sources: list[SourceRow], cloud_type: str | None) -> SourceKind | None:
    if cloud_type in _TYPES:
        return _TYPES[SyncObjectType(cloud_type)]
    kinds = (_KINDS[row.kind] for row in sources if row.kind in _KINDS)
    return next(kinds, None)


def _decoded(values: tuple[bytes, ...]) -> PropertyValue:
    try:
        texts = tuple(value.decode() for value in values)
    except UnicodeDecodeError:
        return values if len(values) != 1 else values[0]
    return texts if len(texts) != 1 else texts[0]


def _whole(value: PropertyValue) -> Shown:
    if isinstance(value, tuple):
        return [_one(each) for each in value]
    if isinstance(value, bytes):
        return _one(value)
    return "" if value is None else value


def _one(value: str | bytes) -> str:
    return value if isinstance(value, str) else base64.b64encode(value).decode()
