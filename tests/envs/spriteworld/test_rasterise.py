"""Pictures of polygons against what they cover exactly, alone and in layers, and drawn again where they changed."""

from __future__ import annotations

import numpy as np
import pytest

from equiworld.envs.registry import UsageError
from equiworld.envs.spriteworld.rasterise import Canvas, coverage, render, topmost
from equiworld.envs.spriteworld.shapes import SHAPE_NAMES, area, contains, polygon

WHITE = np.full((1, 1, 3), 255, dtype=np.uint8)


def random_sprites(rng, *shape, low=0.05, high=0.6, codes=range(1, 14)):
    columns = [
        rng.uniform(-0.05, 1.05, shape),
        rng.uniform(-0.05, 1.05, shape),
        rng.choice(list(codes), shape),
        rng.uniform(0, 360, shape),
        rng.uniform(low, high, shape),
    ]
    return np.stack(columns, axis=-1)


def outline(sprite):
    x, y, code, angle, scale = sprite
    return polygon(SHAPE_NAMES[int(code) - 1], x, y, angle, scale)


def clipped(corners, axis, bound, sign):
    """What is left of a polygon on one side of a line (Sutherland and Hodgman 1974)."""
    kept = []
    for start, end in zip(corners, corners[1:] + corners[:1], strict=True):
        inside_start, inside_end = sign * (start[axis] - bound) >= 0, sign * (end[axis] - bound) >= 0
        if inside_start:
            kept.append(start)
        if inside_start != inside_end:
            share = (bound - start[axis]) / (end[axis] - start[axis])
            kept.append(tuple(s + share * (e - s) for s, e in zip(start, end, strict=True)))
    return kept


def exact(corners, height, width):
    """The share of each pixel that a polygon covers: the area of the polygon cut to that pixel."""
    pixels = [(x * width, (1 - y) * height) for x, y in corners.tolist()]
    shares = np.zeros((height, width))
    for c in range(width):
        strip = clipped(clipped(pixels, 0, c, 1), 0, c + 1, -1)
        for r in range(height if strip else 0):
            cell = clipped(clipped(strip, 1, r, 1), 1, r + 1, -1)
            shares[r, c] = abs(area(cell)) if cell else 0
    return shares


def sampled(sprites, colours, height, width, background, points=32):
    """Pictures of layers by many samples a pixel."""
    x, y = (
        (np.arange(width * points) + 0.5) / (width * points),
        1 - (np.arange(height * points) + 0.5) / (height * points),
    )
    places = np.stack(np.meshgrid(x, y), axis=-1)
    fine = np.broadcast_to(np.float64(background), (*places.shape[:2], len(background))).copy()
    for sprite, colour in zip(sprites, colours, strict=True):
        fine[contains(outline(sprite), places)] = colour
    return fine.reshape(height, points, width, points, -1).mean((1, 3))


@pytest.mark.parametrize("height, width", [(16, 16), (9, 21)])
@pytest.mark.parametrize("code", range(1, 14))
def test_a_pixel_is_as_bright_as_it_is_covered(code, height, width):
    rng = np.random.default_rng(code)
    sprites = np.concatenate(
        [random_sprites(rng, 3, 1, codes=[code]), random_sprites(rng, 1, 1, high=1.5, codes=[code])]
    )
    for sprite in sprites:
        want = exact(outline(sprite[0]), height, width)
        np.testing.assert_allclose(coverage(outline(sprite[0]), height, width), want, atol=1e-9)
        error = np.abs(render(sprite[None], WHITE, height=height, width=width)[0] - 255 * want[..., None])
        assert error.max() <= 0.5 + 1e-6


def test_edges_on_the_pixel_grid_are_sharp():
    square = [[[0.5, 0.5, 2, 0, 0.5]]]
    want = np.zeros((8, 8), dtype=np.uint8)
    want[2:6, 2:6] = 255
    for angle in (0, 90, 180, 270):
        square[0][0][3] = angle
        np.testing.assert_array_equal(render(square, WHITE, height=8, width=8)[0, ..., 0], want)
    # Half a pixel to the right, a quarter of a pixel down.
    image = render([[[0.5 + 0.5 / 8, 0.5 - 0.25 / 8, 2, 0, 0.5]]], WHITE, height=8, width=8)[0, ..., 0]
    assert image[1:8, 4].tolist() == [0, 191, 255, 255, 255, 64, 0]
    assert image[4, 1:8].tolist() == [0, 128, 255, 255, 255, 128, 0]


