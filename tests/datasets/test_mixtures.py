"""Mixtures of sources: mixings against closed forms, inverses, Jacobians, and the data sets that they make."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from equiworld.datasets import WindowLoader, load, mixings, still_images
from equiworld.datasets.mixings import SmoothLeakyReLU
from equiworld.envs import UsageError
from equiworld.metrics import local_contrasts

NAMES = ["moebius", "mlp", "ar-flow", "triangular-mlp"]


def contrasts(jacobians: torch.Tensor) -> np.ndarray:
    return local_contrasts(jacobians.numpy())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dims", [2, 5])
def test_mixings_have_inverses_jacobians_and_determinants(name, dims):
    data = load(name, seed=3, dims=dims, n_obs=200)
    sources = torch.from_numpy(data.generative_factors(np.arange(200)))
    mixed = data.mixing(sources)
    torch.testing.assert_close(data.mixing.inverse(mixed), sources, atol=1e-6, rtol=0)
    torch.testing.assert_close(data.mixing(data.mixing.inverse(mixed)), mixed, atol=1e-6, rtol=0)
    jacobian, step = data.mixing.jacobian(sources), 1e-6 * torch.eye(dims, dtype=torch.float64)
    for column in range(dims):
        slope = (data.mixing(sources + step[column]) - data.mixing(sources - step[column])) / 2e-6
        torch.testing.assert_close(jacobian[:, :, column], slope, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(data.mixing.log_det(sources), torch.linalg.slogdet(jacobian)[1])
    # A batch, a row, and float32 are answered in kind.
    torch.testing.assert_close(data.mixing(sources[0]), mixed[0])
    torch.testing.assert_close(data.mixing(sources.float()), mixed.float(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("dims", [2, 3, 10])
def test_a_moebius_transformation_is_conformal(dims):
    data = load("moebius", dims=dims, n_obs=100)
    jacobian = data.mixing.jacobian(torch.from_numpy(data.generative_factors(np.arange(100))))
    gram = jacobian.mT @ jacobian
    scale = gram.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
    torch.testing.assert_close(gram / scale, torch.eye(dims, dtype=torch.float64).expand_as(gram), atol=1e-10, rtol=0)
    assert contrasts(jacobian).max() < 1e-10


def test_the_pole_is_outside_the_cube():
    for seed in range(20):
        assert (mixings.moebius(np.random.default_rng(seed), 4).pole.abs() > 0.5).all()


@pytest.mark.parametrize(("dims", "cosine"), [(2, 0.0), (2, 0.999), (3, -0.4), (5, 0.7)])
def test_a_linear_map_breaks_orthogonality_by_what_is_asked_for(dims, cosine):
    matrix = mixings.equiangular(cosine, dims)
    expected = np.full((dims, dims), cosine) + (1 - cosine) * np.eye(dims)
    np.testing.assert_allclose(matrix.T @ matrix, expected, atol=1e-12)
    closed = -0.5 * ((dims - 1) * np.log(1 - cosine) + np.log(1 + (dims - 1) * cosine))
    assert local_contrasts(matrix[None])[0] == pytest.approx(closed, abs=1e-9)
    data = load("moebius", dims=dims, n_obs=50, linear_map="cosine", cosine=cosine)
    plain = load("moebius", dims=dims, n_obs=50)
    sources = torch.from_numpy(data.generative_factors(np.arange(50)))
    expected = torch.from_numpy(matrix) @ plain.mixing.jacobian(sources)
    torch.testing.assert_close(data.mixing.jacobian(sources), expected)
    if dims == 2:  # what a turned map can have is at most that of the map
        assert contrasts(expected).max() <= closed + 1e-9


def test_random_linear_maps_are_scaled_as_asked_for():
    rng = np.random.default_rng(0)
    assert abs(np.linalg.det(mixings.uneven(rng, 3, False))) == pytest.approx(1)
    np.testing.assert_allclose(np.linalg.norm(mixings.uneven(rng, 3, True), axis=0), 1)
    for scale in ("unit-determinant", "unit-columns"):
        data = load("moebius", n_obs=50, linear_map=scale)
        sources = torch.from_numpy(data.generative_factors(np.arange(50)))
        assert contrasts(data.mixing.jacobian(sources)).min() > 1e-3


@pytest.mark.parametrize("slope", [0.01, 0.2, 1.0])
def test_the_smooth_leaky_relu(slope):
    values = torch.cat([torch.linspace(-50, 50, 1001), torch.tensor([-1e4, 1e4])]).double()
    layer = SmoothLeakyReLU(slope)
    expected = slope * values + (1 - slope) * torch.logaddexp(values, torch.zeros_like(values))
    torch.testing.assert_close(layer(values), expected)
    torch.testing.assert_close(layer.inverse(expected), values, atol=1e-9, rtol=1e-9)


def test_an_orthogonal_network_is_its_formula():
    data = load("mlp", seed=4, mixing_layers=2, n_obs=100)
    rng = np.random.default_rng(np.random.SeedSequence([4, 10]))
    values = data.generative_factors(np.arange(100))
    for _ in range(2):
        matrix = mixings.rotation(rng, 3).numpy()
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
        values = (0.2 * values + 0.8 * np.log1p(np.exp(values))) @ matrix.T
    np.testing.assert_allclose(data.observations, values - values.mean(0), atol=1e-6)


def test_a_triangular_network_has_a_triangular_jacobian():
    data = load("triangular-mlp", n_obs=50)
    jacobian = data.mixing.jacobian(torch.from_numpy(data.generative_factors(np.arange(50))))
    assert (jacobian.tril(-1) == 0).all() and (jacobian.diagonal(dim1=1, dim2=2) != 0).all()
    assert contrasts(jacobian).min() > 1e-3


def test_couplings_take_turns_unless_told_otherwise():
    for alternate in (True, False):
        data = load("ar-flow", n_obs=50, alternate=alternate)
        sources = torch.from_numpy(data.generative_factors(np.arange(50)))
        moved = data.mixing(sources) - data.mixing.parts[-1].offset - sources
        assert (moved[:, 2:].abs() > 1e-9).any() and bool((moved[:, :2].abs() > 1e-9).any()) is alternate


@pytest.mark.parametrize("name", NAMES)
def test_observations_are_the_mixed_sources(name):
    data = load(name, seed=1, n_obs=500)
    dims = len(data.factors)
    rows = np.array([3, 499, 3])
    images = data.images(rows)
    assert images.dtype == torch.float32 and tuple(images.shape) == (3, 1, 1, dims)
    assert tuple(data.images(7).shape) == (1, 1, dims) and data.world.image_shape == (1, dims, 1)
    sources = data.generative_factors(rows)
    torch.testing.assert_close(images[:, 0, 0], data.mixing(torch.from_numpy(sources)).float())
    torch.testing.assert_close(data.get_img_by_latent(sources), images)
    np.testing.assert_allclose(data.observations.double().mean(0), 0, atol=1e-6)
    again, other = load(name, seed=1, n_obs=500), load(name, seed=2, n_obs=500)
    assert torch.equal(again.observations, data.observations)
    assert not torch.equal(other.observations, data.observations)
    image, factors = data[5]
    assert torch.equal(image, data.images(5)) and factors.dtype == np.float64


def test_one_mixing_may_be_kept_for_several_seeds():
    first, second = (load("mlp", seed=seed, mixing_seed=7, n_obs=50) for seed in (1, 2))
    sources = torch.from_numpy(first.generative_factors(np.arange(50)))
    torch.testing.assert_close(first.mixing.parts[0](sources), second.mixing.parts[0](sources))
    assert not np.array_equal(first.generative_factors(0), second.generative_factors(0))


def test_batches_are_vectors():
    data = load("moebius", n_obs=40)
    transitions = still_images(data)
    loader = WindowLoader(transitions, transitions.windows(0), 0, 10)
    (first, *_, last) = loader.epoch(0)
    assert len(loader) == 4 and tuple(first.frames.shape) == (10, 1, 1, 3)
    assert first.frames[last.index].shape[0] == 10


@pytest.mark.parametrize(
    ("law", "mean", "variance", "low", "high"),
    [
        ("uniform", 0.0, 1 / 12, -0.5, 0.5),
        ("gaussian", 0.0, 1.0, -8, 8),
        ("laplace", 0.0, 2.0, -30, 30),
        ("beta", 3 / 14 - 0.5, 33 / (14**2 * 15), -0.5, 0.5),
    ],
)
def test_sources_follow_their_law(law, mean, variance, low, high):
    data = load("ar-flow", n_obs=40_000, source=law)
    sources = data.generative_factors(np.arange(40_000))
    assert sources.mean() == pytest.approx(mean, abs=5 * np.sqrt(variance / sources.size))
    assert sources.var() == pytest.approx(variance, rel=0.03)
    assert low < sources.min() and sources.max() < high
    assert np.abs(np.corrcoef(sources.T) - np.eye(4)).max() < 0.03
    assert data.factors.contains(sources).all()
    assert data.sample_latent(5).shape == (5, 4)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("moebius", {"dims": 1}, "--dims must be 2 or more, not 1"),
        ("mlp", {"n_obs": 0}, "--n-obs must be 1 or more, not 0"),
        ("mlp", {"mixing_layers": 0}, "--mixing-layers must be 1 or more, not 0"),
        ("mlp", {"mixing_slope": 0.0}, "--mixing-slope must be above 0 and at most 1, not 0.0"),
        ("moebius", {"linear_map": "cosine", "cosine": -0.5}, "--cosine must lie between -0.5 and 1 for 3 dimensions"),
        ("moebius", {"cosine": 0.7}, "--cosine is not read by --linear-map none"),
        ("moebius", {"source_alpha": 2.0}, "--source-alpha and --source-beta are not read by --source uniform"),
        ("moebius", {"source": "beta", "source_alpha": 0.0}, "must be above 0, not 0.0 and 11.0"),
        ("moebius", {"source": "cauchy"}, "--source 'cauchy' is none; accepted: uniform, gaussian, laplace, beta"),
        (
            "moebius",
            {"linear_map": "circle"},
            "--linear-map 'circle' is none; accepted: none, cosine, unit-determinant",
        ),
        ("moebius", {"noise_name": "gaussian"}, "--noise-name gaussian is for pictures: --dataset moebius takes none"),
    ],
)
def test_options_out_of_range_are_refused(name, options, message):
    with pytest.raises(UsageError, match=message):
        load(name, **options)


def test_vectors_are_no_pictures():
    data = load("moebius", n_obs=10)
    with pytest.raises(UsageError, match="no pictures of bytes"):
        data.frames([0])
    with pytest.raises(UsageError, match=r"vectors cannot be drawn"):
        data.world.render(np.zeros((1, 3)))
    with pytest.raises(UsageError, match=r"sources need the shape \[N, 3\], got \[4\]"):
        data.get_img_by_latent(np.zeros(4))
    with pytest.raises(UsageError, match="there is no item 10"):
        data.images([10])
