"""OpenLDAP on this host, filled with made-up people and groups: a directory that answers quickly.

It is no Active Directory: it knows neither extended DNs nor DirSync nor ranges, and answers a group
with all its members. What it has is size, limits to run into, and an end when it is killed.
"""

from __future__ import annotations

import base64
import datetime as dt
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import NAMESPACE_OID, uuid5

from dev.cluster.packages import LARGE_DIRECTORY, missing
from entrasync.directory.model import DirectoryConfig
from entrasync.emulator.certificates import Authority
from tests.support.servers import start_server, wait_for_tls, write_certificates

BASE_DN = "DC=contoso,DC=test"
PEOPLE_DN = f"OU=People,{BASE_DN}"
GROUPS_DN = f"OU=Groups,{BASE_DN}"
READER_DN = f"CN=svc-entrasync,{BASE_DN}"
READER_PASSWORD = "Test-Reader-Passw0rd"
HOST = "127.0.0.1"
TEN_ATTRIBUTES = (
    "objectClass",
    "objectGUID",
    "sAMAccountName",
    "userPrincipalName",
    "displayName",
    "givenName",
    "sn",
    "mail",
    "userAccountControl",
    "whenChanged",
)
"""What a person of this directory has, as many as the benchmark reads."""

_START_SECONDS = 60
_MODULES = Path("/usr/lib/ldap")
_SCHEMAS = Path("/etc/ldap/schema")


