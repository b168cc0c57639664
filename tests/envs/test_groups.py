"""The group that actions generate: its table, orders and representations, against those that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from equiworld.envs import (
    Action,
    Factor,
    FactorSpace,
    FlatLand,
    FlatLandDihedral,
    FlatLandWalls,
    UsageError,
    World,
    action_group,
    true_groups,
    true_matrices,
)

SMALL = FlatLand(period=5, stride=2, radius=2, size=8)


class Big(World):
    """A torus of which every state is an element."""

    def __init__(self, size: int) -> None:
        self.factors = FactorSpace([Factor("a", size, "cyclic"), Factor("b", size, "cyclic")])
        self.actions = (Action("on", 0, 1, 0.1, None), Action("up", 1, 1, 0.1, None))
        self.image_shape = (1, 1, 1)

    def render(self, factors: np.ndarray) -> np.ndarray:
        return np.zeros((len(factors), 1, 1, 1), dtype=np.uint8)


def test_the_group_of_a_torus_is_addition() -> None:
    group = action_group(SMALL)
    assert (group.order, group.abelian, group.action_orders) == (25, True, (5, 5, 5, 5))
    # An element is where it takes the state (0, 0); doing one after the other adds these up.
    places = SMALL.factors.from_index(group.elements[:, 0])
    sums = (places[:, None] + places[None]) % 5
    assert np.array_equal(SMALL.factors.from_index(group.elements[group.table][..., 0]), sums)
    assert np.array_equal(places[group.codes], [[0, 3], [3, 0], [0, 2], [2, 0]])
    assert np.array_equal((places + places[group.inverses]) % 5, np.zeros((25, 2)))


@pytest.mark.parametrize("world", [SMALL, FlatLandDihedral(period=7, stride=2, radius=4, size=8)])
def test_the_axioms_hold(world: World) -> None:
    group = action_group(world)
    every = np.arange(group.order)
    assert np.array_equal(group.elements[0], np.arange(world.factors.size))
    assert np.array_equal(group.table[0], every) and np.array_equal(group.table[:, 0], every)
    left = group.table[group.table[:, :, None], every]
    right = group.table[every[:, None, None], group.table[None]]
    assert np.array_equal(left, right)
    assert (group.table[every, group.inverses] == 0).all() and (group.table[group.inverses, every] == 0).all()
    for code, action in enumerate(world.actions):
        assert action.inverse is not None
        assert group.inverses[group.codes[code]] == group.codes[action.inverse]


def test_words_make_their_elements_and_are_the_shortest() -> None:
    group = action_group(SMALL)
    lengths = [len(word) for word in group.words]
    assert lengths == sorted(lengths) and lengths[0] == 0
    grid = SMALL.factors.grid()
    for word, element in zip(group.words, group.elements, strict=True):
        rows = grid
        for code in word:
            rows = SMALL.act(rows, np.full(len(rows), code))
        assert np.array_equal(SMALL.factors.to_index(rows), element)
    # Two steps of 2 on a circle of 5 reach everything: 0, 1 or 2 of them on each axis.
    assert max(lengths) == 4


def test_a_stride_that_divides_the_period_makes_a_smaller_group() -> None:
    assert action_group(FlatLand(period=6, stride=2, radius=1, size=8)).order == 9


def test_the_group_has_the_orders_that_true_groups_tells() -> None:
    orders = action_group(FlatLand()).action_orders
    told = {code: group.order for group in true_groups(FlatLand()).values() for code in group.codes}
    assert orders == tuple(told[code] for code in range(4)) == (33,) * 4


def test_true_matrices_turn_one_plane_each() -> None:
    matrices = true_matrices(FlatLand())
    assert matrices.shape == (4, 4, 4)
    angle = 2 * math.pi * 5 / 33
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    np.testing.assert_allclose(matrices[3], np.block([[turn, np.zeros((2, 2))], [np.zeros((2, 2)), np.eye(2)]]))
    np.testing.assert_allclose(matrices[2], np.block([[np.eye(2), np.zeros((2, 2))], [np.zeros((2, 2)), turn]]))
    np.testing.assert_allclose(matrices[0] @ matrices[2], np.eye(4), atol=1e-12)
    np.testing.assert_allclose(np.linalg.matrix_power(matrices[1], 33), np.eye(4), atol=1e-12)


def test_what_cannot_be_told_is_refused_in_one_line() -> None:
    for call, message in (
        (lambda: action_group(Big(100)), "the group has 1678 elements and more on 10000 states: too many"),
        (lambda: action_group(Big(2**13)), "67108864 states are too many for their group to be enumerated"),
        (lambda: true_matrices(FlatLandWalls()), "no cyclic group acts on this world, so that its actions have no"),
    ):
        with pytest.raises(UsageError) as caught:
            call()
        assert str(caught.value).startswith(message) and "\n" not in str(caught.value)
