"""The Gaussian posterior: its density, its divergence and its samples, against torch's own and by counting."""

from __future__ import annotations

import torch
from torch.distributions import Independent, Normal, kl_divergence

from equiworld.world_models.latents import DiagonalGaussian, EuclideanLatent

GENERATOR = torch.Generator().manual_seed(0)
MEAN, LOG_VARIANCE = torch.randn(5, 3, generator=GENERATOR), torch.randn(5, 3, generator=GENERATOR)
POSTERIOR = DiagonalGaussian(MEAN, LOG_VARIANCE)
REFERENCE = Normal(MEAN.double(), (0.5 * LOG_VARIANCE.double()).exp())


def test_density_and_divergence_are_those_of_torch() -> None:
    latents = torch.randn(5, 3, generator=GENERATOR)
    torch.testing.assert_close(
        POSTERIOR.log_prob(latents).double(), Independent(REFERENCE, 1).log_prob(latents.double())
    )
    expected = kl_divergence(REFERENCE, Normal(torch.zeros(5, 3).double(), torch.ones(5, 3).double()))
    torch.testing.assert_close(POSTERIOR.kl().double(), expected)


def test_the_divergence_is_what_counting_gives() -> None:
    many = DiagonalGaussian(*(each[:1].repeat(200_000, 1) for each in (MEAN, LOG_VARIANCE)))
    samples = many.rsample(torch.Generator().manual_seed(1))
    prior = Independent(Normal(torch.zeros(3), torch.ones(3)), 1).log_prob(samples)
    difference = many.log_prob(samples) - prior
    error = float(difference.std()) / 200_000**0.5
    assert abs(float(difference.mean() - POSTERIOR.kl()[0].sum())) < 4 * error


def test_the_divergence_keeps_its_digits_near_the_prior() -> None:
    small = torch.tensor([[1e-4]])
    exact = 0.5 * (torch.expm1(small.double()) - small.double())  # about 2.5e-9; naively 0 in single precision
    torch.testing.assert_close(DiagonalGaussian(torch.zeros(1, 1), small).kl().double(), exact, rtol=1e-2, atol=0.0)


def test_the_gradient_is_finite_and_right() -> None:
    mean = torch.tensor([[-30.0, 0.0, 2.0]], requires_grad=True)
    log_variance = torch.tensor([[-60.0, 0.0, 1.0]], requires_grad=True)
    DiagonalGaussian(mean, log_variance).kl().sum().backward()
    assert mean.grad is not None and log_variance.grad is not None
    torch.testing.assert_close(mean.grad, mean.detach())
    torch.testing.assert_close(log_variance.grad, 0.5 * (log_variance.detach().exp() - 1))


def test_samples_follow_mean_and_variance_and_the_generator_alone() -> None:
    posterior = DiagonalGaussian(torch.full((100_000, 1), 2.0), torch.full((100_000, 1), -2.0))
    torch.manual_seed(0)
    samples = posterior.rsample(torch.Generator().manual_seed(4))
    torch.manual_seed(1)
    assert torch.equal(samples, posterior.rsample(torch.Generator().manual_seed(4)))
    # The standard deviation is exp(half the log-variance), here exp(-1).
    assert abs(float(samples.mean()) - 2.0) < 5 * 0.3679 / 100_000**0.5
    assert abs(float(samples.std()) - 0.3679) < 0.005


def test_the_space_reads_mean_then_log_variance() -> None:
    space = EuclideanLatent(3)
    assert space.posterior_size == 6
    posterior = space.posterior(torch.arange(6.0)[None])
    assert posterior.mean.tolist() == [[0.0, 1.0, 2.0]]
    assert posterior.log_variance.tolist() == [[3.0, 4.0, 5.0]]
    first, second = (space.prior_sample(7, torch.Generator().manual_seed(2)) for _ in range(2))
    assert first.shape == (7, 3)
    assert torch.equal(first, second)
