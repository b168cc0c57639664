"""Agents' runs measured: against known play, put together by kind, beside their world models, and on a page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import yaml
from PIL import Image
from scipy import stats

from equiworld import evaluate, train
from equiworld.agents.options import options_of_agent
from equiworld.agents.training import EVALUATION_SEED
from equiworld.datasets.rollouts import Plan, collect
from equiworld.envs import GoalTask, UsageError
from equiworld.envs.flatland import FlatLand
from equiworld.envs.tasks import shortest_steps
from equiworld.reporting import agent_kinds, agents
from equiworld.reporting.agents import Asked, Baseline, Reference, results_of
from equiworld.world_models import runs
from equiworld.world_models.runs import RunError

SMALL = {"period": 7, "stride": 2, "radius": 3, "size": 16, "tolerance": 0}
OPTIONS = ["period=7", "stride=2", "radius=3", "size=16", "tolerance=0", "max_episode_steps=12"]
COMMON = [
    "--agent=ppo",
    "--env=equiworld/FlatLandGoal-v0",
    "--num-envs=2",
    "--n-steps=8",
    "--batch-size=8",
    "--n-epochs=1",
    "--steps=48",
    "--net-arch=8",
    "--eval-every=16",
    "--eval-episodes=3",
]


@pytest.fixture(scope="session")
def played(trained: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs of agents, by name; to be copied before anything is written."""
    logs = tmp_path_factory.mktemp("agents")
    wanted = {
        "factors-0": ["--world-model=factors", "--env-options", *OPTIONS],
        "factors-1": ["--world-model=factors", "--seed=1", "--env-options", *OPTIONS],
        "vae": [f"--world-model={trained['vae']}", "--env-options", *OPTIONS],
        "rgrvae": [f"--world-model={trained['rgrvae']}", "--seed=2", "--env-options", *OPTIONS],
        "slower": ["--world-model=factors", "--seed=3", "--learning-rate=0.1", "--env-options", *OPTIONS],
        "elsewhere": ["--world-model=factors", "--env-options", *OPTIONS[:4], "tolerance=1"],
        "unevaluated": ["--world-model=factors", "--eval-episodes=0", "--env=equiworld/FlatLandWalls-v0"],
    }
    found = {}
    for number, (name, arguments) in enumerate(wanted.items()):
        assert train.main([*COMMON, f"--log-dir={logs}", *arguments]) == 0
        found[name] = logs / f"version_{number}"
    return found


@pytest.fixture
def copied(played: dict[str, Path], tmp_path: Path) -> Callable[..., list[Path]]:
    """Copies of runs by name, which may be written to."""

    def copy(*names: str) -> list[Path]:
        return [Path(shutil.copytree(played[name], tmp_path / name)) for name in names]

    return copy


def held(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "metrics.json").read_text())
    return content


def test_a_run_is_measured_over_episodes_on_fixed_seeds(copied: Callable[..., list[Path]]) -> None:
    (run,) = copied("factors-0")
    (found,) = agents.evaluate_agents([run], Asked(8))
    assert [episode["seed"] for episode in found.episodes] == [EVALUATION_SEED + number for number in range(8)]
    report = held(run)
    assert (report["agent"], report["observation"], report["env"]) == ("ppo", "factors", "equiworld/FlatLandGoal-v0")
    assert (report["seed"], report["steps"], report["episodes"]) == (0, 48, 8)
    values = report["values"]
    (result,) = [each for each in report["results"] if each["name"] == "return"]
    returns = result["details"]["episodes"]["return"]
    assert values["return.mean"] == pytest.approx(np.mean(returns)) == found.score
    assert values["return.median"] == np.median(returns)
    assert values["return.iqm"] == pytest.approx(stats.trim_mean(returns, 0.25))
    # Of a sparse reward the return is whether the goal was reached.
    assert values["success.rate"] == values["return.mean"]
    # The episodes of the last evaluation while it was trained are the first of these.
    last = [each for each in json.loads((run / "episodes.json").read_text()) if each["step"] == 48]
    assert last == [{"step": 48, **episode} for episode in found.episodes[:3]]
    before = (run / "metrics.json").read_bytes()
    agents.evaluate_agents([run], Asked(8))
    assert (run / "metrics.json").read_bytes() == before
    agents.evaluate_agents([run], Asked(8, first_seed=5))
    assert held(run)["first_seed"] == 5


