"""The local Kubernetes cluster: kind where a Docker engine answers, else a node of its own."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from dev.cluster.binaries import CLIENTS, ensure, path_of
from dev.cluster.kind import Kind, engine_answers
from dev.cluster.node import Node
from dev.cluster.packages import NODE, TESTS, install


@cache
def provider() -> Kind | Node:
    """What makes the cluster on this machine."""
    return Kind() if engine_answers() else Node()


def up() -> None:
    """Makes the cluster with all it needs; keeps a healthy one."""
    found = provider()
    if isinstance(found, Node):
        install(NODE)
    install_binaries()
    found.up()


def install_binaries(names: tuple[str, ...] | None = None) -> None:
    """Puts programs into the cache: those named, else all that this machine's cluster needs."""
    needed = None if isinstance(provider(), Node) else CLIENTS
    ensure(names or needed)


def down() -> None:
    """Removes the cluster and all it left."""
    provider().down()


def rejoin() -> None:
    """Brings the node back after its object was deleted."""
    provider().rejoin()


def load(archive: Path) -> None:
    """Imports an image archive into the cluster."""
    provider().load(archive)


def kubeconfig_path() -> Path:
    """The cluster's KUBECONFIG."""
    return provider().kubeconfig


def binary(name: str) -> Path:
    """A program that belongs to the cluster, such as `kubectl` or `helm`."""
    return path_of(name)


def install_packages() -> None:
    """Installs the Debian packages that the tests and, without Docker, the node need."""
    install(TESTS if isinstance(provider(), Kind) else NODE | TESTS)
