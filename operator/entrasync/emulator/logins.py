"""What the login authority knows and refuses: applications, and errors in Microsoft's words.

Errors carry the codes and the manner of Microsoft's own, because clients act on them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from entrasync.emulator.config import Application, Tenant
from entrasync.emulator.http import BAD_REQUEST, UNAUTHORIZED
from entrasync.errors import ConfigurationError

INVALID_CLIENT: Final = "invalid_client"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedIssuer:
    """A federated credential: whose tokens are taken for which subject and audience."""

    issuer: str
    subject: str
    audience: str
    jwks: Mapping[str, Any] | None = None
    jwks_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredApplication:
    """An application as a tenant knows it."""

    client_id: str
    client_secret: str | None = None
    certificate: x509.Certificate | None = None
    federated: tuple[TrustedIssuer, ...] = ()
    roles: tuple[str, ...] = ()
    """Roles of tokens for the sync service."""
    graph_roles: tuple[str, ...] = ()
    """Roles of tokens for Microsoft Graph."""


class LoginError(Exception):
    """What the authority refuses, in its own words.

    Args:
        error: OAuth error, such as `invalid_client`.
        code: number of the AADSTS code.
        message: sentence after the code.
        status: HTTP status.
    """

    def __init__(self, error: str, code: int, message: str, status: int = BAD_REQUEST) -> None:
        super().__init__(f"AADSTS{code}")
        self.error = error
        self.code = code
        self.message = message
        self.status = status

    def document(self, *, trace_id: str, now: dt.datetime) -> dict[str, Any]:
        """The JSON body of the answer."""
        timestamp = now.strftime("%Y-%m-%d %H:%M:%SZ")
        return {
            "error": self.error,
            "error_description": f"AADSTS{self.code}: {self.message} Trace ID: {trace_id}"
            f" Correlation ID: {trace_id} Timestamp: {timestamp}",
            "error_codes": [self.code],
            "timestamp": timestamp,
            "trace_id": trace_id,
            "correlation_id": trace_id,
        }


def refused_client(code: int, message: str) -> LoginError:
    """The application did not prove itself."""
    return LoginError(INVALID_CLIENT, code, message, UNAUTHORIZED)


def unknown_tenant(tenant_id: str) -> LoginError:
    """There is no such tenant in this cloud."""
    return LoginError(
        "invalid_tenant",
        90002,
        f"Tenant '{tenant_id}' not found. Check to make sure you have the correct tenant ID and"
        " are signing into the correct cloud.",
    )


def registered_applications(tenant: Tenant) -> dict[str, RegisteredApplication]:
    """Applications of a tenant by client id.

    Raises:
        ConfigurationError: a certificate is none.
    """
    found = {}
    for index, each in enumerate(tenant.applications):
        try:
            certificate = load_certificate(each.certificate) if each.certificate else None
        except ValueError:
            raise ConfigurationError(
                "RunFailed",
                f"the certificate of application {each.client_id} is no PEM certificate.",
                field=f"tenants.applications[{index}].certificate",
            ) from None
        found[each.client_id] = _registered(each, certificate)
    return found


def _registered(
    application: Application, certificate: x509.Certificate | None
) -> RegisteredApplication:
    return RegisteredApplication(
        client_id=application.client_id,
        client_secret=application.client_secret,
        certificate=certificate,
        federated=tuple(
            TrustedIssuer(
                issuer=each.issuer,
                subject=each.subject,
                audience=each.audience,
                jwks=each.jwks,
                jwks_file=each.jwks_file,
            )
            for each in application.federated_credentials
        ),
        roles=tuple(application.roles),
        graph_roles=tuple(application.graph_roles),
    )


def load_certificate(pem: str) -> x509.Certificate:
    """The first certificate of PEM text.

    Raises:
        ValueError: there is none.
    """
    return x509.load_pem_x509_certificates(pem.encode())[0]
