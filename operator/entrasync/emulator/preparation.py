"""What a cloud needs before it can be served, and how to reach it."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from entrasync.emulator.certificates import (
    KeyPair,
    ServerTls,
    make_application_pair,
    make_server_tls,
)
from entrasync.emulator.config import (
    EmulatedCloud,
    EmulatorConfig,
    Tenant,
    Tls,
    default_config,
)
from entrasync.emulator.manifests import cloud_manifest, render, tenant_manifests
from entrasync.emulator.persistence import DataFile
from entrasync.errors import ConfigurationError

_HTTPS_PORT: Final = 443


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A cloud ready to serve: nothing is missing in its configuration any more."""

    config: EmulatorConfig
    tls: ServerTls
    pairs: Mapping[str, KeyPair]
    """Certificates made for applications that had no credential, by client id."""


def prepare(
    config: EmulatorConfig | None, data: DataFile, hostnames: Sequence[str], now: dt.datetime
) -> Prepared:
    """Makes what the configuration leaves out, or finds it in the data file.

    Args:
        config: the cloud, `None` for one tenant with ids of its own.
        data: keeps what is made, so that a restart changes nothing for clients.
        hostnames: names of the server's certificate; empty: those of the configuration.
        now: when certificates begin to be valid.

    Raises:
        ConfigurationError: a certificate file cannot be read.
    """
    if config is None:
        ids = data.fact("ids", lambda: [str(uuid.uuid4()), str(uuid.uuid4())])
        config = default_config(*ids)
    pairs: dict[str, KeyPair] = {}
    tenants = [_with_credentials(tenant, data, now, pairs) for tenant in config.tenants]
    names = list(hostnames or config.tls.hostnames)
    clouds = [host for cloud in config.served_clouds for host in cloud.hostnames]
    names += [host for host in dict.fromkeys(clouds) if host not in names]
    config = config.model_copy(
        update={"tenants": tenants, "tls": config.tls.model_copy(update={"hostnames": names})}
    )
    return Prepared(config=config, tls=_server_tls(config.tls, data, now), pairs=pairs)


def public_url(config: EmulatorConfig, port: int, cloud: EmulatedCloud | None = None) -> str:
    """Where clients reach a cloud, by default the one at the top of the configuration.

    Args:
        config: names of the server's certificate.
        port: where it listens.
        cloud: the cloud.
    """
    cloud = cloud or config
    if cloud.public_url is not None:
        return cloud.public_url.rstrip("/")
    host = (cloud.hostnames or config.tls.hostnames)[0]
    host = f"[{host}]" if ":" in host else host
    return f"https://{host}" if port == _HTTPS_PORT else f"https://{host}:{port}"


def describe(prepared: Prepared, port: int) -> str:
    """The clouds, their tenants and credentials as YAML to apply.

    Args:
        prepared: what is served.
        port: where.
    """
    config, ca = prepared.config, prepared.tls.ca
    manifests = [
        cloud_manifest(config, cloud, public_url(config, port, cloud), ca)
        for cloud in config.served_clouds
    ]
    for tenant in config.tenants:
        manifests += tenant_manifests(config, tenant, prepared.pairs)
    return render(manifests)


def _with_credentials(
    tenant: Tenant, data: DataFile, now: dt.datetime, pairs: dict[str, KeyPair]
) -> Tenant:
    applications = []
    for each in tenant.applications:
        proof = each.client_secret or each.certificate or each.federated_credentials
        if not proof:
            client_id = each.client_id
            pair = KeyPair(
                **data.fact(
                    f"application/{client_id}",
                    lambda: asdict(make_application_pair(client_id, now)),  # noqa: B023 - at once
                )
            )
            pairs[client_id] = pair
            applications.append(each.model_copy(update={"certificate": pair.certificate}))
        else:
            applications.append(each)
    return tenant.model_copy(update={"applications": applications})


def _server_tls(tls: Tls, data: DataFile, now: dt.datetime) -> ServerTls:
    if tls.cert_file is not None and tls.key_file is not None:
        ca = _read(tls.ca_file, "tls.caFile") if tls.ca_file is not None else ""
        pair = KeyPair(
            certificate=_read(tls.cert_file, "tls.certFile"),
            key=_read(tls.key_file, "tls.keyFile"),
        )
        return ServerTls(server=pair, ca=ca)
    fact = f"tls/{','.join(tls.hostnames)}"
    kept = data.fact(fact, lambda: asdict(make_server_tls(tls.hostnames, now)))
    return ServerTls(server=KeyPair(**kept["server"]), ca=kept["ca"])


def _read(file: Path, field: str) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            "SecretNotFound", f"{file} cannot be read: {error.strerror}.", field=field
        ) from error
