"""Elementary functions, against their definitions in double precision and where float32 would lose them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from equiworld.world_models.latents import numerics

WIDE = torch.logspace(-19, 18, 300)


def double(low: float, high: float) -> Tensor:
    return torch.linspace(low, high, 400, dtype=torch.float64)


@pytest.mark.parametrize(
    ("function", "definition", "at"),
    [
        (numerics.expm1_minus, lambda x: torch.expm1(x) - x, double(-20, 20)),
        (
            numerics.stirling_error,
            lambda a: torch.lgamma(a) - ((a - 0.5) * a.log() - a + 0.5 * math.log(2 * math.pi)),
            double(0.3, 30),
        ),
        (numerics.digamma_error, lambda a: torch.digamma(a) - a.log(), double(0.3, 30)),
        (numerics.log_sinhc, lambda x: torch.log(torch.sinh(x) / x), double(0.01, 40)),
        (numerics.log_softplus, lambda x: torch.log(torch.log1p(torch.exp(x))), double(-20, 20)),
    ],
)
def test_they_are_what_they_say(
    function: Callable[[Tensor], Tensor], definition: Callable[[Tensor], Tensor], at: Tensor
) -> None:
    torch.testing.assert_close(function(at), definition(at), rtol=1e-7, atol=3e-8)


@pytest.mark.parametrize(
    ("function", "at"),
    [
        (numerics.expm1_minus, torch.cat([-WIDE[WIDE < 1e3], WIDE[WIDE < 1e3]])),
        (numerics.stirling_error, WIDE),
        (numerics.digamma_error, WIDE),
        (numerics.log_sinhc, WIDE),
        (numerics.log_softplus, torch.linspace(-100, 100, 300)),
    ],
)
def test_float32_agrees_and_its_gradient_is_finite(function: Callable[[Tensor], Tensor], at: Tensor) -> None:
    at = at.clone().requires_grad_()
    value = function(at)
    torch.testing.assert_close(value.double(), function(at.double()), rtol=1e-5, atol=1e-6)
    (gradient,) = torch.autograd.grad(value.sum(), at)
    assert torch.isfinite(value).all()
    assert torch.isfinite(gradient).all()


def test_norm_and_unit_at_nothing_and_beyond_squares() -> None:
    vectors = torch.tensor([[0.0, 0.0], [3e-30, 4e-30], [3e30, -4e30]], requires_grad=True)
    lengths = numerics.norm(vectors)
    torch.testing.assert_close(lengths.detach(), torch.tensor([0.0, 5e-30, 5e30]))
    (gradient,) = torch.autograd.grad(lengths.sum(), vectors)
    torch.testing.assert_close(gradient, torch.tensor([[0.0, 0.0], [0.6, 0.8], [0.6, -0.8]]))
    torch.testing.assert_close(numerics.unit(vectors).detach(), torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.6, -0.8]]))


@pytest.mark.parametrize("g", [1e-12, 0.3, 40.0, 990.0, 1010.0, 1e5])
def test_gamma_samples_follow_their_law(g: float) -> None:
    quotient = numerics.log_gamma_quotient(torch.full((20_000,), g), torch.Generator().manual_seed(1))
    samples = np.exp(quotient.double().numpy() + math.log(g))
    assert stats.kstest(samples, "gamma", (g + 1,)).pvalue > 1e-3


def test_gamma_samples_keep_their_spread_where_the_shape_is_huge() -> None:
    quotient = numerics.log_gamma_quotient(torch.full((20_000,), 1e18), torch.Generator().manual_seed(1))
    assert float(quotient.std()) == pytest.approx(1e-9, rel=0.02)
    assert abs(float(quotient.mean())) < 5e-9 / 20_000**0.5


@pytest.mark.parametrize("g", [0.5, 20.0, 2000.0])
def test_the_gradient_of_gamma_samples_is_that_of_their_mean(g: float) -> None:
    log_g = torch.full((40_000,), math.log(g), requires_grad=True)
    (gradient,) = torch.autograd.grad(
        numerics.log_gamma_quotient(log_g.exp(), torch.Generator().manual_seed(2)).sum(), log_g
    )
    exact = g * float(torch.polygamma(1, torch.tensor(g + 1, dtype=torch.float64))) - 1
    assert float(gradient.mean()) == pytest.approx(exact, abs=5 * float(gradient.std()) / 200)
