"""The one attribute that is written: what is sent, and what each answer means."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast
from uuid import UUID

import pytest

from entrasync.directory import ber
from entrasync.directory.errors import DirectoryError, MalformedAnswerError, ReadFailedError
from entrasync.directory.writer import ATTRIBUTE, AnchorWriter, Stamp
from tests.support.wire import Wire, done, entry, entry_body, link_to, message, tlv

BASE = "OU=Staff,DC=contoso,DC=test"
GUID = "3ca3db7c-c0fd-4463-be65-9a7a14d775c3"
USER = {"objectClass": [b"top", b"person", b"user"]}
HELD = {**USER, ATTRIBUTE: [b"x" * 16]}

Answer = Callable[[int], bytes]


def shown(held: Mapping[str, Sequence[bytes]]) -> Answer:
    body = entry_body(b"CN=x", held)
    return lambda number: message(number, ber.SEARCH_ENTRY, body) + done(number, cookie=None)


def ended(code: int) -> Answer:
    return lambda number: done(number, code=code, cookie=None)


def modified(code: int = 0) -> Answer:
    body = tlv(0x0A, bytes((code,))) + ber.encode_octets(b"") * 2
    return lambda number: message(number, ber.MODIFY_RESPONSE, body)


class Directory:
    """A server with prepared answers, and a writer to it."""

    def __init__(self, *answers: Answer, base_dn: str | None = BASE) -> None:
        self.answers = list(answers)
        self.pauses: list[float] = []
        link = link_to(self._answer)
        self.wire: Wire = cast("Any", link._connection)
        self.writer: AnchorWriter = AnchorWriter(link, base_dn=base_dn, pause=self.pauses.append)

    def _answer(self, number: int) -> Iterator[bytes]:
        yield self.answers.pop(0)(number)

    @property
    def writes(self) -> int:
        return self.wire.sent.count("modifyRequest")


def test_an_empty_anchor_gets_the_objectguid() -> None:
    directory = Directory(shown(USER), modified())
    sent: list[tuple[str, object]] = []
    send = directory.wire.send

    def noted(kind: str, request: object, controls: object = None) -> int:
        sent.append((kind, request))
        return send(kind, request, controls)

    directory.wire.send = noted  # type: ignore[method-assign]  # to look at the request
    assert directory.writer.stamp(GUID).outcome is Stamp.STAMPED
    request = dict(sent)["modifyRequest"]
    assert str(request["object"]) == f"<GUID={GUID}>"  # type: ignore[index]  # of pyasn1
    (change,) = request["changes"]  # type: ignore[index]  # of pyasn1
    assert int(change["operation"]) == 0  # add: never replace
    assert str(change["modification"]["type"]) == ATTRIBUTE
    assert [bytes(value) for value in change["modification"]["vals"]] == [UUID(GUID).bytes_le]


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        (shown(HELD), Stamp.ALREADY),
        (shown({**USER, "MS-DS-CONSISTENCYGUID": [b"x"]}), Stamp.ALREADY),
        (ended(32), Stamp.GONE),
        (ended(10), Stamp.GONE),
        (ended(0), Stamp.GONE),
        (shown({"objectClass": [b"top", b"group"]}), Stamp.NO_USER),
        (shown({"objectClass": [b"top", b"person", b"user", b"computer"]}), Stamp.NO_USER),
        (shown({}), Stamp.NO_USER),
    ],
)
def test_nothing_is_written_where_there_is_nothing_to_write(found: Answer, outcome: Stamp) -> None:
    directory = Directory(found)
    assert directory.writer.stamp(GUID).outcome is outcome
    assert directory.writes == 0


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ([modified(20)], Stamp.ALREADY),
        ([modified(19), shown(HELD)], Stamp.ALREADY),
        ([modified(19), shown(USER)], Stamp.REFUSED),
        ([modified(19), ended(32)], Stamp.REFUSED),
        ([modified(32)], Stamp.GONE),
        ([modified(53)], Stamp.REFUSED),
        ([modified(10)], Stamp.REFUSED),
    ],
)
def test_whoever_was_quicker_wins(answers: list[Answer], outcome: Stamp) -> None:
    found = Directory(shown(USER), *answers).writer.stamp(GUID)
    assert found.outcome is outcome
    assert bool(found.why) is (outcome is Stamp.REFUSED)


def test_the_right_that_lacks_is_told_with_the_command_that_grants_it_alone() -> None:
    told = Directory(shown(USER), modified(50)).writer.stamp(GUID)
    assert told.outcome is Stamp.REFUSED
    command = (
        'dsacls "OU=Staff,DC=contoso,DC=test" /I:S /G "<account>:WP;mS-DS-ConsistencyGuid;user"'
    )
    assert told.why.endswith(command)
    root = shown({"defaultNamingContext": [b"DC=contoso,DC=test"]})
    directory = Directory(shown(USER), modified(50), root, shown(USER), modified(50), base_dn=None)
    first, second = directory.writer.stamp(GUID), directory.writer.stamp(GUID)
    assert 'dsacls "DC=contoso,DC=test" ' in first.why
    assert first == second


def test_a_busy_server_is_waited_for() -> None:
    directory = Directory(ended(51), shown(USER), modified(51), modified(52), modified())
    assert directory.writer.stamp(GUID).outcome is Stamp.STAMPED
    assert directory.pauses == [0.5, 0.5, 1]


def test_a_server_that_stays_busy_is_told() -> None:
    directory = Directory(shown(USER), *[modified(51)] * 6)
    with pytest.raises(DirectoryError, match="too busy"):
        directory.writer.stamp(GUID)


def test_a_read_that_fails_is_no_empty_anchor() -> None:
    directory = Directory(ended(50))
    with pytest.raises(ReadFailedError):
        directory.writer.stamp(GUID)
    assert directory.writes == 0


@pytest.mark.parametrize(
    "answer",
    [
        lambda number: done(number, cookie=None),
        entry,
        lambda number: message(number, 0x69, b""),
        lambda _: b"rubbish",
    ],
)
def test_another_answer_to_a_write_ends_the_connection(answer: Answer) -> None:
    directory = Directory(shown(USER), answer)
    with pytest.raises(MalformedAnswerError):
        directory.writer.stamp(GUID)
    assert directory.wire.socket is None


def test_an_answer_to_a_write_is_none_to_a_search() -> None:
    with pytest.raises(MalformedAnswerError):
        Directory(modified()).writer.stamp(GUID)


def test_a_lost_connection_is_told() -> None:
    directory = Directory(shown(USER), lambda _: b"")
    with directory.writer as writer, pytest.raises(DirectoryError):
        writer.stamp(GUID)
