"""DIP-VAE: the covariance of means and of samples, and its distance from the identity."""

from __future__ import annotations

import pytest
import torch

from equiworld.envs import UsageError
from equiworld.world_models.latents import DiagonalGaussian
from equiworld.world_models.objectives import Evidence
from equiworld.world_models.objectives.dip import DIP


def key(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def evidence(mean: torch.Tensor, log_variance: torch.Tensor) -> Evidence:
    posterior = DiagonalGaussian(mean, log_variance)
    return Evidence(torch.zeros(len(mean), 1, 1, 1), posterior, mean, torch.full((len(mean),), 7.0), posterior.kl())


def test_by_hand() -> None:
    # Means (1, 2) and (-1, -2): covariance [[1, 2], [2, 4]]. Variances 1 and 3 add to its diagonal.
    given = evidence(torch.tensor([[1.0, 2.0], [-1.0, -2.0]]), torch.tensor([[0.0, 3.0], [0.0, 3.0]]).log1p())
    kl = float(given.kl.sum(1).mean())
    one = DIP(10.0, 100.0, samples=False).loss(given, 0)
    assert (float(one["off_diagonal"]), float(one["diagonal"])) == (8.0, 9.0)
    assert float(one["loss"]) == pytest.approx(7.0 + kl + 10 * 8 + 100 * 9)
    two = DIP(2.0, 3.0, samples=True).loss(given, 0)
    assert float(two["off_diagonal"]) == 8.0
    assert float(two["diagonal"]) == pytest.approx(1.0 + 7.0**2)
    assert float(two["loss"]) == pytest.approx(7.0 + kl + 2 * 8 + 3 * 50)


def test_the_covariance_of_samples_is_what_counting_gives() -> None:
    mean, log_variance = 0.7 * torch.randn(5, 3, generator=key()), torch.randn(5, 3, generator=key(1))
    posterior = DiagonalGaussian(mean, log_variance)
    many = posterior[torch.arange(5).repeat(200_000)].rsample(key(2))
    found = DIP(1.0, 1.0, samples=True).covariance(posterior)
    torch.testing.assert_close(found, torch.cov(many.T, correction=0), rtol=0.02, atol=0.02)
    torch.testing.assert_close(
        DIP(1.0, 1.0, samples=False).covariance(posterior), torch.cov(mean.T, correction=0), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("samples", [False, True])
def test_at_the_identity_it_is_the_evidence_lower_bound_and_pulls_nowhere(samples: bool) -> None:
    # Whitened means; with samples, of half the variance each.
    mean = torch.randn(50, 3, generator=key(), dtype=torch.float64)
    mean = mean - mean.mean(0)
    mean = mean @ torch.linalg.inv(torch.linalg.cholesky(mean.T @ mean / 50)).T
    share = 0.5 if samples else 1.0
    mean = (share**0.5 * mean).requires_grad_()
    given = evidence(mean, torch.full((50, 3), 0.5, dtype=torch.float64).log())
    found = DIP(10.0, 100.0, samples).loss(given, 0)
    torch.testing.assert_close(found["loss"], found["reconstruction"] + found["kl"])
    (gradient,) = torch.autograd.grad(found["diagonal"] + found["off_diagonal"], mean)
    assert float(gradient.abs().max()) < 1e-12


def test_where_all_means_are_equal_the_gradient_is_finite() -> None:
    mean = torch.ones(4, 2).requires_grad_()
    DIP(10.0, 100.0, samples=False).loss(evidence(mean, torch.zeros(4, 2)), 0)["loss"].backward()
    assert mean.grad is not None and torch.isfinite(mean.grad).all()


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(UsageError, match="--lambda-od must be 0 or more, not -1"):
        DIP(-1, 1, samples=False)
    with pytest.raises(UsageError, match="--lambda-d must be 0 or more, not -1"):
        DIP(1, -1, samples=True)
