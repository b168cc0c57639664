"""lagrangian: constraints whose multipliers are learnt, LagVAE (Zhao, Song and Ermon 2018, arXiv 1806.06514)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...datasets.randomness import torch_generator
from ...envs.registry import Registry, UsageError
from ..latents import EuclideanLatent
from ..likelihoods import Bernoulli, LogisticMixture, Squared
from .base import OBJECTIVES, Evidence, Objective, Setting, Terms
from .mmd import Kernel, KernelOptions, mmd, null_bias

if TYPE_CHECKING:
    from ..vae import VAE

_DECAY, _EPSILON = 0.9, 1e-10  # RMSProp's in TensorFlow 1, which the published code uses
_REPORTED = 0.99  # of the running means that the warning tells
_TOLERANCE = 0.01
_LARGEST = 1e30  # of targets in float32


@dataclass
class LagrangianOptions(KernelOptions):
    """Options of the objective."""

    mi: float = 0.0
    """Weight of the mutual information of image and code: above 0 it is maximised, below minimised, 0: neither."""
    constraints: tuple[str, ...] = ("nelbo", "mmd")
    """What is held at or below a target: nelbo, mmd, reconstruction=NATS, aggregate-kl=NATS."""
    e1: float = 88.0
    """Target of nelbo in nats."""
    e2: float = 8.0
    """Target of mmd, times mmd-scale."""
    mmd_scale: float = 1e4
    """Factor of the discrepancy."""
    unbiased: bool = True
    """Leave out the distance of a code to itself (U-statistic): no bias, but it may be below 0."""
    sampled_kl: bool = False
    """Estimate the divergence by the sample that is decoded, as published, also where there is a closed form."""
    multiplier_form: Literal["direct", "softplus"] = "direct"
    """What is learnt: the multipliers, or what softplus makes them of, so that small ones move by factors."""
    multiplier_optimizer: Literal["rmsprop", "gradient"] = "rmsprop"
    """How multipliers ascend: by TensorFlow 1's RMSProp, as published, or by the plain gradient."""
    multiplier_rate: float = 1e-4
    """Learning rate of the multipliers."""
    multiplier_start: tuple[float, ...] = (1.0,)
    """Multipliers at first: one for all constraints, or one for each."""
    multiplier_min: float = 1e-3
    """Least multiplier: they are clipped after each step."""
    multiplier_max: float = 100.0
    """Largest multiplier; a low one keeps them from winding up while the model is far from its targets."""
    multiplier_warmup: int = 0
    """Updates before multipliers are learnt."""
    multiplier_period: int = 1
    """Updates from one step of the multipliers to the next."""
    smoothing: float = 0.0
    """Decay of the running means of the constraints that multipliers are learnt from; 0: the last batch alone."""


@dataclass(frozen=True)
class Measured:
    """What constraints are made of: a batch's evidence and its means.

    Attributes:
        evidence: The batch.
        reconstruction: ``-log p(x|z)``, the mean over the batch.
        kl: Divergence of the posteriors from the prior in nats, the mean over the batch.
        generator: Source of everything random.
    """

    evidence: Evidence
    reconstruction: Tensor
    kl: Tensor
    generator: torch.Generator | None


class Constraint(ABC):
    """A quantity that is to be at or below a target.

    Args:
        target: The target.
        options: Of the objective.
        setting: What the objective is built for.
    """

    def __init__(self, target: float, options: LagrangianOptions, setting: Setting) -> None:
        self.target, self.setting = target, setting

    @abstractmethod
    def value(self, measured: Measured) -> Tensor:
        """The quantity on a batch, one number."""

    def least(self, model: VAE) -> tuple[float, str]:
        """What it cannot be below, and why."""
        return -math.inf, ""


CONSTRAINTS = Registry[type[Constraint]]("constraint")
"""The names that ``--constraints`` takes."""


def _of_pixels(model: VAE) -> tuple[float, str]:
    """What ``-log p(x|z)`` cannot be below."""
    scores = isinstance(model.likelihood, Bernoulli | LogisticMixture | Squared)
    return (0.0, "as no image is likelier than certain") if scores else (-math.inf, "")


