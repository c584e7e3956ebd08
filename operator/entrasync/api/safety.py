"""Brakes and their exceptions: the parts `spec.safety` and `spec.matching` of a DirectorySync."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from entrasync.api.choices import OnBlocked, Takeover
from entrasync.api.common import ApiModel, Duration


class DeletionLimit(ApiModel):
    """Most deletions of one kind within the window."""

    count: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """Objects. Default 500 for users and contacts, 50 for groups."""
    percent: Annotated[int, Field(ge=0, le=100)] | None = None
    """Per cent of what is owned; counts from 20 objects up. Default 20 for users and contacts, 5
    for groups."""


class ChangeLimit(ApiModel):
    """Most changes of one sort within the window."""

    count: Annotated[int, Field(ge=0, le=10_000_000)] | None = None
    """Changes. Default 500 for disables and identityChanges, 50000 for linkRemovals."""
    percent: Annotated[int, Field(ge=0, le=100)] | None = None
    """Per cent of what is owned; counts from 20 up. Default 5 for disables and identityChanges, 30
    for linkRemovals."""


class CountLimit(ApiModel):
    """Most changes of one sort within the window, by count alone."""

    count: Annotated[int, Field(ge=0, le=10_000_000)] | None = None
    """Changes. Default 1000."""


class ShrinkLimit(ApiModel):
    """Most a source may shrink from one run to the next."""

    percent: Annotated[int, Field(ge=0, le=100)] | None = None
    """Per cent of the objects in scope at the last run. Default 30."""


class Safety(ApiModel):
    """Brakes: limits that stop changes before anything is written."""

    window: Duration | None = None
    """Limits are sums over this time. Default `24h`."""
    users: DeletionLimit | None = None
    """Deletions of users."""
    groups: DeletionLimit | None = None
    """Deletions of groups."""
    contacts: DeletionLimit | None = None
    """Deletions of contacts."""
    disables: ChangeLimit | None = None
    """Users whose account is disabled."""
    identity_changes: ChangeLimit | None = None
    """Changes of userPrincipalName or primary SMTP address."""
    clears: CountLimit | None = None
    """Properties that lose their value."""
    link_removals: ChangeLimit | None = None
    """Removals of group members."""
    source_shrink: ShrinkLimit | None = None
    """How much a source may shrink."""
    on_blocked: OnBlocked = OnBlocked.STOP_ALL
    """`StopAll`: over a limit nothing at all is written. `HoldBraked`: what is over a limit waits,
    everything else is written. A source that shrank too far always stops all. Default `StopAll`."""


class Matching(ApiModel):
    """Whether additions may take over accounts that are in the cloud already."""

    soft: Takeover = Takeover.REFUSE
    """Accounts with the same address or user principal name. `Refuse`: the addition is held back;
    `Approve`: it waits for an approved plan; `Allow`. Default `Refuse`."""
    hard: Takeover = Takeover.REFUSE
    """Accounts that carry the same anchor. `Refuse`: the addition is held back; `Approve`: it waits
    for an approved plan; `Allow`. Default `Refuse`."""
