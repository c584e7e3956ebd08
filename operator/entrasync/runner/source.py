"""From an ActiveDirectory resource to an open session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from entrasync.api.snapshot import ca_certificates
from entrasync.directory.model import DirectoryConfig
from entrasync.directory.session import open_session
from entrasync.errors import ConfigurationError, TransientError
from entrasync.runner.inputs import directory_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from entrasync.api.active_directory import ActiveDirectory
    from entrasync.api.snapshot import Snapshot
    from entrasync.directory.session import DirectorySession
    from entrasync.runner.secret_files import SecretFiles

BIND_FIELD: Final = "spec.bindSecretRef"
KEYTAB_FIELD: Final = "spec.keytabSecretRef"
WAITS: Final = (1.0, 2.0, 4.0)
"""Seconds between tries: a pod's network, or a policy that opens it, may come after the pod."""


def directory_config(
    directory: ActiveDirectory, snapshot: Snapshot, secrets: SecretFiles
) -> DirectoryConfig:
    """Resolves credential and trust of a directory.

    Raises:
        ConfigurationError: a Secret, a ConfigMap or a key of one is missing, or servers are, or
            there is not exactly one credential.
    """
    spec = directory.spec
    if not spec.servers and spec.domain is None:
        raise ConfigurationError(
            "ConfigurationInvalid",
            "there is neither a server nor a domain; list `spec.servers`, or name `spec.domain`",
            resource=directory.key,
            field="spec.servers",
        )
    user, password = _password(directory, secrets)
    return DirectoryConfig(
        servers=tuple(spec.servers or ()),
        domain=spec.domain,
        base_dn=spec.base_dn,
        bind_user=user,
        bind_password=password,
        keytab=_keytab(directory, secrets),
        principal=spec.principal or "",
        ca_pem=ca_certificates(directory, snapshot, secrets.folder),
        start_tls=spec.start_tls,
        resource=directory.key,
    )


class Directories:
    """How to reach the directories of a run, with their Secrets as they are at that moment.

    A Secret that is rotated while a run goes on is used by the next connection.

    Args:
        snapshot: names the directories.
        secrets: their credentials.
    """

    def __init__(self, snapshot: Snapshot, secrets: SecretFiles) -> None:
        self._snapshot = snapshot
        self._secrets = secrets

    def require(self, sources: Iterable[str]) -> None:
        """Tells what is missing before anything is done.

        Raises:
            ConfigurationError: as `directory_config`.
        """
        for source in sources:
            self[source]

    def __getitem__(self, source: str) -> DirectoryConfig:
        """The directory of a source, by its name in the sync."""
        directory = directory_of(self._snapshot, source)
        return directory_config(directory, self._snapshot, self._secrets)


def _password(directory: ActiveDirectory, secrets: SecretFiles) -> tuple[str, str]:
    """Name and password, both empty with a keytab."""
    spec = directory.spec
    # refused at admission; files without a cluster come here unseen
    if (spec.bind_secret_ref is None) == (spec.keytab_secret_ref is None):
        raise ConfigurationError(
            "SecretNotFound",
            "exactly one of `bindSecretRef` and `keytabSecretRef` must be specified",
            resource=directory.key,
            field=BIND_FIELD,
        )
    if (spec.principal is None) != (spec.keytab_secret_ref is None):
        raise ConfigurationError(
            "BindRejected",
            "`principal` must be specified together with `keytabSecretRef`, and only then",
            resource=directory.key,
            field="spec.principal",
        )
    if spec.bind_secret_ref is None:
        return "", ""
    name = spec.bind_secret_ref.name
    # no name and no usual password begins or ends with white space, but many files do
    user, password = secrets.read_together(
        name, ("username", "password"), resource=directory.key, field=BIND_FIELD
    )
    return user.strip(), password.rstrip("\r\n")


def _keytab(directory: ActiveDirectory, secrets: SecretFiles) -> Path | None:
    reference = directory.spec.keytab_secret_ref
    if reference is None:
        return None
    return secrets.path(reference.name, reference.key, resource=directory.key, field=KEYTAB_FIELD)


def open_patiently(config: DirectoryConfig, sleep: Callable[[float], None]) -> DirectorySession:
    """Opens a directory; where none can be reached, tries again for a few seconds.

    Credentials that were refused are never tried again: that could lock the account.

    Raises:
        EntrasyncError: as `open_session`.
    """
    for wait in WAITS:
        try:
            return open_session(config)
        except TransientError as error:
            structlog.get_logger().info("directory_awaited", reason=error.reason, seconds=wait)
        sleep(wait)
    return open_session(config)
