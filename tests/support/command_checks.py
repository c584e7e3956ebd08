"""Whether commands that pages show could be given: programs, options, kinds, names and fields."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from functools import cache

import yaml

from entrasync.cli.main import build_parser
from tests.support.documentation import ROOT, Command
from tests.support.known_kinds import (
    BUILT_IN,
    CATEGORY,
    CONDITIONS,
    has_field,
    kinds_by_name,
    schemas,
    selectable,
    unknown,
)
from tests.support.tools import program

_OF_RESOURCES = {"get", "describe", "delete", "wait", "patch", "annotate", "scale", "label"}
_FORMS = {"wide", "yaml", "json", "name"}
_PATHS = re.compile(r"\{([^{}]*)\}")
_TYPE = re.compile(r'\[\?\(@\.type=="(\w+)"\)\]')


def problems(command: Command) -> list[str]:
    """What would make a command fail; empty where nothing is known."""
    checks = {"kubectl": _kubectl, "helm": _helm, "make": _make, "entrasync": _entrasync}
    return list(checks[command.program](command))


# --- make --------------------------------------------------------------------------------------


def _make(command: Command) -> Iterator[str]:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for word in command.arguments:
        if "=" not in word and word not in targets:
            yield f"no target {word}"


# --- entrasync ---------------------------------------------------------------------------------


def _entrasync(command: Command) -> Iterator[str]:
    try:
        if command.whole:
            build_parser().parse_args(command.arguments)
        else:
            # a mention may leave out what is required: only its name and its options are looked at
            named = [word.partition("=")[0] for word in command.arguments if word[0] == "-"]
            offered = _entrasync_help(command.arguments[0])
            yield from (f"no option {word}" for word in named if word not in offered)
    except SystemExit:
        yield "its arguments are refused"


def _entrasync_help(name: str) -> set[str]:
    """Options of a sub-command; argparse lists neither of them anywhere in public."""
    parser = build_parser()
    for action in parser._actions:
        if isinstance(action.choices, dict) and name in action.choices:
            return set(action.choices[name]._option_string_actions)
    raise SystemExit(2)


# --- helm --------------------------------------------------------------------------------------


def _helm(command: Command) -> Iterator[str]:
    if command.arguments[0].startswith("-"):
        return  # the option of a command that is named elsewhere
    verb = command.arguments[0]
    options, words = _split(command.arguments[1:], _options("helm", verb))
    yield from _unknown_options(options, _options("helm", verb))
    if command.whole and verb in {"install", "upgrade", "template"}:
        chart = words[1] if len(words) > 1 else "?"
        if not (ROOT / chart / "Chart.yaml").is_file():
            yield f"no chart {chart}"
    values = yaml.safe_load((ROOT / "helm/entrasync/values.yaml").read_text())
    for name, value in options:
        if name in {"--set", "--set-string", "--set-json"}:
            for each in value.split(","):
                path = re.sub(r"\[\d+\]", "", each.partition("=")[0])
                if not has_value(values, path):
                    yield f"no value {path}"


def has_value(values: object, path: str) -> bool:
    """Whether the chart has a value; below an empty map or a list there may be anything."""
    for name in path.split("."):
        if values in ({}, []) or isinstance(values, list):
            return True
        if not isinstance(values, dict) or name not in values:
            return False
        values = values[name]
    return True


# --- kubectl -----------------------------------------------------------------------------------


def _kubectl(command: Command) -> Iterator[str]:
    verb, *rest = command.arguments
    if verb == "create" and rest and rest[0] in BUILT_IN:
        verb, *rest = f"create {rest[0]}", *rest[1:]
    if "--" in rest:
        rest = rest[: rest.index("--")]
    known = _options("kubectl", verb)
    options, words = _split(rest, known)
    yield from _unknown_options(options, known)
    named = _named_kinds(words) if verb in _OF_RESOURCES and words else []
    kinds = [kind for name in named for kind in _kinds(name)]
    yield from (f"no kind {name}" for name in named if not _kinds(name) and name not in BUILT_IN)
    for name, value in options:
        if name in _OPTIONS:
            yield from _OPTIONS[name](value, kinds)
    if verb == "explain":
        yield from _explained(words)
    if verb == "annotate":
        yield from _annotations(words)


def _named_kinds(words: list[str]) -> list[str]:
    if "/" in words[0]:
        return [word.partition("/")[0] for word in words if "/" in word and "=" not in word]
    return words[0].split(",")


def _kinds(name: str) -> list[str]:
    if name == CATEGORY:
        return list(schemas())
    return [kinds_by_name()[name]] if name in kinds_by_name() else []


def _output(value: str, kinds: list[str]) -> Iterator[str]:
    form, _, path = value.partition("=")
    if form == "jsonpath":
        yield from _json_path(path, kinds)
    elif value not in _FORMS:
        yield f"no form {value}"


def _wait(value: str, kinds: list[str]) -> Iterator[str]:
    form, _, wanted = value.partition("=")
    if form == "condition":
        for kind in kinds:
            if wanted.partition("=")[0] not in CONDITIONS[kind]:
                yield f"{kind} has no condition {wanted}"
    elif form == "jsonpath":
        yield from _json_path(wanted.partition("}")[0] + "}", kinds)
    elif value not in {"delete", "create"}:
        yield f"cannot wait for {value}"


def _patch(value: str, kinds: list[str]) -> Iterator[str]:
    for kind in kinds:
        yield from unknown(json.loads(value), schemas()[kind], "")


def _selector(value: str, kinds: list[str]) -> Iterator[str]:
    for kind in kinds:
        if value.partition("=")[0] not in selectable(kind):
            yield f"{kind} cannot be selected by {value}"


_OPTIONS: dict[str, Callable[[str, list[str]], Iterator[str]]] = {
    "-o": _output,
    "--output": _output,
    "--for": _wait,
    "-p": _patch,
    "--patch": _patch,
    "--field-selector": _selector,
}


def _json_path(text: str, kinds: list[str]) -> Iterator[str]:
    for expression in _PATHS.findall(text):
        path = expression.removeprefix("range ").removeprefix(".items[*]")
        if not path.startswith("."):
            continue
        for kind in kinds:
            if not has_field(kind, path):
                yield f"{kind} has no field {path}"
            for condition in _TYPE.findall(path):
                if condition not in CONDITIONS[kind]:
                    yield f"{kind} has no condition {condition}"


def _explained(words: list[str]) -> Iterator[str]:
    for word in words:
        name, _, path = word.partition(".")
        kind = kinds_by_name().get(name)
        if kind is not None and path and not has_field(kind, path):
            yield f"{kind} has no field {path}"


def _annotations(words: list[str]) -> Iterator[str]:
    keys = [word.partition("=")[0] for word in words if "=" in word]
    if keys != ["entrasync.dev/run-requested-at"]:
        yield f"no annotation that does something: {keys}"


# --- options of both ---------------------------------------------------------------------------


def _split(
    words: list[str] | tuple[str, ...], known: dict[str, bool]
) -> tuple[list[tuple[str, str]], list[str]]:
    """Options with their values, and the words between them."""
    options, plain = [], []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "-" or not word.startswith("-"):
            plain.append(word)
            continue
        name, given, value = word.partition("=")
        if not given and known.get(name) and rest:
            value = rest.pop(0)
        options.append((name, value))
    return options, plain


def _unknown_options(options: list[tuple[str, str]], known: dict[str, bool]) -> Iterator[str]:
    yield from (f"no option {name}" for name, _ in options if name not in known)


@cache
def _options(name: str, verb: str) -> dict[str, bool]:
    """The options that a program tells of itself, and whether each takes a value."""
    told = _said(name, *verb.split(), "--help")
    found: dict[str, bool] = {}
    if name == "kubectl":
        told += _said(name, "options")
        for line in re.findall(r"^ +(-.*):$", told, re.MULTILINE):
            for each in line.split(", "):
                option, _, default = each.partition("=")
                found[option] = default not in {"true", "false"}
            takes = found[line.split(", ")[-1].partition("=")[0]]
            found |= dict.fromkeys(line.split(", ")[:-1], takes)
    else:
        for line in re.findall(r"^ +(-[^ ].*)$", told, re.MULTILINE):
            shown = re.match(r"((?:-\w, )?--[\w-]+)( [\w\[\]\"=]+)?(?:  |$)", line)
            if shown:
                found |= {each: bool(shown[2]) for each in shown[1].split(", ")}
    return found


@cache
def _said(name: str, *arguments: str) -> str:
    return subprocess.run(
        [str(program(name)), *arguments], capture_output=True, text=True, check=True
    ).stdout
