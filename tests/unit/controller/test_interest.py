"""Who is woken by what: only those whom a change concerns."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from entrasync.controller.interest import Facts, Interest, facts_of
from entrasync.controller.queue import Key

CLOUD = Key("azureclouds", "", "azure-commercial")
TENANT = Key("entratenants", "identity", "contoso")
DIRECTORY = Key("activedirectories", "identity", "contoso")
SYNC = Key("directorysyncs", "identity", "contoso")
OTHER_SYNC = Key("directorysyncs", "identity", "fabrikam")
RUN = Key("syncruns", "identity", "contoso-1")
CHECK = Key("syncruns", "identity", "contoso-check")

SPECS: dict[Key, dict[str, Any]] = {
    CLOUD: {},
    TENANT: {"cloudRef": {"name": CLOUD.name}},
    DIRECTORY: {},
    SYNC: {
        "target": {"entraTenantRef": {"name": TENANT.name}},
        "sources": [{"activeDirectoryRef": {"name": DIRECTORY.name}}],
    },
    OTHER_SYNC: {"target": {"entraTenantRef": {"name": "fabrikam"}}, "sources": []},
    RUN: {"directorySyncRef": {"name": SYNC.name}},
    CHECK: {"entraTenantRef": {"name": TENANT.name}},
}


def facts(key: Key, version: int = 1, status: dict[str, Any] | None = None, **meta: Any) -> Facts:
    body = {
        "metadata": {
            "name": key.name,
            "namespace": key.namespace or None,
            "uid": f"u-{key.name}",
            "generation": 1,
            "resourceVersion": str(version),
            **meta,
        },
        "spec": SPECS[key],
        "status": status or {},
    }
    return facts_of(key.plural, body)


def everything() -> Interest:
    interest = Interest()
    for key in SPECS:
        interest.saw(key, facts(key))
    return interest


def ready(status: str) -> dict[str, Any]:
    return {"conditions": [{"type": "Ready", "status": status, "reason": "BindRejected"}]}


def test_what_is_new_is_looked_at_with_all_that_name_it() -> None:
    interest = Interest()
    assert interest.saw(SYNC, facts(SYNC)) == {SYNC}
    assert interest.saw(TENANT, facts(TENANT)) == {TENANT, SYNC}
    assert interest.saw(CLOUD, facts(CLOUD)) == {CLOUD, TENANT, SYNC}
    assert interest.saw(RUN, facts(RUN)) == {RUN, SYNC}
    assert interest.saw(DIRECTORY, facts(DIRECTORY)) == {DIRECTORY, SYNC, RUN}


def test_what_was_seen_already_wakes_nobody() -> None:
    interest = everything()
    for key in SPECS:
        assert interest.saw(key, facts(key)) == set()


def test_a_sync_is_not_woken_by_its_own_status() -> None:
    interest = everything()
    assert interest.saw(SYNC, facts(SYNC, 2, {"nextScheduleTime": "soon"})) == set()
    assert interest.saw(SYNC, facts(SYNC, 3, generation=2)) == {SYNC, RUN}
    asked = {"entrasync.dev/run-requested-at": "now"}
    assert interest.saw(SYNC, facts(SYNC, 4, generation=2, annotations=asked)) == {SYNC, RUN}
    asked["kubectl.kubernetes.io/last-applied-configuration"] = "{}"
    assert interest.saw(SYNC, facts(SYNC, 5, generation=2, annotations=asked)) == set()


def test_a_tenant_that_is_no_longer_ready_concerns_its_syncs_and_itself() -> None:
    interest = everything()
    assert interest.saw(TENANT, facts(TENANT, 2, ready("False"))) == {TENANT, SYNC, RUN, CHECK}
    assert interest.saw(TENANT, facts(TENANT, 3, ready("False") | {"company": {}})) == set()


def test_a_run_concerns_what_it_names_and_the_runs_that_wait_for_it() -> None:
    interest = everything()
    waiting = Key("syncruns", "identity", "contoso-2")
    SPECS[waiting] = SPECS[RUN]
    try:
        interest.saw(waiting, facts(waiting))
    finally:
        del SPECS[waiting]
    assert interest.saw(RUN, facts(RUN, 2, {"phase": "Running"})) == {SYNC, waiting}
    assert interest.saw(RUN, facts(RUN, 3, {"phase": "Running", "progress": {}})) == set()
    assert interest.saw(RUN, facts(RUN, 4, {"phase": "Succeeded"})) == {SYNC, waiting}
    assert interest.has_ended(RUN)
    assert interest.open_runs_of(SYNC) == {waiting}


def test_a_run_that_has_ended_is_never_looked_at_again() -> None:
    interest = Interest()
    assert interest.saw(RUN, facts(RUN, status={"phase": "Failed"})) == {SYNC}
    assert interest.saw(RUN, facts(RUN, 2, {"phase": "Failed"}, generation=2)) == {SYNC}
    interest.saw(SYNC, facts(SYNC))
    assert RUN not in interest.saw(SYNC, facts(SYNC, 2, generation=2))


def test_what_is_gone_is_looked_at_once_more_and_forgotten() -> None:
    interest = everything()
    assert interest.gone(RUN) == {RUN, SYNC}
    assert RUN not in interest
    assert interest.gone(RUN) == {RUN}
    assert interest.gone(TENANT) == {TENANT, SYNC, CHECK}
    assert interest.gone(SYNC) == {SYNC}


def test_a_reference_that_changed_concerns_the_old_and_the_new() -> None:
    interest = everything()
    moved = dict(SPECS[SYNC]) | {"target": {"entraTenantRef": {"name": "other"}}}
    old, SPECS[SYNC] = SPECS[SYNC], moved
    try:
        interest.saw(SYNC, facts(SYNC, 2, generation=2))
    finally:
        SPECS[SYNC] = old
    assert interest.saw(TENANT, facts(TENANT, 2, generation=2)) == {TENANT, CHECK}
    other = Key("entratenants", "identity", "other")
    SPECS[other] = SPECS[TENANT]
    try:
        assert interest.saw(other, facts(other)) == {other, SYNC, RUN}
    finally:
        del SPECS[other]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(SPECS)),
            st.integers(1, 3),
            st.sampled_from([None, "Running", "Succeeded"]),
            st.booleans(),
        ),
        max_size=30,
    )
)
def test_whatever_comes_in_whatever_order_what_is_left_is_what_was_seen_last(
    events: list[tuple[Key, int, str | None, bool]],
) -> None:
    interest = Interest()
    last: dict[Key, Facts] = {}
    for version, (key, generation, phase, deleted) in enumerate(events):
        if deleted:
            assert key in interest.gone(key)
            last.pop(key, None)
            continue
        status = {"phase": phase} if key.plural == "syncruns" and phase else {}
        last[key] = facts(key, version, status, generation=generation)
        interest.saw(key, last[key])
    assert interest.versions() == {key: each.version for key, each in last.items()}
    for key in SPECS:
        namers = {each for each, told in last.items() if key in told.names and not told.ended}
        assert interest._named_by.get(key, set()) == namers
