"""How an application proves itself to the login authority."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from entrasync.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateCredential:
    """A certificate and its private key, both PEM."""

    certificate: str
    private_key: str = field(repr=False)
    origin: str = "spec.application.certificateSecretRef"
    """Field to look at when it is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretCredential:
    """A client secret."""

    secret: str = field(repr=False)
    origin: str = "spec.application.clientSecretSecretRef"
    """Field to look at when it is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FederatedCredential:
    """A token of a Kubernetes service account that the application trusts.

    The file is read anew each time a token is asked for, because the kubelet replaces it long
    before it expires.
    """

    token_file: Path
    """Where the kubelet projects the token; its audience must be the one the application trusts."""
    origin: str = "spec.application.workloadIdentity"
    """Field to look at when it is refused."""


Credential = CertificateCredential | SecretCredential | FederatedCredential
"""Any way to prove an application."""


def read_assertion(credential: FederatedCredential, resource: str) -> str:
    """The service account's token as it is now.

    Raises:
        ConfigurationError: `CredentialsRejected`; the file is not there, or is empty.
    """
    try:
        text = credential.token_file.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        text = ""
    if not text:
        raise ConfigurationError(
            "CredentialsRejected",
            f"there is no token of a service account in {credential.token_file}; name a service"
            " account of this namespace, and run where its token is mounted",
            resource=resource,
            field=credential.origin,
        )
    return text


def check_certificate(credential: CertificateCredential, resource: str, now: dt.datetime) -> None:
    """Says here what the login authority would only hint at.

    Raises:
        ConfigurationError: `CredentialsRejected`; certificate and key cannot be used.
    """
    problem = _problem(credential, now)
    if problem is not None:
        raise ConfigurationError(
            "CredentialsRejected", problem, resource=resource, field=credential.origin
        )


def _problem(credential: CertificateCredential, now: dt.datetime) -> str | None:
    try:
        parsed = x509.load_pem_x509_certificate(credential.certificate.encode())
        private = serialization.load_pem_private_key(credential.private_key.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return "`tls.crt` or `tls.key` is no PEM certificate or unencrypted PEM key"
    if now > parsed.not_valid_after_utc:
        return (
            f"the certificate expired at {parsed.not_valid_after_utc:%Y-%m-%d}; renew `tls.crt`"
            " and `tls.key`, and upload the new certificate to the application"
        )
    if now < parsed.not_valid_before_utc:
        return f"the certificate is not valid before {parsed.not_valid_before_utc:%Y-%m-%d}"
    if not isinstance(private, rsa.RSAPrivateKey):
        return "`tls.key` is no RSA key: Microsoft Entra takes no other"
    encoding = serialization.Encoding.DER
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    of_certificate = parsed.public_key().public_bytes(encoding, form)
    if private.public_key().public_bytes(encoding, form) != of_certificate:
        return "`tls.key` is not the key of `tls.crt`"
    return None


def thumbprint(credential: CertificateCredential) -> str:
    """SHA-256 of a certificate that `check_certificate` let pass, in hexadecimal digits."""
    parsed = x509.load_pem_x509_certificate(credential.certificate.encode())
    return parsed.fingerprint(hashes.SHA256()).hex()