def test_row_0_is_the_top_and_rows_are_the_height():
    image = render([[[0.75, 0.9, 2, 0, 0.1]]], WHITE, height=20, width=40)[0, ..., 0]
    assert image.shape == (20, 40)
    rows, columns = np.nonzero(image)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (1, 2, 28, 31)


def test_the_brightness_of_a_picture_is_the_area():
    rng = np.random.default_rng(1)
    sprites = random_sprites(rng, 200, 1, low=0.1, high=0.5)
    sprites[..., :2] = 0.5
    images = render(sprites, np.full((200, 1, 1), 255), height=64, width=64)
    np.testing.assert_allclose(images.mean((1, 2, 3)) / 255, sprites[:, 0, 4] ** 2, atol=2e-4)


def test_layers_are_as_many_samples_have_them():
    rng = np.random.default_rng(2)
    errors = []
    for _ in range(5):
        sprites = random_sprites(rng, 4, low=0.2, high=0.6)
        colours = rng.integers(0, 256, (4, 3)).astype(np.uint8)
        image = render(sprites[None], colours[None], height=12, width=12, background=(10, 200, 30))[0]
        errors.append(np.abs(image - sampled(sprites, colours, 12, 12, (10, 200, 30))))
    assert np.max(errors) < 4
    assert np.mean(errors) < 0.3


def test_a_sprite_hides_the_same_sprite_behind_it():
    sprite = [0.52, 0.47, 8, 12, 0.5]
    colours = np.array([[[0, 0, 255], [255, 0, 0]]], dtype=np.uint8)
    image = render([[sprite, sprite]], colours, height=32, width=32)[0]
    alone = render([[sprite]], colours[:, 1:], height=32, width=32)[0]
    assert image[..., 2].max() == 0  # shares alone would let a quarter of the blue shine through along the edges
    assert np.abs(image.astype(int) - alone).max() <= 2


def test_the_last_sprite_is_in_front():
    sprites = np.array([[[0.4, 0.5, 2, 0, 0.4], [0.6, 0.5, 2, 0, 0.4]]])
    colours = np.array([[[255, 0, 0], [0, 255, 0]]], dtype=np.uint8)
    assert render(sprites, colours)[0, 32, 32].tolist() == [0, 255, 0]
    assert render(sprites[:, ::-1], colours[:, ::-1])[0, 32, 32].tolist() == [255, 0, 0]


def test_a_canvas_draws_what_a_new_picture_would_show():
    rng = np.random.default_rng(3)
    canvas = Canvas(6, 24, 32, background=(9, 8, 7))
    images = np.full((6, 24, 32, 3), 77, dtype=np.uint8)
    sprites, colours, counts = random_sprites(rng, 6, 3), rng.integers(0, 256, (6, 3, 3)), np.full(6, 3)
    assert canvas.draw(images, sprites, colours, counts) == 6
    for _ in range(30):
        moved = rng.random(6) < 0.5
        sprites[moved] = random_sprites(rng, int(moved.sum()), 3)
        repainted = rng.random(6) < 0.2
        colours[repainted, 0, 1] = (colours[repainted, 0, 1] + 1) % 256
        before = counts.copy()
        counts = np.where(rng.random(6) < 0.2, rng.integers(0, 4, 6), counts)
        drawn = canvas.draw(images, sprites, colours, counts)
        assert drawn == int((moved & (counts > 0) | repainted & (counts > 0) | (counts != before)).sum())
        fresh = render(sprites, colours, counts, height=24, width=32, background=(9, 8, 7))
        np.testing.assert_array_equal(images, fresh)


def test_where_few_of_many_sprites_move_the_picture_is_as_a_new_one() -> None:
    rng = np.random.default_rng(6)
    canvas, images = Canvas(4, 40, 48, background=(3, 100, 7)), np.zeros((4, 40, 48, 3), dtype=np.uint8)
    sprites, colours = random_sprites(rng, 4, 12, low=0.1, high=0.3), rng.integers(0, 256, (4, 12, 3))
    counts = np.full(4, 12)
    for turn in range(80):
        one = rng.integers(0, 12, 4)
        sprites[np.arange(4), one, :2] += rng.normal(0, 0.1, (4, 2))
        sprites[turn % 4, turn % 12] = random_sprites(rng, low=0.1, high=0.3)
        colours[turn % 4, one[0]] = rng.integers(0, 256, 3)
        if turn % 5 == 0:
            counts[turn % 4] = rng.integers(10, 13)
        canvas.draw(images, sprites, colours, counts)
        fresh = render(sprites, colours, counts, height=40, width=48, background=(3, 100, 7))
        np.testing.assert_array_equal(images, fresh)


