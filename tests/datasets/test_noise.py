"""Noise: its statistics, its backgrounds, its repeatability, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from equiworld.datasets.noise import BackgroundNoise, NoiseOptions, make_noise, make_textures
from equiworld.envs import UsageError

SHAPE = (32, 32, 1)
GREY = torch.full((64, 1, 32, 32), 0.5)
OWN = torch.arange(64)


def source(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_none_changes_nothing_and_says_so() -> None:
    noise = make_noise("none", image_shape=SHAPE)
    assert torch.equal(noise(GREY, OWN, source()), GREY)
    assert not noise.independent


@pytest.mark.parametrize("name", ["gaussian", "uniform", "salt", "background"])
def test_noise_is_repeatable_in_range_and_leaves_its_input_alone(name: str) -> None:
    noise = make_noise(name, image_shape=SHAPE)
    images = torch.rand(16, 1, 32, 32, generator=source(5))
    copy = images.clone()
    first, again, other = (noise(images, OWN[:16], source(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(images, copy)
    assert first.shape == images.shape and first.dtype == torch.float32
    assert first.min() >= 0 and first.max() <= 1
    assert noise.independent


def test_gaussian_has_its_standard_deviation() -> None:
    for level in (None, 0.05):
        change = make_noise("gaussian", level, image_shape=SHAPE)(GREY, OWN, source()) - GREY
        std = 0.1 if level is None else level
        assert abs(float(change.std()) - std) < 0.02 * std
        assert abs(float(change.mean())) < 0.02 * std
        # A normal distribution, not a uniform one: 68.3 % lie within a standard deviation.
        assert abs(float((change.abs() < std).float().mean()) - 0.683) < 0.01


def test_uniform_fills_its_interval() -> None:
    change = make_noise("uniform", 0.2, image_shape=SHAPE)(GREY, OWN, source()) - GREY
    assert -1e-6 <= change.min() < 0.001 and 0.199 < change.max() <= 0.2 + 1e-6
    assert abs(float(change.mean()) - 0.1) < 0.001
    assert abs(float(change.std()) - 0.2 / 12**0.5) < 0.001


def test_salt_has_its_share_of_white_pixels_and_changes_no_other() -> None:
    for level, share in ((None, 0.1), (0.3, 0.3)):
        noisy = make_noise("salt", level, image_shape=SHAPE)(GREY, OWN, source())
        assert abs(float((noisy == 1).float().mean()) - share) < 0.01
        assert set(noisy.unique().tolist()) == {0.5, 1.0}


def test_salt_is_white_in_all_channels() -> None:
    noisy = make_noise("salt", image_shape=(32, 32, 3))(torch.zeros(8, 3, 32, 32), OWN[:8], source())
    assert torch.equal(noisy, noisy[:, :1].expand_as(noisy))


def test_the_background_follows_its_formula_and_its_groups() -> None:
    backgrounds = torch.stack([torch.full((1, 32, 32), value) for value in (0.2, 0.6, 0.9)])
    noise = BackgroundNoise(backgrounds, 0.1)
    groups = torch.arange(300).repeat_interleave(2) + 7
    images = torch.cat([torch.zeros(1, 1, 32, 32), torch.full((1, 1, 32, 32), 0.5)]).repeat(300, 1, 1, 1)
    noisy = noise(images, groups, source())
    black, grey = noisy[0::2, 0, 0, 0], noisy[1::2, 0, 0, 0]
    # 1 - (1 - x) (1 - (b - 0.1)): b - 0.1 behind black, half way from there to white behind grey.
    assert torch.allclose(grey, 1 - 0.5 * (1 - black))
    assert torch.allclose(black.unique(), torch.tensor([0.1, 0.5, 0.8]))
    shares = [float((black - value).abs().lt(1e-5).float().mean()) for value in (0.1, 0.5, 0.8)]
    assert all(abs(share - 1 / 3) < 0.1 for share in shares)
    assert torch.equal(noise(torch.ones(2, 1, 32, 32), OWN[:2], source()), torch.ones(2, 1, 32, 32))


def test_a_dark_background_is_clamped() -> None:
    noise = BackgroundNoise(torch.zeros(1, 1, 4, 4), 0.1)
    assert torch.equal(noise(torch.zeros(1, 1, 4, 4), OWN[:1], source()), torch.zeros(1, 1, 4, 4))


def test_textures_are_smooth_spread_and_seeded() -> None:
    textures = make_textures(10, (64, 64, 1), source(3))
    assert textures.shape == (10, 1, 64, 64)
    assert textures.min() >= 0 and textures.max() <= 1
    assert (textures.flatten(1).mean(dim=1) - 0.45).abs().max() < 0.02
    assert (textures.flatten(1).std(dim=1) - 0.22).abs().max() < 0.03
    # Neighbours are alike: their difference is a small part of the spread.
    assert float((textures[..., 1:] - textures[..., :-1]).std()) < 0.25 * 0.22
    assert torch.equal(textures, make_textures(10, (64, 64, 1), source(3)))
    made = [make_noise("background", image_shape=SHAPE, seed=seed) for seed in (0, 0, 1)]
    assert all(isinstance(noise, BackgroundNoise) and len(noise.backgrounds) == 10 for noise in made)
    assert torch.equal(made[0].backgrounds, made[1].backgrounds)  # type: ignore[attr-defined]
    assert not torch.equal(made[0].backgrounds, made[2].backgrounds)  # type: ignore[attr-defined]


def test_a_folder_of_images(tmp_path: Path) -> None:
    colours = {"b.png": (10, 20, 30), "a.png": (255, 0, 0), "c.JPG": (0, 0, 0)}
    for name, colour in colours.items():
        Image.new("RGB", (5, 7), colour).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    read = NoiseOptions("background", backgrounds=str(tmp_path), background_count=2).make((32, 16, 3))
    assert isinstance(read, BackgroundNoise)
    assert read.backgrounds.shape == (2, 3, 32, 16)
    expected = np.array([[255, 0, 0], [10, 20, 30]], dtype=np.float32) / 255
    assert np.array_equal(read.backgrounds[:, :, 4, 9].numpy(), expected)
    grey = make_noise("background", backgrounds=tmp_path, image_shape=SHAPE)
    assert isinstance(grey, BackgroundNoise)
    assert grey.backgrounds.shape == (3, 1, 32, 32)
    assert abs(float(grey.backgrounds[0, 0, 0, 0]) - 0.299) < 0.005  # the luma of red


def test_images_are_resized_to_the_nearest_pixel(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 255], [255, 0]], dtype=np.uint8)).save(tmp_path / "a.png")
    read = make_noise("background", backgrounds=tmp_path, image_shape=(4, 4, 1))
    assert isinstance(read, BackgroundNoise)
    assert torch.equal(read.backgrounds[0, 0], torch.eye(2).logical_not().float().kron(torch.ones(2, 2)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"name": "gausian"},
            "unknown noise 'gausian' (did you mean 'gaussian'?); there are: none, gaussian, uniform, salt, background",
        ),
        ({"name": "salt", "level": 1.5}, "the level of the noise 'salt' must be between 0 and 1, got 1.5"),
        ({"name": "gaussian", "level": -0.1}, "the level of the noise 'gaussian' must be 0 or more, got -0.1"),
        ({"name": "uniform", "level": float("nan")}, "the level of the noise 'uniform' must be 0 or more, got nan"),
        ({"name": "none", "level": 0.1}, "the noise level needs a noise: none was chosen"),
        ({"name": "background", "count": 0}, "the number of backgrounds must be 1 or more, got 0"),
        (
            {"name": "salt", "backgrounds": "x"},
            "a folder of backgrounds belongs to the noise 'background', not to 'salt'",
        ),
        ({"name": "background", "backgrounds": "absent"}, "there is no folder of backgrounds 'absent'"),
    ],
)
def test_refusals_are_one_line(arguments: dict, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_noise(**arguments, image_shape=SHAPE)
    assert str(caught.value) == message


def test_an_unusable_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^the folder of backgrounds .* holds no images \(\.bmp, .*\)$"):
        make_noise("background", backgrounds=tmp_path, image_shape=SHAPE)
    (tmp_path / "a.png").write_bytes(b"not a picture")
    with pytest.raises(UsageError, match=r"^the background .*a\.png' cannot be read as an image$"):
        make_noise("background", backgrounds=tmp_path, image_shape=SHAPE)
    with pytest.raises(UsageError, match=r"1 or 3 channels, got 2$"):
        make_noise("background", backgrounds=tmp_path, image_shape=(32, 32, 2))
