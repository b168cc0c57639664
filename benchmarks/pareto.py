"""Mutual information against consistency: lagvae at targets of NELBO, and an InfoVAE grid of equal cost.

python benchmarks/pareto.py --jobs 2                                            # flatland
python benchmarks/pareto.py --name breakout --dataset frames.h5 --jobs 2        # binarised frames, from a file
python benchmarks/pareto.py --name try --dry                                    # everything, on next to nothing
python benchmarks/pareto.py --plot                                              # only the picture, from results/

A first run, with no weight on the information and the largest multipliers throughout, finds the least NELBO that this
cost can reach; the targets are multiples of it. All is trained with several seeds, whose means are compared: a seed
moves a run by a nat. What stands after -- goes to every run. Runs that lie in --folder are not trained again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equiworld.datasets.randomness import torch_generator
from equiworld.reporting.trade_offs import dominating
from equiworld.world_models import load_run
from equiworld.world_models.bounds import mutual_information
from equiworld.world_models.objectives.mmd import Kernel, mmd

ROOT = Path(__file__).resolve().parent.parent
RESULTS, PICTURES = ROOT / "benchmarks" / "results", ROOT / "docs" / "images"

SCALE = 1000.0
"""Of the discrepancy, on FlatLand: with the factor of the publication its noise would drive the multipliers, and what
holds the codes too tightly at first leaves most of them empty."""
COMMON = (
    "--architecture=dense",
    "--hidden-width=128",
    "--activation=relu",
    "--latents=10",
    "--bandwidth=dim",
    "--unbiased",
    "--learning-rate=4e-3",
    "--adam-beta1=0.9",
    "--batch-size=100",
    "--lr-scheduler=exp",
    "--no-evaluate",
)
"""What all runs have in common; the discrepancy has no bias, so that it may be held low with few latents."""

MOST = 3.0
"""Largest multiplier: near the weight of the information, so that they do not wind up while the networks are far from
the targets."""
RATE, WARMUP = 0.5, 1 / 32
"""Of the multipliers: the rate over the target of NELBO, and the share of all updates before they move."""
SLOW_RATE, LONG_WARMUP = 0.02, 2 / 3
"""The same where the information is minimised, on FlatLand. The multipliers are small there, and would swing if they
moved faster; what codes were once allowed to hold is unlearnt slowly, so that these networks settle first."""
COMPRESSION = 0.045
"""There: the first multiplier of NELBO times how far its target is above the least. That of the discrepancy is twice
it, since codes that are held near the prior compress faster."""

LAST_RATE = 0.1
"""Learning rate at the end, over that at first: networks that still move can follow the multipliers to the end."""
NELBO_MARGINS, MMD_MARGINS = (0.98, 0.96), (1.25, 1.25)
"""What lagvae is asked for, on either branch: of NELBO so much of the target, of the discrepancy so much less than it,
on FlatLand. Both are estimated from batches, the discrepancy coarsely."""
TARGETS = (5.5, 3.0)
"""Of the discrepancy, where the information is maximised and where it is minimised: there, codes that are held near the
prior compress faster."""
FACTORS = (1.2, 1.35, 1.6, 2.0, 2.5, 3.0)
"""Targets of NELBO, as multiples of the least."""
ALPHAS, WEIGHTS = {-1: (-10.0, -3.0, -1.0), 1: (0.5, 0.8, 0.95)}, (0.1, 1.0)
"""InfoVAE's grid: alpha on each branch, and the weight of the discrepancy, alpha + lambda - 1."""

MEASURES = {"to_prior": "mean divergence from the prior", "lower": "aggregate-posterior estimate"}
"""What the picture shows of the mutual information."""
TOLERANCE = 0.01
_CODES = 4000  # images whose codes are told apart
_COMPARED = 1000  # codes, at least, that are compared with the prior at once
_CHUNK = 500  # images encoded at a time


