"""Bounds of the likelihood against quadrature, information of Gaussians against closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from equiworld.envs import UsageError
from equiworld.world_models.bounds import active_units, evidence_bound, importance_bound, mutual_information
from equiworld.world_models.latents import LATENTS, DiagonalGaussian
from equiworld.world_models.latents.hyperboloid import HyperboloidLatent, WrappedNormal


def noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def line(tiny: Callable[..., Any]) -> tuple[Any, torch.Tensor, torch.Tensor]:
    """A model of one latent, four images, and their log-likelihood by quadrature."""
    assembly = tiny("vae", latents=1, architecture="forward")
    model, images = assembly.model, assembly.data.images(range(0, 48, 12))
    with torch.no_grad():
        # An untrained posterior is the prior, nearly: widened and moved, it is a poor proposal, and the bounds differ.
        model.encoder.head.bias.copy_(torch.tensor([0.4, -0.5]))
        codes = torch.linspace(-8, 8, 4001)[:, None]
        logits = model.logits(codes)
        prior = -0.5 * codes[:, 0] ** 2 - 0.5 * math.log(2 * math.pi)
        likelihood = torch.stack([-model.likelihood.loss(logits, each.expand_as(logits)) for each in images])
    return model, images, (likelihood.double() + prior.double()).logsumexp(1) + math.log(16 / 4000)


def test_bounds_rise_to_the_likelihood(line: tuple[Any, torch.Tensor, torch.Tensor]) -> None:
    model, images, truth = line
    many = images.repeat_interleave(400, 0)
    bounds = [evidence_bound(model, many, noise()), *(importance_bound(model, many, k, noise(k)) for k in (1, 5, 50))]
    means = torch.stack([bound.view(4, 400).double().mean(1) for bound in bounds])
    torch.testing.assert_close(means[0], means[1], atol=0.5, rtol=0)  # one weight: the same bound, with more noise
    assert (means[1:].diff(dim=0) > 0).all()
    assert (means[0] < truth).all()
    close = importance_bound(model, images, 5000, noise())
    torch.testing.assert_close(close.double(), truth, atol=0.05, rtol=0)


def test_a_bound_without_samples_is_refused(line: tuple[Any, torch.Tensor, torch.Tensor]) -> None:
    with pytest.raises(UsageError, match="takes 1 sample or more, not 0"):
        importance_bound(line[0], line[1], 0, noise())


@pytest.mark.parametrize("name", LATENTS.names())
def test_every_latent_space_has_bounds(tiny: Callable[..., Any], name: str) -> None:
    assembly = tiny("vae", latents=6, latent=name, architecture="forward")
    images = assembly.data.images(range(3))
    bounds = [evidence_bound(assembly.model, images, noise()), importance_bound(assembly.model, images, 20, noise())]
    assert all(bound.shape == (3,) and bool(torch.isfinite(bound).all()) for bound in bounds)


def test_information_of_codes_that_tell_images_apart_is_that_of_a_channel() -> None:
    # z = x + noise with x normal: I = log(1 + signal / noise) / 2 nats a coordinate.
    means = 3.0 * torch.randn(4000, 2, generator=noise(1))
    found = mutual_information(DiagonalGaussian(means, torch.zeros(4000, 2)), noise(2))
    truth = math.log(1 + 9.0)
    assert found.lower < found.upper < found.to_prior
    assert found.lower == pytest.approx(truth, abs=0.05)
    assert found.upper == pytest.approx(truth, abs=0.1)


def test_codes_that_say_nothing_hold_no_information() -> None:
    found = mutual_information(DiagonalGaussian(torch.zeros(50, 3), torch.zeros(50, 3)), noise())
    assert (found.lower, found.upper) == (pytest.approx(0.0, abs=1e-6), pytest.approx(0.0, abs=1e-6))


def test_narrow_posteriors_hold_all_that_there_is_to_know() -> None:
    means = torch.randn(64, 2, generator=noise())
    assert mutual_information(DiagonalGaussian(means, torch.full((64, 2), -40.0)), noise()).lower == pytest.approx(
        math.log(64), abs=1e-6
    )


def test_active_units_are_those_whose_means_vary() -> None:
    means = torch.randn(2000, 3, generator=noise()) * torch.tensor([1.0, 0.2, 0.05])
    assert active_units(means).tolist() == [True, True, False]


def test_few_pairs_are_held_at_a_time_where_codes_are_long() -> None:
    """A full covariance takes the square of the numbers in a code, for each pair."""
    space = HyperboloidLatent(32, factor_size=None, covariance="full")
    posterior = space.posterior(0.1 * torch.randn(400, space.posterior_size, generator=noise()))
    held: list[int] = []
    log_prob = WrappedNormal.log_prob

    def counted(self: WrappedNormal, codes: torch.Tensor) -> torch.Tensor:
        held.append(len(codes) * 32**2)
        return log_prob(self, codes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WrappedNormal, "log_prob", counted)
        found = mutual_information(posterior, noise())
    assert max(held) <= 2**24 < sum(held)
    assert math.isfinite(found.lower)
