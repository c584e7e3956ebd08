"""Explaining one object: found by any of its names, every fact told, names only where allowed."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from entrasync.engine.explain import explain
from entrasync.engine.explain_text import explanation_lines, explanation_text
from entrasync.engine.explanation import Explanation
from entrasync.engine.source import SourceKind
from entrasync.entra.contracts import PropertyValue
from entrasync.errors import ConfigurationError
from entrasync.state.database import Database
from entrasync.state.lookup import Lookup
from entrasync.state.rows import encode_attributes, encode_properties, encode_value
from entrasync.state.schema import Kind, Part

ROOT, STAFF, ANN, TWIN, TEAM, LEFT = (uuid.UUID(int=number) for number in range(1, 7))
NAMES = {
    ROOT: "DC=contoso,DC=test",
    STAFF: "OU=People,DC=contoso,DC=test",
    ANN: "CN=Änn Lee,OU=Staff,DC=contoso,DC=test",
    TWIN: "CN=Ann,DC=fabrikam,DC=test",
    TEAM: "CN=Team,OU=Staff,DC=contoso,DC=test",
    LEFT: "CN=svc_1,OU=Staff,DC=contoso,DC=test",
}
MAIL = "änn.lee@contoso.test"


class Flows:
    """Flows of three properties."""

    reference_targets = frozenset({"manager"})

    def why(self, kind: SourceKind, target: str) -> str:
        known = target in {"department", "manager", "mail"}
        return f"default flow of {kind} {target}" if known else ""


class State:
    """A state as a test wants it."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(folder)
        self.lookup = Lookup(self.database)
        self.execute = self.database.connection.execute
        self.execute("INSERT INTO sources VALUES (1, 'contoso', 0, 'contoso.test')")
        self.execute("INSERT INTO sources VALUES (2, 'fabrikam', 1, 'fabrikam.test')")
        self.execute("INSERT INTO sources VALUES (3, 'gone', NULL, '')")

    def source(
        self,
        guid: uuid.UUID,
        *,
        kind: Kind = Kind.USER,
        parent: uuid.UUID | None = None,
        source: int = 1,
        attributes: Mapping[str, tuple[bytes, ...]] | None = None,
    ) -> int:
        number = self.database.guid_number(guid.bytes)
        above = None if parent is None else self.database.guid_number(parent.bytes)
        self.execute(
            "INSERT INTO source_objects (id, source, parent, kind, dn, attributes, seen)"
            " VALUES (?, ?, ?, ?, ?, ?, 1)",
            (number, source, above, kind, NAMES[guid], encode_attributes(attributes or {})),
        )
        return number

    def part(self, guid: uuid.UUID, *, anchor: str | None = None, **more: Any) -> None:
        number = None if anchor is None else self.database.anchor_number(anchor)
        self.execute(
            "INSERT INTO parts (object, kind, rule, computed, anchor, withheld, message)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                self.database.guid_number(guid.bytes),
                more.get("kind", Kind.USER),
                more.get("rule"),
                number,
                number,
                more.get("withheld"),
                more.get("message"),
            ),
        )

    def cloud(self, anchor: str, properties: Mapping[str, PropertyValue], **more: Any) -> int:
        number = self.database.anchor_number(anchor)
        self.execute(
            "INSERT INTO cloud_objects (anchor, type, cloud_anchor, owned, links, properties)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                number,
                more.get("type", "User"),
                more.get("cloud_anchor", "User_1"),
                more.get("owned", True),
                more.get("links", 0),
                encode_properties(properties),
            ),
        )
        return number

    def pending(
        self, anchor: str, action: str, properties: Mapping[str, PropertyValue], **why: str
    ) -> int:
        number = self.database.anchor_number(anchor)
        self.execute(
            "INSERT INTO pending (anchor, part, action, type, properties, previous, why)"
            " VALUES (?, 0, ?, 'User', ?, '{}', ?)",
            (number, action, encode_properties(properties), json.dumps(why)),
        )
        return number

    def planned(self, anchor: int, part: Part, action: str, **more: Any) -> None:
        self.execute(
            "INSERT INTO plan"
            " (anchor, part, action, type, phase, fingerprint, outcome, braked, held)"
            " VALUES (?, ?, ?, 'User', 0, x'00', ?, ?, ?)",
            (anchor, part, action, more.get("outcome"), more.get("braked"), more.get("held")),
        )

    def explained(self, name: str, *, names: bool = True) -> list[Explanation]:
        return explain(self.lookup, name, flows=Flows(), names=names)

    def one(self, name: str, *, names: bool = True) -> Explanation:
        (found,) = self.explained(name, names=names)
        return found


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    made = State(tmp_path)
    yield made
    made.database.close()


