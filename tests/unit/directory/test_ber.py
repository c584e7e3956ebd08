"""The decoder of search answers."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyasn1.codec.ber import decoder

from entrasync.directory import ber
from entrasync.directory.errors import MalformedAnswerError

names = st.text("abcdefghij;=-0123456789", min_size=1, max_size=20)
attributes = st.dictionaries(names, st.lists(st.binary(max_size=300), max_size=5), max_size=8)


def tlv(tag: int, content: bytes, *, long_form: bool = False) -> bytes:
    if long_form:  # as Active Directory sends every length
        return bytes((tag, 0x84)) + len(content).to_bytes(4, "big") + content
    return ber._encode(tag, content)


def entry_body(dn: bytes, held: dict[str, list[bytes]], *, long_form: bool) -> bytes:
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


@given(dn=st.binary(max_size=50), held=attributes, long_form=st.booleans())
def test_entries_come_back_as_they_were(
    *, dn: bytes, held: dict[str, list[bytes]], long_form: bool
) -> None:
    entry = ber.decode_entry(entry_body(dn, held, long_form=long_form))
    assert entry.dn == dn
    assert entry.attributes == {name: tuple(values) for name, values in held.items()}


@given(number=st.integers(0, 2**31 - 1), value=st.binary(max_size=400), long_form=st.booleans())
def test_messages_come_back_with_their_controls(
    *, number: int, value: bytes, long_form: bool
) -> None:
    control = tlv(
        0x30,
        ber.encode_octets(b"1.2.3") + tlv(0x01, b"\xff") + ber.encode_octets(value),
        long_form=long_form,
    )
    body = b"\x0a\x01\x00\x04\x00\x04\x00"
    frame = tlv(
        0x30,
        ber.encode_integer(number) + tlv(ber.SEARCH_DONE, body) + tlv(0xA0, control),
        long_form=long_form,
    )
    message = ber.decode_message(frame)
    assert ber.frame_length(frame + b"more", 0) == len(frame)
    assert (message.message_id, message.operation) == (number, ber.SEARCH_DONE)
    assert message.controls == {"1.2.3": value}
    assert ber.decode_result(message.body) == ber.Result(code=0, diagnostic="")


def test_a_control_without_a_value_is_empty() -> None:
    frame = tlv(
        0x30,
        ber.encode_integer(1)
        + tlv(ber.SEARCH_DONE, b"")
        + tlv(0xA0, tlv(0x30, ber.encode_octets(b"1.2.3"))),
    )
    assert ber.decode_message(frame).controls == {"1.2.3": b""}


@given(st.integers(-(2**31), 2**32))
def test_integers_are_read_by_another_decoder(number: int) -> None:
    decoded, rest = decoder.decode(ber.encode_integer(number))
    assert (int(decoded), rest) == (number, b"")


def test_the_highest_of_32_flags_takes_four_bytes() -> None:
    assert ber.encode_integer(-(2**31)) == b"\x02\x04\x80\x00\x00\x00"


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=4))
def test_sequences_are_read_by_another_decoder(values: list[bytes]) -> None:
    encoded = ber.encode_sequence(*map(ber.encode_octets, values))
    decoded, rest = decoder.decode(encoded)
    assert [bytes(value) for value in decoded] == values
    assert rest == b""


@pytest.mark.parametrize(
    "decode",
    [
        ber.decode_message,
        ber.decode_entry,
        ber.decode_result,
        ber.decode_paged_value,
        ber.decode_dirsync_value,
        lambda data: ber.frame_length(data, 0),
    ],
)
@given(data=st.one_of(st.binary(max_size=200), st.binary(max_size=60).map(lambda b: b"\x30" + b)))
def test_rubbish_is_refused_and_nothing_else_happens(decode, data: bytes) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001  - any of the decoders
    with suppress(MalformedAnswerError):
        decode(data)


@given(st.data(), attributes)
def test_a_damaged_entry_is_decoded_or_refused(
    data: st.DataObject, held: dict[str, list[bytes]]
) -> None:
    body = bytearray(entry_body(b"CN=x", held, long_form=data.draw(st.booleans())))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with suppress(MalformedAnswerError):
        ber.decode_entry(bytes(body[: data.draw(st.integers(0, len(body)))]))


@given(attributes.filter(bool), st.data())
def test_a_cut_entry_is_always_refused(held: dict[str, list[bytes]], data: st.DataObject) -> None:
    body = entry_body(b"CN=x", held, long_form=False)
    cut = data.draw(st.integers(0, len(body) - 1))
    with pytest.raises(MalformedAnswerError):
        ber.decode_entry(body[:cut])


def test_a_message_still_arriving_has_no_length_yet() -> None:
    assert ber.frame_length(b"", 0) is None
    assert ber.frame_length(b"\x30", 0) is None
    assert ber.frame_length(b"\x30\x84\x00\x00", 0) is None
    assert ber.frame_length(b"\x30\x84\x00\x00\x00\x05", 0) == 11


@pytest.mark.parametrize(
    "data", [b"HTTP/1.1", b"\x30\x80", b"\x30\x85\0\0\0\0\1", b"\x30\x84\xff\xff\xff\xff"]
)
def test_what_is_no_ldap_message_is_refused_at_its_first_bytes(data: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        ber.frame_length(data, 0)


@given(more=st.booleans(), cookie=st.binary(max_size=200))
def test_the_answer_of_dirsync_says_whether_more_follows(*, more: bool, cookie: bytes) -> None:
    value = ber.encode_sequence(
        ber.encode_integer(int(more)), ber.encode_integer(0), ber.encode_octets(cookie)
    )
    assert ber.decode_dirsync_value(value) == (more, cookie)


@given(st.binary(max_size=200))
def test_the_answer_of_a_page_holds_its_cookie(cookie: bytes) -> None:
    value = ber.encode_sequence(ber.encode_integer(0), ber.encode_octets(cookie))
    assert ber.decode_paged_value(value) == cookie
