"""beta-TCVAE: estimates of the density of all codes, by brute force and by closed forms, and the weights."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from equiworld.envs import UsageError
from equiworld.world_models.latents import DiagonalGaussian, EuclideanLatent
from equiworld.world_models.objectives import Evidence
from equiworld.world_models.objectives.tc import TC, pairwise


def key(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def posteriors(number: int, size: int = 2) -> DiagonalGaussian:
    mean = torch.randn(number, size, generator=key(), dtype=torch.float64)
    return DiagonalGaussian(mean, torch.randn(number, size, generator=key(1), dtype=torch.float64) - 1)


def objective(images: int, sampling: str, weights: tuple[float, float, float] = (1.0, 6.0, 1.0)) -> TC:
    return TC(EuclideanLatent(2), images, *weights, sampling)


def evidence(posterior: DiagonalGaussian, seed: int = 2) -> Evidence:
    draw = posterior.draw(key(seed))
    number = len(posterior.mean)
    reconstruction = torch.linspace(1, 2, number, dtype=torch.float64)
    return Evidence(torch.zeros(number, 1, 1, 1), posterior, draw.codes, reconstruction, posterior.kl(), draw)


def test_pairs_are_those_of_torch() -> None:
    posterior = posteriors(5)
    codes = torch.randn(7, 2, generator=key(3), dtype=torch.float64)
    expected = Normal(posterior.mean, (0.5 * posterior.log_variance).exp()).log_prob(codes[:, None])
    torch.testing.assert_close(pairwise(posterior, codes), expected)
    torch.testing.assert_close(pairwise(posterior, codes).sum(2), posterior.pairwise_log_prob(codes))


def test_all_images_as_a_batch_give_the_density_of_all_codes() -> None:
    posterior = posteriors(40)
    pairs = pairwise(posterior, posterior.rsample(key(2)))
    joint, marginal = (each.exp().mean(1).log() for each in (pairs.sum(2), pairs))  # brute force
    exact, low = objective(40, "stratified"), objective(40, "weighted")
    torch.testing.assert_close(exact.aggregate(pairs.sum(2)), joint)
    torch.testing.assert_close(exact.aggregate(pairs), marginal)
    torch.testing.assert_close(low.aggregate(pairs.sum(2)), joint - math.log(40))
    torch.testing.assert_close(low.aggregate(pairs), marginal - math.log(40))


def test_the_parts_are_those_of_a_mixture_known_in_closed_form() -> None:
    # Codes at (s, s) with s = -1 or 1, under narrow posteriors that do not overlap. The information is log 2, and so is
    # the total correlation, since each latent alone tells s.
    mean = torch.tensor([[-1.0, -1.0], [1.0, 1.0]], dtype=torch.float64)
    given = evidence(DiagonalGaussian(mean, torch.full((2, 2), -8.0, dtype=torch.float64)))
    found = objective(2, "stratified", (1.0, 1.0, 1.0)).loss(given, 0)
    assert float(found["mutual_information"]) == pytest.approx(math.log(2), abs=1e-7)
    assert float(found["total_correlation"]) == pytest.approx(math.log(2), abs=1e-7)
    kl = float((given.posterior.log_prob(given.codes) - EuclideanLatent(2).prior_log_prob(given.codes)).mean())
    assert float(found["dimension_wise_kl"]) == pytest.approx(kl - 2 * math.log(2), abs=1e-7)


def _paper(pairs: Tensor, images: int, special: int) -> Tensor:
    """The published stratified estimate of one code, with its own posterior first: one of the others is special."""
    others = len(pairs) - 1
    weights = torch.full((others + 1,), 1 / others, dtype=pairs.dtype)
    weights[0], weights[special] = 1 / images, (images - others) / (images * others)
    return (weights * pairs.exp()).sum()


def test_stratified_sampling_has_no_bias_and_is_the_mean_of_the_published_estimate() -> None:
    images, batch = 7, 3
    posterior = posteriors(images)
    codes = posterior.rsample(key(2))
    truth = pairwise(posterior, codes).sum(2).exp().mean(1)[0]  # the density of all codes at the first one
    found, published = [], []
    for others in itertools.combinations(range(1, images), batch - 1):  # every batch that holds the first image
        rows = torch.tensor([0, *others])
        pairs = pairwise(posterior[rows], codes[rows]).sum(2)
        found.append(objective(images, "stratified").aggregate(pairs)[0].exp())
        mean = torch.stack([_paper(pairs[0], images, special) for special in range(1, batch)]).mean()
        torch.testing.assert_close(found[-1], mean)
        published.append(mean)
    torch.testing.assert_close(torch.stack(found).mean(), truth)


def test_weighted_sampling_is_a_lower_bound_on_average() -> None:
    images, batch = 7, 3
    posterior = posteriors(images)
    codes = posterior.rsample(key(2))
    truth = pairwise(posterior, codes).sum(2).exp().mean(1).log().mean()
    found = []
    for rows in map(torch.tensor, itertools.combinations(range(images), batch)):
        found.append(objective(images, "weighted").aggregate(pairwise(posterior[rows], codes[rows]).sum(2)).mean())
    assert float(torch.stack(found).mean()) < float(truth)


@pytest.mark.parametrize("sampling", ["weighted", "stratified"])
def test_weights_of_one_give_the_evidence_lower_bound(sampling: str) -> None:
    given = evidence(posteriors(9))
    found = objective(100, sampling, (1.0, 1.0, 1.0)).loss(given, 0)
    assert torch.equal(found["loss"], given.reconstruction.mean() + given.kl.sum(1).mean())
    parts = found["mutual_information"] + found["total_correlation"] + found["dimension_wise_kl"]
    sampled = posterior_minus_prior(given)
    torch.testing.assert_close(parts, sampled)


def posterior_minus_prior(given: Evidence) -> Tensor:
    assert given.draw is not None
    return given.draw.log_ratio.sum(1).mean()


def test_each_part_has_its_weight() -> None:
    given = evidence(posteriors(9))
    plain = objective(100, "weighted", (1.0, 1.0, 1.0)).loss(given, 0)
    found = objective(100, "weighted", (0.0, 6.0, 3.0)).loss(given, 0)
    expected = (
        plain["loss"] - plain["mutual_information"] + 5 * plain["total_correlation"] + 2 * plain["dimension_wise_kl"]
    )
    torch.testing.assert_close(found["loss"], expected)


def test_the_gradient_of_the_total_correlation_makes_latents_independent() -> None:
    # Means on a line: the total correlation falls under its own gradient.
    along = torch.linspace(-1, 1, 30, dtype=torch.float64)
    mean = torch.stack([along, along], 1).requires_grad_()
    values = []
    for _ in range(60):
        posterior = DiagonalGaussian(mean, torch.full((30, 2), -2.0, dtype=torch.float64))
        found = objective(30, "stratified").loss(evidence(posterior), 0)["total_correlation"]
        values.append(float(found.detach()))
        (gradient,) = torch.autograd.grad(found, mean)
        mean = (mean - gradient).detach().requires_grad_()
    assert values[0] > 0.4 > 0.2 > values[-1]


def test_a_negative_weight_is_refused() -> None:
    for number, name in enumerate(("alpha", "beta", "gamma")):
        weights = tuple(-1.0 if place == number else 1.0 for place in range(3))
        with pytest.raises(UsageError, match=f"--{name} must be 0 or more, not -1.0"):
            objective(5, "weighted", weights)  # type: ignore[arg-type]
