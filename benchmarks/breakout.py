"""What a step of Breakout costs beside ale-py's own environments, pictures of given factors, and how policies play.

All in one process, turn by turn. Steps and pictures are per CPU-second; ratios are of two variants timed next to each
other, medians over the rounds. Resets, infos and autoreset are included, actions are drawn beforehand. Eight games, the
same frame skip (4), sticky actions (0.25) and sizes on both sides. What is compared with: ale-py's AtariVectorEnv on
one thread, Gymnasium's SyncVectorEnv over ALE/Breakout-v5, one such environment, and the emulator alone, whose frames
are the least that a step can cost. Raw results go to results/breakout.json.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/breakout.py
    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/breakout.py --only policies --episodes 60

Parts: ``steps``; ``scenes``, pictures of factors; ``exact``, joint settings drawn at random and compared with pictures
that are put together from the documented places and colours alone; ``workers``, steps by the clock in several
processes; ``policies``, returns, and what is seen of ball, paddle and bricks.

With --pictures the pictures of docs/worlds/breakout.md are drawn instead.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ale_py
import gymnasium
import numpy as np
from ale_py import ALEInterface, AtariVectorEnv, roms
from gymnasium.vector import SyncVectorEnv
from numpy.typing import NDArray

import equiworld  # registers the environments
from equiworld.envs.breakout import ram
from equiworld.envs.breakout.environment import BreakoutVectorEnv
from equiworld.envs.breakout.world import Breakout
from equiworld.envs.policies import make_policy

RESULTS = Path(__file__).resolve().parent / "results" / "breakout.json"
IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
NAME = "equiworld/Breakout-v0"
COPIES, STEPS, SCENES, SETTINGS = 8, 100, 1500, 20_000
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
    """Emulators alone, as many as there are games: four frames to a step; a game that is over is restored."""
    ales = [ALEInterface() for _ in range(COPIES)]
    for ale in ales:
        ale.setFloat("repeat_action_probability", 0.25)
        ale.loadROM(roms.get_rom_path("breakout"))
    starts = [ale.cloneState() for ale in ales]
    actions = np.random.default_rng(0).choice([0, 1, 3, 4], (STEPS, COPIES)).tolist()

    def go() -> int:
        for step in actions:
            for ale, start, action in zip(ales, starts, step, strict=True):
                for _ in range(4):
                    ale.act(action)
                if ale.game_over():
                    ale.restoreState(start)
        return STEPS * COPIES

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


def settings(n: int) -> NDArray[np.float64]:
    """Joint settings drawn at random, the ball between bricks and paddle or, in a few, out of play."""
    rng = np.random.default_rng(1)
    rows = np.zeros((n, len(ram.FACTOR_NAMES)))
    rows[:, :2] = np.stack([rng.integers(8, 151, n), rng.integers(94, 186, n)], axis=1)
    rows[:, 2:4] = rng.integers(-512, 513, (n, 2)) / 256
    rows[:, ram.PADDLE_X], rows[:, ram.PADDLE_WIDTH] = rng.integers(8, 145, n), rng.choice([12, 16], n)
    rows[:, ram.BRICK] = rng.random((n, ram.BRICKS)) < rng.random((n, 1))
    rows[:, ram.LIVES], rows[:, ram.SCORE] = rng.integers(1, 6, n), rng.integers(0, 1000, n)
    rows[rng.random(n) < 0.02, :4] = ram.NO_BALL, ram.NO_BALL, 0, 0
    return rows


def documented(rows: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The field within the walls as docs/worlds/breakout.md describes it, uint8 [N, 164, 144, 3]."""
    red, colours = (200, 72, 72), [(200, 72, 72), (198, 108, 58), (180, 122, 48), (162, 162, 42), (72, 160, 72)]
    colours.append((66, 72, 200))
    screens = np.zeros((len(rows), 210, 160, 3), dtype=np.uint8)
    bricks = rows[:, ram.BRICK].reshape(-1, 6, 1, 18, 1, 1).astype(np.uint8)
    wall = bricks * np.array(colours, dtype=np.uint8)[:, None, None, None]
    wall = np.broadcast_to(wall, (len(rows), 6, 6, 18, 8, 3))
    screens[:, 57:93, 8:152] = wall.reshape(-1, 36, 144, 3)
    for screen, row in zip(screens, rows, strict=True):
        x, y, paddle, width = row[[0, 1, ram.PADDLE_X, ram.PADDLE_WIDTH]].astype(int)
        screen[189:193, paddle : paddle + width] = red
        if y >= 0:
            screen[y : y + 4, x : x + 2] = red
    return screens[:, 32:196, 8:152]


