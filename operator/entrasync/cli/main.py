"""The `entrasync` command.

Every sub-command imports what it needs when it is called: the sync Job never loads kopf, the
operator never loads LDAP.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from entrasync import __version__
from entrasync.cli.logs import LEVELS, configure_logging
from entrasync.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  - its only name

IN_JOB_VARIABLE: Final = "ENTRASYNC_IN_JOB"
TERMINATION_LOG: Final = Path("/dev/termination-log")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and gives its exit code."""
    parsed = build_parser().parse_args(arguments)
    configure_logging(parsed.log_level)
    code: int = parsed.command(parsed)
    return code


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = argparse.ArgumentParser(
        prog="entrasync",
        description="Declarative Microsoft Entra Connect Sync: Active Directory to Entra ID over"
        " the sync service's V2 endpoint.",
    )
    parser.add_argument("--version", action="version", version=f"entrasync {__version__}")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--log-level",
        choices=LEVELS,
        default="info",
        help="least severe log lines to write; names appear only at debug (default: info)",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_operator(commands, shared)
    _add_run(commands, shared)
    _add_plan(commands, shared)
    _add_explain(commands, shared)
    _add_emulate(commands, shared)
    _add_lint(commands, shared)
    crds = commands.add_parser(
        "crds",
        parents=[shared],
        help="print the CustomResourceDefinitions and the admission policy",
    )
    crds.set_defaults(command=_crds)
    return parser


def _add_operator(commands: _Commands, shared: argparse.ArgumentParser) -> None:
    parser = commands.add_parser("operator", parents=[shared], help="run the operator")
    parser.add_argument(
        "--namespace",
        action="append",
        default=[],
        metavar="NAMESPACE",
        help="serve this namespace only; may be repeated (default: the whole cluster)",
    )
    parser.add_argument(
        "--class-name",
        metavar="CLASS",
        help="serve only resources with this spec.className (default: what ENTRASYNC_CLASS_NAME"
        " says, else those without one)",
    )
    parser.set_defaults(command=_operator)


def _add_run(commands: _Commands, shared: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "run",
        parents=[shared],
        help="make one run from YAML files; no cluster needed",
        epilog="Exit codes: 0 all done; 1 failed, may be tried again; 2 configuration or"
        " credentials, a person must act; 3 blocked by a brake; 4 done, some objects failed.",
    )
    parser.add_argument(
        "--config", type=Path, required=True, metavar="DIR", help="folder with the resources"
    )
    _add_secrets(parser)
    parser.add_argument(
        "--state",
        type=Path,
        metavar="DIR",
        help="folder that keeps state between runs; needed but for --mode Check",
    )
    parser.add_argument(
        "--mode",
        choices=("Apply", "Preview", "Check"),
        help="what the run may do (default: what the resources say)",
    )
    parser.add_argument(
        "--scope",
        choices=("Delta", "Full"),
        help="what the run reads (default: what it finds necessary)",
    )
    parser.add_argument(
        "--output", choices=("text", "json"), default="text", help="form of the result"
    )
    parser.add_argument(
        "--termination-log",
        type=Path,
        metavar="FILE",
        help="also write the result, as JSON of at most 4,096 bytes, to this file"
        f" (default in a Job: {TERMINATION_LOG})",
    )
    parser.set_defaults(command=_run)


def _add_plan(commands: _Commands, shared: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "plan", parents=[shared], help="print what a run would change; exports nothing"
    )
    parser.add_argument(
        "-f",
        "--filename",
        type=Path,
        action="append",
        required=True,
        metavar="PATH",
        help="file or folder with resources; may be repeated",
    )
    _add_secrets(parser)
    parser.add_argument(
        "--state", type=Path, metavar="DIR", help="state of the sync (default: plan from nothing)"
    )
    _add_form(parser, "plan")
    parser.set_defaults(command=_plan)


