"""The maximum mean discrepancy: closed forms of normals, both statistics, all bandwidths."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from equiworld.envs import UsageError
from equiworld.world_models.objectives.mmd import Kernel, mmd, null_bias


def _normal(number: int, size: int, seed: int) -> Tensor:
    return torch.randn(number, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _by_loops(first: Tensor, second: Tensor, kernel: Kernel, width: float, unbiased: bool) -> float:
    def mean(one: Tensor, other: Tensor, same: bool) -> float:
        values = [
            float(kernel((a - b).square().sum(), width))
            for i, a in enumerate(one)
            for j, b in enumerate(other)
            if not (same and unbiased and i == j)
        ]
        return sum(values) / len(values)

    return mean(first, first, True) + mean(second, second, True) - 2 * mean(first, second, False)


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("shape", ["gaussian", "imq"])
@pytest.mark.parametrize(("bandwidth", "width"), [("dim", 3.0), ("dim-squared", 9.0), ("0.7", 0.7), (2, 2.0)])
def test_it_is_the_sum_over_pairs(shape: str, bandwidth: str | float, width: float, unbiased: bool) -> None:
    first, second = _normal(5, 3, 0), _normal(7, 3, 1) + 0.5
    found = mmd(first, second, Kernel(shape, bandwidth), unbiased)
    assert float(found) == pytest.approx(_by_loops(first, second, Kernel(shape), width, unbiased), abs=1e-12)


def test_the_median_is_that_of_the_distances_between_different_items() -> None:
    first, second = _normal(6, 2, 0), _normal(6, 2, 1)
    both = torch.cat([first, second])
    rows, columns = torch.triu_indices(12, 12, 1)
    median = float((both[rows] - both[columns]).square().sum(1).median())
    expected = _by_loops(first, second, Kernel(), median, False)
    assert float(mmd(first, second, Kernel("gaussian", "median"))) == pytest.approx(expected, abs=1e-12)
    assert float(mmd(torch.zeros(3, 2), torch.zeros(3, 2), Kernel("gaussian", "median"))) == 0.0


@pytest.mark.parametrize(("size", "expected"), [(64, 2.46), (10, 14.25), (2, 40.0)])  # in units of 1e-4, of 250 codes
def test_the_bias_of_the_squared_dimension_is_known(size: int, expected: float) -> None:
    assert 1e4 * null_bias(Kernel("gaussian", "dim-squared"), 250, size) == pytest.approx(expected, rel=2e-3)
    assert 1e4 * null_bias(Kernel("gaussian", "dim-squared"), 250, size) == pytest.approx(
        80 * (1 - (1 + 4 / size**2) ** (-size / 2)), rel=1e-12
    )


def test_the_common_bandwidth_is_far_more_sensitive() -> None:
    # 250 codes of 64 numbers, shrunk to half or to a point: the squared dimension hardly sees it, the dimension does.
    codes, prior = _normal(250, 64, 0), _normal(250, 64, 1)
    seen = {
        (bandwidth, scale): 1e4 * float(mmd(scale * codes, prior, Kernel("gaussian", bandwidth)))
        for bandwidth in ("dim", "dim-squared")
        for scale in (0.0, 0.5, 1.0)
    }
    assert seen["dim-squared", 1.0] == pytest.approx(2.5, abs=1.0)
    assert seen["dim-squared", 0.5] == pytest.approx(3.0, abs=1.0)
    assert seen["dim-squared", 0.0] == pytest.approx(3.8, abs=1.0)
    assert seen["dim", 1.0] == pytest.approx(68, rel=0.1)
    assert seen["dim", 0.5] == pytest.approx(1690, rel=0.05)
    assert seen["dim", 0.0] == pytest.approx(4015, rel=0.05)


@pytest.mark.parametrize("kernel", [Kernel("gaussian", "dim"), Kernel("imq", "dim"), Kernel("imq", "median")])
def test_the_v_statistic_is_its_bias_and_the_u_statistic_nothing_where_both_are_the_prior(kernel: Kernel) -> None:
    values = {flag: torch.empty(400, dtype=torch.float64) for flag in (False, True)}
    for trial in range(400):
        first, second = _normal(30, 4, 2 * trial), _normal(30, 4, 2 * trial + 1)
        for flag in values:
            values[flag][trial] = mmd(first, second, kernel, flag)
    error = {flag: float(each.std()) / 20 for flag, each in values.items()}
    slack = 0.01 * null_bias(kernel, 30, 4) if kernel.bandwidth == "median" else 0.0
    assert abs(float(values[False].mean()) - null_bias(kernel, 30, 4)) < 4 * error[False] + slack
    assert abs(float(values[True].mean())) < 4 * error[True]
    assert float(values[False].min()) > 0.0 > float(values[True].min())


def test_of_a_shifted_normal_it_is_the_closed_form() -> None:
    # Gaussian kernel, N(0, I) against N(m, I): 2 c (1 - exp(-|m|^2 / (h + 4))) with c = (1 + 4/h)^(-d/2).
    first, second = _normal(2000, 2, 0), _normal(2000, 2, 1) + 2
    expected = 2 * (1 + 4 / 2) ** -1 * (1 - math.exp(-8 / (2 + 4)))
    assert float(mmd(first, second, Kernel("gaussian", "dim"), True)) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("bandwidth", ["dim", "median", "1e-3"])
def test_gradients_are_finite_also_of_equal_codes_and_of_one(bandwidth: str, unbiased: bool) -> None:
    for codes in (torch.zeros(4, 3), torch.ones(1, 3), 1e6 * torch.ones(2, 3)):
        codes.requires_grad_()
        value = mmd(codes, torch.zeros(len(codes), 3), Kernel("gaussian", bandwidth), unbiased)
        value.backward()
        assert torch.isfinite(value) and torch.isfinite(codes.grad).all()


def test_what_there_is_not_is_refused() -> None:
    for bandwidth in ("0", "-1", "wide", "nan", "inf"):
        with pytest.raises(
            UsageError,
            match=f"--bandwidth must be dim, dim-squared, median or a number from 1e-30 to 1e\\+30, not {bandwidth}",
        ):
            Kernel("gaussian", bandwidth)
    with pytest.raises(UsageError, match="--kernel must be gaussian or imq, not cosine"):
        Kernel("cosine")
