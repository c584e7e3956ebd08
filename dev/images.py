"""Container images: built by Docker or buildah, kept as archives, loaded into the local cluster.

`python -m dev.images build NAME...` builds what changed; `load NAME...` puts it into the cluster.
Images are `entrasync`, the product, `entrasync-kerberos`, the same with what keytabs need, and
`samba-ad`, the Active Directory of the demo.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from dev import cluster
from dev.cluster.kind import engine_answers
from dev.cluster.output import SetupError, run, say, step
from dev.cluster.packages import NODE, install
from dev.cluster.places import IMAGES, ROOT

BASE_TAG = "localhost/entrasync-base:bookworm"
BASE_PACKAGES = "python3,python3-venv,ca-certificates"
_PASSED_VARIABLES = re.compile(
    r"PIP_(INDEX_URL|EXTRA_INDEX_URL|TRUSTED_HOST|CERT)|\w+_proxy", re.IGNORECASE
)
RELEASES = ROOT / "tests" / "golden" / "releases"
HINT = "Look at the log; a full disk and an unreachable package index are the usual causes."


@dataclass(slots=True, frozen=True, kw_only=True)
class Image:
    """One image.

    Attributes:
        tag: its name in the cluster.
        dockerfile: what it is built from.
        context: folder its files come from.
        inputs: files and folders that make a rebuild necessary when they change.
        usually: how long a first build takes, and a rebuild.
        arguments: build arguments, `NAME=value`.
    """

    tag: str
    dockerfile: Path
    context: Path
    inputs: tuple[Path, ...]
    usually: str
    arguments: tuple[str, ...] = ()


PRODUCT_IMAGE = Image(
    tag="localhost/entrasync:dev",
    dockerfile=ROOT / "Dockerfile",
    context=ROOT,
    inputs=(
        ROOT / "Dockerfile",
        ROOT / "pyproject.toml",
        ROOT / "requirements" / "runtime.txt",
        ROOT / "operator",
    ),
    usually="1 to 2 min at first, then 15 s",
)
KERBEROS_IMAGE = replace(
    PRODUCT_IMAGE,
    tag="localhost/entrasync-kerberos:dev",
    inputs=(
        *PRODUCT_IMAGE.inputs,
        ROOT / "requirements" / "kerberos.txt",
        ROOT / "requirements" / "kerberos-build.txt",
    ),
    usually="2 to 3 min at first, then 15 s",
    arguments=("EXTRAS=kerberos",),
)
DIRECTORY_IMAGE = Image(
    tag="localhost/entrasync-samba-ad:dev",
    dockerfile=ROOT / "dev" / "ad" / "Dockerfile",
    context=ROOT / "dev" / "ad",
    inputs=(ROOT / "dev" / "ad",),
    usually="2 to 4 min, once",
)
EARLIER_VERSION = "0.1.0"
"""The latest of the releases in tests/golden."""
EARLIER_IMAGE = Image(
    tag=f"localhost/entrasync:{EARLIER_VERSION}",
    dockerfile=RELEASES / "Dockerfile",
    context=RELEASES,
    inputs=(RELEASES, ROOT / "requirements" / "runtime.txt"),
    usually="5 s",
    arguments=(f"RELEASE={EARLIER_VERSION}",),
)
"""Lies on the product's image, which must have been built before."""
ALL = {"entrasync": PRODUCT_IMAGE, "samba-ad": DIRECTORY_IMAGE}
"""What the local cluster holds."""
BUILT = {**ALL, "entrasync-kerberos": KERBEROS_IMAGE}
"""What can be built."""


def build(image: Image) -> Path:
    """The image's archive, built anew when its inputs changed.

    Raises:
        SetupError: the build failed; with the last lines it printed.
    """
    IMAGES.mkdir(parents=True, exist_ok=True)
    stem = re.sub(r"[^a-z0-9-]", "-", image.tag.removeprefix("localhost/"))
    archive = IMAGES / f"{stem}-{digest(image)[:16]}.tar"
    if archive.is_file():
        say(f"{image.tag} is unchanged")
        return archive
    for stale in IMAGES.glob(f"{stem}-{'[0-9a-f]' * 16}.tar"):
        stale.unlink()
    log = IMAGES / f"{stem}.log"
    with step(f"Building {image.tag}", image.usually):
        if engine_answers():
            _build_by_docker(image, archive, log)
        else:
            _build_by_buildah(image, archive, log)
    return archive


def load(image: Image) -> None:
    """Puts the image into the cluster, built anew when its inputs changed."""
    archive = build(image)
    with step(f"Loading {image.tag} into the cluster", "5 s"):
        cluster.load(archive)


def size_of(tag: str) -> int:
    """Octets of an image that buildah holds, unpacked, with all layers below it."""
    found = json.loads(run([*_buildah(), "inspect", "--type=image", tag]))
    layers = found["OCIv1"]["rootfs"]["diff_ids"]
    known = json.loads((IMAGES / "buildah" / "overlay-layers" / "layers.json").read_text())
    sizes = {
        each["diff-digest"]: each.get("diff-size", 0) for each in known if "diff-digest" in each
    }
    return sum(sizes[layer] for layer in layers)