@pytest.fixture
def ann(state: State) -> State:
    """A user of two sources below a container that was renamed since she was read."""
    state.source(ROOT, kind=Kind.CONTAINER)
    state.source(STAFF, kind=Kind.CONTAINER, parent=ROOT)
    state.source(
        ANN,
        parent=STAFF,
        attributes={
            "mail": (MAIL.encode(),),
            "objectSid": (b"\xff\x00",),
            "department": (b"Sales",),
        },
    )
    state.source(TWIN, source=2, attributes={"userPrincipalName": (b"ann@fabrikam.test",)})
    state.part(ANN, anchor="ann=")
    state.part(TWIN, anchor="ann=")
    state.cloud(
        "ann=", {"department": "Old", "mail": MAIL, "theme": "dark", "accountEnabled": True}
    )
    return state


@pytest.mark.parametrize(
    "name",
    [
        "ann=",
        str(ANN),
        f"{{{str(TWIN).upper()}}}",
        "CN=Änn Lee,OU=People,DC=contoso,DC=test",
        "cn=änn lee,ou=staff,dc=contoso,dc=test",
        "Änn.Lee@contoso.test",
        " ann@FABRIKAM.test ",
        "CN=Ann,DC=fabrikam,DC=test",
    ],
)
def test_any_of_its_names_finds_it(ann: State, name: str) -> None:
    assert ann.one(name).anchor == "ann="


