"""Requests of the sync service: what the client sends and the emulator understands."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from entrasync.entra.contracts import (
    ACTION_PREFIX,
    ANONYMOUS,
    COMPANY_CONFIGURATION,
    FINALIZE_EXPORT,
    NS_ADDRESSING,
    NS_OBJECTS,
    NS_SERVICE,
    NS_TOKEN,
    NS_XSI,
    PROVISION,
    READ_BACK,
    ContractError,
    RequestHeader,
    SyncObject,
    SyncToken,
    SyncVersion,
)
from entrasync.entra.envelope import (
    Write,
    boolean_of,
    close_envelope,
    integer_of,
    is_nil,
    leaf,
    members,
    open_envelope,
    text_of,
    understood,
    write_envelope,
)
from entrasync.entra.infoset import DEFAULT_LIMITS, CodecLimits
from entrasync.entra.nbfx import NbfxWriter
from entrasync.entra.nbfx_reader import Source
from entrasync.entra.objects import ObjectReader, write_object
from entrasync.entra.tree import Element, ElementReader

TOKEN_MEMBERS: Final = (
    "ApplicationId",
    "BearerToken",
    "ClientVersion",
    "DirSyncBuildNumber",
    "FIMBuildNumber",
    "IsInstalledOnDC",
    "IssueDateTime",
    "LanguageId",
    "LiveToken",
    "ProtocolVersion",
    "RichCoexistenceEnabled",
    "TrackingId",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBackRequest:
    """Asks for a page of what the cloud holds."""

    include_license_information: bool = True
    input_cookie: str | None = None
    is_full_sync: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalizeExportRequest:
    """Says that an export is done."""

    total_exported: int
    successful_export_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CompanyConfigurationRequest:
    """Asks for the tenant's configuration."""

    include_license_information: bool = False


Payload = list[SyncObject] | ReadBackRequest | FinalizeExportRequest | CompanyConfigurationRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestEnvelope:
    """A request whose header was read and whose body was not."""

    action: str
    operation: str
    """Last segment of the action."""
    message_id: str
    """Without `urn:uuid:`; empty when there is none."""
    to: str
    token: SyncToken | None
    body: Element
    """The element of the operation; only its start was read."""
    reader: ElementReader = field(repr=False)
    """Goes on with what stands in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A whole request; the payload is `None` for an operation not known here."""

    action: str
    operation: str
    message_id: str
    to: str
    token: SyncToken
    payload: Payload | None


def encode_provision_request(
    header: RequestHeader, version: SyncVersion, objects: Iterable[SyncObject]
) -> bytes:
    """Export objects.

    Raises:
        CodecError: a value cannot travel, or V1 is to send changes of members.
    """
    return encode_request(header, PROVISION[version], _provision(version, objects))


def stream_provision_request(
    sink: Callable[[bytes], object],
    header: RequestHeader,
    version: SyncVersion,
    objects: Iterable[SyncObject],
) -> None:
    """Export objects in pieces of the document, holding one object at a time.

    Args:
        sink: takes the pieces.
        header: addressing and identity.
        version: V2 or V1.
        objects: what is exported.

    Raises:
        CodecError: a value cannot travel, or V1 is to send changes of members.
    """
    writer = NbfxWriter(sink)
    write_request(writer, header, PROVISION[version], _provision(version, objects))
    writer.finish()


def _provision(version: SyncVersion, objects: Iterable[SyncObject]) -> Write:
    def body(writer: NbfxWriter) -> None:
        writer.start("", "syncRequest")
        writer.namespace("b", NS_OBJECTS)
        writer.namespace("i", NS_XSI)
        writer.start("b", "SyncObjects")
        for each in objects:
            if each.links and version is SyncVersion.V1:
                raise ContractError("V1 takes the whole list of members, not changes")
            write_object(writer, each)
        writer.end()
        writer.end()

    return body


def encode_read_back_request(
    header: RequestHeader, version: SyncVersion, request: ReadBackRequest
) -> bytes:
    """Ask for a page of what the cloud holds."""

    def body(writer: NbfxWriter) -> None:
        leaf(writer, "", "includeLicenseInformation", _lower(request.include_license_information))
        writer.start("", "inputCookie")
        writer.namespace("i", NS_XSI)
        if request.input_cookie is None:
            writer.attribute("i", "nil", "true")
        else:
            writer.text(request.input_cookie)
        writer.end()
        leaf(writer, "", "isFullSync", _lower(request.is_full_sync))

    return encode_request(header, READ_BACK[version], body)


