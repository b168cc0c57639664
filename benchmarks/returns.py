"""What agents reach that see latents, pixels or true factors, or that learn in dreams: seeds and equal steps, compared.

python benchmarks/returns.py goal embodied select-move --jobs 2
python benchmarks/returns.py breakout --views latents pixels --seeds 5
python benchmarks/returns.py --tables              # only the tables, from what lies in results/

Steps are those of the environment. Where a world model is trained on a recording of it, the steps that were recorded
count: the agent is left with as many fewer. Every agent is measured at the end by episodes on seeds of their own.
A record for each run goes to results/returns_EXPERIMENT.json; runs whose record has the same commands are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from equiworld.agents.training import EVALUATION_SEED, make_envs
from equiworld.agents.vec_env import success
from equiworld.datasets.rollouts.command_line import key_values
from equiworld.envs.policies import make_policy
from equiworld.metrics.aggregates import interquartile_mean, interval

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"
SCRIPTS = RESULTS / "returns_scripts.json"
PAGE = ROOT / "docs" / "agents.md"
VIEWS = ("latents", "dream", "pixels", "factors")
_KEPT = ("return.mean", "success.rate", "length.mean", "normalised.return")
_CHANCE = ("return", "success", "length")


@dataclass(frozen=True)
class Experiment:
    """Agents on one environment.

    Attributes:
        env: Its id.
        steps: Of the environment, for everything together.
        seeds: How many.
        env_options: Keyword arguments of the environment.
        agent: Options of all agents but those in dreams.
        pixels: More options of agents that see pixels.
        dream: Options of agents in dreams; none: there are none.
        recorded: Steps that are recorded at random for the world model; 0: it does not learn from a recording.
        recorded_options: More keyword arguments of the environment while it is recorded.
        world_model: Options of the world model.
        episodes: By which an agent is measured at the end.
        script: A policy that reads the factors, to compare with; none: there is none.
    """

    env: str
    steps: int
    seeds: int
    env_options: tuple[str, ...] = ()
    agent: tuple[str, ...] = ()
    pixels: tuple[str, ...] = ()
    dream: tuple[str, ...] = ()
    recorded: int = 0
    recorded_options: tuple[str, ...] = ()
    world_model: tuple[str, ...] = ()
    episodes: int = 100
    script: str = ""

    @property
    def views(self) -> tuple[str, ...]:
        """What there is to see through."""
        return VIEWS if self.dream else tuple(view for view in VIEWS if view != "dream")


_PPO = (
    "--n-steps=128",
    "--batch-size=256",
    "--n-epochs=4",
    "--learning-rate=2.5e-4",
    "--ent-coef=0.01",
    "--eval-sample",
)
_SPRITES = (
    "--num-envs=32",
    "--n-steps=64",
    "--batch-size=256",
    "--n-epochs=10",
    "--gamma=0.8",
    "--gae-lambda=0.5",
    "--learning-rate=1e-3",
    "--normalize-reward",
    "--eval-sample",
    "--net-arch",
    "256",
    "256",
)
"""Rewards are dense and large, and few actions move anything: values must be good, and looking far ahead is noise."""
_SHARP = ("--model=vae", "--latents=32", "--likelihood=gaussian", "--variance-rule=optimal")
"""Small things show: with cross-entropy, a ball of a pixel or two costs less than telling where it is."""
EXPERIMENTS = {
    "goal": Experiment(
        "equiworld/FlatLandGoal-v0",
        100_000,
        5,
        env_options=("shown=observation",),
        agent=_PPO,
        world_model=("--model=rgrvae",),
    ),
    "embodied": Experiment(
        "equiworld/SpriteworldGoalFindingEmbodied-v0",
        100_000,
        3,
        agent=_SPRITES,
        pixels=("--learning-rate=3e-4",),
        recorded=10_000,
        world_model=(*_SHARP, "--epochs=10"),
        script="finder",
    ),
    "select-move": Experiment(
        "equiworld/SpriteworldGoalFindingNewPosition-v0",
        300_000,
        3,
        agent=_SPRITES,
        pixels=("--learning-rate=3e-4",),
        recorded=10_000,
        # Sprites hardly move at random: in whole episodes there would be 500 scenes, and a VAE would draw no others.
        recorded_options=("max_episode_steps=2",),
        world_model=(*_SHARP, "--epochs=10"),
        script="finder",
    ),
    "breakout": Experiment(
        "equiworld/Breakout-v0",
        100_000,
        5,
        env_options=("grayscale=true", "max_episode_steps=5000"),
        agent=(*_PPO, "--stack=4"),
        dream=("--latents=32", "--vae-epochs=2", "--dynamics-epochs=5", "--eval-sample"),
        recorded=10_000,
        world_model=(*_SHARP, "--epochs=15"),
        episodes=30,
        script="follower",
    ),
}


def call(command: Sequence[str], log: Path) -> None:
    """Runs a program of the library in a process of its own.

    Raises:
        RuntimeError: It failed; the message has the last line of its output.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with log.open("w") as stream:
        done = subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, stdout=stream, stderr=stream)
    if done.returncode:
        last = (log.read_text().strip().splitlines() or ["no output"])[-1]
        raise RuntimeError(f"{last} (see {log})")