@pytest.mark.parametrize("name", ["nobody", "n%@contoso.test", str(uuid.uuid4()), "CN=Ann,DC=x"])
def test_what_is_not_known_is_an_error_that_does_not_repeat_the_name(ann: State, name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ann.explained(name)

    assert caught.value.reason == "ObjectNotFound"
    assert name not in str(caught.value)


def test_sources_stand_in_order_of_precedence_with_their_names_of_now(ann: State) -> None:
    found = ann.one("ann=").sources

    assert [(each.source, each.dn, each.in_scope) for each in found] == [
        ("contoso", "CN=Änn Lee,OU=People,DC=contoso,DC=test", True),
        ("fabrikam", "CN=Ann,DC=fabrikam,DC=test", True),
    ]
    assert found[0].attributes == {"department": "Sales", "mail": MAIL, "objectSid": "/wA="}


def test_each_value_tells_its_flow_and_what_the_cloud_has(ann: State) -> None:
    ann.pending("ann=", "update", {"department": "Sales"}, department="department of contoso")

    values = {each.property: each for each in ann.one("ann=").values}

    assert list(values) == ["accountEnabled", "department", "mail", "theme"]
    department = values["department"]
    assert (department.value, department.cloud, department.pending) == ("Sales", "Old", True)
    assert department.why == "department of contoso"
    assert (values["mail"].value, values["mail"].pending) == (MAIL, False)
    assert values["mail"].why == "default flow of user mail"
    assert values["theme"].why == "no flow: as the tenant has it"
    assert values["accountEnabled"].value is True


def test_a_value_that_is_cleared_is_told_as_none(ann: State) -> None:
    ann.pending("ann=", "update", {"department": None})

    (value,) = [each for each in ann.one("ann=").values if each.property == "department"]

    assert (value.value, value.cloud, value.pending) == (None, "Old", True)
    assert "department: cleared (pending; the cloud has Old)" in explanation_text([ann.one("ann=")])


@pytest.mark.parametrize(
    ("guid", "made", "told"),
    [
        (LEFT, {"rule": "AttributeFilter"}, "rule AttributeFilter leaves it out"),
        (LEFT, None, "it lies outside the containers of source contoso"),
    ],
)
def test_what_is_out_of_scope_says_by_which_rule(
    state: State, guid: uuid.UUID, made: dict[str, Any] | None, told: str
) -> None:
    state.source(guid)
    if made is not None:
        state.part(guid, **made)

    found = state.one(str(guid))

    assert found.anchor is None
    (source,) = found.sources
    assert not source.in_scope
    assert source.scope.startswith(told)
    assert "Object without an anchor" in explanation_text([found])


def test_a_source_named_no_longer_and_other_classes_say_so(state: State) -> None:
    state.source(TWIN, source=3)
    state.source(STAFF, kind=Kind.CONTAINER)

    assert "names source gone no longer" in state.one(str(TWIN)).sources[0].scope
    assert state.one(str(STAFF)).sources[0].scope == "it is no user, group or contact"


def test_a_kind_that_is_not_synchronized_says_so(ann: State) -> None:
    (found,) = explain(
        ann.lookup, "ann=", flows=Flows(), names=True, disabled=frozenset({SourceKind.USER})
    )

    assert not found.sources[0].in_scope
    assert "`spec.objects.users` is Disabled" in found.sources[0].scope


def test_one_that_left_the_scope_is_told_with_what_it_was_exported_as(state: State) -> None:
    state.source(LEFT)
    state.part(LEFT, rule="ScopingGroup")
    number = state.cloud("left=", {})
    state.execute("INSERT INTO pins VALUES (?, ?)", (LEFT.bytes, number))
    state.execute("INSERT INTO candidates VALUES (?, NULL)", (number,))

    found = state.one(str(LEFT))

    assert found.anchor == "left="
    assert found.removal == "not looked for yet"
    assert [each.scope for each in found.sources] == ["rule ScopingGroup leaves it out"]
    state.execute("UPDATE candidates SET evidence = 'OutOfScope'")
    assert state.one("left=").removal == "OutOfScope"


def test_a_cloud_object_without_a_source_is_found_by_its_address(state: State) -> None:
    state.cloud("orphan=", {"userPrincipalName": "Bo@contoso.test"}, owned=False)

    found = state.one("bo@CONTOSO.test")

    assert found.sources == []
    assert found.cloud is not None
    assert not found.cloud.owned
    text = explanation_text([found])
    assert "source: none" in text
    assert "not owned by this sync" in text


def test_several_objects_of_one_address_are_all_told(ann: State) -> None:
    ann.source(TEAM, kind=Kind.GROUP, attributes={"mail": (MAIL.upper().encode(),)})
    ann.part(TEAM, anchor="team=", kind=Kind.GROUP)

    assert [each.anchor for each in ann.explained(MAIL)] == ["ann=", "team="]


def test_what_is_pending_tells_what_stops_it(ann: State) -> None:
    number = ann.pending("ann=", "delete", {}, **{"": "the object was deleted"})
    ann.planned(number, Part.OBJECT, "delete", braked="DeletionThresholdExceeded")
    ann.planned(number, Part.LINKS, "links", held="HoldBraked")
    other = ann.database.anchor_number("other=")
    for owner, member, adds in ((number, other, 1), (number, 7, 0), (other, number, 0)):
        ann.execute("INSERT INTO pending_links VALUES (?, ?, ?)", (owner, member, adds))

    found = ann.one("ann=")

    change, links = found.pending
    assert (change.action, change.why) == ("delete", "the object was deleted")
    assert change.braked == "DeletionThresholdExceeded"
    assert (links.action, links.held) == ("links", "HoldBraked")
    assert found.links.model_dump() == {"add": 1, "remove": 1, "join": 0, "leave": 1}
    text = explanation_text([found])
    assert (
        "pending: delete because the object was deleted (braked by DeletionThresholdExceeded)"
        in text
    )
    assert "members pending: 1 to add, 1 to remove" in text
    assert "memberships pending: 0 to add, 1 to remove" in text


def test_errors_conflicts_and_what_is_withheld_are_told(ann: State) -> None:
    number = ann.database.anchor_number("ann=")
    ann.execute(
        "INSERT INTO failures (anchor, part, code, message, attempts, first_time, next_try, wanted)"
        " VALUES (?, 0, 'InvalidSoftMatch', 'another has it', 2, 'then', 'soon', x'00')",
        (number,),
    )
    ann.execute("INSERT INTO conflicts VALUES (?, 'DuplicateMail', 'two have it')", (number,))
    ann.execute("UPDATE parts SET withheld = 'AnchorChanged', message = 'put it back'")

    found = ann.one("ann=")

    assert [(each.code, each.attempts) for each in found.errors] == [
        ("InvalidSoftMatch", 2),
        ("DuplicateMail", None),
    ]
    assert found.sources[0].withheld == "AnchorChanged: put it back"
    text = explanation_text([found])
    assert "error: InvalidSoftMatch another has it (tried 2 times, next try soon)" in text
    assert "error: DuplicateMail two have it\n" in text


def test_what_others_changed_is_told(ann: State) -> None:
    number = ann.database.anchor_number("ann=")
    other = ann.database.anchor_number("other=")
    insert = "INSERT INTO drift VALUES (?, ?, ?, ?, ?)"
    ann.execute(insert, (number, "department", encode_value("X"), encode_value("Y"), 2))
    ann.execute(insert, (number, f"member:{other}", encode_value(None), encode_value("x"), 1))

    drift = ann.one("ann=").drift

    assert [(each.property, each.exported, each.told, each.times) for each in drift] == [
        ("department", "Y", "X", 2),
        ("member other=", "x", None, 1),
    ]


def test_of_very_much_that_others_changed_the_first_is_told_and_all_is_counted(ann: State) -> None:
    number = ann.database.anchor_number("ann=")
    insert = "INSERT INTO drift VALUES (?, ?, ?, ?, ?)"
    for member in range(250):
        ann.execute(insert, (number, f"member:{member}", encode_value(None), encode_value("x"), 1))
    ann.execute(insert, (number, "title", encode_value("X"), encode_value("Y"), 1))

    found = ann.one("ann=")

    assert (len(found.drift), found.drift_count) == (100, 251)
    assert found.drift[0].property == "title"
    assert "changed by others: 151 more" in explanation_text([found])


@pytest.mark.parametrize("name", ["x" * 60_000, "ann\udcff", "%", "\\", "=", "CN="])
def test_whatever_a_command_line_brings_is_at_most_not_found(ann: State, name: str) -> None:
    with pytest.raises(ConfigurationError, match="no object of this name"):
        ann.explained(name)


def test_a_value_does_nothing_to_a_terminal(ann: State) -> None:
    ann.pending("ann=", "update", {"department": "\x1b[2Jgone\nObject"})

    text = explanation_text(ann.explained("ann="))

    assert "\x1b" not in text
    assert "\\u001b[2Jgone\\nObject" in text


def test_without_names_no_value_is_shown_but_anchors_and_switches(ann: State) -> None:
    ann.pending("ann=", "update", {"manager": "boss=", "department": "Sales"})

    found = ann.explained("ann=", names=False)

    text = explanation_text(found) + "".join(explanation_lines(found))
    for value in ("Änn", "Sales", "Old", "contoso.test", "dark"):
        assert value not in text
    assert f"mail: <{len(MAIL)} characters>" in text
    assert "manager: boss=" in text
    assert "accountEnabled: true" in text


def test_as_json_each_object_is_one_line(ann: State) -> None:
    (line,) = explanation_lines(ann.explained("ann="))

    read = json.loads(line)
    assert read["anchor"] == "ann="
    assert read["cloud"] == {
        "type": "User",
        "cloudAnchor": "User_1",
        "owned": True,
        "managedInCloud": False,
        "members": 0,
    }
    assert read["sources"][0]["inScope"] is True
