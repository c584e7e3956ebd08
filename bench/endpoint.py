"""V1 beside V2 of the sync service: the same work through both, over TLS to the emulated cloud.

For groups of several sizes the first fill, one changed member, and a read-back of the whole tenant:
requests, octets and seconds of each. Client and cloud share this process, so that seconds hold the
work of both. Beside it what the cloud takes by itself, and how much of the quota a paced fill uses.
"""

from __future__ import annotations

import datetime as dt
import gc
import math
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
import matplotlib as mpl
from typing_extensions import override

from bench.figures import Figure
from entrasync.cli.logs import configure_logging
from entrasync.entra.batches import START_OBJECTS, plan_batches
from entrasync.entra.client import Surroundings, SyncServiceClient
from entrasync.entra.clouds import Cloud
from entrasync.entra.contracts import (
    KEY_MEMBER,
    LinkChange,
    PropertyValue,
    SyncObject,
    SyncObjectType,
    SyncOperation,
    SyncVersion,
)
from entrasync.entra.pacing import DEFAULT_PERCENT, WINDOW_SECONDS, Pacer, share_of
from tests.support.emulator import EmulatorServer

SIZES: Final = (1_000, 10_000, 50_000, 250_000)
LARGEST: Final = {SyncVersion.V1: 50_000, SyncVersion.V2: 250_000}
STEPS: Final = ("fill", "one_member", "read_back")
OBJECTS: Final = 10_000
PAGE: Final = 5_000
PLOT: Final = Path(__file__).parent / "results" / "endpoint.png"
WRITES: Final = 67_200
"""What 80 % of the quota allows in an hour."""
CALL_SECONDS: Final = 1.5
"""Made up: what a call takes the service in the simulation of pacing."""


@dataclass(slots=True)
class Cost:
    """What some work took."""

    requests: int = 0
    octets: int = 0
    seconds: float = 0.0


def measure() -> list[Figure]:
    """Groups of 1,000 to 250,000 members over V1 and V2, and the emulated cloud alone (2 min)."""
    configure_logging("warning")
    costs: dict[tuple[SyncVersion, int, str], Cost] = {}
    for size in SIZES:
        with _cloud(size) as cloud:
            for version in SyncVersion:
                if size <= LARGEST[version]:
                    print(f"  {size:,} members over {version}", flush=True)
                    for step, cost in _through(cloud, version, size):
                        costs[version, size, step] = cost
    _print(costs)
    _plot(costs)
    return [*_figures(costs), *_accepted(), _quota_used()]


def _cloud(users: int) -> EmulatorServer:
    """A tenant with so many users, and pages as large as a service may be thought to have."""
    return EmulatorServer({"seed": {"users": users}}, faults={"readBackPageSize": PAGE})


class _Counting(httpx.HTTPTransport):
    """Counts what goes over the wire, headers left out."""

    def __init__(self, cloud: EmulatorServer) -> None:
        super().__init__(verify=cloud.trust)
        self.cost = Cost()

    @override
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle_request(request)
        body = answer.read()
        self.cost.requests += 1
        self.cost.octets += len(request.content) + len(body)
        return httpx.Response(answer.status_code, headers=answer.headers, content=body)


@dataclass(slots=True)
class _Token:
    value: str

    def token(self) -> str:
        return self.value

    def renew(self) -> None:
        pass


@dataclass(slots=True)
class _Tenant:
    """One tenant reached over one version, with what it cost."""

    cloud: EmulatorServer
    version: SyncVersion
    transport: _Counting = field(init=False)
    client: SyncServiceClient = field(init=False)

    def __post_init__(self) -> None:
        self.transport = _Counting(self.cloud)
        self.client = SyncServiceClient(
            Cloud(name="emulator", login_authority=self.cloud.url, sync_service_url=self.cloud.url),
            self.cloud.tenant_id,
            _Token(self.cloud.token()),
            Surroundings(sleep=time.sleep, new_id=lambda: str(uuid.uuid4())),
            version=self.version,
            transport=self.transport,
        )

    def measured(self, work: Callable[[], object]) -> Cost:
        """What the work costs."""
        before, start = self.transport.cost, time.perf_counter()
        self.transport.cost = Cost()
        work()
        cost, self.transport.cost = self.transport.cost, before
        cost.seconds = time.perf_counter() - start
        return cost

    def send(self, objects: Iterable[SyncObject]) -> None:
        """Exports objects as the engine cuts them."""
        limit = LARGEST[self.version] if self.version is SyncVersion.V1 else 15_000
        for batch in plan_batches(list(objects), max_links=limit, margin=0.02):
            for result in self.client.provision(batch):
                if not result.success:
                    message = f"{result.source_anchor} was refused: {result.description}"
                    raise AssertionError(message)

    def read(self) -> int:
        """Reads the whole tenant back."""
        return sum(len(page.objects) for page in self.client.read_back())


