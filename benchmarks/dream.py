"""What a step in a dream costs, and training PPO there, per second of CPU time (user and system, all threads).

The world model is one of 64 x 64 pictures with random weights, 16 latents and four actions: what is measured does not
depend on what was learnt. 512 dreams go on at once. Raw results go to results/dream.json.

    python benchmarks/dream.py
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import PPO

from equiworld.agents.algorithms import DreamPPOOptions
from equiworld.agents.dream import DreamVectorEnv
from equiworld.agents.vec_env import SB3VecEnv
from equiworld.datasets.randomness import torch_generator
from equiworld.world_models.assembly import Base
from equiworld.world_models.dynamics import DYNAMICS, ActionCode, Setting
from equiworld.world_models.dynamics.model import DynamicsModel, DynamicsOptions

RESULTS = Path(__file__).resolve().parent / "results"
BARS = {"steps": 100_000, "ppo": 20_000}
DREAMS, LATENTS, STEPS, ROLLOUT = 512, 16, 100, 32


def world(kind: str) -> DynamicsModel:
    """A world model with dynamics of a kind, as it is before it has learnt anything."""
    base = Base({"model": "vae", "latents": LATENTS}, (64, 64, 3), 4, 1000, False, 1).build().eval()
    code = ActionCode(spaces.Discrete(4))
    setting = Setting(base, code, torch_generator(0))
    dynamics = DYNAMICS[kind].build(DYNAMICS[kind].options(), setting)
    return DynamicsModel(base, dynamics, code, DynamicsOptions(dynamics=kind)).eval().requires_grad_(False)


def dreams(kind: str) -> DreamVectorEnv:
    """So many dreams of it."""
    starts = torch.randn(1000, LATENTS, generator=torch_generator(1))
    return DreamVectorEnv(world(kind), starts, DREAMS, horizon=50)


def rate(work: Callable[[], int], rounds: int) -> float:
    """Steps per CPU-second: the median of some rounds, after one that does not count."""
    work()
    found = []
    for _ in range(rounds):
        began = time.process_time()
        steps = work()
        found.append(steps / (time.process_time() - began))
    return statistics.median(found)


def stepping(kind: str) -> Callable[[], int]:
    """Steps of all dreams with random actions."""
    envs = dreams(kind)
    envs.reset(seed=0)
    actions = np.random.default_rng(0).integers(4, size=(STEPS, DREAMS))

    def work() -> int:
        for each in actions:
            envs.step(each)
        return STEPS * DREAMS

    return work


def learning(kind: str) -> Callable[[], int]:
    """A rollout and its update, as ``--agent=dream-ppo`` makes them."""
    usual = DreamPPOOptions()
    sizes: dict[str, Any] = {"n_steps": ROLLOUT, "batch_size": usual.batch_size, "n_epochs": usual.n_epochs}
    algorithm = PPO("MlpPolicy", SB3VecEnv(dreams(kind)), seed=0, **sizes)

    def work() -> int:
        algorithm.learn(ROLLOUT * DREAMS, reset_num_timesteps=False)
        return ROLLOUT * DREAMS

    return work


def main() -> None:
    """Measures and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of which the median counts")
    parser.add_argument("--dynamics", nargs="+", default=["mlp", "gru", "mdn-gru"], help="kinds of dynamics")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[str, Any] = {}
    for kind in asked.dynamics:
        found = {"steps": rate(stepping(kind), asked.rounds), "ppo": rate(learning(kind), asked.rounds)}
        results[kind] = found
        told = ", ".join(f"{name} {value:,.0f} (bar {BARS[name]:,})" for name, value in found.items())
        print(f"{kind:8} per CPU-second: {told}", flush=True)
    versions = {name: metadata.version(name) for name in ("torch", "numpy", "gymnasium", "stable-baselines3")}
    setup = {"dreams": DREAMS, "latents": LATENTS, "rollout": ROLLOUT, "cores": os.cpu_count()}
    content = {"bars": BARS, "results": results, "setup": setup, "python": platform.python_version(), **versions}
    (RESULTS / "dream.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
