"""LDAP messages as bytes, and a connection whose server is a function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from entrasync.directory import ber
from entrasync.directory.controls import PAGED_RESULTS
from entrasync.directory.link import Link

Server = Callable[[int], Iterable[bytes]]
"""Given the number of a question, what the server sends: a piece for each read of the socket."""


def tlv(tag: int, content: bytes, *, long_form: bool = False) -> bytes:
    """A tag with its length; Active Directory writes it in long form wherever parts follow."""
    if long_form:
        return bytes((tag, 0x84)) + len(content).to_bytes(4, "big") + content
    return ber._encode(tag, content)


def entry_body(dn: bytes, held: Mapping[str, Sequence[bytes]], *, long_form: bool = False) -> bytes:
    """A search result entry without its header."""
    parts = b"".join(
        tlv(
            0x30,
            ber.encode_octets(name.encode())
            + tlv(0x31, b"".join(map(ber.encode_octets, values)), long_form=long_form),
            long_form=long_form,
        )
        for name, values in held.items()
    )
    return ber.encode_octets(dn) + tlv(0x30, parts, long_form=long_form)


def message(
    number: int, tag: int, body: bytes, controls: bytes = b"", *, long_form: bool = False
) -> bytes:
    """A whole message."""
    tail = tlv(0xA0, controls, long_form=long_form) if controls else b""
    operation = tlv(tag, body, long_form=long_form)
    return tlv(0x30, ber.encode_integer(number) + operation + tail, long_form=long_form)


def entry(number: int, dn: bytes = b"CN=x,DC=contoso,DC=test") -> bytes:
    """A small entry in answer to a question."""
    return message(number, ber.SEARCH_ENTRY, entry_body(dn, {"mail": [b"x@contoso.test"]}))


def reference(number: int) -> bytes:
    """A search result reference."""
    return message(number, ber.SEARCH_REFERENCE, ber.encode_octets(b"ldap://other.test/"))


def done(number: int, *, code: int = 0, cookie: bytes | None = b"") -> bytes:
    """The end of a page; with an empty cookie of the last, with none of what is no page."""
    body = tlv(0x0A, bytes((code,))) + ber.encode_octets(b"") * 2
    if cookie is None:
        return message(number, ber.SEARCH_DONE, body)
    value = ber.encode_sequence(ber.encode_integer(0), ber.encode_octets(cookie))
    control = tlv(0x30, ber.encode_octets(PAGED_RESULTS.encode()) + ber.encode_octets(value))
    return message(number, ber.SEARCH_DONE, body, control)


class Wire:
    """What a `Link` uses of an ldap3 connection, with the server's answers from a function.

    Args:
        server: called with each search.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._pieces: list[Iterator[bytes]] = []
        self._rest = b""
        self._number = 0
        self._outstanding: dict[int, object] = {}
        self.sent: list[str] = []
        """Kinds of the requests, in order."""
        self.socket: Wire | None = self
        self.strategy = self

    def send(self, kind: str, request: object, controls: object = None) -> int:
        """As ldap3's strategy."""
        del controls
        if self.socket is None:
            raise OSError
        self._number += 1
        self._outstanding[self._number] = request
        self.sent.append(kind)
        if kind != "abandonRequest":
            self._pieces.append(iter(self._server(self._number)))
        return self._number

    def recv_into(self, buffer: memoryview) -> int:
        """As a socket: at the end of what the server says, it is closed."""
        while not self._rest:
            if not self._pieces:
                return 0
            piece = next(self._pieces[0], None)
            if piece is None:
                del self._pieces[0]
            else:
                self._rest = piece
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size

    def unbind(self) -> None:
        """As ldap3's connection."""
        self.socket = None

    def close(self) -> None:
        """As a socket."""


def link_to(server: Server, **settings: Any) -> Link:
    """A link to a server that is a function."""
    wire = cast("Any", Wire(server))
    return Link(
        wire, url="ldaps://dc1.contoso.test", resource="ActiveDirectory/contoso", **settings
    )
