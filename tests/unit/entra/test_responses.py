"""Answers: round trips, and tolerance where names are not certain."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.entra.contracts import (
    ACTION_PREFIX,
    NS_OBJECTS,
    NS_SERVICE,
    NS_XSI,
    CompanyConfiguration,
    ContractError,
    ObjectResult,
    ReadBackPage,
    SyncVersion,
)
from entrasync.entra.envelope import answer, envelope, leaf, optional_leaf
from entrasync.entra.faults import SoapFaultError, encode_fault
from entrasync.entra.infoset import CodecError
from entrasync.entra.nbfx import NbfxWriter
from entrasync.entra.objects import write_object
from entrasync.entra.responses import (
    decode_company_configuration_response,
    decode_finalize_export_response,
    decode_provision_response,
    decode_read_back_response,
    encode_company_configuration_response,
    encode_finalize_export_response,
    encode_provision_response,
    encode_read_back_response,
)
from entrasync.entra.tree import Element, parse_document
from tests.unit.entra.samples import MESSAGE, MIXED, MODERATE, TENANT, damaged, sync_objects

V2 = SyncVersion.V2
Write = Callable[[NbfxWriter], object]
TEXTS = st.text("abcÜ 1.", min_size=1, max_size=9)
DECODERS: list[Callable[[bytes], object]] = [
    decode_provision_response,
    decode_read_back_response,
    decode_finalize_export_response,
    decode_company_configuration_response,
]
ANSWERS = [
    encode_provision_response(V2, [ObjectResult(source_anchor="a", success=True)]),
    encode_read_back_response(V2, ReadBackPage(objects=MIXED[::2], cookie="c", more=True)),
    encode_company_configuration_response(CompanyConfiguration(tenant_id=TENANT)),
    encode_fault("Receiver", "r", error_code=81, description="d"),
]


def result_of(data: bytes) -> Element:
    return parse_document(data).children[1].children[0].children[0]


def crafted(content: Write, operation: str = "ReadBackAzureADSyncObjects2") -> bytes:
    """An answer whose members somebody else chose."""

    def body(writer: NbfxWriter) -> None:
        writer.start("", f"{operation}Response")
        writer.namespace("", NS_SERVICE)
        writer.start("", f"{operation}Result")
        writer.namespace("b", NS_OBJECTS)
        writer.namespace("i", NS_XSI)
        content(writer)
        writer.end()
        writer.end()

    return answer("a", None, body)


results = st.builds(
    ObjectResult,
    source_anchor=st.just("") | TEXTS,
    cloud_anchor=st.none() | TEXTS,
    success=st.booleans(),
    code=st.none() | TEXTS,
    description=st.none() | TEXTS,
)


@MODERATE
@given(st.sampled_from(list(SyncVersion)), st.lists(results, max_size=4))
def test_results_come_back_as_they_were(version: SyncVersion, given_: list[ObjectResult]) -> None:
    assert decode_provision_response(encode_provision_response(version, given_)) == given_


def test_a_result_has_its_members_in_order() -> None:
    data = encode_provision_response(V2, [ObjectResult(source_anchor="a", success=True)])
    (result,) = result_of(data).children[0].children
    names = [each.name for each in result.children]

    assert names == sorted(names)
    nil = [each.name for each in result.children if each.attributes.get((NS_XSI, "nil")) == "true"]
    assert nil == ["CloudAnchor", "ErrorDetails", "ResultErrorCode", "ResultErrorDescription"]


def test_results_hold_no_personal_data() -> None:
    given_ = ObjectResult(source_anchor="a", success=False, description="<pii>ann</pii> exists")

    (back,) = decode_provision_response(encode_provision_response(V2, [given_]))

    assert back.description == "<redacted> exists"


@pytest.mark.parametrize(
    ("code", "success"), [("Success", True), (" Success ", True), ("Failure", False), ("", False)]
)
def test_only_success_is_success(code: str, success: bool) -> None:  # noqa: FBT001 - a table's column
    def content(writer: NbfxWriter) -> None:
        writer.start("b", "SyncObjectResults")
        writer.start("b", "AzureADSyncObjectResult")
        leaf(writer, "b", "ResultCode", code)
        leaf(writer, "b", "SomethingNew", "x")
        writer.end()
        writer.end()

    (back,) = decode_provision_response(crafted(content, "ProvisionAzureADSyncObjects2"))

    assert back == ObjectResult(source_anchor="", success=success)


@MODERATE
@given(st.data(), st.sampled_from(list(SyncVersion)), st.none() | TEXTS, st.booleans())
def test_a_page_comes_back_as_it_was(
    data: st.DataObject,
    version: SyncVersion,
    cookie: str | None,
    more: bool,  # noqa: FBT001 - drawn
) -> None:
    objects = data.draw(st.lists(sync_objects(version), max_size=3))
    page = ReadBackPage(objects=tuple(objects), cookie=cookie, more=more)

    assert decode_read_back_response(encode_read_back_response(version, page)) == page


def page_of(*members: tuple[str, str | None], kinds: tuple[str, ...] = ()) -> ReadBackPage:
    def content(writer: NbfxWriter) -> None:
        for name, text in members:
            optional_leaf(writer, "b", name, text)
        writer.start("b", "ResultObjects")
        for kind in kinds:
            piece = NbfxWriter()
            write_object(piece, replace(MIXED[2], source_anchor="x"))
            letters = len(kind).to_bytes() + kind.encode()
            writer.raw(piece.getvalue().replace(b"\x06Device", letters))
        writer.end()

    return decode_read_back_response(crafted(content))


@pytest.mark.parametrize(
    ("members", "cookie", "more"),
    [
        ([], None, False),
        ([("OutputCookie", "a")], "a", False),
        ([("Cookie", "a"), ("MoreToRead", "true")], "a", True),
        ([("SyncCookie", "a"), ("OtherCookie", "b")], "a", False),
        ([("OutputCookie", None), ("MoreAvailable", "1")], None, True),
        ([("OutputCookie", ""), ("More", "True")], None, True),
        ([("MoreToRead", None)], None, False),
        ([("MoreToRead", "false"), ("MoreObjects", "true")], None, True),
        # a name that begins alike but is no truth value says nothing
        ([("MoreInformation", "https://aka.ms/x"), ("OutputCookie", "a")], "a", False),
        ([("CookieJar", "a"), ("NoMore", "true")], None, False),
    ],
)
def test_the_way_on_is_found_under_any_name(
    members: list[tuple[str, str | None]],
    cookie: str | None,
    more: bool,  # noqa: FBT001 - a table's column
) -> None:
    page = page_of(*members)

    assert (page.cookie, page.more) == (cookie, more)


def test_objects_of_kinds_not_known_are_left_alone_and_counted() -> None:
    page = page_of(kinds=("Device", "PublicFolder", "User", "Robot", ""))

    assert [each.object_type.value for each in page.objects] == ["Device", "User"]
    assert page.skipped == 3


def test_a_page_of_nothing_is_a_page() -> None:
    assert page_of() == ReadBackPage(objects=())


configurations = st.builds(
    CompanyConfiguration,
    tenant_id=TEXTS,
    display_name=TEXTS,
    directory_sync_enabled=st.booleans(),
    password_sync_enabled=st.booleans(),
    features=st.lists(TEXTS, max_size=3).map(tuple),
    feature_bits=st.integers(0, 2**31),
    anchor_attribute=st.none() | TEXTS,
    max_links_per_request=st.integers(1, 100_000),
    deletion_threshold=st.none() | st.integers(0, 10_000),
    application_version=st.none() | TEXTS,
    client_version=st.none() | TEXTS,
    synchronization_interval=st.none() | st.just("PT30M"),
    total_objects=st.integers(0, 10**6),
)


@MODERATE
@given(configurations)
def test_a_configuration_comes_back_as_it_was(configuration: CompanyConfiguration) -> None:
    data = encode_company_configuration_response(configuration)

    assert decode_company_configuration_response(data) == configuration
    for element in result_of(data).walk():
        names = [each.name for each in element.children]
        assert names == sorted(names)
        # public clients read all of this without a prefix
        assert all(e.namespace == NS_SERVICE for e in element.children if e.name != "string")


def test_a_configuration_without_members_has_defaults() -> None:
    data = crafted(lambda _: None, "GetCompanyConfiguration")

    assert decode_company_configuration_response(data) == CompanyConfiguration(tenant_id="")


@pytest.mark.parametrize("told", ["0", "-1"])
def test_no_tenant_takes_no_links_at_all(told: str) -> None:
    # or a large group would travel member by member
    def content(writer: NbfxWriter) -> None:
        leaf(writer, "", "MaxLinksSupportedAcrossBatchInProvision2", told)

    data = crafted(content, "GetCompanyConfiguration")

    assert decode_company_configuration_response(data).max_links_per_request == 15_000


@pytest.mark.parametrize(
    ("members", "threshold"),
    [
        ([], None),
        ([("DeletionPrevention", "Disabled"), ("ThresholdCount", "7")], None),
        ([("DeletionPrevention", "EnabledForPercentage"), ("ThresholdCount", "7")], None),
        ([("DeletionPrevention", "EnabledForCount"), ("ThresholdCount", "7")], 7),
        ([("DeletionPrevention", "EnabledForCount")], 500),
    ],
)
def test_the_threshold_counts_where_it_is_enabled(
    members: list[tuple[str, str]], threshold: int | None
) -> None:
    def content(writer: NbfxWriter) -> None:
        writer.start("", "DirSyncConfiguration")
        writer.start("", "PreventAccidentalDeletion")
        for name, text in members:
            leaf(writer, "", name, text)
        writer.end()
        writer.end()

    found = decode_company_configuration_response(crafted(content, "GetCompanyConfiguration"))

    assert found.deletion_threshold == threshold


def test_answers_name_what_they_answer() -> None:
    data = encode_finalize_export_response(relates_to=MESSAGE)
    header, body = parse_document(data).children

    decode_finalize_export_response(data)
    assert header.child_text("Action") == f"{ACTION_PREFIX}FinalizeExportResponse"
    assert header.child_text("RelatesTo") == f"urn:uuid:{MESSAGE}"
    assert body.children[0].name == "FinalizeExportResponse"


@pytest.mark.parametrize("decode", DECODERS)
def test_a_fault_is_no_answer(decode: Callable[[bytes], object]) -> None:
    with pytest.raises(SoapFaultError) as caught:
        decode(encode_fault("Receiver", "r", error_code=81))

    assert caught.value.fault.error_code == 81


@pytest.mark.parametrize("decode", DECODERS)
@pytest.mark.parametrize(
    "data", [b"", b"<html>", envelope(lambda _: None, lambda w: leaf(w, "a", "Request", ""))]
)
def test_what_is_no_answer_is_refused(decode: Callable[[bytes], object], data: bytes) -> None:
    with pytest.raises(CodecError):
        decode(data)


@pytest.mark.parametrize("decode", DECODERS[:2])
def test_an_answer_without_its_list_is_refused(decode: Callable[[bytes], object]) -> None:
    # an empty tenant must not be read out of an answer that was not understood
    with pytest.raises(ContractError):
        decode(crafted(lambda w: leaf(w, "b", "Objects", "")))


@pytest.mark.parametrize("decode", DECODERS)
@MODERATE
@given(data=st.data())
def test_a_damaged_answer_is_decoded_or_refused(
    decode: Callable[[bytes], object], data: st.DataObject
) -> None:
    with suppress(CodecError, SoapFaultError):
        decode(data.draw(damaged(data.draw(st.sampled_from(ANSWERS)))))
