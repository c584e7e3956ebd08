"""Writes the files that are generated from the package: `crds/` and the chart's copies of them.

`python -m dev.generate` writes them; with `--check` it fails when one has drifted.
"""

from __future__ import annotations

import sys
from pathlib import Path

from entrasync.api.crds import render_files

ROOT = Path(__file__).parents[1]
FOLDERS = (ROOT / "crds", ROOT / "helm" / "entrasync" / "files" / "crds")


def drifted() -> list[Path]:
    """Files that are missing, stale, or no longer generated."""
    wanted = {folder / name: text for folder in FOLDERS for name, text in render_files().items()}
    stale = [
        path for path, text in wanted.items() if not path.is_file() or path.read_text() != text
    ]
    extra = [path for folder in FOLDERS for path in folder.glob("*") if path not in wanted]
    return sorted(stale + extra)


def write() -> None:
    """Writes every generated file."""
    for folder in FOLDERS:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in render_files().items():
            (folder / name).write_text(text)


def main() -> int:
    """Writes, or with `--check` compares."""
    if "--check" not in sys.argv[1:]:
        write()
        return 0
    paths = [str(path.relative_to(ROOT)) for path in drifted()]
    if paths:
        print("These generated files differ from the models; run `make generate`:", *paths)
        return 1
    print("Generated files are up to date.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
