"""Serves a provisioned domain: `python3 -m dev.ad.serve TEMPLATE FOLDER TLS-FOLDER [ADDRESS]`.

Copies the template to the folder when that is empty, and then becomes Samba's LDAP server on ports
389 and 636 of the address, with `tls.crt`, `tls.key` and `ca.crt` of the TLS folder.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def main() -> None:
    """Prepares the folder, then replaces this process by Samba."""
    template, folder, tls = (Path(argument) for argument in sys.argv[1:4])
    address = sys.argv[4] if len(sys.argv) > 4 else None  # noqa: PLR2004  - the fourth argument
    if not (folder / "private").is_dir():
        shutil.copytree(template, folder, dirs_exist_ok=True)
    (folder / "run").mkdir(exist_ok=True)
    os.execvp("samba", samba_command(folder, _private_copy(tls, folder), address))  # noqa: S606  - no shell wanted


def samba_command(
    folder: Path, tls: Path, address: str | None, services: str = "ldap"
) -> list[str]:
    """Samba with its LDAP service, and others if wanted; all it writes lies below the folder."""
    options = {
        "server services": services,
        # as Active Directory: signed connections are not asked for where there is TLS
        "ldap server require strong auth": "allow_sasl_over_tls",
        "private dir": folder / "private",
        "lock dir": folder,
        "state directory": folder / "state",
        "cache directory": folder / "cache",
        "pid directory": folder / "run",
        "ncalrpc dir": folder / "run" / "ncalrpc",
        "winbindd socket directory": folder / "run" / "winbindd",
        "ntp signd socket directory": folder / "run" / "ntp",
        "log file": "/dev/null",
        "tls certfile": tls / "tls.crt",
        "tls keyfile": tls / "tls.key",
        "tls cafile": tls / "ca.crt",
    }
    if address is not None:
        options |= {"interfaces": f"{address}/8", "bind interfaces only": "yes"}
    settings = [f"--option={name}={value}" for name, value in options.items()]
    config = folder / "etc" / "smb.conf"
    return ["samba", "--foreground", "--no-process-group", "-s", str(config), *settings]


def _private_copy(tls: Path, folder: Path) -> Path:
    """A copy only root may read: Samba refuses a key that others could read."""
    copy = folder / "tls-copy"
    copy.mkdir(mode=0o700, exist_ok=True)
    for name in ("tls.crt", "tls.key", "ca.crt"):
        (copy / name).write_bytes((tls / name).read_bytes())
        (copy / name).chmod(0o600)
    return copy


if __name__ == "__main__":
    main()
