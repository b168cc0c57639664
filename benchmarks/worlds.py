"""What a step of each world costs, beside what else there is to step it with: in one process, turn by turn.

Figures are steps per CPU-second, resets, infos and autoreset included, actions drawn beforehand; ratios are of two
variants timed next to each other, medians over the rounds. What is compared with: Gymnasium's SyncVectorEnv over the
scalar environments, one scalar environment, and for FlatLand a drawing library that paints one whole picture a step, as
the original simulator does after its physics (which is left out). Raw results go to results/worlds.json.

    OMP_NUM_THREADS=1 python benchmarks/worlds.py
    OMP_NUM_THREADS=1 python benchmarks/worlds.py --worlds flatland

A further world is one more function below, entered by the decorator: its variants by name, each a function that makes
some steps and returns how many. With --pictures the pictures of docs/worlds/flatland.md are drawn instead.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import SyncVectorEnv

import equiworld  # registers the environments
from equiworld.envs import FlatLand

RESULTS = Path(__file__).resolve().parent / "results" / "worlds.json"
IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
COPIES = 256
FEW = 16
"""Copies in SyncVectorEnv, whose cost a step hardly depends on them."""

Variant = Callable[[], int]
WORLDS: dict[str, Callable[[], dict[str, Variant]]] = {}


def world(name: str) -> Callable[[Callable[[], dict[str, Variant]]], Callable[[], dict[str, Variant]]]:
    """Enters a function that makes the variants of a world; the first one is what the others are compared with."""

    def enter(make: Callable[[], dict[str, Variant]]) -> Callable[[], dict[str, Variant]]:
        WORLDS[name] = make
        return make

    return enter


def native(env_id: str, copies: int = COPIES, steps: int = 200, **options: Any) -> Variant:
    """Steps of the vector environment of this library."""
    return stepping(gymnasium.make_vec(env_id, num_envs=copies, **options), steps)


def sync(env_id: str, copies: int = FEW, steps: int = 60, copy: bool = True, **options: Any) -> Variant:
    """Steps of Gymnasium's loop over scalar environments."""
    return stepping(SyncVectorEnv([lambda: gymnasium.make(env_id, **options)] * copies, copy=copy), steps)


def stepping(envs: Any, steps: int) -> Variant:
    """So many steps of a vector environment, with actions drawn beforehand."""
    envs.reset(seed=0)
    envs.action_space.seed(0)
    actions = [envs.action_space.sample() for _ in range(steps)]

    def go() -> int:
        for action in actions:
            envs.step(action)
        return steps * int(envs.num_envs)

    return go


def scalar(env_id: str, steps: int = 1000, **options: Any) -> Variant:
    """Steps of one environment as ``gymnasium.make`` gives it."""
    env = gymnasium.make(env_id, **options)
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(steps)]

    def go() -> int:
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        return steps

    return go


def drawing_library(steps: int = 1000) -> Variant:
    """FlatLand's torus stepped in Python, every picture painted from nothing by a drawing library and cropped."""
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    import pygame

    torus, rng = FlatLand(), np.random.default_rng(0)
    actions = rng.integers(4, size=steps)
    surface = pygame.Surface((84, 84))
    place = [0, 0]

    def go() -> int:
        for code in actions:
            action = torus.actions[code]
            place[action.factor] = (place[action.factor] + action.amount) % 33
            surface.fill((0, 0, 0))
            pygame.draw.rect(surface, (1, 1, 1), (0, 0, 84, 84), 10)
            pygame.draw.circle(surface, (255, 255, 255), (26 + place[0], 58 - place[1]), 15)
            pygame.surfarray.array3d(surface)[10:74, 10:74].swapaxes(0, 1).copy()
        return steps

    return go


@world("flatland")
def flatland() -> dict[str, Variant]:
    """FlatLand at 64 x 64 in every way that there is to step it, and its further worlds."""
    name = "equiworld/FlatLand-v0"
    others = ("Hue", "Rotor", "Discs", "Dihedral", "Permuted", "Walls", "Continuous")
    return {
        "FlatLand": native(name),
        "FlatLand, 3 channels": native(name, channels=3),
        "FlatLand, every observation of its own": native(name, copy=True),
        "FlatLand, same-step autoreset": native(name, autoreset_mode="SameStep"),
        "FlatLand, 16 copies": native(name, FEW, 1000),
        "FlatLand, SyncVectorEnv": sync(name),
        "FlatLand, SyncVectorEnv without copies": sync(name, copy=False),
        "FlatLand, one environment": scalar(name),
        "FlatLand, drawing library": drawing_library(),
        "FlatLandGoal, goal in the image": native("equiworld/FlatLandGoal-v0", steps=50),
        "FlatLandGoal, goal of its own": native("equiworld/FlatLandGoal-v0", steps=50, shown="observation"),
        **{f"FlatLand{other}": native(f"equiworld/FlatLand{other}-v0", steps=50) for other in others},
    }


