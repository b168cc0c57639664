"""Data sets of sprites: the grid, the coloured sprites with continuous factors, and the published file."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
import torch

from equiworld.datasets import (
    DATASETS,
    DSprites,
    SampledDataset,
    WindowLoader,
    draw_uniform,
    load,
    record_trajectory,
    split_states,
)
from equiworld.datasets.dsprites import DSpritesError
from equiworld.envs import UsageError
from equiworld.envs.sprites import Sprites

FILE = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
SIZES = (2, 3, 5, 4, 3)


@pytest.fixture
def write(tmp_path):
    """Writes a file of the published layout, some of it changed, and returns its folder and its pictures."""

    def made(**changed):
        classes = np.stack(np.unravel_index(np.arange(np.prod(SIZES)), SIZES), axis=1)
        pictures = np.random.default_rng(0).integers(0, 2, (len(classes), 9, 7)).astype(np.uint8)
        members = {
            "imgs": pictures,
            "latents_values": classes.astype(float),
            "latents_classes": np.insert(classes, 0, 0, axis=1),
            "metadata": np.array({"title": "a pickle"}, dtype=object),
        }
        np.savez_compressed(tmp_path / FILE, **{**members, **changed})
        return tmp_path, pictures

    return made


def test_the_grid_is_a_data_set_drawn_on_demand():
    data = load("sprites")
    assert len(data) == 737_280
    assert data._cache is None  # 3 GB of pictures are not kept
    numbers = np.array([0, 5000, 737_279])
    assert data.generative_factors(numbers).tolist() == [[0, 0, 0, 0, 0], [0, 0, 4, 28, 8], [2, 5, 39, 31, 31]]
    np.testing.assert_array_equal(data.frames(numbers), Sprites().render(data.generative_factors(numbers)))
    images = data.images(numbers)
    assert images.dtype == torch.float32 and tuple(images.shape) == (3, 1, 64, 64)


def test_transitions_of_a_restricted_grid():
    data = load("sprites", shapes=("heart",), scales=3, orientations=10, positions=8, stride=1)
    assert len(data) == 1920
    states = record_trajectory(data, 300).states[0]
    before, after = data.generative_factors(states[:-1]), data.generative_factors(states[1:])
    moved = (after - before) % [1, 3, 10, 8, 8]
    assert ((moved != 0).sum(axis=1) == 1).all() and not moved[:, 0].any()
    pairs = draw_uniform(data, 100)
    first = data.generative_factors(pairs.states[:, 0])
    np.testing.assert_array_equal(
        data.generative_factors(pairs.states[:, 1]), data.world.act(first, pairs.actions[:, 0])
    )
    role = split_states(len(data)).role(len(data))
    loader = WindowLoader(pairs, pairs.windows(1, role == 0), 1, 16)
    assert next(loader.epoch(0)).frames.shape[1:] == (1, 64, 64)


def test_coloured_sprites_follow_their_beta_distributions():
    data = load("ima-sprites", items=4000, angle=True, shape=True, seed=3)
    rows = data.generative_factors(np.arange(4000))
    assert rows.dtype == np.float64 and data.factors.names == ("x", "y", "scale", "hue", "angle", "shape")
    a, b = data.betas[0, :5].T
    assert ((a >= 2) & (a <= 15) & (b >= 2) & (b <= 15)).all()
    low, high = np.array([(0.2, 0.75), (0.2, 0.75), (0.11, 0.2), (0, 1), (0, 360)]).T
    unit = (rows[:, :5] - low) / (high - low)
    deviation = np.sqrt(a * b / ((a + b) ** 2 * (a + b + 1)))
    np.testing.assert_allclose(unit.mean(0), a / (a + b), atol=4 * deviation.max() / np.sqrt(4000))
    np.testing.assert_allclose(unit.std(0), deviation, rtol=0.06)
    assert np.abs(np.corrcoef(unit.T) - np.eye(5)).max() < 0.08
    shares = np.bincount(rows[:, 5].astype(int), minlength=3) / 4000
    np.testing.assert_allclose(shares, data.shape_probabilities[0], atol=0.03)


def test_coloured_sprites_are_drawn_once_from_the_seed():
    data, again, other = (load("ima-sprites", items=50, seed=seed) for seed in (1, 1, 2))
    everything = np.arange(50)
    np.testing.assert_array_equal(data.generative_factors(everything), again.generative_factors(everything))
    assert not np.array_equal(data.generative_factors(everything), other.generative_factors(everything))
    assert len(data) == 50 and isinstance(data, SampledDataset)
    image, factors = data[7]
    assert tuple(image.shape) == (3, 64, 64) and factors.tolist() == data.index_to_latent(7).tolist()
    np.testing.assert_array_equal(data.frames([7])[0], data.world.render(factors[None])[0])
    np.testing.assert_array_equal(data.get_img_by_latent(factors), image)
    assert data.images(everything).shape == (50, 3, 64, 64)
    drawn = data.sample_latent(4, np.random.default_rng(0))
    np.testing.assert_array_equal(drawn, data.sample_latent(4, np.random.default_rng(0)))
    assert data.get_img_by_latent(drawn).shape == (4, 3, 64, 64)
    assert data.sample_latent().shape == (4,)
    assert len(load("ima-sprites", items=50, seed=1, noise_name="gaussian").images([0, 1])) == 2


def test_classes_have_distributions_of_their_own():
    data = load("ima-sprites", items=6000, classes=3, seed=5)
    assert data.betas.shape == (3, 4, 2) and np.bincount(data.labels).min() > 1800
    rows = data.generative_factors(np.arange(6000))
    for label in range(3):
        a, b = data.betas[label, 3]
        assert rows[data.labels == label, 3].mean() == pytest.approx(a / (a + b), abs=0.02)


def test_what_coloured_sprites_refuse():
    data = load("ima-sprites", items=5)
    with pytest.raises(UsageError, match="items are numbered 0 to 4"):
        data.frames([5])
    with pytest.raises(UsageError, match="drawn at random"):
        data.latent_to_index(data.generative_factors(0))
    for options in ({"items": 0}, {"classes": 0}):
        with pytest.raises(UsageError, match="1 or more"):
            load("ima-sprites", **options)


def test_the_published_file_is_read(write):
    folder, pictures = write()
    for place in (folder, folder / FILE):
        data = load("dsprites", data_path=str(place), stride=2)
        assert len(data) == len(pictures) and data.world.image_shape == (9, 7, 1)
        assert data.factors.sizes.tolist() == list(SIZES)
        np.testing.assert_array_equal(data.frames(np.arange(len(data)))[..., 0], pictures * 255)
    assert [(action.name, action.amount) for action in data.world.actions] == [
        ("scale +", 1),
        ("scale -", -1),
        ("orientation +", 2),
        ("orientation -", -2),
        ("x +", 1),
        ("x -", -1),
        ("y +", 1),
        ("y -", -1),
    ]
    state = np.array([[1, 2, 4, 3, 2]])
    number = data.latent_to_index(data.world.act(state, [2]))[0]
    following = np.ravel_multi_index((1, 2, 1, 3, 2), SIZES)  # orientation 4 + 2 is 1 of 5
    np.testing.assert_array_equal(data.frames(number)[..., 0], pictures[following] * 255)


def test_a_file_that_is_not_there(tmp_path):
    for place in (tmp_path, tmp_path / "nowhere.npz"):
        with pytest.raises(DSpritesError, match="there is no file") as told:
            load("dsprites", data_path=str(place))
        line = str(told.value)
        assert f"{FILE} is published at https://github.com/google-deepmind/dsprites-dataset" in line
        assert "--data-path" in line and "\n" not in line


def test_a_file_of_something_else(write):
    folder, pictures = write()
    classes = np.insert(np.stack(np.unravel_index(np.arange(np.prod(SIZES)), SIZES), axis=1), 0, 0, axis=1)
    wrong = [
        ({"imgs": pictures * 2}, "a pixel 2; 0 and 1 are accepted"),
        ({"imgs": pictures[:-1]}, r"not bytes \[360, H, W\]"),
        ({"imgs": pictures.astype(float)}, "float64"),
        ({"imgs": np.asfortranarray(pictures)}, "column by column"),
        ({"latents_classes": classes[:, 1:]}, r"not whole numbers \[N, 6\]"),
        ({"latents_classes": classes[::-1]}, "every combination of the six factors in order"),
        ({"latents_classes": np.add(classes, [1, 0, 0, 0, 0, 0])}, "every combination"),
        ({"latents_classes": classes.astype(object)}, "not whole numbers"),
    ]
    for changed, message in wrong:
        write(**changed)
        with pytest.raises(DSpritesError, match=message) as told:
            load("dsprites", data_path=str(folder))
        assert "\n" not in str(told.value)


def test_a_damaged_file(write):
    folder, _ = write()
    whole = (folder / FILE).read_bytes()
    for content in (b"", b"no archive", whole[: len(whole) // 2], whole[:200] + b"\0" * 50 + whole[250:]):
        (folder / FILE).write_bytes(content)
        with pytest.raises(DSpritesError, match="cannot be read as"):
            load("dsprites", data_path=str(folder))
    with zipfile.ZipFile(folder / FILE, "w") as archive:
        archive.writestr("imgs.npy", b"")
    with pytest.raises(DSpritesError, match="latents_classes"):
        DSprites(folder)


def test_strides_of_the_published_file(write):
    folder, _ = write()
    with pytest.raises(UsageError, match="stride must be a whole number, 1 or more, got 0"):
        load("dsprites", data_path=str(folder), stride=0)


def test_the_names():
    assert {"sprites", "ima-sprites", "dsprites"} <= set(DATASETS.names())
