"""The examples in the pages of environments and of FlatLand run, and say what they are said to."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import equiworld
from equiworld.envs import WORLDS, make_world
from equiworld.envs.registration import registered

DOCS = Path(equiworld.__file__).resolve().parent / "docs"


def examples(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text("utf-8"), re.M | re.S)


@pytest.mark.parametrize("page", ["environments.md", "worlds/flatland.md"])
def test_examples_run_one_after_the_other(page: str) -> None:
    names: dict[str, Any] = {}
    for example in examples(page):
        if "stable_baselines3" not in example:  # which tests/envs/test_stable_baselines.py tries
            exec(compile(example, page, "exec"), names)
    if page == "environments.md":
        assert np.array_equal(names["first"][0], names["again"][0])
        assert names["envs"].num_envs == 256


def test_the_world_of_the_guide_is_an_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (DOCS / "adding-a-world.md").read_text("utf-8")
    (source,) = re.findall(r"<!-- file: my_world.py -->\n```python\n(.*?)```", page, re.S)
    (tmp_path / "clock_of_the_guide.py").write_text(source.replace('"clock"', '"clock-of-the-guide"'), "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    names: dict[str, Any] = {}
    try:
        for example in examples("adding-a-world.md"):
            if "WorldEnv" in example:
                exec(compile(example.replace("my_world", "clock_of_the_guide"), "guide", "exec"), names)
        envs = gym.make_vec("my/Clock-v0", num_envs=3)
        _, infos = envs.reset(seed=0, options={"factors": [[0, 0], [11, 3], [5, 5]]})
        infos = envs.step(np.array([0, 0, 3]))[4]
        assert infos["factors"].tolist() == [[1, 0], [0, 3], [5, 4]]
        assert gym.make("my/Clock-v0").reset(seed=0)[0].shape == (64, 64, 1)
    finally:
        gym.registry.pop("my/Clock-v0", None)
        sys.modules.pop("clock_of_the_guide", None)
        WORLDS._entries.pop("clock-of-the-guide", None)
        equiworld.datasets.DATASETS._entries.pop("clock-of-the-guide", None)


def test_every_flatland_world_and_environment_has_its_place() -> None:
    page = (DOCS / "worlds/flatland.md").read_text("utf-8")
    rows = {name: (int(states.replace(",", "")), int(actions)) for name, states, actions in re.findall(
        r"^\| `(flatland[a-z-]*)` \| [^|]* \| ([\d,]+) \| (\d+) \|", page, re.M
    )}  # fmt: skip
    worlds = {name: make_world(name) for name in WORLDS.names() if re.match("flatland", name)}
    expected = {name: (world.factors.size, len(world.actions)) for name, world in worlds.items() if world.actions}
    assert rows == expected
    named = (DOCS / "environments.md").read_text("utf-8")
    flatland = [env_id.split("/")[1].split("-")[0] for env_id in registered() if "FlatLand" in env_id]
    assert [name for name in flatland if f"`{name}`" not in named and f"/{name}-v0`" not in named] == []
