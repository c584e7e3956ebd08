"""The decoder of search answers."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ldap3.protocol.rfc4511 import SearchResultEntry
from pyasn1.codec.ber import decoder

from entrasync.directory import ber
from entrasync.directory.errors import MalformedAnswerError
from tests.support.wire import entry_body, tlv

names = st.text("abcdefghij;=-0123456789", min_size=1, max_size=20)
attributes = st.dictionaries(names, st.lists(st.binary(max_size=300), max_size=5), max_size=8)


def read_slowly(body: bytes) -> dict[str, tuple[bytes, ...]]:
    """What ldap3's description of an entry and another decoder make of it."""
    decoded, rest = decoder.decode(b"\x64" + ber.encode_octets(body)[1:], SearchResultEntry())
    assert rest == b""
    return {
        str(each["type"]): tuple(bytes(value) for value in each["vals"])
        for each in decoded["attributes"]
    }


@given(dn=st.binary(max_size=50), held=attributes, long_form=st.booleans())
def test_entries_come_back_as_they_were(
    *, dn: bytes, held: dict[str, list[bytes]], long_form: bool
) -> None:
    entry = ber.decode_entry(entry_body(dn, held, long_form=long_form))
    assert entry.dn == dn
    assert entry.attributes == {name: tuple(values) for name, values in held.items()}


@given(held=attributes, long_form=st.booleans())
def test_entries_are_read_as_another_decoder_reads_them(
    *, held: dict[str, list[bytes]], long_form: bool
) -> None:
    body = entry_body(b"CN=x", held, long_form=long_form)
    assert ber.decode_entry(body).attributes == read_slowly(body)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65_535, 65_536, 1 << 24])
def test_values_of_any_length_come_whole(size: int) -> None:
    value = b"\x04\x00" + bytes(size)
    body = entry_body(b"CN=x", {"a": [value], "b": [value, b""], "c": []})
    assert ber.decode_entry(body).attributes == {"a": (value,), "b": (value, b""), "c": ()}


def test_the_same_attribute_twice_is_refused() -> None:
    one = tlv(0x30, ber.encode_octets(b"member") + tlv(0x31, ber.encode_octets(b"CN=a")))
    with pytest.raises(MalformedAnswerError):
        ber.decode_entry(ber.encode_octets(b"CN=x") + tlv(0x30, one + one))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x04",
        b"\x04\x00",
        b"\x04\x00\x30",
        b"\x04\x00\x31\x00",  # a set of attributes
        b"\x30\x00\x30\x00",  # no name
        b"\x04\x00\x30\x00\x00",  # something after the end
        b"\x04\x01\x30\x00",  # a name that takes the tag of what follows
        b"\x04\x00\x30\x80\x00\x00",  # an indefinite length
        b"\x04\x00\x30\x85\x00\x00\x00\x00\x00",
        b"\x04\x00\x30\x84\xff\xff\xff\xff",
        b"\x04\x00\x30\x07\x30\x05\x04\x01a\x31\x01",  # a set longer than its attribute
        b"\x04\x00\x30\x09\x30\x07\x04\x01a\x31\x02\x04\x01",  # a value longer than its set
        b"\x04\x00\x30\x09\x30\x07\x04\x01a\x31\x02\x02\x00",  # a value of another kind
        b"\x04\x00\x30\x09\x30\x07\x04\x01\xff\x31\x02\x04\x00",  # a name that is no ASCII
        b"\x04\x00\x30\x08\x30\x05\x04\x01a\x31\x00\x00",  # half an attribute more
        b"\x04\x00\x30\x08\x30\x06\x04\x01a\x31\x00\x00",  # something in an attribute
    ],
)
def test_an_entry_out_of_order_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        ber.decode_entry(body)


def test_names_without_end_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ber, "_names", {})
    for number in range(ber._MOST_NAMES + 100):
        name = f"member;range={number}-*"
        assert list(ber.decode_entry(entry_body(b"", {name: []})).attributes) == [name]
    assert len(ber._names) == ber._MOST_NAMES


@pytest.mark.parametrize(
    "code", [b"", b"\x00" * 5, b"\x01" * 2000], ids=["none", "five bytes", "endless"]
)
def test_a_result_code_that_is_none_is_no_success(code: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        ber.decode_result(tlv(0x0A, code) + ber.encode_octets(b"") * 2)
    with pytest.raises(MalformedAnswerError):
        ber.decode_message(tlv(0x30, tlv(0x02, code) + tlv(ber.SEARCH_DONE, b"")))


def test_the_servers_words_are_kept_short() -> None:
    words = ber.encode_octets(b"") + ber.encode_octets(b"x" * 100_000)
    result = ber.decode_result(tlv(0x0A, b"\x04") + words)
    assert (result.code, len(result.diagnostic)) == (4, 1000)


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
    damaged = bytes(body[: data.draw(st.integers(len(body) // 2, len(body)))])
    with suppress(MalformedAnswerError):
        entry = ber.decode_entry(damaged)
        assert read_slowly(damaged) == entry.attributes


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