def test_random_play_and_shortest_paths_are_the_ends_of_the_scale(copied: Callable[..., list[Path]]) -> None:
    (run,) = copied("factors-0")
    options, asked = options_of_agent(run), Asked(40, 7)
    against = agents.baseline(options, asked)
    env = gym.make("equiworld/FlatLandGoal-v0", **SMALL)
    infos = [env.reset(seed=7 + number)[1] for number in range(40)]
    world = FlatLand(period=7, stride=2, radius=3, size=16)
    starts, goals = (np.stack([info[name] for info in infos]) for name in ("factors", "goal"))
    steps = shortest_steps(world, GoalTask(), starts, goals)
    assert against.shortest is not None and np.array_equal(against.shortest, steps)
    assert against.best == 1.0  # at most 3 + 3 steps, and there are 12
    reached = np.mean([each["success"] for each in against.random])
    assert 0 < reached < 1
    assert against.reference is not None
    assert (against.reference.random, against.reference.reference) == (pytest.approx(reached), 1.0)
    again = agents.baseline(options, asked)
    assert again.random == against.random
    assert agents.baseline(options, Asked(40, 8)).random != against.random


def test_a_goal_that_is_too_far_cannot_be_reached_by_anybody(copied: Callable[..., list[Path]]) -> None:
    (run,) = copied("factors-0")
    options = options_of_agent(run)
    options.run.env_options = (*OPTIONS[:5], "max_episode_steps=3")
    against = agents.baseline(options, Asked(30))
    assert against.shortest is not None and against.best == np.mean(against.shortest <= 3) < 1
    options.run.env_options = (*OPTIONS, 'reward="dense"')
    assert agents.baseline(options, Asked(3)).best is None


def test_published_returns_hold_for_the_game_as_it_is_by_default(copied: Callable[..., list[Path]]) -> None:
    (run,) = copied("factors-0")
    options = options_of_agent(run)
    options.env_id = "ale:equiworld/Breakout-v0"
    options.run.env_options = ("max_episode_steps=4", "image_size=36")
    assert agents.find_reference(options, 1.0, None) is None
    options.run.env_options = ("image_size=36",)
    known = agents.find_reference(options, 1.0, None)
    assert known is not None and (known.random, known.reference) == (1.7, 30.5)
    episodes = [{"seed": 1, "return": 30.5, "length": 3, "success": None}]
    found = {each.name: each for each in results_of(episodes, Baseline(episodes, None, None, known))}
    assert found["normalised"].values == {"return": 1.0} and "Wang" in found["normalised"].details["source"]
    assert found["success"].values == {"rate": None} and found["success"].reason == "the environment does not tell"
    assert found["return"].ceiling == {}


def test_what_episodes_come_to() -> None:
    def episodes(returns: list[float], lengths: list[int]) -> list[dict[str, Any]]:
        pairs = zip(returns, lengths, strict=True)
        return [{"seed": 0, "return": won, "length": long, "success": won == 1} for won, long in pairs]

    against = Baseline(episodes([0, 0, 0, 1], [9] * 4), np.array([2, 3, 1, 4]), 1.0, Reference(0.25, 1.0, "here"))
    found = {each.name: each for each in results_of(episodes([1, 1, 0, 1], [3, 3, 9, 4]), against, ([1, 2], [0.5, 0]))}
    assert found["return"].values["mean"] == 0.75 and found["return"].chance["mean"] == 0.25
    assert found["normalised"].values["return"] == pytest.approx(0.5 / 0.75)
    # Of those that were reached: 10 steps, where 9 would have done.
    assert found["length"].values == {"mean": 4.75, "over_shortest": pytest.approx(1 / 9)}
    assert found["length"].ceiling == {"mean": 2.5, "over_shortest": 0.0}
    assert found["learning"].values == {"mean": 0.25, "best": 0.5, "last": 0.0}


