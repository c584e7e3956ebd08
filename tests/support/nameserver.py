"""A DNS server on loopback that knows a few SRV records, and a resolver that asks it."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.rrset

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_MOST_BYTES = 4096


class Nameserver:
    """Answers over UDP.

    Args:
        records: by name, SRV records as text: `priority weight port target.`.
    """

    def __init__(self, records: Mapping[str, Sequence[str]]) -> None:
        self.asked: list[str] = []
        """Names that were asked for."""
        self._records = {f"{name.lower()}.": list(found) for name, found in records.items()}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def resolver(self) -> dns.resolver.Resolver:
        """Asks this server and no other."""
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = ["127.0.0.1"]
        resolver.port = self._socket.getsockname()[1]
        return resolver

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        # an empty datagram is no question: it ends the thread
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            data, sender = self._socket.recvfrom(_MOST_BYTES)
            if not data:
                return
            self._socket.sendto(self._answer(data), sender)

    def _answer(self, data: bytes) -> bytes:
        question = dns.message.from_wire(data)
        (asked,) = question.question
        name = asked.name.to_text().lower()
        self.asked.append(name)
        answer = dns.message.make_response(question)
        answer.flags |= dns.flags.AA
        found = self._records.get(name)
        if found is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif found:
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "SRV", *found))
        return answer.to_wire()


@contextmanager
def serving(records: Mapping[str, Sequence[str]]) -> Iterator[Nameserver]:
    """Serves while the block runs."""
    server = Nameserver(records)
    server.start()
    try:
        yield server
    finally:
        server.stop()
