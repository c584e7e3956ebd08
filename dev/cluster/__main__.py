"""`python -m dev.cluster up|down|rejoin|load FILE...|kubeconfig|packages|binaries|clients`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dev import cluster
from dev.cluster.binaries import CLIENTS
from dev.cluster.output import SetupError, say


def main() -> int:
    """Does one thing; says in a sentence what is wrong when it cannot."""
    parser = argparse.ArgumentParser(prog="python -m dev.cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="make the cluster, or keep a healthy one")
    commands.add_parser("down", help="remove the cluster and all it left")
    commands.add_parser("rejoin", help="bring the node back after `kubectl delete node`")
    commands.add_parser("kubeconfig", help="print the path of its KUBECONFIG")
    commands.add_parser("packages", help="install missing Debian packages")
    commands.add_parser("binaries", help="find, download or build the programs")
    commands.add_parser("clients", help="the same for kubectl and helm only")
    load = commands.add_parser("load", help="import image archives")
    load.add_argument("archives", nargs="+", type=Path)
    options = parser.parse_args()
    try:
        match options.command:
            case "up":
                cluster.up()
            case "down":
                cluster.down()
            case "rejoin":
                cluster.rejoin()
            case "kubeconfig":
                say(str(cluster.kubeconfig_path()))
            case "packages":
                cluster.install_packages()
            case "binaries":
                cluster.install_binaries()
            case "clients":
                cluster.install_binaries(CLIENTS)
            case _:
                for archive in options.archives:
                    cluster.load(archive)
    except SetupError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
