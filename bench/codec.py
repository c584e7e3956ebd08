"""The codec of the sync service's messages: masses of members, and objects with properties.

Beside it, in the same run, what a straightforward event codec makes of the same members: the
project's own general codec, one call an element, and one that shares no code with it.
"""

from __future__ import annotations

import base64
import random
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from pynettcp import BinaryXmlReader

from bench.figures import Figure
from entrasync.entra.contracts import (
    LinkChange,
    PropertyValue,
    RequestHeader,
    SyncObject,
    SyncObjectType,
    SyncOperation,
    SyncToken,
    SyncVersion,
)
from entrasync.entra.infoset import StartElement, Text
from entrasync.entra.links import read_links, write_link
from entrasync.entra.nbfx import NbfxWriter, read_events
from entrasync.entra.requests import (
    decode_request,
    encode_provision_request,
    stream_provision_request,
)
from entrasync.entra.tree import ElementReader

LINKS: Final = 15_000
OBJECTS: Final = 2_000
REPEATS: Final = 5
PIECE: Final = 64 * 1024
MIB: Final = 1024 * 1024

_Result = TypeVar("_Result")

HEADER: Final = RequestHeader(
    to="https://localhost/provisioningservice.svc",
    message_id="00112233-4455-6677-8899-aabbccddeeff",
    token=SyncToken(application_id="bench", bearer_token="bench", tracking_id="bench"),  # noqa: S106  - no secret
)


def measure() -> list[Figure]:
    """Requests of 15,000 members and of 2,000 objects, both ways, and 250,000 members (20 s)."""
    chance = random.Random(1)  # noqa: S311  - the same in every run
    return [*_links(chance), *_objects(), *_memory()]


def _links(chance: random.Random) -> list[Figure]:
    links = tuple(
        LinkChange(anchor=base64.b64encode(chance.randbytes(16)).decode(), add=True)
        for _ in range(LINKS)
    )
    group = _group(links)
    encode, data = _best(lambda: encode_provision_request(HEADER, SyncVersion.V2, [group]))
    slow_encode, _ = _best(lambda: _encode_by_events(links))
    decode, read = _best(lambda: decode_request(data).payload)
    slow_decode, by_events = _best(lambda: _decode_by_events(data))
    other, _ = _best(lambda: sum(1 for _ in BinaryXmlReader(data).read()), repeats=1)
    if read != [group] or by_events != [link.anchor for link in links]:
        message = "the codec does not give back what it was given"
        raise AssertionError(message)
    mib = len(data) / MIB
    return [
        Figure(name="encode_links_per_second", value=LINKS / encode, unit="links/s", at_least=5e5),
        Figure(name="decode_links_per_second", value=LINKS / decode, unit="links/s", at_least=3e5),
        Figure(name="encode_ratio", value=slow_encode / encode, at_least=10),
        Figure(name="decode_ratio", value=slow_decode / decode, at_least=5),
        Figure(name="decode_ratio_to_other_codec", value=other / decode),
        Figure(name="encode_mib_per_second", value=mib / encode, unit="MiB/s"),
        Figure(name="decode_mib_per_second", value=mib / decode, unit="MiB/s"),
        Figure(name="event_codec_encode_links", value=LINKS / slow_encode, unit="links/s"),
        Figure(name="event_codec_decode_links", value=LINKS / slow_decode, unit="links/s"),
    ]


def _encode_by_events(links: tuple[LinkChange, ...]) -> bytes:
    writer = NbfxWriter()
    writer.start("", "referenceChanges")
    for link in links:
        write_link(writer, link)
    writer.end()
    return writer.getvalue()


def _decode_by_events(data: bytes) -> list[str]:
    anchors: list[str] = []
    inside = False
    for event in read_events(data):
        if isinstance(event, StartElement):
            inside = event.name == "Anchor"
        elif inside and isinstance(event, Text):
            anchors.append(event.value)
    return anchors


def _objects() -> list[Figure]:
    objects = [_person(number) for number in range(OBJECTS)]
    encode, data = _best(lambda: encode_provision_request(HEADER, SyncVersion.V2, objects))
    decode, read = _best(lambda: decode_request(data).payload)
    events, _ = _best(lambda: sum(1 for _ in read_events(data)))
    if read != objects:
        message = "the codec does not give back what it was given"
        raise AssertionError(message)
    return [
        Figure(name="encode_objects_per_second", value=OBJECTS / encode, unit="objects/s"),
        Figure(name="decode_objects_per_second", value=OBJECTS / decode, unit="objects/s"),
        Figure(name="decode_objects_ratio", value=events / decode, at_least=1),
    ]


def _memory() -> list[Figure]:
    small, large = _peak_mib(25_000), _peak_mib(250_000)
    return [
        Figure(name="peak_mib_25k", value=small, unit="MiB"),
        Figure(name="peak_mib_250k", value=large, unit="MiB", at_most=8),
        Figure(name="peak_growth_25k_to_250k", value=large / small, at_most=1.1),
    ]


def _peak_mib(links: int) -> float:
    """Most memory at a time while so many members are written to a file and read from it."""
    with tempfile.TemporaryDirectory(prefix="entrasync-bench-") as folder:
        file = Path(folder) / "request"
        tracemalloc.start()
        try:
            with file.open("wb") as out:
                stream_provision_request(out.write, HEADER, SyncVersion.V2, _slices(links))
            read = sum(_read_links(_pieces(file)))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    if read != links:
        message = f"{read} members were read, {links} were written"
        raise AssertionError(message)
    return peak / MIB


def _slices(links: int, size: int = 5_000) -> Iterator[SyncObject]:
    for start in range(0, links, size):
        yield _group(
            tuple(
                LinkChange(anchor=f"{number:024}", add=True)
                for number in range(start, start + size)
            )
        )


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as source:
        while piece := source.read(PIECE):
            yield piece


def _read_links(pieces: Iterator[bytes]) -> Iterator[int]:
    """How many members each step reads, none of them kept."""
    reader = ElementReader(pieces)

    def walk() -> Iterator[int]:
        for child in reader.children():
            if child.name == "referenceChanges":
                yield from map(len, read_links(reader))
            else:
                yield from walk()

    yield from walk()


def _group(links: tuple[LinkChange, ...]) -> SyncObject:
    return SyncObject(
        object_type=SyncObjectType.GROUP,
        operation=SyncOperation.SET,
        source_anchor="group",
        links=links,
    )


def _person(number: int) -> SyncObject:
    name = f"Person {number:06}"
    address = f"person{number:06}@contoso.test"
    texts: dict[str, PropertyValue] = {key: f"{key} of {name}" for key in _TEXTS}
    return SyncObject(
        object_type=SyncObjectType.USER,
        operation=SyncOperation.SET,
        source_anchor=f"{number:024}",
        properties=texts
        | {
            "accountEnabled": True,
            "displayName": name,
            "userPrincipalName": address,
            "mail": address,
            "proxyAddresses": (f"SMTP:{address}", f"smtp:p{number}@contoso.test"),
            "onPremiseSecurityIdentifier": number.to_bytes(28, "little"),
            "countryCode": 276,
            "manager": None,
        },
    )


_TEXTS: Final = (
    "givenName",
    "surname",
    "city",
    "company",
    "country",
    "department",
    "employeeId",
    "physicalDeliveryOfficeName",
    "streetAddress",
    "telephoneNumber",
    "title",
    "onPremisesSamAccountName",
)


def _best(work: Callable[[], _Result], repeats: int = REPEATS) -> tuple[float, _Result]:
    """Seconds of the quickest of several tries, and what the work gave."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return min(seconds), result
