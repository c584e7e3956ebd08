"""Which users, groups and contacts take part: the part `spec.objects` of a DirectorySync."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from entrasync.api.choices import OnRemoval
from entrasync.api.common import ApiModel, DistinguishedName, rule
from entrasync.api.flows import AttributeName, Flows

MOST_CLAUSES: Final = 16
"""Clauses in a group of clauses, and groups of clauses in a filter."""


class Synchronize(StrEnum):
    """Whether a kind of object is synced."""

    ENABLED = "Enabled"
    DISABLED = "Disabled"


class FilterOperator(StrEnum):
    """How an attribute is compared, as in Entra Connect's scoping filters."""

    EQUAL = "Equal"
    NOT_EQUAL = "NotEqual"
    LESS_THAN = "LessThan"
    LESS_THAN_OR_EQUAL = "LessThanOrEqual"
    GREATER_THAN = "GreaterThan"
    GREATER_THAN_OR_EQUAL = "GreaterThanOrEqual"
    CONTAINS = "Contains"
    NOT_CONTAINS = "NotContains"
    STARTS_WITH = "StartsWith"
    NOT_STARTS_WITH = "NotStartsWith"
    ENDS_WITH = "EndsWith"
    NOT_ENDS_WITH = "NotEndsWith"
    IS_NULL = "IsNull"
    IS_NOT_NULL = "IsNotNull"
    IS_IN = "IsIn"
    IS_NOT_IN = "IsNotIn"
    IS_BIT_SET = "IsBitSet"
    IS_NOT_BIT_SET = "IsNotBitSet"
    IS_MEMBER_OF = "IsMemberOf"
    IS_NOT_MEMBER_OF = "IsNotMemberOf"


class FilterClause(ApiModel):
    """One comparison."""

    validations: ClassVar[tuple[dict[str, str], ...]] = (
        rule(
            "(self.operator in ['IsMemberOf', 'IsNotMemberOf']) != has(self.attribute)",
            "`attribute` must be specified, but for the operators IsMemberOf and IsNotMemberOf,"
            " which look at the object itself",
            ".attribute",
        ),
        rule(
            "(self.operator in ['IsNull', 'IsNotNull']) != has(self.value)",
            "`value` must be specified, but for the operators IsNull and IsNotNull",
            ".value",
        ),
        rule(
            "!(self.operator in ['IsBitSet', 'IsNotBitSet']) || !has(self.value)"
            " || self.value.matches('^(0x[0-9A-Fa-f]{1,16}|[1-9][0-9]{0,18})$')",
            "`value` of IsBitSet and IsNotBitSet must be a whole number above zero, such as 2 or"
            " 0x2",
            ".value",
        ),
        rule(
            "!(self.operator in ['IsMemberOf', 'IsNotMemberOf']) || !has(self.value)"
            " || self.value.matches('^[A-Za-z][A-Za-z0-9.-]*=.+$')",
            "`value` of IsMemberOf and IsNotMemberOf must be the distinguished name of a group",
            ".value",
        ),
    )

    attribute: AttributeName | None = None
    """LDAP name of an attribute of the object, for example `employeeType`. Left out with
    `IsMemberOf` and `IsNotMemberOf`."""
    operator: FilterOperator
    """How to compare, as in Entra Connect. The operators with `Not` are the exact opposites: they
    hold where the attribute has no value."""
    value: Annotated[str, Field(min_length=1, max_length=2048, pattern=r"\S")] | None = None
    """What to compare with, letter case aside; a whole number for `IsBitSet`, the distinguished
    name of a group for `IsMemberOf`. Left out with `IsNull` and `IsNotNull`."""


class FilterGroup(ApiModel):
    """Comparisons that must all hold."""

    all_of: Annotated[
        list[FilterClause],
        Field(
            min_length=1,
            max_length=MOST_CLAUSES,
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ]
    """All of these must hold. At most 16."""


class AttributeFilter(ApiModel):
    """Which objects take part, by their attributes."""

    any_of: Annotated[
        list[FilterGroup],
        Field(
            min_length=1,
            max_length=MOST_CLAUSES,
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ]
    """One of these must hold. At most 16."""


class ScopingGroup(ApiModel):
    """A group whose members take part."""

    group: DistinguishedName
    """Distinguished name of the group. Pinned by objectGUID at the first run, so that a renamed or
    moved group keeps its meaning."""
    nested: bool = False
    """Whether members of the groups in it, at any depth, take part as well. Default false, as in
    Entra Connect."""


class ObjectKind(ApiModel):
    """Which objects of one kind take part."""

    synchronize: Synchronize = Synchronize.ENABLED
    """`Enabled`, or `Disabled`: what the tenant holds of this kind is neither created, updated nor
    deleted. Default `Enabled`."""
    where: AttributeFilter | None = None
    """Only objects with these attributes take part. Default: all."""
    member_of: ScopingGroup | None = None
    """Only members of this group take part; with `where` both must hold. Default: all."""
    on_removal: OnRemoval = OnRemoval.DELETE
    """What becomes of a user of the tenant whose source object is deleted or leaves the scope.
    `Delete`: to the recycle bin. `Disable`: its account is disabled, and it stays. `Keep`: it stays
    as it is. Default `Delete`."""
    flows: Flows | None = None
    """Flows that are added to Entra Connect's own, or replace them by `target`. At most 128.
    Default: Entra Connect's own."""


class UserKind(ObjectKind):
    """Which users take part."""


class GroupKind(ObjectKind):
    """Which groups take part."""

    on_removal: Literal[OnRemoval.DELETE, OnRemoval.KEEP] = OnRemoval.DELETE
    """What becomes of a group of the tenant whose source object is deleted or leaves the scope:
    `Delete`, or `Keep`, as it is. Default `Delete`."""
    max_members: Annotated[int, Field(ge=1, le=250_000)] | None = None
    """Most members a group may have; a larger one is frozen as it is until it fits. Lowers the
    limit of the endpoint, never raises it. Default: what the endpoint offers."""


class ContactKind(ObjectKind):
    """Which contacts take part."""

    on_removal: Literal[OnRemoval.DELETE, OnRemoval.KEEP] = OnRemoval.DELETE
    """What becomes of a contact of the tenant whose source object is deleted or leaves the scope:
    `Delete`, or `Keep`, as it is. Default `Delete`."""


class Objects(ApiModel):
    """Which objects take part, kind by kind. Naming one kind never changes the others."""

    users: UserKind | None = None
    """Users. Default: all in the containers of the sources."""
    groups: GroupKind | None = None
    """Groups. Default: all in the containers of the sources."""
    contacts: ContactKind | None = None
    """Contacts. Default: all in the containers of the sources."""
