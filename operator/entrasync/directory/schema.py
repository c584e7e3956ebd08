"""What the schema of a directory says of attributes, and whether an account may read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from entrasync.directory.link import SUBTREE, Search
from entrasync.directory.reader import Reader
from entrasync.directory.values import escape_filter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from entrasync.directory.ber import RawEntry

_ASKED = (
    "lDAPDisplayName",
    "attributeSyntax",
    "linkID",
    "searchFlags",
    "systemFlags",
)
_NAME_SYNTAXES = frozenset({b"2.5.5.1", b"2.5.5.7", b"2.5.5.14"})
_NOT_REPLICATED, _CONSTRUCTED = 0x1, 0x4
_CONFIDENTIAL = 0x80


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaAttribute:
    """One attribute of the schema."""

    name: str
    """As the schema spells it."""
    names_objects: bool
    """Its values are distinguished names."""
    followed: bool
    """A change of it is told with the object that has it, as a whole: not so of what the server
    makes up, keeps to itself, or derives from links, nor of members, which come and leave."""
    confidential: bool
    """Readable only with a right of its own."""


def read_schema(reader: Reader, schema: str, names: Sequence[str]) -> dict[str, SchemaAttribute]:
    """Look attributes up, by folded name; what is not there is absent.

    Args:
        reader: how to search.
        schema: DN of the schema.
        names: LDAP names, in any case.
    """
    if not names:
        return {}
    clauses = "".join(f"(lDAPDisplayName={escape_filter(name)})" for name in names)
    search = Search(
        base=schema,
        scope=SUBTREE,
        attributes=list(_ASKED),
        filter=f"(&(objectClass=attributeSchema)(|{clauses}))",
    )
    found = (_attribute(raw) for raw in reader.pages(search))
    return {attribute.name.lower(): attribute for attribute in found}


def unreadable(
    reader: Reader, base: str, objects: str, attributes: Sequence[SchemaAttribute]
) -> tuple[str, ...]:
    """List the attributes that the account can read of no object at all.

    A server takes a condition on what the account may not read as neither true nor false. So
    "has it or has it not" finds something exactly where the attribute may be read. Of confidential
    ones only a value proves it: servers differ in how they hide those.

    Args:
        reader: how to search, one entry a page: the first one is enough.
        base: where to look.
        objects: filter of the objects to look at.
        attributes: to try.
    """

    def finds(condition: str) -> bool:
        search = Search(
            base=base,
            scope=SUBTREE,
            attributes=["objectGUID"],
            filter=f"(&{objects}{condition})",
        )
        return next(reader.pages(search), None) is not None

    open_ones = [each for each in attributes if not each.confidential]
    failed = [
        each.name for each in attributes if each.confidential and not finds(f"({each.name}=*)")
    ]
    if not finds("".join(map(_either, open_ones))):
        nothing = not finds("")
        failed += [each.name for each in open_ones if not nothing and not finds(_either(each))]
    return tuple(failed)


def _either(attribute: SchemaAttribute) -> str:
    return f"(|({attribute.name}=*)(!({attribute.name}=*)))"


def _attribute(raw: RawEntry) -> SchemaAttribute:
    flags = _number(raw, "systemFlags")
    name = _first(raw, "lDAPDisplayName").decode("utf-8", "replace")
    # links with an even number are written, the odd one after it is derived
    told_whole = not _number(raw, "linkID") % 2 and name.lower() != "member"
    return SchemaAttribute(
        name=name,
        names_objects=_first(raw, "attributeSyntax") in _NAME_SYNTAXES,
        followed=told_whole and not flags & (_NOT_REPLICATED | _CONSTRUCTED),
        confidential=bool(_number(raw, "searchFlags") & _CONFIDENTIAL),
    )


def _number(raw: RawEntry, name: str) -> int:
    value = _first(raw, name)
    return int(value) if value else 0


def _first(raw: RawEntry, name: str) -> bytes:
    return next(iter(raw.attributes.get(name, ())), b"")
