"""Certificates of the emulator: its own CA, its server, and applications that have none."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME: Final = dt.timedelta(days=365)
_START_EARLIER: Final = dt.timedelta(hours=1)
"""So that a peer whose clock is behind already trusts what was just made."""
_PEM: Final = serialization.Encoding.PEM


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A certificate and its private key, both PEM text."""

    certificate: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """What the server shows, and what a client must trust."""

    server: KeyPair
    ca: str
    """Empty when the server's certificate comes from elsewhere and needs no extra trust."""


class Authority:
    """A CA that lives as long as this object; its key is never written anywhere.

    Args:
        name: common name of the CA.
        now: when it and what it signs begin to be valid.
    """

    def __init__(self, name: str, now: dt.datetime) -> None:
        self._now = now
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        certificate = (
            _builder(self._name, self._name, self._key.public_key(), now)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(ca=True), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        self.certificate = certificate.public_bytes(_PEM).decode()
        """Its certificate (PEM), to be trusted."""

    def issue(self, hostnames: Sequence[str]) -> KeyPair:
        """A server certificate for DNS names and IP addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _builder(_name(hostnames[0]), self._name, key.public_key(), self._now)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .add_extension(
                x509.SubjectAlternativeName([_general_name(name) for name in hostnames]),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        return _pair(certificate, key)


def make_server_tls(hostnames: Sequence[str], now: dt.datetime) -> ServerTls:
    """A CA of its own, whose key is forgotten at once, and a server certificate of it.

    Args:
        hostnames: DNS names and IP addresses the server answers to.
        now: when both begin to be valid.
    """
    authority = Authority("entrasync emulator CA", now)
    return ServerTls(server=authority.issue(hostnames), ca=authority.certificate)


def make_application_pair(client_id: str, now: dt.datetime) -> KeyPair:
    """A self-signed certificate, as an administrator uploads one to an application."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = _name(f"entrasync {client_id}")
    return _pair(_builder(name, name, key.public_key(), now).sign(key, hashes.SHA256()), key)


def _pair(
    certificate: x509.Certificate, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
) -> KeyPair:
    return KeyPair(
        certificate=certificate.public_bytes(_PEM).decode(),
        key=key.private_bytes(
            _PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    now: dt.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _START_EARLIER)
        .not_valid_after(now + LIFETIME)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )
