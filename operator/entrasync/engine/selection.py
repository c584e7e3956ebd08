"""Which objects of the containers take part: `spec.objects`, beside Entra Connect's exclusions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from entrasync.engine.exclusions import UNREADABLE, WITHOUT_ACCOUNT, excluded_by
from entrasync.engine.filters import MEMBERSHIP, Filter
from entrasync.engine.groups import GroupMembers
from entrasync.engine.source import SourceKind, SourceObject
from entrasync.errors import BlockedError, ConfigurationError
from entrasync.state.rows import guid_bytes
from entrasync.state.schema import Kind
from entrasync.state.store import Store

FILTERED: Final = "AttributeFilter"
"""Name under which reports count what `where` leaves out."""
NO_MEMBER: Final = "ScopingGroup"
"""Name under which reports count what `memberOf` leaves out."""

_NOWHERE: Final[frozenset[str]] = frozenset()
_PLURALS: Final = {
    SourceKind.USER: "users",
    SourceKind.GROUP: "groups",
    SourceKind.CONTACT: "contacts",
}


@dataclass(slots=True, frozen=True, kw_only=True)
class UsedAttribute:
    """An attribute that a person's filter looks at.

    Attributes:
        name: as written.
        field: where it is written.
        only_presence: whether its values are not looked at.
    """

    name: str
    field: str
    only_presence: bool


@dataclass(slots=True, frozen=True, kw_only=True)
class KindRules:
    """Which objects of one kind take part, as written.

    Attributes:
        enabled: whether the kind is synced; the rest counts only then.
        where: what attributes must say.
        group: DN of the group they must be in, as written.
        nested: whether groups in it count.
    """

    enabled: bool = True
    where: Filter | None = None
    group: str | None = None
    nested: bool = False


@dataclass(slots=True, frozen=True, kw_only=True)
class SelectionRules:
    """`spec.objects` as written; empty when nothing is.

    Attributes:
        kinds: rules by kind.
        resource: `Kind/name` that errors point at.
    """

    kinds: Mapping[SourceKind, KindRules] = field(default_factory=dict)
    resource: str = ""

    @property
    def disabled(self) -> frozenset[SourceKind]:
        """Kinds that are left as they are in the cloud."""
        return frozenset(kind for kind, rules in self.kinds.items() if not rules.enabled)

    @property
    def groups(self) -> dict[str, str]:
        """DNs of the groups it names, as written, and the field of each."""
        found: dict[str, str] = {}
        for kind, rules in self._enabled():
            if rules.group is not None:
                found.setdefault(rules.group, _field_of_group(kind))
            for clause in rules.where.clauses if rules.where else ():
                if clause.operator in MEMBERSHIP:
                    found.setdefault(clause.value, clause.field)
        return found

    @property
    def nested_groups(self) -> frozenset[str]:
        """DNs of the groups whose members count at any depth, as written."""
        return frozenset(r.group for _, r in self._enabled() if r.group is not None and r.nested)

    @property
    def attributes(self) -> tuple[UsedAttribute, ...]:
        """Attributes its filters look at."""
        return tuple(
            UsedAttribute(
                name=clause.attribute, field=clause.field, only_presence=clause.only_presence
            )
            for _, rules in self._enabled()
            for clause in (rules.where.clauses if rules.where else ())
            if clause.attribute
        )

    @property
    def facts(self) -> list[object]:
        """What tells it apart from another one, as plain data."""
        return [
            [
                str(kind),
                rules.enabled,
                rules.group,
                rules.nested,
                [
                    [[str(c.operator), c.attribute.lower(), c.value] for c in group]
                    for group in (rules.where.groups if rules.where else ())
                ],
            ]
            for kind, rules in sorted(self.kinds.items())
            if rules != KindRules()
        ]

    def _enabled(self) -> list[tuple[SourceKind, KindRules]]:
        return [(kind, rules) for kind, rules in self.kinds.items() if rules.enabled]


@dataclass(slots=True, frozen=True, kw_only=True)
class Selection:
    """The same, tied to a source: attributes as it spells them, groups with their members.

    Attributes:
        rules: as written, attributes as the source spells them.
        direct: members of the groups that filters name, by DN as written.
        scoping: members of the group of each kind that has one.
    """

    rules: SelectionRules = field(default_factory=SelectionRules)
    direct: Mapping[str, GroupMembers] = field(default_factory=dict)
    scoping: Mapping[SourceKind, GroupMembers] = field(default_factory=dict)

    def left_out_by(self, source: SourceObject, member_of: frozenset[str] = _NOWHERE) -> str | None:
        """Name of the rule that leaves an object out, `None` when it takes part.

        Args:
            source: the object.
            member_of: groups that the object itself, read again, says it is in.
        """
        excluded = excluded_by(source)
        rules = self.rules.kinds.get(source.kind)
        if excluded not in {None, WITHOUT_ACCOUNT} or rules is None or not rules.enabled:
            return excluded
        group = self.scoping.get(source.kind)
        if group is not None and not group.holds(source.guid, member_of):
            return NO_MEMBER
        if rules.where is not None and not rules.where.holds(
            source, lambda dn: self.direct[dn].holds(source.guid, member_of)
        ):
            return FILTERED
        return excluded

    def adds_nothing(self, kind: SourceKind) -> bool:
        """Whether nothing but the default exclusions leaves out objects of a kind."""
        rules = self.rules.kinds.get(kind)
        if rules is None or not rules.enabled:
            return True
        return kind not in self.scoping and rules.where is None

    def is_certain(self, kind: SourceKind, rule: str) -> bool:
        """Whether being left out by a rule is beyond doubt.

        All of the group must have been seen; and what every user and group has, but this one seems
        not to have, may only be hidden.
        """
        return rule not in UNREADABLE and (rule != NO_MEMBER or self.scoping[kind].complete)

    def mark_changed_members(self) -> bool:
        """Marks objects whose memberships changed; tells whether that is enough."""
        marked = [each.mark_changed() for each in (*self.scoping.values(), *self.direct.values())]
        return all(marked)

    @property
    def names_groups(self) -> bool:
        """Whether memberships decide anything."""
        return bool(self.direct or self.scoping)

    def require_members(self, left_out: Mapping[SourceKind, Counter[str]]) -> None:
        """Refuses a scoping group that leaves out everything there is of a kind.

        Args:
            left_out: of every kind, objects by the name of the rule that left them out; what takes
                part under an empty name.

        Raises:
            BlockedError: `SourceEmpty`.
        """
        for kind in self.scoping:
            counts = left_out.get(kind, Counter())
            if counts[NO_MEMBER] and not counts[""] and not counts[FILTERED]:
                what = f"has none of the {counts[NO_MEMBER]} {_PLURALS[kind]} in scope among its"
                raise _group_empty(self.rules.resource, kind, what)


def _group_empty(resource: str, kind: SourceKind, what: str) -> BlockedError:
    return BlockedError(
        "SourceEmpty",
        f"the group {what} members; nothing is exported or deleted. Check the group and that the"
        " account may read its members; to stop syncing the kind, set `synchronize: Disabled`",
        resource=resource,
        field=_field_of_group(kind),
    )


def select(
    rules: SelectionRules,
    groups: Mapping[str, str],
    store: Store,
    attributes: Iterable[str],
) -> Selection:
    """Ties rules to the sources that were read.

    Args:
        rules: as written.
        groups: objectGUIDs of the groups they name, by DN as written.
        store: the state, imported.
        attributes: as the sources were asked for them.

    Raises:
        ConfigurationError: `ScopeGroupNotFound`: what a DN names is no group.
        BlockedError: `SourceEmpty`: a scoping group has no members.
    """
    space = store.evaluation
    for dn, where in rules.groups.items():
        if space.groups.kind_of(guid_bytes(groups[dn])) != Kind.GROUP:
            raise _no_group(rules.resource, where)
    names = {name.lower(): name for name in attributes}
    kinds = {
        kind: replace(each, where=each.where and each.where.spelled(names))
        for kind, each in rules.kinds.items()
    }

    def members_of(dn: str, *, nested: bool) -> GroupMembers:
        return GroupMembers(groups[dn], nested=nested, groups=space.groups, parts=space.parts)

    scoping: dict[SourceKind, GroupMembers] = {}
    for kind, each in rules.kinds.items():
        if each.enabled and each.group is not None:
            if not space.groups.has_members(guid_bytes(groups[each.group])):
                raise _group_empty(rules.resource, kind, "has no")
            scoping[kind] = members_of(each.group, nested=each.nested)
    return Selection(
        rules=SelectionRules(kinds=kinds, resource=rules.resource),
        direct={dn: members_of(dn, nested=False) for dn in rules.groups},
        scoping=scoping,
    )


def _no_group(resource: str, where: str) -> ConfigurationError:
    return ConfigurationError(
        "ScopeGroupNotFound",
        "the distinguished name is that of something else than a group, or the account may not"
        " read it; correct it, or grant the account the right to read the group",
        resource=resource,
        field=where,
    )


def _field_of_group(kind: SourceKind) -> str:
    return f"spec.objects.{_PLURALS[kind]}.memberOf.group"
