"""Extended DNs, ranges, and the other small things inside names and values."""

from __future__ import annotations

import datetime as dt
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
    fold_description,
    guid_from_bytes,
    guid_of_name,
    integer_from_text,
    is_true,
    moment_from_generalized_time,
    naming_context_of,
    parse_extended_name,
    sid_from_bytes,
    sid_from_text,
    split_description,
    split_name,
)

dns = st.text(min_size=1, max_size=40).filter(lambda text: not text.startswith("<"))


@given(guid=st.uuids(), dn=dns, with_sid=st.booleans(), hexadecimal=st.booleans())
def test_the_guid_and_the_dn_come_apart(
    *, guid: UUID, dn: str, with_sid: bool, hexadecimal: bool
) -> None:
    text = guid.bytes_le.hex() if hexadecimal else str(guid).upper()
    value = sid_from_text("S-1-5-21-1-2-3-1104") if with_sid else None
    written = value.hex() if value and hexadecimal else "S-1-5-21-1-2-3-1104"
    sid = f"<SID={written}>;" if value else ""
    name = parse_extended_name(f"<GUID={text}>;{sid}{dn}".encode())
    assert name == ExtendedName(guid=str(guid), dn=dn, sid=value)


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


FOREIGN = "S-1-5-21-11-22-33-1107"


@pytest.mark.parametrize(
    ("name", "foreign"),
    [
        (f"<SID={FOREIGN}>;CN={FOREIGN},CN=ForeignSecurityPrincipals,DC=contoso,DC=test", True),
        (f"<SID={FOREIGN}>;CN={FOREIGN},OU=Elsewhere,DC=contoso,DC=test", True),
        ("<SID=S-1-5-11>;CN=S-1-5-11,CN=ForeignSecurityPrincipals,DC=contoso,DC=test", True),
        ("<SID=S-1-1-0>;CN=S-1-1-0,CN=ForeignSecurityPrincipals,DC=contoso,DC=test", True),
        # somebody of the own domain who is called like a SID
        (f"<SID=S-1-5-21-1-2-3-1104>;CN={FOREIGN},CN=Users,DC=contoso,DC=test", False),
        (f"<SID={FOREIGN}>;CN=Anna,CN=ForeignSecurityPrincipals,DC=contoso,DC=test", False),
        (f"<SID={FOREIGN}>;CN={FOREIGN}\\, Inc,CN=Users,DC=contoso,DC=test", False),
        (f"CN={FOREIGN},CN=ForeignSecurityPrincipals,DC=contoso,DC=test", False),
        (f"<SID=zz>;CN={FOREIGN},CN=ForeignSecurityPrincipals,DC=contoso,DC=test", False),
    ],
)
def test_a_foreign_principal_is_called_by_its_own_sid(name: str, *, foreign: bool) -> None:
    guid = "<GUID=3ca3db7c-c0fd-4463-be65-9a7a14d775c3>;"
    assert parse_extended_name((guid + name).encode()).is_foreign_principal is foreign


def test_a_member_without_guid_is_refused_not_dropped() -> None:
    with pytest.raises(MalformedAnswerError):
        guid_of_name(b"CN=somebody,DC=contoso,DC=test")


@pytest.mark.parametrize(
    ("value", "guid"),
    [
        (
            b"<GUID=3CA3DB7C-C0FD-4463-be65-9a7a14d775c3>;CN=x",
            "3ca3db7c-c0fd-4463-be65-9a7a14d775c3",
        ),
        (b"<GUID=3ca3db7c-c0fd-4463-be65-9a7a14d775c3>", "3ca3db7c-c0fd-4463-be65-9a7a14d775c3"),
        (
            b"<GUID=3ca3db7c-c0fd-4463-be65-9a7a14d775c3>;<SID=S-1-5-11>;CN=a\\,b",
            "3ca3db7c-c0fd-4463-be65-9a7a14d775c3",
        ),
        (b"<GUID=7cdba33cfdc06344be659a7a14d775c3>;CN=x", "3ca3db7c-c0fd-4463-be65-9a7a14d775c3"),
        (
            b"<SID=S-1-5-11>;<GUID=3ca3db7c-c0fd-4463-be65-9a7a14d775c3>;CN=x",
            "3ca3db7c-c0fd-4463-be65-9a7a14d775c3",
        ),
    ],
)
def test_a_member_is_known_by_its_guid(value: bytes, guid: str) -> None:
    assert guid_of_name(value) == guid


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


