"""Breakout as a factor data set: its states, traversals, counterfactual pairs and transitions."""

from __future__ import annotations

import numpy as np
import pytest

from equiworld.datasets import draw_uniform, load
from equiworld.envs import UsageError, make_world
from equiworld.envs.breakout import ram


def test_the_data_set_holds_every_state_once() -> None:
    data = load("breakout")
    assert len(data) == 16 * 8 * 16 * 18
    index = np.array([0, 77, 12345, 36863])
    factors = data.generative_factors(index)
    assert np.array_equal(data.latent_to_index(factors), index)
    images = data.images(index)
    assert images.shape == (4, 3, 64, 64) and images.dtype.is_floating_point
    pixels = (images.numpy() * 255).round().astype(np.uint8).transpose(0, 2, 3, 1)
    assert np.array_equal(pixels, make_world("breakout", renderer="drawn").render(factors))


def test_options_reach_the_world() -> None:
    options = {"ball_columns": 5, "ball_rows": 4, "paddle_places": 3, "paddle_width": 12, "bricks": "toggle"}
    data = load(
        "breakout", **options, brick_factors=2, image_size=84, playfield=False, grayscale=True, renderer="drawn"
    )
    assert len(data) == 5 * 4 * 3 * 2 * 2 and data.images(0).shape == (1, 84, 84)
    scene = data.world.scene(data.generative_factors(np.arange(len(data))))
    assert (scene[:, ram.PADDLE_WIDTH] == 12).all() and set(scene[:, ram.BRICK].sum(axis=1)) == {106, 107, 108}
    assert load("breakout", gap=3, stride=2, renderer="drawn").world.actions[0].amount == -2
    with pytest.raises(UsageError, match=r"^renderer must be one of emulator, drawn, got 'pen'$"):
        load("breakout", renderer="pen")


def test_traversals_and_counterfactual_pairs() -> None:
    """Only the part of the picture changes in which the factor that was changed is drawn."""
    data = load("breakout", renderer="drawn")
    base = np.array([3, 4, 8, 2])
    for column, rows in ((0, slice(26, 59)), (1, slice(26, 59)), (2, slice(60, 64)), (3, slice(9, 24))):
        line = np.repeat(base[None], data.factors.sizes[column], axis=0)
        line[:, column] = np.arange(len(line))
        images = data.frames(data.latent_to_index(line))
        assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images)
        changed = (images != images[0]).any(axis=(0, 2, 3))
        assert changed[rows].any() and not np.delete(changed, np.arange(64)[rows]).any()


def test_transitions_are_made_by_the_group() -> None:
    data = load("breakout", ball_columns=6, ball_rows=4, paddle_places=5, renderer="drawn")
    drawn = draw_uniform(data, 300)
    before, after = (data.generative_factors(drawn.states[:, column]) for column in (0, 1))
    codes = drawn.actions[:, 0]
    assert np.array_equal(data.world.act(before, codes), after)
    for code, action in enumerate(data.world.actions):
        moved = (after - before)[codes == code] % data.factors.sizes
        assert len(moved) > 10
        expected = np.zeros(4, dtype=int)
        expected[action.factor] = action.amount % data.factors.sizes[action.factor]
        assert (moved == expected).all()