def latest(folder: Path) -> Path:
    """The run directory of a folder that was made last."""
    return max(folder.glob("version_*"), key=lambda path: int(path.name[8:]))


def world_model(it: Experiment, seed: int, folder: Path) -> tuple[list[list[str]], Path]:
    """The world model of a seed, which is trained if it is not there: the commands, and its run."""
    target, recording = folder / "world_model", folder / "recording.h5"
    fit = ["train.py", *it.world_model, f"--seed={seed}", "--threads=1", "--no-evaluate", f"--log-dir={target}"]
    commands = [[*fit, "--dataset=flatland"]]
    if it.recorded:
        collect = ["-m", "equiworld.datasets.rollouts", "collect", f"--env={it.env}", f"--steps={it.recorded}"]
        collect += [f"--seed={seed}", f"--out={recording}"]
        if options := (*it.env_options, *it.recorded_options):
            collect += ["--env-options", *options]
        commands = [collect, [*fit, f"--dataset={recording}"]]
    done = target / "commands.json"  # written when all of them are through
    if not done.exists() or json.loads(done.read_text()) != commands:
        recording.unlink(missing_ok=True)
        for number, command in enumerate(commands):
            call(command, folder / f"world_model_{number}.txt")
        done.write_text(json.dumps(commands))
    return commands, latest(target)


def agent(it: Experiment, view: str, seed: int, run: Path | None) -> list[str]:
    """The command of an agent."""
    steps = it.steps - it.recorded * (view == "latents")
    name = "dream-ppo" if view == "dream" else "ppo"
    command = ["train.py", f"--agent={name}", f"--env={it.env}", f"--steps={steps}", f"--seed={seed}", "--threads=1"]
    if it.env_options:
        command += ["--env-options", *it.env_options]
    if view == "dream":
        return [*command, *it.dream]
    own = it.pixels if view == "pixels" else ()
    return [*command, f"--world-model={run if view == 'latents' else view}", *it.agent, *own]


def measured(name: str, view: str, seed: int, asked: argparse.Namespace) -> dict[str, Any]:
    """Trains what is missing and measures; returns the record."""
    it = EXPERIMENTS[name]
    folder = asked.folder.resolve() / name / f"seed_{seed}"
    began, seen = time.perf_counter(), None
    commands: list[list[str]] = []
    if view == "latents":
        commands, seen = world_model(it, seed, folder)
    target = folder / view
    command = agent(it, view, seed, seen)
    call([*command, f"--log-dir={target}"], folder / f"{view}.txt")
    run = latest(target)
    call(["evaluate.py", str(run), f"--episodes={it.episodes}", "--threads=1"], folder / f"{view}_evaluation.txt")
    found = json.loads((run / "metrics.json").read_text())
    results = {each["name"]: each for each in found["results"]}
    return {
        "experiment": name,
        "view": view,
        "seed": seed,
        "commands": [shown(each, asked.folder.resolve()) for each in [*commands, command]],
        "steps": it.steps,
        "seconds": round(time.perf_counter() - began, 1),
        "values": {key: found["values"].get(key) for key in _KEPT},
        "random": {key: results[key].get("chance") for key in _CHANCE},
        "learning": results["learning"]["details"],
        "returns": results["return"]["details"]["episodes"]["return"],
        "environment": json.loads((run / "environment.json").read_text()),
    }


def scripted(it: Experiment) -> dict[str, float | None]:
    """What a script reaches in the episodes that agents are measured by: mean return, success and steps."""
    envs = make_envs(it.env, key_values(it.env_options, "--env-options"), it.episodes)
    policy, rng = make_policy(it.script, envs, epsilon=0.0), np.random.default_rng(0)
    copies: Any = envs  # gymnasium's own signature knows of one seed alone
    observations, infos = copies.reset(seed=[EVALUATION_SEED + row for row in range(it.episodes)])
    policy.reset(np.ones(it.episodes, dtype=bool), rng)
    going, returns, lengths = (np.full(it.episodes, start) for start in (True, 0.0, 0))
    solved: list[bool | None] = [None] * it.episodes
    while going.any():
        observations, rewards, terminated, truncated, infos = envs.step(policy(observations, infos, rng))
        over = terminated | truncated
        returns, lengths = returns + going * rewards, lengths + going
        for row in np.flatnonzero(going & over):
            last = {name: infos["final_info"][name][row] for name in ("success",) if name in infos["final_info"]}
            solved[row] = success(last, bool(terminated[row]))
        policy.reset(over, rng)
        going &= ~over
    envs.close()
    rate = None if None in solved else float(np.mean([bool(each) for each in solved]))
    return {"return": float(returns.mean()), "success": rate, "length": float(lengths.mean())}


