"""The exceptions of entrasync, each with a reason that conditions, Events and metrics share.

    EntrasyncError
    +-- ConfigurationError      a person must act (exit code 2, the resource becomes Stalled)
    |   +-- BindRejectedError   never tried again at another server: it would lock the account
    +-- TransientError          may be tried again (exit code 1)
    +-- BlockedError            a brake or an empty source stopped the plan (exit code 3)
    +-- CancelledError          somebody asked the run to end; the next one goes on

Messages are full sentences: what happened, which resource and field, and the remedy. They never
hold secrets, tokens or personal data.
"""

from __future__ import annotations

from typing_extensions import override


class EntrasyncError(Exception):
    """Anything entrasync itself reports.

    Args:
        reason: CamelCase reason from the list in the API documentation, for example `BindRejected`.
        message: a sentence with what happened and the remedy; safe to show in a status.
        resource: `Kind/name` of the resource to look at, empty when unknown.
        field: path of the field to look at, for example `spec.baseDN`, empty when none.
    """

    def __init__(self, reason: str, message: str, *, resource: str = "", field: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.resource = resource
        self.field = field

    @override
    def __str__(self) -> str:
        where = " ".join(part for part in (self.resource, self.field) if part)
        return f"{where}: {self.message}" if where else self.message


class ConfigurationError(EntrasyncError):
    """A person must change a resource, a Secret, the directory or the tenant."""


class BindRejectedError(ConfigurationError):
    """The directory refused the bind credentials; trying again could lock the account."""


class TransientError(EntrasyncError):
    """The same call may succeed later.

    Args:
        retry_after: seconds to wait as told by the other side, `None` when it did not say.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        resource: str = "",
        field: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(reason, message, resource=resource, field=field)
        self.retry_after = retry_after


class BlockedError(EntrasyncError):
    """A safety rule stopped the run before anything was exported."""


class CancelledError(EntrasyncError):
    """The run was asked to end while it waited; nothing is lost, the next one goes on."""

    def __init__(self) -> None:
        super().__init__("Cancelled", "it was asked to end; the next run goes on where it stopped")