@CONSTRAINTS.register("nelbo")
class Nelbo(Constraint):
    """The negative evidence lower bound in nats."""

    def value(self, measured: Measured) -> Tensor:
        return measured.reconstruction + measured.kl

    def least(self, model: VAE) -> tuple[float, str]:
        return _of_pixels(model)


@CONSTRAINTS.register("reconstruction")
class Reconstruction(Constraint):
    """``-log p(x|z)`` in nats."""

    def value(self, measured: Measured) -> Tensor:
        return measured.reconstruction

    def least(self, model: VAE) -> tuple[float, str]:
        return _of_pixels(model)


@CONSTRAINTS.register("mmd")
class Discrepancy(Constraint):
    """The scaled maximum mean discrepancy of the codes of a batch from as many of the prior."""

    def __init__(self, target: float, options: LagrangianOptions, setting: Setting) -> None:
        super().__init__(target, options, setting)
        if not options.mmd_scale > 0:
            raise UsageError(f"--mmd-scale must be above 0, not {options.mmd_scale}")
        self.kernel, self.unbiased = Kernel(options.kernel, options.bandwidth), options.unbiased
        self.scale = options.mmd_scale

    def value(self, measured: Measured) -> Tensor:
        codes = measured.evidence.codes
        drawn = self.setting.space.prior_sample(len(codes), measured.generator).to(codes).detach()
        return self.scale * mmd(codes, drawn, self.kernel, self.unbiased)

    @torch.no_grad()
    def least(self, model: VAE) -> tuple[float, str]:
        if self.unbiased or not self.setting.batch:
            return 0.0, "as a discrepancy is not negative"
        space, number = self.setting.space, min(self.setting.batch, self.setting.images)
        if isinstance(space, EuclideanLatent):
            bias = self.scale * null_bias(self.kernel, number, space.size)
        else:  # V = U + 2/n (1 - mean of the kernel), and U is 0 on average.
            first, second = (space.prior_sample(1000, torch_generator(0, part)) for part in range(2))
            both = (mmd(first, second, self.kernel, unbiased) for unbiased in (False, True))
            bias = self.scale * float(next(both) - next(both)) * 1000 / number
        # Half of it is of the sample of the prior, which the codes cannot know; codes may be spread evenly.
        why = (
            f"half the bias of its estimator for codes of the prior itself, {bias:.4g} ({number} codes of {space.size}"
            " numbers); --unbiased has none"
        )
        return bias / 2, why


@CONSTRAINTS.register("aggregate-kl")
class AggregateKL(Constraint):
    """Divergence in nats of all posteriors together, ``q(z)``, from the prior.

    ``q(z)`` is estimated from the batch without bias, as by stratified sampling in Chen et al. 2018 (arXiv 1802.04942,
    app. C.2): a code's own posterior counts once among all images, the others of the batch stand for the rest. Its
    logarithm, and with it the divergence, is too low on average.
    """

    def value(self, measured: Measured) -> Tensor:
        posterior, codes, draw = measured.evidence.posterior, measured.evidence.codes, measured.evidence.draw
        number, images = len(codes), max(self.setting.images, len(codes))
        each, prior = posterior.pairwise_log_prob(codes), self.setting.space.prior_log_prob(codes)
        if draw is not None:  # what codes in float32 no longer tell
            own, prior = (density.sum(1) for density in draw.densities)
            each = each.diagonal_scatter(own)
        weights = torch.full_like(each, (images - 1) / (images * max(1, number - 1)))
        aggregate = (each + weights.fill_diagonal_(1 / images).log()).logsumexp(1)
        return (aggregate - prior).mean()


