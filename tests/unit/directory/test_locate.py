"""Domain controllers by DNS: asked of a real server on loopback."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from entrasync.directory.locate import Service, in_order, locate
from entrasync.directory.model import DirectoryConfig
from entrasync.errors import ConfigurationError, TransientError
from tests.support.nameserver import serving

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LDAP = "_ldap._tcp.dc._msdcs.contoso.test"
LDAPS = "_ldaps._tcp.dc._msdcs.contoso.test"
CONFIG = DirectoryConfig(
    servers=(),
    domain="Contoso.Test",
    base_dn=None,
    bind_user="u",
    bind_password="p",
    ca_pem="a CA of our own",
    start_tls=False,
    connect_timeout=2,
)
TWO = ["0 100 389 dc1.contoso.test.", "10 100 389 dc2.contoso.test."]


def found(
    records: Mapping[str, Sequence[str]], config: DirectoryConfig = CONFIG
) -> tuple[str, ...]:
    with serving(records) as server:
        return locate(config, resolver=server.resolver)


def test_without_records_of_ldaps_every_domain_controller_is_asked_at_its_port() -> None:
    assert found({LDAP: TWO}) == (
        "ldaps://dc1.contoso.test:636",
        "ldaps://dc2.contoso.test:636",
    )


def test_records_of_ldaps_are_taken_as_they_are() -> None:
    records = {LDAP: TWO, LDAPS: ["0 0 6360 dc3.contoso.test."]}

    assert found(records) == ("ldaps://dc3.contoso.test:6360",)


def test_with_start_tls_the_plain_port_is_meant() -> None:
    records = {LDAP: TWO, LDAPS: ["0 0 636 dc3.contoso.test."]}

    assert found(records, replace(CONFIG, start_tls=True)) == (
        "ldap://dc1.contoso.test:389",
        "ldap://dc2.contoso.test:389",
    )


@pytest.mark.parametrize("records", [{}, {LDAP: []}, {LDAP: ["0 0 0 ."]}])
def test_a_domain_that_dns_does_not_know_is_tried_again(
    records: Mapping[str, Sequence[str]],
) -> None:
    with pytest.raises(TransientError) as caught:
        found(records)

    assert (caught.value.reason, caught.value.field) == ("ServerUnreachable", "spec.domain")
    assert LDAP in caught.value.message.lower()


def test_a_dns_server_that_is_silent_is_no_answer() -> None:
    with serving({}) as server:
        resolver = server.resolver
    # it has ended: the port is closed

    with pytest.raises(TransientError) as caught:
        locate(replace(CONFIG, connect_timeout=0.2), resolver=resolver)

    assert "DNS does not answer" in caught.value.message


def test_where_every_public_ca_is_trusted_only_names_of_the_domain_count() -> None:
    outside = "0 0 389 dc1.contoso.test.evil.example."
    public = replace(CONFIG, ca_pem=None)

    assert found({LDAP: [outside, *TWO]}, public) == (
        "ldaps://dc1.contoso.test:636",
        "ldaps://dc2.contoso.test:636",
    )
    with pytest.raises(ConfigurationError) as caught:
        found({LDAP: [outside]}, public)
    assert (caught.value.reason, caught.value.field) == ("CertificateNotTrusted", "spec.domain")
    assert found({LDAP: [outside]}) == ("ldaps://dc1.contoso.test.evil.example:636",)


def service(target: str, *, priority: int = 0, weight: int = 0) -> Service:
    return Service(priority=priority, weight=weight, port=636, target=target)


def test_the_first_are_chosen_by_weight_and_all_are_tried() -> None:
    services = [
        service("last", priority=5, weight=1000),
        service("light", weight=1),
        service("heavy", weight=3),
        service("none"),
    ]

    firsts: Counter[str] = Counter()
    for number in range(5):
        numbers = iter([number])
        ordered = in_order(services, lambda most, n=numbers: next(n, most - 1))  # type: ignore[misc]  # binds the loop
        assert ordered[-1].target == "last"
        assert {each.target for each in ordered} == {"last", "light", "heavy", "none"}
        firsts[ordered[0].target] += 1

    assert firsts == {"none": 1, "light": 1, "heavy": 3}


def test_a_number_is_asked_for_within_the_sum_of_weights() -> None:
    asked: list[int] = []

    def pick(most: int) -> int:
        asked.append(most)
        return 0

    in_order([service("a", weight=1), service("b", weight=3), service("c")], pick)

    assert asked == [5, 5, 4]
