"""What a step of Breakout costs beside ale-py's own environments, what a picture of given factors costs, and returns.

All in one process, turn by turn. Steps and pictures are per CPU-second; ratios are of two variants timed next to each
other, medians over the rounds. Resets, infos and autoreset are included, actions are drawn beforehand. Eight games, the
same frame skip (4), sticky actions (0.25) and sizes on both sides. What is compared with: ale-py's AtariVectorEnv on
one thread, Gymnasium's SyncVectorEnv over ALE/Breakout-v5, one such environment, and the emulator alone, whose frames
are the least that a step can cost. Raw results go to results/breakout.json.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/breakout.py
    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/breakout.py --only returns --episodes 60

With --pictures the pictures of docs/worlds/breakout.md are drawn instead.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ale_py
import gymnasium
import numpy as np
from ale_py import ALEInterface, AtariVectorEnv, roms
from gymnasium.vector import SyncVectorEnv

import equiworld  # registers the environments
from equiworld.envs.breakout import ram
from equiworld.envs.breakout.environment import BreakoutVectorEnv
from equiworld.envs.breakout.world import Breakout
from equiworld.envs.policies import make_policy

RESULTS = Path(__file__).resolve().parent / "results" / "breakout.json"
IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
NAME = "equiworld/Breakout-v0"
COPIES, STEPS, FRAMES, SCENES = 8, 100, 3000, 1500
THEIRS: dict[str, Any] = {
    "repeat_action_probability": 0.25,
    "reward_clipping": False,
    "noop_max": 0,
    "use_fire_reset": False,
    "num_threads": 1,
}
Variant = Callable[[], int]


def stepping(envs: Any, steps: int = STEPS) -> Variant:
    """So many steps of a vector environment, with actions drawn beforehand."""
    envs.reset(seed=0)
    actions = np.random.default_rng(0).integers(0, 4, (steps, COPIES))

    def go() -> int:
        for action in actions:
            envs.step(action)
        return steps * COPIES

    return go


def one(env_id: str, steps: int = 300, **options: Any) -> Variant:
    """Steps of one environment as ``gymnasium.make`` gives it."""
    env = gymnasium.make(env_id, **options)
    env.reset(seed=0)
    actions = np.random.default_rng(0).integers(0, 4, steps).tolist()

    def go() -> int:
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        return steps

    return go


def emulator() -> Variant:
    """The emulator alone: four frames to a step."""
    ale = ALEInterface()
    ale.loadROM(roms.get_rom_path("breakout"))

    def go() -> int:
        for _ in range(FRAMES):
            ale.act(0)
        return FRAMES // 4

    return go


class Untold(BreakoutVectorEnv):
    """Breakout whose factors are not read: the same array again and again."""

    def __init__(self, num_envs: int, **options: Any) -> None:
        super().__init__(num_envs, **options)
        constant = np.zeros((num_envs, len(ram.FACTOR_NAMES)))
        self.simulation.factors = lambda: constant  # type: ignore[method-assign]


def steps() -> dict[str, Variant]:
    """Every way to step the game."""
    small: dict[str, Any] = {"image_size": 84, "grayscale": True, "crop": None}
    plain = AtariVectorEnv("breakout", COPIES, stack_num=1, maxpool=False, **THEIRS)
    agents = AtariVectorEnv("breakout", COPIES, **THEIRS)
    colour = AtariVectorEnv(
        "breakout", COPIES, stack_num=1, maxpool=False, grayscale=False, img_height=64, img_width=64, **THEIRS
    )
    loop = SyncVectorEnv([lambda: gymnasium.make("ALE/Breakout-v5")] * COPIES)
    return {
        "84 x 84 grey": stepping(gymnasium.make_vec(NAME, COPIES, **small)),
        "84 x 84 grey, factors not read": stepping(Untold(COPIES, **small)),
        "84 x 84 grey, AtariVectorEnv": stepping(plain),
        "84 x 84 x 4 grey, pooled": stepping(gymnasium.make_vec(NAME, COPIES, frame_stack=4, max_pool=True, **small)),
        "84 x 84 x 4 grey, pooled, AtariVectorEnv": stepping(agents),
        "64 x 64 colour, field": stepping(gymnasium.make_vec(NAME, COPIES)),
        "64 x 64 colour": stepping(gymnasium.make_vec(NAME, COPIES, crop=None)),
        "64 x 64 colour, AtariVectorEnv": stepping(colour),
        "210 x 160 colour": stepping(gymnasium.make_vec(NAME, COPIES, crop=None, image_size=None)),
        "210 x 160 colour, SyncVectorEnv of ALE/Breakout-v5": stepping(loop),
        "one environment, 210 x 160 colour": one(NAME, crop=None, image_size=None),
        "one environment, 210 x 160 colour, ALE/Breakout-v5": one("ALE/Breakout-v5"),
        "the emulator alone": emulator(),
    }


def scenes() -> dict[str, Variant]:
    """Pictures of given factors, at 64 x 64."""
    rng = np.random.default_rng(0)
    rows = np.zeros((SCENES, len(ram.FACTOR_NAMES)))
    rows[:, :2] = np.stack([rng.integers(8, 151, SCENES), rng.integers(94, 185, SCENES)], axis=1)
    rows[:, ram.PADDLE_X], rows[:, ram.PADDLE_WIDTH] = rng.integers(8, 145, SCENES), 16
    rows[:, ram.LIVES], rows[:, ram.BRICK] = 5, 1
    shuffled = rows.copy()
    shuffled[:, ram.BRICK] = rng.random((SCENES, ram.BRICKS)) < 0.5
    anywhere = shuffled.copy()
    anywhere[:, ram.BALL_Y] = rng.integers(57, 93, SCENES)
    world, drawn = Breakout(), Breakout(renderer="drawn")
    states = world.factors.sample(rng, SCENES)
    alone = emulator()

    def drawing(make: Callable[[Any], Any], what: Any) -> Variant:
        return lambda: len(make(what))

    return {
        "emulator: states of the world": drawing(world.render, states),
        "emulator: ball and paddle anywhere": drawing(world.render_scene, rows),
        "emulator: ball, paddle and every brick": drawing(world.render_scene, shuffled),
        "emulator: the same, ball among the bricks": drawing(world.render_scene, anywhere),
        "drawn: states of the world": drawing(drawn.render, states),
        "drawn: ball, paddle and every brick": drawing(drawn.render_scene, shuffled),
        "the emulator alone: frames": lambda: 4 * alone(),
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
    return {name: {"per_cpu_second": statistics.median(found), "rounds": found} for name, found in rates.items()}


def ratio(rows: dict[str, dict[str, Any]], first: str, second: str) -> float:
    """How many times faster one variant is than another one, turn by turn."""
    return float(np.median(np.array(rows[first]["rounds"]) / np.array(rows[second]["rounds"])))


def workers(rounds: int, processes: int) -> dict[str, Any]:
    """Steps a second by the clock, with several processes here and as many threads there."""
    small: dict[str, Any] = {"image_size": 84, "grayscale": True, "crop": None}
    ours = gymnasium.make_vec(NAME, COPIES, num_workers=processes, **small)
    theirs = AtariVectorEnv("breakout", COPIES, stack_num=1, maxpool=False, **{**THEIRS, "num_threads": processes})
    variants = {
        "84 x 84 grey, this process": stepping(gymnasium.make_vec(NAME, COPIES, **small)),
        f"84 x 84 grey, {processes} processes": stepping(ours),
        f"84 x 84 grey, AtariVectorEnv, {processes} threads": stepping(theirs),
    }
    rates: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(rounds + 1):
        for name, go in variants.items():
            began = time.perf_counter()
            made = go()
            if turn:
                rates[name].append(made / (time.perf_counter() - began))
    ours.close()
    load = os.getloadavg()[0]
    rows = {name: {"per_second": statistics.median(found), "rounds": found} for name, found in rates.items()}
    return {"cores": os.cpu_count(), "load_average": load, "rows": rows}


def returns(episodes: int) -> dict[str, dict[str, Any]]:
    """Returns of whole games, played by the scripted policies."""
    players: dict[str, tuple[str, dict[str, Any]]] = {
        "random": ("random", {}),
        "brownian": ("brownian", {}),
        "follower that does not anticipate, epsilon 0": (
            "follower",
            {"epsilon": 0.0, "anticipate": False, "spread": 0},
        ),
        "follower that does not anticipate, epsilon 0.2": (
            "follower",
            {"epsilon": 0.2, "anticipate": False, "spread": 0},
        ),
        "follower, epsilon 0": ("follower", {"epsilon": 0.0}),
        "follower, epsilon 0.1": ("follower", {"epsilon": 0.1}),
        "mixture": ("mixture", {}),
    }
    rows = {}
    for label, (name, options) in players.items():
        envs = gymnasium.make_vec(NAME, 12, autoreset_mode="SameStep", max_episode_steps=4000)
        policy, rng = make_policy(name, envs, **options), np.random.default_rng(0)
        observations, infos = envs.reset(seed=0)
        policy.reset(np.ones(12, dtype=bool), rng)
        # As many games of every copy, so that short ones are not favoured.
        games = -(-episodes // 12)
        done, gained, found, bricks, lengths = np.zeros(12, int), np.zeros(12), [], [], []
        length = np.zeros(12, int)
        while (done < games).any():
            observations, rewards, terminated, truncated, infos = envs.step(policy(observations, infos, rng))
            gained += rewards
            length += 1
            over = terminated | truncated
            for copy in np.flatnonzero(over & (done < games)):
                found.append(float(gained[copy]))
                lengths.append(int(length[copy]))
                bricks.append(int(ram.BRICKS - infos["final_info"]["factors"][copy, ram.BRICK].sum()))
            done += over
            gained[over], length[over] = 0, 0
            policy.reset(over, rng)
        envs.close()
        rows[label] = {
            "mean": statistics.fmean(found),
            "deviation": statistics.pstdev(found),
            "bricks": statistics.fmean(bricks),
            "steps": statistics.fmean(lengths),
            "returns": found,
        }
        print(
            f"{label:<50} {rows[label]['mean']:>6.1f} +- {rows[label]['deviation']:<6.1f} {len(found)} games",
            flush=True,
        )
    return rows


def pictures() -> None:
    """Draws the pictures of docs/worlds/breakout.md."""
    from PIL import Image, ImageDraw

    # A frame of play, and over it where the factors say that things are.
    envs = gymnasium.make_vec(NAME, 1, render_mode="rgb_array")
    policy, rng = make_policy("follower", envs, epsilon=0.0), np.random.default_rng(0)
    observations, infos = envs.reset(seed=3)
    policy.reset(np.ones(1, dtype=bool), rng)
    for number in range(2000):
        observations, _, _, _, infos = envs.step(policy(observations, infos, rng))
        row = infos["factors"][0]
        if number > 500 and 110 < row[ram.BALL_Y] < 150 and row[ram.BALL_VY] < 0:
            break
    times = 3
    plain = Image.fromarray(envs.render()[0]).resize((160 * times, 210 * times), Image.Resampling.NEAREST)
    marked = plain.copy()
    pen = ImageDraw.Draw(marked)

    def box(x: float, y: float, width: float, height: float, colour: str) -> None:
        pen.rectangle(
            (times * x - 2, times * y - 2, times * (x + width) + 1, times * (y + height) + 1), outline=colour, width=2
        )

    x, y, vx, vy, paddle, width = row[:6]
    for brick, stands in enumerate(row[ram.BRICK]):
        left, top = 8 + 8 * (brick % 18), 57 + 6 * (brick // 18)
        if not stands:
            pen.rectangle((times * left + 9, times * top + 7, times * left + 14, times * top + 10), fill="white")
    box(x, y, 2, 4, "yellow")
    middle = (times * (x + 1), times * (y + 2))
    pen.line((*middle, middle[0] + 8 * times * vx, middle[1] + 8 * times * vy), fill="yellow", width=2)
    box(paddle, 189, width, 4, "cyan")
    whole = Image.new("RGB", (2 * plain.width + 12, plain.height), "white")
    whole.paste(plain, (0, 0))
    whole.paste(marked, (plain.width + 12, 0))
    whole.quantize(32).save(IMAGES / "breakout-factors.png", optimize=True)
    envs.close()

    # Traversals: one factor of the world in each row.
    world = Breakout(renderer="drawn", image_size=None)
    base = np.array([5, 3, 9, 3])
    strips = []
    for column, size in enumerate(world.factors.sizes):
        states = np.repeat(base[None], 8, axis=0)
        states[:, column] = (base[column] + np.arange(8) * max(1, size // 8)) % size
        strips.append(
            np.concatenate([np.pad(p, ((0, 4), (0, 4), (0, 0)), constant_values=255) for p in world.render(states)], 1)
        )
    Image.fromarray(np.concatenate(strips)[:-4, :-4]).quantize(32).save(IMAGES / "breakout-world.png", optimize=True)

    # The ball at 64 x 64: all of the screen, and the field; from the nearest pixel, and by area averaging.
    scene = world.scene(np.array([base]))
    scene[0, :2] = 68, 131
    screen = Breakout(renderer="drawn", image_size=None, crop=None).render_scene(scene)[0]
    nearest = screen[(np.arange(64) * 210 / 64).astype(int)][:, (np.arange(64) * 160 / 64).astype(int)]
    shown = [
        nearest,
        *(Breakout(renderer="drawn", crop=crop).render_scene(scene)[0] for crop in (None, (32, 196, 8, 152))),
    ]
    shown = [np.pad(np.repeat(np.repeat(p, 4, 0), 4, 1), ((0, 0), (0, 8), (0, 0)), constant_values=255) for p in shown]
    Image.fromarray(np.concatenate(shown, 1)[:, :-8]).save(IMAGES / "breakout-ball.png", optimize=True)


def main() -> None:
    """Measures what was asked for and prints the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ("steps", "scenes", "workers", "returns")
    parser.add_argument("--only", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--episodes", type=int, default=48)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--pictures", action="store_true")
    asked = parser.parse_args()
    if asked.pictures:
        pictures()
        return
    record: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if "steps" in asked.only:
        rows = measure(steps(), asked.rounds)
        told = ratio(rows, "84 x 84 grey, factors not read", "84 x 84 grey")
        faster = {
            "84 x 84 grey": ratio(rows, "84 x 84 grey", "84 x 84 grey, AtariVectorEnv"),
            "84 x 84 x 4 grey, pooled": ratio(
                rows, "84 x 84 x 4 grey, pooled", "84 x 84 x 4 grey, pooled, AtariVectorEnv"
            ),
            "64 x 64 colour": ratio(rows, "64 x 64 colour", "64 x 64 colour, AtariVectorEnv"),
            "210 x 160 colour": ratio(rows, "210 x 160 colour", "210 x 160 colour, SyncVectorEnv of ALE/Breakout-v5"),
        }
        record["steps"] = {"times_faster": faster, "cost_of_factors": told - 1, "rows": rows}
        for label, row in rows.items():
            print(f"{label:<55} {row['per_cpu_second']:>9,.0f} steps a CPU-second")
        print(f"factors cost {100 * (told - 1):.1f} % of a step; times faster: {faster}")
    if "scenes" in asked.only:
        rows = measure(scenes(), asked.rounds)
        record["scenes"] = {"rows": rows}
        for label, row in rows.items():
            print(f"{label:<55} {row['per_cpu_second']:>9,.0f} pictures a CPU-second")
    if "workers" in asked.only:
        record["workers"] = workers(asked.rounds, asked.processes)
        for label, row in record["workers"]["rows"].items():
            print(f"{label:<55} {row['per_second']:>9,.0f} steps a second by the clock")
    if "returns" in asked.only:
        record["returns"] = returns(asked.episodes)
    record["versions"] = {
        "equiworld": equiworld.__version__,
        "ale-py": ale_py.__version__,
        "gymnasium": gymnasium.__version__,
        "numpy": np.__version__,
        "numba": importlib.metadata.version("numba"),
        "python": platform.python_version(),
    }
    record["copies"] = COPIES
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