def _add_explain(commands: _Commands, shared: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "explain",
        parents=[shared],
        help="tell all that is known of one object, from the state alone",
        description="Tells whether an object is in scope and by which rule, what it is joined to,"
        " which flow gives each value, what the cloud has, what is pending, and what failed. Reads"
        " the state that a run left behind; no directory, no tenant and no Secrets are needed.",
    )
    parser.add_argument(
        "object",
        metavar="OBJECT",
        help="its anchor, objectGUID, DN, userPrincipalName or mail address",
    )
    parser.add_argument(
        "--config", type=Path, required=True, metavar="DIR", help="folder with the resources"
    )
    parser.add_argument(
        "--state", type=Path, required=True, metavar="DIR", help="folder that keeps the state"
    )
    parser.add_argument(
        "--secrets",
        type=Path,
        metavar="DIR",
        help="not needed; taken so that the arguments of run fit here as well",
    )
    _add_form(parser, "answer")
    parser.set_defaults(command=_explain)


def _add_form(parser: argparse.ArgumentParser, what: str) -> None:
    """How something about objects is printed."""
    parser.add_argument(
        "--names",
        action="store_true",
        help="show names and values (personal data; default: what spec.reporting.names says)",
    )
    parser.add_argument(
        "--output",
        choices=("text", "json"),
        default="text",
        help=f"form of the {what}; json gives one object a line (default: text)",
    )


def _add_secrets(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--secrets",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder with the Secrets as a kubelet mounts them: DIR/<secret name>/<key>",
    )


def _add_emulate(commands: _Commands, shared: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "emulate",
        parents=[shared],
        help="serve an Azure cloud over TLS, for tests, demos and plans",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="tenants and behaviour (default: one tenant)"
    )
    parser.add_argument(
        "--listen",
        default="127.0.0.1:8443",
        metavar="HOST:PORT",
        help="address to listen at (default: 127.0.0.1:8443)",
    )
    parser.add_argument(
        "--data", type=Path, metavar="FILE", help="file that keeps what the tenants hold"
    )
    parser.set_defaults(command=_emulate)


def _add_lint(commands: _Commands, shared: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "lint",
        parents=[shared],
        help="check manifests and expressions without a cluster",
        description="Checks manifests as the API server and a run would, without either. Exit code"
        " 0: nothing must be mended; 2: something must.",
    )
    parser.add_argument(
        "paths",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="file, or folder that is searched with all below it",
    )
    parser.set_defaults(command=_lint)


def _operator(parsed: argparse.Namespace) -> int:
    from entrasync.controller.app import run_operator  # noqa: PLC0415  - kopf only here

    return run_operator(tuple(parsed.namespace), parsed.class_name)


def _run(parsed: argparse.Namespace) -> int:
    from entrasync.runner.run import run  # noqa: PLC0415  - LDAP and MSAL only here

    in_job = os.environ.get(IN_JOB_VARIABLE) == "1"
    return run(
        [parsed.config],
        secrets=parsed.secrets,
        state=parsed.state,
        mode=parsed.mode,
        scope=parsed.scope,
        output=parsed.output,
        in_job=in_job,
        termination_log=parsed.termination_log or (TERMINATION_LOG if in_job else None),
    )


def _plan(parsed: argparse.Namespace) -> int:
    from entrasync.runner.run import plan  # noqa: PLC0415  - LDAP and MSAL only here

    return plan(
        parsed.filename,
        secrets=parsed.secrets,
        state=parsed.state,
        names=parsed.names,
        output=parsed.output,
    )


def _explain(parsed: argparse.Namespace) -> int:
    from entrasync.runner.report_run import explain  # noqa: PLC0415  - the engine only here

    return explain(
        [parsed.config],
        name=parsed.object,
        state=parsed.state,
        names=parsed.names,
        output=parsed.output,
    )


def _emulate(parsed: argparse.Namespace) -> int:
    from entrasync.emulator.server import run_emulator  # noqa: PLC0415  - uvicorn only here

    return run_emulator(config=parsed.config, listen=parsed.listen, data=parsed.data)


def _lint(parsed: argparse.Namespace) -> int:
    from entrasync.cli.lint import lint  # noqa: PLC0415  - the engine only here

    try:
        return lint(parsed.paths)
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _crds(_parsed: argparse.Namespace) -> int:
    from entrasync.api.crds import render_all  # noqa: PLC0415  - only here

    sys.stdout.write(render_all())
    return 0
