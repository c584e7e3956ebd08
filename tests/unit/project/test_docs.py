"""The documentation: generated parts are up to date, links lead somewhere, examples are taken."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev import generate
from dev.default_flows import BEGIN, END, render_default_flows, with_default_flows
from entrasync.api.directory_sync import DirectorySyncSpec
from entrasync.api.sync_run import SyncRun
from entrasync.engine.brakes import SafetyLimits
from entrasync.engine.flow_rules import KINDS, default_flows
from entrasync.runner.inputs import flow_rules

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        ROOT / "CONTRIBUTING.md",
        *DOCS.glob("*.md"),
        *(DOCS / "adr").glob("*.md"),
    ]
)
WIDEST = 140
LINK = re.compile(r"(?<!\!)\[[^\]]+\]\(([^)\s]+)\)")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


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


@pytest.mark.parametrize("name", ["flows.md", "safety.md", "sources.md", "state.md"])
def test_lines_are_of_a_width_that_can_be_read(name: str) -> None:
    lines = (DOCS / name).read_text().splitlines()
    assert [line for line in lines if len(line) > WIDEST and not line.startswith("|")] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_is_shown_of_a_sync_is_taken(page: Path) -> None:
    """Parts of `spec` may stand alone; what a whole one needs is added."""
    needed: dict[str, Any] = {
        "sources": [{"name": "contoso", "activeDirectoryRef": {"name": "contoso"}}],
        "target": {"entraTenantRef": {"name": "contoso"}},
    }
    for block in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        for document in yaml.safe_load_all(block):
            kind = document.get("kind")
            if kind == "SyncRun":
                SyncRun.model_validate(document)
            elif kind in {None, "DirectorySync"}:
                spec = DirectorySyncSpec.model_validate(needed | document["spec"])
                flow_rules(spec.objects)


# --- default flows -----------------------------------------------------------------------------


def test_the_table_has_every_default_flow_as_it_is_in_force() -> None:
    rows = [line.split(" | ") for line in render_default_flows().splitlines() if "| `" in line]
    told = {
        (row[0].strip("| `"), kind): (row[2], row[3], row[4], row[5])
        for row in rows
        for kind in row[1].split(", ")
    }
    flows = {(flow.target, str(kind)): flow for kind in KINDS for flow in default_flows(kind)}
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
    named = chain(DOCS.glob("*.md"))
    assert [page.name for page in named if f"docs/{page.name}" not in readme] == []
