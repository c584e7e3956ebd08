"""A tenant in memory, for the model-based test: the sync service of V2, strict and forgetful.

It refuses links and references to what it does not hold, unique values that somebody has, and what
it is told to refuse; a deletion ends links, a user that is sent again comes back with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from entrasync.entra.contracts import (
    CompanyConfiguration,
    ObjectResult,
    PropertyValue,
    ReadBackPage,
    SyncObject,
    SyncObjectType,
    SyncOperation,
)
from entrasync.entra.faults import RequestRefusedError
from entrasync.errors import TransientError

PAGE = 3
REFERENCES = frozenset({"manager", "managedby", "publicdelegates"})


class Killed(BaseException):
    """The process ends here."""


@dataclass(kw_only=True)
class Held:
    """An object of the tenant."""

    anchor: str
    cloud_anchor: str
    type: SyncObjectType
    properties: dict[str, PropertyValue] = field(default_factory=dict)
    members: set[str] = field(default_factory=set)
    deleted: bool = False
    version: int = 0


@dataclass(kw_only=True)
class Faults:
    """What goes wrong in a cycle.

    Attributes:
        call: number of the provision call that something happens to; negative for none.
        how: what happens to it.
        refused: SourceAnchors that are refused.
        poison: SourceAnchors that upset a whole request.
        read_back: pages until a read-back fails; negative for never.
        restart: whether the next cookie is not taken.
    """

    call: int = -1
    how: str = "before"
    refused: frozenset[str] = frozenset()
    poison: frozenset[str] = frozenset()
    read_back: int = -1
    restart: bool = False


class ModelTenant:
    """The tenant and its sync service.

    Attributes:
        faults: what goes wrong.
        calls: how often something was sent.
        version: how often something changed.
        deleted: told of every deletion that took effect, by SourceAnchor.
        unlinked: told of every link that was removed by a change, by SourceAnchors.
        disabled: told of every account that was switched off, by SourceAnchor.
        written: told of every object that was created or changed.
    """

    def __init__(self, max_members: int) -> None:
        self.faults = Faults()
        self.deleted: Callable[[Held], None] = lambda _: None
        self.unlinked: Callable[[str, str], None] = lambda _group, _member: None
        self.disabled: Callable[[str], None] = lambda _: None
        self.written: Callable[[Held], None] = lambda _: None
        self.calls = 0
        self._max_members = max_members
        self._held: dict[str, Held] = {}
        self.version = 0

    # --- how things are --------------------------------------------------------------------

    def alive(self) -> dict[str, Held]:
        """What is there, by SourceAnchor."""
        return {each.anchor: each for each in self._held.values() if not each.deleted}

    def members(self, group: Held) -> set[str]:
        """SourceAnchors of the members that are there."""
        return {self._held[each].anchor for each in group.members if not self._held[each].deleted}

    def find(self, anchor: str) -> Held | None:
        """An object, deleted or not."""
        return next((each for each in self._held.values() if each.anchor == anchor), None)

    # --- what people do in the cloud -------------------------------------------------------

    def put(
        self, kind: SyncObjectType, anchor: str, properties: Mapping[str, PropertyValue]
    ) -> None:
        """An object that another engine synced."""
        held = self._new(kind, anchor)
        held.properties.update({key.lower(): value for key, value in properties.items()})

    def spoil(self, anchor: str, key: str, value: PropertyValue) -> None:
        """Changes a property."""
        held = self.alive()[anchor]
        _write(held, key, value)
        self._note(held)

    def spoil_member(self, anchor: str, member: str) -> None:
        """Takes a member out of a group."""
        held = self.alive()[anchor]
        held.members.discard(self.alive()[member].cloud_anchor)
        self._note(held)

    def remove(self, anchor: str) -> None:
        """Deletes an object."""
        self._bury(self.alive()[anchor])

    # --- the service -----------------------------------------------------------------------

    def company_configuration(self) -> CompanyConfiguration:
        return CompanyConfiguration(
            tenant_id="tenant", directory_sync_enabled=True, max_links_per_request=3
        )

    def finalize_export(self, total: int, successful: int) -> None:
        """Ends an export."""

    def read_back(self, cookie: str | None = None) -> Iterator[ReadBackPage]:
        if cookie is not None and self.faults.restart:
            self.faults.restart = False
            yield ReadBackPage(objects=(), restart=True)
            cookie = None
        after, until = int(cookie or 0), self.version
        found = sorted(
            (
                each
                for each in self._held.values()
                if each.version > after and not (each.deleted and cookie is None)
            ),
            key=lambda each: each.version,
        )
        for begin in range(0, max(1, len(found)), PAGE):
            if self.faults.read_back == 0:
                self.faults.read_back = -1
                raise TransientError("ServiceUnreachable", "The connection was lost.")
            self.faults.read_back -= self.faults.read_back > 0
            page = found[begin : begin + PAGE]
            yield ReadBackPage(
                objects=tuple(map(self._told, page)),
                # one that is kept within a series tells the rest, and what came meanwhile
                cookie=str(until if begin + PAGE >= len(found) else page[-1].version),
                more=begin + PAGE < len(found),
            )

    def provision(self, objects: Sequence[SyncObject]) -> list[ObjectResult]:
        number, self.calls = self.calls, self.calls + 1
        strikes = number == self.faults.call
        how = self.faults.how
        if strikes and how == "before":
            raise TransientError("ServiceUnreachable", "The connection was refused.")
        if strikes and how == "killed before":
            raise Killed
        if len({each.source_anchor for each in objects}) != len(objects):
            raise AssertionError("the same object twice in a request")
        if sum(len(each.links) for each in objects) > 3:
            raise AssertionError("too many links in a request")
        if any(each.source_anchor in self.faults.poison for each in objects):
            raise RequestRefusedError("RequestRefused", "The formatter threw an exception.")
        results = [
            self._apply(each)
            for each in (objects[: len(objects) // 2] if strikes and how == "half" else objects)
        ]
        if strikes and how in {"after", "half"}:
            raise TransientError("ServiceUnreachable", "The connection was lost.")
        if strikes and how == "killed after":
            raise Killed
        return results

    def _apply(self, message: SyncObject) -> ObjectResult:
        anchor = message.source_anchor
        held = self.find(anchor)
        code = "LargeObject" if anchor in self.faults.refused else self._refusal(message, held)
        if code is not None:
            return ObjectResult(source_anchor=anchor, success=False, code=code)
        if message.operation is SyncOperation.DELETE:
            assert held is not None
            if not held.deleted:
                self.deleted(held)
                self._bury(held)
        else:
            held = self._set(message, held)
        return ObjectResult(source_anchor=anchor, cloud_anchor=held.cloud_anchor, success=True)

    def _refusal(self, message: SyncObject, held: Held | None) -> str | None:
        """Why a change is refused."""
        if message.operation is SyncOperation.DELETE:
            return "114" if held is None else None
        if held is not None and held.type != message.object_type:
            return "ObjectTypeMismatch"
        alive = self.alive()
        for key, value in message.properties.items():
            if key.lower() in REFERENCES:
                named = value if isinstance(value, tuple) else () if value is None else (value,)
                if any(each not in alive for each in named):
                    return "ReferenceNotFound"
        for link in message.links:
            if (link.anchor not in alive) if link.add else (self.find(link.anchor) is None):
                return "ReferenceNotFound"
        if message.links:
            after = set() if held is None else set(self.members(held))
            after |= {link.anchor for link in message.links if link.add}
            after -= {link.anchor for link in message.links if not link.add}
            if message.object_type is not SyncObjectType.GROUP or len(after) > self._max_members:
                return "LargeObject"
        return self._taken(message, held)

    def _taken(self, message: SyncObject, held: Held | None) -> str | None:
        # who comes back leaves behind what somebody else has by now
        known = {} if held is None or held.deleted else held.properties
        wanted = dict(known) | {key.lower(): value for key, value in message.properties.items()}
        others = self._names_of_others(held)
        return "AttributeValueMustBeUnique" if others & unique_names(wanted) else None

    def _set(self, message: SyncObject, held: Held | None) -> Held:
        if held is not None and held.deleted and held.type is not SyncObjectType.USER:
            held.anchor = f"gone {held.cloud_anchor}"
            held = None
        if held is None:
            held = self._new(message.object_type, message.source_anchor)
        was_enabled = not held.deleted and held.properties.get("accountenabled")
        if held.deleted:
            held.deleted = False
            self._leave_behind(held)
            for group in self._held.values():
                if held.cloud_anchor in group.members and not group.deleted:
                    self._note(group)
        for key, value in message.properties.items():
            _write(held, key, value)
        self.written(held)
        if was_enabled is True and held.properties.get("accountenabled") is False:
            self.disabled(held.anchor)
        self._write_links(message, held)
        self._note(held)
        return held

    def _write_links(self, message: SyncObject, held: Held) -> None:
        for link in message.links:
            other = self.find(link.anchor)
            assert other is not None
            if link.add:
                held.members.add(other.cloud_anchor)
            elif other.cloud_anchor in held.members:
                held.members.discard(other.cloud_anchor)
                if not other.deleted:
                    self.unlinked(held.anchor, other.anchor)

    def _leave_behind(self, held: Held) -> None:
        """Drops names that were given to others while their holder was deleted."""
        others = self._names_of_others(held)
        for key in ("userprincipalname", "mail", "proxyaddresses"):
            if not others.isdisjoint(unique_names({key: held.properties.get(key)})):
                del held.properties[key]

    def _names_of_others(self, held: Held | None) -> set[str]:
        return {
            value
            for each in self._held.values()
            if not each.deleted and each is not held
            for value in unique_names(each.properties)
        }

    def _new(self, kind: SyncObjectType, anchor: str) -> Held:
        held = Held(anchor=anchor, cloud_anchor=f"{kind}_{len(self._held)}", type=kind)
        self._held[held.cloud_anchor] = held
        self._note(held)
        return held

    def _bury(self, held: Held) -> None:
        held.deleted = True
        held.members.clear()
        self._note(held)

    def _note(self, held: Held) -> None:
        self.version += 1
        held.version = self.version

    def _told(self, held: Held) -> SyncObject:
        if held.deleted:
            return SyncObject(
                object_type=held.type,
                operation=SyncOperation.DELETE,
                source_anchor=held.anchor,
                cloud_anchor=held.cloud_anchor,
            )
        told: dict[str, PropertyValue] = {}
        for key, value in self.properties(held).items():
            # the service has letter cases of its own
            told[key[:1].upper() + key[1:]] = value
        members = tuple(sorted(self.members(held)))
        if members:
            told["Member"] = members
        return SyncObject(
            object_type=held.type,
            operation=SyncOperation.SET,
            source_anchor=held.anchor,
            cloud_anchor=held.cloud_anchor,
            properties=told,
        )

    def properties(self, held: Held) -> dict[str, PropertyValue]:
        """Properties by folded name; references only to what is there."""
        alive = self.alive()
        found: dict[str, PropertyValue] = {}
        for key, value in held.properties.items():
            left: PropertyValue = value
            if key in REFERENCES:
                if isinstance(value, tuple):
                    left = tuple(str(each) for each in value if each in alive)
                elif value not in alive:
                    left = None
            if left is not None and left != ():
                found[key] = left
        return found


def _write(held: Held, key: str, value: PropertyValue) -> None:
    if value is None or value == ():
        held.properties.pop(key.lower(), None)
    else:
        held.properties[key.lower()] = value


def unique_names(properties: Mapping[str, PropertyValue]) -> set[str]:
    """Names that only one object of the tenant may have; user names are names of their own."""
    found: set[str] = set()
    name, addresses = properties.get("userprincipalname"), properties.get("proxyaddresses")
    if isinstance(name, str):
        found.add(f"name:{name.casefold()}")
    if isinstance(addresses, tuple):
        found |= {str(each).casefold() for each in addresses}
    mail = properties.get("mail")
    if isinstance(mail, str):
        found.add(f"smtp:{mail.casefold()}")
    return found
