"""From a snapshot to what a cycle is to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import durationpy

from entrasync.api.directory_sync import AnchorSource, SyncMode
from entrasync.api.objects import Synchronize
from entrasync.api.sync_run import RunMode, RunScope
from entrasync.engine.brakes import Limit, SafetyLimits
from entrasync.engine.containers import ScopeSpec
from entrasync.engine.filters import compile_filter
from entrasync.engine.inputs import CycleInputs
from entrasync.engine.selection import KindRules, SelectionRules
from entrasync.engine.source import SourceKind
from entrasync.entra.contracts import SyncVersion
from entrasync.errors import ConfigurationError

if TYPE_CHECKING:
    import datetime as dt

    from entrasync.api.active_directory import ActiveDirectory
    from entrasync.api.directory_sync import ChangeLimit, DeletionLimit, DirectorySync, Safety
    from entrasync.api.entra_tenant import EntraTenant
    from entrasync.api.objects import ObjectKind, Objects
    from entrasync.api.snapshot import Snapshot

DEFAULT_WINDOW: Final = "24h"
MOST_GROUPS: Final = 128
"""Groups that decide what takes part; each is pinned, and read by every run."""


def effective_mode(snapshot: Snapshot, asked: str | None) -> RunMode:
    """What a run may do: as asked, else as its SyncRun says, else as its sync says."""
    if asked is not None:
        return RunMode(asked)
    if snapshot.run is not None and snapshot.run.spec.mode is not None:
        return snapshot.run.spec.mode
    if snapshot.sync is None:
        return RunMode.CHECK
    return RunMode(snapshot.sync.spec.mode)


def effective_scope(snapshot: Snapshot, asked: str | None) -> RunScope | None:
    """What a run reads: as asked, else as its SyncRun says, else what it finds necessary."""
    if asked is not None:
        return RunScope(asked)
    return None if snapshot.run is None else snapshot.run.spec.scope


def cycle_inputs(
    snapshot: Snapshot,
    *,
    mode: SyncMode,
    scope: RunScope | None,
    max_group_members: int,
    version: SyncVersion = SyncVersion.V2,
) -> CycleInputs:
    """Resolves defaults.

    Args:
        snapshot: the resources of the run.
        mode: what it may do.
        scope: what it reads, `None` for what it finds necessary.
        max_group_members: most members the endpoint takes.
        version: of the endpoint.

    Raises:
        ConfigurationError: the files hold no DirectorySync, or a filter that cannot be used.
    """
    sync, tenant, directory = require_sync(snapshot)
    spec = sync.spec
    source = spec.sources[0]
    selection = selection_rules(spec.objects, resource=sync.key)
    run_approval = None if snapshot.run is None else snapshot.run.spec.approved_plan
    return CycleInputs(
        tenant_id=tenant.spec.tenant_id,
        tenant_resource=tenant.key,
        directory_resource=directory.key,
        mode=mode,
        scope=scope,
        where=ScopeSpec(
            include=tuple(source.include or ()),
            exclude=tuple(source.exclude or ()),
            source=source.name,
            resource=sync.key,
            groups=selection.groups,
        ),
        selection=selection,
        remembered=tuple(sync.status.scopes) if sync.status is not None else (),
        anchor_source=(
            AnchorSource.CONSISTENCY_GUID
            if spec.source_anchor is None
            else spec.source_anchor.from_
        ),
        max_group_members=min(max_group_members, _most_members(spec.objects) or max_group_members),
        version=version,
        write_quota_percent=tenant.spec.write_quota_percent,
        limits=safety_limits(spec.safety),
        window=_window(spec.safety),
        approved=tuple(each for each in (spec.approved_plan, run_approval) if each),
    )


def require_sync(snapshot: Snapshot) -> tuple[DirectorySync, EntraTenant, ActiveDirectory]:
    """The resources of a run that is no check.

    Raises:
        ConfigurationError: there is no DirectorySync.
    """
    if snapshot.sync is None or snapshot.tenant is None:
        raise ConfigurationError(
            "ReferenceNotFound",
            "the files hold no DirectorySync; add one, or use --mode Check",
        )
    name = snapshot.sync.spec.sources[0].active_directory_ref.name
    return snapshot.sync, snapshot.tenant, snapshot.directories[name]


def safety_limits(safety: Safety | None) -> SafetyLimits:
    """Limits as written, defaults for the rest."""
    defaults = SafetyLimits()
    if safety is None:
        return defaults
    shrink = None if safety.source_shrink is None else safety.source_shrink.percent
    return SafetyLimits(
        users=_limit(safety.users, defaults.users),
        groups=_limit(safety.groups, defaults.groups),
        contacts=_limit(safety.contacts, defaults.contacts),
        identity_changes=_limit(safety.identity_changes, defaults.identity_changes),
        link_removals=_limit(safety.link_removals, defaults.link_removals),
        source_shrink_percent=defaults.source_shrink_percent if shrink is None else shrink,
    )


def selection_rules(objects: Objects | None, *, resource: str) -> SelectionRules:
    """`spec.objects`, checked and compiled.

    Args:
        objects: as written, `None` for everything.
        resource: `Kind/name` of the sync.

    Raises:
        ConfigurationError: `ExpressionInvalid`: a filter cannot be used.
    """
    if objects is None:
        return SelectionRules(resource=resource)
    written: dict[SourceKind, tuple[str, ObjectKind | None]] = {
        SourceKind.USER: ("users", objects.users),
        SourceKind.GROUP: ("groups", objects.groups),
        SourceKind.CONTACT: ("contacts", objects.contacts),
    }
    rules = SelectionRules(
        kinds={
            kind: _kind_rules(spec, field=f"spec.objects.{name}", resource=resource)
            for kind, (name, spec) in written.items()
            if spec is not None
        },
        resource=resource,
    )
    if len(rules.groups) > MOST_GROUPS:
        raise ConfigurationError(
            "ExpressionInvalid",
            f"it names {len(rules.groups)} groups, at most {MOST_GROUPS} can be followed; make one"
            " group of several and name that",
            resource=resource,
            field="spec.objects",
        )
    return rules


def _kind_rules(spec: ObjectKind, *, field: str, resource: str) -> KindRules:
    group = spec.member_of
    return KindRules(
        enabled=spec.synchronize is Synchronize.ENABLED,
        where=(
            None
            if spec.where is None
            else compile_filter(spec.where, field=f"{field}.where", resource=resource)
        ),
        group=None if group is None else group.group,
        nested=group is not None and group.nested,
    )


def _most_members(objects: Objects | None) -> int | None:
    groups = None if objects is None else objects.groups
    return None if groups is None else groups.max_members


def _limit(written: DeletionLimit | ChangeLimit | None, default: Limit) -> Limit:
    if written is None:
        return default
    return Limit(
        count=default.count if written.count is None else written.count,
        percent=default.percent if written.percent is None else written.percent,
    )


def _window(safety: Safety | None) -> dt.timedelta:
    written = None if safety is None else safety.window
    found: dt.timedelta = durationpy.from_str(written or DEFAULT_WINDOW)
    return found
