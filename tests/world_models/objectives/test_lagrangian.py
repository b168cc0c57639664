"""Constraints with learnt multipliers: the published formulas by hand, the ascent, what is refused and what is told."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from equiworld.datasets.randomness import torch_generator
from equiworld.envs import FlatLand, UsageError
from equiworld.world_models.latents import DiagonalGaussian, EuclideanLatent
from equiworld.world_models.latents.gaussian_manifold import GaussianManifoldLatent
from equiworld.world_models.latents.unit_interval import UnitIntervalLatent
from equiworld.world_models.objectives import Evidence, Setting
from equiworld.world_models.objectives.info import Info
from equiworld.world_models.objectives.lagrangian import (
    CONSTRAINTS,
    Constraint,
    Lagrangian,
    LagrangianOptions,
    Measured,
    lagrangian,
)
from equiworld.world_models.objectives.mmd import Kernel
from equiworld.world_models.zoo import MODELS, Context

PUBLISHED: dict[str, Any] = {"bandwidth": "dim-squared", "unbiased": False, "sampled_kl": True}


def key(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def evidence(number: int = 5, size: int = 3, seed: int = 1) -> Evidence:
    source = key(seed)
    mean, log_variance = torch.randn(number, size, generator=source), torch.randn(number, size, generator=source)
    posterior = DiagonalGaussian(mean.requires_grad_(), log_variance)
    draw = posterior.draw(source)
    images = torch.rand(number, 1, 2, 2, generator=source)
    return Evidence(images, posterior, draw.codes, 90 + torch.rand(number), posterior.kl(), draw)


def objective(size: int = 3, batch: int = 0, **options: Any) -> Lagrangian:
    setting = Setting(EuclideanLatent(size), 1000, key(), batch)
    return lagrangian(LagrangianOptions(**options), setting)


def discrepancy(codes: Tensor, prior: Tensor) -> float:
    """1e4 times the published V-statistic, by loops."""
    size = codes.shape[1]

    def mean(first: Tensor, second: Tensor) -> float:
        pairs = [math.exp(-float((a - b).square().mean()) / size) for a in first for b in second]
        return sum(pairs) / len(pairs)

    return 1e4 * (mean(codes, codes) + mean(prior, prior) - 2 * mean(codes, prior))


@pytest.mark.parametrize("mi", [1.5, 0.0, -0.7])
def test_the_published_loss_by_hand(mi: float) -> None:
    found = evidence()
    prior = torch.randn(5, 3, generator=key(7))
    nll = float(found.reconstruction.mean())
    mean, deviation, z = found.posterior.mean, found.posterior.deviation, found.codes
    log_q = (-0.5 * ((z - mean) / deviation).square() - deviation.log() - 0.5 * math.log(2 * math.pi)).sum(1)
    log_p = (-0.5 * z.square() - 0.5 * math.log(2 * math.pi)).sum(1)
    kl, mmd = float((log_q - log_p).mean().detach()), discrepancy(z.detach(), prior)
    l1, l2, e1, e2 = 2.0, 0.5, 88.0, 8.0
    weights = (l1 + mi, l1) if mi > 0 else (l1, l1 - mi)
    by_hand = weights[0] * nll + weights[1] * kl + l2 * mmd - l1 * e1 - l2 * e2
    terms = objective(mi=mi, e1=e1, e2=e2, multiplier_start=(l1, l2), **PUBLISHED).loss(found, 0, key(7))
    assert float(terms["loss"].detach()) == pytest.approx(by_hand, rel=1e-5)
    assert float(terms["constraint-nelbo"].detach()) == pytest.approx(nll + kl, rel=1e-5)
    assert float(terms["constraint-mmd"].detach()) == pytest.approx(mmd, rel=1e-4)
    assert (float(terms["multiplier-nelbo"]), float(terms["multiplier-mmd"])) == (l1, l2)


def test_the_published_ascent_by_hand() -> None:
    """Gradients NELBO - e1 and 1e4 MMD - e2; RMSProp with decay 0.9, 1e-10 below the root, mean squares 1 at first."""
    learnt = objective(e1=88.0, e2=8.0, multiplier_rate=0.3, **PUBLISHED)
    multipliers, squares = [1.0, 1.0], [1.0, 1.0]
    for step in range(5):
        terms = learnt.loss(evidence(seed=step), step, key(step))
        excess = [float(terms["constraint-nelbo"]) - 88.0, float(terms["constraint-mmd"]) - 8.0]
        learnt.advance(step + 1)
        for k in range(2):
            squares[k] = 0.9 * squares[k] + 0.1 * excess[k] ** 2
            multipliers[k] += 0.3 * excess[k] / math.sqrt(squares[k] + 1e-10)
            multipliers[k] = min(max(multipliers[k], 1e-3), 100.0)
        assert learnt.multipliers.values.tolist() == pytest.approx(multipliers, rel=1e-4)
    assert multipliers[0] > 2


@pytest.mark.parametrize(("excess", "end"), [(1e9, 100.0), (-1e9, 1e-3)])
@pytest.mark.parametrize("form", ["direct", "softplus"])
def test_multipliers_are_clipped(excess: float, end: float, form: str) -> None:
    learnt = objective(multiplier_form=form, multiplier_optimizer="gradient", multiplier_rate=1.0).multipliers
    learnt.ascend(torch.tensor([excess, 0.0]))
    assert learnt.values.tolist() == pytest.approx([end, 1.0], rel=1e-3)


def test_softplus_moves_small_multipliers_by_factors() -> None:
    learnt = objective(
        multiplier_form="softplus", multiplier_optimizer="gradient", multiplier_rate=0.1, multiplier_start=(0.01, 20.0)
    ).multipliers
    learnt.ascend(torch.tensor([-10.0, -10.0]))  # what softplus makes them of falls by 1
    assert learnt.values.tolist() == pytest.approx([0.01 / math.e, 19.0], rel=0.01)


def test_fixed_multipliers_give_infovae() -> None:
    """Weights (l1 + mi, l1, l2) of reconstruction, divergence and discrepancy: alpha = mi / (l1 + mi)."""
    l1, l2, mi = 0.5, 0.2, 1.5
    found = evidence()
    terms = objective(mi=mi, e1=0.0, e2=0.0, multiplier_start=(l1, l2)).loss(found, 0, key(3))
    alpha, weight = mi / (l1 + mi), l2 / (l1 + mi)
    info = Info(EuclideanLatent(3), alpha, 1 - alpha + weight, 1e4, Kernel("gaussian", "dim"), True)
    assert float(terms["loss"]) == pytest.approx((l1 + mi) * float(info.loss(found, 0, key(3))["loss"]), rel=1e-5)


def test_no_gradient_reaches_the_multipliers_and_only_training_moves_them() -> None:
    learnt = objective()
    learnt.loss(evidence(), 0, key())["loss"].backward()
    assert not list(learnt.parameters())
    learnt.advance(1)
    before = {name: value.clone() for name, value in learnt.state_dict().items()}
    learnt.eval()
    learnt.loss(evidence(), 1, key())
    learnt.advance(1)
    assert all(torch.equal(value, before[name]) for name, value in learnt.state_dict().items())


def test_warm_up_period_and_smoothing() -> None:
    learnt = objective(
        constraints=("nelbo",),
        e1=10.0,
        multiplier_optimizer="gradient",
        multiplier_rate=0.01,
        multiplier_warmup=2,
        multiplier_period=3,
        smoothing=0.5,
    )
    multipliers, values = [], [20.0, 40.0, 10.0, 30.0, 0.0, 20.0]
    for step, value in enumerate(values):
        learnt._values = torch.tensor([value])
        learnt.advance(step + 1)
        multipliers.append(float(learnt.multipliers.values))
    means = []
    for last in (
        3,
        6,
    ):  # where steps are taken; the newest weighs 1, then 1/2, 1/4, ...
        weights = [0.5**age for age in range(last)][::-1]
        means.append(sum(w * v for w, v in zip(weights, values, strict=False)) / sum(weights))
    first = 1 + 0.01 * (means[0] - 10)
    assert multipliers == pytest.approx([1, 1, first, first, first, first + 0.01 * (means[1] - 10)])


def test_the_dual_is_solved() -> None:
    """Least KL where the reconstruction is at most e: z ~ N(m, s^2), -log p = (m - 1)^2 / 2 + s^2 / 2.

    At the optimum both the KL's and the constraint's gradient in s agree: 1/s^2 - 1 = multiplier, m = l / (1 + l).
    """
    learnt = objective(
        1,
        mi=-1.0,
        constraints=("reconstruction=0.3",),
        multiplier_form="softplus",
        multiplier_optimizer="gradient",
        multiplier_rate=0.3,
        multiplier_max=5.0,
        smoothing=0.5,
    )
    mean, log_variance = torch.zeros(1, 1, requires_grad=True), torch.zeros(1, 1, requires_grad=True)
    optimiser = torch.optim.Adam([mean, log_variance], 0.05)
    for step in range(400):
        posterior = DiagonalGaussian(mean, log_variance)
        reconstruction = 0.5 * ((mean - 1).square() + log_variance.exp()).sum(1)
        terms = learnt.loss(Evidence(torch.zeros(1), posterior, mean, reconstruction, posterior.kl()), step)
        optimiser.zero_grad()
        terms["loss"].backward()
        optimiser.step()
        learnt.advance(step + 1)
    found = float(learnt.multipliers.values)
    assert float(terms["reconstruction"]) == pytest.approx(0.3, rel=0.005)
    assert float(log_variance.exp()) == pytest.approx(1 / (1 + found), rel=0.01)
    assert float(mean) == pytest.approx(found / (1 + found), rel=0.01)
    assert learnt.warning() is None


def test_the_aggregate_divergence() -> None:
    """Posteriors far from one another make log N nats of information; equal ones none."""
    spread = 100.0 * torch.arange(4.0)[:, None]
    for mean, information in ((spread, math.log(1000)), (torch.zeros(4, 1), 0.0)):
        posterior = DiagonalGaussian(mean, torch.full((4, 1), -1.0))
        draw = posterior.draw(key())
        found = Evidence(torch.zeros(4), posterior, draw.codes, torch.zeros(4), posterior.kl(), draw)
        value = objective(1, constraints=("aggregate-kl=3",)).loss(found, 0)["constraint-aggregate-kl"]
        assert float(value) == pytest.approx(float(draw.log_ratio.mean()) - information, rel=1e-5)


def test_the_aggregate_divergence_of_codes_that_float32_rounds() -> None:
    """Of one posterior it is the divergence itself, also where codes round to the end of the interval."""
    space = UnitIntervalLatent(1)
    posterior = space.posterior(torch.tensor([[30.0, -4.0]]))
    draw = posterior.draw(key())
    assert float(draw.codes) == 1.0
    found = Evidence(torch.zeros(1), posterior, draw.codes, torch.zeros(1), draw.log_ratio, draw)
    options = LagrangianOptions(constraints=("aggregate-kl=3",))
    terms = lagrangian(options, Setting(space, 1, key())).loss(found, 0)
    assert float(terms["constraint-aggregate-kl"]) == pytest.approx(float(draw.log_ratio), rel=1e-5)


def test_what_is_not_met_is_told() -> None:
    learnt = objective(constraints=("nelbo", "reconstruction=50"), e1=100.0)
    assert learnt.warning() is None
    learnt._values = torch.tensor([100.9, 60.0])
    learnt.advance(1)
    told = learnt.warning()
    assert told is not None and told.startswith(
        "the constraint reconstruction <= 50 is not met: it is 60 over the last"
    )
    assert "10 (20.0%) above its target" in told and "nelbo" not in told


def build(latent: str = "euclidean", latents: int = 10, batch_size: int = 250, **options: Any) -> Any:
    context = Context(
        FlatLand(period=7, stride=2, radius=3, size=16),
        static_content=False,
        offset=1,
        generator=key(),
        images=1000,
        parts={"objective": LagrangianOptions(**options)},
    )
    spec = MODELS["lagvae"]
    named = {"objective": "lagrangian", "latent": latent, "latents": latents, "architecture": "forward"}
    return spec.build(spec.options(batch_size=batch_size, **named), context)


@pytest.mark.parametrize(("latents", "fits"), [(19, True), (9, True), (8, False), (2, False)])
def test_a_discrepancy_below_the_estimators_bias_is_refused(latents: int, fits: bool) -> None:
    bound = 1e4 / 250 * (1 - (1 + 4 / latents**2) ** (-latents / 2))  # half the bias
    assert (bound <= 8) == fits
    if fits:
        build(latents=latents, **PUBLISHED)
        return
    with pytest.raises(UsageError, match=rf"the constraint mmd <= 8 cannot be met: it is {bound:.4g} at least, half"):
        build(latents=latents, **PUBLISHED)
    build(latents=latents, e2=bound * 1.001, **PUBLISHED)
    build(latents=latents)  # without bias


def test_codes_that_shrink_are_below_the_bias_and_above_the_bound() -> None:
    """In closed form, of codes N(0, s^2): the expected V-statistic of the published kernel, with 4 numbers."""
    number, size = 65, 4

    def expected(s: float) -> float:
        def kernel(variance: float) -> float:
            return (1 + 2 * variance / size**2) ** (-size / 2)

        own = [1 / number + (1 - 1 / number) * kernel(2 * each) for each in (s * s, 1.0)]
        return 1e4 * (sum(own) - 2 * kernel(s * s + 1))

    constraint = build(latents=size, batch_size=number, e2=1000.0, **PUBLISHED).objective.constraints["mmd"]
    least, _ = constraint.least(None)
    assert expected(1.0) == pytest.approx(2 * least)
    assert least < min(expected(s) for s in np.linspace(0.5, 1, 51)) < 0.995 * expected(1.0)


@pytest.mark.filterwarnings("error")
def test_the_bias_under_a_prior_that_is_learnt_is_a_number() -> None:
    space = GaussianManifoldLatent(4, learn_curvature=True)
    assert space.prior_sample(2, key()).requires_grad
    constraint = lagrangian(LagrangianOptions(**PUBLISHED), Setting(space, 1000, key(), 250)).constraints["mmd"]
    assert constraint.least(None)[0] > 0


def test_the_bias_under_another_prior_is_found_from_samples() -> None:
    """It is half of 2/n times what a code is nearer to itself than to another, by the kernel."""
    constraint = build("sphere", 3, e2=1000.0, **PUBLISHED).objective.constraints["mmd"]
    space = constraint.setting.space
    least, why = constraint.least(None)
    apart = (space.prior_sample(20_000, key(1)) - space.prior_sample(20_000, key(2))).square().sum(1)
    assert least == pytest.approx(1e4 / 250 * (1 - float(torch.exp(-apart / space.size**2).mean())), rel=0.02)
    assert f"250 codes of {space.size} numbers" in why


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"e1": -1.0}, "the constraint nelbo <= -1 cannot be met: it is 0 at least, as no image is likelier"),
        ({"e2": -1.0}, "the constraint mmd <= -1 cannot be met: it is 0 at least, as a discrepancy is not"),
        ({"constraints": ()}, "--constraints is empty; there are: aggregate-kl, mmd, nelbo, reconstruction"),
        ({"constraints": ("nelbow",)}, "unknown constraint 'nelbow' (did you mean 'nelbo'?); there are: "),
        ({"constraints": ("reconstruction",)}, "a target is needed, such as reconstruction=10"),
        ({"constraints": ("reconstruction=low",)}, "--constraints reconstruction=low: a target is needed"),
        ({"constraints": ("nelbo", "nelbo=3")}, "one of each and finite targets are accepted"),
        ({"constraints": ("nelbo=1e300",)}, "one of each and finite targets are accepted"),
        ({"constraints": ("nelbo",), "e2": 3.0}, "--e2 is the target of mmd, which is not among --constraints"),
        ({"multiplier_rate": 0.0}, "--multiplier-rate must be above 0, not 0"),
        ({"multiplier_start": (1.0, 2.0, 3.0)}, "--multiplier-start must be one number or 2, from --multiplier-min"),
        ({"multiplier_start": (200.0,)}, "--multiplier-start must be one number or 2, from --multiplier-min"),
        ({"multiplier_period": 0}, "--multiplier-period must be 1 or more, not 0"),
        ({"multiplier_warmup": -1}, "--multiplier-warmup must be 0 or more, not -1"),
        ({"smoothing": 1.0}, "--smoothing must be at least 0 and below 1, not 1"),
        ({"mmd_scale": 0.0}, "--mmd-scale must be above 0, not 0"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        build(**options)
    assert said in str(refused.value) and "\n" not in str(refused.value)


def test_a_constraint_is_a_class_in_a_table() -> None:
    @CONSTRAINTS.register("code-size")
    class CodeSize(Constraint):
        def value(self, measured: Measured) -> Tensor:
            return measured.evidence.codes.square().sum(1).mean()

    found = evidence()
    terms = objective(constraints=("code-size=2", "nelbo")).loss(found, 0, key())
    assert float(terms["constraint-code-size"]) == pytest.approx(float(found.codes.square().sum(1).mean()))


def test_the_preset_has_the_published_settings(tiny: Callable[..., Any]) -> None:
    flat = tiny("lagvae", batch_size=250, e2=16.0).options.flat()
    settings = PUBLISHED | {
        "latents": 64,
        "architecture": "dense",
        "hidden_layers": 2,
        "hidden_width": 1024,
        "activation": "softplus",
        "learning_rate": 1e-4,
        "adam_beta1": 0.5,
        "batch_size": 250,
        "mi": 0.0,
        "e1": 88.0,
        "kernel": "gaussian",
        "mmd_scale": 1e4,
        "constraints": ["nelbo", "mmd"],
        "multiplier_form": "direct",
        "multiplier_optimizer": "rmsprop",
        "multiplier_rate": 1e-4,
        "multiplier_start": [1.0],
        "multiplier_min": 1e-3,
        "multiplier_max": 100.0,
        "multiplier_warmup": 0,
        "multiplier_period": 1,
        "smoothing": 0.0,
    }
    assert {name: flat[name] for name in settings} == settings
    assert LagrangianOptions().e2 == 8.0


def test_multipliers_rise_in_training_and_are_kept(tiny: Callable[..., Any]) -> None:
    model = tiny("vae", objective="lagrangian", latents=4, architecture="forward", e1=1.0, constraints=("nelbo",)).model
    images = torch.rand(4, 1, 16, 16, generator=key())
    for step in range(3):
        model.objective.terms(model, images, step, torch_generator(0, step))
        model.advance(None, step + 1)
    kept = model.state_dict()
    assert float(kept["objective.multipliers.raw"]) > 1 and int(kept["objective.seen"]) == 3
    assert "the constraint nelbo <= 1 is not met" in model.warning()
