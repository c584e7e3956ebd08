"""What is too large for an object of a tenant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from entrasync.emulator.objects import Attributes, RefusedError
from entrasync.entra.contracts import PropertyValue

CODE_LARGE: Final = "LargeObject"
CODE_LONG: Final = "ExceededAllowedLength"
"""Both documented, together: which of them belongs to which limit is guessed."""

_MOST_VALUES: Final = {"usercertificate": 15, "usersmimecertificate": 15, "proxyaddresses": 300}
"""Most values by name in lower case. 15 certificates are a hard limit (documented). About 300
addresses are a rule of thumb: the service counts octets of the whole object."""
_EXTENSION: Final = "extension_"
_MOST_EXTENSIONS: Final = 100
_LONGEST_EXTENSION: Final = 250


def check_sizes(changes: Mapping[str, PropertyValue], attributes: Attributes) -> None:
    """Refuses values that are too many or too long.

    Args:
        changes: what is exported.
        attributes: what the object would hold.

    Raises:
        RefusedError: a limit is exceeded.
    """
    extensions = False
    for name, value in changes.items():
        lower = name.lower()
        most = _MOST_VALUES.get(lower)
        if most is not None and isinstance(value, tuple) and len(value) > most:
            raise RefusedError(CODE_LARGE, f"{name} has more than {most} values.")
        if lower.startswith(_EXTENSION):
            extensions = True
            _check_extension(name, value)
    if extensions:
        _count_extensions(attributes)


def _check_extension(name: str, value: PropertyValue) -> None:
    values = value if isinstance(value, tuple) else (value,)
    if any(isinstance(each, str) and len(each) > _LONGEST_EXTENSION for each in values):
        raise RefusedError(CODE_LONG, f"{name} is longer than {_LONGEST_EXTENSION} characters.")


def _count_extensions(attributes: Attributes) -> None:
    count = sum(name.lower().startswith(_EXTENSION) for name, _ in attributes.items())
    if count > _MOST_EXTENSIONS:
        raise RefusedError(CODE_LONG, f"The object has more than {_MOST_EXTENSIONS} extensions.")
