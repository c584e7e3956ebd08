"""Provisions and fills a domain: `python3 -m dev.ad.provision FOLDER SIZE [DOMAIN [exchange]]`.

The size is `company` or `small`; with `exchange` the schema knows attributes of Exchange.
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

from dev.ad import company, database, exchange, seed


def main() -> None:
    """Provisions, then seeds."""
    folder, size = Path(sys.argv[1]), company.SIZES[sys.argv[2]]
    domain = sys.argv[3] if len(sys.argv) > 3 else company.DOMAIN  # noqa: PLR2004  - the third argument
    (folder / "etc").mkdir(parents=True)
    provision(
        logging.getLogger("provision"),
        system_session(),
        smbconf=str(folder / "etc" / "smb.conf"),
        targetdir=str(folder),
        realm=domain.upper(),
        domain=domain.partition(".")[0].upper(),
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
    directory = database.open_database(folder)
    seed.fill(directory, size, os.environ["READER_PASSWORD"])
    if "exchange" in sys.argv[4:]:
        exchange.extend(directory)


if __name__ == "__main__":
    main()