class Multipliers(nn.Module):
    """Weights of constraints, which rise while these are not met: the ascent of the dual.

    RMSProp is TensorFlow 1's with its defaults: a decay of 0.9, 1e-10 below the root, mean squares of 1 at first.

    Args:
        number: How many constraints there are.
        options: Of the objective.

    Raises:
        UsageError: An option is out of its range.
    """

    raw: Tensor
    mean_square: Tensor

    def __init__(self, number: int, options: LagrangianOptions) -> None:
        super().__init__()
        self.options, least, most = options, options.multiplier_min, options.multiplier_max
        for name in ("rate", "min"):
            if not getattr(options, f"multiplier_{name}") > 0:
                raise UsageError(f"--multiplier-{name} must be above 0, not {getattr(options, f'multiplier_{name}')}")
        start = options.multiplier_start * (number if len(options.multiplier_start) == 1 else 1)
        if len(start) != number or not all(least <= each <= most for each in start):
            raise UsageError(
                f"--multiplier-start must be one number or {number}, from --multiplier-min {least:g} to"
                f" --multiplier-max {most:g}, not {' '.join(f'{each:g}' for each in options.multiplier_start)}"
            )
        self.register_buffer("raw", torch.tensor([self._raw(each) for each in start]))
        self.register_buffer("mean_square", torch.ones(number))

    @property
    def values(self) -> Tensor:
        """The multipliers, ``[K]``, above 0."""
        return functional.softplus(self.raw) if self.options.multiplier_form == "softplus" else self.raw.clone()

    @torch.no_grad()
    def ascend(self, excess: Tensor) -> None:
        """One step.

        What softplus makes multipliers of ascends by the excess itself (mirror ascent): softplus' own slope would all
        but stop small ones.

        Args:
            excess: How far each constraint is above its target, ``[K]``: the gradient of the multipliers.
        """
        gradient = excess
        if self.options.multiplier_optimizer == "rmsprop":
            self.mean_square.mul_(_DECAY).add_((1 - _DECAY) * gradient.square())
            gradient = gradient * (self.mean_square + _EPSILON).rsqrt()
        self.raw.add_(self.options.multiplier_rate * gradient)
        self.raw.clamp_(self._raw(self.options.multiplier_min), self._raw(self.options.multiplier_max))

    def _raw(self, multiplier: float) -> float:
        """What a multiplier is made of."""
        softplus = self.options.multiplier_form == "softplus"
        return multiplier + math.log(-math.expm1(-multiplier)) if softplus else multiplier