def test_runs_are_put_together_by_kind(copied: Callable[..., list[Path]]) -> None:
    paths = copied("factors-0", "factors-1", "slower", "vae")
    found = agents.evaluate_agents(paths, Asked(6), ["reconstruction"])
    groups = {kind.label: kind for kind in agent_kinds.kinds(found)}
    rates = ("ppo on factors (learning_rate 0.0003)", "ppo on factors (learning_rate 0.1)")
    assert list(groups) == [*rates, "ppo on latents of vae"]
    both = groups[rates[0]]
    scores = [each.score for each in both.runs]
    assert len(scores) == 2 and both.returns["mean"].value == pytest.approx(np.mean(scores))
    low, high = both.returns["iqm"].low, both.returns["iqm"].high
    assert low is not None and high is not None and low <= both.returns["iqm"].value <= high
    assert low >= min(scores) and high <= max(scores)
    assert groups[rates[1]].returns["iqm"].low is None
    curve = both.efficiency
    assert curve is not None and curve.places.tolist() == [16, 32, 48]
    means = np.array([each.evaluations[1] for each in both.runs])
    assert curve.value == pytest.approx(means.mean(0))
    known = both.runs[0].reference
    assert both.normalised is not None and known is not None
    scaled = (np.mean(scores) - known.random) / (known.reference - known.random)
    assert both.normalised["mean"].value == pytest.approx(scaled)


def test_world_models_stand_beside_their_agents(copied: Callable[..., list[Path]], trained: dict[str, Path]) -> None:
    paths = copied("vae", "rgrvae", "factors-0")
    found = agents.evaluate_agents(paths, Asked(2), ["mig", "reconstruction"])
    assert found[2].world is None
    for each in found[:2]:
        assert each.world is not None and set(each.world) >= {"mig", "reconstruction"}
        model = held(each.measured.path / "world_model")
        assert model["values"]["mig.mig"] == each.world["mig"]
    header, rows = agent_kinds.world_rows(found, ["a", "b", "c"])
    assert {"mig", "reconstruction"} <= set(header)
    assert rows[2][header.index("mig")] == "-" and len(rows) == 3


def test_correlations_are_of_agents_that_are_alike_and_of_several_world_models() -> None:
    def fake(score: float, mig: float, agent: str = "ppo", encoder: str = "frozen", model: str | None = None) -> Any:
        measured = SimpleNamespace(options={"encoder": encoder})
        world = {"mig": mig, "same": 1.0}
        return SimpleNamespace(
            score=score, world=world, world_sha256=model or str(mig), agent=agent, steps=48, measured=measured
        )

    fakes = [fake(1, 0.1), fake(4, 0.2), fake(2, 0.3), fake(9, 0.9)]
    others = [fake(100, 0.0, agent="dqn"), fake(200, 0.05, encoder="finetuned")]
    (related,) = agent_kinds.correlations([*fakes, *others])
    assert related.values == {"mig": pytest.approx(0.8)}
    assert related.basis == "ppo: 4 runs, 4 models"
    longer = [SimpleNamespace(**vars(each) | {"steps": 96}) for each in fakes]
    both: list[Any] = [*fakes, *longer]
    assert [each.agent for each in agent_kinds.correlations(both)] == ["ppo, 48 steps", "ppo, 96 steps"]
    assert agent_kinds.correlations(fakes[:2]) == []
    assert agent_kinds.correlations([fake(1, 0.1, model="a"), fake(4, 0.2, model="b"), fake(2, 0.1, model="a")]) == []


