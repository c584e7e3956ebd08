"""The documentation: generated parts are up to date, links lead somewhere, examples are taken."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from dev import generate
from dev.default_flows import BEGIN, END, render_default_flows, with_default_flows
from entrasync.api.common import API_VERSION
from entrasync.api.directory_sync import DirectorySync
from entrasync.api.schema_rules import broken_rules
from entrasync.api.snapshot import KINDS
from entrasync.emulator.config import EmulatorConfig
from entrasync.engine.brakes import SafetyLimits
from entrasync.engine.flow_rules import KINDS as SYNCED_KINDS
from entrasync.engine.flow_rules import default_flows
from entrasync.runner.inputs import flow_rules
from tests.support.command_checks import has_value
from tests.support.documentation import (
    DOCS,
    FRONT_PAGES,
    ROOT,
    SITE_PAGES,
    name_of,
    prose,
    yaml_texts,
)
from tests.support.known_kinds import schemas, unknown

PAGES = [*FRONT_PAGES, ROOT / "CHANGELOG.md", *SITE_PAGES, *sorted((DOCS / "adr").glob("*.md"))]
WIDEST = 140
LINK = re.compile(r"(?<!\!)\[[^\]]+\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """Addresses of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", each.lower()).strip().replace(" ", "-") for each in headings)
    return set(plain)


def test_generated_files_are_up_to_date() -> None:
    assert [name_of(path) for path in generate.drifted()] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(prose(page)):
        if "://" in target:
            continue
        file, _, heading = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        assert path.exists(), target
        if heading:
            assert heading in anchors(path), target


FILLED_IN = {
    "$digest": f"sha256:{'0' * 64}",
    "$run": "contoso-29412340",
    "$AD_URL": "ldaps://dc1.contoso.test",
}
"""What variables of the shell stand for in documents that commands write."""
GENERATED = {"emulator.md", "kinds.md", "reasons.md"}


@pytest.mark.parametrize("page", [*FRONT_PAGES, *SITE_PAGES], ids=name_of)
def test_lines_are_of_a_width_that_can_be_read(page: Path) -> None:
    lines = "" if page.name in GENERATED else prose(page)
    wide = [line for line in lines.splitlines() if len(line) > WIDEST]
    assert [line for line in wide if not line.lstrip().startswith("|")] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_is_shown_in_yaml_is_taken(page: Path) -> None:
    """Parts of `spec` may stand alone: they are of a DirectorySync, and get what it needs."""
    for text in yaml_texts(page):
        for variable, value in FILLED_IN.items():
            text = text.replace(variable, value)  # noqa: PLW2901  - one after the other
        for document in yaml.safe_load_all(text):
            check_document(document)


def check_document(document: dict[str, Any]) -> None:
    """Takes a resource as the API server and a run would, anything else by its own schema."""
    sync = {"apiVersion": API_VERSION, "kind": "DirectorySync", "metadata": {"name": "contoso"}}
    whole = sync | document if set(document) == {"spec"} else document
    if "apiVersion" not in whole:
        if "tenants" in whole:
            EmulatorConfig.model_validate(whole)
        else:
            values = yaml.safe_load((ROOT / "helm/entrasync/values.yaml").read_text())
            assert [path for path in leaves(whole) if not has_value(values, path)] == []
        return
    if whole["apiVersion"] != API_VERSION:
        kubernetes_validate.validate(whole, "1.31", strict=True)
        return
    if whole["kind"] == "DirectorySync":
        needed: dict[str, Any] = {
            "sources": [{"name": "contoso", "activeDirectoryRef": {"name": "contoso"}}],
            "target": {"entraTenantRef": {"name": "contoso"}},
        }
        whole = whole | {"spec": needed | whole["spec"]}
    assert list(unknown(whole, schemas()[whole["kind"]], "")) == []
    assert broken_rules(KINDS[whole["kind"]], whole) == []
    resource = KINDS[whole["kind"]].model_validate(whole)
    if isinstance(resource, DirectorySync):
        flow_rules(resource.spec.objects)


def leaves(values: dict[str, Any]) -> Iterator[str]:
    """Paths of the values of a chart that are set."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from (f"{name}.{path}" for path in leaves(value))
        else:
            yield name


def test_every_page_is_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text()
    assert [page.name for page in SITE_PAGES if f"- {page.name}" not in text] == []


# --- default flows -----------------------------------------------------------------------------


def test_the_table_has_every_default_flow_as_it_is_in_force() -> None:
    rows = [line.split(" | ") for line in render_default_flows().splitlines() if "| `" in line]
    told = {
        (row[0].strip("| `"), kind): (row[2], row[3], row[4], row[5])
        for row in rows
        for kind in row[1].split(", ")
    }
    flows = {
        (flow.target, str(kind)): flow for kind in SYNCED_KINDS for flow in default_flows(kind)
    }
    assert set(told) == set(flows)
    orders = {"source": "order"}
    for key, (origin, held, order, condition) in told.items():
        flow = flows[key]
        assert held == flow.type
        assert order == orders.get(flow.precedence, flow.precedence)
        assert all(f"`{name}`" in origin for name in flow.sources)
        assert (flow.when is not None) == ("has a value" in condition)
        assert flow.optional == ("in the schema" in condition)
        assert flow.clears == ("never cleared" not in condition)


def test_only_the_table_is_replaced() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    found = with_default_flows(page)
    assert found.startswith(f"before\n{BEGIN}\n\n| property |")
    assert found.endswith(f"\n{END}\nafter\n")
    assert with_default_flows(found) == found
    with pytest.raises(ValueError, match="marks"):
        with_default_flows("no table")


# --- brakes ------------------------------------------------------------------------------------


def test_the_table_of_brakes_has_the_defaults() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (DOCS / "safety.md").read_text().splitlines()
        if (line.startswith("| `") and "Threshold" in line) or line.startswith("| `sourceShrink`")
    ]
    told = {row[0].strip("`"): (row[2].replace(",", ""), row[3]) for row in rows}
    limits = SafetyLimits()
    wanted = {
        name: (str(limit.count), "" if limit.percent is None else str(limit.percent))
        for name, limit in (
            ("users", limits.users),
            ("groups", limits.groups),
            ("contacts", limits.contacts),
            ("disables", limits.disables),
            ("identityChanges", limits.identity_changes),
            ("clears", limits.clears),
            ("linkRemovals", limits.link_removals),
        )
    }
    assert told == wanted | {"sourceShrink": ("", str(limits.source_shrink_percent))}


def test_every_page_is_named_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    assert [page.name for page in SITE_PAGES if f"docs/{page.name}" not in readme] == []