_NEW: Final[Mapping[str, PropertyValue]] = {"displayName": "Everybody", "securityEnabled": True}


def _through(cloud: EmulatorServer, version: SyncVersion, size: int) -> Iterator[tuple[str, Cost]]:
    tenant = _Tenant(cloud, version)
    members = [f"somebody-else-{number:06}" for number in range(1, size + 1)]
    anchor = f"group-of-{version}"
    fill = _membership(version, anchor, [], members)
    change = _membership(version, anchor, members, members[1:])
    with tenant.client:
        tenant.send([_group(anchor, properties=_NEW)])
        yield "fill", tenant.measured(lambda: tenant.send(fill))
        yield "one_member", tenant.measured(lambda: tenant.send(change))
        found = cloud.object(anchor)["memberCount"]
        if found != size - 1:
            message = f"the group has {found} members, not {size - 1}"
            raise AssertionError(message)
        yield "read_back", tenant.measured(tenant.read)
        tenant.send([_group(anchor, operation=SyncOperation.DELETE)])


def _membership(
    version: SyncVersion, anchor: str, before: list[str], after: list[str]
) -> list[SyncObject]:
    """The change from one membership to another: whole over V1, as a difference over V2."""
    if version is SyncVersion.V1:
        return [_group(anchor, properties={KEY_MEMBER: tuple(after)})]
    gone, new = set(before) - set(after), set(after) - set(before)
    links = [LinkChange(anchor=each, add=False) for each in sorted(gone)]
    links += [LinkChange(anchor=each, add=True) for each in sorted(new)]
    return [_group(anchor, links=tuple(links))]


def _group(
    anchor: str,
    *,
    operation: SyncOperation = SyncOperation.SET,
    links: tuple[LinkChange, ...] = (),
    properties: Mapping[str, PropertyValue] | None = None,
) -> SyncObject:
    return SyncObject(
        object_type=SyncObjectType.GROUP,
        operation=operation,
        source_anchor=anchor,
        properties=properties or {},
        links=links,
    )


def _figures(costs: dict[tuple[SyncVersion, int, str], Cost]) -> list[Figure]:
    v1, v2 = SyncVersion.V1, SyncVersion.V2
    fill, change = costs[v2, 250_000, "fill"], costs[v2, 250_000, "one_member"]
    figures = [
        Figure(
            name="fill_250k_requests", value=fill.requests, unit="requests", at_least=17, at_most=17
        ),
        Figure(name="fill_250k_seconds", value=fill.seconds, unit="s"),
        Figure(name="one_member_requests", value=change.requests, unit="requests", at_most=1),
        Figure(name="one_member_links", value=_links_of_one_member(), unit="links", at_most=1),
        Figure(name="one_member_250k_octets", value=change.octets, unit="octets", at_most=5_000),
    ]
    for step in STEPS:
        old, new = costs[v1, 50_000, step], costs[v2, 50_000, step]
        suffix = "" if step == "one_member" else f"_{step}"
        figures += [
            Figure(name=f"v1_to_v2_bytes_50k{suffix}", value=old.octets / new.octets),
            Figure(name=f"v1_to_v2_seconds_50k{suffix}", value=old.seconds / new.seconds),
        ]
    return figures


def _links_of_one_member() -> int:
    members = [f"member-{number}" for number in range(1000)]
    changes = _membership(SyncVersion.V2, "group", members, members[1:])
    return sum(len(each.links) for batch in plan_batches(changes) for each in batch)


