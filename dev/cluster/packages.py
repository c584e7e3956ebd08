"""Debian packages that the node, the images and the tests need."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from dev.cluster.output import SetupError, run, say, step

NODE = {
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "iptables": "iptables",
    "ipset": "ipset",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "mount": "mount",
    "conntrack": "conntrack",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
}
"""Program -> package, for the node and its images."""

DIRECTORY = {
    "samba": "samba",
    "/usr/lib/python3/dist-packages/samba/provision/__init__.py": "python3-samba",
    "/usr/share/samba/setup/provision.ldif": "samba-ad-provision",
    "/usr/lib/x86_64-linux-gnu/samba/ldb/samldb.so": "samba-dsdb-modules",
    "/usr/lib/x86_64-linux-gnu/samba/vfs/acl_xattr.so": "samba-vfs-modules",
}
"""Program or file -> package, for the Active Directory of the integration tests."""

LARGE_DIRECTORY = {
    "/usr/sbin/slapd": "slapd",
}
"""Program -> package, for the directory of 100,000 people that tests and benchmarks read: OpenLDAP
is filled in seconds and answers quicker than any client reads."""

BROWSER = {
    "chromium": "chromium",
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf": "fonts-dejavu-core",
}
"""Program or file -> package, for the tests that look at the emulator's pages; a continuous build
that installs the packages of the tests has them too."""

PAGES = {
    "curl": "curl",
    "git": "git",
    "jq": "jq",
}
"""Program -> package, for the commands of the documentation, which tests run as they stand."""

MONITORING = {
    "promtool": "prometheus",
}
"""Program -> package, for the tests of the alerts and of what is served to Prometheus."""

TESTS = DIRECTORY | LARGE_DIRECTORY | BROWSER | PAGES | MONITORING
"""Program or file -> package, for all tests."""


def missing(wanted: dict[str, str]) -> list[str]:
    """Packages whose program or file is not there."""
    return sorted(
        {
            package
            for name, package in wanted.items()
            if not (Path(name).exists() if name.startswith("/") else shutil.which(name, path=_PATH))
        }
    )


def install(wanted: dict[str, str]) -> None:
    """Installs what is missing, after saying so.

    Raises:
        SetupError: this is no Debian, or not root; the message names the packages.
    """
    packages = missing(wanted)
    if not packages:
        return
    names = " ".join(packages)
    if shutil.which("apt-get") is None:
        raise SetupError(f"These programs are missing: {names}. Install them and try again.")
    if os.geteuid() != 0:
        raise SetupError(f"Please install what is missing: sudo apt-get install {names}")
    say(f"These Debian packages are missing and will be installed: {names}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    hint = f"Install them by hand: apt-get install {names}"
    with step("Installing packages", "20 s to 2 min"), _no_services():
        run(["apt-get", "update", "-qq"], hint=hint, env=environment)
        run(
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
            hint=hint,
            env=environment,
        )


class _no_services:  # noqa: N801  - reads as a statement where it is used
    """Keeps Debian from starting the services of what is installed."""

    _path = Path("/usr/sbin/policy-rc.d")

    def __enter__(self) -> None:
        self._ours = not self._path.exists()
        if self._ours:
            self._path.write_text("#!/bin/sh\nexit 101\n")
            self._path.chmod(0o755)

    def __exit__(self, *_: object) -> None:
        if self._ours:
            self._path.unlink(missing_ok=True)


_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
