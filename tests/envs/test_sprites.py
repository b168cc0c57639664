"""The grid of sprites: its states, pictures, places and actions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from equiworld.envs import ImaSprites, Sprites, UsageError, make_world, true_groups
from equiworld.envs.ima_sprites import through
from equiworld.envs.sprites import SPRITE_SHAPES, WIDTH
from equiworld.envs.spriteworld.shapes import area, centroid, ellipse


def rows(world, n, seed=0):
    return world.factors.sample(np.random.default_rng(seed), n)


def test_the_factors_of_dsprites():
    world = Sprites()
    assert world.factors.names == ("shape", "scale", "orientation", "x", "y")
    assert world.factors.sizes.tolist() == [3, 6, 40, 32, 32]
    assert world.factors.size == 737_280
    assert [factor.kind for factor in world.factors.factors] == ["categorical"] + ["cyclic"] * 4
    assert isinstance(make_world("sprites", positions=4), Sprites)


def test_the_eight_actions_and_their_angles():
    world = Sprites()
    assert [(action.name, action.factor, action.amount, action.inverse) for action in world.actions] == [
        ("scale +", 1, 2, 1),
        ("scale -", 1, -2, 0),
        ("orientation +", 2, 4, 3),
        ("orientation -", 2, -4, 2),
        ("x +", 3, 4, 5),
        ("x -", 3, -4, 4),
        ("y +", 4, 4, 7),
        ("y -", 4, -4, 6),
    ]
    assert [round(action.angle, 2) for action in world.actions[::2]] == [2.09, 0.63, 0.79, 0.79]
    groups = true_groups(world)
    assert {column: (group.order, group.codes) for column, group in groups.items()} == {
        1: (3, (0, 1)),
        2: (10, (2, 3)),
        3: (8, (4, 5)),
        4: (8, (6, 7)),
    }


def test_actions_wrap_and_undo_each_other():
    world = Sprites()
    state = [[1, 5, 38, 30, 1]]
    after = [world.act(state, [code])[0].tolist() for code in range(8)]
    assert after[0] == [1, 1, 38, 30, 1] and after[1] == [1, 3, 38, 30, 1]
    assert after[2] == [1, 5, 2, 30, 1] and after[3] == [1, 5, 34, 30, 1]
    assert after[4] == [1, 5, 38, 2, 1] and after[7] == [1, 5, 38, 30, 29]
    states = np.repeat(rows(world, 50), 8, axis=0)
    codes = np.tile(np.arange(8), 50)
    back = np.array([action.inverse for action in world.actions])[codes]
    np.testing.assert_array_equal(world.act(world.act(states, codes), back), states)


def test_a_stride_is_never_half_a_circle_and_small_factors_rest():
    world = Sprites(scales=2, orientations=1, positions=5, stride=20)
    assert [(action.name, action.amount) for action in world.actions] == [
        ("x +", 2),
        ("x -", -2),
        ("y +", 2),
        ("y -", -2),
    ]
    assert [action.inverse for action in world.actions] == [1, 0, 3, 2]


@pytest.mark.parametrize("name", list(SPRITE_SHAPES))
def test_the_shapes_have_one_area_about_their_centre_of_mass(name):
    corners = SPRITE_SHAPES[name]
    assert area(corners) == pytest.approx(1)
    np.testing.assert_allclose(centroid(corners), 0, atol=1e-12)


def test_the_ellipse_and_the_heart():
    corners = ellipse(2.0, 400)
    assert np.ptp(corners[:, 0]) / np.ptp(corners[:, 1]) == pytest.approx(2)
    assert np.ptp(corners[:, 0]) == pytest.approx(2 * math.sqrt(2 / math.pi), rel=1e-3)
    heart = SPRITE_SHAPES["heart"]
    np.testing.assert_allclose(np.sort(heart[:, 0]), np.sort(-heart[:, 0]), atol=1e-12)  # left as right
    assert abs(heart[heart[:, 1].argmin(), 0]) < 1e-12  # on its tip
    assert heart[abs(heart[:, 0]) < 1e-9, 1].max() < heart[:, 1].max()  # with a notch


def test_pictures_show_area_and_place():
    world = Sprites(antialias=True)
    states = rows(world, 300)
    images = world.render(states)
    assert images.shape == (300, 64, 64, 1) and images.dtype == np.uint8
    share = images.mean((1, 2, 3)) / 255
    np.testing.assert_allclose(share, (WIDTH * (0.5 + 0.1 * states[:, 1])) ** 2, atol=3e-4)
    weights = images[..., 0] / images.sum((1, 2, 3), dtype=np.int64)[:, None, None]
    mean = np.stack([(weights.sum(2) * np.arange(64)).sum(1), (weights.sum(1) * np.arange(64)).sum(1)], axis=1)
    np.testing.assert_allclose(mean, world.centre(states), atol=0.02)
    assert world.centre([[0, 0, 0, 0, 0]]).tolist() == [[47, 16]]
    assert world.centre([[0, 0, 0, 31, 31]]).tolist() == [[16, 47]]


def test_pictures_are_black_and_white_by_default():
    states = rows(Sprites(), 200)
    hard, soft = Sprites().render(states), Sprites(antialias=True).render(states)
    assert np.unique(hard).tolist() == [0, 255]
    np.testing.assert_array_equal(hard == 255, soft >= 128)
    assert len(np.unique(soft)) > 100


def test_orientation_turns_counterclockwise():
    world = Sprites(shapes=["heart"], antialias=True, size=65)
    middle = [[0, 5, turn, 15, 15] for turn in (0, 10, 20, 30)]
    shifted = Sprites(shapes=["heart"], antialias=True, size=65, positions=1)
    images = shifted.render([[0, 5, turn, 0, 0] for turn in (0, 10, 20, 30)])[..., 0]
    for quarter in range(1, 4):
        np.testing.assert_allclose(images[quarter].astype(int), np.rot90(images[0], quarter), atol=1)
    assert len(np.unique(world.render(middle).reshape(4, -1), axis=0)) == 4


def test_what_looks_alike():
    world = Sprites()
    states = np.array([[shape, 5, turn, 8, 9] for shape in range(3) for turn in range(40)])
    images = world.render(states).reshape(3, 40, -1)
    assert [len(np.unique(each, axis=0)) for each in images] == [10, 20, 40]


def test_every_heart_differs():
    world = Sprites(shapes=["heart"], positions=6, orientations=20)
    images = world.render(world.factors.grid())
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == world.factors.size


def test_no_sprite_is_cut():
    world = Sprites(positions=1000)
    corner, other = world.geometry([[0, 5, 0, 0, 0], [0, 5, 0, 999, 999]])
    reach = WIDTH * max(np.linalg.norm(corners, axis=1).max() for corners in SPRITE_SHAPES.values())
    assert corner[:2].min() - reach >= 0 and other[:2].max() + reach <= 1


def test_a_smaller_grid_is_part_of_the_whole():
    whole, part = Sprites(), Sprites(shapes=["ellipse"], scales=3, orientations=10, positions=32, stride=1)
    few = rows(part, 40)
    same = few * [1, 1, 4, 1, 1] + [1, 0, 0, 0, 0]
    geometry, other = part.geometry(few), whole.geometry(same)
    np.testing.assert_allclose(geometry[:, [0, 1, 3]], other[:, [0, 1, 3]])
    assert sorted(set((geometry[:, 4] / WIDTH).round(9))) == [0.5, 0.75, 1.0]


def test_channels_and_sizes():
    images = Sprites(channels=3, size=32).render([[2, 3, 4, 5, 6]])
    assert images.shape == (1, 32, 32, 3)
    assert (images == images[..., :1]).all()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"shapes": ["hart"]}, r"unknown shape 'hart' \(did you mean 'heart'\?\); there are: square, ellipse, heart"),
        ({"shapes": []}, "one shape or more"),
        ({"shapes": 3}, "one shape or more of square, ellipse, heart is accepted, each once, got 3"),
        ({"shapes": "heart"}, "one shape or more"),
        ({"shapes": [3]}, "unknown shape 3"),
        ({"shapes": ["heart", "heart"]}, "each once"),
        ({"stride": 0}, "stride must be a whole number, 1 or more, got 0"),
        ({"positions": 2.5}, "positions"),
        ({"scales": True}, "scales"),
    ],
)
def test_options_that_cannot_be_used(options, message):
    with pytest.raises(UsageError, match=message):
        Sprites(**options)


def test_a_map_carries_its_points():
    square, images = [[0, 0], [0, 63], [32, 0], [32, 63]], [[8, 3], [4, 47], [42, 15], [40, 38]]
    matrix = through(square, images)
    seen = np.c_[square, np.ones(4)] @ matrix.T
    np.testing.assert_allclose(seen[:, :2] / seen[:, 2:], images)
    affine = through(square[:3], images[:3])
    np.testing.assert_allclose((np.c_[square[:3], np.ones(3)] @ affine.T)[:, :2], images[:3])
    np.testing.assert_allclose(affine[2], [0, 0, 1], atol=1e-12)


def test_coloured_sprites():
    world = ImaSprites(angle=True, shape=True)
    assert world.factors.names == ("x", "y", "scale", "hue", "angle", "shape")
    assert world.actions == () and world.image_shape == (64, 64, 3)
    (image,) = world.render([[0.5, 0.25, 0.2, 1 / 3, 45, 1]])  # a green square on its corner
    assert image[48, 32].tolist() == [0, 255, 0] and image[16, 32].tolist() == [0, 0, 0]
    assert image[..., 1].mean() / 255 == pytest.approx(0.04, abs=1e-3)
    rows_seen = np.nonzero(image[..., 1].any(axis=1))[0]
    assert np.ptp(rows_seen) + 1 == pytest.approx(64 * 0.2 * math.sqrt(2), abs=2)
    plain = ImaSprites().render([[0.5, 0.5, 0.2, 0.0]])[0]
    assert plain[..., 0].mean() / 255 == pytest.approx(0.04, abs=1e-3) and not plain[..., 1:].any()


def test_maps_move_what_is_seen():
    """The picture through a map holds, at the image of a pixel, what the straight picture holds at the pixel."""
    state = [[0.3, 0.6, 0.2, 0.0]]
    straight = ImaSprites(size=256).render(state)[0, ..., 0].astype(float)
    for options in ({"affine": True}, {"projective": True}, {"affine": True, "projective": True}):
        world = ImaSprites(size=256, **options)
        seen = world.render(state)[0, ..., 0].astype(float)
        rows_there, columns = np.mgrid[:256, :256]
        pixels = np.stack([(columns + 0.5) / 4 - 0.5, (rows_there + 0.5) / 4 - 0.5, np.ones((256, 256))], axis=-1)
        back = pixels @ np.linalg.inv(world.map).T
        source = np.rint((back[..., :2] / back[..., 2:] + 0.5) * 4 - 0.5).astype(int)
        inside = (source >= 0).all(-1) & (source < 256).all(-1)
        want = np.where(inside, straight[source[..., 1].clip(0, 255), source[..., 0].clip(0, 255)], 0)
        assert seen.max() == 255 and not np.array_equal(seen, straight)
        assert np.abs(seen - want).mean() < 1  # they differ along the edges alone, by half a pixel


def test_coloured_states_out_of_range():
    with pytest.raises(UsageError, match="factor 'x' cannot be"):
        ImaSprites().render([[0.9, 0.5, 0.15, 0]])
    with pytest.raises(UsageError, match="image size"):
        ImaSprites(size=0)
