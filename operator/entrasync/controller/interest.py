"""What was seen of each resource, and who must be looked at again when it changes. Pure.

It only ever wakes somebody: reconciling reads the API itself. So a mistake here costs time until
the next resync, and never correctness.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from entrasync.api.common import GROUP
from entrasync.api.sync_run import ENDED_PHASES
from entrasync.controller.queue import Key

Body = Mapping[str, Any]


@dataclass(slots=True, frozen=True, kw_only=True)
class Facts:
    """What is kept of a resource: little, because there are thousands.

    Attributes:
        version: its resourceVersion.
        own: digest of what its own reconciling rests on; what that itself writes is left out.
        told: digest of what those rest on that name it, or that it names.
        names: resources it names.
        ended: whether it is a run that is over.
    """

    version: str
    own: int
    told: int
    names: tuple[Key, ...]
    ended: bool


def facts_of(plural: str, body: Body) -> Facts:
    """What is kept of a resource.

    Args:
        plural: of its kind.
        body: the object as the API server tells it.
    """
    meta = body["metadata"]
    asked = (
        meta.get("uid"),
        meta.get("generation"),
        meta.get("deletionTimestamp"),
        tuple(meta.get("finalizers", ())),
        _items(meta.get("labels")),
        tuple(item for item in _items(meta.get("annotations")) if item[0].startswith(f"{GROUP}/")),
    )
    status = body.get("status") or {}
    told: tuple[object, ...] = ()
    own: tuple[object, ...] = asked
    if plural == "syncruns":
        told = (status.get("phase"),)
    elif plural != "directorysyncs":
        told = (status.get("lastCheckGeneration"), _conditions(status))
        # runs write onto tenants and directories what they learn of them
        own = (asked, told)
    return Facts(
        version=str(meta.get("resourceVersion", "")),
        own=hash(own),
        told=hash((asked, told)),
        names=_NAMES[plural](body.get("spec") or {}, meta.get("namespace") or ""),
        ended=plural == "syncruns" and status.get("phase") in ENDED_PHASES,
    )


@dataclass(slots=True)
class Interest:
    """Everything seen so far, and who names whom."""

    _seen: dict[Key, Facts] = field(default_factory=dict)
    _named_by: dict[Key, set[Key]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._seen)

    def __contains__(self, key: Key) -> bool:
        return key in self._seen

    def versions(self) -> dict[Key, str]:
        """The resourceVersion of everything seen."""
        return {key: facts.version for key, facts in self._seen.items()}

    def saw(self, key: Key, facts: Facts) -> set[Key]:
        """Notes what was seen; returns who must be looked at."""
        before = self._seen.get(key)
        if before is not None and before.version == facts.version:
            return set()
        self._note(key, before, facts)
        woken: set[Key] = set()
        if not facts.ended and (before is None or before.own != facts.own):
            woken.add(key)
        if before is None or before.told != facts.told:
            named = {*facts.names, *(before.names if before else ())}
            woken |= self._concerned(key, named)
        return woken

    def gone(self, key: Key) -> set[Key]:
        """Forgets a resource that is gone; returns who must be looked at: itself once more too."""
        facts = self._seen.pop(key, None)
        if facts is None:
            return {key}
        for name in facts.names:
            self._unname(name, key)
        return {key, *self._concerned(key, facts.names)}

    def open_runs_of(self, key: Key) -> set[Key]:
        """Runs that name a resource and have not ended."""
        return {each for each in self._named_by.get(key, ()) if self._is_open_run(each)}

    def has_ended(self, key: Key) -> bool:
        """Whether a run is known to be over."""
        facts = self._seen.get(key)
        return facts is not None and facts.ended

    def _note(self, key: Key, before: Facts | None, facts: Facts) -> None:
        self._seen[key] = facts
        for name in before.names if before else ():
            if name not in facts.names or facts.ended:
                self._unname(name, key)
        if not facts.ended:  # nobody wakes it any more
            for name in facts.names:
                self._named_by.setdefault(name, set()).add(key)

    def _unname(self, name: Key, by: Key) -> None:
        namers = self._named_by.get(name)
        if namers is not None:
            namers.discard(by)
            if not namers:
                del self._named_by[name]

    def _concerned(self, key: Key, named: Iterable[Key]) -> set[Key]:
        """Who rests on a resource: all that name it, and so on; of a run also what it names."""
        if key.plural == "syncruns":
            beside = (self.open_runs_of(name) for name in named)
            return {*named}.union(*beside) - {key}
        found: set[Key] = set()
        ahead = [key]
        while ahead:
            for namer in self._named_by.get(ahead.pop(), ()):
                if namer not in found:
                    found.add(namer)
                    ahead.append(namer)
        return found

    def _is_open_run(self, key: Key) -> bool:
        return key.plural == "syncruns" and not self.has_ended(key)


def _items(mapping: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((mapping or {}).items()))


def _conditions(status: Body) -> tuple[tuple[str, str, str], ...]:
    return tuple(
        (each.get("type", ""), each.get("status", ""), each.get("reason", ""))
        for each in status.get("conditions", ())
    )


def _named(plural: str, namespace: str, reference: Body | None) -> tuple[Key, ...]:
    name = (reference or {}).get("name")
    return (Key(plural, namespace, str(name)),) if name else ()


def _names_of_sync(spec: Body, namespace: str) -> tuple[Key, ...]:
    found = _named("entratenants", namespace, (spec.get("target") or {}).get("entraTenantRef"))
    for source in spec.get("sources") or ():
        found += _named("activedirectories", namespace, source.get("activeDirectoryRef"))
    return found


def _names_of_run(spec: Body, namespace: str) -> tuple[Key, ...]:
    return (
        _named("directorysyncs", namespace, spec.get("directorySyncRef"))
        + _named("entratenants", namespace, spec.get("entraTenantRef"))
        + _named("activedirectories", namespace, spec.get("activeDirectoryRef"))
    )


_NAMES: Final[Mapping[str, Callable[[Body, str], tuple[Key, ...]]]] = {
    "azureclouds": lambda _, __: (),
    "entratenants": lambda spec, _: _named("azureclouds", "", spec.get("cloudRef")),
    "activedirectories": lambda _, __: (),
    "directorysyncs": _names_of_sync,
    "syncruns": _names_of_run,
}
