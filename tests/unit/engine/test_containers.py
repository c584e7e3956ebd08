from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from entrasync.api.directory_sync import PinnedScope
from entrasync.directory.model import Container, SourceEntry
from entrasync.engine.containers import ScopeSpec, find_scope, load_pins, save_pins
from entrasync.errors import ConfigurationError
from entrasync.state.store import Store

STAFF, OTHER = "OU=Staff,DC=x", "OU=Other,DC=x"


class Directory:
    """Containers by GUID; DNs may change."""

    def __init__(self, **dns: str) -> None:
        self.dns = dns

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


def with_group() -> ScopeSpec:
    return replace(spec(STAFF), groups={GROUP: FIELD})


def test_a_group_is_pinned_like_a_container() -> None:
    found = find_scope(Directory(s=STAFF, p=GROUP), "DC=x", with_group(), {})
    renamed = find_scope(
        Directory(s=STAFF, p="CN=Renamed,DC=x", imposter=GROUP), "DC=x", with_group(), {GROUP: "p"}
    )

    assert found.pinned[1] == PinnedScope(dn=GROUP, guid="p", current_dn=GROUP)
    assert renamed.pinned[1] == PinnedScope(dn=GROUP, guid="p", current_dn="CN=Renamed,DC=x")
    assert found.group_guids == renamed.group_guids == {GROUP: "p"}
    # it is no container
    assert found.scope.include == {"s"}


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
        find_scope(directory, "DC=x", with_group(), pins)

    assert caught.value.reason == "ScopeGroupNotFound"
    assert (caught.value.resource, caught.value.field) == ("DirectorySync/contoso", FIELD)
    assert told in caught.value.message


def test_what_is_no_group_is_never_pinned() -> None:
    with pytest.raises(ConfigurationError) as caught:
        find_scope(Directory(s=STAFF), "DC=x", replace(spec(STAFF), groups={STAFF: FIELD}), {})

    assert caught.value.reason == "ScopeGroupNotFound"


def test_pins_of_the_store_win_and_those_of_the_status_outlive_it(store: Store) -> None:
    remembered = [PinnedScope(dn=STAFF, guid="old", current_dn=STAFF)]
    assert load_pins(store, remembered) == {STAFF: "old"}

    save_pins(store, find_scope(Directory(s=STAFF), "DC=x", spec(STAFF), {}))

    assert load_pins(store, remembered) == {STAFF: "s"}
