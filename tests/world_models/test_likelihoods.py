"""The reconstruction terms, against their definitions."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from equiworld.envs import UsageError
from equiworld.world_models.likelihoods import LIKELIHOODS, Gaussian, Likelihood, LogisticMixture

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = 3 * torch.randn(4, 2, 5, 3, generator=GENERATOR)
IMAGES = torch.rand(4, 2, 5, 3, generator=GENERATOR)


def build(name: str, channels: int = 2, **options: Any) -> Likelihood:
    part = LIKELIHOODS[name]
    built: Likelihood = part.build(part.options(**options), (5, 3, channels))
    return built


def test_bernoulli_is_the_cross_entropy_in_nats_summed_over_pixels() -> None:
    chance = torch.sigmoid(LOGITS.double())
    expected = -(IMAGES * chance.log() + (1 - IMAGES) * (1 - chance).log()).sum((1, 2, 3))
    torch.testing.assert_close(build("bernoulli").loss(LOGITS, IMAGES), expected.float())


def test_bernoulli_stays_finite_where_the_sigmoid_is_exactly_0_or_1() -> None:
    logits = torch.tensor([-200.0, 200.0]).reshape(2, 1, 1, 1).requires_grad_()
    loss = build("bernoulli").loss(logits, torch.tensor([1.0, 0.0]).reshape(2, 1, 1, 1))
    assert loss.tolist() == [200.0, 200.0]
    loss.sum().backward()
    assert logits.grad is not None
    assert logits.grad.flatten().tolist() == [-1.0, 1.0]


def test_squared_is_the_distance_between_sigmoid_and_picture() -> None:
    expected = ((1 / (1 + (-LOGITS).exp()) - IMAGES) ** 2).sum((1, 2, 3))
    torch.testing.assert_close(build("squared").loss(LOGITS, IMAGES), expected)


@pytest.mark.parametrize(
    ("name", "options"), [("bernoulli", {}), ("squared", {}), ("gaussian", {"decoder_mean": "sigmoid"})]
)
def test_the_decoded_picture_is_the_sigmoid(name: str, options: dict[str, Any]) -> None:
    mean = build(name, **options).mean(torch.tensor([-1e4, 0.0, 1e4]))
    assert mean.tolist() == [0.0, 0.5, 1.0]


def test_an_unknown_one_is_refused() -> None:
    there = "bernoulli, gaussian, logistic-mixture, squared"
    with pytest.raises(UsageError, match=f"unknown likelihood 'gauss'.*; there are: {there}"):
        LIKELIHOODS["gauss"]


@pytest.mark.parametrize("rule", ["fixed", "learnt"])
@pytest.mark.parametrize("variance", [1e-6, 1.0, 30.0])
def test_a_gaussian_is_the_normal_density_with_its_constant(rule: str, variance: float) -> None:
    likelihood = build("gaussian", variance_rule=rule, decoder_variance=variance)
    normal = torch.distributions.Normal(LOGITS.double(), math.sqrt(variance))
    expected = -normal.log_prob(IMAGES.double()).sum((1, 2, 3))
    torch.testing.assert_close(likelihood.loss(LOGITS, IMAGES), expected.float(), rtol=1e-5, atol=1e-4)
    assert isinstance(likelihood, Gaussian)
    assert float(likelihood.gamma2) == pytest.approx(1 / variance)
    torch.testing.assert_close(likelihood.mean(LOGITS), LOGITS)


def test_a_gaussian_integrates_to_1() -> None:
    values = torch.linspace(-30, 30, 6001, dtype=torch.float64)[:, None, None, None]
    likelihood = build("gaussian", 1, decoder_variance=2.0).double()
    density = torch.exp(-likelihood.loss(torch.full_like(values, 0.7), values))
    assert float(density.sum() * 0.01) == pytest.approx(1, abs=1e-9)


def test_a_learnt_variance_finds_the_mean_squared_error_and_stays_above_0() -> None:
    likelihood = build("gaussian", variance_rule="learnt")
    assert isinstance(likelihood, Gaussian) and [name for name, _ in likelihood.named_parameters()] == ["log_variance"]
    optimizer = torch.optim.Adam(likelihood.parameters(), 0.1)
    for _ in range(300):
        loss = likelihood.loss(1e-2 * LOGITS, torch.zeros_like(IMAGES)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(likelihood.variance.detach()) == pytest.approx(1e-4 * float(LOGITS.square().mean()), rel=1e-3)


def test_an_optimal_variance_is_the_batchs_own_in_training() -> None:
    likelihood = build("gaussian", variance_rule="optimal")
    assert isinstance(likelihood, Gaussian) and not list(likelihood.parameters())
    outputs = LOGITS.clone().requires_grad_()
    loss = likelihood.loss(outputs, IMAGES)
    error = (LOGITS - IMAGES).square().mean()
    torch.testing.assert_close(likelihood.variance, error)
    # Half the numbers times log(2 pi e variance), which no other variance is below; the gradient is that of the latter.
    assert float(loss.mean().detach()) == pytest.approx(15 * math.log(2 * math.pi * math.e * float(error)), rel=1e-5)
    (found,) = torch.autograd.grad(loss.mean(), outputs)
    expected = torch.autograd.grad(15 * torch.log((outputs - IMAGES).square().mean()), outputs)[0]
    torch.testing.assert_close(found, expected)


def test_an_optimal_variance_is_not_changed_by_validation_and_is_kept() -> None:
    likelihood = build("gaussian", variance_rule="optimal")
    assert isinstance(likelihood, Gaussian)
    for scale in (1.0, 2.0, 3.0):
        likelihood.loss(scale * LOGITS, torch.zeros_like(LOGITS))
    mean = 14 / 3 * float(LOGITS.square().mean())
    before = {name: value.clone() for name, value in likelihood.state_dict().items()}
    likelihood.eval()
    loss = likelihood.loss(LOGITS, IMAGES)
    assert all(torch.equal(value, before[name]) for name, value in likelihood.state_dict().items())
    assert float(likelihood.variance) == pytest.approx(mean, rel=1e-5)
    torch.testing.assert_close(loss, Gaussian(mean).loss(LOGITS, IMAGES))
    again = build("gaussian", variance_rule="optimal")
    again.load_state_dict(before)
    torch.testing.assert_close(again.eval().loss(LOGITS, IMAGES), loss)


def test_an_optimal_variance_survives_perfect_reconstructions() -> None:
    assert build("gaussian", variance_rule="optimal").loss(IMAGES, IMAGES).isfinite().all()


@pytest.mark.parametrize("variance", [0.0, -1.0, math.inf, 1e-40])
def test_a_variance_that_is_none_is_refused(variance: float) -> None:
    with pytest.raises(UsageError, match=r"--decoder-variance must be from 1e-20 to 1e\+20"):
        build("gaussian", decoder_variance=variance)


def mixture_outputs(likelihood: Likelihood, batch: int, spread: float, dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    assert likelihood.channels is not None
    return spread * torch.randn(1, likelihood.channels, 1, 1, generator=generator).to(dtype).expand(batch, -1, -1, -1)


@pytest.mark.parametrize("components", [1, 5])
@pytest.mark.parametrize("spread", [0.1, 1.0, 4.0])
def test_the_levels_of_a_logistic_mixture_sum_to_1(components: int, spread: float) -> None:
    likelihood = build("logistic-mixture", 1, mixture_components=components)
    assert likelihood.channels == 3 * components
    for dtype, tolerance in ((torch.float32, 1e-4), (torch.float64, 1e-10)):
        levels = (torch.arange(256).to(dtype) / 255).reshape(-1, 1, 1, 1)
        chances = torch.exp(-likelihood.loss(mixture_outputs(likelihood, 256, spread, dtype), levels))
        assert float(chances.sum()) == pytest.approx(1, abs=tolerance)


def test_all_colours_of_a_logistic_mixture_sum_to_1() -> None:
    likelihood = LogisticMixture(3, components=4, levels=6)
    assert (
        likelihood.channels
        == LIKELIHOODS["logistic-mixture"]
        .build(LIKELIHOODS["logistic-mixture"].options(mixture_components=4), (5, 3, 3))
        .channels
        == 40
    )
    grid = torch.cartesian_prod(*[torch.arange(6).double() / 5] * 3)[:, :, None, None]
    chances = torch.exp(-likelihood.loss(mixture_outputs(likelihood, 216, 1.0, torch.float64), grid))
    assert float(chances.sum()) == pytest.approx(1, abs=1e-10)


def test_a_logistic_mixture_is_its_definition() -> None:
    likelihood = build("logistic-mixture", 1, mixture_components=2)
    outputs = torch.tensor([0.3, -0.5, 0.1, -0.6, -2.0, -1.0], dtype=torch.float64).reshape(1, 6, 1, 1)
    weights = torch.softmax(outputs[0, :2, 0, 0], 0)
    for level in (0, 1, 128, 254, 255):
        value, total = 2 * level / 255 - 1, 0.0
        for weight, mean, log_scale in zip(weights, (0.1, -0.6), (-2.0, -1.0), strict=True):
            above = 1 / (1 + math.exp(-(value + 1 / 255 - mean) / math.exp(log_scale))) if level < 255 else 1.0
            below = 1 / (1 + math.exp(-(value - 1 / 255 - mean) / math.exp(log_scale))) if level > 0 else 0.0
            total += float(weight) * (above - below)
        found = likelihood.loss(outputs, torch.full((1, 1, 1, 1), level / 255, dtype=torch.float64))
        assert float(found) == pytest.approx(-math.log(total), rel=1e-9)
    expected = 0.5 + 0.5 * (weights[0] * 0.1 + weights[1] * -0.6)
    assert float(likelihood.mean(outputs)) == pytest.approx(float(expected))


def test_a_logistic_mixture_is_stable_in_float32() -> None:
    likelihood = build("logistic-mixture", 1, mixture_components=1)
    for mean in (-1e3, -2.0, 0.0, 2.0, 1e3):
        for log_scale in (-50.0, -7.0, -3.0, 5.0, 15.0, 100.0):
            outputs = torch.tensor([0.0, mean, log_scale]).reshape(1, 3, 1, 1).requires_grad_()
            for level in (0, 17, 255):
                loss = likelihood.loss(outputs, torch.full((1, 1, 1, 1), level / 255))
                (slope,) = torch.autograd.grad(loss.sum(), outputs)
                assert loss.isfinite().all() and slope.isfinite().all()
                exact = likelihood.loss(outputs.double(), torch.full((1, 1, 1, 1), level / 255, dtype=torch.float64))
                assert float(loss) == pytest.approx(float(exact), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_logistic_mixture_learns_the_picture(channels: int) -> None:
    likelihood = build("logistic-mixture", channels, mixture_components=3)
    assert likelihood.channels is not None
    images = torch.randint(0, 256, (1, channels, 5, 3), generator=torch.Generator().manual_seed(2)) / 255
    images[0, :, 0, 0], images[0, :, 0, 1] = 0.0, 1.0
    likelihood.check(images)
    outputs = nn.Parameter(0.1 * torch.randn(1, likelihood.channels, 5, 3, generator=GENERATOR))
    optimizer = torch.optim.Adam([outputs], 0.05)
    for _ in range(400):
        loss = likelihood.loss(outputs, images).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss) < 2.0 * images.numel() < 5.5 * images.numel()  # log 256 is 5.5
    mean = likelihood.mean(outputs)
    assert mean.shape == images.shape and 0 <= float(mean.min()) <= float(mean.max()) <= 1
    torch.testing.assert_close(mean, images, atol=0.05, rtol=0)


def test_no_component_is_refused() -> None:
    with pytest.raises(UsageError, match="--mixture-components must be 1 or more, not 0"):
        build("logistic-mixture", mixture_components=0)


@pytest.mark.parametrize("name", LIKELIHOODS.names())
def test_pictures_of_8_bits_fit_all(name: str) -> None:
    build(name).check(torch.arange(256).reshape(1, 1, 16, 16).float() / 255)


@pytest.mark.parametrize("name", ["bernoulli", "squared"])
def test_numbers_outside_0_to_1_are_refused(name: str) -> None:
    for images, found in ((IMAGES - 0.5, "from -0."), (2 * IMAGES, "to 1.99")):
        with pytest.raises(UsageError, match=rf"--likelihood {name} takes images in \[0, 1\].*{found}"):
            build(name).check(images)
    build("gaussian").check(IMAGES - 0.5)


def test_numbers_between_levels_are_refused() -> None:
    for images in (IMAGES, torch.full((1, 1, 1, 1), 2.0)):
        with pytest.raises(UsageError, match="--likelihood logistic-mixture takes images of 8 bits"):
            build("logistic-mixture").check(images)
