"""Per-seed results of the main job: trains, evaluates, and writes benchmarks/results/ and the README's table.

python benchmarks/reproduce.py --name rgrvae --seeds 10
python benchmarks/reproduce.py --all --jobs 2
python benchmarks/reproduce.py --tables            # only the tables, from what lies in results/
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"

EXPERIMENTS: dict[str, tuple[list[str], int]] = {
    "rgrvae": (["--model=rgrvae"], 10),
    "forward": (["--model=forward"], 10),
    "betavae": (["--model=betavae", "--latents=4", "--architecture=forward"], 3),
    "rgrvae-salt": (["--model=rgrvae", "--noise-name=salt"], 3),
    "rgrvae-gaussian": (["--model=rgrvae", "--noise-name=gaussian"], 3),
    "rgrvae-background": (["--model=rgrvae", "--noise-name=background"], 3),
    "rgrvae-offset2": (["--model=rgrvae", "--offset=2", "--num-action-steps=2"], 3),
    "rgrvae-offset5": (["--model=rgrvae", "--offset=5", "--num-action-steps=5"], 3),
}
"""Options beside ``--dataset=flatland``, and how many seeds."""

COLUMNS: dict[str, tuple[str, str]] = {
    "alignment": ("alignment.alignment", ".3f"),
    "angle error (rad)": ("angles.max", ".4f"),
    "independence": ("independence.independence", ".3f"),
    "D_LSBD": ("lsbd.held_out", ".4f"),
    "disc in place after 20": ("prediction.within_20", ".1%"),
}


def run(name: str, seed: int, folder: Path, threads: int) -> dict[str, Any]:
    """Trains and evaluates one seed in a process of its own; returns its record."""
    options, _ = EXPERIMENTS[name]
    target = folder / name / f"seed_{seed}"
    target.mkdir(parents=True, exist_ok=True)
    command = [
        "train.py",
        "--dataset=flatland",
        *options,
        f"--seed={seed}",
        f"--threads={threads}",
        f"--log-dir={target}",
    ]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    began = time.perf_counter()
    with (target / "log.txt").open("w") as log:
        subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, stdout=log, stderr=log, check=True)
    seconds = time.perf_counter() - began
    return record(
        name,
        seed,
        max(target.glob("version_*"), key=lambda path: int(path.name[8:])),
        seconds,
        " ".join(["python", *command[:-1]]),
    )


def record(name: str, seed: int, run_directory: Path, seconds: float | None, command: str) -> dict[str, Any]:
    """What is kept of a run: its values, configuration and environment."""
    found = json.loads((run_directory / "metrics.json").read_text())
    log = (run_directory.parent / "log.txt").read_text()
    solved = re.search(r"actions found after (\d+) updates", log)
    return {
        "experiment": name,
        "seed": seed,
        "command": command,
        "seconds": None if seconds is None else round(seconds, 1),
        "actions_found_after_updates": int(solved.group(1)) if solved else None,
        "environment": json.loads((run_directory / "environment.json").read_text()),
        "values": found["values"],
        "missing": found["missing"],
    }


def table(name: str) -> list[str]:
    """Rows of a Markdown table: one a seed, then the mean."""
    records = sorted(
        (json.loads(path.read_text()) for path in RESULTS.glob(f"{name}_seed*.json")), key=lambda each: each["seed"]
    )
    rows = []
    for each in records:
        cells = [_cell(each["values"].get(key), form) for key, form in COLUMNS.values()]
        minutes = "" if each["seconds"] is None else f"{each['seconds'] / 60:.1f}"
        rows.append(f"| {name} | {each['seed']} | " + " | ".join(cells) + f" | {minutes} |")
    if len(records) > 1:
        means = []
        for key, form in COLUMNS.values():
            numbers = [each["values"][key] for each in records if each["values"].get(key) is not None]
            means.append(_cell(sum(numbers) / len(numbers) if numbers else None, form))
        rows.append(f"| **{name}** | **mean** | " + " | ".join(f"**{cell}**" for cell in means) + " | |")
    return rows


def _cell(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def write_tables() -> None:
    """The full table into results/README.md, the means into the project's README."""
    head = ["| experiment | seed | " + " | ".join(COLUMNS) + " | minutes |", "|" + "---|" * (len(COLUMNS) + 3)]
    rows = [row for name in EXPERIMENTS for row in table(name)]
    intro = (
        "# Results, seed by seed\n\n"
        "Written by `python benchmarks/reproduce.py --all`; every record lies beside this file.\n\n"
    )
    (RESULTS / "README.md").write_text(intro + "\n".join(head + rows) + "\n")
    short = [head[0].replace(" seed |", " seeds |").replace(" minutes |", ""), "|" + "---|" * (len(COLUMNS) + 2)]
    for name in EXPERIMENTS:
        count = len(list(RESULTS.glob(f"{name}_seed*.json")))
        if count:
            last = table(name)[-1].replace("**", "").split("|")
            short.append(f"| {name} | {count} |" + "|".join(last[3:-2]) + "|")
    readme = ROOT / "README.md"
    text = re.sub(
        r"<!-- results -->.*<!-- /results -->",
        lambda _: "<!-- results -->\n" + "\n".join(short) + "\n<!-- /results -->",
        readme.read_text(),
        flags=re.DOTALL,
    )
    readme.write_text(text)


def main() -> None:
    """Runs what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", choices=list(EXPERIMENTS), action="append", help="which experiment; may be repeated")
    parser.add_argument("--all", action="store_true", help="all experiments")
    parser.add_argument("--seeds", type=int, help="seeds 0 .. N-1; each experiment's own number if not given")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--threads", type=int, default=1, help="threads of each")
    parser.add_argument("--folder", type=Path, default=Path("logs") / "benchmarks", help="where the runs go")
    parser.add_argument("--tables", action="store_true", help="only write the tables")
    asked = parser.parse_args()
    names = list(EXPERIMENTS) if asked.all else asked.name or []
    work = [(name, seed) for name in names for seed in range(asked.seeds or EXPERIMENTS[name][1])]
    RESULTS.mkdir(exist_ok=True)

    def one(item: tuple[str, int]) -> None:
        name, seed = item
        content = run(name, seed, asked.folder.resolve(), asked.threads)
        (RESULTS / f"{name}_seed{seed}.json").write_text(json.dumps(content, indent=1) + "\n")
        print(name, seed, {label: content["values"].get(key) for label, (key, _) in COLUMNS.items()}, flush=True)

    with ThreadPoolExecutor(asked.jobs) as pool:
        list(pool.map(one, work))
    write_tables()
    print(f"peak memory of a run: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024} MB")


if __name__ == "__main__":
    main()