@contextmanager
def container_of(tag: str) -> Iterator[Callable[..., str]]:
    """A container of an image that buildah holds: calling it runs a command in it."""
    name = run([*_buildah(), "from", tag]).strip().splitlines()[-1]
    try:
        yield lambda *command: run([*_buildah(), "run", "--isolation=chroot", name, "--", *command])
    finally:
        run([*_buildah(), "rm", name])


def digest(image: Image) -> str:
    """SHA-256 over the names and contents of the inputs."""
    total = hashlib.sha256()
    for top in image.inputs:
        files = [top] if top.is_file() else sorted(p for p in top.rglob("*") if p.is_file())
        for file in files:
            if "__pycache__" in file.parts or file.name.endswith(".pyc"):
                continue
            total.update(str(file.relative_to(ROOT)).encode() + b"\0")
            total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def _build_by_docker(image: Image, archive: Path, log: Path) -> None:
    run(
        [
            *("docker", "build", "-t", image.tag, "-f", image.dockerfile),
            *(f"--build-arg={argument}" for argument in image.arguments),
            image.context,
        ],
        log=log,
        hint=HINT,
    )
    run(["docker", "save", "-o", archive, image.tag], hint=HINT)


def _build_by_buildah(image: Image, archive: Path, log: Path) -> None:
    install(NODE)
    ensure_base()
    run(
        [
            *_buildah(),
            "bud",
            "--isolation=chroot",
            "--network=host",
            "--layers",
            f"--build-arg=BASE={BASE_TAG}",
            *(f"--build-arg={argument}" for argument in image.arguments),
            *_passed_through(),
            f"--tag={image.tag}",
            f"--file={image.dockerfile}",
            image.context,
        ],
        log=log,
        hint=HINT,
    )
    temporary = archive.with_suffix(".new")
    run([*_buildah(), "push", image.tag, f"oci-archive:{temporary}:{image.tag}"], hint=HINT)
    temporary.rename(archive)


def ensure_base() -> None:
    """Makes the base image by debootstrap, once."""
    images = run([*_buildah(), "images", "--format={{.Name}}:{{.Tag}}"])
    if BASE_TAG in images.split():
        return
    root = IMAGES / "base-root"
    shutil.rmtree(root, ignore_errors=True)
    with step("Making the base image with debootstrap (no image registry is needed)", "1 min"):
        run(
            [
                "debootstrap",
                "--variant=minbase",
                f"--include={BASE_PACKAGES}",
                "bookworm",
                root,
                _mirror(),
            ],
            log=IMAGES / "debootstrap.log",
            hint="debootstrap needs root and a reachable Debian mirror.",
        )
        for folder in ("var/cache/apt", "var/lib/apt/lists"):
            shutil.rmtree(root / folder, ignore_errors=True)
        # the container gets this machine's package sources, which are known to work
        for name in ("sources.list", "sources.list.d"):
            source = Path("/etc/apt") / name
            if source.is_dir():
                shutil.copytree(source, root / "etc/apt" / name, dirs_exist_ok=True)
            elif source.is_file():
                shutil.copy2(source, root / "etc/apt" / name)
        container = run([*_buildah(), "from", "scratch"]).strip().splitlines()[-1]
        run([*_buildah(), "add", "--quiet", container, root, "/"])
        run([*_buildah(), "config", "--env=LANG=C.UTF-8", container])
        run([*_buildah(), "commit", "--quiet", "--rm", container, BASE_TAG])
    shutil.rmtree(root, ignore_errors=True)


def _buildah() -> list[str]:
    """Buildah with a store of its own, so that nothing else on this machine is touched."""
    store = IMAGES / "buildah"
    return [
        "buildah",
        f"--root={store}",
        f"--runroot={store}-run",
        "--storage-driver=overlay",
    ]


def _passed_through() -> list[str]:
    """The host's CA certificates and index settings: needed behind a company's proxy."""
    options = []
    if Path("/etc/ssl/certs").is_dir():
        options.append("--volume=/etc/ssl/certs:/etc/ssl/certs:ro")
    if Path("/etc/pip.conf").is_file():
        options.append("--volume=/etc/pip.conf:/etc/pip.conf:ro")
    if Path("/etc/apt/apt.conf.d").is_dir():
        options.append("--volume=/etc/apt/apt.conf.d:/etc/apt/apt.conf.d:ro")
    return options + [
        f"--build-arg={name}={value}"  # and not --env, which would stay in the image
        for name, value in sorted(os.environ.items())
        if _PASSED_VARIABLES.fullmatch(name)
    ]


def _mirror() -> str:
    """The Debian mirror this machine uses."""
    files = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    for file in files:
        if not file.is_file():
            continue
        found = re.search(r"(https?://\S+?/debian)/?\s", file.read_text() + "\n")
        if found:
            return found[1]
    raise SetupError(
        "No Debian mirror was found in /etc/apt; name a base image instead, with Docker."
    )


def main() -> int:
    """Builds or loads; says in a sentence what is wrong when it cannot."""
    parser = argparse.ArgumentParser(prog="python -m dev.images", description=__doc__)
    parser.add_argument("command", choices=["build", "load"])
    parser.add_argument("names", nargs="+", choices=sorted(BUILT))
    options = parser.parse_args()
    try:
        for name in options.names:
            (load if options.command == "load" else build)(BUILT[name])
    except SetupError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