def shown(command: Sequence[str], folder: Path) -> str:
    """A command line as it is noted, with places from the folder of runs on."""
    return " ".join(["python", *command]).replace(f"{folder}/", "")


def records(name: str) -> list[dict[str, Any]]:
    """What was measured so far of an experiment."""
    path = RESULTS / f"returns_{name}.json"
    return list(json.loads(path.read_text())) if path.exists() else []


def rounded(value: Any) -> str:
    """Three digits, or all before the point."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def table() -> str:
    """Interquartile means of the runs' mean returns with their intervals, and what else was measured."""
    lines = ["| experiment | agent sees | return (IQM, 95 %) | success | steps of an episode | seeds |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    scripts = json.loads(SCRIPTS.read_text()) if SCRIPTS.exists() else {}
    for name in EXPERIMENTS:
        found = records(name)
        for view in VIEWS:
            runs = [each for each in found if each["view"] == view]
            if not runs:
                continue
            returns = np.array([each["values"]["return.mean"] for each in runs])
            spread = interval(interquartile_mean, returns)
            text = rounded(spread.value)
            if spread.low is not None and spread.high is not None:
                text += f" ({rounded(spread.low)} to {rounded(spread.high)})"
            cells = [name, view, text]
            for key, form in (("success.rate", "{:.0%}"), ("length.mean", "{:.1f}")):
                values = [each["values"][key] for each in runs if each["values"][key] is not None]
                cells.append(form.format(np.mean(values)) if values else "–")
            lines.append("| " + " | ".join([*cells, str(len(runs))]) + " |")
        if found and name in scripts:
            known = scripts[name]
            rate = "–" if known["success"] is None else f"{known['success']:.0%}"
            lines.append(
                f"| {name} | factors, by a script (`{EXPERIMENTS[name].script}`) | {rounded(known['return'])} | {rate}"
                f" | {known['length']:.1f} |  |"
            )
        if found:
            random = found[0]["random"]
            rate, length = (random[key] or {} for key in ("success", "length"))
            cells = [name, "nothing: random", rounded(np.mean([each["random"]["return"]["mean"] for each in found]))]
            cells += [f"{rate['rate']:.0%}" if rate.get("rate") is not None else "–", f"{length['mean']:.1f}", ""]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write_table() -> None:
    """Into the page on agents."""
    text = PAGE.read_text()
    before, after = "<!-- returns -->", "<!-- /returns -->"
    if before in text:
        start, end = text.index(before) + len(before), text.index(after)
        PAGE.write_text(f"{text[:start]}\n{table()}\n{text[end:]}")


def main() -> None:
    """Runs what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT", help=f"some of {', '.join(EXPERIMENTS)}")
    parser.add_argument("--views", nargs="+", choices=VIEWS, default=list(VIEWS), help="some of what agents see")
    parser.add_argument("--seeds", type=int, help="seeds 0 .. N-1; the experiment's own number if not given")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--folder", type=Path, default=ROOT / "logs" / "returns", help="where runs go")
    parser.add_argument("--tables", action="store_true", help="only write the table")
    asked = parser.parse_args()
    if unknown := [name for name in asked.experiments if name not in EXPERIMENTS]:
        parser.error(f"there is no experiment {unknown[0]}; there are: {', '.join(EXPERIMENTS)}")
    lock = Lock()

    def one(work: tuple[int, str, str]) -> None:
        seed, name, view = work
        it = EXPERIMENTS[name]
        last = shown(agent(it, view, seed, None), asked.folder.resolve())
        if any(
            (each["seed"], each["view"]) == (seed, view) and same(each["commands"][-1], last) for each in records(name)
        ):
            return
        record = measured(name, view, seed, asked)
        with lock:
            kept = [each for each in records(name) if (each["seed"], each["view"]) != (seed, view)]
            content = sorted([*kept, record], key=lambda each: (VIEWS.index(each["view"]), each["seed"]))
            (RESULTS / f"returns_{name}.json").write_text(json.dumps(content, indent=1) + "\n")
        print(name, view, seed, record["values"], f"{record['seconds']:.0f} s", flush=True)

    if not asked.tables:
        work = [
            (seed, name, view)
            for name in asked.experiments
            for seed in range(EXPERIMENTS[name].seeds if asked.seeds is None else asked.seeds)
            for view in EXPERIMENTS[name].views
            if view in asked.views
        ]
        with ThreadPoolExecutor(asked.jobs) as pool:
            list(pool.map(one, work))
        known = json.loads(SCRIPTS.read_text()) if SCRIPTS.exists() else {}
        found = {name: scripted(EXPERIMENTS[name]) for name in asked.experiments if EXPERIMENTS[name].script}
        if found:
            SCRIPTS.write_text(json.dumps(known | found, indent=1) + "\n")
    write_table()
    print(table())


def same(first: str, second: str) -> bool:
    """Whether two commands are the same but for the place of the world model."""
    return [part for part in first.split() if "--world-model" not in part] == [
        part for part in second.split() if "--world-model" not in part
    ]


if __name__ == "__main__":
    main()