def test_a_canvas_leaves_alone_what_has_not_changed_until_it_forgets():
    canvas, images = Canvas(2, 8, 8, channels=1), np.zeros((2, 8, 8, 1), dtype=np.uint8)
    sprites, colours = np.tile([0.5, 0.5, 2.0, 0.0, 0.5], (2, 1, 1)), np.full((2, 1, 1), 255)
    assert canvas.draw(images, sprites, colours) == 2
    images[:, 0, 0] = 1  # a mark that nobody else should leave
    sprites[1, 0, 0] = 0.4
    assert canvas.draw(images, sprites, colours) == 1
    assert images[:, 0, 0, 0].tolist() == [1, 1]  # only the box of the sprite was wiped
    canvas.forget()
    assert canvas.draw(images, sprites, colours) == 2
    assert images[:, 0, 0, 0].tolist() == [0, 0]


def test_more_sprites_than_before():
    canvas, images = Canvas(1, 16, 16), np.zeros((1, 16, 16, 3), dtype=np.uint8)
    rng = np.random.default_rng(4)
    for number in (1, 4, 2, 6):
        sprites, colours = random_sprites(rng, 1, number), rng.integers(0, 256, (1, number, 3))
        canvas.draw(images, sprites, colours)
        np.testing.assert_array_equal(images, render(sprites, colours, height=16, width=16))


def test_columns_of_a_wider_array_and_empty_batches():
    wide = np.zeros((2, 1, 10))
    wide[..., :5] = [0.5, 0.5, 2, 0, 0.5]
    np.testing.assert_array_equal(
        render(wide[..., :5], np.full((2, 1, 1), 255)), render(wide[..., :5].copy(), np.full((2, 1, 1), 255))
    )
    assert render(np.zeros((0, 1, 5)), np.zeros((0, 1, 3))).shape == (0, 64, 64, 3)
    assert render(np.zeros((2, 0, 5)), np.zeros((2, 0, 3)), background=5).mean() == 5


def test_sprites_out_of_sight_and_of_no_size_draw_nothing():
    for sprite in ([3, 3, 6, 0, 0.5], [-2, 0.5, 7, 0, 0.5], [0.5, 0.5, 1, 0, 0], [0.5, 0.5, 1, 0, 1e-200]):
        assert render([[sprite]], WHITE).max() == 0
    assert render([[[0.5, 0.5, 2, 45, 1e6]]], WHITE).min() == 255


def test_the_topmost_sprite_at_a_point():
    rng = np.random.default_rng(5)
    sprites, points = random_sprites(rng, 400, 3, high=0.9), rng.random((400, 2))
    counts = rng.integers(0, 4, 400)
    found = topmost(sprites, points, counts)
    want = []
    for row, point, count in zip(sprites, points, counts, strict=True):
        hits = [s for s in range(count) if contains(outline(row[s]), point)]
        want.append(hits[-1] if hits else -1)
    assert found.tolist() == want
    assert len(set(want)) == 4  # each answer occurs


@pytest.mark.parametrize("code", [0, 14, 1.5, np.nan])
def test_sprites_that_are_none_are_refused(code):
    sprites = np.tile([0.5, 0.5, 2, 0, 0.5], (3, 1, 1))
    sprites[1, 0, 2] = code
    for use in (lambda: render(sprites, np.zeros((3, 1, 3))), lambda: topmost(sprites, np.zeros((3, 2)))):
        with pytest.raises(UsageError, match="shape from 1 to 13: one of row 1 has not"):
            use()


def test_shapes_that_do_not_belong_together_are_refused():
    canvas, images = Canvas(2, 8, 8), np.zeros((2, 8, 8, 3), dtype=np.uint8)
    sprites, colours = np.tile([0.5, 0.5, 2, 0, 0.5], (2, 1, 1)), np.zeros((2, 1, 3))
    for wrong in (images[:1], images.astype(float), images.transpose(0, 2, 1, 3)):
        with pytest.raises(UsageError, match="contiguous"):
            canvas.draw(wrong, sprites, colours)
    for rows, paints in ((sprites[..., :4], colours), (sprites, colours[..., :1]), (sprites[:1], colours[:1])):
        with pytest.raises(UsageError, match="are accepted"):
            canvas.draw(images, rows, paints)
    for counts in ([2, 0], [-1, 0], [1]):
        with pytest.raises(UsageError, match="counts"):
            canvas.draw(images, sprites, colours, counts)
    with pytest.raises(UsageError, match="1 or more"):
        Canvas(1, 0, 8)
    with pytest.raises(UsageError, match="background"):
        Canvas(1, 8, 8, background=(1, 2))
