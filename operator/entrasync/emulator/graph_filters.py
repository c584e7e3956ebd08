"""The part of `$filter` that finds objects by their names: `eq`, `in` and `any`, joined by `or`.

Which properties take which operators, and that a filter has at most 15 comparisons, is documented.
That letter case does not matter is inferred, but for immutable ids, which are told apart by it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from entrasync.emulator.graph_calls import GraphError
from entrasync.emulator.http import BAD_REQUEST
from entrasync.emulator.objects import CloudObject
from entrasync.entra.contracts import SyncObjectType

MOST_COMPARISONS: Final = 15

Filter = Callable[[CloudObject], bool]
_Values = Callable[[CloudObject], Iterable[str]]

_TEXT: Final = r"'(?:[^']|'')*'"
_LITERAL: Final = re.compile(_TEXT)
_COMPARISON: Final = re.compile(
    rf"\s*(?:(?P<name>\w+)\s+eq\s+(?P<value>{_TEXT})"
    rf"|(?P<one_of>\w+)\s+in\s*\(\s*(?P<values>{_TEXT}(?:\s*,\s*{_TEXT})*)\s*\)"
    rf"|(?P<list>\w+)/any\(\s*(?P<item>\w+)\s*:\s*(?P=item)\s+eq\s+(?P<each>{_TEXT})\s*\))\s*"
)
_OR: Final = re.compile(r"or(?=\s)")
_EXACT: Final = "onPremisesImmutableId"


def _one(value: str | None) -> tuple[str, ...]:
    return () if value is None else (value,)


_SINGLE: Final[Mapping[str, _Values]] = {
    _EXACT: lambda each: _one(each.source_anchor or None),
    "mail": lambda each: _one(each.mail),
    "userPrincipalName": lambda each: _one(each.user_principal_name),
}
_LISTS: Final[Mapping[str, _Values]] = {
    "proxyAddresses": lambda each: each.calculated_proxy_addresses,
}
_VALUES: Final[Mapping[str, _Values]] = {**_SINGLE, **_LISTS}
_OF_USERS_ONLY: Final = frozenset({_EXACT, "userPrincipalName"})


def filter_of(text: str, kind: SyncObjectType) -> Filter:
    """What a filter lets pass.

    Args:
        text: value of `$filter`.
        kind: of the objects it is for.

    Raises:
        GraphError: it is none, or says more than the emulator understands.
    """
    wanted: dict[str, set[str]] = {}
    begin = 0
    while True:
        found = _COMPARISON.match(text, begin)
        if found is None:
            raise _unsupported()
        name, values = _comparison(found, kind)
        wanted.setdefault(name, set()).update(values)
        if found.end() == len(text):
            break
        joined = _OR.match(text, found.end())
        if joined is None:
            raise _unsupported()
        begin = joined.end()
    if sum(map(len, wanted.values())) > MOST_COMPARISONS:
        raise _unsupported()
    readers = [(_VALUES[name], _folded(name), wanted[name]) for name in wanted]
    return lambda each: any(
        fold(value) in values for read, fold, values in readers for value in read(each)
    )


def _comparison(found: re.Match[str], kind: SyncObjectType) -> tuple[str, set[str]]:
    """The property that is compared, and what with."""
    in_list = found["list"] is not None
    name = found["list"] or found["name"] or found["one_of"]
    if name not in (_LISTS if in_list else _SINGLE):
        raise _unsupported()
    if name in _OF_USERS_ONLY and kind is not SyncObjectType.USER:
        raise _unsupported()
    literals = _LITERAL.findall(found["value"] or found["values"] or found["each"])
    fold = _folded(name)
    return name, {fold(each[1:-1].replace("''", "'")) for each in literals}


def _folded(name: str) -> Callable[[str], str]:
    return str if name == _EXACT else str.casefold


def _unsupported() -> GraphError:
    return GraphError(
        BAD_REQUEST,
        "Request_UnsupportedQuery",
        "Unsupported or invalid query filter clause specified.",
    )
