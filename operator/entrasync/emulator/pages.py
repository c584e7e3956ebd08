"""Pages for people: what the tenants hold, server-rendered and read-only.

Nothing is loaded from anywhere else, no script runs, and every value is escaped.
"""

from __future__ import annotations

import base64
import binascii
import itertools
from collections.abc import Mapping
from html import escape
from typing import Final
from urllib.parse import quote

from entrasync.emulator.config import EmulatorConfig
from entrasync.emulator.http import (
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    OK,
    HttpRequest,
    HttpResponse,
    whole_number,
)
from entrasync.emulator.layout import (
    ROWS,
    describe_list,
    link,
    page,
    steps,
    table,
    table_or_none,
    value_of,
)
from entrasync.emulator.objects import CloudObject, Value
from entrasync.emulator.overview import title_of
from entrasync.emulator.switches import Switches
from entrasync.emulator.tenant import RunningTenant
from entrasync.entra.contracts import SyncObjectType

_DELETED: Final = "Deleted"
_USUAL: Final = Switches().model_dump(mode="json", by_alias=True)
_KINDS: Final = (*(kind.value for kind in SyncObjectType), _DELETED)
_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)
_SECURITY: Final = (
    ("content-security-policy", _POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
)


class _MissingError(Exception):
    """There is no such page; the message says what is not there."""


class Pages:
    """Answers `/` and what lies below `/tenants/`.

    Args:
        config: the clouds.
        tenants: running tenants by id.
    """

    def __init__(self, config: EmulatorConfig, tenants: Mapping[str, RunningTenant]) -> None:
        self._config = config
        self._tenants = tenants

    def handle(self, request: HttpRequest) -> HttpResponse:
        """The page at an address."""
        if request.method not in {"GET", "HEAD"}:
            return _html(
                page("Not possible", "<p>These pages are for reading only.</p>"), METHOD_NOT_ALLOWED
            )
        try:
            return _html(self._route(request))
        except _MissingError as error:
            text = f"<p>{escape(str(error))}</p>"
            return _html(page("Not found", text, trail=[("All tenants", "/")]), NOT_FOUND)

    def _route(self, request: HttpRequest) -> str:
        match request.path.strip("/").split("/"):
            case [""]:
                return self._overview()
            case ["tenants", tenant_id, *rest]:
                tenant = self._tenants.get(tenant_id.lower())
                if tenant is None:
                    raise _MissingError("There is no such tenant.")
                return _of_tenant(tenant, rest, request.query)
            case _:
                raise _MissingError("There is no such page.")

    def _overview(self) -> str:
        rows = []
        for tenant in self._tenants.values():
            with tenant.lock:
                counts, requests = tenant.overview.counts(), tenant.logged
            config, root = tenant.config, _root(tenant)
            rows.append(
                [
                    link(config.display_name, root),
                    f"<code>{escape(config.tenant_id)}</code>",
                    escape(self._config.cloud_of(config).name),
                    *(
                        link(f"{counts.live[kind]:,}", f"{root}/objects?kind={kind.value}")
                        for kind in SyncObjectType
                    ),
                    f"{counts.links:,}",
                    link(f"{requests:,}", f"{root}/requests"),
                ]
            )
        heads = ["Tenant", "Id", "Cloud", *_plurals(), "Links", "Requests"]
        note = "<p>What its tenants hold now. Nothing here is a real account.</p>"
        return page("Emulated Azure cloud", note + table(heads, rows, numbers=range(3, 9)))


def _of_tenant(tenant: RunningTenant, segments: list[str], query: Mapping[str, str]) -> str:
    match segments:
        case []:
            return _tenant_page(tenant)
        case ["objects"]:
            return _objects_page(tenant, query)
        case ["objects", name]:
            return _object_page(tenant, _find(tenant, name))
        case ["objects", name, "links"]:
            return _links_page(tenant, _find(tenant, name), query)
        case ["requests"]:
            return _requests_page(tenant, query)
        case _:
            raise _MissingError("There is no such page.")


def _tenant_page(tenant: RunningTenant) -> str:
    config, root = tenant.config, _root(tenant)
    with tenant.lock:
        counts, requests, syncing = tenant.overview.counts(), tenant.logged, tenant.is_syncing
        last_sync = tenant.company.last_sync
        switches = tenant.switches.model_dump(mode="json", by_alias=True)
    held = {kind.value: counts.live[kind] for kind in SyncObjectType} | {_DELETED: counts.deleted}
    rows = [
        [link(_plural(kind), f"{root}/objects?kind={kind}"), f"{held[kind]:,}"] for kind in _KINDS
    ]
    rows.append(["Links of groups", f"{counts.links:,}"])
    rows.append([link("Requests", f"{root}/requests"), f"{requests:,}"])
    changed = {name: value for name, value in switches.items() if value != _USUAL[name]}
    facts = [
        ("Tenant id", f"<code>{escape(config.tenant_id)}</code>"),
        ("Domains", escape(", ".join([config.initial_domain, *config.verified_domains]))),
        ("Directory sync", "on" if syncing else "off"),
        ("Last export", escape(last_sync or "none yet")),
        *((f"Switch {escape(name)}", escape(str(value))) for name, value in changed.items()),
    ]
    body = describe_list(facts) + "<h2>What it holds</h2>"
    return page(config.display_name, body + table(["What", "Count"], rows, numbers=[1]), _trail())


def _objects_page(tenant: RunningTenant, query: Mapping[str, str]) -> str:
    kind, text = query.get("kind", SyncObjectType.USER.value), query.get("text", "")
    if kind not in _KINDS:
        raise _MissingError("There are no objects of this kind.")
    begin = _number(query)
    with tenant.lock:
        overview = tenant.overview
        listed = overview.deleted() if kind == _DELETED else overview.live(SyncObjectType(kind))
    found: list[CloudObject]
    if text.strip():
        found = list(itertools.islice(overview.matching(listed, text), begin, begin + ROWS + 1))
        counted = ""
    else:
        found, counted = listed[begin : begin + ROWS + 1], f" of {len(listed):,}"
    rows = [_row(tenant, each) for each in found[:ROWS]]
    address = f"{_root(tenant)}/objects"
    shown = f"{begin + 1:,} to {begin + len(rows):,}{counted}" if rows else "none"
    body = _search_form(address, kind, text) + f"<p>Shown: {shown}.</p>"
    if rows:
        body += table(["Name", "Sign-in name", "Source anchor", "Authority"], rows)
    values = {"kind": kind} | ({"text": text} if text.strip() else {})
    body += steps(address, values, begin, more=len(found) > ROWS)
    return page(_plural(kind), body, _trail(tenant))


def _row(tenant: RunningTenant, each: CloudObject) -> list[str]:
    return [
        link(title_of(each), _address(tenant, each)),
        escape(each.user_principal_name or ""),
        f"<code>{escape(each.source_anchor)}</code>",
        "synced" if each.synced else "cloud",
    ]


def _search_form(address: str, kind: str, text: str) -> str:
    options = "".join(
        f"<option value='{each}'{' selected' if each == kind else ''}>{_plural(each)}</option>"
        for each in _KINDS
    )
    return (
        f"<form action='{escape(address)}' method='get' role='search'>"
        f"<label>Kind <select name='kind'>{options}</select></label> "
        f"<label>Text <input type='search' name='text' value='{escape(text)}'></label> "
        "<button>Show</button></form>"
    )


def _object_page(tenant: RunningTenant, each: CloudObject) -> str:
    with tenant.lock:
        is_group = each.object_type is SyncObjectType.GROUP
        count = tenant.overview.member_count(each) if is_group else 0
        attributes = sorted(each.attributes.items(), key=lambda item: item[0].lower())
        manager = tenant.store.find(each.attributes.text("manager") or "")
        facts = [
            ("Type", each.object_type.value),
            ("State", "deleted" if each.deleted else "live"),
            ("Authority", "synced" if each.synced else "cloud"),
            ("Source anchor", f"<code>{escape(each.source_anchor)}</code>"),
            ("Cloud anchor", f"<code>{escape(each.cloud_anchor)}</code>"),
            ("Changed at version", f"{each.version:,}"),
        ]
        calculated = _calculated(each)
    if is_group:
        members = f"{_address(tenant, each)}/links"
        facts.append(("Members", link(f"{count:,}", members)))
    if manager is not None:
        facts.append(("Manager", link(title_of(manager), _address(tenant, manager))))
    exported = [[f"<code>{escape(name)}</code>", value_of(value)] for name, value in attributes]
    body = describe_list(facts)
    body += "<h2>Exported attributes</h2>" + table_or_none(["Attribute", "Value"], exported)
    body += "<h2>Calculated by the tenant</h2>" + table_or_none(["Property", "Value"], calculated)
    kind = _DELETED if each.deleted else each.object_type.value
    listed = (_plural(kind), f"{_root(tenant)}/objects?kind={kind}")
    return page(title_of(each), body, [*_trail(tenant), listed])


def _calculated(each: CloudObject) -> list[list[str]]:
    """What others see, as far as the tenant makes it itself."""
    values: dict[str, Value | None] = {
        "userPrincipalName": each.user_principal_name,
        "mail": each.mail,
        "mailNickname": each.names.mail_nickname,
        "proxyAddresses": each.calculated_proxy_addresses or None,
    }
    rows = [[f"<code>{name}</code>", value_of(value)] for name, value in values.items() if value]
    return rows + [
        [f"quarantined <code>{escape(name)}</code>", value_of(values)]
        for name, values in sorted(each.quarantined.items())
    ]


def _links_page(tenant: RunningTenant, group: CloudObject, query: Mapping[str, str]) -> str:
    if group.object_type is not SyncObjectType.GROUP:
        raise _MissingError("Only groups have links.")
    begin = _number(query)
    with tenant.lock:
        anchors = tenant.overview.member_anchors(group)
        shown = [tenant.store.find(each) for each in anchors[begin : begin + ROWS]]
    rows = [[*_row(tenant, each)[:3], each.object_type.value] for each in shown if each is not None]
    body = f"<p>{len(anchors):,} members, sorted by anchor.</p>"
    body += table_or_none(["Member", "Sign-in name", "Source anchor", "Type"], rows)
    address = _address(tenant, group)
    body += steps(f"{address}/links", {}, begin, more=len(anchors) > begin + ROWS)
    trail = [*_trail(tenant), (title_of(group), address)]
    return page(f"Links of {title_of(group)}", body, trail)


def _requests_page(tenant: RunningTenant, query: Mapping[str, str]) -> str:
    begin = _number(query)
    with tenant.lock:
        newest = list(itertools.islice(reversed(tenant.requests), begin, begin + ROWS + 1))
    rows = [
        [
            f"{each.number:,}",
            escape(each.time),
            escape(each.operation),
            escape(each.outcome),
            escape(", ".join(f"{name} {count:,}" for name, count in each.counts.items())),
        ]
        for each in newest[:ROWS]
    ]
    body = "<p>What the sync service answered, the latest first.</p>"
    body += table_or_none(["Number", "Time", "Operation", "Outcome", "Counts"], rows, numbers=[0])
    address = f"{_root(tenant)}/requests"
    body += steps(address, {}, begin, more=len(newest) > ROWS)
    return page("Requests", body, _trail(tenant))


def _find(tenant: RunningTenant, name: str) -> CloudObject:
    """An object by its CloudAnchor in base64url."""
    try:
        anchor = base64.urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode()
    except (ValueError, binascii.Error):
        anchor = ""
    with tenant.lock:
        found = tenant.store.find(anchor)
    if found is None:
        raise _MissingError("There is no such object.")
    return found


def _number(query: Mapping[str, str]) -> int:
    return whole_number(query.get("from", "0")) or 0


def _root(tenant: RunningTenant) -> str:
    return f"/tenants/{tenant.config.tenant_id}"


def _address(tenant: RunningTenant, each: CloudObject) -> str:
    name = base64.urlsafe_b64encode(each.cloud_anchor.encode()).decode().rstrip("=")
    return f"{_root(tenant)}/objects/{quote(name)}"


def _trail(tenant: RunningTenant | None = None) -> list[tuple[str, str]]:
    own = [] if tenant is None else [(tenant.config.display_name, _root(tenant))]
    return [("All tenants", "/"), *own]


def _plural(kind: str) -> str:
    return kind if kind == _DELETED else f"{kind}s"


def _plurals() -> list[str]:
    return [f"{kind.value}s" for kind in SyncObjectType]


def _html(text: str, status: int = OK) -> HttpResponse:
    return HttpResponse(
        status=status,
        content_type="text/html; charset=utf-8",
        body=text.encode(errors="replace"),
        headers=_SECURITY,
    )
