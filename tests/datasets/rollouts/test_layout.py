"""The layout: spaces and headers survive being written down, columns are what spaces ask for."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from equiworld.datasets.rollouts import Column, Header, RolloutError
from equiworld.datasets.rollouts.layout import (
    flatten,
    leaves,
    plain_action,
    plain_factor,
    space_from_plain,
    space_to_plain,
    unflatten,
    unknown_factor,
)
from equiworld.envs import FlatLand, UsageError

SPACES = [
    spaces.Box(0, 255, (8, 8, 3), np.uint8),
    spaces.Box(-np.inf, np.inf, (4,), np.float32),
    spaces.Box(np.array([-1.0, 0.25]), np.array([np.inf, 3.5]), dtype=np.float64),
    spaces.Box(np.array([-4.8, -3.4028235e38], np.float32), np.array([4.8, 3.4028235e38], np.float32)),
    spaces.Box(-1, 1, (), np.float32),
    spaces.Discrete(5, start=-2),
    spaces.MultiDiscrete([3, 4], start=[1, 0]),
    spaces.MultiDiscrete([[2, 3], [4, 5]], dtype=np.int32),
    spaces.MultiBinary((2, 3)),
    spaces.Dict({"image": spaces.Box(0, 255, (4, 4), np.uint8), "pose": spaces.Tuple([spaces.Discrete(3)] * 2)}),
]


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_spaces_survive_json(space: Any) -> None:
    again = space_from_plain(json.loads(json.dumps(space_to_plain(space))))
    assert again == space and str(again.dtype) == str(space.dtype)


def test_bounds_that_are_alike_are_written_once() -> None:
    assert len(json.dumps(space_to_plain(spaces.Box(0, 255, (64, 64, 3), np.uint8)))) < 100


def test_nested_batches_become_columns_and_come_back() -> None:
    space = spaces.Dict(
        {
            "a": spaces.Box(0, 1, (2,)),
            "b": spaces.Tuple([spaces.Discrete(3), spaces.Dict({"c": spaces.MultiBinary(2)})]),
        }
    )
    batch = {"a": np.ones((5, 2)), "b": (np.arange(5), {"c": np.zeros((5, 2), np.int8)})}
    columns = flatten(space, batch, "observation")
    assert list(columns) == ["observation/a", "observation/b/0", "observation/b/1/c"]
    assert [name for name, _ in leaves(space, "observation")] == list(columns)
    again = unflatten(space, columns, "observation")
    assert again["a"] is columns["observation/a"] and again["b"][1]["c"] is columns["observation/b/1/c"]


def test_chunks_hold_sixteen_images_and_many_numbers() -> None:
    assert Column("observation", np.dtype(np.uint8), (64, 64, 3)).chunk_rows == 16
    assert Column("observation", np.dtype(np.uint8), (8, 8)).chunk_rows == 16
    assert Column("reward", np.dtype(np.float64), ()).chunk_rows == 8192
    assert Column("observation", np.dtype(np.float32), (100_000,)).chunk_rows == 16


def header() -> Header:
    world = FlatLand(period=5, stride=1, radius=2, size=10)
    return Header(
        SPACES[0],
        SPACES[5],
        environment={"id": "equiworld/FlatLand-v0", "options": {"period": 5}},
        policy={"name": "random", "options": {"x": [1, None, True]}},
        seed=7,
        shard=(1, 3),
        factors=tuple(plain_factor(factor) for factor in world.factors.factors),
        actions=tuple(plain_action(action) for action in world.actions),
        cut=True,
    )


def test_headers_survive_as_attributes() -> None:
    attributes = header().to_attributes()
    assert all(isinstance(value, str | int | bool) for value in attributes.values())
    again = Header.from_attributes(attributes)
    assert again == header() and again.differences(header()) == []
    assert again.known_factors() == FlatLand(period=5, stride=1, radius=2, size=10).factors.factors
    assert again.known_actions() == FlatLand(period=5, stride=1, radius=2, size=10).actions
    assert Header(*SPACES[:2], factors=(unknown_factor("x"),)).known_factors() is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "it is no rollout file of equiworld"),
        ({"version": 2}, "it has version 2 of the format; this library reads version 1"),
        ({"policy": "{"}, "its header is damaged"),
        ({"factors": '[{"name": "x", "size": 0, "kind": "cyclic"}]'}, "its header is damaged"),
        ({"observation_space": '{"kind": "Ball"}'}, "its header is damaged"),
        ({"action_space": '{"kind": "Box"}'}, "its header is damaged"),
    ],
)
def test_headers_that_are_none(change: dict[str, Any], message: str) -> None:
    with pytest.raises(RolloutError, match=f"^{message}") as caught:
        Header.from_attributes(header().to_attributes() | change)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (
            spaces.Text(5),
            "rollouts hold spaces of Box, Discrete, MultiDiscrete, MultiBinary, Dict and Tuple; observation",
        ),
        (spaces.Dict({"a/b": spaces.Discrete(2)}), "the part 'a/b' of a space cannot name a column"),
    ],
)
def test_spaces_that_cannot_be_recorded(space: Any, message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}"):
        list(leaves(space, "observation"))
