"""Check runs: can the tenant and the directory be used? Both are tried, both are reported."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from entrasync.api.result import CheckOutcome, DirectoryFacts, RunResult
from entrasync.engine.containers import find_group
from entrasync.engine.facts import directory_facts, require_readable, usable_attributes
from entrasync.engine.selection import SelectionRules
from entrasync.entra.retrying import Patience
from entrasync.errors import ConfigurationError, EntrasyncError
from entrasync.runner.inputs import selection_rules
from entrasync.runner.report import message_of
from entrasync.runner.rights import missing_rights
from entrasync.runner.source import directory_config, open_patiently
from entrasync.runner.target import TenantFacts, connect_tenant, read_tenant

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrasync.api.active_directory import ActiveDirectory
    from entrasync.api.snapshot import Snapshot
    from entrasync.directory.session import DirectorySession
    from entrasync.runner.secret_files import SecretFiles

ACCEPTED: Final = "Accepted"
PATIENCE: Final = Patience(busy_seconds=120)
"""A check must have said what it found before its Job's deadline."""


@dataclass(slots=True, frozen=True, kw_only=True)
class _Half:
    """How one half of a check ended."""

    outcome: CheckOutcome
    permanent: bool = False
    resource: str = ""


def check(snapshot: Snapshot, secrets: SecretFiles) -> RunResult:
    """Tries the tenant and the directory of a snapshot, whichever are there."""
    tenant: TenantFacts | None = None
    directory: DirectoryFacts | None = None

    def try_tenant() -> str:
        nonlocal tenant
        with connect_tenant(snapshot, secrets, patience=PATIENCE) as client:
            tenant = read_tenant(client, snapshot)
        return f"Signed in to {tenant.company.display_name or 'the tenant'}."

    def try_directory(resource: ActiveDirectory) -> str:
        nonlocal directory
        config = directory_config(resource, snapshot, secrets)
        with open_patiently(config, time.sleep) as session:
            directory = directory_facts(session)
            selection = _selection(snapshot)
            attributes = usable_attributes(session, resource.key, selection)
            require_readable(session, attributes, resource.key, selection)
            _resolve_scope(session, snapshot, selection)
            told = f"Signed in to {session.root.domain} at {session.root.server}."
            return f"{told} {missing_rights(session)}".strip()

    tenant_half = None if snapshot.tenant is None else _attempt(try_tenant)
    directory_halves = [
        _attempt(lambda each=each: try_directory(each))  # type: ignore[misc]  # binds the loop
        for each in snapshot.directories.values()
    ]
    directory_half = directory_halves[0] if directory_halves else None
    result = _result([half for half in (tenant_half, directory_half) if half is not None])
    if tenant_half is not None:
        result.tenant_check = tenant_half.outcome
    if directory_half is not None:
        result.directory_check = directory_half.outcome
    if tenant is not None:
        result.company = tenant.company
        result.endpoint_version = tenant.endpoint_version
        result.endpoint_url = tenant.endpoint_url
    result.directory = directory
    return result


def _selection(snapshot: Snapshot) -> SelectionRules:
    if snapshot.sync is None:
        return SelectionRules()
    return selection_rules(snapshot.sync.spec.objects, resource=snapshot.sync.key)


def _resolve_scope(
    session: DirectorySession, snapshot: Snapshot, selection: SelectionRules
) -> None:
    if snapshot.sync is None:
        return
    status = snapshot.sync.status
    pinned = {} if status is None else {scope.dn: scope.guid for scope in status.scopes}
    for dn, field in selection.groups.items():
        find_group(session, dn, pinned.get(dn), field, snapshot.sync.key)
    for source in snapshot.sync.spec.sources:
        for name, dns in (("include", source.include), ("exclude", source.exclude)):
            for dn in dns or ():
                if dn not in pinned:  # a pinned one may have been renamed since
                    session.resolve_container(dn, field=f"spec.sources[{source.name}].{name}")


def _attempt(attempt: Callable[[], str]) -> _Half:
    try:
        message = attempt()
    except EntrasyncError as error:
        return _Half(
            outcome=CheckOutcome(ok=False, reason=error.reason, message=message_of(error)),
            permanent=isinstance(error, ConfigurationError),
            resource=error.resource,
        )
    except Exception as error:  # noqa: BLE001  - the other half is still tried
        structlog.get_logger().exception("check_failed")
        return _Half(
            outcome=CheckOutcome(
                ok=False,
                reason="RunFailed",
                message=f"an unexpected {type(error).__name__}; the log says more",
            )
        )
    return _Half(outcome=CheckOutcome(ok=True, reason=ACCEPTED, message=message))


def _result(halves: list[_Half]) -> RunResult:
    failed = [half for half in halves if not half.outcome.ok]
    if not failed:
        return RunResult(outcome="Succeeded", reason=ACCEPTED, mode="Check")
    first = next((half for half in failed if half.permanent), failed[0])
    return RunResult(
        outcome="Failed",
        reason=first.outcome.reason,
        message=first.outcome.message,
        resource=first.resource,
        permanent=first.permanent,
        mode="Check",
    )
