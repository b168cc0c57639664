"""What the metrics cost at published sample sizes, and beside the same metrics computed as published.

Three parts: every metric of factors and codes on a factor space of the size of 3D Shapes with ten codes; the sampling
metrics with every draw encoded anew, as published, against codes encoded once; boosted trees one factor after another
against all at once, and against histograms. Raw results go to results/metrics.json.

    python benchmarks/metrics.py
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch

from equiworld import metrics
from equiworld.datasets import build_dataset
from equiworld.datasets.randomness import torch_generator
from equiworld.world_models.zoo import MODELS, Context

RESULTS = Path(__file__).resolve().parent / "results" / "metrics.json"
SIZES = (10, 10, 10, 8, 4, 15)
POINTS, BATCH = 15_000, 64  # of BetaVAE, training and test together


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that a call takes, and what it gives."""
    began = time.perf_counter()
    answer = work()
    return time.perf_counter() - began, answer


def rows(number: int, seed: int, codes: int = 10) -> tuple[Any, Any]:
    """Factors of the size of 3D Shapes, and codes that hold them with noise; the spare codes hold nothing."""
    rng = np.random.default_rng(seed)
    factors = np.stack([rng.integers(size, size=number) for size in SIZES], axis=1)
    spread = (factors - (np.array(SIZES) - 1) / 2) / np.sqrt((np.array(SIZES) ** 2 - 1) / 12)
    held = np.hstack([spread, np.zeros((number, codes - len(SIZES)))])
    return factors, held + 0.5 * rng.standard_normal(held.shape)


def suite() -> dict[str, Any]:
    """Seconds of every metric that is not slow, alone and with chance and ceiling."""
    train, test = rows(10_000, 0), rows(5_000, 1)
    found: dict[str, Any] = {}
    for name in metrics.names(of_codes=True):
        if metrics.METRICS[name].slow:
            continue
        alone, _ = timed(lambda name=name: metrics.compute(name, *train, *test, reference=False))
        whole, _ = timed(lambda name=name: metrics.compute(name, *train, *test))
        found[name] = {"seconds": alone, "with_chance_and_ceiling": whole}
        print(f"{name:<18} {alone:7.2f} s  {whole:7.2f} s with chance and ceiling")
    for key in ("seconds", "with_chance_and_ceiling"):
        found[f"total_{key}"] = sum(each[key] for each in found.values() if isinstance(each, dict))
        print(f"the whole suite, {key.replace('_', ' ')}: {found[f'total_{key}']:.1f} s")
    return found


def sampling(measured: int = 40) -> dict[str, Any]:
    """BetaVAE on FlatLand: every draw encoded, extrapolated from some points, and codes encoded once."""
    data = build_dataset("flatland")
    spec = MODELS["vae"]
    model = spec.build(spec.options(architecture="forward"), Context(data.world, False, 1, torch_generator(0, 3)))
    rng = np.random.default_rng(0)

    @torch.no_grad()
    def published() -> None:
        for _ in range(measured):
            first, second = (np.stack([rng.integers(33, size=BATCH) for _ in range(2)], axis=1) for _ in range(2))
            kept = rng.integers(2)
            second[:, kept] = first[:, kept]
            for factors in (first, second):
                model.encode(data.images(data.latent_to_index(factors)))

    @torch.no_grad()
    def once() -> Any:
        return metrics.evaluate(model.encode, data, ["beta_vae"], reference=False)

    slow, _ = timed(published)
    fast, _ = timed(once)
    whole = slow / measured * POINTS
    print(
        f"BetaVAE: {whole:.0f} s as published (from {measured} points), {fast:.2f} s from a table: {whole / fast:.0f}x"
    )
    return {"published_seconds": whole, "measured_points": measured, "table_seconds": fast, "ratio": whole / fast}


def trees() -> dict[str, Any]:
    """Boosted trees at 2,000 and 1,000 rows: one factor after another, all at once, histograms."""
    train, test = rows(2_000, 2, 6), rows(1_000, 3, 6)
    serial, one = timed(lambda: metrics.compute("dci", *train, *test, reference=False, n_jobs=1))
    parallel, two = timed(lambda: metrics.compute("dci", *train, *test, reference=False, n_jobs=-1))
    hist, _ = timed(lambda: metrics.compute("dci_hist", *train, *test, reference=False))
    same = bool(np.array_equal(one.details["importance"], two.details["importance"])) and one.values == two.values
    print(f"DCI: {serial:.1f} s in turn, {parallel:.1f} s at once (identical: {same}), {hist:.1f} s by histograms")
    return {"serial_seconds": serial, "parallel_seconds": parallel, "identical": same, "histogram_seconds": hist}


def main() -> None:
    """Runs all three and writes what they took."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    content = {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "scikit-learn": sklearn.__version__,
        "numpy": np.__version__,
        "suite": suite(),
        "sampling": sampling(),
        "trees": trees(),
    }
    RESULTS.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
