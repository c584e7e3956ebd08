"""What pages of the documentation show: blocks of code, commands in a shell, and fields."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import override

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SITE_PAGES = sorted(DOCS.glob("*.md"))
FRONT_PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
PROGRAMS = ("kubectl", "helm", "entrasync", "make")
_SHELLS = {"", "sh", "bash", "console", "text"}
_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_HERE = re.compile(r"<<(['\"]?)(\w+)\1([^\n]*)\n(.*?)^\s*\2$", re.MULTILINE | re.DOTALL)
_PLACEHOLDER = re.compile(r"(?<![<\w])<[a-z][\w ]*>")
_LEADING = {"$", "do", "while", "until", "if", "then", "!"}
_PUNCTUATION = "();<>|&\n"


@dataclass(slots=True, frozen=True, kw_only=True)
class Block:
    """A block of code.

    Attributes:
        language: as it is written behind the fence; empty where nothing is.
        text: without the fences.
    """

    language: str
    text: str


@dataclass(slots=True, frozen=True, kw_only=True)
class Command:
    """A call of one program.

    Attributes:
        program: one of `PROGRAMS`.
        arguments: what follows, unquoted.
        whole: false for a mention in running text, which may leave arguments out.
    """

    program: str
    arguments: tuple[str, ...]
    whole: bool = True

    @override
    def __str__(self) -> str:
        return shlex.join([self.program, *self.arguments])


def build_site(folder: Path) -> Path:
    """The documentation as a site in a folder; a warning is an error."""
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def name_of(path: Path) -> str:
    """A page's path from the root, for people."""
    return str(path.relative_to(ROOT))


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return _BLOCK.sub("", page.read_text())


def inline_codes(page: Path) -> list[str]:
    """What is set as code in running text and tables."""
    return [" ".join(found.split()) for found in _INLINE.findall(prose(page))]


def blocks(page: Path) -> list[Block]:
    """The blocks of code, without the indentation of lists."""
    return [
        Block(language=language, text=re.sub(rf"^{indent}", "", text, flags=re.MULTILINE))
        for indent, language, text in _BLOCK.findall(page.read_text())
    ]


def yaml_texts(page: Path) -> Iterator[str]:
    """Blocks of YAML, and documents that commands get on their standard input or write to files."""
    for block in blocks(page):
        if block.language == "yaml":
            yield block.text
        elif block.language in _SHELLS:
            yield from (body for _, _, _, body in _HERE.findall(block.text))
            yield from re.findall(r"<<<'([^']*)'", block.text)


def tables(page: Path) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Headers and rows of the tables."""
    for found in re.findall(r"(?:^ *\|.*\n)+", prose(page), re.MULTILINE):
        header, _, *rows = [_cells(line) for line in found.splitlines()]
        yield header, rows


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def commands(page: Path) -> list[Command]:
    """All calls of known programs, in blocks and in running text."""
    found = [
        each
        for block in blocks(page)
        if block.language in _SHELLS
        for each in shell_commands(block.text)
    ]
    for code in inline_codes(page):
        if code.split()[0] in PROGRAMS:
            found += [
                Command(program=each.program, arguments=each.arguments, whole=False)
                for each in shell_commands(code)
            ]
    return found


def shell_commands(script: str) -> list[Command]:
    """Calls of known programs in a script, also those in pipes, loops and substitutions."""
    plain = _HERE.sub(r"\3\n", script.replace("\\\n", " "))
    plain = re.sub(r"\s#\s.*$", "", plain, flags=re.MULTILINE)
    plain = _PLACEHOLDER.sub("PLACEHOLDER", plain)
    found = []
    for words in _calls(plain):
        if words and words[0] in PROGRAMS:
            found.append(Command(program=words[0], arguments=tuple(words[1:])))
    return found


def _calls(script: str) -> Iterator[list[str]]:
    """The words of each simple command, without redirections and assignments before it."""
    words: list[str] = []
    redirected = False
    for word in _words(script):
        if set(word) <= set(_PUNCTUATION):
            if set(word) & set("();|&\n"):
                yield _without_lead(words)
                words = []
            else:
                redirected = True
                if words and words[-1].isdigit():
                    words.pop()  # the number of a file, as in 2>
        elif redirected:
            redirected = False
        else:
            words.append(word)
    yield _without_lead(words)


def _words(script: str) -> Sequence[str]:
    lexer = shlex.shlex(script, posix=True, punctuation_chars=_PUNCTUATION)
    lexer.whitespace = " \t"
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        return list(lexer)
    except ValueError:
        return []  # output with a lonely quotation mark


def _without_lead(words: list[str]) -> list[str]:
    start = 0
    while start < len(words) and (
        words[start] in _LEADING or re.fullmatch(r"[A-Z_]+=.*", words[start])
    ):
        start += 1
    return words[start:]