@dataclass(frozen=True)
class Job:
    """A run.

    Attributes:
        name: Of its folder.
        kind: ``knee``, ``lagvae`` or ``infovae``.
        branch: 1 where the information is maximised, -1 where it is minimised.
        options: For train.py, beside the common ones.
        e1: Target of NELBO; None: none.
        e2: Target of the discrepancy, likewise.
    """

    name: str
    kind: str
    branch: int
    options: tuple[str, ...]
    e1: float | None = None
    e2: float | None = None


def multipliers(warmup: int) -> tuple[str, ...]:
    """How multipliers are learnt that stay as they are for so many updates."""
    return (
        "--model=lagvae",
        "--no-sampled-kl",
        "--multiplier-form=softplus",
        "--multiplier-optimizer=gradient",
        "--multiplier-min=0.005",
        f"--multiplier-warmup={warmup}",
        "--smoothing=0.9",
    )


def learnt(branch: int, least: float, factor: float, asked: argparse.Namespace, updates: int) -> Job:
    """A run of lagvae, whose target of NELBO is a multiple of the least, of so many updates."""
    e1, e2 = factor * least, asked.e2[branch < 0]
    rate, warmup, start = RATE, WARMUP, ["--multiplier-start=1"]
    if branch < 0:
        first = asked.compression / (factor - 1)
        rate, warmup = asked.rate, asked.warmup
        start = ["--multiplier-start", *(f"{min(each, MOST):.3g}" for each in (first, 2 * first))]
    options = (
        *multipliers(round(warmup * updates)),
        f"--mi={branch}",
        f"--e1={NELBO_MARGINS[branch < 0] * e1:.6g}",
        f"--e2={e2 - asked.margins[branch < 0]:.6g}",
        f"--multiplier-rate={rate / e1:.3g}",
        f"--multiplier-max={MOST:.3g}",
        *start,
    )
    return Job(f"lagvae{branch:+d}_{e1:.6g}", "lagvae", branch, options, e1, e2)


def grid(targets: int) -> list[Job]:
    """The runs of infovae: as many on each branch as lagvae has targets there, six at most."""
    return [
        Job(
            f"infovae_{alpha:g}_{weight:g}",
            "infovae",
            branch,
            ("--model=infovae", f"--alpha={alpha:g}", f"--lambda-prior={1 - alpha + weight:.6g}"),
        )
        for branch, alphas in ALPHAS.items()
        for alpha, weight in list(itertools.product(alphas, WEIGHTS))[:targets]
    ]


def run(job: Job, seed: int, asked: argparse.Namespace) -> dict[str, Any]:
    """Trains in a process of its own, and measures; returns the record.

    Raises:
        RuntimeError: Training failed.
    """
    target = asked.folder / job.name / f"seed_{seed}"
    command = ["train.py", f"--dataset={asked.dataset}", *COMMON, *job.options, f"--epochs={asked.epochs}"]
    command += [
        f"--mmd-scale={asked.scale:g}",
        f"--lr-scheduler-gamma={LAST_RATE ** (1 / asked.epochs):.6g}",
        f"--seed={seed}",
        *asked.more,
    ]
    record = target / "record.json"
    if record.exists() and (kept := json.loads(record.read_text()))["command"] == command:
        return dict(kept) | asdict(job) | violations(job, kept["train"])
    target.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    with (target / "log.txt").open("w") as log:
        code = subprocess.call(
            [sys.executable, *command, f"--threads={asked.threads}", f"--log-dir={target}"],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": str(asked.threads)},
            stdout=log,
            stderr=log,
        )
    if code:
        raise RuntimeError(f"{job.name}, seed {seed}: training failed, see {target / 'log.txt'}")
    latest = latest_run(target)
    content = asdict(job) | {
        "seed": seed,
        "command": command,
        "seconds": round(time.perf_counter() - began, 1),
        "environment": json.loads((latest / "environment.json").read_text()),
    }
    content |= measure(latest, asked.scale)
    record.write_text(json.dumps(content, indent=1) + "\n")
    return content | violations(job, content["train"])