@world("spriteworld")
def spriteworld() -> dict[str, Variant]:
    """Goal finding, as a row beside the others; benchmarks/spriteworld.py measures every configuration."""
    name = "equiworld/SpriteworldGoalFindingNewPosition-v0"
    return {
        "Spriteworld goal finding": native(name, steps=60),
        "Spriteworld goal finding, SyncVectorEnv": sync(name),
        "Spriteworld goal finding, one environment": scalar(name, 400),
    }


def measure(variants: dict[str, Variant], rounds: int) -> dict[str, dict[str, Any]]:
    """Times variants turn by turn; the first turn, in which things are compiled, does not count."""
    rates: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(rounds + 1):
        for name, go in variants.items():
            began = time.process_time()
            made = go()
            if turn:
                rates[name].append(made / (time.process_time() - began))
    base = np.array(next(iter(rates.values())))
    return {
        name: {
            "steps_per_cpu_second": statistics.median(found),
            "times_slower_than_the_first": float(np.median(base / np.array(found))),
            "rounds": found,
        }
        for name, found in rates.items()
    }


# For each environment its options, a start, and the actions that lead from each picture of its strip to the next one.
STRIPS: dict[str, tuple[dict[str, Any], list[Any]]] = {
    "FlatLand": ({"factors": [22, 6]}, [3, 3, 3, 0, 0, 2, 2]),
    "FlatLandGoal": ({"factors": [2, 6], "goal": [12, 30]}, [3, 3, 0, 0]),
    "FlatLandHue": ({"factors": [6, 10, 0]}, [4, 4, 4, 3, 3, 5, 2]),
    "FlatLandRotor": ({"factors": [6, 10, 0]}, [4, 4, 4, 3, 3, 5, 2]),
    "FlatLandDiscs": ({"factors": [1, 4, 7, 4]}, [3, 3, 3, 5, 5, 6, 0]),
    "FlatLandDihedral": ({"factors": [0, 0]}, [0, 0, 2, 0, 1, 2, 1]),
    "FlatLandPermuted": ({"factors": [0, 16]}, [3, 3, 3, 2, 2, 2, 1]),
    "FlatLandContinuous": ({"factors": [2.0, 6.0]}, [[1, 0.3]] * 4 + [[0.2, 1]] * 3),
    "FlatLandWalls": ({"factors": [22, 6]}, [3, 3, 3, 0, 0, 2, 2]),
}


def pictures() -> None:
    """Draws a strip of each FlatLand environment: a start, and what each action makes of the picture before."""
    from PIL import Image

    for name, (options, actions) in STRIPS.items():
        env = gymnasium.make(f"equiworld/{name}-v0", render_mode="rgb_array")
        env.reset(seed=0, options=options)
        frames = [env.render()]
        for action in actions:
            env.step(action)
            frames.append(env.render())
        strip = [np.pad(frame, ((0, 0), (0, 4), (0, 0)), constant_values=255) for frame in frames]
        image = Image.fromarray(np.concatenate(strip, axis=1)[:, :-4]).quantize(64)
        image.save(IMAGES / f"{name.lower().replace('flatland', 'flatland-').rstrip('-')}.png", optimize=True)


def main() -> None:
    """Measures the worlds that were asked for and prints their medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", nargs="+", choices=WORLDS, default=list(WORLDS))
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--pictures", action="store_true")
    asked = parser.parse_args()
    if asked.pictures:
        pictures()
        return
    record: dict[str, Any] = {}
    if RESULTS.exists():
        record = json.loads(RESULTS.read_text())
    for name in asked.worlds:
        rows = measure(WORLDS[name](), asked.rounds)
        for label, row in rows.items():
            rate, slower = row["steps_per_cpu_second"], row["times_slower_than_the_first"]
            print(f"{label:<45} {rate:>12,.0f} steps a CPU-second   {slower:>7.1f} times slower than the first")
        record[name] = {
            "copies": COPIES,
            "copies_in_SyncVectorEnv": FEW,
            "picture": [64, 64],
            "equiworld": equiworld.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "gymnasium": gymnasium.__version__,
            "rows": rows,
        }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
