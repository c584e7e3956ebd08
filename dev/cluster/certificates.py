"""Certificates and KUBECONFIGs of the node."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = dt.timedelta(days=30)


class NodeAuthority:
    """The CA of one cluster and what it signs, as files in one folder.

    Args:
        folder: where files go; made when missing.
        addresses: IP addresses the API server answers on.
        names: DNS names of it.
        now: when certificates begin to be valid.
    """

    def __init__(
        self, folder: Path, addresses: list[str], names: list[str], now: dt.datetime
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        self._folder = folder
        self._now = now
        self._alternatives = [
            *(x509.IPAddress(ipaddress.ip_address(address)) for address in addresses),
            *(x509.DNSName(name) for name in names),
        ]
        self._key = _new_key()
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "entrasync-dev")])
        certificate = (
            self._builder(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self._write("ca", certificate, self._key)

    def issue(self, file: str, user: str, group: str | None = None) -> None:
        """Writes `<file>.crt` and `<file>.key` for a user of a group, good for both ends."""
        key = _new_key()
        parts = [x509.NameAttribute(NameOID.COMMON_NAME, user)]
        if group is not None:
            parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
        certificate = (
            self._builder(x509.Name(parts), key)
            .add_extension(x509.SubjectAlternativeName(self._alternatives), critical=False)
            .add_extension(
                x509.ExtendedKeyUsage(
                    [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
                ),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        self._write(file, certificate, key)

    def write_signing_keys(self) -> None:
        """Writes `sa.key` and `sa.pub`, for ServiceAccount tokens."""
        key = _new_key()
        self._write_private("sa.key", key)
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (self._folder / "sa.pub").write_bytes(public)

    def _builder(self, subject: x509.Name, key: rsa.RSAPrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - dt.timedelta(hours=1))
            .not_valid_after(self._now + LIFETIME)
        )

    def _write(self, file: str, certificate: x509.Certificate, key: rsa.RSAPrivateKey) -> None:
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        (self._folder / f"{file}.crt").write_bytes(pem)
        self._write_private(f"{file}.key", key)

    def _write_private(self, file: str, key: rsa.RSAPrivateKey) -> None:
        path = self._folder / file
        path.touch(mode=0o600)
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )


def write_kubeconfig(path: Path, server: str, pki: Path, user: str) -> None:
    """Writes a KUBECONFIG that names the files in `pki`."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "entrasync",
                "cluster": {"server": server, "certificate-authority": str(pki / "ca.crt")},
            }
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate": str(pki / f"{user}.crt"),
                    "client-key": str(pki / f"{user}.key"),
                },
            }
        ],
        "contexts": [{"name": "entrasync", "context": {"cluster": "entrasync", "user": user}}],
        "current-context": "entrasync",
    }
    path.write_text(json.dumps(config, indent=1))


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)
