"""`python -m bench [NAME]`: runs all benchmarks or one, prints their figures, keeps them.

Exit code 0 only if every figure that has a goal holds it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import codec, company, cycle, endpoint, image, ldap, operator
from bench.figures import Figure, render_table, to_json

RESULTS = Path(__file__).parent / "results"
BENCHMARKS: dict[str, Callable[[], list[Figure]]] = {
    "codec": codec.measure,
    "company": company.measure,
    "cycle": cycle.measure,
    "endpoint": endpoint.measure,
    "image": image.measure,
    "ldap": ldap.measure,
    "operator": operator.measure,
}


def main(arguments: Sequence[str]) -> int:
    """Runs what is asked for."""
    unknown = [name for name in arguments if name not in BENCHMARKS]
    if unknown:
        print(f"There is no benchmark {unknown[0]}; there are: {', '.join(BENCHMARKS)}")
        return 2
    held = True
    for name in arguments or BENCHMARKS:
        print(f"Benchmark {name}: {BENCHMARKS[name].__doc__}", flush=True)
        figures = BENCHMARKS[name]()
        print(render_table(figures), flush=True)
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.json").write_text(to_json(figures))
        held &= all(figure.held for figure in figures)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
