"""Figures: the files of a run, and the pictures in them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from equiworld.reporting import figures


def test_a_sheet_has_every_picture_in_its_place() -> None:
    rows = [np.full((2, 3, 4, 1), 10, np.uint8), np.full((1, 3, 4, 1), 20, np.uint8)]
    picture = figures.sheet(rows)
    assert picture.shape == (8, 10, 1)
    assert (picture[:3, :4] == 10).all() and (picture[:3, 6:] == 10).all() and (picture[5:, :4] == 20).all()
    assert (picture[3:5] == 128).all() and (picture[5:, 6:] == 128).all()
    assert figures.sheet(rows, scale=2).shape == (16, 20, 1)


@pytest.mark.parametrize(("channels", "off"), [(1, 2), (3, 8)])
def test_a_png_with_fewer_colours_is_nearly_the_same(channels: int, off: int) -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8)[:, None, None], (1, 64, channels))
    whole = np.asarray(Image.open(io.BytesIO(figures.png(ramp))).convert("RGB"))
    assert (whole == ramp).all()
    fewer = np.asarray(Image.open(io.BytesIO(figures.png(ramp, 64))).convert("RGB")).astype(int)
    assert np.abs(fewer - ramp).max() <= off
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, channels), dtype=np.uint8)
    assert len(figures.png(noise, 16)) < len(figures.png(noise)) / 1.5


def test_the_files_of_a_run(reported: dict[str, Any]) -> None:
    for name, kinds in (("rgrvae", 4), ("vae", 3)):
        folder = reported[name].run / "figures"
        found = reported[name].view.strips
        assert len(found) == kinds
        assert sorted(path.name for path in folder.iterdir()) == sorted(
            f"{kind}.{suffix}" for kind in found for suffix in ("png", "gif")
        )
        for kind, strip in found.items():
            moving = Image.open(folder / f"{kind}.gif")
            longest = max(map(len, strip.rows))
            steps = {
                "reconstructions": 2,
                "traversals": 2 * longest - 2,
                "geodesics": 2 * longest - 2,
                "actions": longest,
            }
            # A frame like the one before is shown longer instead of twice.
            assert 1 < moving.n_frames <= steps[kind]
            still = Image.open(folder / f"{kind}.png")
            height, width = strip.rows[0].shape[1:3]
            columns = max(len(row[:16]) for row in strip.rows)
            assert still.size == (2 * (columns * (width + 2) - 2), 2 * (len(strip.rows) * (height + 2) - 2))


def test_rows_show_what_the_model_decodes(reported: dict[str, Any]) -> None:
    subject, strips = reported["rgrvae"].subject, reported["rgrvae"].view.strips
    states = subject.assembly.split.test
    image = subject.data.images(states[:1])
    code = subject.model.encode(image)
    again = figures.pixels(subject.model.decode(code))[0]
    assert (strips["reconstructions"].rows[0][0] == figures.pixels(image)[0]).all()
    assert np.abs(strips["reconstructions"].rows[1][0].astype(int) - again).max() <= 1
    for row in strips["actions"].rows:  # each begins where the reconstruction is
        assert np.abs(row[0].astype(int) - again).max() <= 1
