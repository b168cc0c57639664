"""Small environments that the tests of agents share."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import pytest

# The world of the tiny runs, as an environment with a goal: 7 x 7 states in pictures of 16 x 16 pixels.
SMALL = {"period": 7, "stride": 2, "radius": 3, "size": 16, "tolerance": 0, "max_episode_steps": 6}


@pytest.fixture(scope="session")
def small() -> dict[str, Any]:
    """Options of ``FlatLandGoal`` that fit the images of tiny runs."""
    return dict(SMALL)


@pytest.fixture
def goal_envs() -> Any:
    """Makes such vector environments: ``goal_envs(3, "SameStep", shown="hidden")``."""
    opened = []

    def make(number: int, mode: str = "SameStep", **options: Any) -> Any:
        envs = gym.make_vec("equiworld/FlatLandGoal-v0", number, autoreset_mode=mode, **{**SMALL, **options})
        opened.append(envs)
        return envs

    yield make
    for envs in opened:
        envs.close()
