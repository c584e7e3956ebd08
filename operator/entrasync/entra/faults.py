"""SOAP faults of the sync service, both ways."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from entrasync.entra.contracts import (
    ACTION_ADDRESSING_FAULT,
    FAULT_CODE,
    FAULT_DESCRIPTION,
    FAULT_SERVER_NAME,
    FAULT_TRACKING_ID,
    NS_ADDRESSING,
    NS_FAULTS,
    NS_SOAP,
    NS_XSI,
)
from entrasync.entra.envelope import answer, leaf, optional_leaf
from entrasync.entra.nbfx import NbfxWriter
from entrasync.entra.privacy import redact
from entrasync.entra.tree import Element
from entrasync.errors import EntrasyncError, TransientError

_CODE_IN_TEXT: Final = re.compile(r"Error Code:\s*(\d{1,6})\b")
ACTION_NOT_SUPPORTED: Final = "ActionNotSupported"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What a fault says, free of marked personal data."""

    code: str
    """Local name of the innermost SOAP code, for example `Sender` or `ActionNotSupported`."""
    reason: str
    error_code: int | None = None
    description: str | None = None
    redirect_url: str | None = None
    tracking_id: str | None = None

    @property
    def text(self) -> str:
        """The most telling sentence there is."""
        return self.description or self.reason


class SoapFaultError(EntrasyncError):
    """The service answered with a fault; the client turns it into what a person can act on."""

    def __init__(self, fault: Fault) -> None:
        super().__init__("RunFailed", f"the sync service answered: {fault.text}")
        self.fault = fault


def encode_fault(
    code: str,
    reason: str,
    *,
    error_code: int | None = None,
    description: str | None = None,
    tracking_id: str | None = None,
    server_name: str | None = None,
    relates_to: str | None = None,
) -> bytes:
    """A fault; with a description it carries an `AdminWebServiceFault`.

    Args:
        code: `Sender` or `Receiver`, or `ActionNotSupported`, which is a kind of `Sender`.
        reason: sentence for people.
        error_code: number of the service.
        description: sentence of the service.
        tracking_id: that of the request.
        server_name: who answers.
        relates_to: message id of the request.
    """

    def detail(writer: NbfxWriter) -> None:
        writer.start("", "AdminWebServiceFault")
        writer.namespace("", NS_FAULTS)
        writer.namespace("i", NS_XSI)
        number = None if error_code is None else str(error_code)
        optional_leaf(writer, "", FAULT_CODE, number)
        optional_leaf(writer, "", FAULT_DESCRIPTION, description)
        optional_leaf(writer, "", FAULT_SERVER_NAME, server_name)
        optional_leaf(writer, "", FAULT_TRACKING_ID, tracking_id)
        writer.end()

    def body(writer: NbfxWriter) -> None:
        writer.start("s", "Fault")
        _write_code(writer, code)
        _write_reason(writer, reason)
        if description is not None or error_code is not None:
            writer.start("s", "Detail")
            detail(writer)
            writer.end()
        writer.end()

    return answer(ACTION_ADDRESSING_FAULT, relates_to, body)


def encode_redirection_fault(url: str, *, relates_to: str | None = None) -> bytes:
    """The fault that sends a tenant to its own host."""

    def body(writer: NbfxWriter) -> None:
        writer.start("s", "Fault")
        _write_code(writer, "Receiver")
        _write_reason(writer, "BindingRedirectionFault")
        writer.start("s", "Detail")
        writer.start("", "BindingRedirectionFault")
        writer.namespace("", NS_FAULTS)
        leaf(writer, "", "Url", url)
        writer.end()
        writer.end()
        writer.end()

    return answer(ACTION_ADDRESSING_FAULT, relates_to, body)


def _write_code(writer: NbfxWriter, code: str) -> None:
    writer.start("s", "Code")
    if code in {"Sender", "Receiver"}:
        leaf(writer, "s", "Value", f"s:{code}")
    else:
        leaf(writer, "s", "Value", "s:Sender")
        writer.start("s", "Subcode")
        writer.start("s", "Value")
        writer.namespace("a", NS_ADDRESSING)
        writer.text(f"a:{code}")
        writer.end()
        writer.end()
    writer.end()


def _write_reason(writer: NbfxWriter, reason: str) -> None:
    writer.start("s", "Reason")
    writer.start("s", "Text")
    writer.attribute("xml", "lang", "en-US")
    writer.text(reason)
    writer.end()
    writer.end()


def decode_fault(element: Element) -> Fault | None:
    """The fault an element of a body is, `None` when it is none. Never fails."""
    if (element.namespace, element.name) != (NS_SOAP, "Fault"):
        return None
    reason = element.find("Reason")
    text = (reason.child_text("Text") if reason else None) or "no reason given"
    detail = element.find("Detail")
    description = _detail_text(detail, FAULT_DESCRIPTION)
    number = _detail_text(detail, FAULT_CODE)
    if number is None or not number.isascii() or not number.isdigit():
        match = _CODE_IN_TEXT.search(f"{description or ''} {text}")
        number = match.group(1) if match else None
    return Fault(
        code=_innermost_code(element),
        reason=redact(text),
        error_code=int(number[:9]) if number else None,
        description=None if description is None else redact(description),
        redirect_url=_redirect_url(detail),
        tracking_id=_detail_text(detail, FAULT_TRACKING_ID),
    )


def _innermost_code(fault: Element) -> str:
    holder, value = fault.find("Code"), ""
    while holder is not None:
        value = holder.child_text("Value") or value
        holder = holder.find("Subcode")
    return value.rpartition(":")[2].strip()


def _detail_text(detail: Element | None, name: str) -> str | None:
    found = detail.descend(name) if detail is not None else None
    return (found.text.strip() or None) if found is not None else None


def _redirect_url(detail: Element | None) -> str | None:
    redirection = detail.descend("BindingRedirectionFault") if detail is not None else None
    if redirection is None:
        return None
    return _detail_text(redirection, "Url") or _detail_text(redirection, "Location") or ""


REFUSAL_CODES: Final = frozenset({"Sender", "DeserializationFailed"})
"""SOAP codes that blame the request: the same one is refused again, a part of it may be taken.

`Sender` is what the protocol says and what WCF answers unless told otherwise; that WCF names a
message it cannot read `DeserializationFailed` is documented, that the service leaves it so is
inferred.
"""


class RequestRefusedError(TransientError):
    """The service refused a whole request, for what is in it or for its size.

    Not worth sending again as it is; which object is to blame only smaller requests tell.
    """
