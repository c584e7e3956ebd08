"""A server may send anything: a read ends with a `DirectoryError`, in bounded time and memory."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.directory import ber, link
from entrasync.directory.errors import DirectoryError, MalformedAnswerError
from entrasync.directory.link import SUBTREE, Link, Search
from entrasync.directory.reader import Reader
from tests.support.wire import Server, Wire, done, entry, link_to, message, reference, tlv

SEARCH = Search(base="DC=contoso,DC=test", scope=SUBTREE, attributes=["mail"])
PAGE = 5
NOTICE = message(
    0,
    ber.EXTENDED_RESPONSE,
    tlv(0x0A, b"\x34") + ber.encode_octets(b"") * 2 + tlv(0x8A, b"1.3.6.1.4.1.1466.20036"),
)


def read(opened: Link) -> int:
    return len(list(Reader(opened, page_size=PAGE).pages(SEARCH)))


def three_pages(number: int) -> bytes:
    cookie = b"more" if number < 3 else b""
    return entry(number) * PAGE + reference(number) + done(number, cookie=cookie)


def says(*pieces: bytes) -> Server:
    """A server that says the same whatever it is asked."""
    return lambda _: pieces


def whole_stream(number: int) -> Iterator[bytes]:
    yield three_pages(number)


def in_pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 100, 10_000])
def test_pages_are_read_however_the_bytes_arrive(size: int) -> None:
    assert read(link_to(lambda number: in_pieces(three_pages(number), size))) == 3 * PAGE


def test_every_cut_is_an_error_never_a_short_list() -> None:
    cuts = [(page, cut) for page in (1, 2, 3) for cut in range(len(three_pages(page)))]
    for page, cut in cuts:

        def server(number: int, page: int = page, cut: int = cut) -> Iterator[bytes]:
            yield three_pages(number)[:cut] if number == page else three_pages(number)

        with pytest.raises(DirectoryError):
            read(link_to(server))


@given(st.binary(max_size=400))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(DirectoryError):
        read(link_to(lambda _: [data]))


@given(st.data())
def test_a_damaged_answer_is_read_or_refused(data: st.DataObject) -> None:
    stream = bytearray(entry(1) * PAGE + reference(1) + done(1))
    for _ in range(data.draw(st.integers(1, 6))):
        position = data.draw(st.integers(0, max(len(stream) - 1, 0)))
        stream += b"\0"  # never empty
        match data.draw(st.sampled_from(["change", "remove", "add", "repeat"])):
            case "change":
                stream[position] = data.draw(st.integers(0, 255))
            case "remove":
                del stream[position : position + data.draw(st.integers(1, 9))]
            case "add":
                stream[position:position] = data.draw(st.binary(min_size=1, max_size=9))
            case _:
                stream[position:position] = stream[position : position + 40]
    count = 0
    with suppress(DirectoryError):
        count = read(link_to(lambda _: [bytes(stream)]))
    assert count <= PAGE


@given(st.binary(min_size=1, max_size=200), st.integers(0, 4), st.integers(0, 255))
def test_lengths_that_lie_are_refused(tail: bytes, place: int, lie: int) -> None:
    whole = bytearray(entry(1))
    places = [index for index, byte in enumerate(whole) if byte in {0x30, 0x64, 0x04, 0x31}]
    position = places[place % len(places)] + 1
    if whole[position] == lie:
        return
    whole[position] = lie
    with pytest.raises(DirectoryError):
        read(link_to(lambda _: [bytes(whole) + tail]))


@pytest.mark.parametrize("tag", [0x30, 0x31, 0x64, 0xA0])
def test_deep_nesting_is_refused_without_going_down(tag: int) -> None:
    nested = b""
    for _ in range(3000):
        nested = tlv(tag, nested)
    for frame in (nested, message(1, 0x64, nested), message(1, 0x65, b"", nested)):
        with pytest.raises(DirectoryError):
            read(link_to(says(frame)))


@pytest.mark.parametrize("tag", [0x61, 0x79, 0x64 + 1 + 0x10, 0x02, 0x00, 0xFF])
def test_an_answer_to_another_kind_of_question_is_refused(tag: int) -> None:
    with pytest.raises(MalformedAnswerError):
        read(link_to(lambda number: [message(number, tag, b"")]))


@pytest.mark.parametrize("number", [2, 99, -1, 2**31 - 1])
def test_an_answer_to_no_question_is_refused(number: int) -> None:
    with pytest.raises(MalformedAnswerError):
        read(link_to(lambda _: [entry(number)]))


def test_a_second_end_of_an_answer_is_refused() -> None:
    with pytest.raises(DirectoryError):
        read(link_to(lambda number: [done(number, cookie=b"more") * 2]))


def test_a_server_that_says_good_bye_is_lost() -> None:
    with pytest.raises(DirectoryError, match="it ends the connection") as caught:
        read(link_to(lambda number: [entry(number), NOTICE]))
    assert caught.value.reason == "ServerUnreachable"


@pytest.mark.parametrize(
    ("piece", "most"),
    [(entry, PAGE + 1), (reference, link.MAX_REFERENCES + 1)],
)
def test_an_answer_without_end_is_not_read_for_ever(piece, most: int) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001  - one of the encoders
    sent = 0

    def server(number: int) -> Iterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield piece(number)

    with pytest.raises(MalformedAnswerError):
        read(link_to(server))
    assert sent == most


def test_pages_without_end_of_a_search_given_up_are_not_read_for_ever() -> None:
    now = itertools.count()

    def server(number: int) -> Iterator[bytes]:
        if number == 1:
            yield entry(1) + done(1, cookie=b"more")
        while True:
            yield entry(2)

    opened = link_to(server, clock=lambda: float(next(now)), patience=50)
    pages = Reader(opened, page_size=PAGE).pages(SEARCH)
    next(pages)
    pages.close()  # type: ignore[attr-defined]  # a generator
    with pytest.raises(DirectoryError, match="took too long"):
        read(opened)


@pytest.mark.parametrize("frame", [entry, reference])
def test_a_server_that_sends_a_byte_now_and_then_is_given_up(frame) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001  - one of the encoders
    now = itertools.count(step=60)

    def server(number: int) -> Iterator[bytes]:
        yield from in_pieces(frame(number) * 100, 1)

    with pytest.raises(DirectoryError, match="took too long") as caught:
        read(link_to(server, clock=lambda: float(next(now))))
    assert caught.value.reason == "ServerUnreachable"


def test_the_patience_is_for_one_answer_and_not_for_what_is_done_with_it() -> None:
    now = itertools.count(step=300)  # each look at the clock, ten pages would be too long
    opened = link_to(
        lambda number: [entry(number), done(number, cookie=b"m" if number < 30 else b"")],
        clock=lambda: float(next(now)),
    )
    assert read(opened) == 30


def test_a_message_too_large_is_refused_at_its_first_bytes() -> None:
    sent = 0

    def server(number: int) -> Iterator[bytes]:
        nonlocal sent
        del number
        yield b"\x30\x84" + (ber.MAX_MESSAGE + 1).to_bytes(4, "big")
        while True:
            sent += 1
            yield bytes(1000)

    with pytest.raises(MalformedAnswerError):
        read(link_to(server))
    assert sent == 0


def test_an_announced_length_costs_nothing_until_its_bytes_come() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(DirectoryError):
            read(link_to(lambda _: [b"\x30\x84" + ber.MAX_MESSAGE.to_bytes(4, "big"), bytes(1000)]))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20


def test_an_answer_that_must_be_held_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "MAX_ANSWER", 10_000)
    opened = link_to(lambda number: (entry(number) for _ in itertools.count()))
    with pytest.raises(MalformedAnswerError):
        opened.search(SEARCH)


def test_at_most_two_pages_are_held_whatever_the_size_of_the_directory() -> None:
    def server(number: int) -> Iterator[bytes]:
        yield entry(number) * PAGE + done(number, cookie=b"m" if number < 200 else b"")

    opened = link_to(server)
    held, count = 0, 0
    for count, _ in enumerate(Reader(opened, page_size=PAGE).pages(SEARCH), 1):  # noqa: B007
        waiting = sum(len(pending.bodies) for pending in opened._pending.values())
        held = max(held, waiting + len(opened._frames))
    assert count == 200 * PAGE
    assert held <= PAGE + 1
    assert opened._pending == {}
    assert opened._buffer == b""


def test_a_large_page_is_passed_on_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("entrasync.directory.reader._HELD", 100)
    opened = link_to(lambda number: in_pieces(three_pages(number), 150))
    held = 0
    for _ in Reader(opened, page_size=PAGE).pages(SEARCH):
        held = max(held, *(pending.size for pending in opened._pending.values()), 0)
    assert held < 2 * len(entry(1))


def test_a_search_given_up_is_abandoned_and_its_answers_are_dropped() -> None:
    opened = link_to(whole_stream)
    pages = Reader(opened, page_size=PAGE).pages(SEARCH)
    next(pages)
    pages.close()  # type: ignore[attr-defined]  # a generator
    wire = opened._connection
    assert isinstance(wire, Wire)
    assert wire.sent == ["searchRequest", "searchRequest", "abandonRequest"]
    assert opened._abandoned == {2}
    assert wire._outstanding == {}
    answer = opened.search(SEARCH)  # its number is 4: the last page
    assert len(answer.bodies) == PAGE
    assert opened._abandoned == set()


def test_giving_up_a_search_of_a_lost_connection_raises_nothing() -> None:
    opened = link_to(whole_stream)
    number = opened.start(SEARCH)
    opened.close()
    opened.forget(number)
    opened.forget(number)


def test_after_an_error_the_connection_is_closed() -> None:
    opened = link_to(lambda _: [b"HTTP/1.1 400 Bad Request"])
    with pytest.raises(MalformedAnswerError) as caught:
        read(opened)
    assert caught.value.resource == "ActiveDirectory/contoso"
    assert opened._connection.socket is None
    for _ in range(2):
        with pytest.raises(DirectoryError) as again:
            read(opened)
        assert again.value.reason == "ServerUnreachable"


def test_a_time_out_is_a_lost_connection() -> None:
    def server(number: int) -> Iterator[bytes]:
        yield entry(number)
        raise TimeoutError

    with pytest.raises(DirectoryError, match="TimeoutError") as caught:
        read(link_to(server))
    assert caught.value.reason == "ServerUnreachable"
    assert caught.value.field == "spec.servers"
