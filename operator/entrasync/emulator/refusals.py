"""Refusals of a whole request, as the SOAP faults they travel in."""

from __future__ import annotations

from typing import Final

from entrasync.entra.contracts import ACTION_PREFIX, SERVICE_PATH
from entrasync.entra.faults import ACTION_NOT_SUPPORTED, encode_fault, encode_redirection_fault
from entrasync.entra.requests import RequestEnvelope

BUILD_TOO_OLD_TEXT: Final = "This version of the client is no longer supported."
"""Guessed: that builds below a floor are refused is documented, not in which words."""
COOKIE_TEXT: Final = "The cookie is not valid or has expired."
"""Guessed: what the service says to a cookie it does not know any more."""
TOO_MANY_LINKS_TEXT: Final = "A request must not change more than {most} links."
"""Guessed: that the limit of the tenant's configuration is enforced, and in which words."""
TOO_MANY_OBJECTS_TEXT: Final = "A request must not hold more than {most} objects."
"""Guessed: that there is such a limit at all, and in which words it is told."""

_SERVER_NAME: Final = "EMULATOR"


class FaultError(Exception):
    """The request as a whole is refused.

    Args:
        name: what the log of requests calls it.
        description: sentence of the service.
        soap_code: `Sender`, `Receiver` or `ActionNotSupported`.
        error_code: number of the service.
        redirect_url: where the tenant is instead.
    """

    def __init__(
        self,
        name: str,
        description: str,
        *,
        soap_code: str = "Sender",
        error_code: int | None = None,
        redirect_url: str | None = None,
    ) -> None:
        super().__init__(name)
        self.name = name
        self.description = description
        self.soap_code = soap_code
        self.error_code = error_code
        self.redirect_url = redirect_url

    def encode(self, request: RequestEnvelope | None) -> bytes:
        """The fault as an answer to a request, which may not have been readable."""
        relates_to = request.message_id if request else None
        if self.redirect_url is not None:
            return encode_redirection_fault(self.redirect_url, relates_to=relates_to)
        if self.soap_code == ACTION_NOT_SUPPORTED:
            return encode_fault(self.soap_code, self.description, relates_to=relates_to)
        return encode_fault(
            self.soap_code,
            self.description,
            error_code=self.error_code,
            description=self.description,
            tracking_id=request.token.tracking_id if request and request.token else None,
            server_name=_SERVER_NAME,
            relates_to=relates_to,
        )


def redirection(host: str) -> FaultError:
    """The tenant is served at another host, with or without a port."""
    url = f"https://{host}{SERVICE_PATH}"
    return FaultError("Redirected", "BindingRedirectionFault", redirect_url=url)


def unsupported(operation: str) -> FaultError:
    """There is no such operation; inferred from what WCF says of any contract."""
    return FaultError(
        ACTION_NOT_SUPPORTED,
        f"The message with Action '{ACTION_PREFIX}{operation}' cannot be processed at the"
        " receiver, due to a ContractFilter mismatch at the EndpointDispatcher.",
        soap_code=ACTION_NOT_SUPPORTED,
    )


def undeserializable(why: str) -> FaultError:
    """The request does not keep to the contract; the beginning of the sentence was seen."""
    return FaultError(
        "DeserializationFailed",
        f"The formatter threw an exception while trying to deserialize the message: {why}",
    )
