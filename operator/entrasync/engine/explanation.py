"""What an explanation of one object holds."""

from __future__ import annotations

from pydantic import Field

from entrasync.api.common import StatusModel

Shown = str | int | bool | list[str]
"""A value as it is shown."""


class ExplainedSource(StatusModel):
    """One source object."""

    source: str
    guid: str
    dn: str
    kind: str
    in_scope: bool
    scope: str
    """Why it is in scope or not."""
    withheld: str | None = None
    """Reason and remedy where it takes part, but is left as it is."""
    attributes: dict[str, Shown] = Field(default_factory=dict)


class ExplainedCloud(StatusModel):
    """The cloud object."""

    type: str
    cloud_anchor: str | None
    owned: bool
    managed_in_cloud: bool
    members: int


class ExplainedValue(StatusModel):
    """One property: what it should be, what the cloud has, and which flow says so."""

    property: str
    value: Shown | None = None
    cloud: Shown | None = None
    pending: bool = False
    why: str = ""


class ExplainedChange(StatusModel):
    """One change that is pending."""

    action: str
    properties: list[str] = Field(default_factory=list)
    why: str | None = None
    outcome: str | None = None
    """What the service is expected to make of an addition."""
    braked: str | None = None
    """Reason of the brake that stops it."""
    held: str | None = None
    """Reason why the last run did not send it."""


class ExplainedLinks(StatusModel):
    """Links that are pending."""

    add: int = 0
    remove: int = 0
    join: int = 0
    """Groups of others that it is to become a member of."""
    leave: int = 0
    """Groups of others that it is to leave."""


class ExplainedError(StatusModel):
    """Something that is in its way."""

    code: str
    message: str
    attempts: int | None = None
    next_try: str | None = None


class ExplainedDrift(StatusModel):
    """One value that somebody else changed in the tenant."""

    property: str
    exported: Shown | None = None
    told: Shown | None = None
    times: int = 0


class Explanation(StatusModel):
    """All that is known of one object."""

    anchor: str | None = None
    sources: list[ExplainedSource] = Field(default_factory=list)
    cloud: ExplainedCloud | None = None
    values: list[ExplainedValue] = Field(default_factory=list)
    pending: list[ExplainedChange] = Field(default_factory=list)
    links: ExplainedLinks = Field(default_factory=ExplainedLinks)
    errors: list[ExplainedError] = Field(default_factory=list)
    removal: str | None = None
    """What is known of why it is wanted no longer, while it is not."""
    drift: list[ExplainedDrift] = Field(default_factory=list)
    """The first of them, properties before members."""
    drift_count: int = 0
    """All of them."""
