"""Reading a large directory: OpenLDAP with 100,000 people of ten attributes, over TLS, in pages.

Three clients read the same, one after another in one run: ours, ldap3 and bonsai, which wraps the C
library. A rate is entries for each second of processor time of the reading process, so it is what
one core reads when the server keeps up and nobody else is on it. The same by the clock on the wall
stands beside it without a goal: it holds the server's time and the neighbours'.
"""

from __future__ import annotations

import importlib.util
import ssl
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import ldap3

from bench.figures import Figure
from entrasync.directory.ber import decode_entry
from entrasync.directory.connect import connect
from entrasync.directory.controls import paged_results
from entrasync.directory.entries import Wanted
from entrasync.directory.link import SUBTREE, Link, Search
from entrasync.directory.reader import Reader
from tests.support.slapd import (
    PEOPLE_DN,
    READER_DN,
    READER_PASSWORD,
    TEN_ATTRIBUTES,
    SlapdServer,
)

PEOPLE: Final = 100_000
FEWER: Final = 10_000
PAGE: Final = 1000
TRIES: Final = 2
MIB: Final = 1024 * 1024
FILTER: Final = "(objectClass=user)"
SOME_MORE: Final = f"(&{FILTER}(cn=Person 00*))"
"""The first 10,000 people."""
PEOPLE_SEARCH: Final = Search(
    base=PEOPLE_DN, scope=SUBTREE, attributes=TEN_ATTRIBUTES, filter=FILTER
)
HOW_TO_GET_BONSAI: Final = (
    "  bonsai is missing, so nothing is compared with it. It is built here; on Debian:\n"
    "  apt-get install gcc libldap2-dev libsasl2-dev, then make bench again."
)


@dataclass(frozen=True, kw_only=True)
class Rate:
    """Entries a second: of processor time, and by the clock on the wall."""

    core: float
    wall: float


def measure() -> list[Figure]:
    """100,000 people of OpenLDAP read by three clients (2 to 5 min)."""
    with (
        tempfile.TemporaryDirectory(prefix="entrasync-bench-") as folder,
        SlapdServer(
            Path(folder),
            people=PEOPLE,
            settings=("sizelimit unlimited", "index cn eq,sub"),
        ) as server,
    ):
        ca = Path(folder) / "ca.crt"
        link = connect(server.config())
        try:
            ours = _rate(lambda: _read(link))
            source = _rate(lambda: _read_source(link))
            decoder = _decode_rate(link)
            memory = _memory(link)
        finally:
            link.close()
        stock = _rate(lambda: _read_with_ldap3(server.url, ca))
        other = _rate(lambda: _read_with_bonsai(server.url, ca)) if _has_bonsai() else None
    if other is None:
        print(HOW_TO_GET_BONSAI)
    return [
        _per_second("entries_per_second", ours.core, at_least=25_000),
        Figure(name="ratio_to_ldap3", value=ours.core / stock.core, at_least=6),
        Figure(
            name="ratio_to_bonsai",
            value=ours.core / other.core if other else 0,  # not compared is not held
            at_least=1.5,
        ),
        _per_second("source_entries_per_second", source.core),
        _per_second("decoder_entries_per_second", decoder),
        _per_second("ldap3_entries_per_second", stock.core),
        *([_per_second("bonsai_entries_per_second", other.core)] if other else []),
        _per_second("wall_entries_per_second", ours.wall),
        Figure(name="wall_ratio_to_ldap3", value=ours.wall / stock.wall),
        *([Figure(name="wall_ratio_to_bonsai", value=ours.wall / other.wall)] if other else []),
        *memory,
    ]


def _per_second(name: str, value: float, at_least: float | None = None) -> Figure:
    return Figure(name=name, value=value, unit="entries/s", at_least=at_least)


