"""What a step of PPO costs on latents, on pixels (NatureCNN) and on true factors, the environment included.

All in one process, turn by turn: a turn is a rollout of 8 copies of FlatLandGoal-v0 x 128 steps and its update
(minibatches of 256, 4 epochs). Steps are per CPU-second; ratios are of variants timed next to each other, medians over
the rounds. Encoders have their initial weights, which cost what others do. ``one by one`` encodes in a wrapper around
each copy, as a Gymnasium observation wrapper does. Raw results go to results/agents.json.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/agents.py
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

import gymnasium as gym
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from equiworld.agents.latent import LatentEnv
from equiworld.agents.observers import Factors, Latents, Pixels
from equiworld.agents.training import make_envs
from equiworld.agents.vec_env import SB3VecEnv
from equiworld.datasets.randomness import torch_generator
from equiworld.envs import FlatLand
from equiworld.world_models.zoo import MODELS, Context

RESULTS = Path(__file__).resolve().parent / "results" / "agents.json"
NAME = "equiworld/FlatLandGoal-v0"
COPIES, STEPS, BATCH, EPOCHS = 8, 128, 256, 4
BASE = "pixels, NatureCNN"


def world_model(name: str) -> Any:
    """A model of the images of FlatLand, as it is before training."""
    spec = MODELS[name]
    return spec.build(spec.options(), Context(FlatLand(), False, 1, torch_generator(0, 3)))


class Parts(BaseCallback):
    """Takes the time at which a rollout begins and ends."""

    def __init__(self) -> None:
        super().__init__()
        self.rollout = 0.0

    def _on_rollout_start(self) -> None:
        self.began = time.process_time()

    def _on_rollout_end(self) -> None:
        self.rollout = time.process_time() - self.began

    def _on_step(self) -> bool:
        return True


def learning(envs: Any) -> Callable[[], tuple[float, float]]:
    """An agent on environments, as a function that makes a turn: CPU-seconds in all, and of the rollout."""
    policy = "CnnPolicy" if len(envs.observation_space.shape) == 3 else "MlpPolicy"
    agent = PPO(policy, envs, n_steps=STEPS, batch_size=BATCH, n_epochs=EPOCHS, seed=0, device="cpu")
    parts = Parts()

    def turn() -> tuple[float, float]:
        began = time.process_time()
        agent.learn(COPIES * STEPS, callback=parts, log_interval=None, reset_num_timesteps=False)
        return time.process_time() - began, parts.rollout

    return turn


def variants() -> dict[str, Callable[[], tuple[float, float]]]:
    """What is compared, by name."""

    def vector(observer: Callable[[Any], Any]) -> SB3VecEnv:
        envs = make_envs(NAME, {}, COPIES)
        return SB3VecEnv(envs, observer(envs))

    def wrapped(model: Any) -> Any:
        env = gym.make(NAME)
        return Monitor(LatentEnv(env, Latents(model, env.observation_space)))

    made = {BASE: vector(lambda envs: Pixels(envs.single_observation_space)), "factors": vector(Factors)}
    for name in ("rgrvae", "betavae"):
        model = world_model(name)
        made[f"latents, {name}"] = vector(lambda envs, model=model: Latents(model, envs.single_observation_space))
    made["latents, betavae, one by one"] = DummyVecEnv([lambda: wrapped(model)] * COPIES)
    return {name: learning(envs) for name, envs in made.items()}


def main() -> None:
    """Times the variants turn by turn and prints their medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    turns = variants()
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in turns}
    for number in range(asked.rounds + 1):
        for name, turn in turns.items():
            taken = turn()
            if number:  # the first one warms up
                seconds[name].append(taken)
    steps, rows = COPIES * STEPS, {}
    for name, taken in seconds.items():
        ratios = [base[0] / own[0] for base, own in zip(seconds[BASE], taken, strict=True)]
        rows[name] = {
            "steps_per_cpu_second": steps / statistics.median(whole for whole, _ in taken),
            "rollout_only": steps / statistics.median(rollout for _, rollout in taken),
            "update_only": steps / statistics.median(whole - rollout for whole, rollout in taken),
            "ratio_to_pixels": statistics.median(ratios),
            "seconds": [list(each) for each in taken],
        }
        told = rows[name]
        print(
            f"{name:<30} {told['steps_per_cpu_second']:7.0f} steps/CPU-s   rollout {told['rollout_only']:7.0f}"
            f"   update {told['update_only']:7.0f}   {told['ratio_to_pixels']:5.2f} x pixels"
        )
    content = {
        "env": NAME,
        "copies": COPIES,
        "steps": STEPS,
        "batch_size": BATCH,
        "epochs": EPOCHS,
        "rounds": asked.rounds,
        "threads": 1,
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in ("torch", "stable-baselines3", "gymnasium", "numpy")},
        "rows": rows,
    }
    asked.out.parent.mkdir(exist_ok=True)
    asked.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