def test_agents_that_learnt_in_dreams_are_measured_where_these_were_recorded(
    copied: Callable[..., list[Path]], trained: dict[str, Path], tmp_path: Path
) -> None:
    limited = {**SMALL, "max_episode_steps": 12}
    collect(Plan("equiworld/FlatLandGoal-v0", seed=0, env_options=limited), 200, tmp_path / "torus.h5", num_envs=4)
    front = ["--model=dynamics", f"--base-model-path={trained['vae']}", f"--dataset={tmp_path / 'torus.h5'}"]
    sizes = ["--epochs=1", "--window=4", "--batch-size=40", "--hidden-width=16", "--memory=8", "--no-evaluate"]
    assert train.main([*front, *sizes, f"--log-dir={tmp_path}"]) == 0
    dreams = ["--env=dream", f"--world-model={tmp_path / 'version_0'}", "--env-options", "horizon=5"]
    assert train.main([*COMMON, f"--log-dir={tmp_path}", *dreams]) == 0
    run, (real,) = tmp_path / "version_1", copied("factors-0")
    found = agents.evaluate_agents([run, real], Asked(3, videos=1), ["reconstruction"])
    assert [each.measured.kind for each in found] == ["ppo on latents of dynamics, in dreams", "ppo on factors"]
    assert [each.measured.options["env"] for each in found] == ["equiworld/FlatLandGoal-v0"] * 2
    assert held(run)["env"] == "equiworld/FlatLandGoal-v0" and "tolerance=0" in held(run)["env_options"]
    assert found[0].options["dreams' horizon"] == 5 and found[0].reference == found[1].reference
    last = [each for each in json.loads((run / "episodes.json").read_text()) if each["step"] == 48]
    assert last == [{"step": 48, **episode} for episode in found[0].episodes]
    note, recording = run / "world_model" / "recorded.json", (tmp_path / "torus.h5").read_bytes()
    kept = note.read_bytes()
    note.unlink()  # as runs of earlier versions are
    (tmp_path / "torus.h5").unlink()
    with pytest.raises(UsageError, match=r"version_1 does not say where its dreams were recorded, and needs the rec"):
        agents.check_agents([run])
    (tmp_path / "torus.h5").write_bytes(recording)
    assert train.main([f"--resume={run}", "--steps=64"]) == 0 and note.read_bytes() == kept
    found = agents.evaluate_agents([run], Asked(3), ["reconstruction"])
    (tmp_path / "torus.h5").unlink()  # nobody asks for the recording any more
    shutil.rmtree(tmp_path / "version_0")
    assert agents.evaluate_agents([run], Asked(3), ["reconstruction"])[0].episodes == found[0].episodes
    (run / "world_model" / "recorded.json").write_text("{}")
    with pytest.raises(RunError, match=r"recorded\.json is damaged: 'env'"):
        agents.check_agents([run])


def test_where_a_recording_lies_makes_no_kind(copied: Callable[..., list[Path]]) -> None:
    (run,) = copied("vae")
    world, known = run / "world_model", {}
    config = runs.read_config(world)
    for place in ("/a/recording.h5", "/b/recording.h5", "/b/longer.h5"):
        runs.write_config(world, config | {"dataset": place})
        observation, known[place] = agents.seen(run, options_of_agent(run))
        assert observation == "latents of vae"
    first, second, third = known.values()
    assert first == second != third


def test_runs_of_dream_ppo_are_of_one_kind(tmp_path: Path) -> None:
    small = ["--agent=dream-ppo", *COMMON[1:2], "--num-envs=3", "--steps=64", "--rounds=2", "--eval-episodes=0"]
    small += ["--net-arch=8", "--dreams=2", "--dream-steps=16", "--n-steps=8", "--batch-size=16", "--n-epochs=1"]
    small += ["--latents=3", "--vae-epochs=1", "--dynamics-epochs=1", "--env-options", *OPTIONS]
    assert train.main([*small, f"--log-dir={tmp_path}"]) == 0
    run = tmp_path / "version_0"
    other = Path(shutil.copytree(run, tmp_path / "other"))
    config = yaml.safe_load((other / "world_model" / "config.yaml").read_text())
    config["dataset"] = str(other / "rollouts")  # each has recordings of its own
    (other / "world_model" / "config.yaml").write_text(yaml.safe_dump(config))
    found = agents.evaluate_agents([run, other], Asked(2), ["reconstruction"])
    (kind,) = agent_kinds.kinds(found)
    assert kind.label == "dream-ppo on latents of dynamics" and [each.steps for each in kind.runs] == [60, 60]
    # What it recorded may be gone: the agent is measured all the same.
    shutil.rmtree(other / "rollouts")
    said: list[object] = []
    assert agents.world_scores(other / "world_model", Path("pixels"), ["mig"], said.append) == {} and len(said) == 1
    assert str(said[0]).startswith(f"mig of {other / 'world_model'} cannot be measured: there is no rollout file")


