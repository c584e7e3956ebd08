"""Values as the directory means them: what is none of its kind is no value, and never a guess.

That values from the state are the same is a property of all flows.
"""

from __future__ import annotations

import pytest

from entrasync.engine.flow_values import as_binary, as_boolean, as_integer, as_text
from entrasync.entra.contracts import PropertyValue
from tests.support.flow_objects import contributor, flowed

GUID = bytes.fromhex("7cdba33cfdc06344be659a7a14d775c3")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Zoë, 山田 😀".encode(), "Zoë, 山田 😀"),
        (b" trimmed\n", "trimmed"),
        (b"a\0b", "a\0b"),
        (b"", None),
        (b"  ", None),
        (b"Zo\xeb", None),  # latin-1
        (b"\xff\xfeZ\x00", None),  # UTF-16
        (b"\xed\xa0\x80", None),  # half of a surrogate pair
        (b"\xc0\xaf", None),  # an overlong slash
        (b"\xe5\xb1", None),  # cut in the middle of a character
        (bytes.fromhex("ffd8ffe000104a464946"), None),  # a photograph
        (GUID, None),
    ],
)
def test_texts(value: bytes, text: str | None) -> None:
    assert as_text((value,)) == text
    assert contributor(title=value).source.text("title") == text


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (b"0", 0),
        (b"-2147483646", -2147483646),
        (b"9223372036854775807", 2**63 - 1),
        (b"9223372036854775808", None),
        (b" 5 ", 5),  # of an attribute for text
        (b"1_000", None),
        (b"+1", None),
        (b"9" * 4000, None),
        ("٣".encode(), None),
        (b"\xff", None),
        (b"", None),
    ],
)
def test_numbers(value: bytes, number: int | None) -> None:
    assert as_integer((value,)) == number
    assert as_integer((value, b"x")) == number
    assert contributor(groupType=value).source.integer("groupType") == number


@pytest.mark.parametrize(
    ("value", "truth"),
    [(b"TRUE", True), (b"FALSE", False), (b"true", True), (b"1", None), (b"", None)],
)
def test_truths(value: bytes, *, truth: bool | None) -> None:
    assert as_boolean((value,)) is truth


@pytest.mark.parametrize("value", [GUID, bytes(range(256)), b"text", bytes(16)])
def test_bytes(value: bytes) -> None:
    assert as_binary((value,)) == value


@pytest.mark.parametrize(
    ("ticks", "written"),
    [
        ("116444736000000000", "19700101000000.0Z"),
        ("132091514220000000", "20190801164342.0Z"),
        ("132091514221234567", "20190801164342.0Z"),  # the service is told whole seconds
        ("1", "16010101000000.0Z"),
        ("2650467743990000000", "99991231235959.0Z"),
        ("2650467744000000000", None),
        (str(0x7FFFFFFFFFFFFFFF), None),  # never
        ("0", None),
        ("-36288000000000", None),  # a span of time
        ("soon", None),
    ],
)
def test_windows_file_times(ticks: str, written: str | None) -> None:
    assert flowed("user", pwdLastSet=ticks).get("lastPasswordChangeTimestamp") == written


@pytest.mark.parametrize(
    ("control", "enabled"),
    [("512", True), ("514", False), ("66050", False), ("-2147483646", False), ("x", True)],
)
def test_bits(control: str, *, enabled: bool) -> None:
    found: PropertyValue = flowed("user", userAccountControl=control)["accountEnabled"]
    assert found is enabled
