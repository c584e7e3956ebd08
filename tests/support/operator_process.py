"""The operator in a process of its own, against a control plane; killed, held and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.servers import start_server

IMAGE = "entrasync:test"


class OperatorProcess:
    """One operator; a context manager that kills it at the end.

    Args:
        kubeconfig: whom it works as, and where the API server is.
        log: file for its output.
        namespaces: those it serves; all when empty.
        environment: more environment variables.
    """

    def __init__(
        self,
        kubeconfig: Path,
        log: Path,
        namespaces: tuple[str, ...] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.log = log
        self._command = [sys.executable, "-m", "entrasync", "operator"]
        for namespace in namespaces:
            self._command += ["--namespace", namespace]
        self._variables = {
            "KUBECONFIG": str(kubeconfig),
            "ENTRASYNC_RUNNER_IMAGE": IMAGE,
            "ENTRASYNC_RUNNER_PULL_POLICY": "Never",
            "POD_NAMESPACE": "entrasync",
            "POD_NAME": log.stem,
            # several operators share this host's ports
            "ENTRASYNC_HEALTH_PORT": "0",
            "ENTRASYNC_METRICS_PORT": "0",
            **(environment or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None, "the operator does not run"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def rss_mib(self) -> float:
        """Its memory now."""
        return _status_mib(self.pid, "VmRSS")

    @property
    def peak_mib(self) -> float:
        """The most memory it had."""
        return _status_mib(self.pid, "VmHWM")

    def start(self) -> None:
        """Starts it."""
        assert not self.running, "the operator runs already"
        self._process = start_server(
            [
                "env",
                *(f"{name}={value}" for name, value in self._variables.items()),
                *self._command,
            ],
            self.log,
        )

    def kill(self) -> None:
        """Ends it at once, as a crash would; fine when it does not run."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self, seconds: float = 30) -> int:
        """Asks it to end, waits, and gives its exit code."""
        assert self._process is not None, "the operator does not run"
        self._process.terminate()
        code = self._process.wait(timeout=seconds)
        self._process = None
        return code

    def wait_ended(self, seconds: float = 60) -> int:
        """Waits until it ends by itself, and gives its exit code."""
        assert self._process is not None, "the operator does not run"
        code = self._process.wait(timeout=seconds)
        self._process = None
        return code

    def pause(self) -> None:
        """Holds it."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def wait_for_log(self, text: str, seconds: float = 60) -> None:
        """Waits until it said something."""
        deadline = time.monotonic() + seconds
        while text not in self.said():
            assert self.running, f"the operator ended: {self.said()[-3000:]}"
            assert time.monotonic() < deadline, f"the operator never said {text!r}"
            time.sleep(0.05)

    def said(self) -> str:
        """All its output so far."""
        return self.log.read_text(errors="replace") if self.log.is_file() else ""


def _status_mib(pid: int, field: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"{field} of process {pid} is unknown")
