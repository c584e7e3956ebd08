"""Answers that break the rules: each is a typed error or read whole, and nothing is lost in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from entrasync.entra import calling
from entrasync.entra.contracts import (
    CONTENT_TYPE,
    KEY_SOURCE_ANCHOR,
    NS_ARRAYS,
    NS_XSD,
    ObjectResult,
    ReadBackPage,
)
from entrasync.entra.envelope import leaf
from entrasync.entra.nbfx import NbfxWriter
from entrasync.entra.responses import (
    encode_finalize_export_response,
    encode_provision_response,
    encode_read_back_response,
    encode_response,
)
from entrasync.errors import ConfigurationError, EntrasyncError, TransientError
from tests.unit.entra.service_stage import TRIES, V2, Stage, Start, person, soap

READ_BACK = "ReadBackAzureADSyncObjects2"
EXPORT = "ProvisionAzureADSyncObjects2"
Write = Callable[[NbfxWriter], None]

GOOD = encode_read_back_response(V2, ReadBackPage(objects=(person("YW5u"),), cookie="1"))


def value_of(key: str, kind: str, text: str) -> Write:
    def write(writer: NbfxWriter) -> None:
        writer.start("c", "KeyValueOfstringanyType")
        leaf(writer, "c", "Key", key)
        writer.start("c", "Value")
        writer.attribute("i", "type", kind)
        writer.namespace("d", NS_XSD)
        writer.text(text)
        writer.end()
        writer.end()

    return write


ANCHOR = value_of(KEY_SOURCE_ANCHOR, "d:string", "YW5u")


def values(*entries: Write) -> Write:
    def write(writer: NbfxWriter) -> None:
        writer.start("b", "PropertyValues")
        writer.namespace("c", NS_ARRAYS)
        for each in entries:
            each(writer)
        writer.end()

    return write


def text(name: str, content: str) -> Write:
    return lambda writer: leaf(writer, "b", name, content)


USER, SET = text("SyncObjectType", "User"), text("SyncOperation", "Set")


def page_of(*members: Write) -> bytes:
    """A read-back of one object with these members."""

    def content(writer: NbfxWriter) -> None:
        leaf(writer, "b", "OutputCookie", "1")
        writer.start("b", "ResultObjects")
        writer.start("b", "AzureADSyncObject")
        for each in members:
            each(writer)
        writer.end()
        writer.end()

    return encode_response(READ_BACK, content, None)


def read(stage: Stage) -> list[ReadBackPage]:
    return list(stage.client.read_back())


BAD_DOCUMENTS: dict[str, bytes] = {
    "nothing": b"",
    "truncated": GOOD[:-20],
    "cut in a name": GOOD[: GOOD.index(b"ResultObjects") + 4],
    "followed by more": GOOD + b"\x01",
    "not UTF-8": GOOD.replace(b"YW5u", b"\xff\xfe\xff\xfe"),
    "an unknown record": b"\xfe" + GOOD[1:],
    "text instead of binary": b"<s:Envelope/>",
    "another operation": encode_finalize_export_response(),
    "an operation nobody knows": encode_response("Unknown", lambda _: None, None),
    "members out of order": page_of(USER, values(ANCHOR), SET),
    "a property twice": page_of(values(ANCHOR, ANCHOR), USER, SET),
    "a property twice in another case": page_of(
        values(ANCHOR, value_of("mail", "d:string", "a"), value_of("Mail", "d:string", "b")),
        USER,
        SET,
    ),
    "an integer that is none": page_of(values(ANCHOR, value_of("n", "d:long", "x")), USER, SET),
    "octets that are none": page_of(
        values(ANCHOR, value_of("p", "d:base64Binary", "?")), USER, SET
    ),
    "a type without its prefix": page_of(values(ANCHOR, value_of("n", "q:string", "x")), USER, SET),
    "an operation on an object that is none": page_of(
        values(ANCHOR), USER, text("SyncOperation", "Explode")
    ),
}


@pytest.mark.parametrize("which", BAD_DOCUMENTS)
def test_a_read_back_that_breaks_the_rules_ends_in_an_error(start: Start, which: str) -> None:
    # half a page must never be taken for all there is
    stage = start(forever=lambda: soap(BAD_DOCUMENTS[which]))

    with pytest.raises(TransientError) as caught:
        read(stage)

    assert (caught.value.reason, caught.value.resource) == ("RunFailed", "EntraTenant/contoso")
    assert "cannot be read" in caught.value.message
    assert len(stage.requests) == TRIES


@pytest.mark.parametrize("which", BAD_DOCUMENTS)
def test_a_page_that_comes_well_the_second_time_is_read_once(start: Start, which: str) -> None:
    last = encode_read_back_response(V2, ReadBackPage(objects=(), cookie="1"))
    stage = start(soap(BAD_DOCUMENTS[which]), soap(GOOD), soap(last))

    found = [each.source_anchor for page in read(stage) for each in page.objects]

    assert found == ["YW5u"]


def test_an_object_whose_kind_is_out_of_order_is_not_passed_over_in_silence(start: Start) -> None:
    stage = start(forever=lambda: soap(page_of(SET, USER, values(ANCHOR))))
    with pytest.raises(TransientError, match="cannot be read"):
        read(stage)


def test_a_value_of_a_type_nobody_knows_is_kept_as_text(start: Start) -> None:
    data = page_of(values(ANCHOR, value_of("price", "d:decimal", "1.5")), USER, SET)

    (page,) = read(start(soap(data), soap(GOOD)))[:1]

    assert dict(page.objects[0].properties) == {"price": "1.5"}


def test_an_answer_that_never_ends_is_cut(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calling, "MAX_ANSWER_BYTES", 10_000)
    taken = 0

    def endless() -> httpx.Response:
        def chunks() -> Iterator[bytes]:
            nonlocal taken
            while True:
                taken += 1
                yield b"\x00" * 1000

        return httpx.Response(200, headers={"content-type": CONTENT_TYPE}, content=chunks())

    with pytest.raises(TransientError, match="more than 10000 bytes"):
        read(start(forever=endless))
    assert taken == 11 * TRIES


@pytest.mark.parametrize(
    "content_type", ["text/html", "application/soap+xml", "application/octet-stream", ""]
)
def test_an_answer_of_another_type_is_not_opened(start: Start, content_type: str) -> None:
    answer = httpx.Response(200, content=GOOD, headers={"content-type": content_type})

    with pytest.raises(ConfigurationError) as caught:
        read(start(answer))
    assert caught.value.reason == "EndpointNotOffered"


def result(*members: Write) -> bytes:
    def content(writer: NbfxWriter) -> None:
        writer.start("b", "SyncObjectResults")
        writer.start("b", "AzureADSyncObjectResult")
        for each in members:
            each(writer)
        writer.end()
        writer.end()

    return encode_response(EXPORT, content, None)


BAD_RESULTS: dict[str, bytes] = {
    "truncated": encode_provision_response(V2, [])[:-3],
    "of a read-back": GOOD,
    "of an operation nobody knows": encode_response("Unknown", lambda _: None, None),
    "not UTF-8": result(text("SourceAnchor", "YW5u")).replace(b"YW5u", b"\xff\xfe\xff\xfe"),
}


@pytest.mark.parametrize("which", BAD_RESULTS)
def test_an_export_whose_answer_breaks_the_rules_did_not_succeed(start: Start, which: str) -> None:
    stage = start(forever=lambda: soap(BAD_RESULTS[which]))

    with pytest.raises(EntrasyncError) as caught:
        stage.client.provision([person("YW5u")])

    assert isinstance(caught.value, TransientError)
    # the very same, each time
    assert [each.payload for each in stage.sent] == [[person("YW5u")]] * TRIES


@pytest.mark.parametrize(
    "members",
    [
        # results are read by name: whatever the order, nothing is lost
        (text("SourceAnchor", "YW5u"), text("ResultCode", "Success"), text("CloudAnchor", "U")),
        (
            text("New", "x"),
            text("CloudAnchor", "U"),
            text("ResultCode", "Success"),
            text("SourceAnchor", "YW5u"),
        ),
    ],
)
def test_results_may_come_in_any_order(start: Start, members: tuple[Write, ...]) -> None:
    stage = start(soap(result(*members)))

    assert stage.client.provision([person("YW5u")]) == [
        ObjectResult(source_anchor="YW5u", cloud_anchor="U", success=True)
    ]


def test_a_result_without_a_code_is_no_success(start: Start) -> None:
    stage = start(soap(result(text("SourceAnchor", "YW5u"))))

    (found,) = stage.client.provision([person("YW5u")])

    assert not found.success
