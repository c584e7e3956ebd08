"""The default flows, each with a value; and that this table notices when one of them changes."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from entrasync.engine.flow_compiling import FlowTable
from entrasync.engine.flow_computations import COMPUTATIONS
from entrasync.engine.flow_rules import KINDS, Flow, Precedence, default_flows
from entrasync.engine.flow_values import Contributor, ValueType
from entrasync.engine.flows import flow_set
from entrasync.engine.source import SourceKind, SourceObject

GUID: Final = "00112233-4455-6677-8899-aabbccddeeff"
ANCHORS: Final = {str(uuid.UUID(int=number)): f"anchor-{number}" for number in (1, 2, 3)}
GOLDEN: Final = Path(__file__).parents[2] / "golden" / "engine" / "default_flows.yaml"

ACCOUNT: Final = {"userAccountControl": (b"512",)}
DISABLED: Final = {"userAccountControl": (b"514",)}
MAILBOX: Final = {"msExchMailboxGuid": (bytes(16),)}
CLASSES: Final = {
    "account": (DISABLED | MAILBOX, ACCOUNT),
    "mailbox": (ACCOUNT, DISABLED | MAILBOX),
}
"""What the first and the second object have beside the attribute: the second one is to win."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the table."""

    target: str
    kinds: tuple[SourceKind, ...]
    given: Mapping[str, tuple[bytes, ...]]
    other: Mapping[str, tuple[bytes, ...]]
    wanted: object
    when: str | None = None
    precedence: str = "source"
    clears: bool = True


def raw(values: Mapping[str, Any]) -> dict[str, tuple[bytes, ...]]:
    lists = {name: each if isinstance(each, list) else [each] for name, each in values.items()}
    return {
        name: tuple(each if isinstance(each, bytes) else each.encode() for each in found)
        for name, found in lists.items()
    }


def rows() -> list[Row]:
    return [
        Row(
            **line
            | {
                "kinds": tuple(SourceKind(kind) for kind in line["kinds"]),
                "given": raw(line["given"]),
                "other": raw(line["other"]),
                "wanted": tuple(wanted) if isinstance(wanted, list) else wanted,
            }
        )
        for line in yaml.safe_load(GOLDEN.read_text(encoding="utf-8"))
        for wanted in [line["wanted"]]
    ]


ROWS: Final = rows()


def contributor(attributes: Mapping[str, tuple[bytes, ...]], *, first: bool = True) -> Contributor:
    """Two objects differ in all that is not an attribute as well."""
    source = SourceObject(
        guid=GUID if first else str(uuid.UUID(int=9)),
        dn="CN=old",
        parent_guid=None,
        attributes=attributes,
    )
    return Contributor(
        source=source,
        dn="CN=new,DC=x" if first else "CN=other,DC=y",
        domain="contoso.test" if first else "fabrikam.test",
    )


def value(table: FlowTable, target: str, *contributors: Contributor, **before: Any) -> object:
    flowed = table.run(contributors, ANCHORS.get, before or None)
    assert not flowed.properties.keys() & flowed.references.keys()
    return (flowed.properties | flowed.references).get(target)


def wrong(flows: Sequence[Flow], row: Row) -> Iterator[str]:
    """What of a line does not hold with these flows."""
    table = FlowTable(flows)
    needed = {row.when: (b"ann",)} if row.when else {}
    alone = contributor({**row.given, **needed})
    if (found := value(table, row.target, alone)) != row.wanted:
        yield f"{row.target} is {found!r}"
    if row.given and row.target != "accountEnabled":
        if row.when and value(table, row.target, contributor(row.given)) is not None:
            yield f"{row.target} flows without {row.when}"
        kept = value(table, row.target, contributor(needed), **{row.target: "cloud"})
        if (kept == "cloud") is row.clears:
            yield f"{row.target} keeps or clears what the cloud has"
    if value(table, row.target, *two(row, needed)) != row.wanted:
        yield f"{row.target} comes from another object"


def two(row: Row, needed: Mapping[str, tuple[bytes, ...]]) -> Iterable[Contributor]:
    given, other = {**row.given, **needed}, {**row.other, **needed}
    if row.precedence in CLASSES:
        behind, ahead = CLASSES[row.precedence]
        return contributor(behind | other, first=False), contributor(ahead | given)
    return contributor(DISABLED | given), contributor(ACCOUNT | MAILBOX | other, first=False)