class SlapdServer:
    """A running slapd; a context manager.

    Args:
        folder: an empty folder for its data.
        people: how many to make up.
        groups: sizes of the groups, in members; these are the first people.
        settings: further lines of its database's configuration, such as `sizelimit 600`;
            without that one it gives at most 500 entries.
    """

    def __init__(
        self,
        folder: Path,
        *,
        people: int,
        groups: tuple[int, ...] = (),
        settings: tuple[str, ...] = ("sizelimit unlimited",),
    ) -> None:
        self._folder = folder
        self._people = people
        self._groups = groups
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        authority = Authority("test CA", dt.datetime.now(dt.UTC))
        self.ca_pem = authority.certificate
        self._pair = authority.issue([HOST])
        self.port = 0

    @property
    def url(self) -> str:
        """Its address, over TLS."""
        return f"ldaps://{HOST}:{self.port}"

    def __enter__(self) -> Self:
        lacking = missing(LARGE_DIRECTORY)
        assert not lacking, f"Install what the tests need: apt-get install {' '.join(lacking)}"
        self._configure()
        self._fill()
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def config(self, *, port: int | None = None, **changes: float) -> DirectoryConfig:
        """Read as an account that the server's limits hold for, perhaps through another port."""
        settings = {"page_size": 1000, "connect_timeout": 10, "receive_timeout": 120, **changes}
        return DirectoryConfig(
            servers=(f"ldaps://{HOST}:{port or self.port}",),
            base_dn=BASE_DN,
            bind_user=READER_DN,
            bind_password=READER_PASSWORD,
            ca_pem=self.ca_pem,
            start_tls=False,
            connect_timeout=settings["connect_timeout"],
            receive_timeout=settings["receive_timeout"],
            page_size=int(settings["page_size"]),
        )

    def start(self) -> None:
        """Starts the server on a free port and waits until it answers over TLS."""
        with socket.create_server((HOST, 0)) as free:
            self.port = free.getsockname()[1]
        command = ["/usr/sbin/slapd", "-f", str(self._file), "-h", f"{self.url}/", "-d", "0"]
        self._process = start_server(command, self._folder / "slapd.out")
        try:
            wait_for_tls(
                self._process,
                (HOST, self.port),
                ca_pem=self.ca_pem,
                log=self._folder / "slapd.out",
                seconds=_START_SECONDS,
            )
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends the server at once, as a lost machine would; it may be started again."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._process = None

    def pause(self) -> None:
        """Lets the server stand still; its connections stay open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    @property
    def certificate_files(self) -> tuple[Path, Path]:
        """Its certificate and key, for a server that stands in for it."""
        return self._folder / "tls.crt", self._folder / "tls.key"

    @property
    def _file(self) -> Path:
        return self._folder / "slapd.conf"

    def _configure(self) -> None:
        (self._folder / "data").mkdir()
        write_certificates(self._folder, self._pair, self.ca_pem)
        schemas = ("core", "cosine", "nis", "inetorgperson", "msuser")
        lines = [
            *(f"include {_SCHEMAS / name}.schema" for name in schemas),
            f"modulepath {_MODULES}",
            "moduleload back_mdb",
            f"pidfile {self._folder / 'slapd.pid'}",
            f"TLSCACertificateFile {self._folder / 'ca.crt'}",
            f"TLSCertificateFile {self._folder / 'tls.crt'}",
            f"TLSCertificateKeyFile {self._folder / 'tls.key'}",
            "sortvals member",
            "database mdb",
            f"maxsize {1 << 32}",
            "dbnosync",
            f"suffix {BASE_DN}",
            f"directory {self._folder / 'data'}",
            "index objectClass eq",
            "access to attrs=userPassword by * auth",
            "access to * by users read",
            *self._settings,
        ]
        self._file.write_text("\n".join(lines) + "\n")

    def _fill(self) -> None:
        ldif = self._folder / "people.ldif"
        with ldif.open("w") as out:
            out.writelines(f"{entry}\n\n" for entry in self._entries())
        # -s: the schema asks users for values that only a domain controller makes
        done = subprocess.run(
            ["/usr/sbin/slapadd", "-q", "-s", "-f", self._file, "-l", ldif],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        ldif.unlink()

    def _entries(self) -> Iterator[str]:
        yield f"dn: {BASE_DN}\nobjectClass: domain\ndc: contoso"
        yield (
            f"dn: {READER_DN}\nobjectClass: person\nsn: svc\ncn: svc-entrasync\n"
            f"userPassword: {READER_PASSWORD}"
        )
        for unit in (PEOPLE_DN, GROUPS_DN):
            yield f"dn: {unit}\nobjectClass: organizationalUnit\nou: {unit[3:].partition(',')[0]}"
        for number in range(self._people):
            yield _person(number)
        for number, size in enumerate(self._groups):
            yield _group(number, size)


def person_dn(number: int) -> str:
    """DN of a made-up person."""
    return f"CN=Person {number:06},{PEOPLE_DN}"


def guid_of(dn: str) -> str:
    """GUID of a made-up object, the same in every directory."""
    return str(uuid5(NAMESPACE_OID, dn))


def _guid_line(dn: str) -> str:
    return "objectGUID:: " + base64.b64encode(uuid5(NAMESPACE_OID, dn).bytes_le).decode()


def _person(number: int) -> str:
    dn = person_dn(number)
    name = f"p{number:06}"
    return (
        f"dn: {dn}\nobjectClass: top\nobjectClass: person\nobjectClass: organizationalPerson\n"
        f"objectClass: user\ncn: Person {number:06}\n{_guid_line(dn)}\n"
        f"sAMAccountName: {name}\nuserPrincipalName: {name}@contoso.test\n"
        f"displayName: Person {number:06} of Contoso\ngivenName: Person\nsn: Number {number:06}\n"
        f"mail: {name}@contoso.test\nuserAccountControl: 512\nwhenChanged: 20260101000000.0Z"
    )


def _group(number: int, size: int) -> str:
    dn = f"CN=Group {number:06},{GROUPS_DN}"
    members = "".join(f"\nmember: {person_dn(each)}" for each in range(size))
    return (
        f"dn: {dn}\nobjectClass: top\nobjectClass: group\ncn: Group {number:06}\n"
        f"{_guid_line(dn)}\nsAMAccountName: g{number:06}\ngroupType: 2{members}"
    )
