"""Every value that was recorded of published metric code, against what this library computes.

The list, with the call behind each value, is tests/metrics/recordings.py; the tests run what takes no time, this runs
all of it: some twenty minutes on one core. What came out goes to results/recorded.json, kind by kind.

    python benchmarks/recorded.py
    python benchmarks/recorded.py --only dci   # what has this in its name; nothing is written
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import sklearn

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results" / "recorded.json"


def load_list() -> Any:
    """The module that lists what was recorded; tests are no package, so it is read by its path."""
    spec = importlib.util.spec_from_file_location("recordings", ROOT / "tests" / "metrics" / "recordings.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def run(family: Any) -> dict[str, Any]:
    """What came out for the entries of one kind."""
    entries: dict[str, Any] = {}
    outcomes = []
    for entry in family.entries():
        began = time.perf_counter()
        found = list(family.outcomes(entry))
        outcomes += found
        entries[entry] = {
            "seconds": round(time.perf_counter() - began, 2),
            "values": {outcome.name: described(outcome) for outcome in found},
        }
    numbers = [outcome for outcome in outcomes if outcome.deviation is not None]
    return {
        "publisher": family.publisher,
        "kind": family.name or family.publisher,
        "call": " ".join((family.call.__doc__ or "").split()),
        "compared": family.how,
        "tolerance": family.tolerance,
        "values": len(outcomes),
        "without_a_number": len(outcomes) - len(numbers),
        "within": sum(outcome.within for outcome in numbers),
        "agree": sum(outcome.agrees for outcome in numbers),
        "largest_deviation": max((outcome.deviation for outcome in numbers), default=None),
        "most_standard_deviations": max(
            (outcome.standard_deviations for outcome in numbers if outcome.standard_deviations is not None),
            default=None,
        ),
        "seconds": round(sum(each["seconds"] for each in entries.values()), 1),
        "entries": entries,
    }


def described(outcome: Any) -> dict[str, Any]:
    """One outcome as plain data; tables by their shapes and the largest deviation of an entry."""
    content = {"recorded": outcome.recorded, "ours": outcome.ours}
    if outcome.deviation is not None:
        content |= {"deviation": outcome.deviation, "tolerance": outcome.tolerance}
        content |= {"within": outcome.within}
    if outcome.spread is not None:
        content |= {"spread": outcome.spread, "standard_deviations": outcome.standard_deviations}
    return {key: float(f"{value:.6g}") if isinstance(value, float) else value for key, value in content.items()}


def written(content: dict[str, Any]) -> str:
    """JSON with one line an entry."""
    kinds = []
    for kind in content["kinds"]:
        entries = (f"   {json.dumps(entry)}: {json.dumps(found)}" for entry, found in kind["entries"].items())
        listed = "{\n" + ",\n".join(entries) + "\n  }"
        kinds.append("  " + json.dumps(kind | {"entries": None}).removesuffix("null}") + listed + "}")
    head = json.dumps(content | {"kinds": None}, indent=1).removesuffix("null\n}")
    return head + "[\n" + ",\n".join(kinds) + "\n ]\n}\n"


def commit() -> str | None:
    """The commit of the checkout, with a + when files differ from it."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def main() -> None:
    """Runs the list and writes what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="part of the name of what is run; nothing is written then")
    chosen = parser.parse_args().only
    began, kinds = time.perf_counter(), []
    for family in load_list().FAMILIES:
        if chosen not in f"{family.publisher}/{family.name}":
            continue
        kind = run(family)
        kinds.append(kind)
        name, numbers = f"{kind['publisher']}/{kind['kind']}", kind["values"] - kind["without_a_number"]
        print(
            f"{name:<46} {kind['compared']:<15} {kind['within']:>4} of {numbers:>4} within {kind['tolerance']:g}, "
            f"at most {kind['largest_deviation']:.1e} away, {kind['seconds']:.0f} s",
            flush=True,
        )
        for entry, content in kind["entries"].items():
            for name, value in content["values"].items():
                if not value.get("within", True):
                    print(f"    {entry} {name}: {value}", flush=True)
    if chosen:
        return
    versions = {"python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__}
    content = {
        "commit": commit(),
        "versions": versions | {"scikit-learn": sklearn.__version__},
        "seconds": round(time.perf_counter() - began),
        "values": sum(kind["values"] for kind in kinds),
        "kinds": kinds,
    }
    RESULTS.write_text(written(content))


if __name__ == "__main__":
    main()
