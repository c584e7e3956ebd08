from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from entrasync.api.directory_sync import PinnedScope
from entrasync.directory.model import Container
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


def test_pins_of_the_store_win_and_those_of_the_status_outlive_it(store: Store) -> None:
    remembered = [PinnedScope(dn=STAFF, guid="old", current_dn=STAFF)]
    assert load_pins(store, remembered) == {STAFF: "old"}

    save_pins(store, find_scope(Directory(s=STAFF), "DC=x", spec(STAFF), {}))

    assert load_pins(store, remembered) == {STAFF: "s"}
