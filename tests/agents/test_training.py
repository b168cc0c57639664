"""Training agents: the same seed gives the same run, and a run that was stopped goes on as if it had not been."""

from __future__ import annotations

import inspect
import itertools
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import equiworld
from equiworld import train
from equiworld.agents.options import read_agent_request
from equiworld.agents.training import EVALUATION_SEED, AgentTrainer, play_episodes
from equiworld.envs import UsageError
from equiworld.world_models import runs
from equiworld.world_models.runs import RunError
from equiworld.world_models.trainer import NonFiniteLoss

SMALL = ["period=7", "stride=2", "radius=3", "size=16", "tolerance=0", "max_episode_steps=7"]
COMMON = [
    "--env=equiworld/FlatLandGoal-v0",
    "--num-envs=2",
    "--net-arch",
    "8",
    "--eval-every=40",
    "--eval-episodes=2",
    "--checkpoint-every=1000",
    "--env-options",
    *SMALL,
]
PPO = ["--agent=ppo", "--n-steps=8", "--batch-size=8", "--n-epochs=2", "--steps=96"]
DQN = ["--agent=dqn", "--learning-starts=10", "--buffer-size=60", "--target-update-interval=16", "--steps=96"]


class Silent:
    """Listens and says nothing."""

    def start(self, total: int, done: int) -> None: ...

    def update(self, done: int, mean_return: float | None, steps_per_second: float) -> None: ...

    def note(self, line: str) -> None: ...


def fit(run: Path, arguments: list[str], stop_at: int | None = None) -> AgentTrainer:
    """Trains in ``run``, which is continued if it is there, until so many steps are made."""
    if run.exists():
        request = read_agent_request([f"--resume={run}"])
    else:
        request = read_agent_request([*COMMON, *arguments])
        run.mkdir(parents=True)
        runs.write_config(run, request.options.flat())
    trainer = AgentTrainer(request.options, request.resume)
    complete = trainer.fit(run, Silent(), lambda: stop_at is not None and trainer.steps >= stop_at)
    assert complete == (stop_at is None)
    trainer.close()
    return trainer


def same(first: Any, second: Any, place: str = "") -> None:
    """Equal in every bit, but for the time that things took."""
    assert type(first) is type(second), place
    if isinstance(first, dict):
        assert first.keys() == second.keys(), place
        for key in set(first) - {"t", "time/fps", "time/time_elapsed"}:
            same(first[key], second[key], f"{place}.{key}")
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), place
        for number, pair in enumerate(zip(first, second, strict=True)):
            same(*pair, f"{place}.{number}")
    elif isinstance(first, torch.Tensor):
        assert first.dtype == second.dtype and torch.equal(first, second), place
    else:
        assert first == second, place


def outcome(run: Path) -> dict[str, Any]:
    content = runs.load_checkpoint(run)
    content["episodes.json"] = json.loads((run / "episodes.json").read_text())
    if content["replay"] is not None:
        with np.load(run / "checkpoints" / content["replay"]) as held:
            content["buffer"] = {name: torch.from_numpy(held[name]) for name in held.files}
    return content


def scalars(run: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(run))
    events.Reload()
    names = [name for name in events.Tags()["scalars"] if not name.startswith("time/")]
    # Two files of one second are read in any order.
    return {name: sorted((event.step, event.value) for event in events.Scalars(name)) for name in names}


