"""What every world has: actions on factors, worlds by name, and the true groups."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from equiworld.envs import (
    WORLDS,
    Action,
    CyclicGroup,
    Factor,
    FactorSpace,
    FlatLand,
    UsageError,
    World,
    make_world,
    true_groups,
)


class Toy(World):
    """A cyclic, an ordinal, a categorical and another cyclic factor, of which the last does not move."""

    def __init__(self, *actions: Action) -> None:
        self.factors = FactorSpace(
            [Factor("turn", 6, "cyclic"), Factor("level", 4, "ordinal"), Factor("kind", 2, "categorical"),
             Factor("still", 5, "cyclic")]
        )  # fmt: skip
        self.actions = actions
        self.image_shape = (1, 1, 1)

    def render(self, factors: np.ndarray) -> np.ndarray:
        return np.zeros((len(factors), 1, 1, 1), dtype=np.uint8)


TURN = Action("turn", 0, 2, 2 * math.pi / 3, 1)
BACK = Action("back", 0, -2, -2 * math.pi / 3, 0)
RAISE = Action("raise", 1, 3, 0.0, None)
SWAP = Action("swap", 2, 1, 0.0, None)


def test_cyclic_factors_go_around_and_ordinal_ones_end() -> None:
    world = Toy(TURN, BACK, RAISE)
    before = np.array([[5, 0, 1, 4], [1, 0, 0, 0], [3, 2, 1, 2]])
    copy = before.copy()
    assert world.act(before, np.array([0, 1, 2])).tolist() == [[1, 0, 1, 4], [5, 0, 0, 0], [3, 3, 1, 2]]
    assert np.array_equal(before, copy)
    assert world.act(np.zeros((0, 4), dtype=int), np.zeros(0, dtype=int)).shape == (0, 4)


def test_true_groups_have_the_order_that_their_generators_reach() -> None:
    assert true_groups(Toy(BACK, TURN, RAISE)) == {0: CyclicGroup(0, "turn", (0, 1), 3, 2 * math.pi / 3)}
    assert true_groups(FlatLand()) == {
        0: CyclicGroup(0, "x", (1, 3), 33, 2 * math.pi * 5 / 33),
        1: CyclicGroup(1, "y", (0, 2), 33, 2 * math.pi * 5 / 33),
    }
    assert true_groups(FlatLand(period=12, stride=3))[0].order == 4
    assert true_groups(Toy()) == {}


def test_worlds_by_name() -> None:
    assert "flatland" in WORLDS.names()
    world = make_world("flatland", period=7, stride=2)
    assert isinstance(world, FlatLand)
    assert world.factors.sizes.tolist() == [7, 7]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: make_world("flatlnd"), "unknown world 'flatlnd' (did you mean 'flatland'?); there are: "),
        (
            lambda: make_world("flatland", colour=1),
            "the world 'flatland' has no option 'colour'; it takes: period, stride, radius, size, channels",
        ),
        (lambda: Toy(TURN).act(np.zeros((1, 4)), np.array([1])), "there is no action 1; codes are 0 to 0"),
        (lambda: Toy(TURN).act(np.zeros((1, 4)), np.array([-1])), "there is no action -1; codes are 0 to 0"),
        (lambda: Toy(TURN).act(np.full((1, 4), 9), np.array([0])), "factor 'turn' cannot be 9; accepted: 0 to 5"),
        (
            lambda: Toy(TURN).act(np.zeros((2, 4)), np.array([0])),
            "[2, 4] factors and [1] actions do not belong together",
        ),
        (
            lambda: Toy(SWAP).act(np.zeros((1, 4)), np.array([0])),
            "action 'swap' moves a categorical factor: the world must say how, in act()",
        ),
    ],
)
def test_refusals_are_one_line(call: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        call()
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
