"""Switches of a tenant: misbehaviour and limits, in the configuration file and over HTTP."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from entrasync.api.azure_cloud import EndpointVersion
from entrasync.api.common import ApiModel

_DEFAULT_LIMITS: Final = {EndpointVersion.V2: 250_000, EndpointVersion.V1: 50_000}
HostName = Annotated[str, Field(max_length=253, pattern=r"^[A-Za-z0-9.:\[\]-]+$")]
"""A DNS name or an address, with or without a port."""


def bare_host(host: str) -> str:
    """A host without its port, in lower case."""
    name, colon, port = host.lower().rpartition(":")
    has_port = bool(colon) and port.isdigit() and not name.endswith(":")
    return (name if has_port else host.lower()).strip("[]")


class Throttle(ApiModel):
    """How much a tenant takes before it says that it is busy."""

    writes: Annotated[int, Field(ge=1)] = 7000
    """Objects that may be written within the time."""
    seconds: Annotated[int, Field(ge=1, le=86_400)] = 300
    """The time, which slides."""


class Malformed(StrEnum):
    """Ways an answer can be spoiled; what was asked for has taken effect."""

    TRUNCATED = "Truncated"
    """The document ends in its middle."""
    CUT_OFF = "CutOff"
    """The connection breaks in the middle of the body."""
    GARBAGE = "Garbage"
    """Octets that are no document."""
    WRONG_CONTENT_TYPE = "WrongContentType"
    """The right document under a content type of something else."""


class Switches(ApiModel):
    """Misbehaviour and limits that can be changed while the emulator runs.

    What happens "every so many calls" counts the calls of the sync service since the switches were
    last set, without those that were redirected; 0 means never. When several would meet in one
    call, the one that stands first here happens alone.
    """

    redirects: Annotated[int, Field(ge=0, le=1000)] = 0
    """How many of the next requests are sent to the address they came to, before one is served."""
    redirect_host: HostName | None = None
    """The tenant's own host, `host` or `host:port`: requests to any other are sent there. A host
    of somebody else makes every request lead astray."""
    operations: list[Annotated[str, Field(max_length=128)]] = Field(default_factory=list)
    """Operations that are counted, and so misbehave; empty: all."""
    drop_before_every: Annotated[int, Field(ge=0)] = 0
    """Every so many calls the connection is cut before anything took effect."""
    gateway_every: Annotated[int, Field(ge=0)] = 0
    """Every so many calls a gateway answers with a page for people; nothing takes effect."""
    gateway_status: Annotated[int, Field(ge=400, le=599)] = 503
    """HTTP status of the gateway's page."""
    gateway_retry_after_seconds: Annotated[int, Field(ge=0)] | None = None
    """`Retry-After` of the gateway's page; default: it says nothing."""
    busy_every: Annotated[int, Field(ge=0)] = 0
    """Every so many calls one is answered with fault 81; nothing takes effect."""
    drop_after_every: Annotated[int, Field(ge=0)] = 0
    """Every so many calls the connection is cut after everything took effect."""
    malformed_every: Annotated[int, Field(ge=0)] = 0
    """Every so many calls the answer is spoiled."""
    malformed: Malformed = Malformed.TRUNCATED
    """How it is spoiled: Truncated, CutOff, Garbage or WrongContentType."""
    delay_every: Annotated[int, Field(ge=0)] = 1
    """Every so many calls the answer is held back; it may be spoiled or cut besides."""
    delay_seconds: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = 0.0
    """How long it is held back; what was asked for has taken effect by then."""
    throttle: Throttle | None = None
    """What exceeds so many writes is answered with fault 81 and not applied; default: no limit.
    `{}` is Microsoft's documented limit, 7,000 in 300 seconds."""
    sync_off: bool = False
    """Directory sync is not activated, whatever the tenant says."""
    v2_off: bool = False
    """The operations of V2 do not exist, as in a cloud like Azure Germany."""
    minimum_build: Annotated[str, Field(pattern=r"^\d+(\.\d+){0,3}$", max_length=64)] | None = None
    """Lowest Entra Connect build that is served."""
    audience: list[str] | None = None
    """Audiences of tokens that are taken, instead of those of the cloud."""
    token_lifetime_seconds: Annotated[int, Field(ge=0)] = 0
    """Tokens are refused after so many seconds, although they claim an hour; 0: they keep it."""
    expire_tokens: bool = False
    """Set: tokens issued before this moment are refused from now on."""
    cookie_lifetime_seconds: Annotated[int, Field(ge=0)] = 0
    """Cookies of the read-back are refused after so many seconds; 0: they last."""
    expire_cookies: bool = False
    """Set: cookies given before this moment are refused from now on."""
    max_objects_per_request: Annotated[int, Field(ge=1)] | None = None
    """Most objects of one export; default: no limit."""
    max_links_per_request: Annotated[int, Field(ge=1)] = 15_000
    """Most membership changes of one request over V2."""
    read_back_page_size: Annotated[int, Field(ge=1)] = 500
    """Objects in one answer of a read-back."""
    max_group_members: dict[EndpointVersion, Annotated[int, Field(ge=1)]] = Field(
        default_factory=lambda: dict(_DEFAULT_LIMITS)
    )
    """Most members of a group by version; a version left out has its usual limit."""

    def group_limit(self, version: EndpointVersion) -> int:
        """Most members a group may have over this version."""
        return self.max_group_members.get(version, _DEFAULT_LIMITS[version])