def violations(job: Job, reached: dict[str, float]) -> dict[str, Any]:
    """How far a run of lagvae is above its targets on training images, as shares of these."""
    if job.e1 is None or job.e2 is None:
        return {}
    return {"violation": {"nelbo": reached["nelbo"] / job.e1 - 1, "mmd": reached["mmd"] / job.e2 - 1}}


def latest_run(folder: Path) -> Path:
    """The run directory of a folder that was made last."""
    return max(folder.glob("version_*"), key=lambda path: int(path.name[8:]))


@torch.no_grad()
def measure(path: Path, scale: float) -> dict[str, Any]:
    """What a run reaches on training and on test images.

    Training batches are those that the constraints were taken from; of the others every state counts once.
    """
    assembly = load_run(path)
    data, split, seed = assembly.data, assembly.split, assembly.options.run.seed
    size = assembly.options.model.batch_size
    loader = assembly.loader("training")
    held_out = [data.images(states) for states in np.array_split(split.test, -(-len(split.test) // size))]
    batches = {"train": (each.frames for epoch in range(6) for each in loader.epoch(epoch)), "test": held_out * 6}
    found: dict[str, Any] = {}
    for number, (part, states) in enumerate({"train": split.train, "test": split.test}.items()):
        found[part] = _means(assembly.model, batches[part], scale, torch_generator(seed, 31, number))
        rows = states[np.linspace(0, len(states) - 1, min(len(states), _CODES)).round().astype(int)]
        features = [
            assembly.model.encoder(data.images(some)).float() for some in np.array_split(rows, len(rows) // _CHUNK + 1)
        ]
        posterior = assembly.model.latent.posterior(torch.cat(features))
        found[part] |= asdict(mutual_information(posterior, torch_generator(seed, 32, number))) | {"images": len(rows)}
    return found


def _means(model: Any, batches: Iterable[Tensor], scale: float, generator: torch.Generator) -> dict[str, float]:
    """Means over batches of the bound and its parts, and over many codes of the discrepancy that is constrained."""
    rows, discrepancies, held = [], [], []
    for images in batches:
        evidence = model.evidence(images, generator)
        rows.append((float(evidence.reconstruction.mean()), float(evidence.kl.sum(1).mean())))
        held.append(evidence.codes)
        if sum(map(len, held)) >= _COMPARED:
            discrepancies.append(scale * _discrepancy(model, torch.cat(held), generator))
            held = []
    reconstruction, kl = np.mean(rows, 0).tolist()
    discrepancies = discrepancies or [scale * _discrepancy(model, torch.cat(held), generator)]
    return {
        "nelbo": reconstruction + kl,
        "reconstruction": reconstruction,
        "kl": kl,
        "mmd": float(np.mean(discrepancies)),
    }


def _discrepancy(model: Any, codes: Tensor, generator: torch.Generator) -> float:
    """Of codes from the prior; it has no bias, so that it does not depend on how many there are."""
    prior = model.latent.prior_sample(len(codes), generator)
    return float(mmd(codes, prior, Kernel("gaussian", "dim"), unbiased=True))


def points(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over the seeds of each kind of run."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for each in records:
        by_name.setdefault(each["name"], []).append(each)
    return [
        {key: runs[0][key] for key in ("name", "kind", "branch", "e1")}
        | {
            part: {key: float(np.mean([each[part][key] for each in runs])) for key in runs[0][part]}
            for part in ("train", "test")
        }
        for runs in by_name.values()
    ]


def comparison(records: Sequence[dict[str, Any]], part: str, measure: str) -> dict[str, Any]:
    """Which points of the grid dominate which points of lagvae, by branch.

    ``strictly``, by any difference; ``clearly``, by more than the tolerance of the constraints in both respects. A
    point of the grid is better than the front where it dominates some of it and none of it dominates the point.
    """
    found: dict[str, Any] = {}
    for branch in (1, -1):
        front = [each for each in records if each["kind"] == "lagvae" and each["branch"] == branch]
        others = [each for each in records if each["kind"] == "infovae"]
        ours, theirs = (
            (
                np.array([each[part]["nelbo"] for each in runs]),
                branch * np.array([each[part][measure] for each in runs]),
            )
            for runs in (front, others)
        )
        slack = (TOLERANCE * float(ours[0].min()), TOLERANCE * float(np.abs(ours[1]).max()))
        beaten = dominating(*ours, *theirs).any(0)
        pairs = {"strictly": dominating(*theirs, *ours), "clearly": dominating(*theirs, *ours, slack)}
        found["max" if branch > 0 else "min"] = {
            how: [[others[i]["name"], front[j]["name"]] for i, j in zip(*np.nonzero(which), strict=True)]
            for how, which in pairs.items()
        } | {
            "beyond": [others[i]["name"] for i in np.flatnonzero(pairs["strictly"].any(1) & ~beaten)],
            "beaten": int(beaten.sum()),
            "of": len(others),
        }
    return found


def draw(content: dict[str, Any], path: Path) -> None:
    """The picture: NELBO across, information up, on training and on test images."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(len(MEASURES), 2, figsize=(9, 6.5), dpi=110, squeeze=False, layout="constrained")
    looks = {
        "lagvae, maximised": ("lagvae", 1, "o-", "tab:blue"),
        "lagvae, minimised": ("lagvae", -1, "s-", "tab:cyan"),
        "infovae grid": ("infovae", 0, "x", "tab:red"),
        "least NELBO": ("knee", 0, "*", "black"),
    }
    for row, (measure, shown) in zip(axes, MEASURES.items(), strict=True):
        for axis, part in zip(row, ("train", "test"), strict=True):
            for name, (kind, branch, style, colour) in looks.items():
                for runs, share, label in ((content["runs"], 0.3, None), (points(content["runs"]), 1.0, name)):
                    some = [r for r in runs if r["kind"] == kind and branch in (0, r["branch"])]
                    some.sort(key=lambda each: each["e1"] or 0)
                    x, y = ([r[part][key] for r in some] for key in ("nelbo", measure))
                    marks = {"color": colour, "label": label, "marker": style[0], "markersize": 5, "alpha": share}
                    axis.plot(x, y, linestyle=style[1:] if label and style[1:] else "none", **marks)
            axis.set_title(f"{part}: {shown}", fontsize=9)
            axis.set_xlabel("NELBO (nats)", fontsize=8)
            axis.set_ylabel("information (nats)", fontsize=8)
            axis.tick_params(labelsize=7, which="both")
    axes[0][0].legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    pyplot.close(figure)


def sweep(asked: argparse.Namespace) -> dict[str, Any]:
    """Trains and measures everything, and compares."""

    def told(work: tuple[Job, int]) -> dict[str, Any]:
        job, seed = work
        content = run(job, seed, asked)
        train = content["train"]
        print(
            f"{job.name}, {seed}: {content['seconds']:.0f} s, NELBO {train['nelbo']:.2f}"
            f" (test {content['test']['nelbo']:.2f}),"
            f" information {train['lower']:.2f} .. {train['to_prior']:.2f}, MMD {train['mmd']:.1f},"
            f" violation {content.get('violation')}",
            flush=True,
        )
        return content

    flat = (
        *multipliers(150),
        "--mi=0",
        "--e1=0",
        "--e2=5",
        "--multiplier-rate=1e-3",
        f"--multiplier-max={MOST:g}",
    )
    seeds = range(asked.seeds)
    with ThreadPoolExecutor(asked.jobs) as pool:
        knees = list(pool.map(told, [(Job("knee", "knee", 0, flat), seed) for seed in seeds]))
        least = float(np.mean([each["train"]["nelbo"] for each in knees]))
        updates = asked.epochs * len(load_run(latest_run(asked.folder / "knee" / "seed_0")).loader("training"))
        jobs = [learnt(branch, least, factor, asked, updates) for branch in (-1, 1) for factor in asked.factors]
        jobs += grid(len(asked.factors))
        records = [*knees, *pool.map(told, [(job, seed) for seed in seeds for job in jobs])]
    worst = {
        name: max(each["violation"][name] for each in records if each["kind"] == "lagvae") for name in ("nelbo", "mmd")
    }
    return {
        "dataset": Path(asked.dataset).name,
        "epochs": asked.epochs,
        "scale": asked.scale,
        "seeds": asked.seeds,
        "more": asked.more,
        "e2": asked.e2,
        "margins": asked.margins,
        "least_nelbo": least,
        "worst_violation": worst,
        "constraints_met": all(value <= TOLERANCE for value in worst.values()),
        "dominating": {
            part: {measure: comparison(points(records), part, measure) for measure in ("to_prior", "lower", "upper")}
            for part in ("train", "test")
        },
        "runs": records,
    }


def main() -> None:
    """Runs what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="flatland", help="of the result, pareto_NAME.json, and of the picture")
    parser.add_argument("--dataset", default="flatland", help="as train.py takes it")
    parser.add_argument("--epochs", type=int, default=60, help="of every run")
    parser.add_argument(
        "--e2",
        type=float,
        nargs=2,
        default=list(TARGETS),
        help="targets of the discrepancy, times --scale, where the information is maximised and minimised",
    )
    parser.add_argument(
        "--margins",
        type=float,
        nargs=2,
        default=list(MMD_MARGINS),
        help="how far below these targets lagvae is told to hold it, in the same units",
    )
    parser.add_argument("--scale", type=float, default=SCALE, help="of the discrepancy")
    slow = parser.add_argument_group("multipliers where the information is minimised")
    told = "the first one of NELBO, times how far its target is above the least"
    slow.add_argument("--compression", type=float, default=COMPRESSION, help=told)
    slow.add_argument("--warmup", type=float, default=LONG_WARMUP, help="share of all updates before they move")
    slow.add_argument("--rate", type=float, default=SLOW_RATE, help="of their steps, over the target of NELBO")
    parser.add_argument("--factors", type=float, nargs="+", default=list(FACTORS), help="targets over the least NELBO")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 .. N-1")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--threads", type=int, default=1, help="threads of each")
    parser.add_argument("--folder", type=Path, help="where the runs go; logs/pareto/NAME if not given")
    parser.add_argument("--dry", action="store_true", help="two epochs on little data; the result goes to --folder")
    parser.add_argument("--plot", action="store_true", help="only draw the picture")
    arguments = sys.argv[1:]
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    asked = parser.parse_args(arguments[:cut])
    asked.more = arguments[cut + 1 :]
    asked.folder = (asked.folder or Path("logs") / "pareto" / asked.name).resolve()
    if asked.dry:
        asked.epochs, asked.seeds, asked.factors, asked.more = (
            2,
            2,
            [1.1],
            ["--steps=300", "--hidden-width=16", *asked.more],
        )
    if "/" in asked.dataset or asked.dataset.endswith(".h5"):
        asked.dataset = str(Path(asked.dataset).resolve())
    result = (asked.folder if asked.dry else RESULTS) / f"pareto_{asked.name}.json"
    picture = (asked.folder if asked.dry else PICTURES) / f"pareto-{asked.name}.png"
    if not asked.plot:
        content = sweep(asked)
        result.write_text(json.dumps(content, indent=1) + "\n")
        print(json.dumps({key: content[key] for key in ("worst_violation", "constraints_met", "dominating")}, indent=1))
    draw(json.loads(result.read_text()), picture)
    print(f"{result}\n{picture}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
