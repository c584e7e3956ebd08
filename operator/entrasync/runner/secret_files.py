"""Secrets as a kubelet mounts them: `DIR/<secret name>/<key>`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from entrasync.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(slots=True, frozen=True, kw_only=True)
class SecretFiles:
    """The Secrets of one run.

    Attributes:
        folder: holds a folder per Secret with a file per key.
    """

    folder: Path

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
            raise ConfigurationError(
                "SecretNotFound",
                f"Secret {name} with key `{key}` was not found; create it, or name another in"
                f" `{field}`",
                resource=resource,
                field=field,
            ) from None
        except UnicodeDecodeError:
            raise self._unusable(name, key, "is no UTF-8 text", resource, field) from None
        if not text.strip():
            raise self._unusable(name, key, "is empty", resource, field)
        return text

    @staticmethod
    def _unusable(name: str, key: str, what: str, resource: str, field: str) -> ConfigurationError:
        return ConfigurationError(
            "SecretNotFound",
            f"key `{key}` of Secret {name} {what}; set it to the credential",
            resource=resource,
            field=field,
        )
