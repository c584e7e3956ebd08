"""An Azure cloud as the client needs it, and which hosts a redirection may lead to."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """Hosts of one Azure cloud.

    Attributes:
        name: name of its AzureCloud.
        login_authority: where tokens are issued.
        sync_service_url: first host asked.
        redirect_suffixes: host suffixes a redirection may lead to, each beginning with a dot.
        ca_bundle: PEM certificates to trust in addition to the system's; private clouds only.
        custom: whether it is none of Microsoft's.
    """

    name: str
    login_authority: str
    sync_service_url: str
    redirect_suffixes: tuple[str, ...] = ()
    ca_bundle: str | None = None
    custom: bool = False

    def trust(self) -> ssl.SSLContext:
        """Certificates are always verified, TLS 1.2 or newer."""
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.ca_bundle is not None:
            context.load_verify_locations(cadata=self.ca_bundle)
        return context


def redirect_allowed(url: str, suffixes: Sequence[str], *, first_host: str) -> bool:
    """Whether the token may be sent to where a redirection leads.

    Only https, and only a host that is below one of the suffixes or is the host first asked: the
    token travels in the request.
    """
    try:
        target = urlsplit(url)
        host = (target.hostname or "").lower().rstrip(".")
    except ValueError:
        return False
    if target.scheme != "https" or not host or target.username or target.password:
        return False
    if host == first_host.lower():
        return True
    return any(host.endswith(suffix.lower()) for suffix in suffixes if suffix.startswith("."))
