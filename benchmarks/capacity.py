"""betavae and annealedvae on sprites: reconstruction, divergence, capacity and latents in use, epoch by epoch.

python benchmarks/capacity.py --jobs 2 --folder logs/capacity
python benchmarks/capacity.py --plot               # only the picture, from what lies in results/

The capacity rises to 20 nats, as published for dSprites, within a shorter run. Raw results go to results/capacity.json,
the picture to docs/images/.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results" / "capacity.json"
PICTURE = ROOT / "docs" / "images" / "capacity-sprites.png"

UPDATES = 20_000
"""Of a run, of which the capacity rises in the first three eighths."""
STATES = 40_000  # pairs drawn, of which a batch of 64 images has 32
COMMON = ("--dataset=sprites", "--transitions=uniform", f"--steps={STATES}", "--latents=10", "--learning-rate=5e-4")
RUNS = {
    "betavae": ("--model=betavae", "--beta=4"),
    "annealedvae": ("--model=annealedvae", "--gamma=100", "--C-max=20", f"--C-stop-iter={UPDATES * 3 // 8}"),
}
CURVES = {
    "reconstruction": "train/reconstruction",
    "kl": "train/kl",
    "capacity": "train/capacity",
    "held_out_reconstruction": "valid/reconstruction",
    "held_out_kl": "valid/kl",
    "active_units": "kl/active_units",
}
IN_USE = 0.1
"""Nats above which a latent counts as in use."""


def run(name: str, asked: argparse.Namespace) -> dict[str, Any]:
    """Trains and evaluates in a process of its own; returns the record."""
    target = (asked.folder / name).resolve()
    target.mkdir(parents=True, exist_ok=True)
    command = ["train.py", *RUNS[name], *COMMON, f"--epochs={asked.epochs}", f"--seed={asked.seed}"]
    began = time.perf_counter()
    with (target / "log.txt").open("w") as log:
        code = subprocess.call(
            [sys.executable, *command, "--threads=1", f"--log-dir={target}"],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=log,
            stderr=log,
        )
    if code:
        raise RuntimeError(f"{name}: training failed, see {target / 'log.txt'}")
    latest = max(target.glob("version_*"), key=lambda path: int(path.name[8:]))
    found = json.loads((latest / "metrics.json").read_text())
    return {
        "model": name,
        "command": " ".join(["python", *command]),
        "seconds": round(time.perf_counter() - began, 1),
        "environment": json.loads((latest / "environment.json").read_text()),
        "curves": curves(latest),
        "values": found["values"],
        "missing": found["missing"],
    }


def curves(run_directory: Path) -> dict[str, Any]:
    """What TensorBoard shows, epoch by epoch; of latents, the divergence of each."""
    events = EventAccumulator(str(run_directory))
    events.Reload()
    names = events.Tags()["scalars"]
    found = {key: [each.value for each in events.Scalars(tag)] for key, tag in CURVES.items() if tag in names}
    latents = sorted((name for name in names if name.startswith("kl/latent_")), key=lambda name: int(name[10:]))
    return found | {"latents": [[each.value for each in events.Scalars(name)] for name in latents]}


def in_use(curve: dict[str, Any]) -> list[int]:
    """How many latents are in use, epoch by epoch."""
    return [sum(kl > IN_USE for kl in epoch) for epoch in zip(*curve["latents"], strict=True)]


def draw(records: list[dict[str, Any]]) -> None:
    """The curves of both, a column each."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(3, len(records), figsize=(9, 7), dpi=110, sharex=True, layout="constrained")
    for column, record in zip(axes.T, records, strict=True):
        curve = record["curves"]
        epochs = range(1, len(curve["kl"]) + 1)
        column[0].set_title(record["model"], fontsize=10)
        column[0].plot(epochs, curve["reconstruction"], label="training")
        column[0].plot(epochs, curve["held_out_reconstruction"], label="held out")
        column[1].plot(epochs, curve["held_out_kl"], label="held out")
        if "capacity" in curve:
            column[1].plot(epochs, curve["capacity"], "--", color="black", label="capacity, mean of the epoch")
        for latent in curve["latents"]:
            column[2].plot(epochs, latent, linewidth=1)
        column[2].step(epochs, in_use(curve), "k:", where="mid", label=f"latents above {IN_USE:g} nats")
        for axis, label in zip(
            column, ("reconstruction (nats)", "divergence (nats)", "each latent (nats)"), strict=True
        ):
            axis.set_ylabel(label, fontsize=8)
            axis.tick_params(labelsize=7)
            if axis.get_legend_handles_labels()[1]:
                axis.legend(fontsize=7)
        column[2].set_xlabel("epoch", fontsize=8)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE)
    pyplot.close(figure)


def told(record: dict[str, Any]) -> str:
    """Where a run began and ended, in a line."""
    curve = record["curves"]
    first, last = (f"{curve['held_out_reconstruction'][place]:.1f}" for place in (0, -1))
    text = f"{record['model']}: reconstruction {first} -> {last}, divergence {curve['held_out_kl'][-1]:.2f} nats"
    if "capacity" in curve:
        top = max(curve["capacity"])
        held = [abs(kl - top) for kl, c in zip(curve["held_out_kl"], curve["capacity"], strict=True) if c >= top - 1e-6]
        text += f", {max(held):.2f} from C at most in the {len(held)} epochs in which it is held"
    return f"{text}, latents in use {in_use(curve)}"


def main() -> None:
    """Runs both and draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=UPDATES * 32 // (STATES * 8 // 10), help="of each run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--folder", type=Path, default=Path("logs") / "capacity", help="where the runs go")
    parser.add_argument("--plot", action="store_true", help="only draw the picture")
    asked = parser.parse_args()
    if not asked.plot:
        with ThreadPoolExecutor(asked.jobs) as pool:
            records = list(pool.map(lambda name: run(name, asked), RUNS))
        RESULTS.write_text(json.dumps(records, indent=1) + "\n")
    records = json.loads(RESULTS.read_text())
    for record in records:
        print(told(record))
    draw(records)


if __name__ == "__main__":
    main()
