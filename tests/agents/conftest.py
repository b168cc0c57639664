"""Small environments that the tests of agents share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from equiworld import train
from equiworld.datasets.rollouts import Plan, collect

# The world of the tiny runs, as an environment with a goal: 7 x 7 states in pictures of 16 x 16 pixels.
SMALL = {"period": 7, "stride": 2, "radius": 3, "size": 16, "tolerance": 0, "max_episode_steps": 6}


@pytest.fixture(scope="session")
def small() -> dict[str, Any]:
    """Options of ``FlatLandGoal`` that fit the images of tiny runs."""
    return dict(SMALL)


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 recorded steps of the same world, without a goal."""
    file = tmp_path_factory.mktemp("recorded") / "torus.h5"
    options = {**SMALL, "max_episode_steps": 15}
    del options["tolerance"]
    collect(Plan("equiworld/FlatLand-v0", seed=0, env_options=options), 300, file, num_envs=4)
    return file


@pytest.fixture(scope="session")
def dreamer(trained: dict[str, Path], recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run of dynamics."""
    logs = tmp_path_factory.mktemp("dreamer")
    front = ["--model=dynamics", f"--base-model-path={trained['vae']}", f"--dataset={recorded}"]
    sizes = ["--epochs=1", "--window=4", "--batch-size=40", "--hidden-width=16", "--memory=8", "--no-evaluate"]
    assert train.main([*front, *sizes, f"--log-dir={logs}"]) == 0
    return logs / "version_0"


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
