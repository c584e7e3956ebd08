"""The check of the cluster's CustomResourceDefinitions before anything is done."""

from __future__ import annotations

import copy
from typing import Any, cast

import pytest

from entrasync.api.crds import RESOURCES, build_crd
from entrasync.controller.definitions import check_definitions, lacking_in
from entrasync.controller.gateway import ApiError, Gateway
from entrasync.errors import ConfigurationError, TransientError

ROOT = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"
SERVED = "/apis/entrasync.dev/v1alpha1"


class Definitions:
    """A cluster with definitions, to be spoilt by tests."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}
        self.forbidden = False
        for resource in RESOURCES:
            definition = copy.deepcopy(build_crd(resource))
            definition["status"] = {"conditions": [{"type": "Established", "status": "True"}]}
            self.found[ROOT + definition["metadata"]["name"]] = definition
        self.found[SERVED] = {"resources": [{"name": r.definition.plural} for r in RESOURCES]}

    def get(self, path: str) -> Any:
        if self.forbidden and path.startswith(ROOT):
            raise ApiError(403, "customresourcedefinitions is forbidden")
        return self.found.get(path)

    def of(self, plural: str) -> dict[str, Any]:
        return cast("dict[str, Any]", self.found[f"{ROOT}{plural}.entrasync.dev"])

    def schema(self, plural: str) -> dict[str, Any]:
        return cast(
            "dict[str, Any]", self.of(plural)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        )

    def check(self) -> None:
        check_definitions(cast("Gateway", self))


@pytest.fixture
def definitions() -> Definitions:
    return Definitions()


def test_those_of_this_version_fit(definitions: Definitions) -> None:
    definitions.check()


def test_newer_ones_fit(definitions: Definitions) -> None:
    spec = definitions.schema("directorysyncs")["properties"]["spec"]["properties"]
    spec["somethingNew"] = {"type": "string"}
    definitions.check()


def test_a_missing_one_is_named_with_the_remedy(definitions: Definitions) -> None:
    del definitions.found[f"{ROOT}syncruns.entrasync.dev"]
    with pytest.raises(ConfigurationError, match=r"syncruns.entrasync.dev is not installed.*crds"):
        definitions.check()


def test_an_older_one_is_named_with_what_it_lacks(definitions: Definitions) -> None:
    schema = definitions.schema("directorysyncs")
    del schema["properties"]["spec"]["properties"]["className"]
    source = schema["properties"]["spec"]["properties"]["sources"]["items"]
    del source["properties"]["exclude"]
    with pytest.raises(ConfigurationError) as raised:
        definitions.check()
    assert "older than this operator" in raised.value.message
    assert "spec.className" in raised.value.message
    assert "spec.sources[].exclude" in raised.value.message
    assert "kubectl apply" in raised.value.message


def test_long_lists_are_cut(definitions: Definitions) -> None:
    definitions.schema("entratenants")["properties"]["spec"]["properties"].clear()
    with pytest.raises(ConfigurationError, match=r"and \d+ more; upgrade"):
        definitions.check()


def test_a_version_that_is_not_served_is_lacking(definitions: Definitions) -> None:
    definitions.of("syncruns")["spec"]["versions"][0]["served"] = False
    with pytest.raises(ConfigurationError, match="lacks version v1alpha1"):
        definitions.check()


def test_one_that_is_not_served_yet_is_waited_for(definitions: Definitions) -> None:
    definitions.of("syncruns")["status"] = {"conditions": None}
    with pytest.raises(TransientError, match="not served yet"):
        definitions.check()


def test_who_may_not_read_them_asks_what_is_served(definitions: Definitions) -> None:
    definitions.forbidden = True
    definitions.check()

    definitions.found[SERVED]["resources"].pop()
    with pytest.raises(ConfigurationError, match="not installed"):
        definitions.check()

    del definitions.found[SERVED]
    with pytest.raises(ConfigurationError, match="not installed"):
        definitions.check()


def test_fields_by_which_objects_are_selected_belong_to_it() -> None:
    wanted = build_crd(RESOURCES[-1])
    wanted["spec"]["versions"][0]["selectableFields"] = [{"jsonPath": ".spec.cancel"}]
    found = copy.deepcopy(wanted)
    found["spec"]["versions"][0]["selectableFields"] = []

    assert lacking_in(found, wanted) == ["selectable field .spec.cancel"]
    assert lacking_in(wanted, wanted) == []