SETTINGS = {
    "ppo-latents": [*PPO, "--stack=2", "--latent-sample", "--world-model=RUN", "--normalize-reward"],
    "ppo-finetuned": [*PPO, "--encoder=finetuned", "--world-model=RUN"],
    "ppo-pixels": [*PPO, "--env-options", *SMALL[:3], "size=36", *SMALL[4:]],
    "dqn-factors": [*DQN, "--world-model=factors"],
    "dqn-dict-finetuned": [
        *DQN,
        "--encoder=finetuned",
        "--world-model=RUN",
        "--env-options",
        *SMALL,
        "shown=observation",
    ],
    "qrdqn-latents": [*DQN, "--agent=qrdqn", "--n-quantiles=5", "--world-model=RUN"],
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(
    name: str, tmp_path: Path, trained: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("equiworld.agents.training.LOG_EVERY", 16)
    arguments = [argument.replace("RUN", str(trained["vae"])) for argument in SETTINGS[name]]
    torch.manual_seed(1)
    np.random.seed(1)
    fit(tmp_path / "whole", arguments)
    torch.manual_seed(2)  # whatever the global states were
    np.random.seed(2)
    fit(tmp_path / "parts", arguments, stop_at=30)
    random.random()
    torch.rand(3)
    np.random.rand(3)
    fit(tmp_path / "parts", arguments, stop_at=64)
    fit(tmp_path / "parts", arguments)
    whole, parts = outcome(tmp_path / "whole"), outcome(tmp_path / "parts")
    same(whole, parts)
    assert whole["counters"]["num_timesteps"] == 96
    assert [episode["step"] for episode in whole["episodes.json"]] == [48, 48, 80, 80, 96, 96] or "ppo" not in name
    first, second = scalars(tmp_path / "whole"), scalars(tmp_path / "parts")
    assert "eval/mean_reward" in first and "rollout/ep_rew_mean" in first and "train/loss" in first
    assert first == second


@pytest.mark.parametrize("own", [[*PPO, "--normalize-reward"], [*PPO, "--eval-sample"], [*DQN, "--eval-sample"]])
def test_a_run_that_is_stopped_in_its_evaluations_goes_on_with_them(own: list[str], tmp_path: Path) -> None:
    arguments = [*own, "--world-model=factors"]
    fit(tmp_path / "whole", arguments)
    run, within, complete = tmp_path / "parts", [], False
    run.mkdir()
    runs.write_config(run, read_agent_request([*COMMON, *arguments]).options.flat())
    while not complete:
        request = read_agent_request([f"--resume={run}"])
        trainer = AgentTrainer(request.options, run if within else None)
        asked = itertools.count(1)

        def stopped(trainer: Any = trainer, asked: Any = asked) -> bool:  # once within each evaluation
            playing = any(frame.function == "_play_episodes" for frame in inspect.stack(0))
            return playing and trainer.steps not in within and next(asked) > 3

        complete = trainer.fit(run, Silent(), stopped)
        if not complete:
            within.append(trainer.steps)
        trainer.close()
    assert within == [each["step"] for each in outcome(run)["episodes.json"]][::2]  # of two episodes each
    same(outcome(tmp_path / "whole"), outcome(run))
    agent = equiworld.agents.load(run)
    rate = outcome(run)["counters"].get("exploration_rate")
    assert getattr(agent.algorithm, "exploration_rate", None) == rate
    played = [play_episodes(agent.algorithm, agent.envs, sample="--eval-sample" in own) for _ in range(2)]
    assert played[0] == played[1]
    last = [each for each in outcome(run)["episodes.json"] if each["step"] == 96]
    assert [{"step": 96, **each} for each in played[0]] == last


def test_an_evaluation_is_written_once_whatever_happens_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [*PPO, "--world-model=factors", "--eval-every=32", "--checkpoint-every=32"]
    fit(tmp_path / "whole", arguments)

    class Killed(Exception):
        pass

    class Kills(Silent):
        def update(self, done: int, mean_return: float | None, steps_per_second: float) -> None:
            if done > 64:
                raise Killed

    run = tmp_path / "parts"
    options = read_agent_request([*COMMON, *arguments]).options
    run.mkdir()
    runs.write_config(run, options.flat())
    trainer = AgentTrainer(options)
    with pytest.raises(Killed):
        trainer.fit(run, Kills())
    trainer.close()
    fit(run, arguments)
    same(outcome(tmp_path / "whole"), outcome(run))
    whole, parts = scalars(tmp_path / "whole"), scalars(run)
    assert whole["eval/mean_reward"] == parts["eval/mean_reward"]
    assert [step for step, _ in parts["eval/mean_reward"]] == [32, 64, 96]


def test_continuous_actions_too(tmp_path: Path) -> None:
    for name, own in {"sac": [], "td3": ["--action-noise=0.2"]}.items():
        arguments = [f"--agent={name}", "--env=equiworld/FlatLandContinuous-v0", "--world-model=factors", "--steps=60"]
        arguments += ["--env-options", "period=7", "stride=2", "radius=3", "size=16", "max_episode_steps=7", *own]
        arguments += ["--learning-starts=10", "--batch-size=8", "--buffer-size=40"]
        fit(tmp_path / name / "whole", arguments)
        fit(tmp_path / name / "parts", arguments, stop_at=32)
        fit(tmp_path / name / "parts", arguments)
        same(outcome(tmp_path / name / "whole"), outcome(tmp_path / name / "parts"))


def test_several_actions_at_once_too(tmp_path: Path) -> None:
    arguments = ["--agent=a2c", "--env=equiworld/SpriteworldGoalFindingEmbodied-v0", "--world-model=factors"]
    arguments += ["--steps=60", "--env-options", "image_size=16", "max_episode_steps=7"]
    fit(tmp_path / "whole", arguments)
    fit(tmp_path / "parts", arguments, stop_at=30)
    fit(tmp_path / "parts", arguments)
    same(outcome(tmp_path / "whole"), outcome(tmp_path / "parts"))


def test_the_same_seed_gives_the_same_agent_and_another_another(tmp_path: Path) -> None:
    for number, seed in enumerate((3, 3, 4)):
        fit(tmp_path / str(number), [*PPO, "--world-model=factors", f"--seed={seed}"])
    first, second, third = (outcome(tmp_path / str(number)) for number in range(3))
    same(first, second)
    assert not all(torch.equal(value, third["model"][name]) for name, value in first["model"].items())
    assert [each["seed"] for each in third["episodes.json"]] == [EVALUATION_SEED, EVALUATION_SEED + 1] * 3


@pytest.mark.parametrize("seen", ["factors", "RUN"])
def test_global_random_states_stay_as_they_were(seen: str, tmp_path: Path, trained: dict[str, Path]) -> None:
    request = read_agent_request([*COMMON, *PPO, f"--world-model={seen.replace('RUN', str(trained['vae']))}"])
    torch.manual_seed(5)
    np.random.seed(5)
    random.seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    AgentTrainer(request.options).fit(tmp_path, Silent())
    runs.write_config(tmp_path, request.options.flat())
    equiworld.agents.load(tmp_path)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])
    assert random.getstate() == before[2]


