"""Secrets as a kubelet mounts them: `DIR/<secret name>/<key>`, and the pod's own token."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from entrasync.api.snapshot import TOKEN_FILE_VARIABLE
from entrasync.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(slots=True, frozen=True, kw_only=True)
class SecretFiles:
    """The Secrets of one run.

    Attributes:
        folder: holds a folder per Secret with a file per key.
        token_file: holds the token of the ServiceAccount the run works under; `None` when there
            is none.
    """

    folder: Path
    token_file: Path | None = None

    @classmethod
    def of(cls, folder: Path, environment: Mapping[str, str]) -> Self:
        """The Secrets of a folder, and the token that the environment names."""
        token = environment.get(TOKEN_FILE_VARIABLE)
        return cls(folder=folder, token_file=Path(token) if token else None)

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
