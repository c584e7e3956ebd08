"""Fills a new domain with the company."""

from __future__ import annotations

import uuid
from typing import Any

import ldb
from samba.dcerpc import security
from samba.ndr import ndr_pack, ndr_unpack

from dev.ad.company import (
    BIG_GROUP,
    DEPARTMENTS,
    Person,
    Places,
    Size,
    escape,
    people,
)

READER = "svc-entrasync"
ENABLED, DISABLED = "512", "514"
# groupType: scope bit, and the highest bit for security groups
GLOBAL, DOMAIN_LOCAL, UNIVERSAL, SECURITY = 2, 4, 8, -0x80000000
REPLICATE_CHANGES = "1131f6aa-9c07-11d1-f79f-00c04fc2dcd2"
CONSISTENCY_GUID = "23773dc2-b63a-11d2-90e1-00c04fd91ab1"
"""Of the attribute mS-DS-ConsistencyGuid."""
USER_CLASS = "bf967aba-0de6-11d0-a285-00aa003049e2"


def fill(database: Any, size: Size, reader_password: str) -> None:
    """Writes everything in one transaction, then grants the reader its rights."""
    places = places_of(database)
    staff = people(size, places)
    database.transaction_start()
    try:
        _add_containers(database, places)
        for person in staff:
            _add_person(database, person, staff)
        _add_contacts(database, size, places)
        _add_groups(database, staff, size, places)
        _add_what_is_never_synced(database, places)
    except BaseException:
        database.transaction_cancel()
        raise
    database.transaction_commit()
    _add_reader(database, reader_password)


def places_of(database: Any) -> Places:
    """Where the company keeps what, in the domain of a database."""
    return Places(database.domain_dns_name())


def _add_containers(database: Any, places: Places) -> None:
    for dn in (
        places.top,
        places.staff,
        places.groups,
        places.contacts,
        places.service_accounts,
    ):
        database.add({"dn": dn, "objectClass": "organizationalUnit"})
    for department in DEPARTMENTS:
        database.add({"dn": f"OU={department},{places.staff}", "objectClass": "organizationalUnit"})


def _add_person(database: Any, person: Person, staff: list[Person]) -> None:
    entry: dict[str, Any] = {
        "dn": person.dn,
        "objectClass": "user",
        "sAMAccountName": person.account,
        "userPrincipalName": person.upn,
        "displayName": person.display_name,
        "givenName": person.given,
        "sn": person.surname,
        "mail": person.mail,
        "proxyAddresses": [f"SMTP:{person.mail}", f"smtp:{person.account}@{person.places.domain}"],
        "department": person.department,
        "company": person.places.name,
        "title": "Manager" if person.number < len(DEPARTMENTS) else "Specialist",
        "telephoneNumber": f"+49 30 {100000 + person.number}",
        "employeeID": str(10000 + person.number),
        "l": "Berlin",
        "co": "Germany",
        "c": "DE",
        "countryCode": "276",
        "userAccountControl": DISABLED if person.disabled else ENABLED,
    }
    if person.number >= len(DEPARTMENTS):
        entry["manager"] = staff[person.number % len(DEPARTMENTS)].dn
    if person.number % 50 == 3:  # noqa: PLR2004  - a few, as a migration leaves them
        preset = uuid.uuid5(uuid.NAMESPACE_DNS, person.upn)
        entry["mS-DS-ConsistencyGuid"] = preset.bytes_le
    # password-less accounts need a flag of Samba's when enabled by a direct write
    database.add(entry, ["local_oid:1.3.6.1.4.1.7165.4.3.16:0"])


def _add_contacts(database: Any, size: Size, places: Places) -> None:
    for number in range(size.contacts):
        name = f"Partner {number}, Ltd."
        mail = f"partner{number}@fabrikam.example"
        database.add(
            {
                "dn": f"CN={escape(name)},{places.contacts}",
                "objectClass": "contact",
                "displayName": name,
                "mail": mail,
                "proxyAddresses": [f"SMTP:{mail}"],
            }
        )


