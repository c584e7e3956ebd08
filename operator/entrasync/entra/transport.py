"""HTTP as this package uses it, and what its failures mean."""

from __future__ import annotations

import ssl
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import httpx

from entrasync.entra.clouds import Cloud, tls_context
from entrasync.errors import ConfigurationError, EntrasyncError, TransientError

CONNECT_SECONDS: Final = 20.0
READ_SECONDS: Final = 600.0
"""An export with large groups may take the service five minutes."""
SMALL_CALL_SECONDS: Final = 120.0
"""For calls that carry no objects."""
TOKEN_SECONDS: Final = 60.0


def timeout_of(read_seconds: float) -> httpx.Timeout:
    """Limits of one exchange; the longest silence of the other side is `read_seconds`."""
    return httpx.Timeout(read_seconds, connect=CONNECT_SECONDS, pool=CONNECT_SECONDS)


def http_client(
    cloud: Cloud, *, read_seconds: float, transport: httpx.BaseTransport | None = None
) -> httpx.Client:
    """A client that verifies TLS, follows no redirection and keeps its connections.

    It keeps no cookies, and asks for answers as they are: whether the services compress is not
    known, and an answer's largest size is counted as it travels.

    Raises:
        ConfigurationError: the cloud's certificates cannot be read.
    """
    return httpx.Client(
        transport=transport,
        verify=tls_context(cloud) if transport is None else True,
        timeout=timeout_of(read_seconds),
        follow_redirects=False,
        headers={"Accept-Encoding": "identity"},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        limits=httpx.Limits(max_connections=4, max_keepalive_connections=2, keepalive_expiry=300),
    )


def host_is_lost(error: httpx.HTTPError) -> bool:
    """Whether no connection came about, so that certainly nothing was sent."""
    return isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)


def _tls_error(error: BaseException) -> ssl.SSLError | None:
    """The certificate failure behind an error, if one is."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def transport_error(error: httpx.HTTPError, cloud: Cloud, url: str, field: str) -> EntrasyncError:
    """What a failed exchange means for a person.

    Args:
        error: what httpx raised.
        cloud: the cloud the URL belongs to.
        url: the URL asked.
        field: field of the AzureCloud the URL comes from.
    """
    host = httpx.URL(url).host
    resource = f"AzureCloud/{cloud.name}"
    if _tls_error(error) is not None or "CERTIFICATE_VERIFY_FAILED" in str(error):
        return ConfigurationError(
            "CertificateNotTrusted",
            f"The certificate of {host} is not trusted: name the authority that issued it in"
            " spec.caBundle of a cloud with environment Custom; where a proxy opens the connection,"
            " name the proxy's authority in extraCA of the chart.",
            resource=resource,
            field="spec.caBundle",
        )
    return TransientError(
        "ServerUnreachable",
        f"{host} cannot be reached ({type(error).__name__}): check the network, the proxy and"
        f" {field}.",
        resource=resource,
        field=field,
    )
