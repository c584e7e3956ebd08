"""Answers of the sync service: what the emulator sends and the client understands.

The prefixes are those of the real service, which clients that read by prefixed name rely on: `s`
SOAP, `a` addressing, `b` objects, `i` xsi, none for the service. Reading goes by local name and
is tolerant, because some names are not certain.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from entrasync.entra.contracts import (
    ACTION_PREFIX,
    COMPANY_CONFIGURATION,
    ERROR_DETAILS,
    FINALIZE_EXPORT,
    MORE_TO_READ,
    NS_ARRAYS,
    NS_OBJECTS,
    NS_SERVICE,
    NS_SOAP,
    NS_XSI,
    OUTPUT_COOKIE,
    PROVISION,
    READ_BACK,
    RESULT_ERROR_CODE,
    CompanyConfiguration,
    ContractError,
    ObjectResult,
    ReadBackPage,
    SyncObject,
    SyncVersion,
)
from entrasync.entra.envelope import (
    Write,
    answer,
    boolean_leaf,
    boolean_of,
    close_envelope,
    integer_leaf,
    integer_of,
    is_nil,
    leaf,
    open_envelope,
    optional_leaf,
)
from entrasync.entra.faults import SoapFaultError, decode_fault
from entrasync.entra.infoset import DEFAULT_LIMITS, CodecLimits
from entrasync.entra.nbfx import NbfxWriter
from entrasync.entra.nbfx_reader import Source
from entrasync.entra.objects import ObjectReader, UnknownTypeError, write_object
from entrasync.entra.privacy import redact
from entrasync.entra.tree import Element, ElementReader

_DEFAULT_THRESHOLD: Final = 500
_DEFAULT_LINKS: Final = 15_000


def encode_provision_response(
    version: SyncVersion, results: Sequence[ObjectResult], *, relates_to: str | None = None
) -> bytes:
    """Answer an export, one result an object."""

    def content(writer: NbfxWriter) -> None:
        writer.start("b", "SyncObjectResults")
        for each in results:
            writer.start("b", "AzureADSyncObjectResult")
            optional_leaf(writer, "b", "CloudAnchor", each.cloud_anchor)
            optional_leaf(writer, "b", ERROR_DETAILS, None)
            leaf(writer, "b", "ResultCode", "Success" if each.success else "Failure")
            optional_leaf(writer, "b", RESULT_ERROR_CODE, each.code)
            optional_leaf(writer, "b", "ResultErrorDescription", each.description)
            optional_leaf(writer, "b", "SourceAnchor", each.source_anchor or None)
            writer.end()
        writer.end()

    return encode_response(PROVISION[version], content, relates_to)


def encode_read_back_response(
    version: SyncVersion, page: ReadBackPage, *, relates_to: str | None = None
) -> bytes:
    """Answer a read-back with a page."""

    def content(writer: NbfxWriter) -> None:
        boolean_leaf(writer, "b", MORE_TO_READ, value=page.more)
        if page.cookie is not None:
            leaf(writer, "b", OUTPUT_COOKIE, page.cookie)
        writer.start("b", "ResultObjects")
        for each in page.objects:
            write_object(writer, each)
        writer.end()

    return encode_response(READ_BACK[version], content, relates_to)


def encode_finalize_export_response(*, relates_to: str | None = None) -> bytes:
    """Answer the end of an export."""
    return encode_response(FINALIZE_EXPORT, lambda _: None, relates_to)


def encode_company_configuration_response(
    configuration: CompanyConfiguration, *, relates_to: str | None = None
) -> bytes:
    """Answer with the tenant's configuration; members in ordinal order, all in one namespace."""

    def content(writer: NbfxWriter) -> None:
        writer.start("", "AllowedFeatures")
        writer.namespace("c", NS_ARRAYS)
        for each in configuration.features:
            leaf(writer, "c", "string", each)
        writer.end()
        _write_sync_configuration(writer, configuration)
        integer_leaf(writer, "", "DirSyncFeatures", configuration.feature_bits)
        leaf(writer, "", "DisplayName", configuration.display_name)
        boolean_leaf(writer, "", "IsDirSyncing", value=configuration.directory_sync_enabled)
        boolean_leaf(writer, "", "IsPasswordSyncing", value=configuration.password_sync_enabled)
        links = configuration.max_links_per_request
        integer_leaf(writer, "", "MaxLinksSupportedAcrossBatchInProvision2", links)
        interval = configuration.synchronization_interval
        optional_leaf(writer, "", "SynchronizationInterval", interval)
        leaf(writer, "", "TenantId", configuration.tenant_id)
        _write_containers(writer, "WriteBack")

    return encode_response(COMPANY_CONFIGURATION, content, relates_to)


