"""What a step of Spriteworld costs: drawing at 64 x 64, random actions, resets and infos included.

Each configuration through the native vector environment, and what else could be used: Gymnasium's SyncVectorEnv and one
environment alone. Then with actions that always move a sprite, which is the most that there can be to draw. Figures are
of the CPU time of steps (to choose actions does not count), in one process, in turns. Raw results go to
results/spriteworld.json; with --pictures the pictures in docs/images are drawn instead.

    OMP_NUM_THREADS=1 python benchmarks/spriteworld.py
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import SyncVectorEnv
from PIL import Image

from equiworld.envs.registration import register_all
from equiworld.envs.spriteworld.configs import CONFIGS
from equiworld.envs.spriteworld.rasterise import render
from equiworld.envs.spriteworld.shapes import SHAPE_NAMES
from equiworld.envs.spriteworld.sprites import colours, count, sprite

RESULTS = Path(__file__).resolve().parent / "results"
IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
COPIES = 256
SYNC_COPIES = 8
GOAL = "goal_finding_new_position"


def env_id(config: str) -> str:
    """The id of a configuration."""
    return f"equiworld/Spriteworld{config.title().replace('_', '')}-v0"


Variant = Callable[[int], float]
"""Makes so many steps, and returns how many a CPU-second."""


def vector(config: str, copies: int, pointed: bool = False) -> Variant:
    """Steps of the native vector environment."""
    env: Any = gymnasium.make_vec(env_id(config), num_envs=copies)
    env.reset(seed=0)
    env.action_space.seed(0)
    rng = np.random.default_rng(0)

    def go(steps: int) -> float:
        spent = 0.0
        for _ in range(steps):
            actions = env.action_space.sample()
            if pointed:
                actions[:, :2] = np.clip(2 * env.simulation.contained_positions(rng) - 1, -1, 1)
            began = time.process_time()
            env.step(actions)
            spent += time.process_time() - began
        return steps * copies / spent

    return go


def sync(config: str, copies: int) -> Variant:
    """The same of Gymnasium's loop over environments."""
    env: Any = SyncVectorEnv([lambda: gymnasium.make(env_id(config))] * copies)
    env.reset(seed=0)
    env.action_space.seed(0)

    def go(steps: int) -> float:
        actions = [env.action_space.sample() for _ in range(steps)]
        began = time.process_time()
        for action in actions:
            env.step(action)
        return steps * copies / (time.process_time() - began)

    return go


def scalar(config: str) -> Variant:
    """The same of one environment."""
    env = gymnasium.make(env_id(config))
    env.reset(seed=0)
    env.action_space.seed(0)

    def go(steps: int) -> float:
        actions = [env.action_space.sample() for _ in range(steps)]
        began = time.process_time()
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        return steps / (time.process_time() - began)

    return go


def measure(rounds: int) -> None:
    """Times the variants turn by turn and prints their medians."""
    variants: dict[str, tuple[Variant, int]] = {
        f"{name}, {COPIES} copies": (vector(name, COPIES), 100) for name in CONFIGS
    }
    for name in (GOAL, "clustering", "goal_finding_clustering"):
        variants[f"{name}, {COPIES} copies, every action hits"] = vector(name, COPIES, pointed=True), 50
    variants[f"{GOAL}, 16 copies"] = vector(GOAL, 16), 500
    variants[f"{GOAL}, SyncVectorEnv of {SYNC_COPIES}"] = sync(GOAL, SYNC_COPIES), 100
    variants[f"{GOAL}, one environment"] = scalar(GOAL), 800
    rates: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(rounds + 1):
        for name, (go, steps) in variants.items():
            rate = go(steps)
            if turn:  # the first turn compiles
                rates[name].append(rate)
    rows = {name: {"median_steps_per_cpu_second": statistics.median(found)} for name, found in rates.items()}
    for name, row in rows.items():
        print(f"{name:<58} {row['median_steps_per_cpu_second']:>10,.0f} steps a CPU-second")
    RESULTS.mkdir(exist_ok=True)
    record = {
        "picture": [64, 64, 3],
        "python": platform.python_version(),
        "numpy": np.__version__,
        "gymnasium": gymnasium.__version__,
        "rows": {name: {**row, "steps_per_cpu_second": rates[name]} for name, row in rows.items()},
    }
    (RESULTS / "spriteworld.json").write_text(json.dumps(record, indent=1) + "\n")


def pictures() -> None:
    """Draws the pictures of docs/worlds/spriteworld.md: four scenes of each mode, and all shapes."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, config in CONFIGS.items():
        parts = []
        for mode in ("train", "test"):
            scenes = config.scenes(mode).sample(np.random.default_rng(1 + (mode == "test")), 4)
            parts.append(sheet(draw(scenes, config.color_space, 96)))
        gap = np.full((parts[0].shape[0], 16, 3), 255, dtype=np.uint8)
        save(f"spriteworld-{name.replace('_', '-')}", np.concatenate([parts[0], gap, parts[1]], axis=1))
    shapes = [
        sprite(shape=shape, scale=0.5, c0=number / len(SHAPE_NAMES), c1=0.6, c2=1)
        for number, shape in enumerate(SHAPE_NAMES)
    ]
    save("spriteworld-shapes", sheet(draw(np.stack(shapes)[:, None], "hsv", 60)))


def draw(scenes: Any, color_space: str, size: int) -> Any:
    """Pictures of scenes."""
    return render(scenes[..., :5], colours(scenes, color_space), count(scenes), height=size, width=size)


def sheet(images: Any) -> Any:
    """Pictures in a row, with white lines between them."""
    return np.concatenate([np.pad(image, ((0, 0), (0, 4), (0, 0)), constant_values=255) for image in images], axis=1)[
        :, :-4
    ]


def save(name: str, image: Any) -> None:
    """Writes a small PNG."""
    Image.fromarray(image).quantize(128).save(IMAGES / f"{name}.png", optimize=True)


def main() -> None:
    """Measures, or draws the pictures of the documentation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--pictures", action="store_true")
    asked = parser.parse_args()
    register_all()
    if asked.pictures:
        pictures()
    else:
        measure(asked.rounds)


if __name__ == "__main__":
    main()
