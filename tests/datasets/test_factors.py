"""The data set of all states: the factor API singly and batched, its pictures, its noise, and its names."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from equiworld import datasets
from equiworld.datasets import FactorDataset, NoiseOptions, load, make_noise
from equiworld.datasets import factors as module
from equiworld.envs import FlatLand, UsageError

WORLD = FlatLand(period=9, stride=2, radius=3, size=20)


@pytest.fixture(scope="module")
def data() -> FactorDataset:
    return FactorDataset(WORLD)


def test_items_are_pictures_and_factors(data: FactorDataset) -> None:
    assert len(data) == 81
    image, factors = data[12]
    assert image.dtype == torch.float32 and image.shape == (1, 20, 20)
    assert np.array_equal(image[0].numpy() * 255, WORLD.render(np.array([[1, 3]]))[0, :, :, 0])
    assert factors.dtype == np.int64 and factors.tolist() == [1, 3]
    assert data[-1][1].tolist() == [8, 8]
    assert len(list(data)) == 81  # type: ignore[call-overload]
    with pytest.raises(IndexError):
        data[81]


def test_the_loader_of_torch_batches_it(data: FactorDataset) -> None:
    images, factors = next(iter(DataLoader(data, batch_size=4)))
    assert images.shape == (4, 1, 20, 20)
    assert torch.equal(factors, torch.tensor([[0, 0], [0, 1], [0, 2], [0, 3]]))


def test_the_factor_api_takes_one_or_a_batch(data: FactorDataset) -> None:
    assert data.generative_factors(13).tolist() == data.index_to_latent(13).tolist() == [1, 4]
    assert data.generative_factors([13, 80]).tolist() == data.index_to_latent([13, 80]).tolist() == [[1, 4], [8, 8]]
    assert data.latent_to_index([1, 4]) == 13
    assert data.latent_to_index([[1, 4], [8, 8]]).tolist() == [13, 80]
    one, batch = data.get_img_by_latent([1, 4]), data.get_img_by_latent([[8, 8], [1, 4]])
    assert one.shape == (1, 20, 20) and batch.shape == (2, 1, 20, 20)
    assert torch.equal(batch[1], one) and torch.equal(data.images(13), one) and torch.equal(data.images([13])[0], one)
    assert data.frames(13).shape == (20, 20, 1) and data.frames([13, 14, 15]).shape == (3, 20, 20, 1)
    assert data.frames(13).dtype == np.uint8
    assert data.images([]).shape == (0, 1, 20, 20)


def test_latents_are_sampled_singly_and_batched(data: FactorDataset) -> None:
    assert data.sample_latent().shape == (2,)
    drawn = data.sample_latent(50)
    assert drawn.shape == (50, 2) and data.factors.contains(drawn).all()
    assert not np.array_equal(data.sample_latent(50), drawn)
    first, second = (data.sample_latent(50, np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(first, second)
    fresh = [FactorDataset(WORLD, seed=seed).sample_latent(50) for seed in (3, 3, 4)]
    assert np.array_equal(fresh[0], fresh[1]) and not np.array_equal(fresh[0], fresh[2])


def test_pictures_are_rendered_once_or_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    class Counting(FlatLand):
        def render(self, factors: np.ndarray) -> np.ndarray:
            calls.append(len(factors))
            return super().render(factors)

    world = Counting(period=9, stride=2, radius=3, size=20)
    cached = FactorDataset(world)
    first, second = cached.frames([5, 5, 7]), cached.frames([7])
    assert calls == [81]
    monkeypatch.setattr(module, "CACHE_BYTES", 1)
    fresh = FactorDataset(world)
    assert np.array_equal(fresh.frames([5, 5, 7]), first)
    assert np.array_equal(fresh.frames(7), second[0])
    assert calls == [81, 3, 1]


def test_changing_a_picture_does_not_change_the_data(data: FactorDataset) -> None:
    before = data.images([3, 4]).clone()
    data.images([3, 4]).zero_()
    data.frames([3, 4])[:] = 7
    assert torch.equal(data.images([3, 4]), before)


def test_noise_is_the_same_for_a_state_in_every_call() -> None:
    data = FactorDataset(WORLD, make_noise("gaussian", image_shape=WORLD.image_shape), seed=1)
    alone, batch = data.images(40), data.images([3, 40, 40])
    assert torch.equal(batch[1], alone) and torch.equal(batch[2], alone) and torch.equal(data[40][0], alone)
    assert not torch.equal(alone, FactorDataset(WORLD, data.noise, seed=2).images(40))
    assert 0.03 < float((alone - FactorDataset(WORLD).images(40)).std()) < 0.11
    one, other = (data.images([40], torch.Generator().manual_seed(seed)) for seed in (0, 1))
    assert not torch.equal(one, other)


def test_a_group_has_one_background() -> None:
    data = FactorDataset(WORLD, make_noise("background", image_shape=WORLD.image_shape), seed=1)
    corner = data.images([40] * 60, groups=np.repeat(np.arange(30), 2))[:, 0, 0, 0]
    assert torch.equal(corner[0::2], corner[1::2])
    assert len(corner.unique()) > 5
    with pytest.raises(UsageError, match=r"^3 groups do not belong to 2 images$"):
        data.images([1, 2], groups=[0, 0, 0])


def test_data_sets_by_name() -> None:
    data = load("flatland", period=9, stride=2, radius=3, image_size=20, channels=3, noise_name="salt", seed=5)
    assert len(data) == 81 and data.seed == 5 and data.noise.independent
    assert data.images(0).shape == (3, 20, 20)
    plain = load()
    assert len(plain) == 1089 and not plain.noise.independent
    built = datasets.build_dataset("flatland", datasets.FlatLandOptions(period=9, stride=2), NoiseOptions("uniform"), 2)
    assert len(built) == 81 and built.noise.independent
    assert datasets.DATASETS["flatland"].options is datasets.FlatLandOptions


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: load("flatlan"), "unknown data set 'flatlan' (did you mean 'flatland'?); there are: "),
        (
            lambda: load("flatland", colour=1),
            "the data set 'flatland' has no option 'colour'; it takes: background_count, backgrounds, channels, ",
        ),
        (lambda: load("flatland", radius=40), "flatland: a disc of radius 40 with 33 positions needs a picture of 112"),
        (lambda: load("flatland", seed=-1), "a seed must be 0 or more, got -1"),
        (lambda: FactorDataset(WORLD).images(81), "there is no state 81; states are numbered 0 to 80"),
        (lambda: FactorDataset(WORLD).latent_to_index([0, 9]), "factor 'y' cannot be 9; accepted: 0 to 8"),
    ],
)
def test_refusals_are_one_line(call: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        call()
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
