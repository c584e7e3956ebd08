"""An Azure cloud as this package needs it, and where a token may travel."""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, urlsplit

from entrasync.entra.contracts import SERVICE_PATH
from entrasync.errors import ConfigurationError

_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
"""A part of a host's name; nothing in it can be quoted or escaped to mean another host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """Hosts of one Azure cloud and the versions of the sync service it offers."""

    name: str
    login_authority: str
    microsoft_graph: str | None = None
    sync_service_url: str
    redirect_suffixes: tuple[str, ...] = ()
    endpoint_versions: Mapping[str, int] = field(default_factory=dict)
    """Most members of a group by version (`V1`, `V2`)."""
    ca_bundle_pem: str | None = None
    """Certificates to trust in addition."""
    extra_ca_pem: str | None = None
    """Certificates to trust for every cloud from here: of a proxy that opens connections."""


def service_url(base: str) -> str:
    """Where requests are posted to, given the service's base URL."""
    trimmed = base.rstrip("/")
    return trimmed if trimmed.lower().endswith(SERVICE_PATH) else trimmed + SERVICE_PATH


def _split(url: str) -> SplitResult | None:
    """The parts of an https URL that names a plain host, `None` for anything else."""
    if not url.isascii() or not url.isprintable() or any(each in url for each in " \\"):
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    if parts.scheme != "https" or not parts.hostname or "@" in parts.netloc:
        return None
    return parts


def _labels(host: str) -> list[str]:
    return host.lower().strip(".").split(".")


def redirect_allowed(url: str, suffixes: Iterable[str]) -> bool:
    """Whether `url` is https and its host lies below one of the suffixes, in whole labels.

    `evil-microsoftonline.com` does not lie below `.microsoftonline.com`, nor does the suffix
    itself. Addresses never do.
    """
    parts = _split(url)
    if parts is None or parts.hostname is None:
        return False
    try:
        ipaddress.ip_address(parts.hostname)
    except ValueError:
        pass
    else:
        return False
    host = _labels(parts.hostname)
    if not all(map(_LABEL.fullmatch, host)):
        return False
    for suffix in suffixes:
        wanted = _labels(suffix)
        if all(wanted) and len(host) > len(wanted) and host[-len(wanted) :] == wanted:
            return True
    return False


def redirected(url: str, cloud: Cloud, current: str) -> str | None:
    """Where to post after a redirection to `url`; `None` where the token must not go.

    Only scheme, host and port are taken; the path stays. The host the cloud's own URL names is
    always allowed, so that a private cloud reached by address may redirect to another port.
    """
    target, own, now = _split(url), _split(cloud.sync_service_url), _split(current)
    if target is None or now is None:
        return None
    same_host = own is not None and target.hostname == own.hostname
    if not same_host and not redirect_allowed(url, cloud.redirect_suffixes):
        return None
    return f"https://{target.netloc}{now.path}"


def tls_context(cloud: Cloud) -> ssl.SSLContext:
    """Verification by the system's trust, and by the cloud's own bundle where it has one.

    Raises:
        ConfigurationError: a bundle holds no certificate that can be read.
    """
    context = ssl.create_default_context()
    resource = f"AzureCloud/{cloud.name}"
    if cloud.ca_bundle_pem and not _trusts(context, cloud.ca_bundle_pem):
        raise ConfigurationError(
            "CertificateNotTrusted",
            "The bundle holds no PEM certificate that can be read: put the certificate of"
            " the authority there, between its BEGIN and END lines.",
            resource=resource,
            field="spec.caBundle",
        )
    if cloud.extra_ca_pem and not _trusts(context, cloud.extra_ca_pem):
        raise ConfigurationError(
            "CertificateNotTrusted",
            "The certificates to trust in addition (extraCA of the chart, or the file that"
            " ENTRASYNC_EXTRA_CA_FILE names) are no PEM certificates that can be read: put the"
            " certificate of the proxy's authority there, between its BEGIN and END lines.",
            resource=resource,
        )
    return context


def _trusts(context: ssl.SSLContext, pem: str) -> bool:
    """Adds certificates to those a context trusts; `False` when there are none to be read."""
    try:
        context.load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError, TypeError):  # the last for what is no ASCII
        return False
    return True