def test_an_agent_can_be_loaded_and_needs_no_other_run(tmp_path: Path, trained: dict[str, Path]) -> None:
    run = tmp_path / "run"
    trainer = fit(run, [*PPO, "--world-model", str(trained["vae"])])
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert (next(iter(config)), config["agent"], config["world_model"]) == ("agent", "ppo", str(trained["vae"]))
    runs.write_config(run, config | {"world_model": str(tmp_path / "gone")})
    moved = run.rename(tmp_path / "moved")
    agent = equiworld.agents.load(moved)
    episodes = play_episodes(agent.algorithm, agent.envs)
    last = json.loads((moved / "episodes.json").read_text())[-2:]
    assert [{"step": trainer.steps, **episode} for episode in episodes] == last
    with pytest.raises(UsageError, match="is the run of an agent, and not of a world model"):
        equiworld.world_models.load(moved)
    with pytest.raises(UsageError, match="is the run of a world model, and not of an agent"):
        equiworld.agents.load(trained["vae"])


def test_evaluations_by_drawn_actions_repeat_and_leave_training_as_it_is(
    tmp_path: Path, trained: dict[str, Path]
) -> None:
    options = [*PPO, "--world-model=factors"]
    drawn = fit(tmp_path / "drawn", [*options, "--eval-sample"])
    likeliest = fit(tmp_path / "likeliest", options)
    weights = [runs.load_checkpoint(tmp_path / name)["model"] for name in ("drawn", "likeliest")]
    torch.testing.assert_close(*weights, rtol=0, atol=0)
    assert drawn.steps == likeliest.steps
    agent = equiworld.agents.load(tmp_path / "drawn")
    assert agent.options.run.eval_sample
    before = torch.get_rng_state(), np.random.get_state()[1]
    first, second = (play_episodes(agent.algorithm, agent.envs, sample=True) for _ in range(2))
    assert first == second
    assert [{"step": drawn.steps, **episode} for episode in first] == json.loads(
        (tmp_path / "drawn" / "episodes.json").read_text()
    )[-2:]
    torch.testing.assert_close(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])
    actions: list[list[int]] = []
    agent.algorithm.predict = lambda observations, deterministic: (  # type: ignore[method-assign,assignment,misc]
        actions.append([deterministic]) or np.zeros(agent.envs.num_envs, np.int64),
        None,
    )
    play_episodes(agent.algorithm, agent.envs, sample=True)
    play_episodes(agent.algorithm, agent.envs)
    assert actions[0] == [False] and actions[-1] == [True]


