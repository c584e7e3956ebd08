"""Requests: what is sent, member by member, and what the emulator makes of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.entra.contracts import (
    ACTION_PREFIX,
    ANONYMOUS,
    NS_ADDRESSING,
    NS_OBJECTS,
    NS_SERVICE,
    NS_SOAP,
    NS_TOKEN,
    ContractError,
    LinkChange,
    SyncObject,
    SyncObjectType,
    SyncOperation,
    SyncToken,
    SyncVersion,
)
from entrasync.entra.envelope import envelope, leaf
from entrasync.entra.infoset import CodecError
from entrasync.entra.nbfx import NbfxWriter
from entrasync.entra.requests import (
    TOKEN_MEMBERS,
    CompanyConfigurationRequest,
    FinalizeExportRequest,
    ReadBackRequest,
    decode_envelope,
    decode_request,
    encode_company_configuration_request,
    encode_finalize_export_request,
    encode_provision_request,
    encode_read_back_request,
    stream_provision_request,
)
from entrasync.entra.tree import Element, parse_document
from tests.unit.entra.samples import (
    HEADER,
    MESSAGE,
    MIXED,
    MODERATE,
    TOKEN,
    TRACKING,
    URL,
    check_golden,
    damaged,
    sync_objects,
    texts,
)

V1, V2 = SyncVersion.V1, SyncVersion.V2
EXPORT = encode_provision_request(HEADER, V2, MIXED)


def parts(data: bytes) -> tuple[Element, Element]:
    header, body = parse_document(data).children
    return header, body.children[0]


def test_the_header_has_its_blocks_in_order() -> None:
    header, _ = parts(EXPORT)

    assert [(each.namespace, each.name, each.text) for each in header.children] == [
        (NS_ADDRESSING, "Action", f"{ACTION_PREFIX}ProvisionAzureADSyncObjects2"),
        (NS_TOKEN, "SyncToken", ""),
        (NS_ADDRESSING, "MessageID", f"urn:uuid:{MESSAGE}"),
        (NS_ADDRESSING, "ReplyTo", ""),
        (NS_ADDRESSING, "To", URL),
    ]
    must = (NS_SOAP, "mustUnderstand")
    assert [each.attributes.get(must) for each in header.children] == ["1", None, None, None, "1"]
    assert header.children[3].child_text("Address") == ANONYMOUS


def test_the_token_has_its_members_in_order() -> None:
    header, _ = parts(EXPORT)
    token = header.children[1]

    assert token.attributes == {(NS_SOAP, "role"): "urn:microsoft.online.administrativeservice"}
    assert {each.namespace for each in token.children} == {NS_SERVICE}
    assert [(each.name, each.text) for each in token.children] == [
        ("ApplicationId", "6eb59a73-39b2-4c23-a70f-e2e3ce8965b1"),
        ("BearerToken", TOKEN),
        ("ClientVersion", "8.0"),
        ("DirSyncBuildNumber", "2.5.79.0"),
        ("FIMBuildNumber", "2.5.79.0"),
        ("IsInstalledOnDC", "False"),
        ("IssueDateTime", "0001-01-01T00:00:00"),
        ("LanguageId", "en-US"),
        ("LiveToken", ""),
        ("ProtocolVersion", "2.0"),
        ("RichCoexistenceEnabled", "False"),
        ("TrackingId", TRACKING),
    ]
    # data contracts are read in ordinal order: a member out of it is lost
    assert list(TOKEN_MEMBERS) == sorted(TOKEN_MEMBERS)


def test_an_export_has_its_objects_in_order() -> None:
    _, operation = parts(EXPORT)
    (request,) = operation.children
    (listed,) = request.children

    assert (operation.namespace, request.namespace) == (NS_SERVICE, NS_SERVICE)
    assert (operation.name, request.name) == ("ProvisionAzureADSyncObjects2", "syncRequest")
    assert (listed.namespace, listed.name) == (NS_OBJECTS, "SyncObjects")
    assert {(each.namespace, each.name) for each in listed.children} == {
        (NS_OBJECTS, "AzureADSyncObject")
    }
    kinds = [each.child_text("SyncObjectType") for each in listed.children]
    assert kinds == ["User", "Group", "Device"]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (
            encode_read_back_request(HEADER, V2, ReadBackRequest(is_full_sync=True)),
            [("includeLicenseInformation", "true"), ("inputCookie", ""), ("isFullSync", "true")],
        ),
        (
            encode_read_back_request(
                HEADER, V1, ReadBackRequest(include_license_information=False, input_cookie="Y2s=")
            ),
            [
                ("includeLicenseInformation", "false"),
                ("inputCookie", "Y2s="),
                ("isFullSync", "false"),
            ],
        ),
        (
            encode_finalize_export_request(
                HEADER, FinalizeExportRequest(total_exported=12, successful_export_count=1)
            ),
            [("totalExported", "12"), ("successfulExportCount", "1")],
        ),
        (
            encode_company_configuration_request(HEADER, CompanyConfigurationRequest()),
            [("includeLicenseInformation", "false")],
        ),
    ],
)
def test_other_requests_have_their_members_in_order(
    request_: bytes, expected: list[tuple[str, str]]
) -> None:
    _, operation = parts(request_)

    assert [(each.name, each.text) for each in operation.children] == expected
    assert {each.namespace for each in operation.children} == {NS_SERVICE}


@pytest.mark.parametrize("version", list(SyncVersion))
@MODERATE
@given(data=st.data())
def test_an_export_comes_back_as_it_was(version: SyncVersion, data: st.DataObject) -> None:
    objects = data.draw(st.lists(sync_objects(version), max_size=3))

    request = decode_request(encode_provision_request(HEADER, version, iter(objects)))

    assert request.payload == objects
    assert request.action.endswith(f"/{request.operation}")


def test_an_export_of_nothing_is_an_empty_list() -> None:
    assert decode_request(encode_provision_request(HEADER, V2, [])).payload == []


@MODERATE
@given(st.booleans(), st.none() | texts, st.booleans(), st.sampled_from(list(SyncVersion)))
def test_a_read_back_comes_back_as_it_was(
    licenses: bool,  # noqa: FBT001 - drawn
    cookie: str | None,
    full: bool,  # noqa: FBT001 - drawn
    version: SyncVersion,
) -> None:
    request = ReadBackRequest(
        include_license_information=licenses, input_cookie=cookie, is_full_sync=full
    )

    assert decode_request(encode_read_back_request(HEADER, version, request)).payload == request


@given(st.integers(0, 2**31), st.integers(0, 2**31))
def test_counts_come_back_as_they_were(total: int, successful: int) -> None:
    request = FinalizeExportRequest(total_exported=total, successful_export_count=successful)

    assert decode_request(encode_finalize_export_request(HEADER, request)).payload == request


@MODERATE
@given(st.data(), st.booleans(), st.booleans())
def test_the_header_comes_back_as_it_was(data: st.DataObject, dc: bool, rich: bool) -> None:  # noqa: FBT001 - drawn
    def draw() -> str:
        return data.draw(st.text(min_size=1))

    token = SyncToken(
        application_id=draw(),
        bearer_token=draw(),
        tracking_id=draw(),
        client_version=draw(),
        dirsync_build_number=draw(),
        fim_build_number=draw(),
        is_installed_on_dc=dc,
        issue_date_time=draw(),
        language_id=draw(),
        protocol_version=draw(),
        rich_coexistence_enabled=rich,
    )
    header = replace(HEADER, token=token)

    opened = decode_envelope(
        encode_company_configuration_request(header, CompanyConfigurationRequest())
    )

    assert opened.token == token
    assert (opened.message_id, opened.to, opened.operation) == (
        MESSAGE,
        URL,
        "GetCompanyConfiguration",
    )


def group(*links: LinkChange) -> SyncObject:
    return SyncObject(
        object_type=SyncObjectType.GROUP,
        operation=SyncOperation.SET,
        source_anchor="Zzox",
        links=links,
    )


def test_v1_sends_no_changes_of_members() -> None:
    with pytest.raises(ContractError, match="V1"):
        encode_provision_request(HEADER, V1, [group(LinkChange(anchor="a", add=True))])


def foreign(operation: str, body: Callable[[NbfxWriter], object], name: str = "") -> bytes:
    """A request of somebody else."""

    def write_header(writer: NbfxWriter) -> None:
        leaf(writer, "a", "Action", f" {ACTION_PREFIX}{operation} ")
        writer.start("t", "SyncToken")
        writer.namespace("t", NS_TOKEN)
        writer.end()

    def write_body(writer: NbfxWriter) -> None:
        writer.start("", name or operation)
        writer.namespace("", NS_SERVICE)
        writer.namespace("b", NS_OBJECTS)
        body(writer)
        writer.end()

    return envelope(write_header, write_body)


def leaves(*members: tuple[str, str]) -> Callable[[NbfxWriter], None]:
    def write(writer: NbfxWriter) -> None:
        for name, text in members:
            leaf(writer, "", name, text)

    return write


def robot(writer: NbfxWriter) -> None:
    writer.start("b", "SyncObjects")
    leaf(writer, "b", "SyncObject", "")
    writer.end()


def sync_request(inner: Callable[[NbfxWriter], object]) -> Callable[[NbfxWriter], None]:
    def write(writer: NbfxWriter) -> None:
        writer.start("", "syncRequest")
        inner(writer)
        writer.end()

    return write


def test_v1_takes_no_changes_of_members() -> None:
    data = encode_provision_request(HEADER, V2, [group(LinkChange(anchor="a", add=True))])
    v1, v2 = b"ProvisionAzureADSyncObjects", b"ProvisionAzureADSyncObjects2"
    # the same message under the other name: lengths stand before it and shrink by one
    for name, prefix in ((v2, b"\x40"), (ACTION_PREFIX.encode() + v2, b"\x99")):
        shorter = name.replace(v2, v1)
        data = data.replace(
            prefix + bytes((len(name),)) + name, prefix + bytes((len(shorter),)) + shorter
        )

    with pytest.raises(ContractError, match="V1"):
        decode_request(data)


def test_an_operation_not_known_has_no_payload() -> None:
    request = decode_request(foreign("Provision", lambda _: None))

    assert (request.operation, request.payload, request.message_id) == ("Provision", None, "")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(
            foreign("FinalizeExport", lambda _: None, name="GetCompanyConfiguration"),
            id="another operation than the action names",
        ),
        pytest.param(foreign("FinalizeExport", lambda _: None), id="no counts"),
        pytest.param(
            foreign(
                "FinalizeExport",
                leaves(("successfulExportCount", "1"), ("totalExported", "1")),
            ),
            id="counts out of order",
        ),
        pytest.param(
            foreign(
                "FinalizeExport",
                leaves(("totalExported", "many"), ("successfulExportCount", "1")),
            ),
            id="a count that is none",
        ),
        pytest.param(
            foreign("GetCompanyConfiguration", lambda _: None), id="no includeLicenseInformation"
        ),
        pytest.param(foreign("ReadBackAzureADSyncObjects2", lambda _: None), id="no isFullSync"),
        pytest.param(foreign("ProvisionAzureADSyncObjects2", lambda _: None), id="no syncRequest"),
        pytest.param(
            foreign("ProvisionAzureADSyncObjects2", sync_request(lambda _: None)),
            id="no SyncObjects",
        ),
        pytest.param(
            foreign(
                "ProvisionAzureADSyncObjects2",
                sync_request(robot),
            ),
            id="something else among the objects",
        ),
        pytest.param(
            envelope(lambda _: None, lambda w: leaf(w, "a", "x", "")), id="no header blocks"
        ),
        pytest.param(b"<s:Envelope/>", id="text XML"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_what_does_not_keep_to_the_contract_is_refused(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode_request(data)


def test_a_cookie_left_out_is_as_good_as_nil() -> None:
    data = foreign(
        "ReadBackAzureADSyncObjects2",
        leaves(("includeLicenseInformation", "true"), ("isFullSync", "true")),
    )

    assert decode_request(data).payload == ReadBackRequest(is_full_sync=True)


@MODERATE
@given(st.data())
def test_a_damaged_request_is_decoded_or_refused(data: st.DataObject) -> None:
    with suppress(CodecError):
        decode_request(data.draw(damaged(EXPORT)))


def test_the_octets_of_a_read_back_do_not_change_unnoticed() -> None:
    check_golden("readback2", encode_read_back_request(HEADER, V2, ReadBackRequest()))


def test_a_request_streams_as_the_same_octets_without_being_held() -> None:
    links = tuple(LinkChange(anchor=f"anchor-{number:05}", add=True) for number in range(5000))
    pieces: list[bytes] = []
    objects = [replace(MIXED[1], links=links), *MIXED]
    stream_provision_request(pieces.append, HEADER, SyncVersion.V2, objects)

    assert b"".join(pieces) == encode_provision_request(HEADER, SyncVersion.V2, objects)
    assert len(pieces) > 1


def test_what_cannot_travel_is_refused_in_a_stream_as_well() -> None:
    objects = [replace(MIXED[1], links=(LinkChange(anchor="a", add=True),))]
    with pytest.raises(ContractError):
        stream_provision_request(lambda _: None, HEADER, SyncVersion.V1, objects)