def test_what_is_known_of_a_world_model_is_not_measured_again(
    copied: Callable[..., list[Path]], trained: dict[str, Path], tmp_path: Path
) -> None:
    (run,) = copied("vae")
    source = Path(shutil.copytree(trained["vae"], tmp_path / "source"))
    digest = agents.digest(run / "world_model" / runs.CHECKPOINT)
    result = {"name": "mig", "values": {"mig": 0.125}}
    (source / "metrics.json").write_text(json.dumps({"sha256": digest, "results": [result]}))
    assert agents.world_scores(run / "world_model", source, ["mig"]) == {"mig": 0.125}
    (source / "metrics.json").write_text(json.dumps({"sha256": "other", "results": [result]}))
    again = agents.world_scores(run / "world_model", source / runs.CHECKPOINT, ["mig"])
    assert again["mig"] is not None and again["mig"] != 0.125


def test_an_episode_is_filmed_to_its_end(copied: Callable[..., list[Path]], monkeypatch: pytest.MonkeyPatch) -> None:
    (run,) = copied("factors-0")
    (found,) = agents.evaluate_agents([run], Asked(3, videos=2))
    assert [path.name for path in found.videos] == [f"episode_{EVALUATION_SEED + number}.gif" for number in (0, 1)]
    with Image.open(found.videos[0]) as picture:
        assert picture.size == (128, 128)
    envs = agents.make_envs("equiworld/FlatLandGoal-v0", SMALL, 2)
    film = agents.Film(envs, 1)
    first, infos = film.reset(seed=3, options={"factors": [[0, 0], [0, 0]], "goal": [[4, 0], [2, 2]]})
    taken = [first[0].copy()]
    film.step(np.array([3, 3]))
    _, _, terminated, _, infos = film.step(np.array([3, 3]))
    assert terminated.tolist() == [True, False]
    film.step(np.array([3, 3]))
    (reel,) = film.reels
    assert len(reel) == 3 and reel[0].shape == (16, 16, 3)
    assert np.array_equal(reel[0][..., :1], taken[0])
    assert np.array_equal(reel[-1][..., :1], infos["final_obs"][0])
    monkeypatch.setattr(agents, "FRAMES", 2)
    film.reset(seed=3)
    film.step(np.array([0, 0]))
    film.step(np.array([0, 0]))
    assert len(film.reels[0]) == 2


