"""A domain controller that gives Kerberos tickets, and what a client must know of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ldap3

from tests.support.hand import Hand
from tests.support.samba import SambaServer

REALM = "CONTOSO.TEST"
LIBRARY = """[libdefaults]
default_realm = CONTOSO.TEST
dns_lookup_kdc = false
dns_canonicalize_hostname = false
[realms]
CONTOSO.TEST = {{
  kdc = {host}
}}
"""
"""Content of krb5.conf, without DNS."""


@contextmanager
def ticket_server(folder: Path) -> Iterator[SambaServer]:
    """A key distribution centre whose directory service is called by its address."""
    with SambaServer(folder, kerberos=True) as server, Hand(server) as hand:
        # the tests have no DNS
        services = {"servicePrincipalName": [(ldap3.MODIFY_ADD, [f"ldap/{server.host}"])]}
        hand._connection.modify(f"CN=DC1,OU=Domain Controllers,{server.base_dn}", services)
        yield server
