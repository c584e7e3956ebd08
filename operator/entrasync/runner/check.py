"""Check runs: can the tenant and the directories be used? All are tried, all are reported."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from entrasync.api.choices import JoinBy
from entrasync.api.result import CheckOutcome, DirectoryFacts, RunResult
from entrasync.engine.containers import find_groups
from entrasync.engine.facts import (
    AttributeRules,
    directory_facts,
    require_readable,
    usable_attributes,
)
from entrasync.engine.inputs import AnchorRules
from entrasync.entra.retrying import Patience
from entrasync.errors import ConfigurationError, EntrasyncError
from entrasync.runner.inputs import flow_rules, selection_rules
from entrasync.runner.report import message_of
from entrasync.runner.rights import missing_rights
from entrasync.runner.source import directory_config, open_patiently
from entrasync.runner.target import TenantFacts, connect_graph, connect_tenant, read_tenant

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from entrasync.api.active_directory import ActiveDirectory
    from entrasync.api.directory_sync import DirectorySync
    from entrasync.api.snapshot import Snapshot
    from entrasync.directory.session import DirectorySession
    from entrasync.runner.secret_files import SecretFiles

ACCEPTED: Final = "Accepted"
PATIENCE: Final = Patience(busy_seconds=120)
"""A check must have said what it found before its Job's deadline."""
SHORT_PATIENCE: Final = Patience(busy_seconds=10, most_tries=2)
"""For what a check can do without."""


@dataclass(slots=True, frozen=True, kw_only=True)
class _Half:
    """How one part of a check ended."""

    outcome: CheckOutcome
    permanent: bool = False
    resource: str = ""


def check(snapshot: Snapshot, secrets: SecretFiles) -> RunResult:
    """Tries the tenant and the directories of a snapshot, whichever are there, and its scope."""
    tenant: TenantFacts | None = None
    directories: dict[str, DirectoryFacts] = {}
    sessions: dict[str, DirectorySession] = {}

    def try_tenant() -> str:
        nonlocal tenant
        with connect_tenant(snapshot, secrets, patience=PATIENCE) as client:
            tenant = read_tenant(client, snapshot)
        told = f"Signed in to {tenant.company.display_name or 'the tenant'}."
        return f"{told} {_blind_spot(snapshot, secrets)}".strip()

    def try_directory(resource: ActiveDirectory) -> str:
        config = directory_config(resource, snapshot, secrets)
        session = opened.enter_context(open_patiently(config, time.sleep))
        directories[resource.metadata.name] = directory_facts(session)
        rules = _attribute_rules(snapshot)
        attributes = usable_attributes(session, resource.key, rules)
        require_readable(session, attributes, resource.key, rules)
        sessions[resource.metadata.name] = session
        told = f"Signed in to {session.root.domain} at {session.root.server}."
        return f"{told} {missing_rights(session, stamps=rules.anchors.stamp)}".strip()

    tenant_half = None if snapshot.tenant is None else _attempt(try_tenant)
    halves = [] if tenant_half is None else [tenant_half]
    with ExitStack() as opened:
        directory_halves = {
            name: _attempt(lambda each=each: try_directory(each))  # type: ignore[misc]  # binds the loop
            for name, each in snapshot.directories.items()
        }
        halves += directory_halves.values()
        if snapshot.sync is not None and len(sessions) == len(snapshot.directories):
            sync = snapshot.sync
            halves.append(_attempt(lambda: _find_scope(sync, sessions)))
    result = _result(halves)
    if tenant_half is not None:
        result.tenant_check = tenant_half.outcome
    result.directory_checks = {name: half.outcome for name, half in directory_halves.items()}
    if tenant is not None:
        result.company = tenant.company
        result.endpoint_version = tenant.endpoint_version
        result.endpoint_url = tenant.endpoint_url
    result.directories = directories
    return result


def _blind_spot(snapshot: Snapshot, secrets: SecretFiles) -> str:
    """A sentence where runs could not notice another engine; empty where they could, or may."""
    try:
        with connect_graph(snapshot, secrets, patience=SHORT_PATIENCE) as graph:
            if graph is None or graph.last_sync() is not None:
                return ""
    except EntrasyncError:
        return ""  # it may be there for the runs
    return (
        "Without the permission Organization.Read.All on Microsoft Graph, runs notice no other"
        " engine that syncs this tenant."
    )


def _attribute_rules(snapshot: Snapshot) -> AttributeRules:
    if snapshot.sync is None:
        return AttributeRules(flows=flow_rules(None))
    spec = snapshot.sync.spec
    anchor = spec.source_anchor
    return AttributeRules(
        flows=flow_rules(spec.objects),
        selection=selection_rules(spec.objects, resource=snapshot.sync.key),
        anchors=(
            AnchorRules()
            if anchor is None
            else AnchorRules(source=anchor.from_, attribute=anchor.attribute, stamp=anchor.stamp)
        ),
        join_users=JoinBy.NONE if spec.join is None else spec.join.users,
    )


def _find_scope(sync: DirectorySync, sessions: Mapping[str, DirectorySession]) -> str:
    """Finds the containers and groups that a sync names, by their pins where there are any."""
    pins = {} if sync.status is None else {scope.dn: scope.guid for scope in sync.status.scopes}
    by_source = {}
    for source in sync.spec.sources:
        session = by_source[source.name] = sessions[source.active_directory_ref.name]
        for name, dns in (("include", source.include), ("exclude", source.exclude)):
            for dn in dns or ():
                if dn not in pins:  # a pinned one may have been renamed since
                    _find_container(session, dn, f"spec.sources[{source.name}].{name}", sync.key)
    groups = selection_rules(sync.spec.objects, resource=sync.key).groups
    find_groups(by_source, groups, pins, sync.key)
    return "The scope was found."


def _find_container(session: DirectorySession, dn: str, field: str, resource: str) -> None:
    try:
        session.resolve_container(dn, field=field)
    except ConfigurationError as error:
        # the directory itself is well: what names the container is amiss
        error.resource = resource
        raise


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
