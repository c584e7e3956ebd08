from __future__ import annotations

import base64
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.emulator.naming import NameIndex
from entrasync.emulator.readback import CookieError, read_page
from entrasync.emulator.store import MatchingRules, TenantStore
from entrasync.entra.contracts import (
    ReadBackPage,
    SyncObject,
    SyncObjectType,
    SyncOperation,
    SyncVersion,
)

TENANT = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"


def store() -> TenantStore:
    numbers = itertools.count()
    names = NameIndex(
        initial_domain="x.onmicrosoft.com",
        verified_domains=frozenset(),
        resiliency=True,
        digits=lambda: "0000",
    )
    return TenantStore(names=names, matching=MatchingRules(), new_id=lambda: f"id-{next(numbers)}")


def change(tenant: TenantStore, anchor: str, operation: SyncOperation, city: str = "") -> None:
    tenant.apply(
        SyncObject(
            object_type=SyncObjectType.USER,
            operation=operation,
            source_anchor=anchor,
            properties={"city": city} if city else {},
        ),
        max_members=1,
    )


def read(tenant: TenantStore, cookie: str | None, size: int) -> list[ReadBackPage]:
    pages = []
    while True:
        page = read_page(tenant, TENANT, SyncVersion.V2, cookie=cookie, page_size=size)
        pages.append(page)
        cookie = page.cookie
        if not page.more:
            return pages


@given(st.integers(min_value=0, max_value=20), st.integers(min_value=1, max_value=7))
def test_a_full_read_has_every_object_once(count: int, size: int) -> None:
    tenant = store()
    for number in range(count):
        change(tenant, f"u{number}", SyncOperation.SET)

    pages = read(tenant, None, size)

    assert [o.source_anchor for page in pages for o in page.objects] == [
        f"u{number}" for number in range(count)
    ]
    assert all(len(page.objects) <= size for page in pages)


def test_a_cookie_brings_what_changed_since_deletions_included() -> None:
    tenant = store()
    for anchor in "abc":
        change(tenant, anchor, SyncOperation.SET)
    cookie = read(tenant, None, 2)[-1].cookie
    change(tenant, "b", SyncOperation.SET, city="Bonn")
    change(tenant, "c", SyncOperation.DELETE)

    (page,) = read(tenant, cookie, 10)

    assert [(o.source_anchor, o.operation) for o in page.objects] == [
        ("b", SyncOperation.SET),
        ("c", SyncOperation.DELETE),
    ]
    assert page.objects[0].properties == {"City": "Bonn"}
    (after,) = read(tenant, page.cookie, 10)
    assert (after.objects, after.more, after.cookie) == ((), False, page.cookie)


def test_a_full_read_has_no_old_deletions() -> None:
    tenant = store()
    change(tenant, "a", SyncOperation.SET)
    change(tenant, "a", SyncOperation.DELETE)

    (page,) = read(tenant, None, 10)

    assert page.objects == ()


def test_what_is_deleted_while_reading_is_told() -> None:
    tenant = store()
    for anchor in "abc":
        change(tenant, anchor, SyncOperation.SET)
    first = read_page(tenant, TENANT, SyncVersion.V2, cookie=None, page_size=2)
    change(tenant, "a", SyncOperation.DELETE)

    rest = read(tenant, first.cookie, 2)
    later = read(tenant, rest[-1].cookie, 2)

    found = [(o.source_anchor, o.operation) for page in [*rest, *later] for o in page.objects]
    assert found == [("c", SyncOperation.SET), ("a", SyncOperation.DELETE)]


def test_v1_has_empty_attributes_and_v2_has_none() -> None:
    tenant = store()
    change(tenant, "a", SyncOperation.SET, city="Bonn")
    page = read_page(tenant, TENANT, SyncVersion.V1, cookie=None, page_size=10)

    assert page.objects[0].properties["City"] == "Bonn"
    assert page.objects[0].properties["DisplayName"] is None


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{}",
        "[" * 100_000,
        json.dumps({"tenant": TENANT, "after": -1}),
        json.dumps({"tenant": TENANT, "after": 0.5}),
        json.dumps({"tenant": TENANT, "after": 99}),
        json.dumps({"tenant": TENANT, "until": "later"}),
        json.dumps({"tenant": TENANT, "until": 2, "full": "all"}),
        json.dumps({"tenant": TENANT, "given": "today"}),
    ],
)
def test_a_cookie_somebody_else_made_is_refused(content: str) -> None:
    tenant = store()
    for anchor in ("a", "b"):
        change(tenant, anchor, SyncOperation.SET)
    cookie = base64.b64encode(content.encode()).decode()
    with pytest.raises(CookieError):
        read_page(tenant, TENANT, SyncVersion.V2, cookie=cookie, page_size=1)


@pytest.mark.parametrize("cookie", ["", "no base64!", "W10", "\u00e9"])
def test_what_is_no_cookie_is_refused(cookie: str) -> None:
    with pytest.raises(CookieError):
        read_page(store(), TENANT, SyncVersion.V2, cookie=cookie, page_size=10)


def test_a_cookie_of_another_tenant_is_refused() -> None:
    tenant = store()
    cookie = read_page(tenant, TENANT, SyncVersion.V2, cookie=None, page_size=1).cookie

    with pytest.raises(CookieError):
        read_page(tenant, "other", SyncVersion.V2, cookie=cookie, page_size=1)
