"""Which volumes keep a second writer away."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from entrasync.errors import ConfigurationError
from entrasync.state.volume import not_locking, require_locking

ROOT = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
FOLDER = PurePosixPath("/state/sync")


def mounted(kind: str, options: str = "rw", place: str = "/state", own: str = "rw") -> str:
    return f"{ROOT}90 22 0:50 / {place} {own} shared:9 master:1 - {kind} server:/x {options}\n"


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("ext4", "rw"),
        ("xfs", "rw,nolock"),
        ("tmpfs", "rw"),
        ("overlay", "rw"),
        ("virtiofs", "rw"),
        ("ceph", "rw"),
        ("nfs4", "rw,vers=4.2,local_lock=none"),
        ("nfs", "rw,vers=3,local_lock=none,nolockd"),
        ("cifs", "rw,vers=3.1.1,cache=strict"),
        ("smb3", "rw"),
        ("lustre", "rw,flock"),
        ("fuse.juicefs", "rw"),
        ("fuse.glusterfs", "rw"),
        ("fuseblk", "rw"),
    ],
)
def test_what_locks_is_taken(kind: str, options: str) -> None:
    assert not_locking(mounted(kind, options), FOLDER) is None


@pytest.mark.parametrize(
    ("kind", "options", "why"),
    [
        ("nfs", "rw,vers=3,nolock", "mounted as nfs with nolock"),
        ("nfs", "rw,vers=3,nolock,local_lock=all", "with local_lock=all, nolock"),
        ("nfs4", "rw,local_lock=all", "mounted as nfs4 with local_lock=all"),
        ("nfs4", "rw,local_lock=flock", "local_lock=flock"),
        ("nfs4", "rw,local_lock=posix", "local_lock=posix"),
        ("cifs", "rw,nobrl", "mounted as cifs with nobrl"),
        ("smb3", "rw,nobrl", "mounted as smb3 with nobrl"),
        ("lustre", "rw,localflock", "localflock"),
        ("ocfs2", "rw,localflocks", "localflocks"),
        ("9p", "rw,trans=virtio", "of kind 9p do not lock"),
        ("fuse.sshfs", "rw", "of kind fuse.sshfs do not lock"),
        ("fuse.s3fs", "rw", "fuse.s3fs"),
        ("fuse.gcsfuse", "rw", "fuse.gcsfuse"),
        ("fuse.rclone", "rw", "fuse.rclone"),
        ("fuse.blobfuse2", "rw", "fuse.blobfuse2"),
        ("fuse.mountpoint-s3", "rw", "fuse.mountpoint-s3"),
    ],
)
def test_what_does_not_lock_is_named(kind: str, options: str, why: str) -> None:
    assert why in (not_locking(mounted(kind, options), FOLDER) or "")


def test_options_of_the_mount_itself_count_too() -> None:
    assert not_locking(mounted("nfs", own="rw,nolock"), FOLDER)


@pytest.mark.parametrize("place", ["/", "/state", "/state/sync"])
def test_the_nearest_mount_decides(place: str) -> None:
    good = mounted("9p", place="/") + f"95 22 0:51 / {place} rw - xfs /dev/vdb rw\n"

    assert not_locking(good, FOLDER) is None


@pytest.mark.parametrize("place", ["/sta", "/state/sync2", "/state/sync/below", "/other"])
def test_other_places_do_not(place: str) -> None:
    assert not_locking(mounted("9p", place=place), FOLDER) is None


def test_a_later_mount_hides_an_earlier_one() -> None:
    text = mounted("xfs") + "99 22 0:52 / /state rw - nfs server:/y rw,nolock\n"

    assert not_locking(text, FOLDER)


def test_names_of_places_are_unescaped() -> None:
    assert not_locking(mounted("9p", place=r"/my\040state"), PurePosixPath("/my state/a"))


@pytest.mark.parametrize("text", ["", "\n", "one two", "1 2 3 4 5 6 - nfs", "a b c d e f g"])
def test_what_cannot_be_read_says_nothing(text: str) -> None:
    assert not_locking(text, FOLDER) is None


def test_a_folder_that_does_not_lock_is_refused_with_the_remedy(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(mounted("nfs4", "rw,local_lock=all", place="/"))

    with pytest.raises(ConfigurationError, match="ReadWriteOncePod") as caught:
        require_locking(tmp_path, mounts)
    assert caught.value.reason == "StateVolumeUnsuitable"
    assert caught.value.field == "spec.runner.storage"


def test_this_volume_locks_and_no_list_of_mounts_is_no_objection(tmp_path: Path) -> None:
    require_locking(tmp_path)
    require_locking(tmp_path, tmp_path / "missing")
