"""What a tenant does wrong on demand: redirections, refusals, spoiled and missing answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final
from urllib.parse import urlsplit

from entrasync.emulator.http import OK, SERVER_ERROR, Cut, HttpResponse
from entrasync.emulator.refusals import FaultError, redirection
from entrasync.emulator.switches import Malformed, Switches
from entrasync.entra.contracts import BUSY_CODE, BUSY_TEXT, CONTENT_TYPE

_GATEWAY_PAGE: Final = (
    "<!doctype html><html lang='en'><head><title>Service Unavailable</title></head>"
    "<body><h1>Our services aren't available right now</h1></body></html>"
)
_NO_SWITCHES: Final = Switches()
_GARBAGE: Final = bytes(range(255, 0, -1)) * 4


class Mishap(Enum):
    """What happens to one call; the value is its outcome in the log of requests."""

    DROP_BEFORE = "DroppedBefore"
    GATEWAY = "Gateway"
    DROP_AFTER = "DroppedAfter"
    MALFORMED = "Malformed"


class AbandonedError(Exception):
    """The call ends before anything took effect, without an answer of the service."""

    def __init__(self, mishap: Mishap) -> None:
        super().__init__(mishap.value)
        self.mishap = mishap


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What will become of the answer of a call that takes effect."""

    mishap: Mishap | None = None
    delay_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SoapAnswer:
    """An answer of the service, whether it is a fault, and what becomes of it."""

    body: bytes = b""
    fault: bool = False
    mishap: Mishap | None = None
    delay_seconds: float = 0.0
    switches: Switches = _NO_SWITCHES

    def response(self) -> HttpResponse:
        """The answer as it goes over the wire."""
        switches = self.switches
        match self.mishap:
            case Mishap.DROP_BEFORE | Mishap.DROP_AFTER:
                return HttpResponse(
                    content_type=CONTENT_TYPE,
                    body=b"",
                    cut=Cut.AT_ONCE,
                    delay_seconds=self.delay_seconds,
                )
            case Mishap.GATEWAY:
                return _gateway_page(switches)
            case Mishap.MALFORMED:
                return self._spoiled(switches.malformed)
            case None:
                return self._whole(self.body)

    def _whole(self, body: bytes, *, content_type: str = CONTENT_TYPE) -> HttpResponse:
        return HttpResponse(
            status=SERVER_ERROR if self.fault else OK,
            content_type=content_type,
            body=body,
            delay_seconds=self.delay_seconds,
        )

    def _spoiled(self, how: Malformed) -> HttpResponse:
        match how:
            case Malformed.TRUNCATED:
                return self._whole(self.body[: len(self.body) // 2])
            case Malformed.CUT_OFF:
                return HttpResponse(
                    content_type=CONTENT_TYPE,
                    body=self.body,
                    cut=Cut.IN_THE_MIDDLE,
                    delay_seconds=self.delay_seconds,
                )
            case Malformed.GARBAGE:
                return self._whole(_GARBAGE)
            case Malformed.WRONG_CONTENT_TYPE:
                return self._whole(self.body, content_type="application/octet-stream")


class Misbehaviour:
    """The switches of one tenant and what they count. Not thread-safe: the caller serializes.

    Args:
        configured: switches to begin with, and to go back to.
        now: the time in seconds.
    """

    def __init__(self, configured: Switches, now: float) -> None:
        self._configured = configured
        self._tokens_from = self._cookies_from = 0.0
        self._take(configured, now)

    @property
    def redirects_left(self) -> int:
        """How many requests are still sent away."""
        return self._redirects_left

    def switch(self, changes: Mapping[str, Any], now: float) -> Switches:
        """Sets the switches; what is not named is again as it was configured.

        Raises:
            pydantic.ValidationError: a name or value is not known; nothing changes.
        """
        configured = self._configured.model_dump(by_alias=True)
        self._take(Switches.model_validate(configured | dict(changes)), now)
        return self.switches

    def _take(self, switches: Switches, now: float) -> None:
        self.switches = switches
        self._redirects_left = switches.redirects
        self._calls = 0
        self._writes: deque[tuple[float, int]] = deque()
        if switches.expire_tokens:
            self._tokens_from = now
        if switches.expire_cookies:
            self._cookies_from = now

    def redirect(self, host: str) -> None:
        """Sends a request away.

        Args:
            host: host and port it came to.

        Raises:
            FaultError: it has to go elsewhere.
        """
        own = self.switches.redirect_host
        if own is not None:
            port = _port_of(host)
            target = own if port is None or _port_of(own) is not None else f"{own}:{port}"
            if target.lower() != host.lower():
                raise redirection(target)
        if self._redirects_left > 0:
            self._redirects_left -= 1
            raise redirection(host)

    def begin(self, operation: str) -> Fate:
        """Counts a call.

        Raises:
            AbandonedError: it ends here without an answer of the service.
            FaultError: the tenant is busy.
        """
        switches = self.switches
        if switches.operations and operation not in switches.operations:
            return Fate()
        self._calls += 1
        if self._is_turn(switches.drop_before_every):
            raise AbandonedError(Mishap.DROP_BEFORE)
        if self._is_turn(switches.gateway_every):
            raise AbandonedError(Mishap.GATEWAY)
        if self._is_turn(switches.busy_every):
            raise _busy("Busy")
        mishap = None
        if self._is_turn(switches.drop_after_every):
            mishap = Mishap.DROP_AFTER
        elif self._is_turn(switches.malformed_every):
            mishap = Mishap.MALFORMED
        delay = switches.delay_seconds if self._is_turn(switches.delay_every) else 0.0
        return Fate(mishap=mishap, delay_seconds=delay)

    def admit_writes(self, count: int, now: float) -> None:
        """Counts writes of objects.

        A request that is larger than the limit by itself is let through when nothing was written
        for long enough: else it never would be.

        Raises:
            FaultError: they are too many for now; they are not counted.
        """
        limit = self.switches.throttle
        if limit is None or count == 0:
            return
        while self._writes and self._writes[0][0] <= now - limit.seconds:
            self._writes.popleft()
        written = sum(each for _, each in self._writes)
        if written and written + count > limit.writes:
            raise _busy("Throttled")
        self._writes.append((now, count))

    def takes_token(self, issued: float, now: float) -> bool:
        """Whether a token issued at a time is still taken, whatever it claims itself."""
        return _is_fresh(issued, now, self._tokens_from, self.switches.token_lifetime_seconds)

    def takes_cookie(self, given: float, now: float) -> bool:
        """Whether a cookie given at a time is still taken."""
        return _is_fresh(given, now, self._cookies_from, self.switches.cookie_lifetime_seconds)

    def _is_turn(self, every: int) -> bool:
        return every > 0 and self._calls % every == 0


def _is_fresh(made: float, now: float, not_before: float, lifetime: int) -> bool:
    return made >= not_before and (lifetime == 0 or now < made + lifetime)


def _port_of(host: str) -> int | None:
    try:
        return urlsplit(f"//{host}").port
    except ValueError:
        return None


def _busy(name: str) -> FaultError:
    return FaultError(name, BUSY_TEXT, soap_code="Receiver", error_code=BUSY_CODE)


def _gateway_page(switches: Switches) -> HttpResponse:
    seconds = switches.gateway_retry_after_seconds
    return HttpResponse(
        status=switches.gateway_status,
        content_type="text/html; charset=utf-8",
        body=_GATEWAY_PAGE.encode(),
        headers=() if seconds is None else (("retry-after", str(seconds)),),
    )