def encode_finalize_export_request(header: RequestHeader, request: FinalizeExportRequest) -> bytes:
    """Say that an export is done."""

    def body(writer: NbfxWriter) -> None:
        leaf(writer, "", "totalExported", str(request.total_exported))
        leaf(writer, "", "successfulExportCount", str(request.successful_export_count))

    return encode_request(header, FINALIZE_EXPORT, body)


def encode_company_configuration_request(
    header: RequestHeader, request: CompanyConfigurationRequest
) -> bytes:
    """Ask for the tenant's configuration."""

    def body(writer: NbfxWriter) -> None:
        leaf(writer, "", "includeLicenseInformation", _lower(request.include_license_information))

    return encode_request(header, COMPANY_CONFIGURATION, body)


def _lower(value: bool) -> str:  # noqa: FBT001 - the value itself
    return "true" if value else "false"


def encode_request(header: RequestHeader, operation: str, content: Write) -> bytes:
    """A request envelope around the members of an operation.

    Args:
        header: addressing and identity.
        operation: name of the operation.
        content: writes the members; the service's namespace is the default one.
    """
    writer = NbfxWriter()
    write_request(writer, header, operation, content)
    return writer.getvalue()


def write_request(
    writer: NbfxWriter, header: RequestHeader, operation: str, content: Write
) -> None:
    """Write a request envelope around the members of an operation, see `encode_request`."""

    def write_header(writer: NbfxWriter) -> None:
        understood(writer, "Action", ACTION_PREFIX + operation)
        _write_token(writer, header.token)
        leaf(writer, "a", "MessageID", f"urn:uuid:{header.message_id}")
        writer.start("a", "ReplyTo")
        leaf(writer, "a", "Address", ANONYMOUS)
        writer.end()
        understood(writer, "To", header.to)

    def body(writer: NbfxWriter) -> None:
        writer.start("", operation)
        writer.namespace("", NS_SERVICE)
        content(writer)
        writer.end()

    write_envelope(writer, write_header, body)


def _write_token(writer: NbfxWriter, token: SyncToken) -> None:
    values = (
        token.application_id,
        token.bearer_token,
        token.client_version,
        token.dirsync_build_number,
        token.fim_build_number,
        str(token.is_installed_on_dc),
        token.issue_date_time,
        token.language_id,
        None,
        token.protocol_version,
        str(token.rich_coexistence_enabled),
        token.tracking_id,
    )
    writer.start("", "SyncToken")
    writer.namespace("", NS_TOKEN)
    writer.namespace("h", NS_SERVICE)
    writer.attribute("s", "role", NS_TOKEN)
    for name, value in zip(TOKEN_MEMBERS, values, strict=True):
        writer.start("h", name)
        if value is not None:
            writer.text(value)
        writer.end()
    writer.end()


def decode_envelope(data: Source, limits: CodecLimits = DEFAULT_LIMITS) -> RequestEnvelope:
    """Read a request's header, so that whoever answers knows whom and what to.

    Nothing is read beyond the start of the body's element: `decode_payload` goes on from there.

    Raises:
        CodecError: it is no SOAP request.
    """
    reader = ElementReader(data, limits)
    header, body = open_envelope(reader)
    if header is None:
        raise ContractError("the envelope has no header")
    blocks = {
        each.name: each.text.strip() for each in header.children if each.namespace == NS_ADDRESSING
    }
    action = blocks.get("Action", "")
    token = next((e for e in header.children if (e.namespace, e.name) == _TOKEN_NAME), None)
    return RequestEnvelope(
        action=action,
        operation=action.rpartition("/")[2],
        message_id=blocks.get("MessageID", "").removeprefix("urn:uuid:"),
        to=blocks.get("To", ""),
        token=None if token is None else _read_token(token),
        body=body,
        reader=reader,
    )


_TOKEN_NAME: Final = (NS_TOKEN, "SyncToken")


