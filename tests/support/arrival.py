"""Puts a user into a Samba domain under the GUID it had in another one: a move between domains.

No client may choose an objectGUID over LDAP, so it is done in the database. For the system's
Python: `python3 -m tests.support.arrival FOLDER GUID DN ATTRIBUTES`, attributes as JSON.
"""

from __future__ import annotations

import json
import sys
import uuid
from pathlib import Path

import ldb

from dev.ad.database import open_database


def main() -> None:
    """Adds the user."""
    folder, guid, dn, attributes = sys.argv[1:]
    raw = uuid.UUID(guid).bytes_le
    message = {"dn": dn, "objectClass": "user", **json.loads(attributes)}
    database = open_database(Path(folder))
    entry = ldb.Message.from_dict(database, message)
    entry["objectGUID"] = ldb.MessageElement([raw], ldb.FLAG_MOD_ADD, "objectGUID")
    database.add(entry, controls=["relax:0"])


if __name__ == "__main__":
    main()
