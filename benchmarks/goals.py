"""FlatLandGoal from a learnt group: goals that the group planner reaches, and its ways beside the shortest ones.

The model is the default run of ``train.py --model=rgrvae``: it has seen pictures, no action labels and no reward. Which
action of the environment is which learnt one is found by trying each from 64 states. Per seed, 500 episodes of each of

goal          FlatLandGoal-v0 as it is (within 2 places on either axis), planned to half a step, in closed loop: the bar
open loop     the same, planned once and carried out blindly
exact         the very place (tolerance 0), planned exactly, in closed loop
random        FlatLandGoal-v0 by random actions, for comparison

Shortest paths are those of the world itself. A record for each seed goes to results/goals_seed<N>.json.

    python benchmarks/goals.py --seeds 5 --jobs 2 --folder logs/goals
    python benchmarks/goals.py --tables                # only the table, from what lies in results/

Runs that lie in ``<folder>/seed_<N>`` are taken as they are; missing ones are trained.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch

import equiworld
from equiworld.agents.planning import ActionMap, Episodes, GroupPlanner, reach, try_actions
from equiworld.envs.tasks import shortest_steps
from equiworld.world_models.group import GroupVAE

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"
ENV = "equiworld/FlatLandGoal-v0"
STATES = 64
REACHED, LONGER = 0.99, 0.05
"""The bars: share of goals reached, and by how much longer ways may be than the shortest, of all that are reached."""


def trained(seed: int, folder: Path) -> Path:
    """The run of a seed, which is trained if it is not there."""
    target = folder / f"seed_{seed}"
    if not list(target.glob("version_*/checkpoints/last.pt")):
        target.mkdir(parents=True, exist_ok=True)
        command = ["train.py", "--model=rgrvae", f"--seed={seed}", "--threads=1", "--no-evaluate"]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        with (target / "log.txt").open("w") as stream:
            done = subprocess.run(
                [sys.executable, *command, f"--log-dir={target}"],
                cwd=ROOT,
                env=environment,
                stdout=stream,
                stderr=stream,
            )
        if done.returncode:
            raise RuntimeError(f"seed {seed}: training failed, see {target / 'log.txt'}")
    return max(target.glob("version_*"), key=lambda path: int(path.name[8:]))


def measured(run: Path, seed: int, goals: int) -> dict[str, Any]:
    """Everything about one run."""
    torch.set_num_threads(1)
    model = equiworld.world_models.load(run)
    assert isinstance(model, GroupVAE)
    trial = gymnasium.make_vec(ENV, num_envs=STATES, shown="hidden")
    actions = try_actions(model, trial, states=STATES, seed=seed)
    near, exact = (GroupPlanner(model, codes=actions.codes, tolerance=tolerance) for tolerance in ("step", "exact"))
    first = 1_000_000 * (seed + 1)  # copy i is seeded with this + i, so that no two seeds have goals in common
    found = {
        "goal": episodes(model, near, actions, goals, first, {}),
        "open loop": episodes(model, near, actions, goals, first, {}, every=None),
        "exact": episodes(model, exact, actions, goals, first, {"tolerance": 0}),
        "random": at_random(goals, first),
    }
    return {
        "actions": {
            "tried_steps": STATES * len(actions.learnt),
            "learnt": actions.learnt.tolist(),
            "votes": actions.votes.tolist(),
            "error": [round(float(error), 4) for error in actions.error],
        },
        "episodes": found,
        "met": bool(found["goal"]["reached"] >= REACHED and found["goal"]["longer"] <= LONGER),
    }


def episodes(
    model: GroupVAE,
    planner: GroupPlanner,
    actions: ActionMap,
    goals: int,
    seed: int,
    options: dict[str, Any],
    every: int | None = 1,
) -> dict[str, Any]:
    """Episodes that are planned."""
    envs = gymnasium.make_vec(ENV, num_envs=goals, shown="hidden", **options)
    began = time.process_time()
    went = reach(envs, model, planner, actions, every=every, seed=seed)
    return summed_up(envs, went) | {"seconds": round(time.process_time() - began, 2)}


def at_random(goals: int, seed: int) -> dict[str, Any]:
    """Episodes of random actions."""
    envs = gymnasium.make_vec(ENV, num_envs=goals, shown="hidden")
    rng = np.random.default_rng(seed)
    _, infos = envs.reset(seed=seed)
    starts, targets = infos["factors"].copy(), infos["goal"].copy()
    going, reached = np.ones(goals, dtype=bool), np.zeros(goals, dtype=bool)
    steps = np.zeros(goals, dtype=np.int64)
    while going.any():
        _, _, terminated, truncated, _ = envs.step(rng.integers(0, 4, goals))
        steps += going
        reached |= going & terminated
        going &= ~(terminated | truncated)
    nothing = np.zeros(goals, dtype=np.int64)
    return summed_up(envs, Episodes(reached, steps, nothing, nothing.astype(bool), starts, targets))


def summed_up(envs: Any, went: Episodes) -> dict[str, Any]:
    """Episodes beside the shortest paths."""
    simulation = envs.unwrapped.simulation
    assert went.starts is not None and went.goals is not None
    least = shortest_steps(simulation.world, simulation.task, went.starts, went.goals)
    done = went.reached
    more = (went.steps - least)[done]
    return {
        "goals": len(done),
        "reached": float(done.mean()),
        "steps": float(went.steps[done].mean()) if done.any() else None,
        "shortest": float(least[done].mean()) if done.any() else None,
        "longer": float(went.steps[done].sum() / least[done].sum() - 1) if done.any() else None,
        "shortest_taken": float((more == 0).mean()) if done.any() else None,
        "most_steps_more": int(more.max()) if done.any() else None,
    }


def job(seed: int, folder: Path, goals: int) -> None:
    """One seed in a process of its own; writes its record."""
    run = trained(seed, folder)
    subprocess.run(
        [sys.executable, __file__, "--alone", str(seed), str(run), "--goals", str(goals)], cwd=ROOT, check=True
    )


def alone(seed: int, run: Path, goals: int) -> None:
    """Measures a run and writes its record."""
    began = time.perf_counter()
    content = {
        "experiment": "goals",
        "seed": seed,
        "command": f"python train.py --model=rgrvae --seed={seed} --threads=1 --no-evaluate",
        "versions": {"equiworld": equiworld.__version__, "torch": torch.__version__, "numpy": np.__version__},
        **measured(run, seed, goals),
        "seconds": round(time.perf_counter() - began, 1),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"goals_seed{seed}.json").write_text(json.dumps(content, indent=1) + "\n")


def table() -> str:
    """What was found, as Markdown, and whether the bar is met."""
    found = [json.loads(path.read_text()) for path in RESULTS.glob("goals_seed*.json")]
    found.sort(key=lambda each: each["seed"])
    head = ["seed", "episodes", "reached", "steps", "shortest", "longer", "shortest taken", "most steps more"]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for each in found:
        for name, went in each["episodes"].items():
            cells = [str(each["seed"]), name, f"{went['reached']:.1%} of {went['goals']}"]
            forms = {"steps": ".2f", "shortest": ".2f", "longer": ".1%", "shortest_taken": ".1%", "most_steps_more": ""}
            cells += ["-" if went[key] is None else f"{went[key]:{form}}" for key, form in forms.items()]
            lines.append("| " + " | ".join(cells) + " |")
    met = sum(each["met"] for each in found)
    lines += ["", f"at least {REACHED:.0%} reached, at most {LONGER:.0%} longer: {met} of {len(found)} seeds"]
    return "\n".join(lines)


def main() -> None:
    """Runs what is asked for and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[5], help="one number: seeds 0, 1, ...; else these")
    parser.add_argument("--goals", type=int, default=500, help="episodes of each kind")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("--folder", type=Path, default=ROOT / "logs" / "goals", help="where runs are, or are made")
    parser.add_argument("--tables", action="store_true", help="print the table and leave")
    parser.add_argument("--alone", nargs=2, metavar=("SEED", "RUN"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.alone:
        alone(int(asked.alone[0]), Path(asked.alone[1]), asked.goals)
        return
    if not asked.tables:
        seeds = range(asked.seeds[0]) if len(asked.seeds) == 1 else asked.seeds
        folder = asked.folder.resolve()
        with ThreadPoolExecutor(asked.jobs) as pool:
            running = {pool.submit(job, seed, folder, asked.goals): seed for seed in seeds}
            for future, seed in running.items():
                future.result()
                print(f"seed {seed}: done", flush=True)
    print(table())


if __name__ == "__main__":
    main()
