"""Dreams: a world model as a vector environment, against dynamics that are known."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from torch import Tensor, nn

from equiworld.agents.checkpoints import arrays, plain
from equiworld.agents.dream import DreamVectorEnv, check_dream_options, open_dreams, recorded_starts
from equiworld.agents.options import read_agent_request
from equiworld.agents.training import AgentTrainer, load_agent, play_episodes
from equiworld.agents.vec_env import SB3VecEnv
from equiworld.envs.registry import UsageError
from equiworld.world_models import runs
from equiworld.world_models.dynamics.actions import ActionCode
from equiworld.world_models.dynamics.base import Dynamics, Point, State
from equiworld.world_models.dynamics.model import DynamicsModel, DynamicsOptions


class Line(Dynamics):
    """Action a moves the first number of the code by a; the second remembers nothing. The reward is the place."""

    symlog = False

    def __init__(self, memory: int = 0, ends_beyond: float = 1e9) -> None:
        super().__init__(2, 3, memory, 4, torch.Generator().manual_seed(0))
        self.ends_beyond = ends_beyond

    def predict(self, state: State, actions: Tensor) -> tuple[Point, Tensor | None]:
        moved = state.latent.clone()
        moved[:, 0] += actions.argmax(1)
        memory = None if state.memory is None else state.memory + 1
        return Point(moved, self.scale), memory

    def judge(self, state: State, actions: Tensor, after: State) -> tuple[Tensor, Tensor]:
        place = after.latent[:, 0]
        return place, torch.where(place > self.ends_beyond, 1e9, -1e9)


class Plane(nn.Module):
    """A world model that shows the first number of a code as the brightness of a picture."""

    image_shape = (4, 5, 1)

    def __init__(self, bounds: tuple[float, float] = (-np.inf, np.inf)) -> None:
        super().__init__()
        self.latent = SimpleNamespace(size=2, bounds=bounds, features=lambda codes: codes)
        self.likelihood = SimpleNamespace(mean=lambda logits: logits / 10)

    def decoder(self, codes: Tensor) -> Tensor:
        return codes[:, :1, None, None].expand(-1, 1, 4, 5)


def world(dynamics: Dynamics, space: Any = None, **options: Any) -> DynamicsModel:
    code = ActionCode(spaces.Discrete(3) if space is None else space)
    return DynamicsModel(Plane(**options), dynamics, code, DynamicsOptions())  # type: ignore[arg-type]


STARTS = torch.tensor([[0.0, 5.0], [1.0, 6.0]])


def test_a_dream_does_what_the_dynamics_say() -> None:
    envs = DreamVectorEnv(world(Line()), STARTS, 4, horizon=3, seed=0)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    first, _ = envs.reset(seed=1)
    assert first.shape == (4, 2) and first.dtype == np.float32 and envs.observation_space.contains(first)
    assert set(map(tuple, first.tolist())) <= {(0.0, 5.0), (1.0, 6.0)}
    actions = np.array([0, 1, 2, 1])
    for step in (1, 2):
        seen, rewards, terminated, truncated, infos = envs.step(actions)
        np.testing.assert_array_equal(seen[:, 0], first[:, 0] + step * actions)
        np.testing.assert_array_equal(rewards, seen[:, 0])
        assert rewards.dtype == np.float64 and not terminated.any() and not truncated.any() and not infos
    kept = seen.copy()
    after, rewards, terminated, truncated, infos = envs.step(actions)
    assert truncated.all() and not terminated.any() and infos["_final_obs"].all()
    np.testing.assert_array_equal(np.stack(infos["final_obs"])[:, 0], first[:, 0] + 3 * actions)
    np.testing.assert_array_equal(rewards, first[:, 0] + 3 * actions)
    assert set(map(tuple, after.tolist())) <= {(0.0, 5.0), (1.0, 6.0)}
    np.testing.assert_array_equal(seen, kept)
    assert not envs.step(actions)[3].any()  # the next dreams have a horizon of their own


def test_only_dreams_that_end_begin_anew_and_remember_nothing() -> None:
    envs = DreamVectorEnv(world(Line(memory=3, ends_beyond=2.5)), STARTS[:1], 3, horizon=9, seed=0)
    envs.reset()
    envs.step(np.array([0, 1, 2]))
    seen, rewards, terminated, truncated, infos = envs.step(np.array([0, 1, 2]))
    assert terminated.tolist() == [False, False, True] and not truncated.any()
    assert seen[:, 0].tolist() == [0, 2, 0] and rewards.tolist() == [0, 2, 4]
    assert infos["_final_obs"].tolist() == [False, False, True] and infos["final_obs"][2][0] == 4
    assert infos["final_obs"][0] is None
    assert envs.state is not None and envs.state.memory is not None
    assert envs.state.memory[:, 0].tolist() == [2, 2, 0]
    assert envs._steps.tolist() == [2, 2, 0]


def test_ends_come_as_often_as_the_model_says() -> None:
    class Often(Line):
        def judge(self, state: State, actions: Tensor, after: State) -> tuple[Tensor, Tensor]:
            return after.latent[:, 0], torch.full((len(after),), float(np.log(0.2 / 0.8)))

    envs = DreamVectorEnv(world(Often()), STARTS, 20_000, seed=3)
    envs.reset()
    ended = envs.step(np.zeros(20_000, dtype=np.int64))[2]
    assert abs(ended.mean() - 0.2) < 4 * np.sqrt(0.2 * 0.8 / 20_000)
    likeliest = DreamVectorEnv(world(Often()), STARTS, 100, seed=3, temperature=0)
    likeliest.reset()
    assert not likeliest.step(np.zeros(100, dtype=np.int64))[2].any()


def test_starts_are_drawn_uniformly() -> None:
    envs = DreamVectorEnv(world(Line()), STARTS, 10_000)
    share = (envs.reset(seed=0)[0][:, 0] == 1).mean()
    assert abs(share - 0.5) < 4 * 0.5 / 100


def test_the_same_seed_gives_the_same_dreams_and_a_state_goes_on() -> None:
    def play(envs: DreamVectorEnv, steps: int) -> list[Any]:
        return [envs.step(np.arange(6) % 3)[:4] for _ in range(steps)]

    model = world(Line(memory=2, ends_beyond=6.0))
    envs, again = (DreamVectorEnv(model, STARTS, 6, horizon=5) for _ in range(2))
    torch.manual_seed(0)
    envs.reset(seed=4)
    first = play(envs, 7)
    torch.manual_seed(1)  # the global state has no say
    again.reset(seed=4)
    np.testing.assert_equal(play(again, 7), first)
    state = arrays(plain(envs.get_state()))  # as a checkpoint holds it
    after = play(envs, 7)
    fresh = DreamVectorEnv(model, STARTS, 6, horizon=5, seed=9)
    seen, _ = fresh.set_state(state)
    np.testing.assert_array_equal(seen, first[-1][0])
    np.testing.assert_equal(play(fresh, 7), after)
    with pytest.raises(UsageError, match="of other dreams"):
        DreamVectorEnv(model, STARTS, 5).set_state(state)
    with pytest.raises(UsageError, match="this is something else"):
        fresh.set_state({"latent": 1})


def test_tensors_in_and_out() -> None:
    envs = DreamVectorEnv(world(Line()), STARTS, 2, horizon=1, tensors=True)
    seen, _ = envs.reset()
    assert isinstance(seen, Tensor)
    after, rewards, terminated, truncated, infos = envs.step(torch.tensor([2, 1]))
    assert all(isinstance(each, Tensor) for each in (after, rewards, terminated, truncated))
    assert truncated.all() and torch.equal(infos["final_obs"][:, 0], seen[:, 0] + torch.tensor([2, 1]))


def test_pictures_are_decoded() -> None:
    envs = DreamVectorEnv(world(Line()), STARTS, 2, render_mode="rgb_array")
    seen, _ = envs.reset()
    shown = envs.render()
    assert len(shown) == 2 and shown[0].shape == (4, 5, 3) and shown[0].dtype == np.uint8
    assert [int(each[0, 0, 2]) for each in shown] == np.round(seen[:, 0] / 10 * 255).astype(int).tolist()


def test_codes_are_shown_within_the_bounds_of_their_space() -> None:
    envs = DreamVectorEnv(world(Line(), bounds=(0.0, 2.0)), STARTS.clamp(max=2), 2, horizon=9)
    assert float(envs.single_observation_space.high[0]) == 2
    envs.reset()
    envs.step(np.array([2, 2]))
    seen = envs.step(np.array([2, 2]))[0]
    assert seen[:, 0].tolist() == [2, 2] and envs.observation_space.contains(seen)


def test_as_stable_baselines3_has_it() -> None:
    envs = SB3VecEnv(DreamVectorEnv(world(Line()), STARTS[:1], 2, horizon=2))
    envs.seed(0)
    envs.reset()
    envs.step(np.array([1, 2]))
    seen, _, dones, infos = envs.step(np.array([1, 2]))
    assert dones.all() and seen[:, 0].tolist() == [0, 0]
    assert [info["terminal_observation"][0] for info in infos] == [2, 4]
    assert [info["TimeLimit.truncated"] for info in infos] == [True, True]
    assert [(info["episode"]["r"], info["episode"]["l"]) for info in infos] == [(3, 2), (6, 2)]


def test_other_action_spaces() -> None:
    many = DreamVectorEnv(world(Line(), spaces.MultiDiscrete([2, 1])), STARTS, 2)
    box = DreamVectorEnv(world(Line(), spaces.Box(-1, 1, (3,))), STARTS, 2)
    for envs, actions, moves in (
        (many, np.array([[0, 0], [1, 0]]), [0, 1]),  # one number for each value: the first 1 says how far
        (box, np.array([[0, 1, 0], [0, 0, 1]], dtype=np.float32), [1, 2]),  # as they are: the largest does
    ):
        before = np.array(envs.reset(seed=0)[0])
        after, rewards, *_ = envs.step(actions)
        assert (after[:, 0] - before[:, 0]).tolist() == moves
        assert rewards.tolist() == after[:, 0].tolist()


def test_what_is_refused() -> None:
    model = world(Line())
    for options, message in (
        ({"horizon": 0}, "horizon of dreams must be a whole number of steps, 1 or more, not 0"),
        ({"temperature": -1.0}, "temperature of dreams must be a number, 0 or more, not -1.0"),
        ({"render_mode": "human"}, "no render mode 'human'"),
    ):
        with pytest.raises(UsageError, match=message):
            DreamVectorEnv(model, STARTS, 2, **options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"begin at codes \[S, 2\]"):
        DreamVectorEnv(model, torch.zeros(3, 4), 2)
    envs = DreamVectorEnv(model, STARTS, 2)
    with pytest.raises(UsageError, match="must be reset before its first step"):
        envs.step(np.zeros(2, dtype=np.int64))
    envs.reset()
    with pytest.raises(UsageError, match="one for each is needed"):
        envs.step(np.zeros(3, dtype=np.int64))
    with pytest.raises(UsageError, match="which the ones given are not"):
        envs.step(np.array([0, 3]))
    with pytest.raises(UsageError, match="no reset options, got radius"):
        envs.reset(options={"radius": 1})
    with pytest.raises(UsageError, match=r"no option 'horizn', did you mean|no option 'horizn'.*horizon"):
        check_dream_options({"horizn": 3})


def test_dreams_of_a_run_begin_at_the_codes_of_recorded_states(dreamer: Path, trained: dict[str, Path]) -> None:
    dreams = open_dreams(dreamer)
    assert (dreams.env_id, dreams.env_options["period"]) == ("equiworld/FlatLand-v0", 7)
    data, episodes = dreams.assembly.recorded, dreams.assembly.episodes.train
    first = recorded_starts(dreams.assembly, "first")
    rows = data.rollouts.offsets[episodes]
    wanted = dreams.model.encode(data.images(data.states[rows]))
    torch.testing.assert_close(first, wanted, atol=1e-6, rtol=1e-5)
    steps = int((data.rollouts.lengths[episodes] - 1).sum())
    assert len(recorded_starts(dreams.assembly)) == steps
    assert len(recorded_starts(dreams.assembly, most=10)) == 10
    envs = dreams.envs(3, horizon=2, starts="first")
    seen, _ = envs.reset(seed=0)
    assert all((torch.from_numpy(row) == first).all(1).any() for row in seen)
    with pytest.raises(UsageError, match="not at 'last'"):
        dreams.envs(3, starts="last")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="has no dynamics to dream with"):
        open_dreams(trained["vae"])


class Silent:
    def start(self, total: int, done: int) -> None: ...

    def update(self, done: int, mean_return: float | None, steps_per_second: float) -> None: ...

    def note(self, line: str) -> None: ...


PPO = ["--agent=ppo", "--env=dream", "--n-steps=8", "--batch-size=8", "--n-epochs=1", "--num-envs=2", "--net-arch", "8"]


def fit(run: Path, arguments: list[str], stop_at: int | None = None) -> dict[str, Any]:
    """Trains in ``run``, which is continued if it is there; the checkpoint."""
    begun = run.exists()
    request = read_agent_request([f"--resume={run}"] if begun else arguments)
    if not begun:
        run.mkdir()
        runs.write_config(run, request.options.flat())
    trainer = AgentTrainer(request.options, request.resume)
    trainer.fit(run, Silent(), lambda: stop_at is not None and trainer.steps >= stop_at)
    trainer.close()
    return runs.load_checkpoint(run)


def test_agents_train_in_dreams_and_are_evaluated_where_these_were_recorded(dreamer: Path, tmp_path: Path) -> None:
    arguments = [*PPO, f"--world-model={dreamer}", "--steps=48", "--eval-episodes=2", "--stack=2"]
    arguments += ["--env-options", "horizon=5", "temperature=0.5"]
    whole = fit(tmp_path / "whole", arguments)
    fit(tmp_path / "parts", arguments, stop_at=16)
    parts = fit(tmp_path / "parts", [])
    for name in ("model", "tensors"):
        assert all(torch.equal(value, parts[name][key]) for key, value in whole[name].items())
    np.testing.assert_equal(arrays(whole["envs"]), arrays(parts["envs"]))
    for part in (whole, parts):
        assert {info["l"] for info in part["episodes"]["infos"]} <= {1, 2, 3, 4, 5}
    episodes = json.loads((tmp_path / "whole" / "episodes.json").read_text())
    assert [episode["length"] for episode in episodes] == [15, 15]  # of the environment, not of the dream
    agent = load_agent(tmp_path / "whole")
    last = [{"step": 48, **episode} for episode in play_episodes(agent.algorithm, agent.envs)]
    assert last == episodes


def test_a_replay_of_dreams(dreamer: Path, tmp_path: Path) -> None:
    own = ["--agent=dqn", "--env=dream", "--learning-starts=10", "--buffer-size=60", "--steps=40", "--num-envs=2"]
    assert (
        fit(tmp_path / "run", [*own, f"--world-model={dreamer}", "--eval-episodes=0"])["counters"]["num_timesteps"]
        == 40
    )


def test_dreams_that_there_cannot_be(dreamer: Path, trained: dict[str, Path]) -> None:
    named = f"--world-model={dreamer}"
    for arguments, message in (
        ([], "--env dream needs a run of train.py --model=dynamics: --world-model RUN is missing"),
        ([named, "--encoder=finetuned"], "--encoder is not read with --env dream"),
        ([f"--world-model={trained['vae']}"], "has no dynamics to dream with"),
        ([named, "--env-options", "horizon=0"], "horizon of dreams must be"),
        ([named, "--env-options", "length=3"], "--env dream has no option 'length'"),
        ([named, "--env-options", "starts=last"], "not at 'last'"),
        ([f"--world-model={dreamer}x"], "there is no such run"),
    ):
        with pytest.raises(UsageError, match=message):
            AgentTrainer(read_agent_request([*PPO, "--steps=16", *arguments]).options)
    with pytest.raises(UsageError, match="--agent sac cannot take the actions of dream"):
        AgentTrainer(read_agent_request(["--agent=sac", "--env=dream", named, "--steps=200"]).options)