def test_an_agent_does_not_need_what_its_world_model_learnt_from(tmp_path: Path, recorded: Path) -> None:
    rollouts = tmp_path / "rollouts.h5"
    shutil.copy(recorded, rollouts)
    front = ["--model=vae", "--latents=3", "--architecture=forward", f"--dataset={rollouts}", "--epochs=1"]
    assert train.main([*front, "--no-evaluate", f"--log-dir={tmp_path}"]) == 0
    run = tmp_path / "run"
    fit(run, [*PPO, f"--world-model={tmp_path / 'version_0'}"])
    rollouts.unlink()
    shutil.rmtree(tmp_path / "version_0")
    agent = equiworld.agents.load(run)
    last = json.loads((run / "episodes.json").read_text())[-2:]
    assert [{"step": 96, **episode} for episode in play_episodes(agent.algorithm, agent.envs)] == last
    assert train.main([f"--resume={run}", "--steps=112"]) == 0


def test_whole_rollouts_that_the_budget_has_room_for(tmp_path: Path) -> None:
    assert fit(tmp_path / "run", [*PPO, "--world-model=factors", "--steps=60"]).steps == 48


def test_an_encoder_that_learns_along_changes_and_a_frozen_one_does_not(
    tmp_path: Path, trained: dict[str, Path]
) -> None:
    before = runs.load_checkpoint(trained["vae"])["model"]["encoder.head.weight"]
    tuned = fit(tmp_path / "tuned", [*PPO, "--encoder=finetuned", "--world-model", str(trained["vae"])])
    inside = runs.load_checkpoint(tmp_path / "tuned")["model"]["features_extractor.encoder.head.weight"]
    assert inside.shape == before.shape and 0 < float((inside - before).abs().max()) < 0.02  # from where it was
    frozen = fit(tmp_path / "frozen", [*PPO, "--world-model", str(trained["vae"])])
    assert torch.equal(frozen.envs.envs.observer.encoder.head.weight, before)
    assert tuned.world_model is not None and torch.equal(tuned.world_model.encoder.head.weight, before)


def test_a_policy_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    request = read_agent_request([*COMMON, *PPO, "--world-model=factors"])
    trainer = AgentTrainer(request.options)
    with torch.no_grad():
        trainer.algorithm.policy.action_net.bias[0] = float("nan")
    with pytest.raises(
        NonFiniteLoss, match=r"the policy is not finite after 0 steps: 'action_net.bias'; no checkpoint"
    ):
        trainer.fit(tmp_path, Silent())


