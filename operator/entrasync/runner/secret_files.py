"""Secrets as a kubelet mounts them: `DIR/<secret name>/<key>`, the pod's own token and trust."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from entrasync.api.snapshot import EXTRA_CA_VARIABLE, TOKEN_FILE_VARIABLE
from entrasync.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TRIES: Final = 5
"""How often keys are read to find them twice alike; nobody changes a Secret faster."""


@dataclass(slots=True, frozen=True, kw_only=True)
class SecretFiles:
    """The Secrets of one run.

    Attributes:
        folder: holds a folder per Secret with a file per key.
        token_file: holds the token of the ServiceAccount the run works under; `None` when there
            is none.
        extra_ca_file: certificates to trust for the cloud beside the system's; `None` for no more.
    """

    folder: Path
    token_file: Path | None = None
    extra_ca_file: Path | None = None

    @classmethod
    def of(cls, folder: Path, environment: Mapping[str, str]) -> Self:
        """The Secrets of a folder, and the files that the environment names."""
        token, extra_ca = (environment.get(n) for n in (TOKEN_FILE_VARIABLE, EXTRA_CA_VARIABLE))
        return cls(
            folder=folder,
            token_file=Path(token) if token else None,
            extra_ca_file=Path(extra_ca) if extra_ca else None,
        )

    def extra_ca(self) -> str | None:
        """Certificates (PEM) to trust for the cloud beside the system's; `None` for no more.

        Raises:
            ConfigurationError: they were to be trusted, and are missing.
        """
        path = self.extra_ca_file
        if path is None:
            return None
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise ConfigurationError(
                "ReferenceNotFound",
                f"the certificates that the operator is told to trust in addition are not in"
                f" {path}; create the ConfigMap {path.parent.name} with key `{path.name}` in this"
                " namespace, or name the namespace in `runner.namespaces` of the chart",
            ) from None

    def read(self, name: str, key: str, *, resource: str, field: str) -> str:
        """Reads one key as text.

        Args:
            name: name of the Secret.
            key: key within it.
            resource: `Kind/name` that refers to it.
            field: the field that refers to it.

        Raises:
            ConfigurationError: the Secret or its key is missing, empty, or no text.
        """
        path = self.folder / name / key
        try:
            text = path.read_text(encoding="utf-8")
        except OSError:
            raise self._missing(name, key, resource, field) from None
        except UnicodeDecodeError:
            raise self._unusable(name, key, "is no UTF-8 text", resource, field) from None
        if not text.strip():
            raise self._unusable(name, key, "is empty", resource, field)
        return text

    def read_together(
        self, name: str, keys: Sequence[str], *, resource: str, field: str
    ) -> tuple[str, ...]:
        """Reads several keys as they were at one moment, though the Secret may change meanwhile.

        Args:
            name: name of the Secret.
            keys: keys within it.
            resource: `Kind/name` that refers to it.
            field: the field that refers to it.

        Raises:
            ConfigurationError: as `read`.
        """
        found: tuple[str, ...] = ()
        for _ in range(_TRIES):
            before = found
            found = tuple(self.read(name, key, resource=resource, field=field) for key in keys)
            if found == before:
                break
        return found

    def path(self, name: str, key: str, *, resource: str, field: str) -> Path:
        """Where one key lies that is no text.

        Args:
            name: name of the Secret.
            key: key within it.
            resource: `Kind/name` that refers to it.
            field: the field that refers to it.

        Raises:
            ConfigurationError: the Secret or its key is missing or empty.
        """
        path = self.folder / name / key
        try:
            size = path.stat().st_size
        except OSError:
            raise self._missing(name, key, resource, field) from None
        if not size:
            raise self._unusable(name, key, "is empty", resource, field)
        return path

    @staticmethod
    def _missing(name: str, key: str, resource: str, field: str) -> ConfigurationError:
        return ConfigurationError(
            "SecretNotFound",
            f"Secret {name} with key `{key}` was not found; create it, or name another in"
            f" `{field}`",
            resource=resource,
            field=field,
        )

    @staticmethod
    def _unusable(name: str, key: str, what: str, resource: str, field: str) -> ConfigurationError:
        return ConfigurationError(
            "SecretNotFound",
            f"key `{key}` of Secret {name} {what}; set it to the credential",
            resource=resource,
            field=field,
        )
