"""Which objects take part, by the containers above them.

Containers are known by objectGUID, so renaming or moving one changes nothing for what is in it.
"""

from __future__ import annotations

from dataclasses import dataclass

from entrasync.engine.source import SourceTree


@dataclass(slots=True, frozen=True, kw_only=True)
class Scope:
    """Containers in and out; the nearest one above an object decides.

    Attributes:
        include: objectGUIDs of containers whose subtrees take part.
        exclude: objectGUIDs of containers whose subtrees do not.
    """

    include: frozenset[str]
    exclude: frozenset[str] = frozenset()

    def holds(self, guid: str, tree: SourceTree) -> bool:
        """Whether an object is in scope."""
        for container in tree.ancestors(guid):
            if container in self.exclude:
                return False
            if container in self.include:
                return True
        return False