def _accepted() -> list[Figure]:
    """What the emulated cloud itself takes on one core, without HTTP and whoever sends."""
    # else what the clouds before left is looked through for garbage in the middle of a request
    gc.collect()
    with _cloud(15_000) as cloud:
        people = [_person(number) for number in range(OBJECTS)]
        chunks = [people[at : at + START_OBJECTS] for at in range(0, OBJECTS, START_OBJECTS)]
        objects = [cloud.export(chunk) for chunk in chunks]
        members = [f"somebody-else-{number:06}" for number in range(1, 15_001)]
        group = cloud.export(
            [_group("g", properties={"displayName": "g", "securityEnabled": True})]
        )
        fill = cloud.export(_membership(SyncVersion.V2, "g", [], members))
        object_seconds = _core_seconds(lambda: [cloud.serve(each) for each in objects])
        cloud.serve(group)
        link_seconds = _core_seconds(lambda: cloud.serve(fill))
        if len(cloud.objects("User")) != OBJECTS + 15_000 or len(cloud.links("g")) != 15_000:
            message = "the cloud did not take all that was sent"
            raise AssertionError(message)
    return [
        Figure(
            name="emulator_objects_per_second",
            value=OBJECTS / object_seconds,
            unit="objects/s",
            at_least=2_000,
        ),
        Figure(
            name="emulator_links_per_second",
            value=len(members) / link_seconds,
            unit="links/s",
            at_least=50_000,
        ),
    ]


def _person(number: int) -> SyncObject:
    address = f"person{number:06}@contoso.test"
    return SyncObject(
        object_type=SyncObjectType.USER,
        operation=SyncOperation.SET,
        source_anchor=f"person-{number:06}",
        properties={
            "accountEnabled": True,
            "displayName": f"Person {number:06}",
            "givenName": "Person",
            "surname": f"{number:06}",
            "userPrincipalName": address,
            "mail": address,
            "proxyAddresses": (f"SMTP:{address}",),
            "department": "Sales",
            "city": "Ulm",
            "onPremisesSamAccountName": f"person{number:06}",
        },
    )


def _core_seconds(work: Callable[[], object]) -> float:
    """Seconds one core is busy with work of this thread."""
    start = time.thread_time()
    work()
    return time.thread_time() - start


def _quota_used() -> Figure:
    """How much of the share a long fill uses, by a clock that passes only where it is told to."""
    passed = 0.0

    def sleep(seconds: float) -> None:
        nonlocal passed
        passed += seconds

    quota = share_of(DEFAULT_PERCENT)
    pacer = Pacer(
        quota,
        started=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        monotonic=lambda: passed,
        sleep=sleep,
    )
    left = WRITES
    while left:
        pacer.make_room(left, lambda: False, lambda _: None)
        objects = min(left, pacer.limits(START_OBJECTS, 15_000).objects)
        pacer.wait(objects, lambda: False, lambda _: None)
        pacer.reserve(objects, 0)
        with pacer.call():
            sleep(CALL_SECONDS)
        left -= objects
    allowed = quota * math.ceil(passed / WINDOW_SECONDS)
    return Figure(name="quota_used_percent", value=100 * WRITES / allowed, unit="%", at_least=95)


def _print(costs: dict[tuple[SyncVersion, int, str], Cost]) -> None:
    print(f"  {'members':>8}  {'':10}  {'':4}{'requests':>9}{'KiB':>11}{'seconds':>9}")
    for (version, size, step), cost in sorted(
        costs.items(), key=lambda item: (item[0][1], STEPS.index(item[0][2]), item[0][0])
    ):
        print(
            f"  {size:>8,}  {step:<10}  {version:<4}{cost.requests:>9,}"
            f"{cost.octets / 1024:>11,.1f}{cost.seconds:>9.2f}"
        )


def _plot(costs: dict[tuple[SyncVersion, int, str], Cost]) -> None:
    mpl.use("agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415  - after the choice of a backend

    figure, axes = plt.subplots(2, len(STEPS), figsize=(12, 6), sharex=True, layout="constrained")
    for column, step in enumerate(STEPS):
        for version in SyncVersion:
            found = [(s, costs[version, s, step]) for s in SIZES if (version, s, step) in costs]
            sizes = [size for size, _ in found]
            axes[0][column].plot(
                sizes, [c.octets / 1024 for _, c in found], marker="o", label=version.value
            )
            axes[1][column].plot(sizes, [c.seconds for _, c in found], marker="o")
        axes[0][column].set_title(step.replace("_", " "))
        for row, unit in enumerate(("KiB", "seconds")):
            axes[row][column].set(xscale="log", yscale="log", ylabel=unit)
        axes[1][column].set_xlabel("members of the group")
    axes[0][0].legend(title="version")
    PLOT.parent.mkdir(exist_ok=True)
    figure.savefig(PLOT, dpi=100, metadata={"Software": None})
    plt.close(figure)
