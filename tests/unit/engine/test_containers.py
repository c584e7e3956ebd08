from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from entrasync.api.directory_sync import PinnedScope
from entrasync.directory.model import Container, RootInfo, SourceEntry
from entrasync.engine.containers import (
    FoundGroup,
    ScopeSpec,
    find_groups,
    find_scope,
    load_pins,
    save_pins,
    source_of,
)
from entrasync.errors import ConfigurationError
from entrasync.state.store import Store

STAFF, OTHER = "OU=Staff,DC=x", "OU=Other,DC=x"


class Directory:
    """Containers by GUID; DNs may change."""

    def __init__(self, base: str = "DC=x", contexts: tuple[str, ...] = (), /, **dns: str) -> None:
        self.dns = dns
        self.root = RootInfo(
            server="ldaps://dc",
            base_dn=base,
            domain="x",
            functional_level="2016",
            naming_contexts=contexts,
            invocation_id=None,
        )

    def resolve_container(self, dn: str, *, field: str = "spec.baseDN") -> Container:
        for guid, known in self.dns.items():
            if known == dn:
                return Container(guid=guid, dn=dn)
        raise ConfigurationError("BaseNotFound", "no", resource="ActiveDirectory/x", field=field)

    def resolve_container_guid(self, guid: str) -> Container | None:
        dn = self.dns.get(guid)
        return None if dn is None else Container(guid=guid, dn=dn)

    def read_guid(self, guid: str, attributes: Sequence[str]) -> SourceEntry | None:
        del attributes
        is_group = self.dns[guid].startswith("CN=")
        return SourceEntry(
            guid=guid,
            dn=self.dns[guid],
            parent_guid=None,
            deleted=False,
            attributes={},
            members=() if is_group else None,
        )


def spec(*include: str, exclude: tuple[str, ...] = ()) -> ScopeSpec:
    return ScopeSpec(
        include=include, exclude=exclude, source="contoso", resource="DirectorySync/contoso"
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as opened:
        yield opened


def test_without_include_the_base_is_read() -> None:
    found = find_scope(Directory(base="DC=x"), "DC=x", spec(), {})

    assert found.include == (Container(guid="base", dn="DC=x"),)
    assert found.pinned == ()


def test_a_pinned_container_is_found_by_its_new_name() -> None:
    directory = Directory(s="OU=People,DC=x")

    found = find_scope(directory, "DC=x", spec(STAFF), {STAFF: "s"})

    assert found.include == (Container(guid="s", dn="OU=People,DC=x"),)
    assert found.pinned == (PinnedScope(dn=STAFF, guid="s", current_dn="OU=People,DC=x"),)
    assert found.scope.include == {"s"}


def test_another_container_that_took_the_name_does_not_take_the_place() -> None:
    directory = Directory(s="OU=People,DC=x", imposter=STAFF)

    found = find_scope(directory, "DC=x", spec(STAFF), {STAFF: "s"})

    assert found.include[0].guid == "s"


def test_a_pinned_container_that_is_gone_stops_the_run() -> None:
    with pytest.raises(ConfigurationError) as caught:
        find_scope(Directory(imposter=STAFF), "DC=x", spec(STAFF), {STAFF: "s"})

    assert caught.value.reason == "ScopeMoved"
    assert caught.value.resource == "DirectorySync/contoso"
    assert caught.value.field == "spec.sources[contoso].include"


def test_a_container_that_was_never_there_names_its_field() -> None:
    with pytest.raises(ConfigurationError) as caught:
        find_scope(Directory(s=STAFF), "DC=x", spec(STAFF, exclude=(OTHER,)), {})

    assert caught.value.reason == "BaseNotFound"
    assert caught.value.field == "spec.sources[contoso].exclude"
    assert caught.value.resource == "DirectorySync/contoso"


GROUP, FIELD = "CN=Pilot,DC=x", "spec.objects.users.memberOf.group"


def groups_of(
    pins: dict[str, str], dn: str = GROUP, /, **directories: Directory
) -> dict[str, FoundGroup]:
    return find_groups(directories, {dn: FIELD}, pins, "DirectorySync/contoso")


def test_a_group_is_pinned_like_a_container() -> None:
    found = groups_of({}, a=Directory(s=STAFF, p=GROUP))[GROUP]
    renamed = groups_of({GROUP: "p"}, a=Directory(p="CN=Renamed,DC=x", imposter=GROUP))[GROUP]

    assert found.pinned == PinnedScope(dn=GROUP, guid="p", current_dn=GROUP)
    assert renamed.pinned == PinnedScope(dn=GROUP, guid="p", current_dn="CN=Renamed,DC=x")
    assert found.group == Container(guid="p", dn=GROUP)
    assert (found.source, renamed.source) == ("a", "a")


@pytest.mark.parametrize(
    ("directory", "pins", "told"),
    [
        (Directory(s=STAFF), {}, "no group CN=Pilot,DC=x"),
        (Directory(s=STAFF, imposter=GROUP), {GROUP: "p"}, "was objectGUID p"),
    ],
)
def test_a_group_that_is_not_there_stops_the_run(
    directory: Directory, pins: dict[str, str], told: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        groups_of(pins, a=directory, b=Directory("DC=y"))

    assert caught.value.reason == "ScopeGroupNotFound"
    assert (caught.value.resource, caught.value.field) == ("DirectorySync/contoso", FIELD)
    assert told in caught.value.message


def test_what_is_no_group_is_never_pinned() -> None:
    with pytest.raises(ConfigurationError) as caught:
        groups_of({}, STAFF, a=Directory(s=STAFF))

    assert caught.value.reason == "ScopeGroupNotFound"


@pytest.mark.parametrize(
    ("dn", "source"),
    [
        ("CN=g,OU=Staff,DC=contoso,DC=test", "parent"),
        ("cn=g,ou=staff, dc=EMEA , dc=contoso,DC=TEST", "child"),
        ("CN=g,CN=Configuration,DC=contoso,DC=test", "parent"),  # both hold it, the first one wins
        ("CN=g,DC=memea,DC=contoso,DC=test", "parent"),
        ("CN=g,OU=Deep,DC=fabrikam,DC=test", "other"),
        ("CN=g,DC=nowhere", "parent"),
    ],
)
def test_a_group_belongs_to_the_directory_whose_name_it_bears(dn: str, source: str) -> None:
    configuration = "CN=Configuration,DC=contoso,DC=test"
    directories = {
        "parent": Directory("DC=contoso,DC=test", ("DC=contoso,DC=test", configuration)),
        "child": Directory(
            "OU=People,DC=emea,DC=contoso,DC=test", ("DC=emea,DC=contoso,DC=test", configuration)
        ),
        "other": Directory("OU=Deep,DC=fabrikam,DC=test", ("DC=fabrikam,DC=test",)),
    }

    assert source_of(dn, directories) == source


def test_a_pinned_group_is_followed_to_the_domain_of_another_source() -> None:
    here, there = Directory(imposter=GROUP), Directory("DC=y", p="CN=Pilot,DC=y")

    found = groups_of({GROUP: "p"}, a=here, b=there)[GROUP]

    assert (found.source, found.group.dn) == ("b", "CN=Pilot,DC=y")


def test_pins_of_the_store_win_and_those_of_the_status_outlive_it(store: Store) -> None:
    remembered = [PinnedScope(dn=STAFF, guid="old", current_dn=STAFF)]
    assert load_pins(store, remembered) == {STAFF: "old"}

    save_pins(store, find_scope(Directory(s=STAFF), "DC=x", spec(STAFF), {}).pinned)

    assert load_pins(store, remembered) == {STAFF: "s"}