def _write_sync_configuration(writer: NbfxWriter, configuration: CompanyConfiguration) -> None:
    threshold = configuration.deletion_threshold
    writer.start("", "DirSyncConfiguration")
    optional_leaf(writer, "", "AnchorAttribute", configuration.anchor_attribute)
    optional_leaf(writer, "", "ApplicationVersion", configuration.application_version)
    optional_leaf(writer, "", "ClientVersion", configuration.client_version)
    writer.start("", "CurrentExport")
    optional_leaf(writer, "", "DirSyncClientMachineName", None)
    integer_leaf(writer, "", "TotalConnectorSpaceObjects", configuration.total_objects)
    writer.end()
    boolean_leaf(writer, "", "IsTrackingChanges", value=configuration.directory_sync_enabled)
    writer.start("", "PreventAccidentalDeletion")
    prevention = "Disabled" if threshold is None else "EnabledForCount"
    leaf(writer, "", "DeletionPrevention", prevention)
    count = _DEFAULT_THRESHOLD if threshold is None else threshold
    integer_leaf(writer, "", "ThresholdCount", count)
    integer_leaf(writer, "", "ThresholdPercentage", 0)
    writer.end()
    _write_containers(writer, "Writeback")
    writer.end()


def _write_containers(writer: NbfxWriter, name: str) -> None:
    """Where objects are written back to: seen in both places, each in its own spelling."""
    writer.start("", name)
    optional_leaf(writer, "", "UnifiedGroupContainer", None)
    optional_leaf(writer, "", "UserContainer", None)
    writer.end()


def encode_response(operation: str, content: Write, relates_to: str | None) -> bytes:
    """An answer envelope around the members of an operation's result.

    Args:
        operation: name of the operation.
        content: writes the members; prefixes `b` and `i` are declared.
        relates_to: message id of the request.
    """

    def body(writer: NbfxWriter) -> None:
        writer.start("", f"{operation}Response")
        writer.namespace("", NS_SERVICE)
        writer.start("", f"{operation}Result")
        writer.namespace("b", NS_OBJECTS)
        writer.namespace("i", NS_XSI)
        content(writer)
        writer.end()
        writer.end()

    return answer(f"{ACTION_PREFIX}{operation}Response", relates_to, body)


def _open_result(reader: ElementReader, operations: Collection[str] | None) -> Element:
    """The element `...Result` of an answer, which has just begun, or the response without one.

    Args:
        reader: the answer.
        operations: what it may answer, `None` for whatever it does; an answer read as that to
            another operation would seem to hold nothing.

    Raises:
        SoapFaultError: the answer is a fault.
        CodecError: the answer is nothing that can be read.
    """
    _, body = open_envelope(reader)
    if (body.namespace, body.name) == (NS_SOAP, "Fault"):
        fault = decode_fault(reader.whole(body))
        close_envelope(reader)
        if fault is not None:
            raise SoapFaultError(fault)
    operation, response, after = body.name.rpartition("Response")
    if not response or after or (operations is not None and operation not in operations):
        raise ContractError("the answer is none to what was asked")
    for child in reader.children():
        if child.name.endswith("Result"):
            return child
    return body


def open_response(
    data: Source, limits: CodecLimits = DEFAULT_LIMITS, *, operation: str | None = None
) -> Element:
    """The element `...Result` of an answer, whole; an empty one where there is none.

    Args:
        data: the answer.
        limits: what is accepted at most.
        operation: what it must answer, `None` for whatever it does.

    Raises:
        SoapFaultError: the answer is a fault.
        CodecError: the answer is nothing that can be read.
    """
    reader = ElementReader(data, limits)
    result = _open_result(reader, None if operation is None else {operation})
    if result.name.endswith("Result"):
        reader.whole(result)
    close_envelope(reader)
    return result


def decode_provision_response(
    data: Source, limits: CodecLimits = DEFAULT_LIMITS
) -> list[ObjectResult]:
    """Results in the order of the answer; marked personal data is taken out.

    Raises:
        SoapFaultError: the answer is a fault.
        CodecError: the answer is nothing that can be read.
    """
    reader = ElementReader(data, limits)
    _open_result(reader, PROVISION.values())
    results: list[ObjectResult] | None = None
    for listed in reader.children():
        if listed.name == "SyncObjectResults":
            results = [
                _read_result(reader.whole(each))
                for each in reader.children()
                if each.name == "AzureADSyncObjectResult"
            ]
    close_envelope(reader)
    if results is None:
        raise ContractError("the answer holds no SyncObjectResults")
    return results