class Lagrangian(Objective):
    """``|mi| * bound + sum_k multiplier_k (constraint_k - target_k)``, minimised while the multipliers ascend.

    The bound is that of the mutual information: ``-log p(x|z)`` where it is maximised (``mi`` above 0), the divergence
    from the prior where it is minimised.

    Args:
        constraints: By name.
        options: Of the objective.

    Raises:
        UsageError: An option is out of its range.
    """

    targets: Tensor
    smoothed: Tensor
    recent: Tensor
    seen: Tensor

    def __init__(self, constraints: dict[str, Constraint], options: LagrangianOptions) -> None:
        super().__init__()
        if not 0 <= options.smoothing < 1:
            raise UsageError(f"--smoothing must be at least 0 and below 1, not {options.smoothing}")
        if options.multiplier_period < 1 or options.multiplier_warmup < 0:
            name, least = ("period", 1) if options.multiplier_period < 1 else ("warmup", 0)
            value = getattr(options, f"multiplier_{name}")
            raise UsageError(f"--multiplier-{name} must be {least} or more, not {value}")
        self.constraints, self.options = constraints, options
        self.multipliers = Multipliers(len(constraints), options)
        targets = torch.tensor([constraint.target for constraint in constraints.values()])
        self.register_buffer("targets", targets, persistent=False)
        self.register_buffer("smoothed", torch.zeros(len(constraints)))
        self.register_buffer("recent", torch.zeros(len(constraints)))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self._values: Tensor | None = None  # of the constraints in the running update

    def check(self, model: VAE) -> None:
        for name, constraint in self.constraints.items():
            least, why = constraint.least(model)
            if constraint.target < least:
                wanted = f"{name} <= {constraint.target:g}"
                raise UsageError(f"the constraint {wanted} cannot be met: it is {least:.4g} at least, {why}")

    def loss(self, evidence: Evidence, step: int, generator: torch.Generator | None = None) -> Terms:
        sampled = self.options.sampled_kl and evidence.draw is not None
        divergence = evidence.draw.log_ratio if sampled and evidence.draw is not None else evidence.kl
        measured = Measured(evidence, evidence.reconstruction.mean(), divergence.sum(1).mean(), generator)
        values = torch.stack([constraint.value(measured) for constraint in self.constraints.values()])
        multipliers, mi = self.multipliers.values, self.options.mi
        bound = measured.reconstruction if mi > 0 else measured.kl
        loss = abs(mi) * bound + multipliers @ (values - self.targets)
        if self.training:
            self._values = values.detach()
        terms = {"loss": loss, "reconstruction": measured.reconstruction, "kl": measured.kl}
        for name, value, multiplier in zip(self.constraints, values, multipliers, strict=True):
            terms |= {f"constraint-{name}": value, f"multiplier-{name}": multiplier}
        return terms

    @torch.no_grad()
    def advance(self, step: int) -> list[str]:
        if self._values is None:
            return []
        values, self._values = self._values, None
        self.seen += 1
        for mean, decay in ((self.smoothed, self.options.smoothing), (self.recent, _REPORTED)):
            # The weight of the newest makes it a mean of what was seen, the zero at the start left out.
            mean.lerp_(values, (1 - decay) / (1 - decay ** int(self.seen)))
        if step > self.options.multiplier_warmup and step % self.options.multiplier_period == 0:
            self.multipliers.ascend(self.smoothed - self.targets)
        return []

    def warning(self) -> str | None:
        """Which constraints are not met within one percent, and by how much, in the mean over the last updates."""
        if not self.seen:
            return None
        told = []
        rows = zip(self.constraints.items(), self.recent.tolist(), self.multipliers.values.tolist(), strict=True)
        for (name, constraint), value, multiplier in rows:
            above, size = value - constraint.target, abs(constraint.target)
            if above > _TOLERANCE * size:
                share = f" ({above / size:.1%})" if size else ""
                told.append(
                    f"the constraint {name} <= {constraint.target:g} is not met: it is {value:.4g} over the last"
                    f" updates, {above:.4g}{share} above its target, with a multiplier of {multiplier:.4g}"
                )
        return "; ".join(told) or None


def _constraints(options: LagrangianOptions, setting: Setting) -> dict[str, Constraint]:
    """The constraints that were asked for, by name.

    Raises:
        UsageError: There is none, one of them twice or without a target, or a target that nothing reads.
    """
    targets = {"nelbo": options.e1, "mmd": options.e2}
    made: dict[str, Constraint] = {}
    for asked in options.constraints:
        name, equals, text = asked.partition("=")
        build = CONSTRAINTS[name]
        try:
            target = float(text) if equals else targets[name]
        except (KeyError, ValueError):
            raise UsageError(f"--constraints {asked}: a target is needed, such as {name}=10") from None
        if name in made or not abs(target) < _LARGEST:
            raise UsageError(f"--constraints {asked}: one of each and finite targets are accepted")
        made[name] = build(target, options, setting)
        if not equals:
            del targets[name]
    if not made:
        raise UsageError(f"--constraints is empty; there are: {', '.join(CONSTRAINTS.names())}")
    for name, flag in (("nelbo", "e1"), ("mmd", "e2")):
        if name in targets and targets[name] != getattr(LagrangianOptions, flag):
            raise UsageError(f"--{flag} is the target of {name}, which is not among --constraints without a target")
    return made


@OBJECTIVES.part("lagrangian", LagrangianOptions, "constraints with learnt multipliers, LagVAE (Zhao et al. 2018)")
def lagrangian(options: LagrangianOptions, setting: Setting) -> Lagrangian:
    """Constraints from their names, and their multipliers."""
    return Lagrangian(_constraints(options, setting), options)
