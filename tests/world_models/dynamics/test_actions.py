"""Actions as vectors: one-hot or scaled to [-1, 1], and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces

from equiworld.envs.registry import UsageError
from equiworld.world_models.dynamics import ActionCode


def test_choices_are_one_hot() -> None:
    code = ActionCode(spaces.Discrete(3, start=-1))
    assert code.size == 3 and code.choices == (3,) and code.discrete
    assert code.encode([0, -1, 1]).tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1]]
    many = ActionCode(spaces.MultiDiscrete([2, 3]))
    assert many.choices == (2, 3)
    assert many.encode([[1, 0], [0, 2]]).tolist() == [[0, 1, 1, 0, 0], [1, 0, 0, 0, 1]]


def test_bounded_numbers_are_scaled_and_others_are_not() -> None:
    low, high = np.array([0, -2, -np.inf], np.float32), np.array([1, 6, np.inf], np.float32)
    code = ActionCode(spaces.Box(low, high))
    assert code.size == 3 and code.choices == () and not code.discrete
    assert code.encode([[0, 2, 7], [1, 6, -3]]).tolist() == [[-1, 0, 7], [1, 1, -3]]
    assert code.decode(torch.tensor([[2.0, -3.0, 9.0]])).tolist() == [[1, -2, 9]]  # kept within the bounds


@pytest.mark.parametrize(
    "space",
    [
        spaces.Discrete(5, start=3),
        spaces.MultiDiscrete([4, 1, 3]),
        spaces.MultiDiscrete([[2, 3], [4, 5]]),
        spaces.Box(-2, 5, (2, 3), np.float32),
        spaces.Box(-7, 90, (8,), np.int32),
    ],
)
def test_what_is_encoded_is_decoded(space: spaces.Space) -> None:
    space.seed(0)
    actions = np.stack([space.sample() for _ in range(20)])
    code = ActionCode(space)
    vectors = code.encode(actions)
    assert vectors.shape == (20, code.size) and vectors.dtype == torch.float32
    again = code.decode(vectors)
    assert again.shape == actions.shape and np.allclose(again, actions, atol=1e-6)
    assert all(space.contains(action) for action in again)


def test_what_is_no_action_is_refused() -> None:
    for actions in ([3], [-1], [[0, 1]], [0.5], [np.nan]):
        with pytest.raises(UsageError, match="actions are of Discrete"):
            ActionCode(spaces.Discrete(3)).encode(actions)
    with pytest.raises(UsageError, match="2 finite numbers each"):
        ActionCode(spaces.Box(-1, 1, (2,))).encode([[0.0, np.nan]])
    with pytest.raises(UsageError, match="Discrete, MultiDiscrete and Box spaces, not of Dict"):
        ActionCode(spaces.Dict({"a": spaces.Discrete(2)}))
