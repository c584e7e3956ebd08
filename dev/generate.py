"""Writes the files generated from the package: `crds/`, the chart's copies, pages of `docs/`.

`python -m dev.generate` writes them; with `--check` it fails when one has drifted.
"""

from __future__ import annotations

import sys
from pathlib import Path

from dev.argocd import CONFIG_MAP, render_argocd
from dev.chart_reference import README, rendered_readme
from dev.dashboard import ROWS
from dev.default_flows import with_default_flows
from dev.grafana import render_dashboard
from dev.metrics_reference import ALERTS, with_metrics
from entrasync.api.crds import render_files
from entrasync.api.reason_reference import render_reasons
from entrasync.api.reference import render_reference
from entrasync.emulator.reference import render_emulator_reference

ROOT = Path(__file__).parents[1]
FOLDERS = (ROOT / "crds", ROOT / "helm" / "entrasync" / "files" / "crds")


def wanted_files() -> dict[Path, str]:
    """Path -> text of every generated file."""
    files = {folder / name: text for folder in FOLDERS for name, text in render_files().items()}
    files[ROOT / "docs" / "kinds.md"] = render_reference()
    files[ROOT / "docs" / "reasons.md"] = render_reasons()
    files[ROOT / "docs" / "emulator.md"] = render_emulator_reference()
    files[README] = rendered_readme()
    files[CONFIG_MAP] = render_argocd()
    metrics = ROOT / "docs" / "metrics.md"
    files[metrics] = with_metrics(metrics.read_text(), ALERTS.read_text())
    files[ROOT / "helm" / "entrasync" / "files" / "dashboard.json"] = render_dashboard(ROWS)
    flows = ROOT / "docs" / "flows.md"
    files[flows] = with_default_flows(flows.read_text())
    return files


def drifted() -> list[Path]:
    """Files that are missing, stale, or no longer generated."""
    wanted = wanted_files()
    stale = [
        path for path, text in wanted.items() if not path.is_file() or path.read_text() != text
    ]
    extra = [path for folder in FOLDERS for path in folder.glob("*") if path not in wanted]
    return sorted(stale + extra)


def write() -> None:
    """Writes every generated file."""
    for path, text in wanted_files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


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
