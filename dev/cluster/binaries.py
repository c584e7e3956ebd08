"""The programs of the node: found, downloaded, or built, each said in the output."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from dev.cluster.output import SetupError, run, say
from dev.cluster.places import BINARIES, KUBERNETES_VERSION, ROOT

RELEASES = "https://dl.k8s.io"
_MINOR = KUBERNETES_VERSION.removeprefix("v").split(".")[1]
_STAMP = "k8s.io/component-base/version"
_KUBERNETES_FLAGS = (
    f"-s -w -X {_STAMP}.gitVersion={KUBERNETES_VERSION} -X {_STAMP}.gitMajor=1"
    f" -X {_STAMP}.gitMinor={_MINOR}"
    f" -X k8s.io/client-go/pkg/version.gitVersion={KUBERNETES_VERSION}"
)
_HELM_FLAGS = "-s -w -X helm.sh/helm/v3/internal/version.version=v3.22.0"


@dataclass(slots=True, frozen=True, kw_only=True)
class Program:
    """One program of the node.

    Attributes:
        name: file name.
        module: folder of the Go module that pins it.
        package: Go package to build.
        seconds: how long a build with an empty cache usually takes on two cores.
        flags: linker flags.
        version_command: arguments that print its version; only programs of Kubernetes have one,
            because only their version must fit.
    """

    name: str
    module: str
    package: str
    seconds: int
    flags: str = "-s -w"
    version_command: tuple[str, ...] = ()


def _kubernetes(name: str, seconds: int, *version_command: str) -> Program:
    return Program(
        name=name,
        module="kubernetes",
        package=f"k8s.io/kubernetes/cmd/{name}",
        seconds=seconds,
        flags=_KUBERNETES_FLAGS,
        version_command=version_command or ("--version",),
    )


PROGRAMS = (
    _kubernetes("kube-apiserver", 350),
    _kubernetes("kube-controller-manager", 90),
    _kubernetes("kube-scheduler", 10),
    _kubernetes("kubelet", 30),
    _kubernetes("kube-proxy", 20),
    _kubernetes("kubectl", 35, "version", "--client"),
    Program(name="etcd", module="kubernetes", package="go.etcd.io/etcd/server/v3", seconds=15),
    Program(name="coredns", module="coredns", package=".", seconds=95),
    Program(name="pause", module="coredns", package="./pause", seconds=2),
    Program(
        name="kube-router",
        module="policies",
        package="github.com/cloudnativelabs/kube-router/v2/cmd/kube-router",
        seconds=130,
    ),
    Program(
        name="helm",
        module="helm",
        package="helm.sh/helm/v3/cmd/helm",
        seconds=130,
        flags=_HELM_FLAGS,
    ),
)
JUDGES = (Program(name="kstatus", module="kstatus", package=".", seconds=45),)
"""What tests ask how a status is understood; no part of the node."""
CLIENTS = ("kubectl", "helm")
"""All that is needed where kind runs the node."""


def ensure(names: tuple[str, ...] | None = None) -> None:
    """Puts every program into the cache, by the cheapest way that works.

    Raises:
        SetupError: a program can be neither found, downloaded nor built.
    """
    known = PROGRAMS if names is None else (*PROGRAMS, *JUDGES)
    wanted = [p for p in known if names is None or p.name in names]
    lacking = [p for p in wanted if not (BINARIES / p.name).is_file()]
    if not lacking:
        say(f"Kubernetes {KUBERNETES_VERSION}: all programs are in {BINARIES}")
        return
    BINARIES.mkdir(parents=True, exist_ok=True)
    reachable: bool | None = None
    for program in lacking:
        if _adopt(program):
            continue
        if program.module == "kubernetes" and program.name != "etcd" and reachable is not False:
            reachable = _download(program)
            if reachable:
                continue
        _build(program)


def _adopt(program: Program) -> bool:
    """Links a program that is already on this machine, when its version fits."""
    assets = os.environ.get("KUBEBUILDER_ASSETS", "")
    for source, path in (
        ("KUBEBUILDER_ASSETS", shutil.which(program.name, path=assets) if assets else None),
        ("PATH", shutil.which(program.name)),
    ):
        if path is None:
            continue
        version = _version(path, program)
        if program.version_command and not version.startswith(KUBERNETES_VERSION.rsplit(".", 1)[0]):
            say(f"  {program.name}: {path} is {version or 'of unknown version'}, not used")
            continue
        if not program.version_command and program.name not in {"etcd", "helm"}:
            continue
        (BINARIES / program.name).symlink_to(path)
        say(f"  {program.name}: {path} from {source}")
        return True
    return False


def _version(path: str, program: Program) -> str:
    if not program.version_command:
        return ""
    done = subprocess.run(
        [path, *program.version_command], capture_output=True, text=True, check=False, timeout=30
    )
    found = re.search(r"v\d+\.\d+\.\d+\S*", done.stdout)
    return found[0] if found else ""


def _download(program: Program) -> bool:
    """Downloads the official release and compares its SHA-256; false when it is out of reach."""
    address = f"{RELEASES}/{KUBERNETES_VERSION}/bin/linux/{_architecture()}/{program.name}"
    try:
        with urllib.request.urlopen(f"{address}.sha256", timeout=5) as answer:  # noqa: S310  - https constant
            wanted = answer.read().decode().split()[0]
        say(f"  {program.name}: downloading the official release (usually 10 s)")
        with urllib.request.urlopen(address, timeout=300) as answer:  # noqa: S310  - https constant
            content = answer.read()
    except (OSError, urllib.error.URLError) as error:
        say(f"  the official release at {RELEASES} cannot be reached ({error}): building instead")
        return False
    if hashlib.sha256(content).hexdigest() != wanted:
        raise SetupError(
            f"The download of {program.name} does not have the published SHA-256. Try again; if it"
            " stays so, something between here and the release changes files."
        )
    _place(program, content)
    return True


def _build(program: Program) -> None:
    if shutil.which("go") is None:
        raise SetupError(
            f"{program.name} must be built, and Go is missing. Install Go 1.25 or newer, or put a"
            f" {program.name} {KUBERNETES_VERSION} into a folder named by KUBEBUILDER_ASSETS."
        )
    say(f"  {program.name}: building from Go modules (usually {program.seconds} s, once)")
    started = time.monotonic()
    temporary = BINARIES / f".{program.name}.new"
    log = BINARIES / f"{program.name}.log"
    run(
        [
            "go",
            "build",
            "-trimpath",
            "-ldflags",
            program.flags,
            "-o",
            temporary,
            program.package,
        ],
        cwd=ROOT / "dev" / program.module,
        env=os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"},
        log=log,
        hint="Check that Go modules can be downloaded, and that the disk has 10 GB free.",
    )
    temporary.rename(BINARIES / program.name)
    log.unlink()
    say(f"    built in {time.monotonic() - started:.0f} s")


def _place(program: Program, content: bytes) -> None:
    temporary = BINARIES / f".{program.name}.new"
    temporary.write_bytes(content)
    temporary.chmod(0o755)
    temporary.rename(BINARIES / program.name)


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


def path_of(name: str) -> Path:
    """Path of a program, whether it is there yet or not."""
    return BINARIES / name
