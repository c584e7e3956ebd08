"""Flows that a sync adds, replaces or omits, and what is told of them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from typing import Any, Final

import pytest

from entrasync.api.choices import Apply, Merge
from entrasync.engine.flows import FlowRule, FlowSet, flow_set
from entrasync.engine.source import SourceKind
from entrasync.errors import ConfigurationError
from tests.support.flow_objects import (
    ANCHORS,
    BOSS,
    DEFAULTS,
    PEER,
    Value,
    contributor,
    own,
    together,
)


def test_a_flow_replaces_the_default_of_its_target_whatever_its_letter_case() -> None:
    flows = flow_set({SourceKind.USER: [FlowRule(target="DEPARTMENT", source="division")]})
    one = contributor(division="East", department="Sales")

    found = together(flows.flow(SourceKind.USER, [one], ANCHORS.get, None))

    assert found["department"] == "East"
    assert "DEPARTMENT" not in found
    assert "DEPARTMENT" not in flows.targets
    assert "division" in flows.required
    # the other kinds stay as they are
    contact = contributor(division="East", department="Sales")
    found = together(flows.flow(SourceKind.CONTACT, [contact], ANCHORS.get, None))
    assert found["department"] == "Sales"


def test_a_directory_extension_can_be_added() -> None:
    rule = FlowRule(target="extension_0123_shoeSize", source="shoeSize")

    assert own(rule, contributor(shoeSize="44")) == "44"
    assert rule.target in flow_set({SourceKind.USER: [rule]}).targets_of(SourceKind.USER)
    assert rule.target not in flow_set({SourceKind.USER: [rule]}).targets_of(SourceKind.GROUP)


def test_names_are_spelled_alike_for_all_kinds() -> None:
    flows = flow_set(
        {
            SourceKind.USER: [FlowRule(target="extension_1_X", source="shoeSize")],
            SourceKind.CONTACT: [FlowRule(target="extension_1_x", source="ShoeSize")],
        }
    )

    assert {"extension_1_X", "extension_1_x"} & flows.targets == {"extension_1_X"}
    assert {"shoeSize", "ShoeSize"} & set(flows.attributes) == {"shoeSize"}


@pytest.mark.parametrize(
    ("target", "source", "values", "wanted"),
    [
        ("extension_1_x", "otherThings", ["b", "a"], "a"),  # one value, the same every time
        ("proxyAddresses", "otherThings", ["b", "a"], ("a", "b")),
        ("extension_1_x", "proxyAddresses", ["b", "a"], "a"),
        ("extension_1_x", "thumbnailPhoto", b"\xff", b"\xff"),
        ("extension_1_x", "msExchHideFromAddressLists", "TRUE", True),
        ("extension_1_x", "MANAGER", BOSS, "boss-anchor"),
        ("extension_1_x", "secretary", BOSS, "boss-anchor"),
        ("manager", "secretary", [PEER, BOSS], "boss-anchor"),
        ("publicDelegates", "secretary", [PEER, BOSS], ("boss-anchor", "peer-anchor")),
    ],
)
def test_values_have_the_type_of_the_target_else_of_the_source(
    target: str, source: str, values: Value, wanted: object
) -> None:
    spelled = {"MANAGER": "manager"}.get(source, source)

    assert own(FlowRule(target=target, source=source), contributor({spelled: values})) == wanted


@pytest.mark.parametrize(
    ("target", "word", "wanted"),
    [
        ("usageLocation", "DE", "DE"),
        ("accountEnabled", "false", False),
        ("countryCode", "276", 276),
        ("proxyAddresses", "SMTP:all@x", ("SMTP:all@x",)),
        ("ThumbnailPhoto", "/wE=", b"\xff\x01"),
    ],
)
def test_a_constant_has_the_type_of_its_target(target: str, word: str, wanted: object) -> None:
    assert own(FlowRule(target=target, constant=word)) == wanted
    assert own(FlowRule(target=target, source="nothing", default=word)) == wanted


@pytest.mark.parametrize(
    "rule",
    [
        FlowRule(target="accountEnabled", constant="perhaps"),
        FlowRule(target="countryCode", source="x", default="many"),
        FlowRule(target="ThumbnailPhoto", constant="%"),
        FlowRule(target="manager", constant="boss-anchor"),
        FlowRule(target="manager", source="extensionAttribute1"),
        FlowRule(target="sourceAnchor", source="employeeID"),
        FlowRule(target="Member", omit=True),
    ],
)
def test_flows_that_make_no_sense_are_refused(rule: FlowRule) -> None:
    with pytest.raises(ConfigurationError) as caught:
        flow_set({SourceKind.USER: [rule]})

    assert caught.value.reason == "FlowInvalid"
    assert rule.target in str(caught.value)
    assert caught.value.field == "spec.objects.users.flows"


def test_authoritative_null_clears_whatever_the_sources_have() -> None:
    rule = FlowRule(target="mail", constant="AuthoritativeNull")

    assert own(rule, contributor(mail="a@x"), before={"mail": "a@x"}) is None
    # it is ours, so that who compares clears it
    assert "mail" in flow_set({SourceKind.USER: [rule]}).targets_of(SourceKind.USER)


def test_ignore_this_flow_leaves_the_default() -> None:
    rule = FlowRule(target="mail", constant="IgnoreThisFlow")

    assert own(rule, contributor(mail="a@x")) == "a@x"
    assert flow_set({SourceKind.USER: [rule]}).digest == DEFAULTS.digest
    new = FlowRule(target="extension_1_x", constant="IgnoreThisFlow")
    assert new.target not in flow_set({SourceKind.USER: [new]}).targets


def test_what_is_omitted_is_not_ours() -> None:
    flows = flow_set({SourceKind.USER: [FlowRule(target="MOBILE", omit=True)]})

    assert "mobile" not in flows.targets_of(SourceKind.USER)
    assert "mobile" in flows.targets_of(SourceKind.CONTACT)
    found = flows.flow(SourceKind.USER, [contributor(mobile="1")], ANCHORS.get, {"mobile": "2"})
    assert "mobile" not in found.properties


def test_a_default_stands_in_for_a_missing_value() -> None:
    rule = FlowRule(target="company", source="company", default="Contoso")

    assert own(rule, contributor(company="Fabrikam")) == "Fabrikam"
    assert own(rule, contributor(company=" ")) == "Contoso"
    assert own(rule, contributor(), contributor(company="Fabrikam")) == "Fabrikam"
    assert own(rule, contributor(), contributor()) == "Contoso"


@pytest.mark.parametrize("before", [{"department": "of the cloud"}, {}])
def test_on_creation_means_never_again(before: Mapping[str, Any]) -> None:
    direct = FlowRule(target="department", source="division", apply=Apply.ON_CREATE)
    constant = FlowRule(target="department", constant="New", apply=Apply.ON_CREATE)

    assert own(direct, contributor(division="East")) == "East"
    assert own(constant) == "New"
    for rule in (direct, constant):
        changed = contributor(division="West")
        assert own(rule, changed, before=before) == before.get("department")
        assert own(rule, changed, changed, before=before) == before.get("department")


def test_a_reference_can_be_applied_on_creation_only() -> None:
    rule = FlowRule(target="manager", source="manager", apply=Apply.ON_CREATE)
    flows = flow_set({SourceKind.USER: [rule]})

    found = flows.flow(
        SourceKind.USER, [contributor(manager=PEER)], ANCHORS.get, {"manager": "boss-anchor"}
    )

    assert found.references == {"manager": "boss-anchor"}


@pytest.mark.parametrize("target", ["usageLocation", "preferredDataLocation"])
def test_places_that_the_cloud_keeps_itself_are_not_cleared(target: str) -> None:
    found = DEFAULTS.flow(SourceKind.USER, [contributor()], ANCHORS.get, {target: "DE"})
    assert found.properties[target] == "DE"

    one = contributor({"msExchUsageLocation": "FR", "msDS-preferredDataLocation": "FR"})
    found = DEFAULTS.flow(SourceKind.USER, [one], ANCHORS.get, {target: "DE"})
    assert found.properties[target] == "FR"


@pytest.mark.parametrize(
    ("merge", "wanted"),
    [
        (Merge.UPDATE, ("SMTP:a@x", "smtp:B@x")),
        (Merge.MERGE, ("SMTP:a@x", "smtp:B@x", "smtp:b@x", "smtp:c@x")),
        (Merge.MERGE_CASE_INSENSITIVE, ("SMTP:a@x", "smtp:B@x", "smtp:c@x")),
    ],
)
def test_values_of_several_objects_can_be_merged(merge: Merge, wanted: object) -> None:
    rule = FlowRule(target="proxyAddresses", source="proxyAddresses", merge=merge)
    first = contributor(proxyAddresses=["smtp:B@x", "SMTP:a@x"])
    second = contributor(proxyAddresses=["smtp:b@x", "smtp:c@x"])

    assert own(rule, first, second) == wanted
    assert own(rule, contributor(), first, second) == wanted


def test_references_of_several_objects_can_be_merged() -> None:
    rule = FlowRule(target="publicDelegates", source="publicDelegates", merge=Merge.MERGE)
    both = contributor(publicDelegates=PEER), contributor(publicDelegates=[BOSS, PEER])

    assert own(rule, *both) == ("boss-anchor", "peer-anchor")


def test_who_merges_into_an_unknown_target_wants_all_values() -> None:
    rule = FlowRule(target="extension_1_x", source="things", merge=Merge.MERGE)

    assert own(rule, contributor(things=["b", "a"])) == ("a", "b")


def test_one_value_is_not_merged() -> None:
    rule = FlowRule(target="title", source="title", merge=Merge.MERGE)

    assert own(rule, contributor(title="b"), contributor(title="a")) == "b"


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (FlowRule(target="USAGELOCATION", constant="DE"), "flow of the sync: usageLocation = DE"),
        (
            FlowRule(target="usageLocation", source="c", apply=Apply.ON_CREATE),
            "flow of the sync: usageLocation <- c (on creation)",
        ),
        (
            FlowRule(target="usageLocation", constant="AuthoritativeNull"),
            "flow of the sync: usageLocation = AuthoritativeNull",
        ),
        (FlowRule(target="USAGELOCATION", omit=True), "flow of the sync omits usageLocation"),
        (
            FlowRule(target="accountEnabled", constant="FALSE"),
            "flow of the sync: accountEnabled = false",
        ),
        (
            FlowRule(target="proxyAddresses", constant="x"),
            "flow of the sync: proxyAddresses = x",
        ),
        (
            FlowRule(target="ThumbnailPhoto", constant="/wE="),
            "flow of the sync: ThumbnailPhoto = 2 bytes",
        ),
    ],
)
def test_why_a_property_has_its_value(rule: FlowRule, words: str) -> None:
    assert flow_set({SourceKind.USER: [rule]}).why(SourceKind.USER, rule.target) == words


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("mail", "default flow mail <- mail"),
        ("displayname", "default flow displayName <- displayName, else cn, else name"),
        ("accountEnabled", "default flow accountEnabled <- userAccountControl"),
        ("dnsDomainName", "default flow dnsDomainName <- the source's domain"),
        ("extension_1_x", ""),
    ],
)
def test_why_by_default(target: str, words: str) -> None:
    assert DEFAULTS.why(SourceKind.USER, target) == words


CHANGES: Final = [
    FlowRule(target="title", source="division"),
    FlowRule(target="title", source="company"),
    FlowRule(target="title", source="title", default="none"),
    FlowRule(target="title", source="title", apply=Apply.ON_CREATE),
    FlowRule(target="title", constant="x"),
    FlowRule(target="title", constant="AuthoritativeNull"),
    FlowRule(target="title", omit=True),
    FlowRule(target="extension_1_x", source="title"),
    FlowRule(target="proxyAddresses", source="proxyAddresses", merge=Merge.MERGE),
    FlowRule(target="proxyAddresses", source="proxyAddresses", merge=Merge.MERGE_CASE_INSENSITIVE),
]


def test_every_change_has_a_digest_of_its_own() -> None:
    sets: list[FlowSet] = [DEFAULTS, *(flow_set({SourceKind.USER: [rule]}) for rule in CHANGES)]
    sets.append(flow_set({SourceKind.CONTACT: [CHANGES[0]]}))

    assert len({each.digest for each in sets}) == len(sets)


@pytest.mark.parametrize(
    "rules",
    [
        [FlowRule(target="TITLE", source="TITLE")],
        [FlowRule(target="title", source="title", merge=Merge.MERGE)],  # it holds one value
        [FlowRule(target="mail", source="mail"), FlowRule(target="title", source="title")],
    ],
)
def test_what_changes_no_result_changes_no_digest(rules: list[FlowRule]) -> None:
    assert flow_set({SourceKind.USER: rules}).digest == DEFAULTS.digest


def test_the_order_of_flows_changes_no_digest() -> None:
    rules = [CHANGES[0], CHANGES[7], CHANGES[8]]
    digests = {flow_set({SourceKind.USER: order}).digest for order in permutations(rules)}

    assert len(digests) == 1
