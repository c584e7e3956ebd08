"""A real Active Directory on this host: a Samba domain controller on a loopback address of its own.

Provisioning takes some seconds, so each size of a domain is provisioned once and cached; every
server works on a copy. Servers of several domains may run side by side: each is a forest.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dev.ad.company import DOMAIN, Places
from dev.ad.serve import samba_command
from dev.cluster.packages import DIRECTORY, missing
from dev.cluster.places import CACHE, ROOT
from entrasync.emulator.certificates import Authority
from tests.support.servers import start_server, wait_for_tls, write_certificates

SYSTEM_PYTHON = "/usr/bin/python3"
"""Has Samba's modules, which no package index offers."""
ADMIN_PASSWORD = "Test-Admin-Passw0rd"
READER_PASSWORD = "Test-Reader-Passw0rd"
READER = "svc-entrasync"
START_SECONDS = 60


class SambaServer:
    """A running domain controller; a context manager.

    Args:
        folder: an empty folder for its data.
        size: `company` (some 2,000 people) or `small`.
        data: what `keep` kept of another server of the same domain, to begin with.
        domain: DNS name of its domain.
        exchange: whether its schema knows attributes of Exchange, see dev/ad/exchange.py.
        kerberos: whether it is a key distribution centre, too.
    """

    bind_password = READER_PASSWORD
    admin_password = ADMIN_PASSWORD

    def __init__(
        self,
        folder: Path,
        size: str = "small",
        *,
        data: Path | None = None,
        domain: str = DOMAIN,
        exchange: bool = False,
        kerberos: bool = False,
    ) -> None:
        self._exchange = exchange
        self._services = "ldap kdc" if kerberos else "ldap"
        self.domain = domain
        self.base_dn = Places(domain).base_dn
        self.bind_user = f"{READER}@{domain}"
        self.admin_user = f"administrator@{domain}"
        self._folder = folder
        self._data = data
        self._size = size
        # an address nobody else uses: Samba's ports cannot be chosen
        self.host = f"127.{secrets.randbelow(200) + 20}.{secrets.randbelow(250)}.9"
        self.url = f"ldaps://{self.host}"
        authority = Authority("test CA", dt.datetime.now(dt.UTC))
        self.ca_pem = authority.certificate
        self.pair = authority.issue([self.host, f"dc1.{domain}"])
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        data = self._data or template(self._size, self.domain, exchange=self._exchange)
        shutil.copytree(data, self._folder, dirs_exist_ok=True)
        (self._folder / "run").mkdir(exist_ok=True)
        tls = self._folder / "tls-copy"
        tls.mkdir(mode=0o700, exist_ok=True)
        write_certificates(tls, self.pair, self.ca_pem)
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Starts the server and waits until it answers over TLS."""
        command = samba_command(self._folder, self._folder / "tls-copy", self.host, self._services)
        self._process = start_server(command, self._folder / "samba.out")
        try:
            wait_for_tls(
                self._process,
                (self.host, 636),
                ca_pem=self.ca_pem,
                log=self._folder / "samba.out",
                seconds=START_SECONDS,
            )
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends the server at once, as a lost domain controller would; it may be started again."""
        if self._process is None:
            return
        # its own session: the group holds Samba's children and nothing else
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def keep(self, folder: Path) -> None:
        """Keeps a copy of the data of this server, which must be stopped."""
        assert self._process is None
        shutil.copytree(self._folder, folder, ignore=_sockets)

    def set_back(self, kept: Path) -> None:
        """Makes this server, which must be stopped, what it was when its data were kept."""
        assert self._process is None
        shutil.rmtree(self._folder)
        shutil.copytree(kept, self._folder)

    def change(self, command: str, argument: str = "") -> dict[str, Any]:
        """Changes the directory, see dev/ad/change.py, and tells what was done."""
        output = _system_python(
            "-m", "dev.ad.change", str(self._folder), command, *([argument] if argument else [])
        )
        found: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
        return found

    def receive(self, guid: str, dn: str, **attributes: str) -> str:
        """Takes in a user of another domain, who keeps the GUID; gives the new DN."""
        folder, written = str(self._folder), json.dumps(attributes)
        _system_python("-m", "tests.support.arrival", folder, guid, dn, written)
        return dn


def _sockets(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if (Path(folder) / name).is_socket()}


def template(size: str, domain: str = DOMAIN, *, exchange: bool = False) -> Path:
    """The provisioned domain of a size, made when it is not cached."""
    further = ["exchange"] if exchange else []
    sort = "-".join([size, *further, domain])
    lacking = missing(DIRECTORY)
    assert not lacking, f"Install what the tests need: apt-get install {' '.join(lacking)}"
    sources = sorted((ROOT / "dev" / "ad").glob("*.py"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    cache = CACHE / "samba"
    cache.mkdir(parents=True, exist_ok=True)
    wanted = cache / f"{sort}-{digest}"
    with (cache / f"{sort}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not wanted.is_dir():
            for stale in cache.glob(f"{sort}-*"):
                shutil.rmtree(stale)
            new = cache / f".{sort}.new"
            shutil.rmtree(new, ignore_errors=True)
            _system_python("-m", "dev.ad.provision", str(new), size, domain, *further)
            new.rename(wanted)
    return wanted


def _system_python(*arguments: str) -> str:
    done = subprocess.run(
        [SYSTEM_PYTHON, *arguments],
        cwd=ROOT,
        env=os.environ
        | {
            "ADMIN_PASSWORD": ADMIN_PASSWORD,
            "READER_PASSWORD": READER_PASSWORD,
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
