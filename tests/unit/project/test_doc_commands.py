"""What the documentation shows exists: commands with their options, fields, values and names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from entrasync.api.common import GROUP
from entrasync.api.crds import RESOURCES
from entrasync.api.reasons import REASONS
from entrasync.api.snapshot import EXTRA_CA_VARIABLE
from entrasync.cli.main import main
from entrasync.controller.environment import VARIABLES
from tests.support.command_checks import has_value, problems
from tests.support.documentation import (
    FRONT_PAGES,
    ROOT,
    SITE_PAGES,
    Command,
    blocks,
    commands,
    inline_codes,
    name_of,
    shell_commands,
    tables,
)
from tests.support.known_kinds import has_field, schemas

PAGES = [*FRONT_PAGES, *SITE_PAGES]
CHART = ROOT / "helm" / "entrasync"
FIELD = re.compile(r"(?:(\w+)\.)?((?:spec|status)\.[a-z][\w.\[\]]*)(?:[:=].*)?", re.DOTALL)
OWN_NAMES = re.compile(rf"(?<![\w.]){re.escape(GROUP)}/[a-z][\w-]*")
ELSEWHERE = {
    # of the organization in Microsoft Graph, of Kubernetes' own kinds, of the emulator
    "spec.holderIdentity"
}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_could_be_given(page: Path) -> None:
    assert [f"{each}: {found}" for each in commands(page) for found in problems(each)] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_fields_that_are_named_exist(page: Path) -> None:
    missing = []
    for code in inline_codes(page):
        found = FIELD.fullmatch(code.replace("<kind>", "users"))
        if found is None or found[2] in ELSEWHERE:
            continue
        kinds = [found[1]] if found[1] in schemas() else list(schemas())
        if not any(has_field(kind, found[2]) for kind in kinds):
            missing.append(code)
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_values_of_the_chart_that_are_named_exist(page: Path) -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    named = [
        code
        for header, rows in tables(page)
        if header[0] == "value" and header[1] in {"default", "does"}
        for row in rows
        for code in re.findall(r"`([\w.]+)`", row[0])
    ]
    nested = {name for name, value in values.items() if isinstance(value, dict) and value}
    named += [
        code.partition(":")[0]
        for code in inline_codes(page)
        if re.fullmatch(r"[a-zA-Z]+\.[\w.]+(: .*)?", code) and code.partition(".")[0] in nested
    ]
    assert [code for code in named if not has_value(values, code)] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_reasons_in_tables_are_registered(page: Path) -> None:
    known = set(REASONS)
    told = {
        code
        for header, rows in tables(page)
        if header[0] == "reason"
        for row in rows
        for code in re.findall(r"`([A-Z]\w+)`", row[0])
    }
    assert told - known == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_labels_annotations_and_variables_are_those_of_the_program(page: Path) -> None:
    program = "\n".join(
        path.read_text()
        for folder in (ROOT / "operator", CHART)
        for path in folder.rglob("*")
        if path.suffix in {".py", ".yaml", ".tpl"}
    )
    text = page.read_text()
    names = set(OWN_NAMES.findall(text)) - {f"{GROUP}/v1alpha1"}
    assert {name for name in names if name not in program} == set()
    known = VARIABLES | {EXTRA_CA_VARIABLE}
    assert set(re.findall(r"\bENTRASYNC_[A-Z_]+\b", text)) - known == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_columns_are_those_that_kubectl_prints(page: Path) -> None:
    printed = [
        ("NAME", *(each.name.upper() for each in kind.definition.columns if not each.priority))
        for kind in RESOURCES
    ]
    shown = [
        tuple(re.split(r" {2,}", line.strip()))
        for block in blocks(page)
        for line in block.text.splitlines()
        if line.startswith("NAME ")
    ]
    assert [header for header in shown if header not in printed] == []


def test_the_manifests_for_git_pass_the_command_that_is_shown_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (lint,) = [
        each
        for each in commands(ROOT / "docs/gitops.md")
        if each.whole and "lint" in each.arguments
    ]
    monkeypatch.chdir(ROOT / "gitops")
    assert main(lint.arguments) == 0


# --- the checks themselves ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("kubectl get dsyncs -A", "no kind dsyncs"),
        ("kubectl get dsync --nothing", "no option --nothing"),
        ("kubectl get dsync contoso -o jsonpath='{.status.nothing}'", "has no field"),
        ("kubectl get srun --field-selector spec.mode=Apply", "cannot be selected"),
        ("kubectl wait dsync/contoso --for=condition=Complete", "has no condition"),
        ("""kubectl patch dsync x --type=merge -p '{"spec":{"paused":true}}'""", ".spec.paused"),
        ("""kubectl patch dsync x --type=merge -p '{"spec":{"mode":"X"}}'""", ".spec.mode: X"),
        ("kubectl annotate dsync x entrasync.dev/run=1", "no annotation"),
        ("helm install entrasync helm/nothing", "no chart"),
        ("helm upgrade entrasync helm/entrasync --set metrics.prot=1", "no value metrics.prot"),
        ("entrasync plan -f x", "refused"),
        ("entrasync nothing", "refused"),
        ("make nothing", "no target"),
        ("x=$(kubectl get nothing) && true", "no kind nothing"),
        ("entrasync crds | kubectl apply --nothing -f -", "no option"),
    ],
)
def test_what_could_not_be_given_is_found(line: str, found: str) -> None:
    told = [each for command in shell_commands(line) for each in problems(command)]
    assert len(told) == 1
    assert found in told[0]


def test_commands_are_found_wherever_a_shell_takes_them() -> None:
    script = """
x=$(kubectl get dsync \\
  -A) # all
while read -r name; do
  kubectl patch dsync "$name" <<'END' 2> log
kubectl in a document
END
done
A=1 make down > out; echo kubectl get
"""
    assert [str(each) for each in shell_commands(script)] == [
        "kubectl get dsync -A",
        "kubectl patch dsync '$name'",
        "make down",
    ]
    mention = Command(program="entrasync", arguments=("explain", "OBJECT"), whole=False)
    assert problems(mention) == []
