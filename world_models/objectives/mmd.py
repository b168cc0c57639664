"""The maximum mean discrepancy of two samples (Gretton et al. 2012), and what its kernels take."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from scipy.integrate import quad
from scipy.stats import chi2
from torch import Tensor

from ...envs.registry import UsageError

_RULES = ("dim", "dim-squared", "median")
_LEAST = 1e-30  # of bandwidths in float32


@dataclass
class KernelOptions:
    """Options of objectives that compare codes with the prior."""

    kernel: Literal["gaussian", "imq"] = "gaussian"
    """Of the squared distance r and bandwidth h: gaussian, exp(-r/h); imq, h/(h + r)."""
    bandwidth: str | float = "dim"
    """h: dim (numbers in a code), dim-squared, median (of the squared distances in a batch), or a number."""
    unbiased: bool = False
    """Leave out the distance of a code to itself (U-statistic): no bias, but it may be below 0."""


@dataclass(frozen=True)
class Kernel:
    """A kernel of the squared distance of two codes, 1 where they are the same.

    Args:
        shape: ``gaussian``, exp(-r/h), or ``imq``, the inverse multiquadric h/(h + r).
        bandwidth: h: a rule (``dim``, ``dim-squared``, ``median``) or a number above 0, also as text.

    Raises:
        UsageError: There is no such kernel or bandwidth.
    """

    shape: str = "gaussian"
    bandwidth: str | float = "dim"

    def __post_init__(self) -> None:
        if self.shape not in ("gaussian", "imq"):
            raise UsageError(f"--kernel must be gaussian or imq, not {self.shape}")
        if self.bandwidth not in _RULES:
            try:
                width = float(self.bandwidth)
            except ValueError:
                width = math.nan
            if not _LEAST <= width <= 1 / _LEAST:
                accepted = f"{', '.join(_RULES)} or a number from {_LEAST:g} to {1 / _LEAST:g}"
                raise UsageError(f"--bandwidth must be {accepted}, not {self.bandwidth}")

    def width(self, dimensions: int, median: Tensor | float) -> Tensor | float:
        """The bandwidth, a squared distance.

        Args:
            dimensions: Numbers in a code.
            median: Of the squared distances.
        """
        if self.bandwidth == "median":
            return median
        if self.bandwidth == "dim":
            return float(dimensions)
        return float(dimensions**2) if self.bandwidth == "dim-squared" else float(self.bandwidth)

    def __call__(self, squared: Tensor, width: Tensor | float) -> Tensor:
        """Its values at squared distances of any shape."""
        if self.shape == "imq":
            return width / (width + squared)
        return torch.exp(-squared / width)


def mmd(first: Tensor, second: Tensor, kernel: Kernel, unbiased: bool = False) -> Tensor:
    """The squared maximum mean discrepancy of the distributions that two samples come from.

    Gretton et al., *A Kernel Two-Sample Test*, JMLR 2012: the V-statistic (eq. 5), which counts the pairs of an item
    with itself and is above 0 even where the distributions agree (``null_bias``), or the U-statistic (eq. 3).

    Args:
        first: ``[N, D]``.
        second: ``[M, D]``.
        kernel: Of pairs of them; a median bandwidth is that of the distances between different items of both, and no
            gradient flows through it.
        unbiased: The U-statistic. It needs two items of each: where there is one, its own term is 0.

    Returns:
        One number, differentiable in both.
    """
    within, across = (_squared(first, first), _squared(second, second)), _squared(first, second)
    median: Tensor | float = 1.0
    if kernel.bandwidth == "median":
        with torch.no_grad():
            different = [each[~torch.eye(len(each), dtype=torch.bool, device=each.device)] for each in within]
            median = torch.cat([*different, across.flatten(), across.flatten()]).median()
            median = median.clamp_min(torch.finfo(median.dtype).tiny ** 0.5)
    width = kernel.width(first.shape[1], median)
    return sum((_mean(kernel(each, width), unbiased) for each in within), -2 * kernel(across, width).mean())


def null_bias(kernel: Kernel, number: int, dimensions: int) -> float:
    """What the V-statistic is on average for two samples of the standard normal, half of it by either sample's size.

    For a Gaussian kernel ``2/n (1 - (1 + 4/h)^(-d/2))``; for the inverse multiquadric the mean of that over an
    exponentially distributed inverse bandwidth. A median bandwidth counts as that of the distribution.

    Args:
        kernel: Of pairs of codes.
        number: Codes in each of the samples, n.
        dimensions: Numbers in a code, d.
    """
    width = float(kernel.width(dimensions, 2 * float(chi2.median(dimensions))))

    def mean(inverse: float) -> float:  # of the Gaussian kernel of pairs
        return math.exp(-0.5 * dimensions * math.log1p(4 * inverse))

    if kernel.shape == "gaussian":
        paired = mean(1 / width)
    else:
        paired = quad(lambda share: math.exp(-share) * mean(share / width), 0, math.inf, epsabs=1e-12)[0]
    return 2 / number * (1 - paired)


def _squared(first: Tensor, second: Tensor) -> Tensor:
    """Squared distances ``[N, M]``, each from its own differences, so that near codes keep their digits."""
    return torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist").square()


def _mean(values: Tensor, unbiased: bool) -> Tensor:
    """Of a square matrix, or of what is off its diagonal."""
    if not unbiased:
        return values.mean()
    number = len(values)
    return (values.sum() - values.diagonal().sum()) / max(1, number * (number - 1))
