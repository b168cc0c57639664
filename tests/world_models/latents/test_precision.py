"""Every latent space in float32 against itself in double precision, over all that an encoder may say."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from equiworld.world_models.latents import LATENTS, LatentSpace
from equiworld.world_models.latents.numerics import unit

NORMS = (0.0, 1e-6, 1e-3, 0.1, 1.0, 8.0, 30.0, 100.0)
SCALES = (1e-4, 0.01, 1.0, 100.0)
CURVATURES = (-0.01, -1.0, -10.0)
LOG_SQUARES = (-40.0, -18.0, -6.0, 0.0, 6.0, 18.0, 40.0)


def build(name: str, latents: int, **options: Any) -> LatentSpace:
    return LATENTS[name].build(LATENTS[name].options(**options), latents)


def vectors(norms: tuple[float, ...], n: int, number: int = 8) -> Tensor:
    directions = unit(torch.randn(len(norms), number, n, generator=torch.Generator().manual_seed(3)))
    return (directions * torch.tensor(norms)[:, None, None]).flatten(0, 1)


def beside(first: Tensor, others: tuple[float, ...], times: int) -> Tensor:
    """Every row of ``first`` with each of the numbers, so many times over, in columns of their own."""
    column = torch.tensor(others).repeat_interleave(len(first))[:, None]
    return torch.cat([first.repeat(len(others), 1), column.repeat(1, times)], 1)


def check(space: LatentSpace, features: Tensor) -> None:
    """Codes, densities, divergence and decoder features at the same noise: values within 1e-4, gradients 5e-3."""
    features = features.clone().requires_grad_()
    posterior = space.posterior(features)
    noise = posterior.noise(torch.Generator().manual_seed(1)).detach()
    single, found = posterior.at(noise), {}
    parts = {"codes": single.codes, "posterior": single.densities[0], "prior": single.densities[1]}
    found |= parts | {"kl": posterior.divergence(single), "features": space.features(single.codes)}
    # Codes alone need not tell where in a narrow posterior they lie, but the answer is a number.
    for value in (posterior.log_prob(single.codes.detach()), space.prior_log_prob(single.codes)):
        (slope,) = torch.autograd.grad(value.sum() + 0 * features.sum(), features, retain_graph=True)
        assert torch.isfinite(value).all()
        assert torch.isfinite(slope).all()
    space = space.double()
    wide = features.detach().double().requires_grad_()
    posterior = space.posterior(wide)
    double = posterior.at(noise.double())
    exact = {"codes": double.codes, "posterior": double.densities[0], "prior": double.densities[1]}
    exact |= {"kl": posterior.divergence(double), "features": space.features(double.codes)}
    for name, value in found.items():
        reference = exact[name]
        assert torch.isfinite(value).all(), name
        error = (value - reference).norm(dim=1) / reference.norm(dim=1).clamp(min=1)
        assert float(error.max()) < 1e-4, (name, float(error.max()))
        (slope,) = torch.autograd.grad(value.sum() + 0 * features.sum(), features, retain_graph=True)
        (exact_slope,) = torch.autograd.grad(reference.sum() + 0 * wide.sum(), wide, retain_graph=True)
        assert torch.isfinite(slope).all(), name
        error = (slope - exact_slope).norm(dim=1) / exact_slope.norm(dim=1).clamp(min=1)
        assert float(error.max()) < 5e-3, (name, float(error.max()))


def raw_scales(squared: bool = False) -> tuple[float, ...]:
    """What softplus turns into the scales (or their squares)."""
    wanted = torch.tensor(SCALES, dtype=torch.float64) ** (2 if squared else 1)
    return tuple((wanted + torch.log(-torch.expm1(-wanted))).tolist())


@pytest.mark.parametrize("curvature", CURVATURES)
@pytest.mark.parametrize("covariance", ["isotropic", "diagonal", "full", "rotated"])
def test_hyperboloid(covariance: str, curvature: float) -> None:
    space = build("hyperboloid", 2, covariance=covariance, curvature=curvature)
    check(space, beside(vectors(NORMS, 2), raw_scales(covariance == "rotated"), space.posterior_size - 2))


def test_hyperboloid_of_more_dimensions() -> None:
    space = build("hyperboloid", 12, factor_size=6)
    check(space, beside(vectors(NORMS, 12), raw_scales(), 12))


@pytest.mark.parametrize("curvature", CURVATURES)
@pytest.mark.parametrize("normal", ["riemannian", "wrapped"])
def test_poincare(normal: str, curvature: float) -> None:
    space = build("poincare", 2, normal=normal, curvature=curvature)
    check(space, beside(vectors(NORMS, 2), raw_scales(), space.posterior_size - 2))


@pytest.mark.parametrize("curvature", CURVATURES)
def test_gaussian_manifold_by_tangent_vectors(curvature: float) -> None:
    space = build("gaussian-manifold", 2, layers="geometric", curvature=curvature)
    check(space, beside(vectors(NORMS, 2), LOG_SQUARES, 1))


@pytest.mark.parametrize("curvature", CURVATURES)
@pytest.mark.parametrize("log_beta2", [-18.4, 0.0, 9.2])  # scales of 1e-4 to 1e2
def test_gaussian_manifold_by_its_parameters(log_beta2: float, curvature: float) -> None:
    space = build("gaussian-manifold", 2, layers="raw", curvature=curvature)
    alpha = vectors(NORMS, 1)
    check(space, beside(torch.cat([alpha, torch.full_like(alpha, log_beta2)], 1), LOG_SQUARES, 1))


@pytest.mark.parametrize("n", [2, 3, 6])
def test_sphere(n: int) -> None:
    check(build("sphere", n, factor_size=n), beside(vectors(NORMS[1:], n), LOG_SQUARES, 1))


@pytest.mark.parametrize(
    "options", [{}, {"prior": "beta", "prior_alpha": 3.0, "prior_beta": 11.0}, {"prior": "beta", "prior_alpha": 0.1}]
)
def test_unit_interval(options: dict[str, Any]) -> None:
    check(build("unit-interval", 1, **options), beside(vectors(NORMS, 1), (-18.4, -9.2, 0.0, 9.2), 1))


@pytest.mark.parametrize("name", LATENTS.names())
def test_what_is_no_number_is_passed_on_and_stops_nothing(name: str) -> None:
    space = build(name, 6)
    features = torch.full((3, space.posterior_size), float("nan"))
    draw = space.posterior(features).draw(torch.Generator().manual_seed(0))
    assert torch.isnan(space.posterior(features).divergence(draw)).all()


@pytest.mark.parametrize("name", LATENTS.names())
def test_gradients_through_the_noise_are_finite_too(name: str) -> None:
    space = build(name, 6)
    generator = torch.Generator().manual_seed(0)
    for spread in LOG_SQUARES:
        features = torch.randn(64, space.posterior_size, generator=generator)
        features[:, -space.factors :] = min(spread, 9.2) if name in ("euclidean", "unit-interval") else spread
        features.requires_grad_()
        draw = space.posterior(features).draw(generator)
        for value in (draw.codes, draw.log_ratio, space.posterior(features).deviation):
            (slope,) = torch.autograd.grad(value.sum() + 0 * features.sum(), features, retain_graph=True)
            assert torch.isfinite(value).all()
            assert torch.isfinite(slope).all()
