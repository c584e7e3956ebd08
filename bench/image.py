"""The image: how large it is, and how soon a command in it has loaded everything it needs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Final

from bench.figures import Figure
from dev import images

MEBI: Final = 2**20
TIMES: Final = 5
LOADED: Final = "import entrasync.runner.run"
"""What a sync Job has loaded once it begins to work: the engine, LDAP, MSAL and HTTP."""
PYTHON: Final = "/opt/entrasync/bin/python"


def measure() -> list[Figure]:
    """Size and start time of the image that operator, Jobs and emulator share."""
    images.build(images.PRODUCT_IMAGE)
    whole = images.size_of(images.PRODUCT_IMAGE.tag)
    base = images.size_of(images.BASE_TAG)
    with images.container_of(images.PRODUCT_IMAGE.tag) as command:
        empty = _seconds(lambda: command("/bin/true"))
        loaded = _seconds(lambda: command(PYTHON, "-c", LOADED))
    return [
        Figure(name="size_mib", value=whole / MEBI, unit="MiB, unpacked, with its base"),
        Figure(name="own_mib", value=(whole - base) / MEBI, unit="MiB, without its base"),
        Figure(name="start_seconds", value=loaded - empty, unit="s, until a sync Job has loaded"),
    ]


def _seconds(action: Callable[[], object]) -> float:
    """The median of some tries."""
    taken = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        action()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)
