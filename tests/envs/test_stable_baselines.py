"""stable-baselines3 plays every registered environment for a few hundred steps."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3 import PPO

from equiworld.envs.registration import registered

# A step of the environment and a small network, not the seconds that convolutions take.
SMALL = {"n_steps": 128, "batch_size": 64, "n_epochs": 1, "seed": 0, "device": "cpu"}


@pytest.mark.parametrize("env_id", registered())
def test_it_learns_from_every_environment(env_id: str) -> None:
    env = gym.make(env_id)
    policy = "MultiInputPolicy" if isinstance(env.observation_space, spaces.Dict) else "MlpPolicy"
    model = PPO(policy, env, policy_kwargs={"net_arch": [16]}, **SMALL)
    before = model.policy.state_dict()["action_net.weight"].clone()
    model.learn(256)
    after = model.policy.state_dict()["action_net.weight"]
    assert model.num_timesteps == 256
    assert np.isfinite(after.numpy()).all() and not np.array_equal(before.numpy(), after.numpy())
    env.close()


@pytest.mark.parametrize("shown", ["image", "observation"])
def test_convolutions_take_the_pictures_as_they_are(shown: str) -> None:
    env = gym.make("equiworld/FlatLandGoal-v0", shown=shown, reward="dense")
    policy = "CnnPolicy" if shown == "image" else "MultiInputPolicy"
    model = PPO(policy, env, **{**SMALL, "n_steps": 32, "batch_size": 32})
    model.learn(32)
    observation, _ = env.reset(seed=0)
    action, _ = model.predict(observation, deterministic=True)
    assert env.action_space.contains(int(action))
