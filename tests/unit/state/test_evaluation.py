"""What is evaluated change by change is what would be evaluated in one go."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrasync.api.choices import AnchorSource, JoinBy
from entrasync.engine.inputs import AnchorRules
from entrasync.engine.selection import KindRules, SelectionRules
from entrasync.engine.source import SourceKind
from entrasync.state.schema import Kind
from tests.unit.engine.world import ROOT, World, guid_of, sids

SECOND = ROOT + 1
INNER, OUTER, ELSEWHERE = 3, 4, 5
USERS, GROUPS, CONTACTS = (10, 11, 12, 13, 14), (20, 21, 22), (30,)
FOREIGN = (40, 41)
EVERYBODY = (*USERS, *GROUPS, *CONTACTS)
SIDS = dict(zip(EVERYBODY, sids(*EVERYBODY), strict=True))
ADDRESSES = (None, "a@contoso.test", "A@contoso.test", "b@contoso.test")
SCOPING = "CN=Scoping,DC=x"

Step = Callable[[World], None]


def place_of(guid: int, *, inner: bool, moved: bool = False) -> dict[str, Any]:
    """Where an object lies: odd ones in the second source, unless they moved to the other one."""
    if bool(guid % 2) != moved:
        return {"parent": OUTER if inner else SECOND, "source": SECOND}
    return {"parent": INNER if inner else ROOT, "source": ROOT}


@st.composite
def puts(draw: st.DrawFn) -> Step:
    guid = draw(st.sampled_from(EVERYBODY))
    inner, moved = draw(st.booleans()), draw(st.integers(0, 4)) == 0
    mail, name = draw(st.sampled_from(ADDRESSES)), draw(st.sampled_from((*ADDRESSES, "b d@x.test")))
    preset = draw(st.sampled_from((None, None, 70, 71)))
    more: dict[str, Any] = {"title": draw(st.sampled_from((None, "one", "two")))}
    if draw(st.integers(0, 5)) == 0:
        more["isCriticalSystemObject"] = "TRUE"
    raw = {} if preset is None else {"mS-DS-ConsistencyGuid": bytes([preset]) * 16}
    place, sid = place_of(guid, inner=inner, moved=moved), SIDS[guid]

    def step(world: World) -> None:
        if guid in USERS:
            world.user(guid, sid=sid, raw=raw, mail=mail, userPrincipalName=name, **place, **more)
        elif guid in GROUPS:
            world.put(guid, Kind.GROUP, sid=sid, raw=raw, mail=mail, **place, **more)
        else:
            world.put(guid, Kind.CONTACT, mail=mail or "c@x.test", **place, **more)

    return step


@st.composite
def steps(draw: st.DrawFn) -> Step:
    """One thing that happens to the sources or the tenant."""
    group, other = draw(st.sampled_from(GROUPS)), draw(st.sampled_from((*EVERYBODY, *FOREIGN)))
    guid, flag = draw(st.sampled_from(EVERYBODY)), draw(st.booleans())
    kind = Kind.USER if guid in USERS else Kind.GROUP if guid in GROUPS else Kind.CONTACT
    container = draw(st.sampled_from((INNER, OUTER)))
    top = ROOT if container == INNER else SECOND

    def move(world: World) -> None:
        world.put(container, Kind.CONTAINER, parent=ELSEWHERE if flag else top, source=top)

    def refer(world: World) -> None:
        world.refer(guid, "manager", *((other,) if flag and other not in FOREIGN else ()))

    choices: list[Step] = [
        lambda world: world.remove(guid),
        lambda world: world.link(group, other),
        lambda world: world.link(group, other),
        lambda world: world.unlink(group, other),
        refer,
        move,
        lambda world: world.hold(guid, kind, owned=flag, properties={"mail": "a@contoso.test"}),
        lambda world: world.hold(guid, kind, managed=flag),
        lambda world: world.hold(guid, kind, identifier=guid if flag else 10),
        lambda world: world.lose(guid),
        lambda world: world.hold_link(group, guid, held=flag),
        lambda world: world.export(deletes=flag),
        lambda _: None,
    ]
    return draw(st.one_of(puts(), puts(), st.sampled_from(choices)))


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    kinds: dict[SourceKind, KindRules] = {}
    groups: dict[str, str] = {}
    if draw(st.integers(0, 3)) == 0:
        kinds[draw(st.sampled_from((SourceKind.USER, SourceKind.CONTACT)))] = KindRules(
            enabled=False
        )
    elif draw(st.booleans()):
        kinds[SourceKind.USER] = KindRules(group=SCOPING, nested=draw(st.booleans()))
        groups[SCOPING] = guid_of(98)
    return {
        "selection": SelectionRules(kinds=kinds, resource="r"),
        "group_guids": groups,
        "join_users": draw(st.sampled_from(JoinBy)),
        "anchors": AnchorRules(
            source=draw(st.sampled_from((AnchorSource.CONSISTENCY_GUID, AnchorSource.OBJECT_GUID)))
        ),
        "max_group_members": draw(st.sampled_from((2, 250_000))),
    }


def started(folder: Path) -> World:
    """Two sources with a container and somebody each who is always there, and everybody in them."""
    world = World(folder, sources=2)
    world.put(ELSEWHERE, Kind.CONTAINER, parent=None)
    world.put(INNER, Kind.CONTAINER, parent=ROOT)
    world.put(OUTER, Kind.CONTAINER, parent=SECOND, source=SECOND)
    for guid, other in zip(FOREIGN, (10, 20), strict=True):
        world.foreign(guid, SIDS[other])
    for guid in USERS:
        world.user(guid, sid=SIDS[guid], **place_of(guid, inner=guid != 10))
        world.refer(guid, "manager", 10 if guid != 10 else 11)
    for guid in GROUPS:
        world.put(guid, Kind.GROUP, sid=SIDS[guid], **place_of(guid, inner=True))
    for guid in CONTACTS:
        world.put(guid, Kind.CONTACT, **place_of(guid, inner=False))
    for owner, member in ((20, 11), (20, 12), (20, 30), (21, 20), (21, 40), (22, 13), (22, 41)):
        world.link(owner, member)
    world.user(99)
    world.user(97, parent=SECOND, source=SECOND)
    world.group(98, 99, 97, 20, 10)
    return world


@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    st.booleans(),
    st.lists(st.lists(steps(), min_size=1, max_size=4), min_size=1, max_size=5),
    st.lists(rules(), min_size=1, max_size=2),
)
def test_change_by_change_is_as_all_at_once(
    exported: bool,  # noqa: FBT001  - drawn
    batches: list[list[Step]],
    told: list[dict[str, Any]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = started(Path(folder))
        try:
            world.evaluate(**told[0])
            if exported:
                world.export()
            for number, batch in enumerate(batches):
                for step in batch:
                    step(world)
                world.evaluate(**told[min(number, len(told) - 1)])
                assert world.waiting() == 0
            last = told[min(len(batches) - 1, len(told) - 1)]
            by_changes = world.picture()

            world.evaluate(**last, full=True)
            in_full = world.picture()
            world.forget()
            world.evaluate(**last)
            anew = world.picture()

            assert by_changes == in_full
            assert by_changes == anew
        finally:
            world.store.close()
