"""Objects of a source, and what flows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from entrasync.engine.flows import Contributor, Flowed, FlowRule, flow_set
from entrasync.engine.source import SourceKind, SourceObject

GUID: Final = "00112233-4455-6677-8899-aabbccddeeff"
BOSS: Final = "ffeeddcc-bbaa-9988-7766-554433221100"
PEER: Final = "eeeeddcc-bbaa-9988-7766-554433221100"
ANCHORS: Final = {BOSS: "boss-anchor", PEER: "peer-anchor"}
DEFAULTS: Final = flow_set()

Value = str | bytes | Sequence[str | bytes]


def raw(value: Value) -> tuple[bytes, ...]:
    """Values as a directory gives them."""
    several = [value] if isinstance(value, str | bytes) else value
    return tuple(each if isinstance(each, bytes) else each.encode() for each in several)


def contributor(attributes: Mapping[str, Value] | None = None, **more: Value) -> Contributor:
    """An object with these attributes."""
    source = SourceObject(
        guid=GUID,
        dn="CN=old",
        parent_guid=None,
        attributes={name: raw(value) for name, value in dict(attributes or {}, **more).items()},
    )
    return Contributor(source=source, dn="CN=new,DC=x", domain="contoso.test")


def together(flowed: Flowed) -> dict[str, Any]:
    """Properties and references."""
    return flowed.properties | flowed.references


def flowed(kind: str, **attributes: Value) -> dict[str, Any]:
    """What flows by default from one object."""
    one = contributor(attributes)
    return together(DEFAULTS.flow(SourceKind(kind), [one], ANCHORS.get, None))


def own(rule: FlowRule, *contributors: Contributor, before: Mapping[str, Any] | None = None) -> Any:
    """What a flow of the sync gives for its target."""
    flows = flow_set({SourceKind.USER: [rule]})
    objects = contributors or [contributor()]
    found = together(flows.flow(SourceKind.USER, objects, ANCHORS.get, before))
    return {key.lower(): value for key, value in found.items()}.get(rule.target.lower())
