"""The resync: everything once, then only what differs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from entrasync.api.sync_run import OPEN_RUNS
from entrasync.controller.gateway import ApiError, Gateway
from entrasync.controller.interest import Interest
from entrasync.controller.queue import Key
from entrasync.controller.resources import KINDS
from entrasync.controller.resync import FEW, Found, Resync

CALLS = tuple[str, str]


class Api:
    """Objects by their paths; it notes how it was asked."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.calls: list[CALLS] = []
        self.forbidden = ""

    def put(self, name: str, namespace: str = "identity", plural: str = "directorysyncs") -> None:
        path = f"/apis/entrasync.dev/v1alpha1/namespaces/{namespace}/{plural}/{name}"
        before = self.objects.get(path, {"metadata": {"resourceVersion": "0"}})
        version = str(int(before["metadata"]["resourceVersion"]) + 1)
        meta = {"name": name, "namespace": namespace, "uid": name, "resourceVersion": version}
        self.objects[path] = {"metadata": meta, "spec": {}}

    def take(self, name: str) -> None:
        self.objects = {p: o for p, o in self.objects.items() if not p.endswith(f"/{name}")}

    def get(self, path: str) -> dict[str, Any] | None:
        self.calls.append(("get", path.rpartition("/")[2]))
        return self.objects.get(path)

    def each(self, path: str, field_selector: str = "") -> Iterator[dict[str, Any]]:
        assert field_selector == (OPEN_RUNS if path.endswith("syncruns") else "")
        return self._list("each", path)

    def list_metadata(self, path: str, field_selector: str = "") -> Iterator[dict[str, Any]]:
        assert field_selector == (OPEN_RUNS if path.endswith("syncruns") else "")
        return (found["metadata"] for found in self._list("metadata", path))

    def _list(self, how: str, path: str) -> Iterator[dict[str, Any]]:
        head, _, plural = path.rpartition("/")
        if plural == self.forbidden:
            raise ApiError(403, "forbidden")
        self.calls.append((how, plural))
        place = f"{head.partition('namespaces')[2]}/{plural}/"
        return (o for p, o in self.objects.items() if place in p)


class Scene:
    def __init__(self, *namespaces: str) -> None:
        self.api = Api()
        self.interest = Interest()
        self.resync = Resync(gateway=cast("Gateway", self.api), kinds=KINDS, namespaces=namespaces)

    def look(self) -> Found:
        self.api.calls.clear()
        found = self.resync.look(self.interest.versions())
        for key, facts in found.changed.items():
            self.interest.saw(key, facts)
        for key in found.gone:
            self.interest.gone(key)
        return found


def sync(name: str, namespace: str = "identity") -> Key:
    return Key("directorysyncs", namespace, name)


def test_the_first_look_reads_everything_once() -> None:
    scene = Scene()
    scene.api.put("contoso")
    scene.api.put("fabrikam", "other")
    assert set(scene.look().changed) == {sync("contoso"), sync("fabrikam", "other")}
    assert scene.api.calls == [("each", plural) for plural in KINDS]


def test_later_looks_read_versions_and_only_what_differs() -> None:
    scene = Scene()
    for name in ("same", "changed", "deleted"):
        scene.api.put(name)
    scene.look()
    scene.api.put("changed")
    scene.api.put("new")
    scene.api.take("deleted")
    found = scene.look()
    assert set(found.changed) == {sync("changed"), sync("new")}
    assert set(found.gone) == {sync("deleted")}
    asked = [call for call in scene.api.calls if call[1] == "directorysyncs" or call[0] == "get"]
    assert asked == [("metadata", "directorysyncs"), ("get", "changed"), ("get", "new")]


def test_when_much_differs_everything_is_read_at_once() -> None:
    scene = Scene()
    scene.api.put("same")
    scene.look()
    for number in range(FEW + 1):
        scene.api.put(f"new-{number}")
    found = scene.look()
    assert len(found.changed) == FEW + 1
    assert not any(how == "get" for how, _ in scene.api.calls)


def test_only_the_namespaces_that_are_served_are_looked_at() -> None:
    scene = Scene("identity", "other")
    for namespace in ("identity", "other", "foreign"):
        scene.api.put("contoso", namespace)
    assert set(scene.look().changed) == {sync("contoso"), sync("contoso", "other")}


def test_a_kind_that_cannot_be_listed_hides_no_other_and_nothing_of_it_counts_as_gone() -> None:
    scene = Scene()
    scene.api.put("contoso")
    scene.api.put("contoso-1", plural="syncruns")
    scene.look()
    scene.api.forbidden = "directorysyncs"
    scene.api.put("contoso-1", plural="syncruns")
    found = scene.look()
    assert not found.complete
    assert set(found.changed) == {Key("syncruns", "identity", "contoso-1")}
    assert not found.gone
