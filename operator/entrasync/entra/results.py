"""Which result of an export belongs to which object."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from entrasync.entra.contracts import ObjectResult, SyncObject
from entrasync.entra.object_errors import NO_RESULT_CODE

_NOTHING_SAID: Final = "the service said nothing of this object"


def match_results(
    objects: Sequence[SyncObject], results: Sequence[ObjectResult]
) -> list[ObjectResult]:
    """One result for each object, in the order of the objects.

    A result is matched by SourceAnchor, else by CloudAnchor; several of one anchor in the order
    they came. Position alone never makes a success: only where the service answered with as many
    results as it got objects, a failure that names no anchor is taken for the object in its place,
    which would have failed anyway for want of a result.
    """
    left = _Unmatched(results)
    matched = [left.take(each) for each in objects]
    if len(results) == len(objects):
        for place, result in enumerate(results):
            anonymous = not result.source_anchor and not result.cloud_anchor
            if matched[place] is None and anonymous and not result.success:
                matched[place] = result
    return [
        _named(each, result or _no_result()) for each, result in zip(objects, matched, strict=True)
    ]


class _Unmatched:
    """Results that no object has taken yet."""

    def __init__(self, results: Iterable[ObjectResult]) -> None:
        self._left = dict(enumerate(results))
        self._by_source: dict[str, list[int]] = {}
        self._by_cloud: dict[str, list[int]] = {}
        for number, each in self._left.items():
            if each.source_anchor:
                self._by_source.setdefault(each.source_anchor, []).append(number)
            if each.cloud_anchor:
                self._by_cloud.setdefault(each.cloud_anchor, []).append(number)

    def take(self, each: SyncObject) -> ObjectResult | None:
        if each.source_anchor:
            for number in self._by_source.get(each.source_anchor, ()):
                if number in self._left:
                    return self._left.pop(number)
        for number in self._by_cloud.get(each.cloud_anchor or "", ()):
            found = self._left.get(number)
            # two names that differ are two objects, whatever else they share
            if found is not None and not (each.source_anchor and found.source_anchor):
                return self._left.pop(number)
        return None


def _no_result() -> ObjectResult:
    return ObjectResult(
        source_anchor="", success=False, code=NO_RESULT_CODE, description=_NOTHING_SAID
    )


def _named(each: SyncObject, result: ObjectResult) -> ObjectResult:
    """The result under the object's own anchor, which whoever sent it looks for."""
    if result.source_anchor == each.source_anchor:
        return result
    return ObjectResult(
        source_anchor=each.source_anchor,
        cloud_anchor=result.cloud_anchor,
        success=result.success,
        code=result.code,
        description=result.description,
    )
