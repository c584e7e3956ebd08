"""From an ActiveDirectory resource to an open session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entrasync.api.snapshot import ca_certificates
from entrasync.directory.model import DirectoryConfig

if TYPE_CHECKING:
    from entrasync.api.active_directory import ActiveDirectory
    from entrasync.api.snapshot import Snapshot
    from entrasync.runner.secret_files import SecretFiles


def directory_config(
    directory: ActiveDirectory, snapshot: Snapshot, secrets: SecretFiles
) -> DirectoryConfig:
    """Resolves credential and trust of a directory.

    Raises:
        ConfigurationError: a Secret, a ConfigMap or a key of one is missing.
    """
    spec = directory.spec
    name = spec.bind_secret_ref.name
    field = "spec.bindSecretRef"
    return DirectoryConfig(
        servers=tuple(spec.servers),
        base_dn=spec.base_dn,
        # no name and no usual password begins or ends with white space, but many files do
        bind_user=secrets.read(name, "username", resource=directory.key, field=field).strip(),
        bind_password=secrets.read(name, "password", resource=directory.key, field=field).rstrip(
            "\r\n"
        ),
        ca_pem=ca_certificates(directory, snapshot, secrets.folder),
        start_tls=spec.start_tls,
        resource=directory.key,
    )
