"""The polygons of sprites: their areas, corners, codes, places, and what lies inside."""

from __future__ import annotations

import math

import numpy as np
import pytest

from equiworld.envs.registry import UsageError
from equiworld.envs.spriteworld.shapes import (
    SHAPE_NAMES,
    SHAPES,
    TABLE,
    area,
    contains,
    polygon,
    polygons,
    regular,
    shape_code,
    spokes,
    star,
)

CORNERS = {
    "triangle": 3,
    "square": 4,
    "pentagon": 5,
    "hexagon": 6,
    "octagon": 8,
    "circle": 30,
    "star_4": 8,
    "star_5": 10,
    "star_6": 12,
    "spoke_4": 12,
    "spoke_5": 15,
    "spoke_6": 18,
    "spoke_3": 9,
}


def test_the_shapes_and_their_codes():
    assert list(SHAPES) == list(CORNERS) == list(SHAPE_NAMES)
    assert [shape_code(name) for name in SHAPE_NAMES] == list(range(1, 14))
    assert {name: len(corners) for name, corners in SHAPES.items()} == CORNERS
    assert TABLE.counts.tolist() == list(CORNERS.values())


@pytest.mark.parametrize("name", SHAPE_NAMES)
def test_a_shape_has_unit_area_counterclockwise_about_the_origin(name):
    corners = SHAPES[name]
    assert area(corners) == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(corners.mean(0), 0, atol=1e-12)
    assert TABLE.reach[shape_code(name) - 1] == pytest.approx(np.linalg.norm(corners, axis=1).max())
    assert not corners.flags.writeable


@pytest.mark.parametrize("height", [0.2, 1.0, 2.0])
def test_stars_and_spokes_of_any_height_have_unit_area(height):
    for count in (3, 4, 5, 6):
        assert area(star(count, height=height)) == pytest.approx(1)
        corners = spokes(count, height=height)
        assert area(corners) == pytest.approx(1)
        width, length = (math.dist(corners[k], corners[k + 1]) for k in (1, 0))
        assert length / width == pytest.approx(height / (2 * math.sin(math.pi / count)))  # a true rectangle


def test_shapes_at_angle_0_stand_upright():
    square = SHAPES["square"]
    assert sorted(map(tuple, square.round(12).tolist())) == [(-0.5, -0.5), (-0.5, 0.5), (0.5, -0.5), (0.5, 0.5)]
    for name in ("triangle", "pentagon", "star_4", "star_5", "spoke_4", "spoke_5", "spoke_3"):
        mirrored = SHAPES[name] * [-1, 1]
        near = np.linalg.norm(mirrored[:, None] - SHAPES[name], axis=-1).min(axis=1)
        np.testing.assert_allclose(near, 0, atol=1e-12)
    for name in ("triangle", "pentagon", "star_4", "star_5"):
        top = SHAPES[name][SHAPES[name][:, 1].argmax()]
        assert top == pytest.approx([0, np.linalg.norm(SHAPES[name], axis=1).max()], abs=1e-12)


def test_the_closed_forms_of_regular_polygons():
    triangle, hexagon = SHAPES["triangle"], SHAPES["hexagon"]
    assert np.linalg.norm(triangle, axis=1) == pytest.approx(2 / 27**0.25)
    assert np.linalg.norm(hexagon[0] - hexagon[1]) == pytest.approx(math.sqrt(2 / (3 * math.sqrt(3))))
    assert regular(4, 0)[0] == pytest.approx([math.sqrt(0.5), 0])


def test_a_polygon_is_scaled_turned_counterclockwise_and_carried():
    corners = polygon("triangle", 0.3, 0.6, 90, 0.2)
    assert area(corners) == pytest.approx(0.04)
    assert corners[0] == pytest.approx([0.3 - 0.2 * 2 / 27**0.25, 0.6])  # its tip turned from the top to the left
    np.testing.assert_allclose(polygon("spoke_5", 0, 0), SHAPES["spoke_5"])


def test_many_polygons_are_each_as_one_is():
    rng = np.random.default_rng(0)
    codes, numbers = np.arange(1, 14), rng.uniform(0.1, 1, (13, 4)) * [1, 1, 360, 1]
    many = polygons(codes, *numbers.T)
    for name, corners, row in zip(SHAPE_NAMES, many, numbers, strict=True):
        np.testing.assert_array_equal(corners[: CORNERS[name]], polygon(name, *row))


@pytest.mark.parametrize("name", SHAPE_NAMES)
def test_the_share_of_points_inside_is_the_area(name):
    corners = polygon(name, 0.5, 0.5, 33, 0.55)
    grid = (np.arange(300) + 0.5) / 300
    points = np.stack(np.meshgrid(grid, grid), axis=-1)
    assert contains(corners, points).mean() == pytest.approx(0.55**2, abs=1e-3)


def test_the_notches_of_a_star_and_of_a_cross_are_outside():
    tips = SHAPES["star_5"][1::2]
    assert not contains(SHAPES["star_5"], (tips + np.roll(tips, -1, axis=0)) / 2).any()
    assert contains(SHAPES["star_5"], tips * 0.99).all()
    cross = polygon("spoke_4", 0.5, 0.5, 0, 0.4)
    assert contains(cross, [[0.5, 0.5], [0.5, 0.73], [0.27, 0.5]]).all()
    assert not contains(cross, [[0.65, 0.65], [0.35, 0.35], [0.5, 0.75]]).any()


def test_neighbours_share_no_point():
    left, right = polygon("square", 0.25, 0.5, 0, 0.5), polygon("square", 0.75, 0.5, 0, 0.5)
    seam = np.stack([np.full(9, 0.5), np.linspace(0.3, 0.7, 9)], axis=1)
    assert (contains(left, seam) ^ contains(right, seam)).all()


def test_unknown_shapes_are_refused():
    with pytest.raises(UsageError, match=r"unknown shape 'sqare' \(did you mean 'square'\?\); there are: triangle"):
        polygon("sqare", 0, 0)
    for code in (0, 14, 1.5):
        with pytest.raises(UsageError, match="codes 1 to 13"):
            polygons([code], [0], [0], [0], [1])