def test_names_of_attributes_are_folded() -> None:
    assert fold_description("userCertificate;binary") == ("usercertificate", None)
    assert fold_description("Member;range=0-*") == ("member", ValueRange(low=0, high=None))


@pytest.mark.parametrize(
    ("value", "guid"),
    [
        ("7cdba33cfdc06344be659a7a14d775c3", "3ca3db7c-c0fd-4463-be65-9a7a14d775c3"),
        ("00000000000000000000000000000000", "00000000-0000-0000-0000-000000000000"),
        ("ffffffffffffffffffffffffffffffff", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
        ("0123456789abcdef0123456789abcdef", "67452301-ab89-efcd-0123-456789abcdef"),
    ],
)
def test_guids_are_little_endian(value: str, guid: str) -> None:
    assert guid_from_bytes(bytes.fromhex(value)) == guid


@given(st.uuids())
def test_guids_are_those_of_the_standard_library(guid: UUID) -> None:
    assert guid_from_bytes(guid.bytes_le) == str(guid)


@pytest.mark.parametrize("size", [0, 5, 15, 17])
def test_a_guid_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(MalformedAnswerError):
        guid_from_bytes(bytes(size))


@pytest.mark.parametrize(
    ("value", "sid"),
    [
        ("01010000000000010000" + "0000", "S-1-1-0"),
        ("01010000000000050b000000", "S-1-5-11"),
        ("01020000000000052000000020020000", "S-1-5-32-544"),
        (
            "010500000000000515000000" + "15cd5b07" + "b168de3a" + "ffffffff" + "50040000",
            "S-1-5-21-123456789-987654321-4294967295-1104",
        ),
        ("0100000000000005", "S-1-5"),
        ("010112345678000a01000000", "S-1-0x12345678000a-1"),
        ("010f000000000005" + "01000000" * 15, "S-1-5" + "-1" * 15),
        ("0110000000000005" + "01000000" * 16, None),
        ("02010000000000050b000000", None),
        ("01020000000000050b000000", None),
        ("01010000000000050b00000000", None),
        ("01010000000000", None),
        ("", None),
    ],
)
def test_sids(value: str, sid: str | None) -> None:
    assert sid_from_bytes(bytes.fromhex(value)) == sid


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("S-1-1-0", "010100000000000100000000"),
        ("S-1-5-11", "01010000000000050b000000"),
        (
            "S-1-5-21-3623811015-3361044348-30300820-1013",
            "010500000000000515000000c7f7fed77c7755c8945ace01f5030000",
        ),
        ("s-1-0x20000000000-7", "010102000000000007000000"),
        ("S-1-5", "0100000000000005"),
        ("S-1-281474976710656-1", None),
        ("S-1-5-4294967296", None),
        ("S-1-5" + "-1" * 16, None),
        ("S-2-5-11", None),
        ("S-1-", None),
        ("S-1-5-", None),
        ("S-1-5-21-x", None),
        ("", None),
    ],
)
def test_sids_as_people_write_them(text: str, value: str | None) -> None:
    assert sid_from_text(text) == (None if value is None else bytes.fromhex(value))


