"""Attribute filters: Entra Connect's scoping operators, compiled once and asked for every object.

Every operator with `Not` is the exact opposite of its partner. So an attribute without a value
satisfies `NotEqual`, `NotContains` and the like, as Entra Connect's own rules rely on, and none of
`Equal`, `Contains`, `LessThan` or `GreaterThan`. Of several values one is enough for the operators
without `Not`.
"""

from __future__ import annotations

import base64
import datetime as dt
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from entrasync.api.objects import AttributeFilter, FilterClause, FilterOperator
from entrasync.directory.values import (
    integer_from_text,
    moment_from_generalized_time,
    sid_from_bytes,
)
from entrasync.engine.source import SourceObject
from entrasync.errors import ConfigurationError

IsMember = Callable[[str], bool]
"""Whether the object at hand is a direct member of the group written as this DN."""

_SIDS: Final = frozenset({"objectsid", "sidhistory"})
_GUIDS: Final = frozenset({"objectguid", "ms-ds-consistencyguid"})
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,20}", re.ASCII)
_MASK: Final = re.compile(r"0x[0-9A-Fa-f]{1,16}|[0-9]{1,19}", re.ASCII)
_RFC3339_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[Tt ].{5,20})?", re.ASCII)
_OPPOSITES: Final = {
    FilterOperator.NOT_EQUAL: FilterOperator.EQUAL,
    FilterOperator.NOT_CONTAINS: FilterOperator.CONTAINS,
    FilterOperator.NOT_STARTS_WITH: FilterOperator.STARTS_WITH,
    FilterOperator.NOT_ENDS_WITH: FilterOperator.ENDS_WITH,
    FilterOperator.IS_NULL: FilterOperator.IS_NOT_NULL,
    FilterOperator.IS_NOT_IN: FilterOperator.IS_IN,
    FilterOperator.IS_NOT_BIT_SET: FilterOperator.IS_BIT_SET,
    FilterOperator.IS_NOT_MEMBER_OF: FilterOperator.IS_MEMBER_OF,
}
"""Operators that hold exactly when another one does not."""
_PRESENCE: Final = frozenset({FilterOperator.IS_NULL, FilterOperator.IS_NOT_NULL})
MEMBERSHIP: Final = frozenset({FilterOperator.IS_MEMBER_OF, FilterOperator.IS_NOT_MEMBER_OF})
"""Operators that look at the object itself."""

Ordered = tuple[int, int | dt.datetime | str]
"""A value that can be put in order: numbers, times and text are each in an order of their own."""

_Test = Callable[[str], bool]


@dataclass(slots=True, frozen=True, kw_only=True)
class Clause:
    """One comparison, compiled.

    Attributes:
        operator: as written.
        attribute: as the source spells it; empty for memberships.
        value: as written.
        field: where it is written, for errors.
    """

    operator: FilterOperator
    attribute: str
    value: str
    field: str
    _test: _Test | None = None

    @property
    def only_presence(self) -> bool:
        """Whether values are not looked at."""
        return self.operator in _PRESENCE

    def holds(self, source: SourceObject, is_member: IsMember) -> bool:
        """Whether an object satisfies it."""
        opposite = self.operator in _OPPOSITES
        return self._holds(source, is_member) is not opposite

    def _holds(self, source: SourceObject, is_member: IsMember) -> bool:
        """The same of the operator without `Not`."""
        if self.operator in MEMBERSHIP:
            return is_member(self.value)
        if self._test is None:
            return bool(source.attributes.get(self.attribute))
        return any(map(self._test, texts_of(source, self.attribute)))


@dataclass(slots=True, frozen=True, kw_only=True)
class Filter:
    """Groups of clauses: within one all must hold, and one of them must.

    Attributes:
        groups: of clauses.
    """

    groups: tuple[tuple[Clause, ...], ...]

    def holds(self, source: SourceObject, is_member: IsMember) -> bool:
        """Whether an object takes part."""
        return any(all(each.holds(source, is_member) for each in group) for group in self.groups)

    @property
    def clauses(self) -> tuple[Clause, ...]:
        """All of them."""
        return tuple(clause for group in self.groups for clause in group)

    def spelled(self, names: Mapping[str, str]) -> Filter:
        """The same, with attributes as the source spells them.

        Args:
            names: the spelling of the source by folded name.
        """
        return Filter(
            groups=tuple(
                tuple(
                    replace(each, attribute=names.get(each.attribute.lower(), each.attribute))
                    for each in group
                )
                for group in self.groups
            )
        )


def compile_filter(written: AttributeFilter, *, field: str, resource: str) -> Filter:
    """A filter as written, checked and compiled.

    Args:
        written: the filter.
        field: path of the field it stands in.
        resource: `Kind/name` that errors point at.

    Raises:
        ConfigurationError: `ExpressionInvalid`: a clause lacks something, or has too much.
    """
    return Filter(
        groups=tuple(
            tuple(
                compile_clause(
                    clause, field=f"{field}.anyOf[{number}].allOf[{index}]", resource=resource
                )
                for index, clause in enumerate(group.all_of)
            )
            for number, group in enumerate(written.any_of)
        )
    )


