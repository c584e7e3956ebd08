"""Reading back: where the end is, and what becomes of a cookie that is not taken."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from entrasync.entra import reading_back
from entrasync.entra.contracts import ReadBackPage
from entrasync.entra.faults import RequestRefusedError
from entrasync.entra.reading_back import read_pages
from entrasync.entra.refusals import CookieRefusedError, UnknownFaultError
from entrasync.entra.requests import ReadBackRequest
from entrasync.errors import TransientError
from tests.unit.entra.samples import MODERATE
from tests.unit.entra.service_stage import person

FULL = ReadBackRequest(is_full_sync=True)
DELTA = ReadBackRequest(is_full_sync=False, input_cookie="old")


def page(*anchors: str, cookie: str | None = None, more: bool = False) -> ReadBackPage:
    return ReadBackPage(objects=tuple(map(person, anchors)), cookie=cookie, more=more)


class Service:
    """Answers in this order, and notes what it was asked."""

    def __init__(self, *answers: ReadBackPage | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[ReadBackRequest] = []

    def __call__(self, request: ReadBackRequest) -> ReadBackPage:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def cookies(self) -> list[str | None]:
        return [each.input_cookie for each in self.asked]


def read(service: Service, first: ReadBackRequest = FULL) -> list[ReadBackPage]:
    return list(read_pages(service, first, resource="EntraTenant/contoso"))


def anchors(pages: Iterable[ReadBackPage]) -> list[str]:
    return [each.source_anchor for found in pages for each in found.objects]


def test_one_page_without_a_cookie_is_all_there_is_and_a_warning() -> None:
    service = Service(page("a", "b"))

    with capture_logs() as logs:
        assert anchors(read(service)) == ["a", "b"]

    assert service.cookies == [None]
    (warned,) = logs
    assert (warned["event"], warned["log_level"]) == ("read_back_without_cookie", "warning")
    assert warned["objects"] == 2


def test_pages_are_read_while_there_is_more() -> None:
    service = Service(
        page("a", cookie="1", more=True),
        page(cookie="2", more=True),
        page("b", cookie="3"),
        page(cookie="4"),
    )

    with capture_logs() as logs:
        pages = read(service)

    assert anchors(pages) == ["a", "b"]
    assert service.cookies == [None, "1", "2", "3"]
    # to go on from another time
    assert pages[-1].cookie == "4"
    assert logs == []


def test_a_delta_goes_on_from_where_another_ended() -> None:
    service = Service(page("a", cookie="1"), page(cookie="2"))

    assert read(service, DELTA)[-1].cookie == "2"
    assert service.asked == [DELTA, ReadBackRequest(is_full_sync=False, input_cookie="1")]


def test_the_same_cookie_again_is_the_end() -> None:
    service = Service(page("a", cookie="1"), page("b", cookie="1"))

    assert anchors(read(service)) == ["a", "b"]


@pytest.mark.parametrize("cookie", [None, "1"])
def test_more_without_a_way_on_is_an_error(cookie: str | None) -> None:
    # taken for the end, what was not read would look deleted
    service = Service(page("a", cookie="1", more=True), page("b", cookie=cookie, more=True))

    with pytest.raises(TransientError, match="not where to go on") as caught:
        read(service)
    assert caught.value.resource == "EntraTenant/contoso"
    assert len(service.asked) == 2


def test_reading_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_back, "MAX_PAGES", 3)
    service = Service(*(page("a", cookie=str(number)) for number in range(4)))

    with pytest.raises(TransientError, match="did not come to an end"):
        read(service)
    assert len(service.asked) == 3


REFUSALS: list[TransientError] = [
    CookieRefusedError("RunFailed", "the cookie has expired"),
    RequestRefusedError("RunFailed", "no"),
    UnknownFaultError("RunFailed", "odd"),
]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_cookie_that_is_not_taken_voids_what_was_read(refusal: TransientError) -> None:
    service = Service(page("a", cookie="1"), refusal, page("b", cookie="2"), page(cookie="3"))

    with capture_logs() as logs:
        pages = read(service)

    assert [each.restart for each in pages] == [False, True, False, False]
    assert anchors(pages[2:]) == ["b"]
    assert service.cookies == [None, "1", None, "2"]
    assert all(each.is_full_sync for each in service.asked)
    assert [(each["event"], each["message"]) for each in logs] == [
        ("read_back_restarted", refusal.message)
    ]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_starting_anew_is_done_once(refusal: TransientError) -> None:
    service = Service(refusal, page("b", cookie="2"), refusal)

    with pytest.raises(type(refusal)):
        read(service, DELTA)
    assert service.cookies == ["old", None, "2"]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_what_is_refused_without_a_cookie_is_an_error(refusal: TransientError) -> None:
    with pytest.raises(type(refusal)):
        read(Service(refusal))


def test_a_service_out_of_reach_is_no_reason_to_start_anew() -> None:
    gone = TransientError("ServerUnreachable", "gone")
    service = Service(gone)

    with pytest.raises(TransientError, match="gone"):
        read(service, DELTA)


@MODERATE
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([None, "1", "2"]), st.booleans())))
def test_any_answers_end_in_a_clean_end_or_an_error(
    answers: list[tuple[int, str | None, bool]],
) -> None:
    pages = [page(*"xy"[:count], cookie=cookie, more=more) for count, cookie, more in answers]
    service = Service(*pages, page(cookie="1"), page(cookie="1"))
    try:
        found = read(service)
    except TransientError as error:
        assert "where to go on" in error.message  # noqa: PT017 - either way is right
    else:
        assert not found[-1].more
