"""Faults, both ways."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.entra.contracts import (
    ACCESS_DENIED_TEXT,
    BUSY_CODE,
    BUSY_TEXT,
    NOT_ACTIVATED_TEXT,
    NS_FAULTS,
    NS_SERVICE,
    NS_SOAP,
)
from entrasync.entra.envelope import envelope, leaf
from entrasync.entra.faults import (
    ACTION_NOT_SUPPORTED,
    Fault,
    SoapFaultError,
    decode_fault,
    encode_fault,
    encode_redirection_fault,
)
from entrasync.entra.nbfx import NbfxWriter
from tests.unit.entra.samples import MESSAGE, MODERATE, TRACKING, open_whole

TEXTS = st.text("abc äß.", min_size=1).map(str.strip).filter(bool)


def read(data: bytes) -> Fault:
    fault = decode_fault(open_whole(data)[1])
    assert fault is not None
    return fault


def crafted(detail: Callable[[NbfxWriter], None], reason: str = "sorry") -> Fault:
    """A fault whose detail another service wrote."""

    def body(writer: NbfxWriter) -> None:
        writer.start("s", "Fault")
        writer.start("s", "Code")
        leaf(writer, "s", "Value", "s:Receiver")
        writer.end()
        writer.start("s", "Reason")
        leaf(writer, "s", "Text", reason)
        writer.end()
        writer.start("s", "Detail")
        detail(writer)
        writer.end()
        writer.end()

    return read(envelope(lambda _: None, body))


@MODERATE
@given(
    st.sampled_from(["Sender", "Receiver", ACTION_NOT_SUPPORTED]),
    TEXTS,
    st.none() | st.integers(0, 999_999_999),
    st.none() | TEXTS,
    st.none() | st.uuids().map(str),
)
def test_a_fault_comes_back_as_it_was(
    code: str, reason: str, number: int | None, description: str | None, tracking: str | None
) -> None:
    data = encode_fault(
        code, reason, error_code=number, description=description, tracking_id=tracking
    )
    has_detail = number is not None or description is not None

    assert read(data) == Fault(
        code=code,
        reason=reason,
        error_code=number,
        description=description,
        tracking_id=tracking if has_detail else None,
    )


def test_a_fault_has_the_shape_of_soap_1_2() -> None:
    data = encode_fault(
        ACTION_NOT_SUPPORTED,
        "no such action",
        error_code=1,
        description="d",
        tracking_id=TRACKING,
        server_name="srv",
        relates_to=MESSAGE,
    )
    header, fault = open_whole(data)

    assert header is not None
    assert header.child_text("RelatesTo") == f"urn:uuid:{MESSAGE}"
    assert (fault.namespace, fault.name) == (NS_SOAP, "Fault")
    code, reason, detail = fault.children
    assert code.child_text("Value") == "s:Sender"
    assert code.children[1].child_text("Value") == "a:ActionNotSupported"
    text = reason.children[0]
    assert text.attributes == {("http://www.w3.org/XML/1998/namespace", "lang"): "en-US"}
    (contract,) = detail.children
    assert (contract.namespace, contract.name) == (NS_FAULTS, "AdminWebServiceFault")
    names = [each.name for each in contract.children]
    assert names == ["ErrorCode", "ErrorDescription", "ServerName", "TrackingId"]
    assert names == sorted(names)


@pytest.mark.parametrize(
    ("text", "number"),
    [(BUSY_TEXT, BUSY_CODE), (NOT_ACTIVATED_TEXT, None), (ACCESS_DENIED_TEXT, 6)],
)
def test_the_services_sentences_travel(text: str, number: int | None) -> None:
    fault = read(encode_fault("Receiver", "r", error_code=number, description=text))

    assert (fault.text, fault.error_code) == (text, number)


def test_without_a_description_the_reason_tells() -> None:
    assert read(encode_fault("Sender", "reason only")).text == "reason only"


@pytest.mark.parametrize(
    "text",
    [
        "Error Code: 81. Error Description: busy. Tracking ID: x Server Name: y.",
        "something before; Error Code:81",
    ],
)
def test_the_number_is_found_in_the_text(text: str) -> None:
    assert read(encode_fault("Receiver", "r", description=text)).error_code == 81
    assert read(encode_fault("Receiver", text)).error_code == 81


@pytest.mark.parametrize("number", ["", "eighty-one", "²", "-81", "8 1"])
def test_a_number_that_is_none_is_passed_over(number: str) -> None:
    assert crafted(lambda w: leaf(w, "", "ErrorCode", number)).error_code is None


def test_a_number_without_end_is_cut() -> None:
    assert crafted(lambda w: leaf(w, "", "ErrorCode", "9" * 10_000)).error_code == 999_999_999


def test_a_redirection_tells_its_address() -> None:
    url = "https://bba800-anchor.microsoftonline.com/ProvisioningService.svc"

    assert read(encode_redirection_fault(url)).redirect_url == url


@pytest.mark.parametrize(
    ("child", "namespace", "expected"),
    [
        ("Url", NS_SERVICE, "https://a.test/"),
        ("Location", NS_FAULTS, "https://a.test/"),
        ("Elsewhere", NS_FAULTS, ""),
    ],
)
def test_a_redirection_is_known_by_local_name(child: str, namespace: str, expected: str) -> None:
    def detail(writer: NbfxWriter) -> None:
        writer.start("q", "BindingRedirectionFault")
        writer.namespace("q", namespace)
        leaf(writer, "q", child, " https://a.test/ ")
        writer.end()

    assert crafted(detail).redirect_url == expected


def test_an_address_elsewhere_is_no_redirection() -> None:
    assert crafted(lambda w: leaf(w, "", "Url", "https://evil.test/")).redirect_url is None


def test_personal_data_is_taken_out() -> None:
    fault = crafted(
        lambda w: leaf(w, "", "ErrorDescription", "<pii>ann</pii> exists"), "for <pii>bob</pii>"
    )

    assert (fault.description, fault.reason) == ("<redacted> exists", "for <redacted>")


def test_a_fault_without_anything_is_still_one() -> None:
    fault = read(envelope(lambda _: None, lambda w: leaf(w, "s", "Fault", "")))

    assert fault == Fault(code="", reason="no reason given")


@pytest.mark.parametrize(("prefix", "name"), [("a", "Fault"), ("s", "Fine")])
def test_other_elements_are_no_faults(prefix: str, name: str) -> None:
    data = envelope(lambda _: None, lambda w: leaf(w, prefix, name, ""))

    assert decode_fault(open_whole(data)[1]) is None


def test_an_error_carries_its_fault() -> None:
    fault = Fault(code="Receiver", reason="r", description="d")
    error = SoapFaultError(fault)

    assert (error.fault, error.reason) == (fault, "RunFailed")
    assert "d" in error.message
