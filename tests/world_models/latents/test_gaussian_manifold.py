"""The Gaussian manifold: its metric, its divergence where the usual form of it fails, and its layers."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Gamma, Normal, kl_divergence

from equiworld.world_models.latents.gaussian_manifold import GaussianManifoldLatent


@pytest.mark.parametrize(
    ("log_gamma2", "gamma_part"),
    [(-12.0, 5.30969), (-15.0, 6.80969), (-20.0, 9.3097), (-30.0, 14.3097), (-40.0, 19.31)],
)
def test_the_divergence_of_narrow_posteriors(log_gamma2: float, gamma_part: float) -> None:
    # In differences of lgamma, float32 gives 6.06, -32, 2e6 and -4e10 for the last four.
    posterior = GaussianManifoldLatent(2, layers="raw").posterior(torch.tensor([[0.0, 0.5, log_gamma2]]))
    normal_part = 0.5 * (math.exp(log_gamma2 + 0.5) - 1 - (log_gamma2 + 0.5))
    assert float(posterior.kl()[0, 0]) - normal_part == pytest.approx(gamma_part, abs=5e-4)


def test_the_divergence_is_that_of_a_normal_and_a_gamma() -> None:
    k = 0.7
    features = torch.randn(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    alpha, log_beta2, log_gamma2 = features.unbind(1)
    g = torch.exp(-log_gamma2) / (4 * k)
    prior_g = torch.tensor(1 / (4 * k), dtype=torch.float64)
    expected = kl_divergence(Normal(alpha, torch.exp((log_beta2 + log_gamma2) / 2)), Normal(0.0, 1.0))
    expected = expected + kl_divergence(Gamma(1 + g, g / log_beta2.exp()), Gamma(1 + prior_g, prior_g))
    found = GaussianManifoldLatent(2, layers="raw", curvature=-k).double().posterior(features).kl()[:, 0]
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)


def test_the_prior_is_at_no_distance_from_itself() -> None:
    for curvature in (-0.01, -1.0, -10.0):
        posterior = GaussianManifoldLatent(4, curvature=curvature).posterior(torch.zeros(1, 6))
        assert posterior.kl().abs().max() == 0
        assert torch.equal(posterior.mean, torch.zeros(1, 4))


@pytest.mark.parametrize("curvature", [-0.5, -1.0, -1.5])
def test_distances_are_the_divergence_of_neighbouring_gaussians(curvature: float) -> None:
    k, step = -curvature, 1e-3
    space = GaussianManifoldLatent(2, curvature=curvature).double()
    here = torch.tensor([[0.4, 0.6]], dtype=torch.float64)
    for angle in (0.0, 1.0, 2.0):
        there = here + step * torch.tensor([[math.cos(angle), math.sin(angle)]], dtype=torch.float64)
        one, two = (Normal(math.sqrt(2 * k) * each[0, 0], torch.exp(each[0, 1] / 2)) for each in (there, here))
        square = float(kl_divergence(one, two)) / k
        assert float(space.distance(here, there)) ** 2 == pytest.approx(square, rel=5e-3)


def test_geometric_layers_are_exponential_and_logarithmic_map() -> None:
    space = GaussianManifoldLatent(2, curvature=-0.5).double()
    tangent = torch.randn(20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mean = space.posterior(torch.cat([tangent, torch.zeros(20, 1)], 1)).mean
    torch.testing.assert_close(space.features(mean), tangent)
    torch.testing.assert_close(space.distance(torch.zeros_like(mean), mean), tangent.norm(dim=1))


def test_lengths_that_float32_cannot_hold_are_bent() -> None:
    space = GaussianManifoldLatent(2)
    tangent = torch.tensor([[24.9, 0.0], [60.0, 0.0], [0.0, 1000.0]])
    mean = space.posterior(torch.cat([tangent, torch.zeros(3, 1)], 1)).mean
    radii = space.distance(torch.zeros(3, 2), mean)
    assert float(radii[0]) == pytest.approx(24.9, rel=1e-5)
    assert float(radii[1]) == pytest.approx(25 + 15 * 35 / (15 + 35), rel=1e-5)
    assert 39 < float(radii[2]) < 40
