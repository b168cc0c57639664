"""Elementary functions in arrangements that keep their digits in float32, with finite gradients everywhere."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
_TINY = 1e-37  # above the smallest normal float32


def bounded_exp(x: Tensor, most: float = 80.0) -> Tensor:
    """``exp(x)`` up to ``x = most``, its tangent line beyond: large, rising and finite in float32."""
    return torch.exp(x.clamp(max=most)) * (1 + (x - most).clamp(min=0))


def expm1_minus(x: Tensor) -> Tensor:
    """``exp(x) - 1 - x``, at least 0; large ``x`` as in ``bounded_exp``."""
    small = x.clamp(-0.5, 0.5)
    series = torch.ones_like(small)
    for order in range(9, 2, -1):
        series = 1 + small / order * series
    far = bounded_exp(x) - 1 - x
    return torch.where(x.abs() < 0.5, 0.5 * small.square() * series, far)


def stirling_error(a: Tensor) -> Tensor:
    """``log Gamma(a) - ((a - 1/2) log a - a + log(2 pi) / 2)`` for ``a > 0``, about ``1 / (12 a)``."""
    # The series at a + 3, and the recurrence back, each of whose terms is of order 1 for any a.
    inverse = 1 / (a + 3)
    square = inverse.square()
    series = inverse * (
        1 / 12
        - square * (1 / 360 - square * (1 / 1260 - square * (1 / 1680 - square * (1 / 1188 - square * 691 / 360360))))
    )
    steps = (a + 0.5) * torch.log1p(3 / a) + torch.log1p(2 / (a + 1)) + torch.log1p(1 / (a + 2)) - 3
    return series + steps


def digamma_error(a: Tensor) -> Tensor:
    """``digamma(a) - log(a)`` for ``a > 0``, about ``-1 / (2 a)``."""
    inverse = 1 / (a + 3)
    square = inverse.square()
    series = -0.5 * inverse - square * (
        1 / 12
        - square * (1 / 120 - square * (1 / 252 - square * (1 / 240 - square * (1 / 132 - square * 691 / 32760))))
    )
    return series + torch.log1p(3 / a) - 1 / a - 1 / (a + 1) - 1 / (a + 2)


def log_sinhc(x: Tensor) -> Tensor:
    """``log(sinh(x) / x)`` for ``x >= 0``."""
    square = x.clamp(max=1.0).square()
    series = square * (
        1 / 6
        - square * (1 / 180 - square * (1 / 2835 - square * (1 / 37800 - square * (1 / 467775 - square * 1.8037e-7))))
    )
    large = x.clamp(min=1.0)
    return torch.where(x < 1, series, large + torch.log1p(-torch.exp(-2 * large)) - torch.log(2 * large))


def log_softplus(x: Tensor) -> Tensor:
    """``log(log(1 + exp(x)))``: about ``x`` below 0, about ``log(x)`` above."""
    low = x.clamp(max=-8.0)
    high = torch.log(functional.softplus(x.clamp(min=-8.0)))
    return torch.where(x < -8, low - 0.5 * torch.exp(low), high)


def norm(x: Tensor) -> Tensor:
    """Euclidean norm over the last axis; its gradient at 0 is 0."""
    # Scaled, so that squares neither overflow nor vanish.
    scale = x.detach().abs().amax(-1, keepdim=True).clamp(min=_TINY)
    square = (x / scale).square().sum(-1)
    zero = square == 0
    length = torch.sqrt(torch.where(zero, torch.ones_like(square), square)) * scale[..., 0]
    return torch.where(zero, torch.zeros_like(length), length)


def unit(x: Tensor) -> Tensor:
    """``x [..., n]`` at length 1; the first axis where ``x`` is (nearly) 0, with gradient 0 there."""
    scale = x.detach().abs().amax(-1, keepdim=True)
    zero = scale < 1e-30
    first = torch.eye(1, x.shape[-1], dtype=x.dtype, device=x.device)[0]
    scaled = torch.where(zero, first, x / torch.where(zero, torch.ones_like(scale), scale))
    return scaled / scaled.square().sum(-1, keepdim=True).sqrt()


def log_gamma_quotient(shape_less_one: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """``log(G / g)`` of reparameterised samples of ``G ~ Gamma(g + 1, 1)``, for ``g = shape_less_one``.

    Up to a shape of 1000 by torch's sampler with its implicit gradient (Figurnov et al. 2018, arXiv 1805.08498). Above,
    where ``G / g`` comes to round to 1, by the cube of a normal (Wilson and Hilferty 1931), there as good as exact.
    """
    g = shape_less_one
    limit = 1000.0
    normal = torch.randn(g.shape, generator=generator).to(g)
    moderate = g.clamp(max=limit) + 1
    # On the CPU, where the generator is.
    drawn = torch._standard_gamma(moderate.cpu(), generator=generator).to(g.device).clamp(min=_TINY)
    by_gamma = torch.log(drawn) - torch.log(g.clamp(_TINY, limit))
    d = g.clamp(min=limit) + 2 / 3  # shape - 1/3
    by_cube = torch.log1p(2 / (3 * g.clamp(min=limit))) + 3 * torch.log1p(normal * torch.rsqrt(9 * d))
    return torch.where(g > limit, by_cube, by_gamma)
