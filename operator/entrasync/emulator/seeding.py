"""What a tenant holds before anybody syncs: named objects, and many of another engine."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from typing import Final

from entrasync.emulator.config import SeedObject, Tenant
from entrasync.emulator.objects import (
    KEY_OBJECT_IDENTIFIER,
    Attributes,
    CloudObject,
    RefusedError,
    Standing,
    Value,
)
from entrasync.emulator.store import TenantStore
from entrasync.entra.contracts import KEY_MEMBER, SyncObject, SyncObjectType, SyncOperation
from entrasync.errors import ConfigurationError

_NO_LIMIT: Final = 1_000_000


def plant(config: Tenant, store: TenantStore) -> None:
    """Fills an empty tenant as its configuration says.

    Raises:
        ConfigurationError: an object is refused by the tenant itself.
    """
    for each in config.objects:
        try:
            target = _put_named(each, store)
        except RefusedError as refusal:
            name = each.source_anchor or each.immutable_id or f"without anchor ({each.type})"
            raise ConfigurationError(
                "RunFailed",
                f"object {name} of tenant {config.tenant_id} is refused:"
                f" {refusal.code}. Mend it in the configuration file.",
                field="tenants.objects",
            ) from None
        if each.cloud_managed:
            store.set_cloud_managed(target, cloud_managed=True)
        if each.deleted:
            store.remove(target)
    for change in _made_up(config):
        result = store.apply(change, max_members=_NO_LIMIT)
        if not result.success:
            raise ConfigurationError(
                "RunFailed",
                f"made-up object {change.source_anchor} of tenant {config.tenant_id} is refused:"
                f" {result.code}. Remove what is in its way from the configuration file.",
                field="tenants.seed",
            )


def _put_named(each: SeedObject, store: TenantStore) -> CloudObject:
    attributes = {name: _value_of(value) for name, value in each.attributes.items()}
    if each.on_premises_object_identifier is not None:
        attributes[KEY_OBJECT_IDENTIFIER] = b64decode(each.on_premises_object_identifier)
    standing = Standing(
        roles=frozenset(each.roles),
        eligible_roles=frozenset(each.eligible_roles),
        licensed=each.licensed,
    )
    if each.source_anchor is None:
        return store.add_cloud_only(
            each.type,
            Attributes(attributes.items()),
            immutable_id=each.immutable_id or "",
            standing=standing,
        )
    members = {KEY_MEMBER: tuple(each.members)} if each.members else {}
    change = _set(each.type, each.source_anchor, attributes | members)
    result = store.apply(change, max_members=_NO_LIMIT)
    target = store.find(each.source_anchor)
    if not result.success or target is None:
        raise RefusedError(result.code or "", "")
    if standing != target.standing:
        store.edit(target, {}, standing=standing)
    return target


def _made_up(config: Tenant) -> Iterator[SyncObject]:
    seed, domain = config.seed, config.initial_domain
    for number in range(1, seed.users + 1):
        yield _set(
            SyncObjectType.USER,
            _anchor_of_user(number),
            {
                "userPrincipalName": f"legacy{number:06}@{domain}",
                "displayName": f"Legacy User {number:06}",
                "accountEnabled": True,
            },
        )
    for number in range(1, seed.contacts + 1):
        mail = f"partner{number:06}@elsewhere.example"
        yield _set(
            SyncObjectType.CONTACT,
            f"somebody-else-contact-{number:06}",
            {
                "displayName": f"Legacy Contact {number:06}",
                "mail": mail,
                "proxyAddresses": (f"SMTP:{mail}",),
            },
        )
    for number in range(1, seed.groups + 1):
        # each group begins where the last one ended, so that all users are in about as many
        begin = (number - 1) * seed.members_per_group
        yield _set(
            SyncObjectType.GROUP,
            f"somebody-else-group-{number:06}",
            {
                "displayName": f"Legacy Group {number:06}",
                "securityEnabled": True,
                KEY_MEMBER: tuple(
                    _anchor_of_user((begin + offset) % seed.users + 1)
                    for offset in range(seed.members_per_group)
                ),
            },
        )


def _set(kind: SyncObjectType, anchor: str, properties: dict[str, Value]) -> SyncObject:
    return SyncObject(
        object_type=kind,
        operation=SyncOperation.SET,
        source_anchor=anchor,
        properties=dict(properties),
    )


def _anchor_of_user(number: int) -> str:
    return f"somebody-else-{number:06}"


def _value_of(value: bool | int | str | list[str]) -> Value:  # noqa: FBT001 - a value
    return tuple(value) if isinstance(value, list) else value
