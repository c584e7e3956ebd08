"""What failures of HTTP mean for a person."""

from __future__ import annotations

import ssl

import httpx
import pytest

from entrasync.entra.clouds import Cloud
from entrasync.entra.transport import http_client, transport_error
from entrasync.errors import ConfigurationError, TransientError

CLOUD = Cloud(
    name="private", login_authority="https://login.test", sync_service_url="https://sync.test"
)
URL = "https://sync.test:8443/provisioningservice.svc"


def chained(cause: BaseException) -> httpx.ConnectError:
    """As httpx raises it: the certificate's failure behind two others."""
    middle = OSError("wrapped")
    middle.__cause__ = cause
    error = httpx.ConnectError("failed")
    error.__context__ = middle
    return error


@pytest.mark.parametrize(
    "error",
    [
        chained(ssl.SSLCertVerificationError("self-signed certificate")),
        httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"),
    ],
)
def test_a_certificate_not_trusted_is_for_a_person_to_settle(error: httpx.HTTPError) -> None:
    found = transport_error(error, CLOUD, URL, "spec.syncService.url")

    assert isinstance(found, ConfigurationError)
    assert (found.reason, found.field) == ("CertificateNotTrusted", "spec.caBundle")
    assert found.resource == "AzureCloud/private"
    assert "sync.test" in found.message


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("cut"),
        chained(ssl.SSLError("wrong version")),
    ],
)
def test_anything_else_passes_by_itself(error: httpx.HTTPError) -> None:
    found = transport_error(error, CLOUD, URL, "spec.syncService.url")

    assert isinstance(found, TransientError)
    assert (found.reason, found.field) == ("ServerUnreachable", "spec.syncService.url")
    assert type(error).__name__ in found.message
    assert str(error) not in found.message


def test_a_client_follows_no_redirection_and_waits_as_long_as_an_export_takes() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(302, headers={"location": "/x"}))
    with http_client(CLOUD, read_seconds=600, transport=transport) as client:
        assert client.get(URL).status_code == 302
        assert (client.timeout.read, client.timeout.connect) == (600, 20)


def test_a_client_with_a_broken_bundle_is_not_made() -> None:
    broken = Cloud(
        name="private",
        login_authority="https://login.test",
        sync_service_url="https://sync.test",
        ca_bundle_pem="rubbish",
    )
    with pytest.raises(ConfigurationError):
        http_client(broken, read_seconds=1)