@pytest.mark.parametrize("name", ["envs", "optimizers", "random", "random.numpy", "counts"])
def test_a_checkpoint_that_lacks_something(tmp_path: Path, name: str) -> None:
    run = tmp_path / "run"
    fit(run, [*PPO, "--world-model=factors"])
    content = runs.load_checkpoint(run)
    *outer, last = name.split(".")
    del (content[outer[0]] if outer else content)[last]
    runs.save_checkpoint(run, content)
    with pytest.raises(RunError, match="cannot be continued"):
        fit(run, [])


def test_a_replay_buffer_that_is_missing(tmp_path: Path) -> None:
    run = tmp_path / "run"
    fit(run, [*DQN, "--world-model=factors"])
    (held,) = (run / "checkpoints").glob("replay-*")
    assert held.name == "replay-96.npz"
    held.unlink()
    with pytest.raises(RunError, match=r"replay-96.npz is damaged or missing"):
        fit(run, [])


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command line that is to fail at once; gives the line that says why."""

    def run(*arguments: str) -> str:
        logs = tmp_path / "logs"
        assert train.main([*COMMON, f"--log-dir={logs}", *arguments]) == 2
        said = capsys.readouterr()
        assert said.out == "" and said.err.count("\n") == 1 and "Traceback" not in said.err
        assert not logs.exists()
        return said.err.rstrip()

    return run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--agent=pp"],
            "unknown agent 'pp' (did you mean 'ppo'?); there are: a2c, dqn, dream-ppo, ppo, qrdqn, sac, td3",
        ),
        (
            [*PPO, "--env=equiworld/FlatLandGaol-v0"],
            "there is no environment 'equiworld/FlatLandGaol-v0' (did you mean",
        ),
        (
            [*PPO, "--env=CartPole-v1", "--env-options"],
            "the state of CartPole-v1 cannot be saved; the environments of equiworld are accepted",
        ),
        ([*PPO, "--world-model="], "--world-model is empty; pixels, factors and runs are accepted"),
        ([*PPO, "--env-options", "perod=3"], "perod"),
        ([*PPO, "--env-options", "period"], "--env-options takes KEY=VALUE pairs, got 'period'"),
        ([*PPO, "--n-step=3"], "unknown option --n-step for agent 'ppo' (did you mean n-steps?)"),
        ([*PPO, "--steps=0"], "--steps must be 1 or more, not 0"),
        ([*PPO, "--steps=15"], "--steps 15 is less than one rollout of 16 steps (--n-steps 8 in each of --num-envs 2)"),
        ([*DQN, "--steps=7"], "--steps 7 is less than one rollout of 8 steps (--train-freq 4 in each of --num-envs 2)"),
        ([*DQN, "--learning-starts=96"], "--learning-starts 96 leaves nothing of 96 steps to learn from"),
        ([*PPO, "--learning-rate=0"], "--learning-rate must be above 0, not 0.0"),
        ([*PPO, "--reward-scale=0"], "--reward-scale must be above 0, not 0.0"),
        ([*DQN, "--normalize-reward"], "unknown option --normalize-reward for agent 'dqn'"),
        ([*PPO, "--gamma=1.5"], "--gamma must be between 0 and 1, not 1.5"),
        ([*PPO, "--batch-size=0"], "--batch-size must be 1 or more, not 0"),
        (
            [*PPO, "--encoder=finetuned", "--world-model=VAE", "--stack=16"],
            "--stack makes 16 channels of images of 16x16",
        ),
        ([*PPO, "--batch-size=1"], "--batch-size must be 2 or more, as advantages are normalised"),
        ([*PPO, "--env-options", *SMALL[:-1], "max_episode_steps=-1"], "evaluation episodes need a limit of time"),
        ([*PPO, "--seed=-1"], "--seed must be 0 or more, not -1"),
        ([*PPO, "--stack=0"], "--stack must be 1 or more, not 0"),
        (
            ["--agent=sac"],
            "--agent sac cannot take the actions of equiworld/FlatLandGoal-v0, Discrete(4); accepted: a2c,",
        ),
        (
            ["--agent=dqn", "--env=equiworld/SpriteworldGoalFindingEmbodied-v0", "--env-options", "image_size=36"],
            "MultiDiscrete([2 4]); accepted: a2c, dream-ppo, ppo",
        ),
        (PPO, "NatureCNN takes images of 36x36 pixels or more, not 16x16; --world-model RUN or factors are accepted"),
        ([*PPO, "--world-model=factor"], "there is no such run (did you mean 'factors'?); pixels, factors and runs"),
        ([*PPO, "--encoder=finetuned"], "--encoder needs the run of a world model, not --world-model pixels"),
        (
            [*PPO, "--world-model=VAE", "--env-options", *SMALL[:3], "size=32"],
            "images of 16x16 with 1 channel (grey), and the env",
        ),
        (
            [*PPO, "--world-model=VAE", "--env-options", *SMALL, "channels=3"],
            "shows images of 16x16 with 3 channels",
        ),
        (
            [*PPO, "--world-model=VAE", "--encoder=finetuned", "--env-options", *SMALL[:3], "size=32"],
            "the world model takes images",
        ),
    ],
)
def test_wrong_usage_is_one_line_and_nothing_is_made(
    refused: Callable[..., str], trained: dict[str, Path], arguments: list[str], message: str
) -> None:
    assert message in refused(*(argument.replace("VAE", str(trained["vae"])) for argument in arguments))


def test_from_the_front_door(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = tmp_path / "logs"
    assert train.main([*COMMON, *PPO, "--world-model=factors", f"--log-dir={logs}"]) == 0
    said = capsys.readouterr()
    run = logs / "version_0"
    assert f"trained 96 steps in 0.0 minutes: {run}" in said.out and "tensorboard --logdir" in said.out
    assert "step 48: mean return " in said.err and ", success " in said.err
    assert {path.name for path in run.iterdir()} >= {"config.yaml", "environment.json", "checkpoints", "episodes.json"}
    assert "stable-baselines3" in json.loads((run / "environment.json").read_text())["versions"]
    assert train.main([f"--resume={run}", "--steps=128"]) == 0
    assert runs.load_checkpoint(run)["counters"]["num_timesteps"] == 128
    assert train.main([f"--resume={run}", "--gamma=0.5"]) == 2
    assert "cannot change gamma; it takes other values only of steps, device, threads" in capsys.readouterr().err
    assert train.main([f"--config={run / 'config.yaml'}", "--steps=32", "--seed=2"]) == 0
    config = yaml.safe_load((logs / "version_1" / "config.yaml").read_text())
    assert (config["agent"], config["steps"], config["seed"], config["n_steps"]) == ("ppo", 32, 2, 8)
    assert train.main(["--agent=ppo", "--help"]) == 0
    assert "--clip-range" in capsys.readouterr().out
    assert train.main(["--agent=ppo"]) == 2
    assert "--env is missing; of equiworld there are: equiworld/FlatLand-v0" in capsys.readouterr().err


def test_an_interruption_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = tmp_path / "logs"
    monkeypatch.setattr(train.Stop, "__call__", lambda stop: True)
    monkeypatch.setattr(train.Stop, "__enter__", lambda stop: setattr(stop, "signal", 2) or stop)
    assert train.main([*COMMON, *PPO, "--world-model=factors", f"--log-dir={logs}"]) == 130
    assert f"interrupted at step 0; continue with: python train.py --resume {logs}/version_0" in capsys.readouterr().err
    monkeypatch.undo()
    assert train.main([f"--resume={logs / 'version_0'}"]) == 0
    assert runs.load_checkpoint(logs / "version_0")["counters"]["num_timesteps"] == 96
