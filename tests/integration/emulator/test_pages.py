"""The pages for people, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from entrasync.entra.contracts import (
    LinkChange,
    SyncObject,
    SyncObjectType,
    SyncOperation,
)
from tests.support.browser import Browser, Page
from tests.support.emulator import TENANT_ID, EmulatorServer

pytestmark = pytest.mark.integration
EVIL = "<script>document.title='taken'</script>\"'&<b>bold</b>"
SEEDED = 120


def put(kind: SyncObjectType, anchor: str, *members: str, **properties: Any) -> SyncObject:
    return SyncObject(
        object_type=kind,
        operation=SyncOperation.SET,
        source_anchor=anchor,
        properties=properties,
        links=tuple(LinkChange(anchor=each, add=True) for each in members),
    )


@pytest.fixture(scope="module")
def server() -> Iterator[EmulatorServer]:
    seeded = [f"somebody-else-{number:06}" for number in range(1, SEEDED + 1)]
    objects = [
        put(SyncObjectType.USER, "YW5u", displayName="Ann Example", userPrincipalName="ann@x.test"),
        put(SyncObjectType.USER, "ZXZpbA", displayName=EVIL, city=EVIL, manager="YW5u"),
        put(SyncObjectType.CONTACT, "Y2F0", displayName="Cat Contact"),
    ]
    groups = [put(SyncObjectType.GROUP, "Zzox", "YW5u", "ZXZpbA", *seeded, displayName="Everyone")]
    with EmulatorServer({"seed": {"users": SEEDED}, "displayName": "Contoso & Co"}) as running:
        for each in (objects, groups):
            assert running.post(running.export(each)).status_code == 200
        running.set_faults(busyEvery=1000)
        yield running


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    return Browser(tmp_path_factory.mktemp("profile"))


@pytest.fixture(scope="module")
def tenant_page(server: EmulatorServer, browser: Browser) -> Page:
    start = browser.open(f"{server.url}/")
    assert start.title == "Emulated Azure cloud"
    return browser.open(start.link("Contoso & Co"))


def test_the_overview_tells_what_the_tenant_holds(tenant_page: Page) -> None:
    assert tenant_page.title == "Contoso & Co"
    assert TENANT_ID in tenant_page.text
    for line in (
        f"Users {SEEDED + 2}",
        "Groups 1",
        "Contacts 1",
        f"Links of groups {SEEDED + 2}",
        "Requests 2",
        "Switch busyEvery 1000",
        "Directory sync on",
    ):
        assert line in tenant_page.text


def test_a_person_finds_an_object_and_its_group(browser: Browser, tenant_page: Page) -> None:
    listed = browser.open(tenant_page.link("Groups"))
    group = browser.open(listed.link("Everyone"))
    assert "securityEnabled" not in group.text
    members = browser.open(group.link(f"{SEEDED + 2}"))
    assert f"{SEEDED + 2} members" in members.text

    ann = browser.open(members.link("Ann Example"))
    assert "userPrincipalName ann@x.test" in ann.text
    assert "ann@contoso.onmicrosoft.com" in ann.text
    assert "Source anchor YW5u" in ann.text
    assert browser.open(ann.link("Users")).title == "Users"


def test_lists_have_pages(browser: Browser, tenant_page: Page) -> None:
    seen: list[str] = []
    page = browser.open(tenant_page.link("Users"))
    assert f"Shown: 1 to 50 of {SEEDED + 2}" in page.text
    while True:
        seen += [text for text, address in page.links if "/objects/" in address]
        if "Next" not in dict(page.links):
            break
        page = browser.open(page.link("Next"))
    assert len(seen) == SEEDED + 2
    assert "Previous" in dict(page.links)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ANN@", ["Ann Example"]),
        ("somebody-else-000007", ["Legacy User 000007"]),
        ("legacy000008@contoso", ["Legacy User 000008"]),
        ("nothing at all", []),
    ],
)
def test_a_text_is_searched_in_names_and_anchors(
    server: EmulatorServer, browser: Browser, text: str, found: list[str]
) -> None:
    page = browser.open(f"{server.url}/tenants/{TENANT_ID}/objects?kind=User&text={text}")

    assert [shown for shown, address in page.links if "/objects/" in address] == found
    assert "form" in page.elements


def test_what_others_wrote_is_text_and_nothing_else(
    server: EmulatorServer, browser: Browser
) -> None:
    listed = browser.open(f"{server.url}/tenants/{TENANT_ID}/objects?text=ZXZpbA")
    evil = browser.open(listed.link(EVIL))

    for page in (listed, evil):
        assert EVIL in page.text
        assert not {"script", "b", "img", "link", "iframe"} & set(page.elements)
    assert evil.title == EVIL
    assert browser.open(evil.link("Ann Example")).title == "Ann Example"


def test_the_last_requests_come_first(browser: Browser, tenant_page: Page) -> None:
    page = browser.open(tenant_page.link("Requests"))

    first, second = page.text.index(f"links {SEEDED + 2}"), page.text.index("links 0")
    assert first < second
    assert "ProvisionAzureADSyncObjects2" in page.text


@pytest.mark.parametrize(
    "path",
    ["tenants/x", "tenants/{}/nothing", "tenants/{}/objects/eA", "tenants/{}/objects?kind=x"],
)
def test_what_is_not_there_says_so(server: EmulatorServer, browser: Browser, path: str) -> None:
    address = f"/{path.format(TENANT_ID)}"
    assert server.http.get(address).status_code == 404
    page = browser.open(server.url + address)
    assert page.title == "Not found"
    assert browser.open(page.link("All tenants")).title == "Emulated Azure cloud"


def test_nothing_is_loaded_from_elsewhere_and_nothing_can_be_written(
    server: EmulatorServer,
) -> None:
    answer = server.http.get("/")

    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "http" not in answer.text.replace(server.url, "")
    for method in ("POST", "PUT", "DELETE"):
        assert server.http.request(method, f"/tenants/{TENANT_ID}").status_code == 405


@pytest.mark.parametrize(("dark", "width"), [(False, 1200), (True, 1200), (False, 500)])
def test_pages_can_be_pictured(
    server: EmulatorServer, tmp_path: Path, *, dark: bool, width: int
) -> None:
    """Light, dark and narrow: a page of one colour would be a page nobody can read."""
    browser = Browser(tmp_path / "profile", dark=dark, width=width)
    picture = browser.picture(f"{server.url}/tenants/{TENANT_ID}", tmp_path / "page.png")

    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 10_000
