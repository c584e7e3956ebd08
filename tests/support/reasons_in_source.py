"""Which reasons the package's source uses, read from its syntax trees without running it.

A reason is what stands where a parameter or a field called `reason` takes it, what is compared with
one, and what is returned beside a sentence. Names of constants are followed to their values.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).parents[2] / "operator" / "entrasync"
FOREIGN: Final = "emulator"
"""It speaks as Azure does, with Azure's own codes."""
CAMEL_CASE: Final = re.compile(r"([A-Z][a-z0-9]+)+")
_OTHERS_SPEAK: Final = frozenset({"Fault", "encode_fault", "_write_reason", "Held", "held"})
"""Where `reason` is something else: a word of SOAP's, or why one change of a plan is held."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(slots=True, kw_only=True)
class Source:
    """The package as syntax trees.

    Attributes:
        trees: by path inside the package.
        constants: what each name is bound to anywhere.
        positions: where a function or class takes a reason, by its name.
        errors: names of the exceptions that carry one.
    """

    trees: Mapping[str, ast.Module]
    constants: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    positions: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    errors: set[str] = field(default_factory=lambda: {"EntrasyncError"})


def read_source(package: Path = PACKAGE, *, but: str = FOREIGN) -> Source:
    """The package without what speaks as others do, and without the register itself."""
    trees = {
        str(path.relative_to(package)): ast.parse(path.read_text())
        for path in sorted(package.rglob("*.py"))
        if path.relative_to(package).parts[0] != but and not _is_register(path)
    }
    source = Source(trees=trees)
    nodes = [node for tree in trees.values() for node in ast.walk(tree)]
    for node in nodes:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            _note_constant(source, node)
        elif isinstance(node, Function):
            _note_parameter(source, node)
        elif isinstance(node, ast.ClassDef):
            _note_field(source, node)
    _note_errors(source, [node for node in nodes if isinstance(node, ast.ClassDef)])
    return source


def reasons_used(source: Source) -> dict[str, set[str]]:
    """Reason -> places, as `file:line`."""
    found: dict[str, set[str]] = defaultdict(set)
    for file, tree in source.trees.items():
        for node in ast.walk(tree):
            for expression in _in_place_of_reasons(source, node):
                for reason in _values(source, expression):
                    found[reason].add(f"{file}:{expression.lineno}")
    return found


def raised(source: Source) -> Iterator[tuple[str, str, str]]:
    """Class, reason and place of each exception that is raised or built."""
    for file, tree in source.trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _name(node.func) in source.errors and node.args:
                for reason in _values(source, node.args[0]):
                    yield _name(node.func), reason, f"{file}:{node.lineno}"


def strings(source: Source) -> set[str]:
    """Every string that stands in the package."""
    return {
        node.value
        for tree in source.trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def _is_register(path: Path) -> bool:
    return path.parent.name == "api" and path.name.startswith("reason")


def _note_constant(source: Source, node: ast.Assign | ast.AnnAssign) -> None:
    value = node.value
    if not isinstance(value, ast.Constant) or not isinstance(value.value, str):
        return
    for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
        if isinstance(target, ast.Name) and target.id.isupper():
            source.constants[target.id].add(value.value)


def _note_parameter(source: Source, node: Function) -> None:
    names = [argument.arg for argument in node.args.args]
    if "reason" in names and node.name not in _OTHERS_SPEAK | {"__init__"}:
        bound = bool(names) and names[0] in {"self", "cls"}
        source.positions[node.name].add(names.index("reason") - bound)


def _note_field(source: Source, node: ast.ClassDef) -> None:
    fields = [
        each.target.id
        for each in node.body
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
    ]
    if "reason" in fields and node.name not in _OTHERS_SPEAK:
        source.positions[node.name].add(fields.index("reason"))


def _note_errors(source: Source, classes: list[ast.ClassDef]) -> None:
    before = 0
    while before != len(source.errors):
        before = len(source.errors)
        source.errors |= {
            each.name
            for each in classes
            if {_name(base) for base in each.bases} & source.errors and not _says_its_own(each)
        }


def _says_its_own(node: ast.ClassDef) -> bool:
    """Whether an exception is built from something else than a reason."""
    return any(
        isinstance(each, ast.FunctionDef)
        and each.name == "__init__"
        and "reason" not in [argument.arg for argument in each.args.args]
        for each in node.body
    )


def _in_place_of_reasons(source: Source, node: ast.AST) -> Iterator[ast.expr]:
    """Expressions of a node that say a reason."""
    if isinstance(node, ast.Call):
        name = _name(node.func)
        if name not in _OTHERS_SPEAK:
            yield from (each.value for each in node.keywords if each.arg == "reason")
        for position in source.positions.get(name, ()):
            yield from node.args[position : position + 1]
        if name in source.errors:
            yield from node.args[:1]
    elif isinstance(node, ast.ClassDef) and node.name.endswith("Error"):
        yield from _said_to_base(node)
    elif isinstance(node, ast.Compare) and _name(node.left) == "reason":
        yield from node.comparators
    elif isinstance(node, Function):
        yield from _told_with_a_sentence(node)
    elif isinstance(node, ast.Assign) and any(_name(each) == "reason" for each in node.targets):
        yield node.value


def _told_with_a_sentence(node: Function) -> Iterator[ast.expr]:
    """First of each pair whose second is a sentence; tables of other words stand in modules."""
    for each in ast.walk(node):
        if isinstance(each, ast.Tuple) and len(each.elts) == 2 and _is_sentence(each.elts[1]):
            yield each.elts[0]


def _said_to_base(node: ast.ClassDef) -> Iterator[ast.expr]:
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "super().__init__":
            yield from call.args[:1]


def _is_sentence(node: ast.expr) -> bool:
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return any(
        isinstance(part, ast.Constant) and isinstance(part.value, str) and " " in part.value
        for part in parts
    )


def _values(source: Source, node: ast.expr) -> Iterator[str]:
    """The reasons an expression may come to, as far as they stand in the source."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str) and CAMEL_CASE.fullmatch(node.value):
            yield node.value
    elif isinstance(node, ast.Name | ast.Attribute):
        yield from sorted(source.constants.get(_name(node), ()))
    elif isinstance(node, ast.IfExp):
        yield from _values(source, node.body)
        yield from _values(source, node.orelse)
    elif isinstance(node, ast.BoolOp):
        for each in node.values:
            yield from _values(source, each)
    elif isinstance(node, ast.Set | ast.Tuple | ast.List):
        for each in node.elts:
            yield from _values(source, each)


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