def _add_groups(database: Any, staff: list[Person], size: Size, places: Places) -> None:
    def add(name: str, sort: int, members: list[str], **more: str) -> str:
        dn = f"CN={escape(name)},{places.groups}"
        entry: dict[str, Any] = {
            "dn": dn,
            "objectClass": "group",
            "sAMAccountName": name.replace(",", ""),
            "groupType": str(sort),
            "displayName": name,
        }
        if members:
            entry["member"] = members
        database.add(entry | more)
        return dn

    departments = [
        add(
            f"{department} Team",
            GLOBAL | SECURITY,
            [person.dn for person in staff if person.department == department],
        )
        for department in DEPARTMENTS
    ]
    add(BIG_GROUP, UNIVERSAL | SECURITY, [person.dn for person in staff[: size.big_group]])
    add("All Teams", UNIVERSAL | SECURITY, departments)
    add("File Server Users", DOMAIN_LOCAL | SECURITY, [departments[0], staff[0].dn])
    add("Ärzte & Ställe", GLOBAL | SECURITY, [person.dn for person in staff[1:4]])
    add(
        "Newsletter",
        UNIVERSAL,
        [staff[1].dn, f"CN={escape('Partner 0, Ltd.')},{places.contacts}"],
        mail=f"newsletter@{places.domain}",
        proxyAddresses=f"SMTP:newsletter@{places.domain}",
    )
    add("Empty, yet here", GLOBAL | SECURITY, [])


def _add_what_is_never_synced(database: Any, places: Places) -> None:
    """Accounts that Entra Connect leaves out by default."""
    for account, more in (
        ("MSOL_0123456789ab", {}),
        ("written-back", {"adminDescription": "User_0123"}),
    ):
        database.add(
            {
                "dn": f"CN={account},{places.service_accounts}",
                "objectClass": "user",
                "sAMAccountName": account,
                "userAccountControl": DISABLED,
                **more,
            }
        )


def _add_reader(database: Any, password: str) -> None:
    """The account that reads: it may replicate changes and see deleted objects, no more."""
    sid = add_account(database, READER, password)
    _grant(database, places_of(database).base_dn, f"(OA;;CR;{REPLICATE_CHANGES};;{sid})", [])
    grant_deleted(database, sid)


def add_account(database: Any, name: str, password: str) -> str:
    """Adds an account that may do what everybody may, and gives its SID."""
    places = places_of(database)
    dn = f"CN={name},CN=Users,{places.base_dn}"
    database.add(
        {
            "dn": dn,
            "objectClass": "user",
            "sAMAccountName": name,
            "userPrincipalName": f"{name}@{places.domain}",
            "unicodePwd": f'"{password}"'.encode("utf-16-le"),
            # normal account whose password does not expire
            "userAccountControl": str(0x200 | 0x10000),
        }
    )
    return _sid_of(database.search(dn, ldb.SCOPE_BASE, attrs=["objectSid"])[0])


def _sid_of(entry: Any) -> str:
    return str(ndr_unpack(security.dom_sid, entry["objectSid"][0]))


def grant_deleted(database: Any, sid: str) -> None:
    """Lets an account see deleted objects."""
    container = f"CN=Deleted Objects,{places_of(database).base_dn}"
    _grant(database, container, f"(A;;RPLC;;;{sid})", ["show_deleted:1"])


def grant_stamping(database: Any, name: str) -> None:
    """Lets an account write one attribute of users, wherever they are."""
    base = places_of(database).base_dn
    wanted = f"(sAMAccountName={ldb.binary_encode(name)})"
    sid = _sid_of(database.search(base, ldb.SCOPE_SUBTREE, wanted, attrs=["objectSid"])[0])
    _grant(database, base, f"(OA;CIIO;WP;{CONSISTENCY_GUID};{USER_CLASS};{sid})", [])


def _grant(database: Any, dn: str, entry: str, controls: list[str]) -> None:
    """Adds one access control entry."""
    found = database.search(dn, ldb.SCOPE_BASE, attrs=["nTSecurityDescriptor"], controls=controls)
    domain = security.dom_sid(database.get_domain_sid())
    current = ndr_unpack(security.descriptor, found[0]["nTSecurityDescriptor"][0]).as_sddl(domain)
    start = current.index("D:")
    first = current.index("(", start)
    changed = security.descriptor.from_sddl(current[:first] + entry + current[first:], domain)
    message = ldb.Message(ldb.Dn(database, dn))
    message["nTSecurityDescriptor"] = ldb.MessageElement(
        ndr_pack(changed), ldb.FLAG_MOD_REPLACE, "nTSecurityDescriptor"
    )
    # 4: change the discretionary list only
    database.modify(message, controls=[*controls, "sd_flags:1:4"])