def _optional(element: Element, name: str) -> str | None:
    child = element.find(name)
    return None if child is None or is_nil(child) or not child.text else child.text


def _read_result(element: Element) -> ObjectResult:
    description = _optional(element, "ResultErrorDescription")
    return ObjectResult(
        source_anchor=_optional(element, "SourceAnchor") or "",
        cloud_anchor=_optional(element, "CloudAnchor"),
        success=(element.child_text("ResultCode") or "").strip() == "Success",
        code=_optional(element, RESULT_ERROR_CODE),
        description=None if description is None else redact(description),
    )


def decode_read_back_response(data: Source, limits: CodecLimits = DEFAULT_LIMITS) -> ReadBackPage:
    """A page of what the cloud holds.

    Raises:
        SoapFaultError: the answer is a fault.
        CodecError: the answer is nothing that can be read.
    """
    reader = ElementReader(data, limits)
    _open_result(reader, READ_BACK.values())
    objects: list[SyncObject] | None = None
    cookie: Element | None = None
    more = False
    skipped = 0
    for child in reader.children():
        if child.name == "ResultObjects" and objects is None:
            objects, skipped = _read_known(reader)
        elif child.name.endswith("Cookie") and cookie is None:
            cookie = reader.whole(child)
        elif child.name.startswith("More"):
            more |= reader.text(child).strip().lower() in {"true", "1"}
    close_envelope(reader)
    if objects is None:
        raise ContractError("the answer holds no ResultObjects")
    return ReadBackPage(
        objects=tuple(objects),
        cookie=None if cookie is None or is_nil(cookie) or not cookie.text else cookie.text,
        more=more,
        skipped=skipped,
    )


def _read_known(reader: ElementReader) -> tuple[list[SyncObject], int]:
    """The objects of kinds that are ours to know, and how many others there are."""
    objects: list[SyncObject] = []
    skipped = 0
    contents = ObjectReader(reader, strict=False)
    for each in reader.children():
        if each.name == "AzureADSyncObject":
            try:
                objects.append(contents.read())
            except UnknownTypeError:
                skipped += 1
    return objects, skipped


def decode_finalize_export_response(data: Source, limits: CodecLimits = DEFAULT_LIMITS) -> None:
    """Make sure that the answer is none but the expected one.

    Raises:
        SoapFaultError: the answer is a fault.
        CodecError: the answer is nothing that can be read.
    """
    open_response(data, limits, operation=FINALIZE_EXPORT)


def decode_company_configuration_response(
    data: Source, limits: CodecLimits = DEFAULT_LIMITS
) -> CompanyConfiguration:
    """The tenant's configuration; what is missing has its default.

    Raises:
        SoapFaultError: the answer is a fault.
        CodecError: the answer is nothing that can be read.
    """
    result = open_response(data, limits, operation=COMPANY_CONFIGURATION)
    features = result.find("AllowedFeatures")
    sync = result.find("DirSyncConfiguration") or Element("", "", {})
    export = sync.find("CurrentExport") or Element("", "", {})
    return CompanyConfiguration(
        tenant_id=_optional(result, "TenantId") or "",
        display_name=_optional(result, "DisplayName") or "",
        directory_sync_enabled=boolean_of(_optional(result, "IsDirSyncing") or "false"),
        password_sync_enabled=boolean_of(_optional(result, "IsPasswordSyncing") or "false"),
        features=() if features is None else tuple(each.text for each in features.children),
        feature_bits=integer_of(_optional(result, "DirSyncFeatures") or "0"),
        anchor_attribute=_optional(sync, "AnchorAttribute"),
        max_links_per_request=_read_max_links(result),
        deletion_threshold=_read_threshold(sync),
        application_version=_optional(sync, "ApplicationVersion"),
        client_version=_optional(sync, "ClientVersion"),
        synchronization_interval=_optional(result, "SynchronizationInterval"),
        total_objects=integer_of(_optional(export, "TotalConnectorSpaceObjects") or "0"),
    )


def _read_max_links(result: Element) -> int:
    """Most links of a request; nothing and none mean what the service says elsewhere."""
    told = integer_of(_optional(result, "MaxLinksSupportedAcrossBatchInProvision2") or "0")
    return told if told > 0 else _DEFAULT_LINKS


def _read_threshold(sync: Element) -> int | None:
    prevention = sync.find("PreventAccidentalDeletion")
    if prevention is None or _optional(prevention, "DeletionPrevention") != "EnabledForCount":
        return None
    return integer_of(_optional(prevention, "ThresholdCount") or str(_DEFAULT_THRESHOLD))
