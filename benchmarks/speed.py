"""What an update costs beside the original's workload, in one process and turn by turn.

The original's update is rebuilt from what it computes, with these networks: two encodings of 128 images each (before
and after), one policy, and four decodings (of the sample, of the prediction, of the target and of the sample again),
of which one is trained through. Then what an epoch of the default command costs, at its own batch size.
Raw results go to results/speed_threadsN.json.

    python benchmarks/speed.py --threads 1
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from equiworld.datasets import WindowLoader, build_dataset, record_trajectory, split_states
from equiworld.datasets.randomness import torch_generator
from equiworld.world_models.group import GroupVAE
from equiworld.world_models.zoo import MODELS, Context

RESULTS = Path(__file__).resolve().parent / "results"
BATCH = 128
DEFAULT_BATCH = MODELS["rgrvae"].options().batch_size


def model_and_loader(window: int, batch_size: int = BATCH) -> tuple[GroupVAE, WindowLoader]:
    """The default model, and batches of so many transitions."""
    data = build_dataset("flatland")
    transitions = record_trajectory(data)
    allowed = split_states(len(data)).role(len(data)) == 0
    spec = MODELS["rgrvae"]
    options = spec.options(window=window, batch_size=batch_size)
    model = spec.build(options, Context(data.world, False, 1, torch_generator(0, 3)))
    assert isinstance(model, GroupVAE)
    return model, WindowLoader(transitions, transitions.windows(window, allowed), window, batch_size, 0, allowed)


def updates(precision: str, refining: bool, window: int = 4, batch_size: int = BATCH) -> Callable[[], int]:
    """An update of the default model, as a function that makes one and returns how many images it saw."""
    model, loader = model_and_loader(window, batch_size)
    model.train()
    if refining:
        model.estimator.solved_at.fill_(0)
    optimizer = torch.optim.Adam(model.parameters(), 1e-5)
    batches = [batch for _, batch in zip(range(8), loader.epoch(0), strict=False)]
    generator = torch.Generator().manual_seed(0)
    number = 0

    def update() -> int:
        nonlocal number
        batch = batches[number % len(batches)]
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = model.terms(batch, number, generator)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        number += 1
        return len(batch.frames)

    return update


def original_update() -> Callable[[], int]:
    """The workload of an update of the original at batch 128."""
    model, loader = model_and_loader(1)
    policy = model.estimator.policy
    optimizer = torch.optim.Adam(model.parameters(), 1e-5)
    pairs = loader.sample(BATCH, 0)
    before, after = pairs.frames[pairs.index[:, 0]], pairs.frames[pairs.index[:, 1]]

    def update() -> int:
        first, second = model.posterior(before), model.posterior(after)
        sample = first.rsample()
        actions = torch.multinomial(policy(before, after).exp(), 1)[:, 0]
        predicted = model.act(sample, actions)
        for latents in (second.mean, predicted, sample):
            model.decode(latents)
        loss = (model.decode(sample) - before).square().sum() / BATCH + first.kl().sum() / BATCH
        loss = loss + 10 * (predicted - second.mean).square().sum() / BATCH
        loss = loss - policy(before, after).gather(1, actions[:, None]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return 2 * BATCH

    return update


def main() -> None:
    """Times the variants turn by turn and prints their medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    variants = {
        "original workload": original_update(),
        "search, float32": updates("32", refining=False),
        "refine, float32": updates("32", refining=True),
        "search, bfloat16": updates("bf16", refining=False),
        "refine, bfloat16": updates("bf16", refining=True),
        "search, default batch": updates("32", False, 5, DEFAULT_BATCH),
        "refine, default batch": updates("32", True, 5, DEFAULT_BATCH),
    }
    in_an_epoch = len(model_and_loader(5, DEFAULT_BATCH)[1])
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    images: dict[str, int] = {}
    for turn in range(asked.rounds + 3):
        for name, update in variants.items():
            began = time.perf_counter()
            images[name] = update()
            if turn >= 3:
                seconds[name].append(time.perf_counter() - began)
    base = np.array(seconds["original workload"])
    rows: dict[str, Any] = {}
    for name, times in seconds.items():
        rows[name] = {
            "median_seconds": statistics.median(times),
            "ratio_to_original": float(np.median(np.array(times) / base)),
            "images_per_second": images[name] / statistics.median(times),
            "seconds": times,
        }
        if name.endswith("default batch"):
            rows[name]["seconds_per_epoch"] = in_an_epoch * statistics.median(times)
        milliseconds, ratio = rows[name]["median_seconds"] * 1e3, rows[name]["ratio_to_original"]
        line = f"{name:<22} {milliseconds:7.1f} ms  ratio {ratio:.2f}  {rows[name]['images_per_second']:.0f} images/s"
        epoch = rows[name].get("seconds_per_epoch")
        print(line + ("" if epoch is None else f"  {epoch:.1f} s an epoch of {in_an_epoch} updates"))
    path = RESULTS / f"speed_threads{asked.threads}.json"
    RESULTS.mkdir(exist_ok=True)
    path.write_text(
        json.dumps({"batch": BATCH, "threads": asked.threads, "torch": torch.__version__, "rows": rows}, indent=1)
        + "\n"
    )


if __name__ == "__main__":
    main()
