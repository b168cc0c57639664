"""Rewards that are learnt from: as VecNormalize of stable-baselines3 has them, and with a state that goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.vec_env import VecNormalize

from equiworld.agents.rewards import Rewards
from equiworld.agents.vec_env import SB3VecEnv

RNG = np.random.default_rng(0)
REWARDS = RNG.normal(-30, 20, (200, 3))
ENDED = RNG.random((200, 3)) < 0.1


def test_normalised_rewards_are_those_of_stable_baselines3(goal_envs: Callable[..., Any]) -> None:
    ours = SB3VecEnv(goal_envs(3), rewards=Rewards(3, gamma=0.9))
    theirs = VecNormalize(SB3VecEnv(goal_envs(3)), norm_obs=False, gamma=0.9)
    ours.seed(7)
    theirs.seed(7)
    ours.reset()
    theirs.reset()
    returns, ends = [], 0
    for action in np.random.default_rng(0).integers(0, 4, (60, 3)):
        (_, rewards, dones, infos), (_, others, _, their_infos) = ours.step(action), theirs.step(action)
        np.testing.assert_allclose(rewards, others, rtol=1e-6)
        ends += int(dones.sum())
        for info, other in zip(infos, their_infos, strict=True):
            if "episode" in info:  # returns are told of as they are
                assert info["episode"]["r"] == other["episode"]["r"]
                returns.append(info["episode"]["r"])
    assert ends > 8 and set(returns) == {0.0, 1.0}


def test_a_scale_multiplies() -> None:
    scaled = Rewards(3, 0.5)(REWARDS[0], ENDED[0])
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, 0.5 * REWARDS[0], rtol=1e-6)
    both, normalised = Rewards(3, 0.5, 0.99), Rewards(3, 1.0, 0.99)
    for rewards, ended in zip(REWARDS, ENDED, strict=True):
        np.testing.assert_allclose(both(rewards, ended), 0.5 * normalised(rewards, ended), rtol=1e-6)


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_the_unit_of_rewards_does_not_matter(factor: float) -> None:
    one, other = Rewards(3, gamma=0.9), Rewards(3, gamma=0.9)
    for number, (rewards, ended) in enumerate(zip(REWARDS, ENDED, strict=True)):
        first, second = one(rewards, ended), other(factor * rewards, ended)
        assert np.abs(first).max() <= 10
        if number > 100:  # the first of all is in units of the count that statistics begin with
            np.testing.assert_allclose(first, second, rtol=0.01)


def test_a_state_goes_on(goal_envs: Callable[..., Any]) -> None:
    whole, first = Rewards(3, gamma=0.9), Rewards(3, gamma=0.9)
    for rewards, ended in zip(REWARDS[:100], ENDED[:100], strict=True):
        whole(rewards, ended)
        first(rewards, ended)
    second = Rewards(3, gamma=0.9)
    second.set_state(first.get_state())
    for rewards, ended in zip(REWARDS[100:], ENDED[100:], strict=True):
        np.testing.assert_array_equal(whole(rewards, ended), second(rewards, ended))
    more = Rewards(5, gamma=0.9)  # of other copies: how returns spread, and no more
    more.set_spread(first.get_state())
    assert more(np.full(5, -10.0), np.zeros(5, dtype=bool)).shape == (5,)


def test_states_from_before_there_were_scales(goal_envs: Callable[..., Any]) -> None:
    envs = SB3VecEnv(goal_envs(2))
    envs.seed(1)
    envs.reset()
    state = envs.get_state()
    del state["rewards"]
    envs.set_state(state)
    assert envs.step(np.array([0, 1]))[1].shape == (2,)