def _rate(read: Callable[[], int]) -> Rate:
    """The best of some tries."""
    core, wall = [], []
    for _ in range(TRIES):
        began, began_core = time.perf_counter(), time.process_time()
        _expect(read(), PEOPLE)
        core.append(PEOPLE / (time.process_time() - began_core))
        wall.append(PEOPLE / (time.perf_counter() - began))
    return Rate(core=max(core), wall=max(wall))


def _read(link: Link, search: Search = PEOPLE_SEARCH) -> int:
    return sum(1 for _ in Reader(link, page_size=PAGE).pages(search))


def _read_source(link: Link) -> int:
    """As a run reads: to the entries that scope and flows work on."""
    reader = Reader(link, page_size=PAGE)
    wanted = Wanted(TEN_ATTRIBUTES)
    return sum(reader.complete(raw, wanted).members is None for raw in reader.pages(PEOPLE_SEARCH))


def _decode_rate(link: Link) -> float:
    """The decoder alone, over and over the same page."""
    page = Search(
        base=PEOPLE_DN,
        scope=SUBTREE,
        attributes=TEN_ATTRIBUTES,
        filter=FILTER,
        controls=(paged_results(PAGE, b""),),
    )
    bodies = link.search(page).bodies
    began = time.process_time()
    for _ in range(PEOPLE // PAGE):
        for body in bodies:
            decode_entry(body)
    return PEOPLE / (time.process_time() - began)


def _memory(link: Link) -> list[Figure]:
    fewer = Search(base=PEOPLE_DN, scope=SUBTREE, attributes=TEN_ATTRIBUTES, filter=SOME_MORE)
    small = _peak_mib(lambda: _read(link, fewer), FEWER)
    large = _peak_mib(lambda: _read(link), PEOPLE)
    return [
        Figure(name="peak_mib_10k", value=small, unit="MiB"),
        Figure(name="peak_mib_100k", value=large, unit="MiB", at_most=8),
        Figure(name="peak_growth_10k_to_100k", value=large / small, at_most=1.1),
    ]


def _peak_mib(read: Callable[[], int], expected: int) -> float:
    tracemalloc.start()
    try:
        _expect(read(), expected)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak / MIB


def _expect(read: int, expected: int) -> None:
    if read != expected:
        message = f"{read} entries were read, there are {expected}"
        raise AssertionError(message)


def _read_with_ldap3(url: str, ca: Path) -> int:
    tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=str(ca))
    connection = ldap3.Connection(
        ldap3.Server(url, tls=tls, get_info=ldap3.NONE),
        READER_DN,
        READER_PASSWORD,
        client_strategy=ldap3.SAFE_SYNC,
        auto_bind=True,
    )
    try:
        return sum(1 for _ in _ldap3_entries(connection))
    finally:
        connection.unbind()


def _ldap3_entries(connection: Any) -> Iterator[dict[str, Any]]:
    cookie: bytes | None = None
    while True:
        _, result, entries, _ = connection.search(
            PEOPLE_DN,
            FILTER,
            attributes=list(TEN_ATTRIBUTES),
            paged_size=PAGE,
            paged_cookie=cookie,
        )
        yield from entries
        cookie = result["controls"]["1.2.840.113556.1.4.319"]["value"]["cookie"]
        if not cookie:
            return


def _has_bonsai() -> bool:
    return importlib.util.find_spec("bonsai") is not None


def _read_with_bonsai(url: str, ca: Path) -> int:
    bonsai: Any = importlib.import_module("bonsai")
    client = bonsai.LDAPClient(url)
    client.set_ca_cert(str(ca))
    client.set_cert_policy("demand")
    client.set_credentials("SIMPLE", user=READER_DN, password=READER_PASSWORD)
    with client.connect() as connection:
        people = connection.paged_search(
            PEOPLE_DN,
            bonsai.LDAPSearchScope.SUBTREE,
            FILTER,
            list(TEN_ATTRIBUTES),
            page_size=PAGE,
        )
        return sum(1 for _ in people)
