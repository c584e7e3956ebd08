"""Whether a volume can keep a second writer away: SQLite and the run's lock rest on its locks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from entrasync.errors import ConfigurationError

MOUNTS: Final = Path("/proc/self/mountinfo")

_REMEDY: Final = (
    "two runs could write it at once. Give the sync a volume of block storage (ReadWriteOncePod or"
    " ReadWriteOnce), or mount it so that locks reach the server"
)
_NOT_LOCKING_OPTIONS: Final = {
    "nfs": frozenset({"nolock", "local_lock=all", "local_lock=flock", "local_lock=posix"}),
    "nfs4": frozenset({"nolock", "local_lock=all", "local_lock=flock", "local_lock=posix"}),
    "cifs": frozenset({"nobrl", "nolock"}),
    "smb3": frozenset({"nobrl", "nolock"}),
    "lustre": frozenset({"noflock", "localflock"}),
    "ocfs2": frozenset({"localflocks"}),
    "gfs2": frozenset({"localflocks", "lockproto=lock_nolock"}),
}
"""Mount options with which a lock is not seen by other nodes, by file system."""
_NOT_LOCKING_KINDS: Final = frozenset(
    {
        "9p",
        "afs",
        "davfs",
        "fuse.blobfuse",
        "fuse.blobfuse2",
        "fuse.cosfs",
        "fuse.curlftpfs",
        "fuse.davfs",
        "fuse.davfs2",
        "fuse.gcsfuse",
        "fuse.geesefs",
        "fuse.goofys",
        "fuse.mount-s3",
        "fuse.mountpoint-s3",
        "fuse.obsfs",
        "fuse.ossfs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
        "ncpfs",
    }
)
"""File systems whose locks are known not to reach other nodes, or not to be there at all."""
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")
_SEPARATOR: Final = " - "
_FIELDS_BEFORE: Final = 6
_FIELDS_AFTER: Final = 3


class _Mount(NamedTuple):
    point: PurePosixPath
    kind: str
    options: frozenset[str]


def require_locking(folder: Path, mounts: Path = MOUNTS) -> None:
    """Refuses a folder on a file system whose locks keep nobody away.

    Args:
        folder: of the state; it must be there.
        mounts: what the kernel says is mounted.

    Raises:
        ConfigurationError: `StateVolumeUnsuitable`.
    """
    try:
        text = mounts.read_text(errors="surrogateescape")
    except OSError:
        return  # the lock itself is tried in any case
    why = not_locking(text, PurePosixPath(folder.resolve()))
    if why is not None:
        raise not_suitable(why)


def not_suitable(why: str) -> ConfigurationError:
    """The error that says that locks of the volume do not work."""
    return ConfigurationError(
        "StateVolumeUnsuitable",
        f"the state volume cannot be locked ({why}): {_REMEDY}",
        field="spec.runner.storage",
    )


def not_locking(mountinfo: str, folder: PurePosixPath) -> str | None:
    """Why locks below a folder keep nobody away; `None` when nothing is known against them.

    Args:
        mountinfo: text of /proc/self/mountinfo.
        folder: absolute, without symbolic links.
    """
    found: _Mount | None = None
    for mount in _mounts(mountinfo):
        above = mount.point == folder or mount.point in folder.parents
        # of two mounts at the same place the later one hides the other
        if above and (found is None or len(mount.point.parts) >= len(found.point.parts)):
            found = mount
    if found is None:
        return None
    if found.kind in _NOT_LOCKING_KINDS:
        return f"file systems of kind {found.kind} do not lock"
    wrong = found.options & _NOT_LOCKING_OPTIONS.get(found.kind, frozenset())
    if wrong:
        return f"it is mounted as {found.kind} with {', '.join(sorted(wrong))}"
    return None


def _mounts(mountinfo: str) -> Iterator[_Mount]:
    """Every line that can be read; see proc(5)."""
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(_SEPARATOR)
        place, source = before.split(" "), after.split(" ")
        if not separator or len(place) < _FIELDS_BEFORE or len(source) < _FIELDS_AFTER:
            continue
        yield _Mount(
            point=PurePosixPath(_ESCAPED.sub(lambda found: chr(int(found[1], 8)), place[4])),
            kind=source[0],
            options=frozenset((*place[5].split(","), *source[2].split(","))),
        )
