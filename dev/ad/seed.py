"""Fills a new domain with the company."""

from __future__ import annotations

import uuid
from typing import Any

import ldb
from samba.dcerpc import security
from samba.ndr import ndr_pack, ndr_unpack

from dev.ad.company import (
    BASE_DN,
    BIG_GROUP,
    CONTACTS,
    DEPARTMENTS,
    GROUPS,
    SERVICE_ACCOUNTS,
    STAFF,
    TOP,
    Person,
    Size,
    escape,
    people,
)

READER = "svc-entrasync"
ENABLED, DISABLED = "512", "514"
# groupType: scope bit, and the highest bit for security groups
GLOBAL, DOMAIN_LOCAL, UNIVERSAL, SECURITY = 2, 4, 8, -0x80000000
REPLICATE_CHANGES = "1131f6aa-9c07-11d1-f79f-00c04fc2dcd2"


def fill(database: Any, size: Size, reader_password: str) -> None:
    """Writes everything in one transaction, then grants the reader its rights."""
    staff = people(size)
    database.transaction_start()
    try:
        _add_containers(database)
        for person in staff:
            _add_person(database, person, staff)
        _add_contacts(database, size)
        _add_groups(database, staff, size)
        _add_what_is_never_synced(database)
    except BaseException:
        database.transaction_cancel()
        raise
    database.transaction_commit()
    _add_reader(database, reader_password)


def _add_containers(database: Any) -> None:
    for dn in (TOP, STAFF, GROUPS, CONTACTS, SERVICE_ACCOUNTS):
        database.add({"dn": dn, "objectClass": "organizationalUnit"})
    for department in DEPARTMENTS:
        database.add({"dn": f"OU={department},{STAFF}", "objectClass": "organizationalUnit"})


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
        "proxyAddresses": [f"SMTP:{person.mail}", f"smtp:{person.account}@contoso.test"],
        "department": person.department,
        "company": "Contoso",
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


def _add_contacts(database: Any, size: Size) -> None:
    for number in range(size.contacts):
        name = f"Partner {number}, Ltd."
        mail = f"partner{number}@fabrikam.example"
        database.add(
            {
                "dn": f"CN={escape(name)},{CONTACTS}",
                "objectClass": "contact",
                "displayName": name,
                "mail": mail,
                "proxyAddresses": [f"SMTP:{mail}"],
            }
        )


def _add_groups(database: Any, staff: list[Person], size: Size) -> None:
    def add(name: str, sort: int, members: list[str], **more: str) -> str:
        dn = f"CN={escape(name)},{GROUPS}"
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
        [staff[1].dn, f"CN={escape('Partner 0, Ltd.')},{CONTACTS}"],
        mail="newsletter@contoso.test",
        proxyAddresses="SMTP:newsletter@contoso.test",
    )
    add("Empty, yet here", GLOBAL | SECURITY, [])


def _add_what_is_never_synced(database: Any) -> None:
    """Accounts that Entra Connect leaves out by default."""
    for account, more in (
        ("MSOL_0123456789ab", {}),
        ("written-back", {"adminDescription": "User_0123"}),
    ):
        database.add(
            {
                "dn": f"CN={account},{SERVICE_ACCOUNTS}",
                "objectClass": "user",
                "sAMAccountName": account,
                "userAccountControl": DISABLED,
                **more,
            }
        )


def _add_reader(database: Any, password: str) -> None:
    """The account that reads: it may replicate changes and see deleted objects, no more."""
    sid = add_account(database, READER, password)
    _grant(database, BASE_DN, f"(OA;;CR;{REPLICATE_CHANGES};;{sid})", [])
    grant_deleted(database, sid)


def add_account(database: Any, name: str, password: str) -> str:
    """Adds an account that may do what everybody may, and gives its SID."""
    dn = f"CN={name},CN=Users,{BASE_DN}"
    database.add(
        {
            "dn": dn,
            "objectClass": "user",
            "sAMAccountName": name,
            "userPrincipalName": f"{name}@contoso.test",
            "unicodePwd": f'"{password}"'.encode("utf-16-le"),
            # normal account whose password does not expire
            "userAccountControl": str(0x200 | 0x10000),
        }
    )
    sid_value = database.search(dn, ldb.SCOPE_BASE, attrs=["objectSid"])[0]["objectSid"][0]
    return str(ndr_unpack(security.dom_sid, sid_value))


def grant_deleted(database: Any, sid: str) -> None:
    """Lets an account see deleted objects."""
    _grant(database, f"CN=Deleted Objects,{BASE_DN}", f"(A;;RPLC;;;{sid})", ["show_deleted:1"])


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