@given(
    st.integers(0, (1 << 48) - 1), st.lists(st.integers(0, (1 << 32) - 1), min_size=0, max_size=15)
)
def test_any_sid_comes_back(authority: int, parts: list[int]) -> None:
    value = bytes((1, len(parts))) + authority.to_bytes(6, "big")
    value += b"".join(part.to_bytes(4, "little") for part in parts)
    text = sid_from_bytes(value)
    assert text is not None
    assert sid_from_text(text) == value


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[arg-type,misc]  # numbers, in order


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("20260131235959.0Z", utc(2026, 1, 31, 23, 59, 59)),
        ("20260131235959Z", utc(2026, 1, 31, 23, 59, 59)),
        ("202601312359Z", utc(2026, 1, 31, 23, 59)),
        ("2026013123Z", utc(2026, 1, 31, 23)),
        ("20260131235959.25Z", utc(2026, 1, 31, 23, 59, 59, 250_000)),
        ("20260131235959,1234567Z", utc(2026, 1, 31, 23, 59, 59, 123_456)),
        ("202601312359.5Z", utc(2026, 1, 31, 23, 59, 30)),
        ("2026013123.5Z", utc(2026, 1, 31, 23, 30)),
        ("20260131235959.0+0100", utc(2026, 1, 31, 22, 59, 59)),
        ("20260131235959-0730", utc(2026, 2, 1, 7, 29, 59)),
        ("20260131235959+01", utc(2026, 1, 31, 22, 59, 59)),
        ("20240229000000.0Z", utc(2024, 2, 29)),
        ("16010101000000.0Z", utc(1601, 1, 1)),
        ("20161231235960Z", utc(2017, 1, 1)),
        ("99991231235959.0Z", utc(9999, 12, 31, 23, 59, 59)),
        ("99991231235959-0100", None),
        ("00010101000000+0100", None),
        ("20230229000000.0Z", None),
        ("20261301000000.0Z", None),
        ("20260101240000.0Z", None),
        ("20260101006000.0Z", None),
        ("20260101000061.0Z", None),
        ("20260101000000.0", None),
        ("20260101000000.Z", None),
        ("20260101000000+0160", None),
        ("260101000000Z", None),
        (" 20260101000000Z", None),
        ("2026010100000\u0660Z", None),
        ("", None),
    ],
)
def test_generalized_times(value: str, moment: dt.datetime | None) -> None:
    assert moment_from_generalized_time(value) == moment


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("512", 512),
        ("-2147483646", -2147483646),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("9223372036854775808", None),
        ("-9223372036854775809", None),
        ("9" * 5000, None),
        ("007", 7),
        ("+1", None),
        ("1_000", None),
        (" 1", None),
        ("1.5", None),
        ("0x10", None),
        ("", None),
        ("-", None),
        ("٣", None),
        ("³", None),
    ],
)
def test_integers(text: str, number: int | None) -> None:
    assert integer_from_text(text) == number


@pytest.mark.parametrize(
    ("dn", "parts"),
    [
        ("", []),
        ("DC=test", ["DC=test"]),
        ("CN=Zoë,OU=a b,DC=test", ["CN=Zoë", "OU=a b", "DC=test"]),
        ("CN=Smith\\, Anna,DC=test", ["CN=Smith\\, Anna", "DC=test"]),
        ("CN=a\\\\,DC=test", ["CN=a\\\\", "DC=test"]),
        ("CN=a\\2C b,DC=test", ["CN=a\\2C b", "DC=test"]),
        ("CN=a\\ , DC=test", ["CN=a\\ ", "DC=test"]),
        ("CN=x\\0ACNF:1f,DC=test", ["CN=x\\0ACNF:1f", "DC=test"]),
        ("CN=a+UID=b,DC=test", ["CN=a+UID=b", "DC=test"]),
        ("CN=a\\", ["CN=a\\"]),
        ("CN=a,", ["CN=a", ""]),
    ],
)
def test_names_are_split_at_the_commas_that_separate(dn: str, parts: list[str]) -> None:
    assert split_name(dn) == parts


@given(st.text(max_size=40))
def test_any_text_is_split_and_put_together_again(dn: str) -> None:
    assert [part.strip(" ") for part in ",".join(split_name(dn)).split(",")] == [
        part.strip(" ") for part in dn.split(",")
    ]


@given(st.one_of(st.text(max_size=40), st.integers().map(str)))
def test_any_text_is_a_value_or_none(text: str) -> None:
    number = integer_from_text(text)
    assert number is None or number == int(text)
    moment = moment_from_generalized_time(text)
    assert moment is None or moment.tzinfo is dt.UTC


@given(st.binary(max_size=40))
def test_any_bytes_are_a_sid_or_none(value: bytes) -> None:
    text = sid_from_bytes(value)
    assert text is None or sid_from_text(text) == value


def test_booleans() -> None:
    assert is_true((b"TRUE",))
    assert not is_true((b"FALSE",))
    assert not is_true((b"true", b"TRUE"))
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
    assert naming_context_of("CN=a\\,DC=contoso,DC=test", contexts) is None
    assert naming_context_of("", contexts) is None


def test_the_domain_is_read_from_its_dn() -> None:
    assert domain_of("DC=Contoso,DC=test") == "contoso.test"


def test_filter_values_are_escaped() -> None:
    assert escape_filter("a*(b)\\\0é") == "a\\2a\\28b\\29\\5c\\00é"
