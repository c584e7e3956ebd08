"""Extended DNs, ranges, and the other small things inside names and values."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.directory.errors import MalformedAnswerError
from entrasync.directory.values import (
    ExtendedName,
    ValueRange,
    domain_of,
    escape_filter,
    guid_from_bytes,
    guid_of_name,
    is_true,
    naming_context_of,
    parse_extended_name,
    split_description,
)

dns = st.text(min_size=1, max_size=40).filter(lambda text: not text.startswith("<"))


@given(guid=st.uuids(), dn=dns, with_sid=st.booleans(), hexadecimal=st.booleans())
def test_the_guid_and_the_dn_come_apart(
    *, guid: UUID, dn: str, with_sid: bool, hexadecimal: bool
) -> None:
    text = guid.bytes_le.hex() if hexadecimal else str(guid).upper()
    sid = "<SID=S-1-5-21-1-2-3-1104>;" if with_sid else ""
    name = parse_extended_name(f"<GUID={text}>;{sid}{dn}".encode())
    assert name == ExtendedName(guid=str(guid), dn=dn)


@given(dns)
def test_a_plain_dn_has_no_guid(dn: str) -> None:
    assert parse_extended_name(dn.encode()) == ExtendedName(guid=None, dn=dn)


def test_a_name_in_which_separators_stand_is_kept() -> None:
    name = parse_extended_name(b"<GUID=3ca3db7c-c0fd-4463-be65-9a7a14d775c3>;CN=a\\;<b>,DC=x")
    assert name.dn == "CN=a\\;<b>,DC=x"


@pytest.mark.parametrize(
    "value",
    [b"<GUID=3ca3db7c", b"<GUID=zz>;CN=x", b"<GUID=12>;CN=x", b"<SID=S-1>CN=x", b"CN=\xff\xfe"],
)
def test_a_broken_name_is_refused(value: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        parse_extended_name(value)


def test_a_member_without_guid_is_refused_not_dropped() -> None:
    with pytest.raises(MalformedAnswerError):
        guid_of_name(b"CN=somebody,DC=contoso,DC=test")


@given(st.one_of(st.binary(max_size=60), st.binary(max_size=60).map(lambda tail: b"<" + tail)))
def test_any_bytes_are_a_name_or_refused(value: bytes) -> None:
    with suppress(MalformedAnswerError):
        parse_extended_name(value)


@given(st.integers(0, 10**9), st.one_of(st.none(), st.integers(0, 10**9)))
def test_a_range_is_found(low: int, high: int | None) -> None:
    end = "*" if high is None else high
    assert split_description(f"member;range={low}-{end}") == (
        "member",
        ValueRange(low=low, high=high),
    )


def test_options_are_taken_off() -> None:
    assert split_description("userCertificate;binary") == ("userCertificate", None)
    assert split_description("member;Range=0-*") == ("member", ValueRange(low=0, high=None))


@given(st.text(max_size=30))
def test_any_text_is_a_description_or_refused(text: str) -> None:
    with suppress(MalformedAnswerError):
        split_description(text)


@pytest.mark.parametrize("text", ["member;range=", "member;range=*-1", "member;range=1-2-3"])
def test_a_broken_range_is_refused(text: str) -> None:
    with pytest.raises(MalformedAnswerError):
        split_description(text)


@given(st.uuids())
def test_guids_are_little_endian(guid: UUID) -> None:
    assert guid_from_bytes(guid.bytes_le) == str(guid)


def test_a_guid_of_another_length_is_refused() -> None:
    with pytest.raises(MalformedAnswerError):
        guid_from_bytes(b"short")


def test_booleans() -> None:
    assert is_true((b"TRUE",))
    assert not is_true((b"FALSE",))
    assert not is_true(())


def test_the_innermost_naming_context_counts() -> None:
    contexts = (
        "DC=contoso,DC=test",
        "CN=Configuration,DC=contoso,DC=test",
        "DC=de,DC=contoso,DC=test",
    )
    assert naming_context_of("OU=x,dc=Contoso,dc=test", contexts) == contexts[0]
    assert naming_context_of("OU=x,DC=de,DC=contoso,DC=test", contexts) == contexts[2]
    assert naming_context_of("DC=mycontoso,DC=test", contexts) is None


def test_the_domain_is_read_from_its_dn() -> None:
    assert domain_of("DC=Contoso,DC=test") == "contoso.test"


def test_filter_values_are_escaped() -> None:
    assert escape_filter("a*(b)\\\0é") == "a\\2a\\28b\\29\\5c\\00é"
