"""Processes of the node, remembered by id and start time so that no other is ever touched."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

GRACE_SECONDS = 10


class Processes:
    """The processes of one cluster.

    Args:
        record: file that remembers them; outlives this process.
        logs: folder for their output.
    """

    def __init__(self, record: Path, logs: Path) -> None:
        self._record = record
        self._logs = logs

    def start(self, name: str, command: Sequence[str | Path]) -> None:
        """Starts a process that outlives this one, its output in `<logs>/<name>.log`."""
        self._logs.mkdir(parents=True, exist_ok=True)
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        known = self._read()
        known[name] = [process.pid, start_time(process.pid) or 0]
        self._record.write_text(json.dumps(known))

    def log(self, name: str) -> Path:
        """The log of a process."""
        return self._logs / f"{name}.log"

    def running(self, name: str) -> bool:
        """Whether a process is still the one that was started, and alive."""
        entry = self._read().get(name)
        return entry is not None and start_time(entry[0]) == entry[1]

    def names(self) -> list[str]:
        """Names in the order they were started."""
        return list(self._read())

    def stop(self, name: str) -> None:
        """Ends a process and forgets it; one that is not there is no error."""
        known = self._read()
        if name in known:
            end(*known.pop(name))
            self._record.write_text(json.dumps(known))

    def stop_all(self) -> None:
        """Ends all, the last one first; forgets them."""
        for name in reversed(self.names()):
            self.stop(name)
        self._record.unlink(missing_ok=True)

    def _read(self) -> dict[str, list[int]]:
        if not self._record.is_file():
            return {}
        found: dict[str, list[int]] = json.loads(self._record.read_text())
        return found


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; `None` when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    except (OSError, IndexError):
        return None
    return None if fields[0] == "Z" else int(fields[19])


def end(pid: int, started: int) -> None:
    """Asks a process to end, and makes it end; only if it is still the same one."""
    for request, patience in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, 5)):
        if start_time(pid) != started:
            break
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, request)
        deadline = time.monotonic() + patience
        while start_time(pid) == started and time.monotonic() < deadline:
            time.sleep(0.05)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def inside(namespace: Path) -> list[tuple[int, int]]:
    """Processes (id, start time) whose network namespace is the given one."""
    if not namespace.exists():
        return []
    wanted = namespace.stat().st_ino
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            if (entry / "ns" / "net").stat().st_ino == wanted:
                started = start_time(int(entry.name))
                if started is not None:
                    found.append((int(entry.name), started))
    return found
