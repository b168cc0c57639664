"""Collect, fit, dream: rounds that go on as if they had not been stopped, and what they leave."""

from __future__ import annotations

import inspect
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from equiworld import train
from equiworld.agents.loop import DreamLoop, record
from equiworld.agents.options import read_agent_request
from equiworld.agents.training import load_agent, play_episodes
from equiworld.datasets.rollouts import Rollouts
from equiworld.datasets.rollouts.copies import Copies
from equiworld.envs.registry import UsageError
from equiworld.world_models import runs

SMALL = ["period=7", "stride=2", "radius=3", "size=16", "tolerance=0", "max_episode_steps=7"]
FRONT = ["--agent=dream-ppo", "--env=equiworld/FlatLandGoal-v0", "--env-options", *SMALL]
LOOP = [*FRONT, "--num-envs=4", "--steps=245", "--rounds=2", "--eval-episodes=2", "--net-arch", "8"]
LOOP += ["--dreams=4", "--dream-steps=64", "--n-steps=8", "--batch-size=16", "--n-epochs=1", "--horizon=5"]
LOOP += ["--latents=3", "--vae-epochs=1", "--dynamics-epochs=1", "--normalize-reward"]


class Notes:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def start(self, total: int, done: int) -> None: ...

    def update(self, done: int, mean_return: float | None, steps_per_second: float) -> None: ...

    def note(self, line: str) -> None:
        self.lines.append(line)


def loop(run: Path, stop_after: str | None = None) -> DreamLoop:
    """Makes the rounds of a run, until something has been said."""
    request = read_agent_request([f"--resume={run}"] if run.exists() else LOOP)
    if request.resume is None:
        run.mkdir()
        runs.write_config(run, request.options.flat())
    made, notes = DreamLoop(request.options, request.resume), Notes()
    complete = made.fit(run, notes, lambda: any(str(stop_after) in line for line in notes.lines))
    assert complete == (stop_after is None)
    return made


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    run = tmp_path_factory.mktemp("loop") / "whole"
    assert loop(run).steps == 240
    return run


def test_rounds_that_were_stopped_go_on_as_if_they_had_not_been(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "parts"
    torch.manual_seed(2)
    np.random.seed(2)
    loop(run, stop_after="round 1")
    assert loop(run, stop_after="round 2").steps == 120
    loop(run)
    one, two = runs.load_checkpoint(whole), runs.load_checkpoint(run)
    assert one["round"] == two["round"] == 2 and one["episodes"] == two["episodes"]
    assert all(torch.equal(value, two["model"][name]) for name, value in one["model"].items())
    assert one["rewards"]["count"] == two["rewards"]["count"] > 2 * 64  # of both rounds


def test_a_round_is_kept_whose_last_evaluation_is_asked_to_stop(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    options = read_agent_request(LOOP).options
    run.mkdir()
    runs.write_config(run, options.flat())
    made, notes = DreamLoop(options), Notes()

    def within() -> bool:  # asked while an evaluation is played, and never before
        return any(frame.function == "_play_episodes" for frame in inspect.stack(0))

    stops = iter([False, True])
    assert not made.fit(run, notes, lambda: within() or (made.round > 0 and next(stops, True)))
    assert made.round == 1 and runs.load_checkpoint(run)["round"] == 1
    loop(run)
    assert runs.load_checkpoint(run)["episodes"] == runs.load_checkpoint(whole)["episodes"]


def test_a_checkpoint_without_how_returns_spread(whole: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    content = runs.load_checkpoint(run)
    runs.save_checkpoint(run, content | {"rewards": {"mean": 0.0}})
    with pytest.raises(runs.RunError, match=r"last\.pt cannot be continued: 'var'"):
        DreamLoop(read_agent_request([f"--resume={run}"]).options, run)
    runs.save_checkpoint(run, {name: value for name, value in content.items() if name != "rewards"})
    assert DreamLoop(read_agent_request([f"--resume={run}"]).options, run).round == 2  # as older ones are


def test_what_rounds_leave(whole: Path, tmp_path: Path) -> None:
    rollouts = Rollouts(whole / "rollouts")
    assert rollouts.steps == 240 and len(rollouts.files) == 2  # the budget, and no step more
    episodes = json.loads((whole / "episodes.json").read_text())
    assert [(each["step"], each["seed"] % 10) for each in episodes] == [(120, 0), (120, 1), (240, 0), (240, 1)]
    first, second = (runs.load_checkpoint(whole / "rounds" / str(n) / "vae")["model"] for n in range(2))
    moved = {name: float((second[name] - value).abs().max()) for name, value in first.items() if value.numel()}
    weights = [each for name, each in moved.items() if not name.startswith("likelihood.")]
    assert 0 < max(weights) < 0.3  # it went on from there
    alone = tmp_path / "alone"
    shutil.copytree(whole, alone, ignore=shutil.ignore_patterns("rounds", "rollouts"))
    agent = load_agent(alone)
    again = [{"step": 240, **episode} for episode in play_episodes(agent.algorithm, agent.envs)]
    assert [{**each, "step": 240} for each in episodes[2:]] == again


def test_a_recording_holds_what_happened(tmp_path: Path) -> None:
    options = {"period": 7, "stride": 2, "radius": 3, "size": 16, "max_episode_steps": 4}
    copies = Copies("equiworld/FlatLand-v0", 3, options)
    taken: list[np.ndarray] = []

    def act(observations: Any, infos: dict[str, Any]) -> np.ndarray:
        taken.append(np.array([0, 1, len(taken) % 4]))
        return taken[-1]

    record(tmp_path / "a.h5", copies, act, 20, seed=0)
    rollouts = Rollouts(tmp_path / "a.h5")
    assert sorted(rollouts.lengths.tolist()) == [3, 3, 3, 5, 5, 5]  # 6 steps of each copy, cut after 4
    assert rollouts.all("action").reshape(-1)[:5].tolist() == [0, 0, 0, 0, 0]
    assert rollouts.all("truncated").sum() == 6 and not rollouts.all("terminated").any()
    env = Copies("equiworld/FlatLand-v0", 1, options)
    for episode in range(6):
        rows = rollouts.rows_of([episode])
        pictures = [env.reset({0: int(rollouts.seeds[episode])})[0].copy()]
        pictures += [env.step(action[None])[0][0].copy() for action in rollouts.read("action", rows[:-1])]
        np.testing.assert_array_equal(rollouts.read("observation", rows), pictures)


def test_what_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for own, message in (
        (["--steps=7"], "--steps 7 is less than one real step in each of --rounds 2 for each of --num-envs 4"),
        (["--dream-steps=31"], "--dream-steps 31 is less than one rollout of 32 steps"),
        (["--world-model=factors"], "--world-model is not read by --agent dream-ppo"),
        (["--env-options", *SMALL[:-1], "max_episode_steps=null"], "evaluation episodes need a limit of time"),
        (
            ["--env-options", *SMALL[:3], "size=20", *SMALL[4:]],
            "takes images whose sides are multiples of 16: not 20x20",
        ),
        (["--rounds=0"], "--rounds must be 1 or more, not 0"),
        (["--num-envs=2"], "--num-envs must be 3 or more"),
        (["--horizn=3"], "unknown option --horizn"),
    ):
        assert train.main([*LOOP, *own, f"--log-dir={tmp_path / 'logs'}"]) == 2
        told = capsys.readouterr().err
        assert message in told and told.count("\n") == 1
    assert not (tmp_path / "logs").exists()
    with pytest.raises(UsageError, match="not in --env dream"):
        read_agent_request([each.replace("equiworld/FlatLandGoal-v0", "dream") for each in LOOP])
