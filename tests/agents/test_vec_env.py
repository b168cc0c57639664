"""stable-baselines3's view of vector environments: the same as its own loop with Monitor around each copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecMonitor

from equiworld.agents.latent import LatentEnv
from equiworld.agents.observers import Factors, Latents
from equiworld.agents.vec_env import LatentVecEnv, SB3VecEnv, success
from equiworld.envs import UsageError
from equiworld.world_models.assembly import Assembly


@pytest.fixture(scope="module")
def model(tiny: Callable[..., Assembly]) -> Any:
    return tiny("vae", architecture="forward", latents=4).model.eval()


def begin_alike(ours: VecEnv, theirs: VecEnv) -> None:
    """Seeds and resets both: spaces and first observations are the same."""
    assert ours.observation_space == theirs.observation_space and ours.action_space == theirs.action_space
    first: list[Any] = []
    for envs in (ours, theirs):
        envs.seed(7)
        first.append(envs.reset())
    np.testing.assert_allclose(*first, atol=1e-5)


@pytest.mark.parametrize("stack", [1, 2])
def test_it_equals_the_loop_of_stable_baselines3(
    model: Any, small: dict[str, Any], goal_envs: Callable[..., Any], stack: int
) -> None:
    def scalar() -> gym.Env:
        env = gym.make("equiworld/FlatLandGoal-v0", **small)
        return Monitor(LatentEnv(env, Latents(model, env.observation_space), stack))

    inner = goal_envs(3)
    ours = SB3VecEnv(inner, Latents(model, inner.single_observation_space), stack)
    theirs = DummyVecEnv([scalar] * 3)
    begin_alike(ours, theirs)
    ends = 0
    for action in np.random.default_rng(0).integers(0, 4, (30, 3)):
        (seen, rewards, dones, infos), (their_seen, *others, their_infos) = ours.step(action), theirs.step(action)
        np.testing.assert_allclose(seen, their_seen, atol=1e-5)
        assert rewards.dtype == others[0].dtype
        np.testing.assert_array_equal(rewards, others[0])
        np.testing.assert_array_equal(dones, others[1])
        for row, (info, other) in enumerate(zip(infos, their_infos, strict=True)):
            np.testing.assert_array_equal(info["factors"], other["factors"])
            assert ("episode" in info) == dones[row]
            if dones[row]:
                ends += 1
                np.testing.assert_allclose(info["terminal_observation"], other["terminal_observation"], atol=1e-5)
                assert info["TimeLimit.truncated"] == other["TimeLimit.truncated"] == (not info["is_success"])
                assert (info["episode"]["r"], info["episode"]["l"]) == (other["episode"]["r"], other["episode"]["l"])
                assert info["episode"]["t"] > 0
    assert ends > 8


@pytest.mark.parametrize("shown", ["image", "observation"])
@pytest.mark.parametrize(("seen", "stack"), [("latents", 1), ("samples", 2), ("factors", 2)])
def test_vector_environments_of_stable_baselines3_are_seen_the_same_way(
    model: Any, small: dict[str, Any], goal_envs: Callable[..., Any], seen: str, stack: int, shown: str
) -> None:
    def observer(env: Any, space: Any) -> Any:
        return Factors(env) if seen == "factors" else Latents(model, space, sample=seen == "samples")

    options = {**small, "shown": shown}
    inner = goal_envs(3, shown=shown)
    ours = SB3VecEnv(inner, observer(inner, inner.single_observation_space), stack)
    theirs = VecMonitor(DummyVecEnv([lambda: gym.make("equiworld/FlatLandGoal-v0", **options)] * 3))
    other = LatentVecEnv(theirs, observer(theirs.envs[0], theirs.observation_space), stack)
    begin_alike(ours, other)
    ends = 0
    for action in np.random.default_rng(0).integers(0, 4, (30, 3)):
        (first, *told, infos), (second, *their, their_infos) = ours.step(action), other.step(action)
        np.testing.assert_allclose(first, second, atol=1e-5)
        np.testing.assert_array_equal(told, their)
        for row in np.flatnonzero(told[1]):
            ends += 1
            last, others = (each[row]["terminal_observation"] for each in (infos, their_infos))
            assert other.observation_space.contains(others)
            np.testing.assert_allclose(last, others, atol=1e-5)
            assert infos[row]["episode"]["r"] == their_infos[row]["episode"]["r"]
    assert ends > 8


def test_agents_of_stable_baselines3_learn_on_latents(model: Any, small: dict[str, Any]) -> None:
    inner = make_vec_env("equiworld/FlatLandGoal-v0", 2, env_kwargs=small)
    envs = LatentVecEnv(inner, Latents(model, inner.observation_space))
    agent = PPO("MlpPolicy", envs, n_steps=16, batch_size=16, policy_kwargs={"net_arch": [8]}, seed=0, device="cpu")
    agent.learn(40)
    assert agent.ep_info_buffer is not None and len(agent.ep_info_buffer) >= 2
    assert agent.predict(envs.reset())[0].shape == (2,)
    with pytest.raises(UsageError, match="--stack must be 1 or more, not 0"):
        LatentVecEnv(inner, Latents(model, inner.observation_space), 0)


def test_only_copies_that_are_reset_at_once(goal_envs: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match="environments of autoreset_mode SameStep, not NextStep"):
        SB3VecEnv(goal_envs(2, "NextStep"))


def test_attributes_methods_pictures_and_options(goal_envs: Callable[..., Any]) -> None:
    envs = SB3VecEnv(goal_envs(3, render_mode="rgb_array"))
    envs.set_options({"factors": [1, 2], "goal": [4, 4]})
    envs.reset()
    assert [info["factors"].tolist() for info in envs.reset_infos] == [[1, 2]] * 3
    envs.reset()
    assert not all(info["factors"].tolist() == [1, 2] for info in envs.reset_infos)
    assert envs.get_attr("factor_names", [0, 2]) == [("x", "y")] * 2
    assert [state["steps"] for state in envs.env_method("get_state", indices=1)] == [0]
    assert envs.get_images()[0].shape == (16, 16, 3) and envs.render().shape == (32, 32, 3)
    assert envs.env_is_wrapped(Monitor) == [True] * 3 and envs.env_is_wrapped(gym.Wrapper) == [False] * 3
    envs.set_options([{}, {"goal": [0, 0]}, {}])
    with pytest.raises(UsageError, match="one and the same options"):
        envs.reset()


def test_states_go_on_bit_by_bit(model: Any, goal_envs: Callable[..., Any]) -> None:
    def make() -> SB3VecEnv:
        inner = goal_envs(3)
        return SB3VecEnv(inner, Latents(model, inner.single_observation_space), 2)

    actions = np.random.default_rng(0).integers(0, 4, (30, 3))
    envs, other = make(), make()
    envs.seed(0)
    envs.reset()
    for action in actions[:8]:
        envs.step(action)
    other.set_state(envs.get_state())
    for action in actions[8:]:
        (seen, rewards, dones, infos), (again, *rest, told) = envs.step(action), other.step(action)
        np.testing.assert_array_equal(seen, again)
        np.testing.assert_array_equal(rewards, rest[0])
        assert [info.get("episode", {}).get("l") for info in infos] == [
            info.get("episode", {}).get("l") for info in told
        ]
        for row in np.flatnonzero(dones):
            np.testing.assert_array_equal(infos[row]["terminal_observation"], told[row]["terminal_observation"])


@pytest.mark.parametrize(
    ("env_id", "algorithm"),
    [
        ("FlatLandGoal", PPO),
        ("SpriteworldGoalFindingEmbodied", PPO),  # MultiDiscrete
        ("FlatLandContinuous", SAC),  # Box
    ],
)
def test_agents_learn_and_are_evaluated_on_it(env_id: str, algorithm: Any) -> None:
    envs = SB3VecEnv(gym.make_vec(f"equiworld/{env_id}-v0", 2, autoreset_mode="SameStep", max_episode_steps=10))
    options = {"n_steps": 16, "batch_size": 16} if algorithm is PPO else {"buffer_size": 100, "learning_starts": 8}
    agent = algorithm("MlpPolicy", envs, policy_kwargs={"net_arch": [8]}, seed=0, device="cpu", **options)
    agent.learn(40)
    assert len(agent.ep_info_buffer) >= 2
    rewards, lengths = evaluate_policy(agent, envs, 3, return_episode_rewards=True)
    assert len(rewards) == 3 and max(lengths) <= 10
    envs.close()


@pytest.mark.parametrize(
    ("info", "terminated", "expected"),
    [({"success": np.True_}, False, True), ({"goal": 1}, False, False), ({"goal": 1}, True, True), ({}, True, None)],
)
def test_what_success_is(info: dict[str, Any], terminated: bool, expected: bool | None) -> None:
    assert success(info, terminated) is expected
