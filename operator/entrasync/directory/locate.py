"""Domain controllers found by DNS, in the order of RFC 2782.

DNS is believed only as far as the certificate goes: the name that it gave is the one the
certificate must be for. Where every public CA is trusted that proves little, so then only names
within the domain count.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dns.exception import DNSException
from dns.resolver import NXDOMAIN, NoAnswer, Resolver

from entrasync.errors import ConfigurationError, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from entrasync.directory.model import DirectoryConfig

FIELD: Final = "spec.domain"
_LDAP: Final = "_ldap._tcp.dc._msdcs"
_LDAPS: Final = "_ldaps._tcp.dc._msdcs"
_LDAPS_PORT: Final = 636


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One SRV record."""

    priority: int
    weight: int
    port: int
    target: str
    """Without the dot at its end; empty where there is decidedly no such service."""


def locate(
    config: DirectoryConfig,
    *,
    resolver: Resolver | None = None,
    pick: Callable[[int], int] = secrets.randbelow,
) -> tuple[str, ...]:
    """Find the domain controllers of `config.domain`, best first.

    Records of LDAPS are rare: Active Directory registers none. Then every domain controller is
    asked at the usual port.

    Args:
        config: what is wanted.
        resolver: whom to ask; default: as the host does.
        pick: gives a number from 0 up to, but not, its argument.

    Raises:
        TransientError: `ServerUnreachable`: DNS does not answer, or knows none.
        ConfigurationError: `CertificateNotTrusted`: all are outside of the domain.
    """
    domain = (config.domain or "").rstrip(".").lower()
    try:
        asked = resolver or Resolver()
        found = _found(asked, domain, config)
    except DNSException as error:
        raise _unreachable(f"DNS does not answer ({type(error).__name__})", config) from error
    if not found:
        raise _unreachable("DNS knows none", config)
    usable = [each for each in found if config.ca_pem is not None or _within(each.target, domain)]
    if not usable:
        raise ConfigurationError(
            "CertificateNotTrusted",
            f"DNS names domain controllers outside of {domain} only, and any public CA would vouch"
            " for them. Give the CA of the domain controllers, or list them in `spec.servers`.",
            resource=config.resource,
            field=FIELD,
        )
    scheme = "ldap" if config.start_tls else "ldaps"
    return tuple(f"{scheme}://{each.target}:{each.port}" for each in in_order(usable, pick))


def in_order(services: Iterable[Service], pick: Callable[[int], int]) -> list[Service]:
    """Order services by priority, and at random by weight within one (RFC 2782)."""
    ordered: list[Service] = []
    # those without weight stand first, so that they are chosen seldom but not never
    waiting = sorted(services, key=lambda each: (each.priority, each.weight, each.target))
    while waiting:
        rivals = [each for each in waiting if each.priority == waiting[0].priority]
        left = pick(sum(each.weight for each in rivals) + 1)
        for chosen in rivals:
            left -= chosen.weight
            if left <= 0:
                break
        ordered.append(chosen)
        waiting.remove(chosen)
    return ordered


def _found(resolver: Resolver, domain: str, config: DirectoryConfig) -> list[Service]:
    if not config.start_tls:
        found = _ask(resolver, f"{_LDAPS}.{domain}.", config)
        if found:
            return found
    found = _ask(resolver, f"{_LDAP}.{domain}.", config)
    if config.start_tls:
        return found
    return [
        Service(priority=each.priority, weight=each.weight, port=_LDAPS_PORT, target=each.target)
        for each in found
    ]


def _ask(resolver: Resolver, name: str, config: DirectoryConfig) -> list[Service]:
    try:
        answer = resolver.resolve(name, "SRV", search=False, lifetime=config.connect_timeout)
    except (NXDOMAIN, NoAnswer):
        return []
    found = [
        Service(
            priority=each.priority,
            weight=each.weight,
            port=each.port,
            target=each.target.to_text(omit_final_dot=True),
        )
        for each in answer
    ]
    return [each for each in found if each.target not in ("", ".")]


def _within(target: str, domain: str) -> bool:
    return target.lower().endswith(f".{domain}")


def _unreachable(why: str, config: DirectoryConfig) -> TransientError:
    return TransientError(
        "ServerUnreachable",
        f"No domain controller of {config.domain} can be found: {why}. Check the name, and that the"
        f" DNS server of this network knows {_LDAP}.{config.domain}.",
        resource=config.resource,
        field=FIELD,
    )
