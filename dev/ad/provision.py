"""Provisions the domain and fills it: `python3 -m dev.ad.provision FOLDER company|small`.

Runs with the system's Python, which has Samba's modules. Passwords come from the environment:
ADMIN_PASSWORD and READER_PASSWORD.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from samba.auth import system_session
from samba.provision import provision

from dev.ad import company, database, seed


def main() -> None:
    """Provisions, then seeds."""
    folder, size = Path(sys.argv[1]), company.SIZES[sys.argv[2]]
    (folder / "etc").mkdir(parents=True)
    provision(
        logging.getLogger("provision"),
        system_session(),
        smbconf=str(folder / "etc" / "smb.conf"),
        targetdir=str(folder),
        realm="CONTOSO.TEST",
        domain="CONTOSO",
        adminpass=os.environ["ADMIN_PASSWORD"],
        # the functional level of Windows Server 2008 R2, the newest this Samba offers
        dom_for_fun_level=4,
        dns_backend="NONE",
        # setting file system ACLs needs rights a container does not have
        skip_sysvolacl=True,
        serverrole="active directory domain controller",
        hostname="dc1",
        hostip="127.0.0.1",
        use_ntvfs=False,
    )
    seed.fill(database.open_database(folder), size, os.environ["READER_PASSWORD"])


if __name__ == "__main__":
    main()
