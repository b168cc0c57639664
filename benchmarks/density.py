"""Density of Breakout frames: gmvae beside vae, hvae and pvae at equal dimensions, by the IWAE-50 bound of test frames.

python benchmarks/density.py --jobs 2 --folder logs/density
python benchmarks/density.py --architecture gmvae --batch-size 100 --policy mixture --frames 100000 --epochs 100
python benchmarks/density.py --tables              # only the table, from what lies in results/

The second has the published networks and size. A run whose record lies in results/density.json with the same command is
not trained again.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results" / "density.json"
PLANES = (1, 2, 4)
MODELS = {
    "vae": ("--model=vae",),
    "gmvae": ("--model=gmvae",),
    "gmvae, -0.5": ("--model=gmvae", "--curvature=-0.5"),
    "gmvae, learnt": ("--model=gmvae", "--learn-curvature"),
    "hvae": ("--model=hvae",),
    "pvae": ("--model=pvae",),
}
"""Options by what the table calls a model; curvature is -1 where none is told."""
_KEPT = ("elbo", "iwae_50")
_PAGE = ROOT / "docs" / "models" / "latents.md"


def command_of(model: str, planes: int, seed: int, asked: argparse.Namespace) -> list[str]:
    """The command line of a run."""
    networks = [f"--architecture={asked.architecture}"]
    if asked.architecture == "dense":
        networks += ["--hidden-width=256", "--activation=relu"]
    return [
        "train.py",
        *MODELS[model],
        "--dataset=breakout-frames",
        f"--policy={asked.policy}",
        f"--frames={asked.frames}",
        "--test-split=0.2",
        f"--latents={2 * planes}",
        *networks,
        f"--batch-size={asked.batch_size}",
        f"--epochs={asked.epochs}",
        f"--seed={seed}",
        "--threads=1",
        "--no-evaluate",
    ]


def measured(model: str, planes: int, seed: int, asked: argparse.Namespace) -> dict[str, Any]:
    """Trains and evaluates; returns the record."""
    command = command_of(model, planes, seed, asked)
    target = asked.folder.resolve() / f"{re.sub('[^a-z0-9]+', '-', model)}_{planes}_{seed}"
    target.mkdir(parents=True, exist_ok=True)
    data = f"--data-path={asked.data_path.resolve()}"
    began = time.perf_counter()
    failed = _call([*command, data, f"--log-dir={target}"], target / "log.txt")
    record: dict[str, Any] = {"model": model, "planes": planes, "seed": seed, "command": " ".join(["python", *command])}
    if failed:
        return record | {"failed": failed}
    run = max(target.glob("version_*"), key=lambda path: int(path.name[8:]))
    failed = _call(["evaluate.py", str(run), "--metrics", "bound", "--threads=1"], target / "evaluation.txt")
    if failed:
        return record | {"failed": failed}
    found = json.loads((run / "metrics.json").read_text())
    return record | {
        "seconds": round(time.perf_counter() - began, 1),
        "test_frames": found["test_states"],
        "values": {name: found["values"][f"bound.{name}"] for name in _KEPT},
        "environment": json.loads((run / "environment.json").read_text()),
    }


def _call(command: list[str], log: Path) -> str:
    """Runs a program of the library in a process of its own; the last line of its output if it fails."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with log.open("w") as stream:
        done = subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, stdout=stream, stderr=stream)
    return (log.read_text().strip().splitlines() or ["no output"])[-1] if done.returncode else ""


def records() -> list[dict[str, Any]]:
    """What was measured so far."""
    return list(json.loads(RESULTS.read_text())) if RESULTS.exists() else []


def table() -> str:
    """Mean bounds in nats and the spread over seeds, a row for each number of planes; the best in bold."""
    found = records()
    lines = [f"| planes | {' | '.join(MODELS)} | seeds |", "|" + "---|" * (len(MODELS) + 2)]
    for planes in PLANES:
        values = {
            model: [each["values"]["iwae_50"] for each in found if (each["model"], each["planes"]) == (model, planes)]
            for model in MODELS
            if all("values" in each for each in found if (each["model"], each["planes"]) == (model, planes))
        }
        means = {model: float(np.mean(each)) for model, each in values.items() if each}
        best = max(means.values(), default=0.0)
        cells = []
        for model in MODELS:
            if model not in means:
                cells.append("failed" if any(each["model"] == model for each in found) else "–")
                continue
            text = f"{means[model]:.2f} ± {np.std(values[model], ddof=min(1, len(values[model]) - 1)):.2f}"
            cells.append(f"**{text}**" if means[model] == best else text)
        seeds = len({each["seed"] for each in found if each["planes"] == planes})
        lines.append(f"| {planes} | {' | '.join(cells)} | {seeds} |")
    return "\n".join(lines)


def write_table() -> None:
    """Into the page on latent spaces."""
    text = _PAGE.read_text()
    before, after = "<!-- density -->", "<!-- /density -->"
    if before in text:
        start, end = text.index(before) + len(before), text.index(after)
        _PAGE.write_text(f"{text[:start]}\n{table()}\n{text[end:]}")


def main() -> None:
    """Runs what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 .. N-1")
    parser.add_argument("--policy", default="random", help="who plays: random, brownian, follower or mixture")
    parser.add_argument("--frames", type=int, default=12_000, help="steps of Breakout that are recorded")
    parser.add_argument("--architecture", default="dense", help="networks; those that were published are gmvae")
    parser.add_argument("--batch-size", type=int, default=64, help="images in a batch")
    parser.add_argument("--epochs", type=int, default=20, help="of each run")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--folder", type=Path, default=Path("logs") / "density", help="where the runs go")
    parser.add_argument("--data-path", type=Path, default=Path("data") / "breakout-frames", help="where the frames go")
    parser.add_argument("--tables", action="store_true", help="only write the table")
    asked = parser.parse_args()
    lock, done = Lock(), {each["command"]: each for each in records()}

    def one(item: tuple[int, int, str]) -> None:
        seed, planes, model = item
        command = " ".join(["python", *command_of(model, planes, seed, asked)])
        if "values" in done.get(command, {}):
            return
        record = measured(model, planes, seed, asked)
        with lock:
            done[command] = record
            RESULTS.write_text(json.dumps(list(done.values()), indent=1) + "\n")
        print(model, planes, seed, record.get("values", record.get("failed")), flush=True)

    if not asked.tables:
        work = [(seed, planes, model) for seed in range(asked.seeds) for planes in PLANES for model in MODELS]
        first, *rest = work
        one(first)  # which records the frames
        with ThreadPoolExecutor(asked.jobs) as pool:
            list(pool.map(one, rest))
    write_table()


if __name__ == "__main__":
    main()
