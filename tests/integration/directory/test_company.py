"""A whole company, read by the service account; and a domain controller that goes away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from entrasync.directory.session import open_session
from entrasync.errors import TransientError
from tests.integration.directory.conftest import config_of

if TYPE_CHECKING:
    from tests.integration.directory.conftest import Sessions
    from tests.support.samba import SambaServer

pytestmark = pytest.mark.integration
ATTRIBUTES = ("sAMAccountName", "displayName", "mail", "proxyAddresses", "manager", "objectClass")


def test_a_group_of_2000_members_is_read_to_the_last_by_ranges(samba_company: SambaServer) -> None:
    with open_session(config_of(samba_company)) as session:
        entries = {
            entry.guid: entry for entry in session.read_all(session.root.base_dn, ATTRIBUTES)
        }
        big = max(entries.values(), key=lambda entry: len(entry.members or ()))
        assert big.members is not None
        assert len(big.members) == 2000
        assert set(big.members) <= set(entries)
        session._reader._value_step = 1500  # as much as Active Directory gives at once
        again = session.read_guid(big.guid, ATTRIBUTES)
        assert again is not None
        assert again.members == big.members
        managers = {entry.attributes.get("manager") for entry in entries.values()} - {None}
        assert managers
        assert {value.decode() for values in managers for value in values or ()} <= set(entries)


def test_the_service_account_reads_all_it_needs(samba_company: SambaServer) -> None:
    with open_session(config_of(samba_company)) as session:
        assert session.delta_method == ("DirSync", "ReplicationRightGranted")
        assert session.can_read_deleted()
        known = session.schema_attributes(ATTRIBUTES)
        assert known.keys() == {name.lower() for name in ATTRIBUTES}
        assert session.unreadable_attributes(ATTRIBUTES) == ()
        assert [page.entries for page in session.changes(session.current_cookie(), ATTRIBUTES)] == [
            ()
        ]


def test_a_domain_controller_that_goes_away_in_mid_read(
    samba_fresh: SambaServer, sessions: Sessions
) -> None:
    session = sessions(config_of(samba_fresh), page_size=1)
    cookie = session.current_cookie()
    reading = session.read_all(session.root.base_dn, ATTRIBUTES)
    next(reading)
    samba_fresh.stop()
    with pytest.raises(TransientError) as caught:
        list(reading)
    assert caught.value.reason == "ServerUnreachable"
    assert caught.value.field == "spec.servers"
    with pytest.raises(TransientError):
        sessions(config_of(samba_fresh))
    samba_fresh.start()
    session = sessions(config_of(samba_fresh))
    assert [page.entries for page in session.changes(cookie, ATTRIBUTES)] == [()]
