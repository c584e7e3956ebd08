"""What several tests of this folder share: documents, requests and strategies for both."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st

from entrasync.entra.contracts import (
    APPLICATION_IDS,
    LinkChange,
    PropertyValue,
    RequestHeader,
    SyncObject,
    SyncObjectType,
    SyncOperation,
    SyncToken,
    SyncVersion,
)
from entrasync.entra.envelope import close_envelope, open_envelope
from entrasync.entra.infoset import Attribute, EndElement, Event, Namespace, StartElement, Text
from entrasync.entra.nbfs_dictionary import STATIC_STRINGS
from entrasync.entra.nbfx import NbfxWriter
from entrasync.entra.tree import Element, ElementReader

MODERATE = settings(max_examples=60, deadline=None)
"""A busy machine must not decide whether a test passes."""

TENANT = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJ0aWQiOiJ0In0.c2lnbmF0dXJl"
TRACKING = "00112233-4455-6677-8899-aabbccddeeff"
MESSAGE = "11112222-3333-4444-5555-666677778888"
URL = "https://adminwebservice.microsoftonline.com/provisioningservice.svc"
HEADER = RequestHeader(
    to=URL,
    message_id=MESSAGE,
    token=SyncToken(
        application_id=APPLICATION_IDS[SyncVersion.V2], bearer_token=TOKEN, tracking_id=TRACKING
    ),
)
MIXED = (
    SyncObject(
        object_type=SyncObjectType.USER,
        operation=SyncOperation.SET,
        source_anchor="YW5u",
        properties={
            "displayName": "Ann Ü",
            "accountEnabled": True,
            "countryCode": 276,
            "ThumbnailPhoto": b"\x00\xff",
            "proxyAddresses": ("SMTP:ann@contoso.test", "smtp:a@contoso.test"),
            "userCertificate": (b"\x30\x82", b""),
            "city": None,
            "otherMailbox": (),
        },
    ),
    SyncObject(
        object_type=SyncObjectType.GROUP,
        operation=SyncOperation.SET,
        source_anchor="Zzox",
        cloud_anchor="Group_9c1c7bbd-9a43-4f4b-8a4c-1c7d5cf3a3a1",
        properties={"securityEnabled": False},
        links=(
            LinkChange(anchor="YW5u", add=True),
            LinkChange(anchor="Ym9i", add=False),
            LinkChange(anchor="User_1", add=True, by_cloud_anchor=True),
            LinkChange(anchor="long" * 100, add=False),
        ),
    ),
    SyncObject(
        object_type=SyncObjectType.DEVICE, operation=SyncOperation.DELETE, source_anchor="ZGV2"
    ),
)
"""One of everything that can travel in V2."""

texts = st.text(max_size=12)
values: st.SearchStrategy[PropertyValue] = st.one_of(
    st.none(),
    texts,
    st.sampled_from(["0", "1", "true", "false", "string", "http://www.w3.org/2001/XMLSchema"]),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.binary(max_size=300),
    st.lists(texts, max_size=3).map(tuple),
    st.lists(st.binary(max_size=5), max_size=3).map(tuple),
)
keys = st.one_of(st.sampled_from(["displayName", "mail", "Description"]), texts).filter(
    lambda key: key.lower() not in {"sourceanchor", "cloudanchor", "member"}
)
links = st.builds(
    LinkChange, anchor=st.text(max_size=300), add=st.booleans(), by_cloud_anchor=st.booleans()
)
object_types = st.sampled_from(list(SyncObjectType))


@st.composite
def sync_objects(draw: st.DrawFn, version: SyncVersion = SyncVersion.V2) -> SyncObject:
    properties = draw(st.dictionaries(keys, values, max_size=5))
    # keys are the same whatever their case: the service would see one twice
    properties = dict({key.lower(): (key, value) for key, value in properties.items()}.values())
    changes = tuple(draw(st.lists(links, max_size=4))) if version is SyncVersion.V2 else ()
    if not changes and draw(st.booleans()):
        properties["member"] = tuple(draw(st.lists(texts, max_size=4)))
    return SyncObject(
        object_type=draw(object_types),
        operation=draw(st.sampled_from(list(SyncOperation))),
        source_anchor=draw(texts),
        cloud_anchor=draw(st.none() | texts),
        properties=properties,
        links=changes,
    )


_NAMES = st.one_of(
    st.sampled_from(["Envelope", "x", "Körper", "a-b.c_d", "string", "nil"]),
    st.text("abcXYZéß9-_.", min_size=1, max_size=6),
)
_PREFIXES = st.sampled_from(["", "a", "m", "z", "ns1", "Ä"])
_URIS = st.one_of(
    st.sampled_from([each for each in STATIC_STRINGS if "://" in each]),
    st.text(min_size=1, max_size=8),
)
_TEXTS = st.one_of(st.sampled_from(["", "0", "1", "true", "false", "Envelope"]), st.text(), _URIS)


@st.composite
def documents(draw: st.DrawFn) -> list[Event]:
    """Any infoset the events can express."""
    events: list[Event] = []

    def element(scope: dict[str, str], depth: int) -> None:
        declared = draw(st.dictionaries(_PREFIXES, _URIS, max_size=2))
        scope = {**scope, **declared}
        prefix = draw(st.sampled_from(sorted(scope)))
        events.append(StartElement(prefix, draw(_NAMES), scope[prefix]))
        events.extend(Namespace(*each) for each in declared.items())
        used = st.sampled_from([*sorted(scope), "xml"])
        attributes = draw(st.dictionaries(st.tuples(used, _NAMES), _TEXTS, max_size=3))
        events.extend(Attribute(*name, value) for name, value in attributes.items())
        for inner in draw(st.lists(st.booleans(), max_size=3)):
            if inner and depth:
                element(scope, depth - 1)
            else:
                events.append(Text(draw(_TEXTS)))
        events.append(EndElement())

    element({"": ""}, 3)
    return events


def write(events: Iterable[Event]) -> bytes:
    """Events as our writer puts them."""
    writer = NbfxWriter()
    for event in events:
        match event:
            case StartElement(prefix, name, _):
                writer.start(prefix, name)
            case Namespace(prefix, uri):
                writer.namespace(prefix, uri)
            case Attribute(prefix, name, value):
                writer.attribute(prefix, name, value)
            case Text(value):
                writer.text(value)
            case EndElement():
                writer.end()
    return writer.getvalue()


def open_whole(data: bytes) -> tuple[Element | None, Element]:
    """Header and content of an envelope, read to its end."""
    reader = ElementReader(data)
    header, content = open_envelope(reader)
    reader.whole(content)
    close_envelope(reader)
    return header, content


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """A valid document with a few octets changed, put in or left out, and perhaps cut off."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(data) - 1))
        octets = draw(st.binary(max_size=3))
        data[at : at + draw(st.integers(0, 3))] = octets
        if not data:
            break
    return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data)


GOLDEN = Path(__file__).parents[2] / "golden" / "entra"


def check_golden(name: str, data: bytes) -> None:
    """Compares octets with a file of hexadecimal lines; written anew with UPDATE_GOLDEN=1."""
    path = GOLDEN / f"{name}.hex"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = (data[at : at + 32].hex(" ") for at in range(0, len(data), 32))
        path.write_text("".join(f"{row}\n" for row in rows))
    assert bytes.fromhex(path.read_text()) == data, f"{path}: UPDATE_GOLDEN=1 shows the change"
