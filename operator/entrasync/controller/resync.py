"""Looking through everything that is there: the truth beside what watches tell.

The first time whole objects are read. Later only their resourceVersions are, and an object only
where its version is not the one seen last: so a lost watch event costs minutes at most, and a
resync costs little.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog

from entrasync.api.common import Resource
from entrasync.api.sync_run import OPEN_RUNS
from entrasync.controller.gateway import Gateway, Manifest, resource_path
from entrasync.controller.interest import Facts, facts_of
from entrasync.controller.queue import Key
from entrasync.errors import EntrasyncError

SELECTED: Final = {"syncruns": OPEN_RUNS}
"""Field selectors: runs that have ended, of which there are thousands, are never looked at."""
FEW: Final = 100
"""Up to so many changed objects of a kind are read one by one; more, and all are listed."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Found:
    """What a look through everything found.

    Attributes:
        changed: what is new or not as it was last seen.
        gone: resourceVersions of what was known and is not there any more.
        complete: whether every kind could be listed.
    """

    changed: Mapping[Key, Facts]
    gone: Mapping[Key, str]
    complete: bool


@dataclass(slots=True, frozen=True, kw_only=True)
class Resync:
    """Looks through our kinds. It has no state, and may be used from any thread.

    Attributes:
        gateway: the API.
        kinds: our kinds by their plurals.
        namespaces: watched namespaces; empty for all.
    """

    gateway: Gateway
    kinds: Mapping[str, type[Resource]]
    namespaces: tuple[str, ...] = field(default=())

    def look(self, known: Mapping[Key, str]) -> Found:
        """Compares what is there with what was seen.

        Args:
            known: resourceVersions last seen; taken before anything is listed.
        """
        changed: dict[Key, Facts] = {}
        gone: dict[Key, str] = {}
        complete = True
        for plural in self.kinds:
            seen = {key: version for key, version in known.items() if key.plural == plural}
            try:
                self._look_at(plural, seen, changed, gone)
            except EntrasyncError as error:
                complete = False
                structlog.get_logger().warning("resync_failed", kind=plural, error=error.message)
        return Found(changed=changed, gone=gone, complete=complete)

    def _look_at(
        self,
        plural: str,
        seen: Mapping[Key, str],
        changed: dict[Key, Facts],
        gone: dict[Key, str],
    ) -> None:
        if not seen:
            changed.update(self._all(plural))
            return
        versions = {
            _key(plural, meta): str(meta["resourceVersion"])
            for path in self._paths(plural)
            for meta in self.gateway.list_metadata(path, SELECTED.get(plural, ""))
        }
        differing = [key for key, version in versions.items() if seen.get(key) != version]
        if len(differing) > FEW:
            wanted = set(differing)
            changed.update((key, facts) for key, facts in self._all(plural) if key in wanted)
        else:
            changed.update(self._each(plural, differing))
        gone.update((key, version) for key, version in seen.items() if key not in versions)

    def _all(self, plural: str) -> Iterator[tuple[Key, Facts]]:
        for path in self._paths(plural):
            for body in self.gateway.each(path, SELECTED.get(plural, "")):
                yield _key(plural, body["metadata"]), facts_of(plural, body)

    def _each(self, plural: str, keys: list[Key]) -> Iterator[tuple[Key, Facts]]:
        for key in keys:
            body = self.gateway.get(resource_path(plural, key.namespace or None, key.name))
            if body is not None:
                yield key, facts_of(plural, body)

    def _paths(self, plural: str) -> list[str]:
        if self.kinds[plural].definition.cluster_scoped or not self.namespaces:
            return [resource_path(plural)]
        return [resource_path(plural, namespace) for namespace in self.namespaces]


def _key(plural: str, meta: Manifest) -> Key:
    return Key(plural, meta.get("namespace") or "", meta["name"])
