"""The explorer's tables: their order, what they decode, and that an action's order brings it back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from equiworld.reporting import explorer
from equiworld.reporting.explorer import Axis, Table


def rotation(angle: float, plane: int = 0, size: int = 4) -> np.ndarray:
    matrix = np.eye(size)
    matrix[2 * plane : 2 * plane + 2, 2 * plane : 2 * plane + 2] = [
        [math.cos(angle), -math.sin(angle)],
        [math.sin(angle), math.cos(angle)],
    ]
    return matrix


class Painter:
    """Decodes a code to a picture of one row that holds it; acts by given matrices."""

    def __init__(self, matrices: np.ndarray) -> None:
        self._matrices = torch.from_numpy(matrices)

    def matrices(self) -> torch.Tensor:
        return self._matrices

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        return ((codes + 4) / 8)[:, None, None, :]


def painted(codes: Any) -> np.ndarray:
    return np.round((np.asarray(codes) + 4) / 8 * 255)


@pytest.mark.parametrize(
    ("sizes", "room", "expected"), [([3, 4], 12, 2), ([3, 4], 11, 1), ([33, 33, 33], 4000, 2), ([99], 5, 1)]
)
def test_as_many_axes_move_at_once_as_there_is_room_for(sizes: list[int], room: int, expected: int) -> None:
    assert explorer.arity(sizes, room) == expected


def test_a_state_is_found_where_the_table_has_put_it() -> None:
    axes = [Axis("a", 3, 1, False), Axis("b", 4, 0, True), Axis("c", 2, 1, False)]
    for number in (1, 2, 3):
        states = list(explorer.positions(axes, number))
        table = Table(axes, number, np.zeros((len(states), 1)), np.zeros((len(states), 1, 1, 1), np.uint8))
        for row, state in enumerate(states):
            found = table.index(state)
            assert states[found] == state and found <= row
    with pytest.raises(ValueError, match="only 1 of the axes"):
        Table(axes, 1, np.zeros((9, 1)), np.zeros((9, 1, 1, 1), np.uint8)).index([0, 1, 1])


def test_values_of_a_latent_span_its_range_and_hold_where_it_is() -> None:
    values = explorer.latent_values(0.3, -2.0, 2.0, 7)
    assert values[[0, -1]].tolist() == [-2.0, 2.0]
    assert 0.3 in values and (np.diff(values) > 0).all()
    assert explorer.latent_values(-2.5, -2.0, 2.0, 5).min() == -2.5


@pytest.mark.parametrize(("latents", "arity"), [(1, 1), (2, 2), (4, 4), (6, 2), (60, 1)])
def test_the_grid_of_latents_decodes_its_codes(latents: int, arity: int) -> None:
    code = np.linspace(-1, 1, latents)
    table, values = explorer.latent_table(
        Painter(np.eye(latents)[None]), code, np.full(latents, -2.0), np.full(latents, 2.0)
    )
    assert table.arity == arity and len(table.images) <= 2500
    base = [axis.base for axis in table.axes]
    assert table.codes[table.index(base)] == pytest.approx(code)
    moved = [0, *base[1:]]
    assert table.codes[table.index(moved)] == pytest.approx([-2.0, *code[1:]])
    assert np.abs(table.images[:, 0, :, 0] - painted(table.codes)).max() <= 1
    assert [len(row) for row in values] == [axis.size for axis in table.axes]


def test_maps_of_one_circle_share_it() -> None:
    turn = 2 * math.pi / 7
    maps = np.stack([rotation(turn), rotation(-turn), rotation(turn, 1), rotation(3 * turn)])
    axes, moves = explorer.orbit_axes(maps)
    assert [(axis.size, axis.cyclic) for axis in axes] == [(7, True), (7, True)]
    assert moves == [(0, 1), (0, -1), (1, 1), (0, 3)]
    assert explorer.axis_actions(moves) == [0, 2]


@pytest.mark.parametrize(
    ("matrix", "order"),
    [
        (rotation(2 * math.pi * 5 / 33), 33),
        (rotation(math.pi), 2),
        (np.diag([1.0, -1.0, 1.0, 1.0]), 2),
        (np.array([[0.0, 1.0], [1.0, 0.0]]), 2),
        (rotation(2 * math.pi / 3) @ rotation(math.pi / 2, 1), 12),
        (np.eye(4), None),
        (2 * rotation(2 * math.pi / 5), None),
        (np.array([[1.0, 1.0], [0.0, 1.0]]), None),
        (rotation(0.01), None),
        (rotation(2 * math.pi / 6.5), 13),
    ],
)
def test_the_order_of_a_map(matrix: np.ndarray, order: int | None) -> None:
    assert explorer.order_of(matrix) == order


def test_the_orbit_of_an_open_map_is_a_line_through_the_start() -> None:
    table, moves = explorer.orbit_table(Painter(np.diag([1.1, 1.0])[None]), np.array([1.0, 1.0]))
    (axis,) = table.axes
    assert not axis.cyclic and moves == [(0, 1)]
    assert table.codes[axis.base] == pytest.approx([1.0, 1.0])
    assert table.codes[axis.base + 3, 0] == pytest.approx(1.1**3)
    assert table.codes[axis.base - 2, 0] == pytest.approx(1.1**-2)


def test_maps_that_do_not_commute_are_followed_one_at_a_time() -> None:
    swap = np.eye(4)[[2, 1, 0, 3]]
    table, _ = explorer.orbit_table(Painter(np.stack([rotation(2 * math.pi / 3), swap])), np.ones(4))
    assert table.arity == 1 and len(table.codes) == 5


def test_the_orbit_is_what_the_model_does(reported: dict[str, Any]) -> None:
    subject, found = reported["rgrvae"].subject, reported["rgrvae"].view.explorer
    table, model = found.orbit, subject.group
    start = [axis.base for axis in table.axes]
    base = table.codes[table.index(start)]
    own = explorer.axis_actions([move[1:] for move in found.actions])
    for action, (_, place, step) in enumerate(found.actions):
        axis = table.axes[place]
        last = (axis.size if axis.cyclic else axis.size - axis.base) - 1
        # An action on another's circle is there as a power of that one, which it nearly is.
        for times in (1, min(2, last), last) if action in own else (1,):
            state = start.copy()
            state[place] = (axis.base + times * step) % axis.size
            row = table.index(state)
            with torch.no_grad():
                moved = model.act(torch.from_numpy(base)[None], torch.tensor([action]), times)
                picture = model.decode(moved)[0].permute(1, 2, 0).numpy() * 255
            if action in own:
                assert step == 1
                assert table.codes[row] == pytest.approx(moved[0].numpy(), abs=1e-4)
                assert np.abs(table.images[row] - picture).max() <= 0.6
            else:
                assert np.linalg.norm(table.codes[row] - moved[0].numpy()) <= 0.2 * np.linalg.norm(base)
        if not axis.cyclic:
            continue
        back = start.copy()
        back[place] = (axis.base + axis.size * step) % axis.size
        assert table.codes[table.index(back)] == pytest.approx(base)
