"""`python -m dev.demo`: runs the main job and proves that it did what it says.

Exit code 0 only if everything it shows was checked and found true.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from dev import cluster
from dev.cluster.output import SetupError
from dev.demo import scenario, setup
from dev.demo.cloud_view import CloudView
from dev.demo.kubectl import Kubectl, KubectlError
from dev.demo.waiting import WaitingEndedError, say


def main() -> int:
    """Runs the demo; removes everything afterwards unless KEEP=1."""
    keep = os.environ.get("KEEP", "") not in {"", "0"}
    started = time.monotonic()
    try:
        kubectl = setup.bring_up()
        setup.prepare(kubectl)
        run(kubectl, started)
    except (WaitingEndedError, KubectlError, SetupError, scenario.DemoFailedError) as error:
        say(f"\nThe demo failed: {error}")
        _show_state()
        return 1
    except KeyboardInterrupt:
        say("\nInterrupted.")
        return 130
    finally:
        if keep:
            say(f"\nLeft running. To look around:\n  export KUBECONFIG={cluster.kubeconfig_path()}")
            say(f"  {cluster.binary('kubectl')} get azc,etenant,ad,dsync,srun -A")
            say("Remove it with `make down`.")
        else:
            _make_down()
    say(f"\nThe demo did all it promised, in {time.monotonic() - started:.0f} s.")
    return 0


def run(kubectl: Kubectl, started: float) -> None:
    """Applies the example, follows the first sync and the delta, and shows what came of it."""
    scenario.apply_example(kubectl)
    with CloudView(kubectl) as cloud:
        scenario.follow_first_sync(kubectl)
        say(f"First sync done {time.monotonic() - started:.0f} s after the start of the demo.")
        before = scenario.check_first_sync(kubectl, cloud)
        changes = scenario.change_directory(kubectl)
        scenario.follow_delta(kubectl, cloud, before, changes)
        scenario.show(kubectl, cloud)


def _make_down() -> None:
    say("\nRemoving the cluster (KEEP=1 would leave it running)")
    cluster.down()


def _show_state() -> None:
    """What a person needs who looks for the cause."""
    kubectl = Kubectl(program=cluster.binary("kubectl"), kubeconfig=cluster.kubeconfig_path())
    for arguments in (
        ["get", "azc,etenant,ad,dsync,srun,jobs,pods,pvc", "-A", "-o", "wide"],
        ["get", "dsync", "-A", "-o", "yaml"],
        ["get", "events", "-A", "--sort-by=.lastTimestamp"],
        ["logs", "-n", setup.OPERATOR_NAMESPACE, "deploy/entrasync", "--tail=60"],
        ["logs", "-n", setup.SYNC_NAMESPACE, "-l", "app.kubernetes.io/part-of=entrasync"],
    ):
        try:
            say(f"\n--- kubectl {' '.join(arguments)}\n{kubectl.run(*arguments)}")
        except (KubectlError, OSError, subprocess.SubprocessError) as error:
            say(f"\n--- kubectl {' '.join(arguments)}: {error}")


if __name__ == "__main__":
    sys.exit(main())