def compile_clause(written: FilterClause, *, field: str, resource: str) -> Clause:
    """A clause as written, checked and compiled.

    The API server has said the same before; this is for files that never were in a cluster.

    Raises:
        ConfigurationError: `ExpressionInvalid`.
    """

    def refuse(what: str) -> ConfigurationError:
        return ConfigurationError("ExpressionInvalid", what, resource=resource, field=field)

    operator = written.operator
    if (operator in MEMBERSHIP) is (written.attribute is not None):
        raise refuse(
            f"the operator {operator} "
            + (
                "looks at the object itself; leave out `attribute`"
                if operator in MEMBERSHIP
                else "needs an `attribute`"
            )
        )
    if (operator in _PRESENCE) is (written.value is not None):
        raise refuse(
            f"the operator {operator} "
            + ("takes no `value`; leave it out" if operator in _PRESENCE else "needs a `value`")
        )
    value = (written.value or "").strip()
    basic = _OPPOSITES.get(operator, operator)
    if basic is FilterOperator.IS_BIT_SET and not _mask(value):
        raise refuse("`value` must be a whole number above zero, such as 2 or 0x2")
    if basic is FilterOperator.IS_MEMBER_OF and "=" not in value:
        raise refuse("`value` must be the distinguished name of a group")
    return Clause(
        operator=operator,
        attribute=written.attribute or "",
        value=value,
        field=field,
        _test=_tests(basic, value),
    )


def texts_of(source: SourceObject, attribute: str) -> tuple[str, ...]:
    """The values of an attribute as text.

    SIDs and GUIDs come as people write them, the rest of what is no text as base64.
    """
    folded = attribute.lower()
    if folded in _SIDS:
        return tuple(sid_from_bytes(each) or "" for each in source.attributes.get(attribute, ()))
    if folded in _GUIDS:
        return tuple(map(_guid_text, source.attributes.get(attribute, ())))
    return tuple(map(_text, source.attributes.get(attribute, ())))


def ordered(value: str) -> Ordered:
    """A value as what it is compared by: a whole number, a time, or text without letter case.

    A time is written as the directory does, `20260314150926.0Z`, or as RFC 3339.
    """
    if _NUMBER.fullmatch(value):
        return 0, int(value)
    moment = _moment(value)
    return (2, value.casefold()) if moment is None else (1, moment)


def _tests(operator: FilterOperator, value: str) -> _Test | None:
    """What one value must satisfy; `None` where values are not looked at."""
    wanted = value.casefold()
    reference = ordered(value)
    mask = _mask(value) or 0
    tests: dict[FilterOperator, _Test] = {
        FilterOperator.EQUAL: lambda text: text.casefold() == wanted,
        FilterOperator.IS_IN: lambda text: text.casefold() == wanted,
        FilterOperator.CONTAINS: lambda text: wanted in text.casefold(),
        FilterOperator.STARTS_WITH: lambda text: text.casefold().startswith(wanted),
        FilterOperator.ENDS_WITH: lambda text: text.casefold().endswith(wanted),
        FilterOperator.LESS_THAN: lambda text: _compared(text, reference) < 0,
        FilterOperator.LESS_THAN_OR_EQUAL: lambda text: _compared(text, reference) <= 0,
        FilterOperator.GREATER_THAN: lambda text: _compared(text, reference) > 0,
        FilterOperator.GREATER_THAN_OR_EQUAL: lambda text: _compared(text, reference) >= 0,
        FilterOperator.IS_BIT_SET: lambda text: _has_bits(text, mask),
    }
    return tests.get(operator)


def _compared(text: str, reference: Ordered) -> int:
    """Minus one, zero or one; where the two are not of one sort, they are compared as text."""
    ours, theirs = ordered(text), reference
    if ours[0] != theirs[0]:
        ours, theirs = (2, text.casefold()), (2, _as_text(theirs))
    left, right = ours[1], theirs[1]
    # both are of one sort by now, which a type checker cannot know
    return (left > right) - (left < right)  # type: ignore[operator]  # as above


def _as_text(value: Ordered) -> str:
    held = value[1]
    if isinstance(held, dt.datetime):
        return held.strftime("%Y%m%d%H%M%S.0Z").casefold()
    return str(held)


def _moment(value: str) -> dt.datetime | None:
    moment = moment_from_generalized_time(value)
    if moment is not None:
        return moment
    try:
        if _RFC3339_DATE.fullmatch(value):
            moment = dt.datetime.fromisoformat(value)
            return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    except ValueError:
        pass
    return None


def _mask(value: str) -> int | None:
    """A mask of bits; `None` for what is none."""
    if not _MASK.fullmatch(value):
        return None
    return int(value, 16 if value.startswith("0x") else 10) or None


def _has_bits(text: str, mask: int) -> bool:
    """Whether all bits of a mask are set; numbers of the directory are signed, masks are not."""
    number = integer_from_text(text)
    return number is not None and number & mask == mask


def _text(value: bytes) -> str:
    try:
        return value.decode().strip()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()


def _guid_text(value: bytes) -> str:
    try:
        return str(uuid.UUID(bytes_le=value))
    except ValueError:
        return base64.b64encode(value).decode()
