"""What people do in the directories, in the tenant and with the sync."""

from __future__ import annotations

import base64
import shutil
from dataclasses import replace
from typing import Any

from tests.support.model_directory import OBJECTS, ModelDirectory, Thing
from tests.support.model_scene import CONSISTENCY, MANY, TYPES, Op, Scene


class People(Scene):
    """A scene in which something happens."""

    def do(self, op: Op) -> None:
        """One thing that people do, where it is possible."""
        name, first, second = op
        getattr(self, f"_do_{name}")(first, second)

    def _do_create(self, first: int, second: int) -> None:
        directory = self.directories[first % len(self.directories)]
        units = directory.alive("unit")
        self.make(directory, OBJECTS[first % 3], units[second % len(units)].guid)

    def _do_unit(self, first: int, second: int) -> None:
        directory = self.directories[first % len(self.directories)]
        units = directory.alive("unit")
        self._made += 1
        directory.create("unit", f"Unit{self._made}", units[second % len(units)].guid)

    def _do_delete(self, first: int, _second: int) -> None:
        found = self._pick(first, *OBJECTS)
        if found is not None and found[1].guid not in self.keepers:
            found[0].delete(found[1].guid)

    def _do_restore(self, first: int, _second: int) -> None:
        gone = [
            (directory, thing)
            for directory in self.directories
            for thing in directory.things.values()
            if thing.deleted
        ]
        if gone:
            directory, thing = gone[first % len(gone)]
            directory.restore(thing.guid)
            # groups are found by memberOf; who else names it is not told, a full read finds it
            self._untold |= any(
                thing.guid in targets
                for each in directory.alive()
                for targets in each.references.values()
            )

    def _do_rename(self, first: int, _second: int) -> None:
        found = self._pick(first, *OBJECTS)
        if found is not None:
            self._made += 1
            found[0].rename(found[1].guid, f"{found[1].kind[0]}{self._made}")

    def _do_rename_unit(self, first: int, _second: int) -> None:
        found = self._pick(first, "unit")
        if found is not None and self._may_be_named(found[1]):
            self._made += 1
            found[0].rename(found[1].guid, f"Unit{self._made}")

    def _may_be_named(self, unit: Thing) -> bool:
        """Whether a container may get another name: before it is pinned, it has nothing else."""
        pinned = any(each.guid == unit.guid for each in self.remembered)
        return unit.parent is not None and (pinned or unit.guid not in self.written)

    def _do_move(self, first: int, second: int) -> None:
        found = self._pick(first, *OBJECTS)
        if found is not None and found[1].guid not in self.keepers:
            # not to the base: who is there stays
            units = [each for each in found[0].alive("unit") if each.parent is not None]
            found[0].move(found[1].guid, units[second % len(units)].guid)

    def _do_move_unit(self, first: int, second: int) -> None:
        found = self._pick(first, "unit")
        if found is None or not self._may_be_named(found[1]):
            return
        directory, thing = found
        units = [
            each for each in directory.alive("unit") if thing.guid not in directory.path(each.guid)
        ]
        if units:
            directory.move(thing.guid, units[second % len(units)].guid)

    def _do_title(self, first: int, second: int) -> None:
        found = self._pick(first, "user", "contact")
        if found is not None:
            value = (f"Title {second % 3}".encode(),) if second % 4 else ()
            found[0].set(found[1].guid, "title", *value)

    def _do_display(self, first: int, second: int) -> None:
        found = self._pick(first, *OBJECTS)
        if found is not None:
            value = (f"Display {second % 3}".encode(),) if second % 4 else ()
            found[0].set(found[1].guid, "displayName", *value)

    def _do_enabled(self, first: int, _second: int) -> None:
        found = self._pick(first, "user")
        if found is not None:
            off = found[1].text("userAccountControl") == "514"
            found[0].set(found[1].guid, "userAccountControl", b"512" if off else b"514")

    def _do_exclude(self, first: int, _second: int) -> None:
        """A mark that leaves an object out, or its end."""
        found = self._pick(first, "user", "group")
        if found is not None and found[1].guid not in self.keepers:
            directory, thing = found
            if "adminDescription" in thing.attributes:
                directory.set(thing.guid, "adminDescription")
            else:
                mark = b"User_x" if thing.kind == "user" else b"Group_x"
                directory.set(thing.guid, "adminDescription", mark)

    def _do_upn(self, first: int, second: int) -> None:
        """Gives a user a name that is new, or one that somebody else has."""
        found = self._pick(first, "user")
        if found is not None:
            others = self._things("user")
            name = others[second % len(others)].text("userPrincipalName") or ""
            if second % 3 == 0:
                self._made += 1
                name = f"n{self._made}@{found[0].domain}"
            found[0].set(found[1].guid, "userPrincipalName", name.encode())

    def _do_swap(self, first: int, second: int) -> None:
        """Two users change names."""
        one, other = self._pick(first, "user"), self._pick(second, "user")
        if one is not None and other is not None and one[1] is not other[1]:
            names = [each.text("userPrincipalName") or "" for _, each in (one, other)]
            one[0].set(one[1].guid, "userPrincipalName", names[1].encode())
            other[0].set(other[1].guid, "userPrincipalName", names[0].encode())

    def _do_rotate(self, first: int, second: int) -> None:
        """All users of a source change names in a circle."""
        directory = self.directories[first % len(self.directories)]
        users = directory.alive("user")
        names = [each.text("userPrincipalName") or "" for each in users]
        shift = 1 + second % 2
        for user, name in zip(users, names[shift:] + names[:shift], strict=True):
            directory.set(user.guid, "userPrincipalName", name.encode())

    def _do_addresses(self, first: int, second: int) -> None:
        found, other = self._pick(first, *OBJECTS), self._pick(second, *OBJECTS)
        if found is None or other is None:
            return
        values = [f"smtp:x{second % 5}@{found[0].domain}".encode()]
        if second % 3 == 0:
            values = [f"SMTP:{found[1].text('mail')}".encode(), *values]
        if second % 5 == 0:
            values = []
        if second % 7 == 0:
            values = list(other[1].attributes.get("proxyAddresses", ()))
        found[0].set(found[1].guid, "proxyAddresses", *values)

    def _do_mail(self, first: int, second: int) -> None:
        found = self._pick(first, *OBJECTS)
        if found is not None and found[1].guid not in self.keepers:
            others = self._things(*OBJECTS)
            mail = others[second % len(others)].text("mail")
            self._made += 1
            fresh = f"m{self._made}@{found[0].domain}"
            found[0].set(
                found[1].guid,
                "mail",
                *(() if second % 5 == 0 else ((mail if second % 2 and mail else fresh).encode(),)),
            )

    def _do_member(self, first: int, second: int) -> None:
        """A member comes or goes; one of another domain by its foreign security principal."""
        found, other = self._pick(first, "group"), self._pick(second, *OBJECTS)
        if found is None or other is None or found[1] is other[1]:
            return
        directory, group = found
        member = other[1].guid
        if other[0] is not directory:
            if other[1].sid is None:
                return
            member = directory.foreign(other[1].sid)
        if member in group.members:
            directory.unlink(group.guid, member)
        else:
            directory.link(group.guid, member)

    def _do_manager(self, first: int, second: int) -> None:
        found = self._pick(first, "user", "contact")
        if found is not None:
            self._refer(*found, "manager", second, "user", "contact")

    def _do_managed_by(self, first: int, second: int) -> None:
        found = self._pick(first, "group")
        if found is not None:
            self._refer(*found, "managedBy", second, "user", "group", "contact")

    def _do_delegates(self, first: int, second: int) -> None:
        found = self._pick(first, "user")
        if found is not None:
            directory, thing = found
            others = [
                each.guid
                for each in directory.alive()
                if each.kind in OBJECTS and each is not thing
            ]
            chosen = [each for index, each in enumerate(others) if second >> index & 1]
            directory.refer(thing.guid, "publicDelegates", *chosen)

    def _refer(
        self, directory: ModelDirectory, thing: Thing, name: str, number: int, *kinds: str
    ) -> None:
        others = [each for each in directory.alive() if each.kind in kinds and each is not thing]
        if number % 4 == 0 or not others:
            directory.refer(thing.guid, name)
        else:
            directory.refer(thing.guid, name, others[number % len(others)].guid)

    def _do_anchor(self, first: int, second: int) -> None:
        """Somebody changes or clears a user's mS-DS-ConsistencyGuid, which nobody should."""
        found = self._pick(first, "user")
        if found is not None:
            self._made += 1
            value = () if second % 3 == 0 else (self._made.to_bytes(16, "big"),)
            found[0].set(found[1].guid, CONSISTENCY, *value)
            self._remember(found[1])

    def _do_hide(self, first: int, _second: int) -> None:
        """The account may not see an object any more, or sees it again."""
        found = self._pick(first, *OBJECTS)
        if found is not None and found[1].guid not in self.keepers:
            found[1].hidden = not found[1].hidden
            self._untold = True

    def _do_migrate(self, first: int, second: int) -> None:
        """A user moves to the other domain."""
        found = self._pick(first, "user")
        if found is None or len(self.directories) == 1 or found[1].guid in self.keepers:
            return
        directory, thing = found
        other = next(each for each in self.directories if each is not directory)
        units = [each for each in other.alive("unit") if each.parent is not None]
        directory.migrate(thing.guid, other, units[second % len(units)].guid)

    def _do_configure(self, first: int, second: int) -> None:
        """Somebody changes the sync."""
        changes: list[dict[str, Any]] = [
            {"excludes": not self.rules.excludes},
            {"contacts": not self.rules.contacts},
            {"both": not self.rules.both},
            {"title": "Fixed" if self.rules.title is None else None},
            {"most_members": (2, 3, 4)[second % 3]},
        ]
        changed = replace(self.rules, **changes[first % len(changes)])
        # a container that was renamed while nobody named it is not found by its old name
        same = (changed.excludes, changed.both) == (self.rules.excludes, self.rules.both)
        if same or self._are_as_written():
            self.rules = changed

    def _are_as_written(self) -> bool:
        return all(self.directories_of(guid).dn(guid) == dn for guid, dn in self.written.items())

    # in the tenant

    def _do_spoil(self, first: int, second: int) -> None:
        """An administrator changes what is synced."""
        held = sorted(self.tenant.alive())
        if not held:
            return
        anchor = held[first % len(held)]
        key = ("displayname", "title")[second % 2]
        if anchor not in self.strangers and (anchor, key) not in self.spoiled:
            self.spoiled.add((anchor, key))
            self.tenant.spoil(anchor, key, None if second % 3 == 0 else "Spoiled")

    def _do_spoil_member(self, first: int, second: int) -> None:
        groups = [
            (anchor, held)
            for anchor, held in sorted(self.tenant.alive().items())
            if self.tenant.members(held)
        ]
        if groups:
            anchor, held = groups[first % len(groups)]
            members = sorted(self.tenant.members(held))
            member = members[second % len(members)]
            if (anchor, member) not in self.spoiled:
                self.spoiled.add((anchor, member))
                self.tenant.spoil_member(anchor, member)

    def _do_remove(self, first: int, _second: int) -> None:
        """An administrator deletes what is synced."""
        held = sorted(self.tenant.alive())
        if held and (anchor := held[first % len(held)]) not in self.strangers:
            self.tenant.remove(anchor)

    def _do_stranger(self, first: int, _second: int) -> None:
        """Another engine left an object behind."""
        self._made += 1
        anchor = base64.b64encode((MANY + self._made).to_bytes(16, "big")).decode()
        kind = list(TYPES.values())[first % 3]
        self.tenant.put(kind, anchor, {"displayName": f"Stranger {self._made}"})
        self.strangers.add(anchor)

    def _do_lose(self, _first: int, _second: int) -> None:
        """The volume is lost: what is in the tenant and nobody wants any more is not ours then."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.strangers |= set(self.tenant.alive())
        self.doubtful.clear()
        self.spent.clear()
