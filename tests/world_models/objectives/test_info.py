"""InfoVAE: its two parametrisations, and what the discrepancy pulls at."""

from __future__ import annotations

import pytest
import torch

from equiworld.envs import UsageError
from equiworld.world_models.latents import EuclideanLatent
from equiworld.world_models.latents.unit_interval import UnitIntervalLatent
from equiworld.world_models.objectives import Evidence
from equiworld.world_models.objectives.info import Info, InfoOptions
from equiworld.world_models.objectives.mmd import Kernel, mmd

SPACE = EuclideanLatent(3)


def key(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def evidence(number: int = 20) -> Evidence:
    posterior = SPACE.posterior(torch.randn(number, 6, generator=key()))
    draw = posterior.draw(key(1))
    return Evidence(
        torch.zeros(number, 1, 1, 1), posterior, draw.codes, torch.arange(number) * 1.0, posterior.kl(), draw
    )


def objective(alpha: float, lambda_prior: float, scale: float = 1.0, unbiased: bool = False) -> Info:
    return Info(SPACE, alpha, lambda_prior, scale, Kernel("imq", "dim"), unbiased)


@pytest.mark.parametrize("unbiased", [False, True])
def test_the_weights_are_the_papers(unbiased: bool) -> None:
    given = evidence()
    found = objective(0.25, 3.0, 10.0, unbiased).loss(given, 0, key(4))
    discrepancy = mmd(given.codes, SPACE.prior_sample(20, key(4)), Kernel("imq", "dim"), unbiased)
    torch.testing.assert_close(found["mmd"], discrepancy)
    expected = given.reconstruction.mean() + 0.75 * given.kl.sum(1).mean() + 2.25 * 10 * discrepancy
    torch.testing.assert_close(found["loss"], expected)


def test_alpha_0_and_lambda_1_are_the_evidence_lower_bound() -> None:
    given = evidence()
    assert torch.equal(
        objective(0.0, 1.0).loss(given, 0, key())["loss"], given.reconstruction.mean() + given.kl.sum(1).mean()
    )


@pytest.mark.parametrize(("mi", "e1", "e2"), [(1.0, 1.0, 1.0), (0.0, 1.0, 0.0), (-2.0, 4.0, 0.5)])
def test_the_other_parametrisation_is_a_multiple_of_this_one(mi: float, e1: float, e2: float) -> None:
    # (e1 + mi) nll + e1 KL + e2 1e4 MMD, or with mi below 0 e1 nll + (e1 - mi) KL + e2 1e4 MMD.
    given = evidence()
    nll, kl = given.reconstruction.mean(), given.kl.sum(1).mean()
    discrepancy = 1e4 * mmd(given.codes, SPACE.prior_sample(20, key(4)), Kernel("imq", "dim"))
    of_nll, of_kl = (e1 + mi, e1) if mi > 0 else (e1, e1 - mi)
    alpha = 1 - of_kl / of_nll
    assert alpha == pytest.approx(mi / of_nll)
    found = objective(alpha, 1 - alpha + e2 / of_nll, 1e4).loss(given, 0, key(4))["loss"]
    torch.testing.assert_close(of_nll * found, of_nll * nll + of_kl * kl + e2 * discrepancy)


def test_the_defaults_are_the_example_with_all_weights_1() -> None:
    options = InfoOptions()
    assert (options.kernel, options.bandwidth, options.unbiased) == ("gaussian", "dim-squared", False)
    assert (options.alpha, (options.alpha + options.lambda_prior - 1) * options.mmd_scale) == (0.5, 5000.0)


def test_the_discrepancy_is_taken_from_the_spaces_own_prior() -> None:
    space = UnitIntervalLatent(2)
    posterior = space.posterior(torch.zeros(500, 4))
    for codes, low, high in ((space.prior_sample(500, key(5)), 0.0, 0.01), (torch.full((500, 2), 0.5), 0.03, 1.0)):
        given = Evidence(torch.zeros(500, 1, 1, 1), posterior, codes, torch.zeros(500), torch.zeros(500, 2))
        found = Info(space, 1.0, 1.0, 1.0, Kernel("gaussian", 1.0), False).loss(given, 0, key(6))
        assert low < float(found["mmd"]) < high


def test_without_weight_on_the_divergence_codes_still_come_to_the_prior() -> None:
    codes = (0.1 * torch.randn(200, 3, generator=key(7)) + 1).requires_grad_()
    optimizer = torch.optim.Adam([codes], 0.05)
    posterior, fresh = SPACE.posterior(torch.zeros(200, 6)), SPACE.prior_sample(2000, key(8))
    before = float(mmd(codes.detach(), fresh, Kernel(), True))
    for step in range(150):
        given = Evidence(torch.zeros(200, 1, 1, 1), posterior, codes, torch.zeros(200), torch.ones(200, 3))
        optimizer.zero_grad()
        objective(1.0, 1.0).loss(given, step, key(step))["loss"].backward()
        optimizer.step()
    found = codes.detach()
    assert float(mmd(found, fresh, Kernel(), True)) < 0.01 < 0.2 < before
    assert float(found.mean(0).abs().max()) < 0.3
    assert float((found.var(0) - 1).abs().max()) < 0.4


def test_weights_below_0_are_refused() -> None:
    for options, message in (
        ((1.5, 1.0), r"--alpha must be 1 or less \(the divergence weighs 1 - alpha\), not 1.5"),
        ((0.25, 0.5), "--lambda-prior must be 0.75 or more with --alpha 0.25, not 0.5"),
        ((0.0, 1.0, 0.0), "--mmd-scale must be above 0, not 0.0"),
    ):
        with pytest.raises(UsageError, match=message):
            objective(*options)
