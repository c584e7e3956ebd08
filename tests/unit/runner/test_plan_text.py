"""A plan as text and as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from entrasync.api.sync_run import Pacing, PlanSummary
from entrasync.engine.changes import Action, Phase, PlannedChange
from entrasync.engine.flows import flow_set
from entrasync.engine.plan import Plan
from entrasync.entra.contracts import LinkChange, SyncObject, SyncObjectType, SyncOperation
from entrasync.runner.plan_lines import (
    MOST_MEMBERS,
    plan_head,
    plan_lines,
    without_values,
    words_of,
)
from entrasync.runner.plan_text import stored_text
from entrasync.state.store import Store
from tests.support.pending import GROUP, Pending, plan_of

SUMMARY = PlanSummary(
    digest="sha256:1", writes=2, links=1, expected_completion_time="2026-03-14T00:05:00Z"
)
PACING = Pacing(quota=5600, paced_time="0s", throttled=0)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Pending]:
    with Store(tmp_path) as store:
        yield Pending(store)


def links(*changes: LinkChange) -> PlannedChange:
    message = SyncObject(
        object_type=SyncObjectType.GROUP,
        operation=SyncOperation.SET,
        source_anchor="g",
        links=changes,
    )
    return PlannedChange(phase=Phase.LINKS, action=Action.LINKS, message=message, guid="g")


def words(_: SyncObjectType, key: str) -> str:
    return f"flow of {key}"


def told(*changes: PlannedChange, names: bool = True) -> str:
    head = plan_head("sha256:1", len(changes), SUMMARY, PACING)
    lines = plan_lines(changes, words, lambda each: f"CN={each.message.source_anchor}")
    return "".join(stored_text(head, lines, names=names))


def rendered(
    plan: Plan, summary: PlanSummary | None = None, pacing: Pacing | None = None
) -> Iterator[str]:
    head = plan_head(plan.digest, plan.total, summary, pacing)
    return stored_text(head, plan_lines(plan.changes(), words), names=True)


@pytest.mark.parametrize(
    ("added", "removed", "text"),
    [(1, 0, "1 member added, 0 removed"), (0, 2, "0 members added, 2 removed")],
)
def test_members_are_counted_and_named(added: int, removed: int, text: str) -> None:
    found = told(
        links(
            *(LinkChange(f"in-{number}", add=True) for number in range(added)),
            *(LinkChange(f"out-{number}", add=False) for number in range(removed)),
        )
    )

    assert f"~ Group g: {text}  (CN=g)\n" in found
    for number in range(added):
        assert f"    + in-{number}\n" in found
    for number in range(removed):
        assert f"    - out-{number}\n" in found


def test_of_a_large_group_the_first_are_named() -> None:
    found = told(links(*(LinkChange(f"m{n:05}", add=True) for n in range(MOST_MEMBERS + 5))))

    assert found.count("    + m") == MOST_MEMBERS
    assert "    + and 5 more\n" in found


def test_a_whole_plan(state: Pending) -> None:
    state.gone("leaver")
    state.holds("leaver", userPrincipalName="ann@x")
    state.adds("ann", userPrincipalName="ann@x", accountEnabled=True)
    state.holds("bob", title="Engineer", photo=b"12345", proxyAddresses=("smtp:a@x",))
    state.updates("bob", title=None, photo=b"123", proxyAddresses=("smtp:a@x", "smtp:b@x"))
    state.holds("g", GROUP)
    state.links("g", ["ann"], [])
    plan = plan_of(state.store)

    text = "".join(rendered(plan, SUMMARY, PACING))

    assert text == (
        "- User leaver: deleted in the directory\n"
        "+ User ann: recreate\n"
        "    follows leaver; lost with that: the cloud object, its licences, its mailbox and data,"
        " and memberships that others gave it\n"
        "    accountEnabled: true  [flow of accountEnabled]\n"
        '    userPrincipalName: "ann@x"  [flow of userPrincipalName]\n'
        "~ User bob\n"
        "    photo: <5 bytes> -> <3 bytes>  [flow of photo]\n"
        '    proxyAddresses: ["smtp:a@x"] -> ["smtp:a@x", "smtp:b@x"]  [flow of proxyAddresses]\n'
        '    title: "Engineer" -> none  [flow of title]\n'
        "~ Group g: 1 member added, 0 removed\n"
        "    + ann\n"
        f"Plan {plan.digest}\n"
        "It takes 2 writes, 1 link, at 5600 writes in 5 minutes,"
        " expected to be done at 2026-03-14T00:05:00Z\n"
    )


def test_a_log_shows_no_values(state: Pending) -> None:
    state.holds("bob", title="Engineer")
    state.updates("bob", title="Chief", mail="bob@contoso.test", phones=("1", "23"))
    plan = plan_of(state.store)

    text = told(*plan.changes(), names=False)

    assert "    title: <8 characters> -> <5 characters>  [flow of title]\n" in text
    assert "    phones: none -> [<1 character>, <2 characters>]" in text
    for personal in ("Engineer", "Chief", "contoso", "CN="):
        assert personal not in text


def test_lines_say_what_was_why_and_what_becomes_of_it(state: Pending) -> None:
    state.holds("bob", title="Engineer")
    state.updates("bob", title="Chief")
    state.adds("ann")
    bob, ann = sorted(plan_of(state.store).changes(), key=lambda each: each.action, reverse=True)

    lines = plan_lines(
        [replace(bob, braked="Much", held="Much"), ann, replace(ann, outcome="softMatch")], words
    )

    assert [json.loads(line) for line in lines] == [
        {
            "anchor": "bob",
            "type": "User",
            "action": "update",
            "attributes": {"title": {"old": "Engineer", "new": "Chief", "why": "flow of title"}},
            "braked": "Much",
            "held": "Much",
        },
        {"anchor": "ann", "type": "User", "action": "add", "outcome": "unknown"},
        {"anchor": "ann", "type": "User", "action": "add", "outcome": "softMatch"},
    ]


def test_a_line_for_the_eyes_of_others_has_no_values(state: Pending) -> None:
    state.holds("bob", title="Engineer")
    state.updates("bob", title="Chief")
    (line,) = plan_lines(plan_of(state.store).changes(), words, lambda _: "CN=Bob")

    shown = without_values(line)

    assert json.loads(shown)["anchor"] == "bob"
    assert json.loads(shown)["attributes"]["title"]["why"] == "flow of title"
    for personal in ("Engineer", "Chief", "CN=Bob"):
        assert personal not in shown


def test_what_is_braked_comes_first(state: Pending) -> None:
    state.gone("a")
    state.adds("z")
    plan = plan_of(state.store)
    state.execute("UPDATE plan SET braked = 'Much' WHERE anchor = ?", "z")

    text = "".join(rendered(plan))

    assert text.startswith("+ User z: unknown\n    braked: Much\n- User a")


def test_what_is_let_go_of_for_a_moment_says_so(state: Pending) -> None:
    state.holds("a", userPrincipalName="one@x")
    state.holds("b", userPrincipalName="two@x")
    state.updates("a", userPrincipalName="two@x")
    state.updates("b", userPrincipalName="one@x")

    assert "~ User a: for a moment, to free its values" in told(*plan_of(state.store).changes())


def test_a_value_does_nothing_to_a_terminal(state: Pending) -> None:
    state.adds("evil", title="\x1b[2J\u202e", city="Zürich")

    text = told(*plan_of(state.store).changes())

    assert "\x1b" not in text
    assert "\u202e" not in text
    assert '"Zürich"' in text


def test_no_changes(state: Pending) -> None:
    assert "".join(rendered(plan_of(state.store))) == "No changes.\n"


def test_words_come_from_the_flows() -> None:
    said = words_of(flow_set())

    assert said(SyncObjectType.USER, "displayName")
    assert said(SyncObjectType.USER, "nothing of the sort") == ""


def test_a_plan_of_which_not_all_was_kept_says_so(state: Pending) -> None:
    state.adds("z")
    plan = plan_of(state.store)
    head = plan_head(plan.digest, 50_001, None, None)

    text = "".join(stored_text(head, plan_lines(plan.changes(), words), names=False))

    assert "and 50000 changes more, which were not kept\n" in text