def _read_token(element: Element) -> SyncToken:
    found = members(element, NS_SERVICE, TOKEN_MEMBERS)

    def text(name: str) -> str:
        return found[name].text if name in found else ""

    return SyncToken(
        application_id=text("ApplicationId"),
        bearer_token=text("BearerToken"),
        client_version=text("ClientVersion"),
        dirsync_build_number=text("DirSyncBuildNumber"),
        fim_build_number=text("FIMBuildNumber"),
        is_installed_on_dc=text("IsInstalledOnDC") == "True",
        issue_date_time=text("IssueDateTime"),
        language_id=text("LanguageId"),
        protocol_version=text("ProtocolVersion"),
        rich_coexistence_enabled=text("RichCoexistenceEnabled") == "True",
        tracking_id=text("TrackingId"),
    )


def decode_request(data: Source, limits: CodecLimits = DEFAULT_LIMITS) -> Request:
    """Read a whole request.

    Raises:
        CodecError: it does not keep to the contract.
    """
    opened = decode_envelope(data, limits)
    if opened.token is None:
        raise ContractError("the header block SyncToken is missing")
    return Request(
        action=opened.action,
        operation=opened.operation,
        message_id=opened.message_id,
        to=opened.to,
        token=opened.token,
        payload=decode_payload(opened),
    )


def decode_payload(opened: RequestEnvelope) -> Payload | None:
    """Read the body of a request to the end, strictly; `None` for an operation not known here.

    Raises:
        CodecError: it does not keep to the contract.
    """
    reader = _PAYLOADS.get(opened.operation)
    if reader is not None and (opened.body.namespace, opened.body.name) != (
        NS_SERVICE,
        opened.operation,
    ):
        raise ContractError("the body does not hold the operation the action names")
    payload = None if reader is None else reader(opened.reader, opened.body)
    close_envelope(opened.reader)
    return payload


def _read_objects(reader: ElementReader, _: Element) -> list[SyncObject]:
    objects: list[SyncObject] | None = None
    for _request in reader.members(NS_SERVICE, ("syncRequest",)):
        for _listed in reader.members(NS_OBJECTS, ("SyncObjects",)):
            objects = []
            contents = ObjectReader(reader, strict=True)
            for each in reader.children():
                if (each.namespace, each.name) != (NS_OBJECTS, "AzureADSyncObject"):
                    raise ContractError("SyncObjects holds something that is no AzureADSyncObject")
                objects.append(contents.read())
    if objects is None:
        raise ContractError("syncRequest or its SyncObjects is missing")
    return objects


def _read_objects_of_v1(reader: ElementReader, body: Element) -> list[SyncObject]:
    objects = _read_objects(reader, body)
    if any(each.links for each in objects):
        raise ContractError("V1 takes the whole list of members, not changes")
    return objects


def _read_read_back(reader: ElementReader, body: Element) -> ReadBackRequest:
    names = ("includeLicenseInformation", "inputCookie", "isFullSync")
    found = members(reader.whole(body), NS_SERVICE, names)
    cookie = found.get("inputCookie")
    return ReadBackRequest(
        include_license_information=boolean_of(text_of(found, "includeLicenseInformation")),
        input_cookie=None if cookie is None or is_nil(cookie) else cookie.text,
        is_full_sync=boolean_of(text_of(found, "isFullSync")),
    )


def _read_finalize(reader: ElementReader, body: Element) -> FinalizeExportRequest:
    names = ("totalExported", "successfulExportCount")
    found = members(reader.whole(body), NS_SERVICE, names)
    return FinalizeExportRequest(
        total_exported=integer_of(text_of(found, "totalExported")),
        successful_export_count=integer_of(text_of(found, "successfulExportCount")),
    )


def _read_company(reader: ElementReader, body: Element) -> CompanyConfigurationRequest:
    found = members(reader.whole(body), NS_SERVICE, ("includeLicenseInformation",))
    return CompanyConfigurationRequest(
        include_license_information=boolean_of(text_of(found, "includeLicenseInformation"))
    )


_PAYLOADS: Final[dict[str, Callable[[ElementReader, Element], Payload]]] = {
    PROVISION[SyncVersion.V1]: _read_objects_of_v1,
    PROVISION[SyncVersion.V2]: _read_objects,
    READ_BACK[SyncVersion.V1]: _read_read_back,
    READ_BACK[SyncVersion.V2]: _read_read_back,
    FINALIZE_EXPORT: _read_finalize,
    COMPANY_CONFIGURATION: _read_company,
}
