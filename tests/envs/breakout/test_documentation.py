"""Breakout's pages: their examples run, and their tables name what there is."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import equiworld
from equiworld.envs import Breakout
from equiworld.envs.breakout import ram
from equiworld.envs.breakout.environment import BreakoutEnv
from equiworld.envs.breakout.simulation import BreakoutSimulation

PAGE = (Path(equiworld.__file__).resolve().parent / "docs/worlds/breakout.md").read_text("utf-8")


def defaults(made: Any) -> dict[str, Any]:
    return {
        name: parameter.default
        for name, parameter in inspect.signature(made).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }


def test_the_examples_run() -> None:
    names: dict[str, Any] = {}
    for example in re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S):
        exec(compile(example, "breakout.md", "exec"), names)
    assert names["picture"].shape == (1, 64, 64, 3) and names["pictures"].shape == (2, 64, 64, 3)
    assert not np.array_equal(*names["pair"])
    names["envs"].close()


@pytest.mark.parametrize("text", [PAGE, inspect.getdoc(BreakoutEnv)], ids=["page", "docstring"])
def test_the_arguments_are_those_that_there_are(text: str) -> None:
    table = text[text.index("| --- | --- | --- |", text.index("| `frame_skip`") - 60) :]
    told = dict(re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", table[: table.index("\n\n")], re.M))
    for name, default in defaults(BreakoutSimulation).items():
        assert ast.literal_eval(told.pop(name).strip("`")) == default
    assert set(told) <= {"max_episode_steps", "render_mode"}


def test_the_options_of_the_world_are_those_that_there_are() -> None:
    table = PAGE[PAGE.index("| `Breakout(...)`") :]
    told = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+?) \|", table[: table.index("\n\n")], re.M))
    assert set(told) == set(defaults(Breakout))
    for name, default in defaults(Breakout).items():
        if name != "crop":
            assert told[name].strip("`") == str(default)


def test_the_table_of_the_wall() -> None:
    rows = re.findall(r"^\| ([\d, ]+) \| (\d) \| ([\d, ]+) \|$", PAGE, re.M)
    places = {}
    for columns, sixth, shifts in rows:
        for column, shift in zip(columns.split(","), shifts.split(","), strict=True):
            places[int(column)] = int(sixth), int(shift)
    assert sorted(places) == list(range(18))
    for column, (sixth, shift) in places.items():
        for row in range(6):
            brick = 18 * row + column
            assert ram.BRICK_ADDRESS[brick] == 5 - row + 6 * sixth and ram.BRICK_MASK[brick] == 3 << shift
