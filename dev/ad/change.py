"""Changes the directory while it is served: `python3 -m dev.ad.change FOLDER COMMAND [ARGUMENT]`.

Prints what it did as one line of JSON. Each command is one transaction, so a reader sees all of it
or nothing.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ldb

from dev.ad import database, seed
from dev.ad.company import BIG_GROUP, SIZES, Person, escape, people, plain
from dev.ad.seed import places_of

RENAMED_OU, NEW_OU = "Legal", "Legal and Compliance"
NEW_SURNAME = "Åström-Neumann"
USERS = "(&(objectClass=user)(!(objectClass=computer)))"


def demo(directory: Any, _: str) -> dict[str, object]:
    """One member added, one user renamed, one OU renamed, one user deleted."""
    places = places_of(directory)
    group = f"CN={BIG_GROUP},{places.groups}"
    members = {str(dn) for dn in _values(directory, group, "member")}
    everybody = [person for person in _people(directory) if _exists(directory, person.dn)]
    added = next(person for person in everybody if person.dn not in members)
    # members of the big group, in another department: so each change is seen on its own
    others = [p for p in everybody if p.dn in members and p.department != RENAMED_OU]
    renamed, deleted = others[-2], others[-1]
    lost = len(_values(directory, deleted.dn, "memberOf"))
    moved = _count(directory, f"OU={RENAMED_OU},{places.staff}", USERS)
    _modify(directory, group, "member", added.dn, ldb.FLAG_MOD_ADD)
    new_name = _rename_person(directory, renamed)
    directory.delete(deleted.dn)
    directory.rename(f"OU={RENAMED_OU},{places.staff}", f"OU={NEW_OU},{places.staff}")
    return {
        "linksAdded": 1,
        "linksLost": lost,
        "usersInRenamedOU": moved,
        "usersUpdated": 1 + moved,
        "usersDeleted": 1,
        "renamedTo": new_name,
        "deletedName": deleted.display_name,
        "renamedOU": NEW_OU,
    }


def delete_users(directory: Any, count: str) -> dict[str, object]:
    """Deletes the first COUNT people of the staff."""
    chosen = [p for p in _people(directory) if _exists(directory, p.dn)][: int(count)]
    for person in chosen:
        directory.delete(person.dn)
    return {"usersDeleted": len(chosen)}


def delete_all(directory: Any, _: str) -> dict[str, object]:
    """Deletes everybody, every group and every contact of the company."""
    top = places_of(directory).top
    wanted = "(|(objectClass=user)(objectClass=group)(objectClass=contact))"
    found = directory.search(top, ldb.SCOPE_SUBTREE, wanted, attrs=["cn"])
    for entry in found:
        directory.delete(entry.dn)
    return {"deleted": len(found)}


def add_user(directory: Any, name: str) -> dict[str, object]:
    """Adds a person of the given name."""
    account, places = plain(name), places_of(directory)
    directory.add(
        {
            "dn": f"CN={escape(name)},{places.staff}",
            "objectClass": "user",
            "sAMAccountName": account,
            "userPrincipalName": f"{account}@{places.domain}",
            "displayName": name,
            "userAccountControl": "514",
        }
    )
    return {"usersAdded": 1, "name": name}


def set_password(directory: Any, argument: str) -> dict[str, object]:
    """Sets the password of ACCOUNT=PASSWORD."""
    account, _, password = argument.partition("=")
    directory.setpassword(f"(sAMAccountName={ldb.binary_encode(account)})", password)
    return {"account": account}


def add_reader(directory: Any, argument: str) -> dict[str, object]:
    """Adds the account ACCOUNT=PASSWORD, which sees deleted objects, but may not replicate."""
    account, _, password = argument.partition("=")
    seed.grant_deleted(directory, seed.add_account(directory, account, password))
    return {"account": account}


def add_plain_reader(directory: Any, argument: str) -> dict[str, object]:
    """Adds the account ACCOUNT=PASSWORD, which may do what everybody may."""
    account, _, password = argument.partition("=")
    seed.add_account(directory, account, password)
    return {"account": account}


def grant_stamping(directory: Any, account: str) -> dict[str, object]:
    """Lets an account write the anchors of users, and nothing else."""
    seed.grant_stamping(directory, account)
    return {"account": account}


def new_identity(directory: Any, _: str) -> dict[str, object]:
    """Makes the data those of another domain controller; the server must be stopped."""
    name = str(directory.get_dsServiceName())
    message = ldb.Message(ldb.Dn(directory, name))
    identity = uuid.uuid4()
    message["invocationId"] = ldb.MessageElement(
        identity.bytes_le, ldb.FLAG_MOD_REPLACE, "invocationId"
    )
    directory.modify(message, controls=["relax:0"])
    return {"invocationId": str(identity)}


COMMANDS: dict[str, Callable[[Any, str], dict[str, object]]] = {
    "demo": demo,
    "delete-users": delete_users,
    "delete-all": delete_all,
    "add-user": add_user,
    "set-password": set_password,
    "add-reader": add_reader,
    "add-plain-reader": add_plain_reader,
    "grant-stamping": grant_stamping,
    "new-identity": new_identity,
}


def _rename_person(directory: Any, person: Person) -> str:
    new_name = f"{person.given} {NEW_SURNAME}"
    _modify(directory, person.dn, "sn", NEW_SURNAME, ldb.FLAG_MOD_REPLACE)
    _modify(directory, person.dn, "displayName", new_name, ldb.FLAG_MOD_REPLACE)
    common = escape(f"{new_name} {person.number}")
    directory.rename(person.dn, f"CN={common},OU={person.department},{person.places.staff}")
    return new_name


def _people(directory: Any) -> list[Person]:
    """The staff this domain was filled with."""
    largest = SIZES["company"].people
    places = places_of(directory)
    size = "company" if _count(directory, places.base_dn, USERS) > largest // 2 else "small"
    return people(SIZES[size], places)


def _exists(directory: Any, dn: str) -> bool:
    try:
        return bool(directory.search(dn, ldb.SCOPE_BASE, attrs=["cn"]))
    except ldb.LdbError:
        return False


def _values(directory: Any, dn: str, attribute: str) -> list[Any]:
    found = directory.search(dn, ldb.SCOPE_BASE, attrs=[attribute])[0]
    return list(found.get(attribute, []))


def _count(directory: Any, base: str, expression: str) -> int:
    return len(directory.search(base, ldb.SCOPE_SUBTREE, expression, attrs=["cn"]))


def _modify(directory: Any, dn: str, attribute: str, value: str, flag: int) -> None:
    message = ldb.Message(ldb.Dn(directory, dn))
    message[attribute] = ldb.MessageElement(value, flag, attribute)
    directory.modify(message)


def main() -> None:
    """Runs one command in one transaction."""
    folder, command, *rest = sys.argv[1:]
    directory = database.open_database(Path(folder))
    directory.transaction_start()
    try:
        outcome = COMMANDS[command](directory, rest[0] if rest else "")
    except BaseException:
        directory.transaction_cancel()
        raise
    directory.transaction_commit()
    print(json.dumps(outcome))


if __name__ == "__main__":
    main()