def test_the_page_and_the_tables(
    copied: Callable[..., list[Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = copied("factors-0", "factors-1", "vae", "rgrvae")
    asked = ["--episodes=4", "--videos=1", "--report", "--metrics", "reconstruction"]
    assert evaluate.main([*map(str, paths), *asked]) == 0
    out = capsys.readouterr().out
    assert "ppo on factors" in out and "ppo on latents of rgrvae" in out and "agents and world models" in out
    text = (tmp_path / "report.html").read_text()
    for anchor in ("kinds", "efficiency", "worlds", "scores", "videos", "training", "configuration"):
        assert f'<section id="{anchor}">' in text
    assert text.count("data:image/gif;base64,") == 4 and 'class="band s0"' in text
    assert "reconstruction of the world model, return of the agent" in text
    content = json.loads((tmp_path / "report.json").read_text())
    assert set(content["kinds"]) == {"ppo on factors", "ppo on latents of vae", "ppo on latents of rgrvae"}
    assert len(content["kinds"]["ppo on factors"]["scores"]) == 2
    assert evaluate.main([str(paths[0] / runs.CHECKPOINT), "--episodes=2", "--report"]) == 0
    assert "ppo on factors in equiworld/FlatLandGoal-v0" in (paths[0] / "report.html").read_text()


def test_a_run_without_evaluations_or_references(copied: Callable[..., list[Path]]) -> None:
    (run,) = copied("unevaluated")
    (found,) = agents.evaluate_agents([run], Asked(2))
    missing = held(run)["missing"]
    assert missing["learning"] == "the run was not evaluated while it was trained (--eval-episodes 0)"
    assert missing["normalised"].startswith("there are no returns to normalise by")
    (kind,) = agent_kinds.kinds([found])
    assert kind.efficiency is None and kind.normalised is None and kind.success is None


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command line that is to fail; gives the line that says why."""

    def run(*arguments: Any) -> str:
        assert evaluate.main([str(argument) for argument in arguments]) in (1, 2)
        said = capsys.readouterr()
        assert said.out == "" and said.err.count("\n") == 1 and "Traceback" not in said.err
        return said.err.rstrip()

    return run


def test_wrong_usage_is_one_line(
    refused: Callable[..., str],
    played: dict[str, Path],
    copied: Callable[..., list[Path]],
    trained: dict[str, Path],
    tmp_path: Path,
) -> None:
    run, model = played["factors-0"], trained["vae"]
    np.savez(tmp_path / "codes.npz", factors=np.zeros((4, 1)), codes=np.zeros((4, 1)))
    assert "codes.npz is a file of codes: it cannot be compared with runs" in refused(run, tmp_path / "codes.npz")
    line = f"{model} is the run of a world model: it cannot be compared with runs of agents"
    assert line in refused(run, model) and line in refused(model, run)
    said = refused(run, model / runs.CHECKPOINT)
    assert f"{model / runs.CHECKPOINT} is the run of a world model: it cannot be compared with runs of agents" in said
    said = refused(run, played["elsewhere"])
    assert "plays equiworld/FlatLandGoal-v0 with max_episode_steps=12 period=7" in said and "tolerance=1" in said
    assert said.endswith("returns in different environments cannot be put together")
    (endless,) = copied("factors-0")
    config = runs.read_config(endless, "agent")
    runs.write_config(endless, config | {"env_options": [*config["env_options"], "max_episode_steps=-1"]})
    assert "plays without a limit of time, and its episodes need not end" in refused(endless)
    assert "plays equiworld/FlatLandWalls-v0: returns" in refused(run, played["unevaluated"])
    assert "--episodes must be 1 or more, not 0" in refused(run, "--episodes=0")
    assert "--episode-seed must be 0 or more, not -1" in refused(run, "--episode-seed=-1")
    assert "--videos must be from 0 to the number of --episodes, 2, not 3" in refused(run, "--episodes=2", "--videos=3")
    for flag in ("--figures", "--reference", "--iwae=5"):
        assert "needs the run of a world model" in refused(run, flag)
    assert "--episodes needs the run of an agent" in refused(model, "--episodes=5")
    assert "none of these sees through one" in refused(run, "--metrics", "mig")
    assert "is not a run directory" in refused(run, tmp_path / "nothing")
    assert not (run / "metrics.json").exists() and not (run / "videos").exists()


def test_damaged_runs(refused: Callable[..., str], copied: Callable[..., list[Path]]) -> None:
    run, other = copied("factors-0", "factors-1")
    (run / "episodes.json").write_text("[{}]")
    assert "episodes.json is damaged: " in refused(run, "--episodes=2")
    (other / runs.CHECKPOINT).unlink()
    assert "holds no checkpoint" in refused(other)
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["agent"] = "nobody"
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(RunError, match="not known here"):
        agents.check_agents([run])
    with pytest.raises(UsageError, match="holds no checkpoint"):
        agents.check_agents([other])
