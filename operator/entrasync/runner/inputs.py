"""From a snapshot to what a cycle is to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import durationpy

from entrasync.api.choices import AnchorSource, JoinBy, OnBlocked, OnRemoval, Takeover
from entrasync.api.directory_sync import SyncMode
from entrasync.api.objects import Synchronize
from entrasync.api.safety import CountLimit
from entrasync.api.sync_run import RunMode, RunScope
from entrasync.engine.brakes import Limit, SafetyLimits
from entrasync.engine.containers import ScopeSpec
from entrasync.engine.filters import compile_filter
from entrasync.engine.flows import FlowRule, FlowSet, flow_set
from entrasync.engine.inputs import AnchorRules, CycleInputs, MatchingRules, SourceInputs
from entrasync.engine.selection import KindRules, SelectionRules
from entrasync.engine.source import SourceKind
from entrasync.entra.contracts import SyncVersion
from entrasync.errors import ConfigurationError

if TYPE_CHECKING:
    import datetime as dt

    from entrasync.api.active_directory import ActiveDirectory
    from entrasync.api.directory_sync import DirectorySync
    from entrasync.api.entra_tenant import EntraTenant
    from entrasync.api.objects import ObjectKind, Objects
    from entrasync.api.safety import ChangeLimit, DeletionLimit, Safety
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
    run_name: str,
    mode: SyncMode,
    scope: RunScope | None,
    max_group_members: int,
    version: SyncVersion = SyncVersion.V2,
) -> CycleInputs:
    """Resolves defaults.

    Args:
        snapshot: the resources of the run.
        run_name: under which its plan and result are kept.
        mode: what it may do.
        scope: what it reads, `None` for what it finds necessary.
        max_group_members: most members the endpoint takes.
        version: of the endpoint.

    Raises:
        ConfigurationError: the files hold no DirectorySync, or a filter that cannot be used.
    """
    sync, tenant = require_sync(snapshot)
    spec = sync.spec
    selection = selection_rules(spec.objects, resource=sync.key)
    matching = spec.matching
    return CycleInputs(
        run=run_name,
        tenant_id=tenant.spec.tenant_id,
        tenant_resource=tenant.key,
        sync_resource=sync.key,
        mode=mode,
        scope=scope,
        sources=() if snapshot.is_last else _sources(snapshot, sync),
        remembered=tuple(sync.status.scopes) if sync.status is not None else (),
        selection=selection,
        anchors=_anchors(sync),
        join_users=JoinBy.NONE if spec.join is None else spec.join.users,
        flows=flow_rules(spec.objects),
        on_removal=_on_removal(spec.objects),
        max_group_members=min(max_group_members, _most_members(spec.objects) or max_group_members),
        version=version,
        write_quota_percent=tenant.spec.write_quota_percent,
        limits=safety_limits(spec.safety),
        window=_window(spec.safety),
        on_blocked=OnBlocked.STOP_ALL if spec.safety is None else spec.safety.on_blocked,
        matching=MatchingRules(
            soft=Takeover.REFUSE if matching is None else matching.soft,
            hard=Takeover.REFUSE if matching is None else matching.hard,
        ),
        orphans=spec.orphans,
        drift=spec.drift,
        approved=_approved(snapshot),
        takeover=tenant.spec.takeover,
        last_export=None if tenant.status is None else tenant.status.last_export,
        ends=snapshot.is_last,
    )


def require_sync(snapshot: Snapshot) -> tuple[DirectorySync, EntraTenant]:
    """The resources of a run that is no check.

    Raises:
        ConfigurationError: there is no DirectorySync.
    """
    if snapshot.sync is None or snapshot.tenant is None:
        raise ConfigurationError(
            "ReferenceNotFound",
            "the files hold no DirectorySync; add one, or use --mode Check",
        )
    return snapshot.sync, snapshot.tenant


def directory_of(snapshot: Snapshot, source: str) -> ActiveDirectory:
    """The ActiveDirectory of a source, by its name in the sync."""
    sync, _ = require_sync(snapshot)
    named = {each.name: each.active_directory_ref.name for each in sync.spec.sources}
    return snapshot.directories[named[source]]


def _sources(snapshot: Snapshot, sync: DirectorySync) -> tuple[SourceInputs, ...]:
    return tuple(
        SourceInputs(
            name=source.name,
            resource=directory_of(snapshot, source.name).key,
            where=ScopeSpec(
                include=tuple(source.include or ()),
                exclude=tuple(source.exclude or ()),
                source=source.name,
                resource=sync.key,
            ),
        )
        for source in sync.spec.sources
    )


def _anchors(sync: DirectorySync) -> AnchorRules:
    spec = sync.spec.source_anchor
    if spec is None:
        return AnchorRules()
    if (spec.from_ is AnchorSource.ATTRIBUTE) != (spec.attribute is not None):
        # refused at admission; files without a cluster come here unseen
        raise ConfigurationError(
            "AnchorMismatch",
            "`attribute` must be specified when `from` is Attribute, and only then",
            resource=sync.key,
            field="spec.sourceAnchor.attribute",
        )
    if spec.stamp and spec.from_ is not AnchorSource.CONSISTENCY_GUID:
        raise ConfigurationError(
            "AnchorMismatch",
            "`stamp` may only be true when `from` is ConsistencyGuid",
            resource=sync.key,
            field="spec.sourceAnchor.stamp",
        )
    return AnchorRules(source=spec.from_, attribute=spec.attribute, stamp=spec.stamp)


def _approved(snapshot: Snapshot) -> tuple[str, ...]:
    """Digests that a person let through, on the sync or on the run."""
    of_sync = None if snapshot.sync is None else snapshot.sync.spec.approved_plan
    of_run = None if snapshot.run is None else snapshot.run.spec.approved_plan
    return tuple(each for each in (of_sync, of_run) if each)


def _kinds(objects: Objects | None) -> dict[SourceKind, ObjectKind | None]:
    return {
        SourceKind.USER: None if objects is None else objects.users,
        SourceKind.GROUP: None if objects is None else objects.groups,
        SourceKind.CONTACT: None if objects is None else objects.contacts,
    }


def flow_rules(objects: Objects | None) -> FlowSet:
    """The default flows, changed by those of `spec.objects`."""
    return flow_set(
        {
            kind: [
                FlowRule(
                    target=each.target,
                    source=each.source,
                    constant=each.constant,
                    omit=each.omit,
                    apply=each.apply,
                    merge=each.merge,
                    default=each.default,
                )
                for each in spec.flows or ()
            ]
            for kind, spec in _kinds(objects).items()
            if spec is not None
        }
    )


def _on_removal(objects: Objects | None) -> dict[SourceKind, OnRemoval]:
    return {
        kind: OnRemoval.DELETE if spec is None else OnRemoval(spec.on_removal)
        for kind, spec in _kinds(objects).items()
    }


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
        disables=_limit(safety.disables, defaults.disables),
        identity_changes=_limit(safety.identity_changes, defaults.identity_changes),
        clears=_limit(safety.clears, defaults.clears),
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


def _limit(written: DeletionLimit | ChangeLimit | CountLimit | None, default: Limit) -> Limit:
    if written is None:
        return default
    percent = None if isinstance(written, CountLimit) else written.percent
    return Limit(
        count=default.count if written.count is None else written.count,
        percent=default.percent if percent is None else percent,
    )


def _window(safety: Safety | None) -> dt.timedelta:
    written = None if safety is None else safety.window
    found: dt.timedelta = durationpy.from_str(written or DEFAULT_WINDOW)
    return found
