"""Environments with an observer: the checkers, stacks, ends of episodes, and states."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.env_checker import check_env as check_for_baselines

from equiworld.agents.latent import LatentEnv, LatentVectorEnv, Stack
from equiworld.agents.observers import Factors, Latents, Pixels
from equiworld.envs import UsageError
from equiworld.world_models.assembly import Assembly


@pytest.fixture(scope="module")
def model(tiny: Callable[..., Assembly]) -> Any:
    return tiny("vae", architecture="forward", latents=4).model.eval()


def make(model: Any, small: dict[str, Any], stack: int = 1, sample: bool = False, **options: Any) -> LatentEnv:
    env = gym.make("equiworld/FlatLandGoal-v0", **{**small, **options})
    return LatentEnv(env, Latents(model, env.observation_space, sample=sample), stack)


@pytest.mark.parametrize(
    ("stack", "sample", "shown"),
    [(1, False, "image"), (3, False, "hidden"), (1, True, "image"), (2, True, "observation")],
)
def test_both_checkers_are_content(model: Any, small: dict[str, Any], stack: int, sample: bool, shown: str) -> None:
    env = make(model, small, stack, sample, shown=shown)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Codes of a Euclidean space have no bounds, which is said of observations too; wrappers are none of a spec.
        warnings.filterwarnings("ignore", message=".*A Box observation space (m|has).*")
        warnings.filterwarnings("ignore", message=".*different from the unwrapped version.*")
        warnings.filterwarnings("ignore", message=".*env.spec.*|.*env spec.*|.*render mode.*")
        check_env(env)
        check_for_baselines(env)
    env.close()


def test_a_stack_begins_with_repetitions_and_shows_the_oldest_first() -> None:
    stack = Stack(3, gym.spaces.Box(0, 9, (2,), np.float32))
    assert stack.space.shape == (6,)
    shown = stack.begin(np.array([[1.0, 2], [3, 4]], dtype=np.float32))
    assert shown.tolist() == [[1, 2] * 3, [3, 4] * 3]
    nothing = np.zeros(2, dtype=bool)
    stack.push(np.array([[5.0, 5], [6, 6]], dtype=np.float32), nothing)
    assert stack.after(np.array([[8.0, 9]]), [1]).tolist() == [[3, 4, 6, 6, 8, 9]]
    shown = stack.push(np.array([[7.0, 7], [8, 8]], dtype=np.float32), np.array([False, True]))
    assert shown.tolist() == [[1, 2, 5, 5, 7, 7], [8] * 6]
    shown = stack.begin(np.zeros((2, 2), dtype=np.float32), np.array([True, False]))
    assert shown.tolist() == [[0] * 6, [8] * 6]


def test_images_are_stacked_in_their_channels() -> None:
    stack = Stack(2, gym.spaces.Box(0, 255, (4, 4, 3), np.uint8))
    assert stack.space == gym.spaces.Box(0, 255, (4, 4, 6), np.uint8)


@pytest.mark.parametrize(
    ("frames", "space", "message"),
    [
        (0, gym.spaces.Box(0, 1, (2,)), "--stack must be 1 or more, not 0"),
        (2, gym.spaces.Dict({}), "--stack 2 needs observations that are one array"),
    ],
)
def test_what_cannot_be_stacked(frames: int, space: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Stack(frames, space)


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
@pytest.mark.parametrize("stack", [1, 3])
@pytest.mark.parametrize("shown", ["hidden", "observation"])
def test_copies_are_what_scalar_environments_are(
    model: Any, small: dict[str, Any], goal_envs: Callable[..., Any], mode: str, stack: int, shown: str
) -> None:
    inner = goal_envs(3, mode, shown=shown)
    envs = LatentVectorEnv(inner, Latents(model, inner.single_observation_space), stack)
    ones = [make(model, small, stack, shown=shown) for _ in range(3)]
    observations, _ = envs.reset(seed=5)
    assert observations.shape == envs.observation_space.shape
    expected = np.stack([one.reset(seed=5 + row)[0] for row, one in enumerate(ones)])
    np.testing.assert_allclose(observations, expected, atol=1e-5)
    rng, over, ends = np.random.default_rng(0), np.zeros(3, dtype=bool), 0
    for _ in range(25):
        actions = rng.integers(0, 4, 3)
        observations, _, terminated, truncated, infos = envs.step(actions)
        for row, one in enumerate(ones):
            if over[row]:
                seen, done = one.reset()[0], False
            else:
                seen, _, one_terminated, one_truncated, _ = one.step(actions[row])
                done = one_terminated or one_truncated
            if done and mode == "SameStep":
                np.testing.assert_allclose(infos["final_obs"][row], seen, atol=1e-5)
                seen, ends = one.reset()[0], ends + 1
            np.testing.assert_allclose(observations[row], seen, atol=1e-5)
            over[row] = done and mode == "NextStep"
            assert bool(terminated[row] or truncated[row]) == done
    assert ends > 5 or mode == "NextStep"


def test_a_mask_resets_some_copies(model: Any, goal_envs: Callable[..., Any]) -> None:
    inner = goal_envs(2, "Disabled", max_episode_steps=None)
    envs = LatentVectorEnv(inner, Latents(model, inner.single_observation_space), 2)
    envs.reset(seed=0)
    before = envs.step(np.array([0, 1]))[0]
    after, _ = envs.reset(options={"reset_mask": np.array([False, True])})
    np.testing.assert_array_equal(after[0], before[0])
    np.testing.assert_array_equal(after[1, :4], after[1, 4:])


def test_what_a_mask_leaves_alone_is_shown_as_it_was(goal_envs: Callable[..., Any]) -> None:
    inner = goal_envs(2, "Disabled", max_episode_steps=None)
    envs = LatentVectorEnv(inner, Factors(inner))
    envs.reset(seed=0)
    before = envs.step(np.array([0, 1]))[0].copy()
    state = envs.get_state()
    after, _ = envs.reset(options={"reset_mask": np.array([False, True])})
    np.testing.assert_array_equal(after[0], before[0])
    assert not np.array_equal(after[1], before[1])
    envs.set_state(state)
    np.testing.assert_array_equal(envs.reset(options={"reset_mask": np.array([False, True])})[0][0], before[0])


def test_a_mask_does_not_forget_that_other_copies_have_ended(model: Any, goal_envs: Callable[..., Any]) -> None:
    inner = goal_envs(2, "NextStep", max_episode_steps=2)
    envs = LatentVectorEnv(inner, Latents(model, inner.single_observation_space), 2)
    envs.reset(seed=0)
    envs.step(np.array([0, 1]))
    assert np.logical_or(*envs.step(np.array([0, 1]))[2:4]).all()
    envs.reset(options={"reset_mask": np.array([False, True])})
    shown = envs.step(np.array([0, 1]))[0]
    np.testing.assert_array_equal(shown[0, :4], shown[0, 4:])  # its episode has begun
    assert not np.array_equal(shown[1, :4], shown[1, 4:])


@pytest.mark.parametrize("what", ["factors", "latents"])
def test_the_ends_of_gymnasium_s_own_loop_over_environments(
    model: Any, small: dict[str, Any], goal_envs: Callable[..., Any], what: str
) -> None:
    native = goal_envs(2)
    loop = gym.make_vec(
        "equiworld/FlatLandGoal-v0",
        2,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
        **small,
    )
    pair = [
        LatentVectorEnv(envs, Factors(envs) if what == "factors" else Latents(model, envs.single_observation_space), 2)
        for envs in (native, loop)
    ]
    first, second = (envs.reset(seed=1)[0] for envs in pair)
    np.testing.assert_array_equal(first, second)
    for action in np.random.default_rng(0).integers(0, 4, (20, 2)):
        (first, *_, told), (second, *_, other) = (envs.step(action) for envs in pair)
        np.testing.assert_array_equal(first, second)
        assert ("final_obs" in told) == ("final_obs" in other)
        for row in np.flatnonzero(told.get("_final_obs", [])):
            np.testing.assert_array_equal(told["final_obs"][row], other["final_obs"][row])
    loop.close()


def test_states_go_on_bit_by_bit(model: Any, small: dict[str, Any], goal_envs: Callable[..., Any]) -> None:
    def vector() -> LatentVectorEnv:
        inner = goal_envs(3)
        return LatentVectorEnv(inner, Latents(model, inner.single_observation_space, sample=True), 2)

    actions = np.random.default_rng(0).integers(0, 4, (12, 3))
    envs = vector()
    envs.reset(seed=0)
    for row in actions[:5]:
        envs.step(row)
    state = envs.get_state()
    expected = [envs.step(row)[0] for row in actions[5:]]
    other = vector()
    other.set_state(state)
    for row, seen in zip(actions[5:], expected, strict=True):
        np.testing.assert_array_equal(other.step(row)[0], seen)
    one, again = make(model, small, 2, sample=True), make(model, small, 2, sample=True)
    one.reset(seed=0)
    one.step(1)
    state = one.get_state()
    seen = [one.step(action)[0] for action in (0, 2)]
    again.set_state(state)
    np.testing.assert_array_equal([again.step(action)[0] for action in (0, 2)], seen)


def test_pixels_pass_through(goal_envs: Callable[..., Any]) -> None:
    inner = goal_envs(2)
    envs = LatentVectorEnv(inner, Pixels(inner.single_observation_space))
    observations, _ = envs.reset(seed=0)
    assert observations.dtype == np.uint8 and envs.single_observation_space == inner.single_observation_space
