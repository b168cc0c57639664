"""Colour maps against the standard library."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest

from equiworld.envs.registry import UsageError
from equiworld.envs.spriteworld.colours import COLOUR_MAPS, colour_map, hsv, hsv_to_unit_rgb, rgb


def test_hues_are_those_of_colorsys_to_the_bit():
    colours = np.random.default_rng(0).random((5000, 3))
    colours[:50, 1], colours[50:100, 0], colours[100:150, 0] = 0, 0, 1
    colours[150:157, 0] = np.arange(7) / 6
    want = np.array([colorsys.hsv_to_rgb(*row) for row in colours])
    np.testing.assert_array_equal(hsv_to_unit_rgb(colours), want)
    np.testing.assert_array_equal(hsv(colours), (255 * want).astype(np.uint8))


def test_known_colours_in_any_shape():
    sixths = np.array([[[i / 6, 1, 1] for i in range(6)]])
    assert hsv(sixths).tolist() == [
        [[255, 0, 0], [255, 255, 0], [0, 255, 0], [0, 255, 255], [0, 0, 255], [255, 0, 255]]
    ]
    assert hsv([0.3, 0, 0.5]).tolist() == [127, 127, 127]
    assert rgb([[0, 127.9, 255]]).tolist() == [[0, 127, 255]]


def test_what_is_no_colour_is_refused():
    for bad in ([0.1, 0.2], [0.1, 0.2, 1.1], [-0.1, 0, 0], [np.nan, 0, 0]):
        with pytest.raises(UsageError):
            hsv(bad)
    with pytest.raises(UsageError, match="0 to 255"):
        rgb([0, 0, 256])
    assert colour_map("hsv") is COLOUR_MAPS["hsv"]
    with pytest.raises(UsageError, match="unknown colour map 'hsl'"):
        colour_map("hsl")