CASES: Final = [(kind, row) for row in ROWS for kind in row.kinds]
FLOWS: Final = [(kind, flow) for kind in KINDS for flow in default_flows(kind)]


@pytest.mark.parametrize(
    ("kind", "row"),
    CASES,
    ids=[f"{kind}-{row.target}-{min(row.given, default='')}" for kind, row in CASES],
)
def test_what_flows(kind: SourceKind, row: Row) -> None:
    assert not list(wrong(default_flows(kind), row))


@pytest.mark.parametrize("kind", KINDS)
def test_every_default_flow_is_in_the_table(kind: SourceKind) -> None:
    flows = default_flows(kind)
    targets = [flow.target for flow in flows]

    assert len(set(map(str.lower, targets))) == len(targets)
    assert set(targets) == {row.target for row in ROWS if kind in row.kinds}


def with_other_sources(flow: Flow) -> Iterator[Flow]:
    for index in range(len(flow.sources)):
        names = list(flow.sources)
        names[index] += "X"
        yield replace(flow, sources=tuple(names))
    for name in COMPUTATIONS.keys() - {flow.computation} if flow.computation else ():
        yield replace(flow, computation=name)


def with_another_target(flow: Flow) -> Iterator[Flow]:
    yield replace(flow, target=f"{flow.target}X")


def with_another_type(flow: Flow) -> Iterator[Flow]:
    if flow.computation is None:
        for kind in set(ValueType) - {flow.type}:
            yield replace(flow, type=kind)


def with_another_condition(flow: Flow) -> Iterator[Flow]:
    if flow.computation is None and flow.target != "mailNickname":
        yield replace(flow, when=None if flow.when else "mailNickname")


def with_another_precedence(flow: Flow) -> Iterator[Flow]:
    # who has a mailbox's GUID has a mailbox, and contributes it under either rule
    if flow.target != "msExchMailboxGuid":
        for precedence in set(Precedence) - {flow.precedence}:
            yield replace(flow, precedence=precedence)


def with_another_end(flow: Flow) -> Iterator[Flow]:
    if flow.computation is None:
        yield replace(flow, clears=not flow.clears)


def dropped(_: Flow) -> Iterator[None]:
    yield None


@pytest.mark.parametrize(
    "change",
    [
        dropped,
        with_other_sources,
        with_another_target,
        with_another_type,
        with_another_condition,
        with_another_precedence,
        with_another_end,
    ],
)
def test_the_table_notices_every_change(change: Callable[[Flow], Iterator[Flow | None]]) -> None:
    missed = [
        f"{kind} {changed or flow}"
        for kind, flow in FLOWS
        for changed in change(flow)
        if not noticed(kind, flow, changed)
    ]

    assert not missed


def noticed(kind: SourceKind, flow: Flow, changed: Flow | None) -> bool:
    flows = [each if each is not flow else changed for each in default_flows(kind)]
    present = [each for each in flows if each is not None and each.target.startswith(flow.target)]
    lines = [row for row in ROWS if kind in row.kinds and row.target == flow.target]
    return any(next(wrong(present, row), None) for row in lines)


def test_what_every_directory_must_have() -> None:
    """Attributes of schema extensions are read where the directory has them."""
    found = flow_set()

    assert found.required == {
        *("c", "cn", "co", "company", "countryCode", "department", "description", "displayName"),
        *("employeeID", "employeeType", "facsimileTelephoneNumber", "givenName", "groupType", "l"),
        *("mail", "manager", "mobile", "name", "objectSid", "physicalDeliveryOfficeName"),
        *("postalCode", "proxyAddresses", "pwdLastSet", "sAMAccountName", "sn", "st"),
        *("streetAddress", "telephoneNumber", "title", "userAccountControl", "userPrincipalName"),
    }
    assert found.required < set(found.attributes)
    assert "mailNickname" in found.attributes


def test_references_are_told_from_the_rest() -> None:
    assert flow_set().reference_targets == {
        *("altRecipient", "authOrig", "dLMemRejectPerms", "dLMemSubmitPerms", "managedBy"),
        *("manager", "msExchBypassModerationLink", "msExchCoManagedByLink"),
        *("msExchDelegateListLink", "msExchModeratedByLink", "msExchTeamMailboxOwners"),
        *("msExchTeamMailboxSharePointLinkedBy", "publicDelegates", "unauthOrig"),
    }