def exact() -> dict[str, int]:
    """How many joint settings look as documented: drawn by the world, and as the start of an episode."""
    world, env = Breakout(image_size=None), gymnasium.make(NAME, image_size=None)
    rows = settings(SETTINGS)
    found = {"drawn by the world": 0, "set in an environment": 0}
    for part in np.array_split(rows, SETTINGS // 500):
        wanted = documented(part)
        found["drawn by the world"] += int((world.render_scene(part) == wanted).all((1, 2, 3)).sum())
        for row, picture in zip(part[::10], wanted[::10], strict=True):
            shown, info = env.reset(options={"factors": row})
            same = np.array_equal(shown, picture) and np.array_equal(info["factors"], row)
            found["set in an environment"] += same
    return {"settings": SETTINGS, **found, "set in an environment, of": SETTINGS // 10}


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


class Seen:
    """What is seen of ball, paddle and bricks: how often each place, each brick gone, and each number of bricks."""

    def __init__(self) -> None:
        self.ball, self.paddle = np.zeros((18, 20), int), np.zeros(137, int)
        self.gone, self.left = np.zeros(ram.BRICKS, int), np.zeros(ram.BRICKS + 1, int)

    def add(self, factors: NDArray[np.float64]) -> None:
        """Counts steps, [N, 116]."""
        x, y = factors[:, :2].T
        shown = (y >= 32) & (y < 192)
        cells = np.stack([x[shown] - 8, y[shown] - 32]).astype(int) // 8
        np.add.at(self.ball, (np.clip(cells[0], 0, 17), cells[1]), 1)
        np.add.at(self.paddle, factors[:, ram.PADDLE_X].astype(int) - 8, 1)
        standing = factors[:, ram.BRICK]
        self.gone += (standing == 0).sum(axis=0)
        np.add.at(self.left, standing.sum(axis=1).astype(int), 1)

    def summary(self) -> dict[str, Any]:
        """Parts in [0, 1], and quantiles of the bricks that are left."""
        steps = self.left.sum()
        share = np.cumsum(self.left) / steps
        return {
            "steps": int(steps),
            "ball in play": float(self.ball.sum() / steps),
            "cells of the ball visited": float((self.ball > 0).mean()),
            "places of the paddle visited": float((self.paddle > 0).mean()),
            "bricks left, at 5, 25, 50, 75 and 95 %": [
                int(np.searchsorted(share, q)) for q in (0.05, 0.25, 0.5, 0.75, 0.95)
            ],
            "numbers of bricks seen": int((self.left > 0).sum()),
            "a brick is gone in, least": float(self.gone.min() / steps),
            "a brick is gone in, mean of each row": (self.gone.reshape(6, 18).mean(axis=1) / steps).round(4).tolist(),
        }


def policies(episodes: int) -> dict[str, dict[str, Any]]:
    """Whole games (cut after 4,000 steps), played by the scripted policies."""
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
        length, seen = np.zeros(12, int), Seen()
        while (done < games).any():
            seen.add(infos["factors"][done < games])
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
            "seen": seen.summary(),
            "returns": found,
        }
        left = rows[label]["seen"]["bricks left, at 5, 25, 50, 75 and 95 %"]
        mean, deviation = rows[label]["mean"], rows[label]["deviation"]
        print(
            f"{label:<50} {mean:>6.1f} +- {deviation:<6.1f} {len(found)} games; bricks left, quantiles: {left}",
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


def commit() -> str | None:
    """The commit of the checkout, with a + when files differ from it, the results aside."""
    git = ["git", "-C", str(RESULTS.parent)]
    try:
        found = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True)
        changed = [*git, "status", "--porcelain", "--untracked-files=no", "--", ":/", f":!{RESULTS.name}"]
        differs = subprocess.run(changed, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip() + ("+" if differs else "")


def main() -> None:
    """Measures what was asked for and prints the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ("steps", "scenes", "exact", "workers", "policies")
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
    record = {part: record[part] for part in parts if part in record}
    made_at = commit()
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
        record["steps"] = {"times_faster": faster, "cost_of_factors": told - 1, "rows": rows, "commit": made_at}
        for label, row in rows.items():
            print(f"{label:<55} {row['per_cpu_second']:>9,.0f} steps a CPU-second")
        print(f"factors cost {100 * (told - 1):.1f} % of a step; times faster: {faster}")
    if "scenes" in asked.only:
        rows = measure(scenes(), asked.rounds)
        record["scenes"] = {"rows": rows, "commit": made_at}
        for label, row in rows.items():
            print(f"{label:<55} {row['per_cpu_second']:>9,.0f} pictures a CPU-second")
    if "exact" in asked.only:
        record["exact"] = {**exact(), "commit": made_at}
        print("pixel by pixel as documented:", record["exact"])
    if "workers" in asked.only:
        record["workers"] = {**workers(asked.rounds, asked.processes), "commit": made_at}
        for label, row in record["workers"]["rows"].items():
            print(f"{label:<55} {row['per_second']:>9,.0f} steps a second by the clock")
    if "policies" in asked.only:
        record["policies"] = {"rows": policies(asked.episodes), "commit": made_at}
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
