"""What the directory hands to the rest: plain frozen values, nothing of the LDAP library.

GUIDs are lowercase canonical UUID strings everywhere. Attribute values are the raw bytes of the
directory, but for the attributes of `DN_ATTRIBUTES`, whose values are the GUIDs of the objects
they name: a DN changes with every rename, a GUID never does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

DN_ATTRIBUTES = frozenset(
    {
        "altRecipient",
        "assistant",
        "authOrig",
        "directReports",
        "dLMemRejectPerms",
        "dLMemSubmitPerms",
        "managedBy",
        "managedObjects",
        "manager",
        "memberOf",
        "msExchBypassModerationLink",
        "msExchCoManagedByLink",
        "msExchDelegateListLink",
        "msExchModeratedByLink",
        "msExchTeamMailboxOwners",
        "msExchTeamMailboxSharePointLinkedBy",
        "owner",
        "publicDelegates",
        "secretary",
        "seeAlso",
        "unauthOrig",
    }
)
"""Attributes that name other objects; each value is given as the GUID of that object, in ASCII."""

ONE_VALUED = frozenset({"altRecipient", "assistant", "managedBy", "manager"})
"""Those of `DN_ATTRIBUTES` that hold one value at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryConfig:
    """How to reach one Active Directory and what to read of it."""

    servers: tuple[str, ...]
    """Addresses as `ldaps://host[:port]`, or `ldap://` with `start_tls`, in order of preference;
    empty when `domain` says where to find them."""
    base_dn: str | None
    """Where to read; `None` is the server's default naming context."""
    bind_user: str
    """A UPN, `DOMAIN\\name` or DN; empty with a `keytab`."""
    bind_password: str = field(repr=False)
    ca_pem: str | None
    """The CAs to trust, PEM; `None` trusts those of the system."""
    start_tls: bool
    """Start TLS on `ldap://` connections before the bind; ignored for `ldaps://`."""
    domain: str | None = None
    """DNS name of a domain whose controllers are found by DNS; used when `servers` is empty."""
    keytab: Path | None = None
    """Bind by Kerberos with the key in this file, instead of `bind_user` and `bind_password`."""
    principal: str = ""
    """Whose key it is, as `reader@CONTOSO.TEST`."""
    resource: str = "ActiveDirectory/contoso"
    """`Kind/name` that errors point at."""
    connect_timeout: float = 10
    """Seconds."""
    receive_timeout: float = 120
    """Seconds without a byte from the server, rounded up to whole ones."""
    page_size: int = 1000
    """Entries per page; Active Directory gives at most 1,000 by default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RootInfo:
    """The server and the naming context in use."""

    server: str
    """The address that answered, as configured."""
    base_dn: str
    """The base as the server spells it."""
    domain: str
    """DNS name of the domain, for example `contoso.test`."""
    functional_level: str
    """Of the domain: `2016`, `2012R2`, ...; the server's number when it is unknown here."""
    naming_contexts: tuple[str, ...]
    invocation_id: str | None
    """Identity of the server's database; `None` when it is not readable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A place in the tree, pinned by its GUID."""

    guid: str
    dn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceEntry:
    """One object of the directory, or what changed of it."""

    guid: str
    dn: str
    parent_guid: str | None
    """`None` at the root of a naming context, and in a change that did not move the object."""
    deleted: bool
    """A tombstone."""
    attributes: Mapping[str, tuple[bytes, ...]]
    """By name exactly as requested. In a change, an empty tuple says that the attribute was
    cleared; a name that is absent was not returned: it is unset (full read) or unchanged. Lists
    come whole, in changes too."""
    members: tuple[str, ...] | None = None
    """GUIDs of all members of a group, on full reads; `None` for what is no group."""
    members_added: tuple[str, ...] = ()
    """GUIDs, in changes only."""
    members_removed: tuple[str, ...] = ()
    """GUIDs, in changes only."""
    foreign: Mapping[str, bytes] = field(default_factory=dict)
    """SIDs of those members that are foreign security principals, by their GUID; the members that
    came or left, in changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePage:
    """Some changes, and the cookie that continues after them."""

    entries: tuple[SourceEntry, ...]
    cookie: bytes
    """Opaque; keep it once the entries are kept."""
    more: bool
    """Another page follows at once."""
