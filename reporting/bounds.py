"""What a run's likelihood, codes and levels are measured by: bounds, mutual information, and hierarchy."""

from __future__ import annotations

import math

import numpy as np
import torch

from ..datasets.randomness import torch_generator
from ..metrics import MetricResult
from ..world_models.bounds import active_units, evidence_bound, importance_bound, mutual_information
from ..world_models.likelihoods import Bernoulli
from ..world_models.objectives.mmd import Kernel, mmd
from .subject import NOISE, Subject

_DECODINGS = 500_000  # of an importance-weighted bound, at most
_LEAST_IMAGES = 50  # that such a bound is of, if there are as many
_NEAR = 1.0  # nats below its limit at which the lower bound of the information says little
_INFORMED = 2_000  # held-out images whose codes are told apart


def _images_of_tested(subject: Subject, most: int | None = None) -> torch.Tensor:
    """Images of held-out states, or of some of them."""
    states = subject.tested
    if most is not None and len(states) > most:
        states = states[np.linspace(0, len(states) - 1, most).round().astype(int)]
    return subject.images(states, 5)


def _without_posterior(subject: Subject, name: str) -> MetricResult | None:
    """What is said of a model that has no posterior or no decoder."""
    if all(hasattr(subject.model, part) for part in ("posterior", "logits", "likelihood", "latent")):
        return None
    return MetricResult(name, {name: None}, reason="the model has no posterior, or no decoder")


def bound(subject: Subject) -> MetricResult:
    """Lower bounds of the log-likelihood of held-out images, in nats."""
    if refused := _without_posterior(subject, "bound"):
        return refused
    likelihood = subject.model.likelihood
    if not likelihood.normalised:
        return MetricResult(
            "bound",
            {"bound": None},
            reason=f"{type(likelihood).__name__} is no likelihood, so there is nothing to bound",
        )
    generator = torch_generator(subject.assembly.options.run.seed, NOISE, 12)
    images = _images_of_tested(subject)
    values: dict[str, float | None] = {"elbo": float(evidence_bound(subject.model, images, generator).mean())}
    counts = {"elbo": len(images)}
    for samples in subject.samples:
        # The cost grows with the samples, and the error of the mean over images hardly falls.
        some = _images_of_tested(subject, max(_LEAST_IMAGES, _DECODINGS // samples))
        values[f"iwae_{samples}"] = float(importance_bound(subject.model, some, samples, generator).mean())
        counts[f"iwae_{samples}"] = len(some)
    reasons = []
    if min(counts.values()) < len(images):
        told = ", ".join(f"{name} of {count}" for name, count in counts.items() if count < len(images))
        reasons.append(f"of fewer images: {told}")
    if isinstance(likelihood, Bernoulli) and ((images > 0) & (images < 1)).any():
        reasons.append("pixels are grey: bernoulli's cross-entropy is no density of them, and compares models alone")
    return MetricResult("bound", values, {"images": counts}, n=len(images), reason="; ".join(reasons) or None)


def information(subject: Subject) -> MetricResult:
    """Mutual information between held-out images and their codes, and what the codes' distribution is like."""
    if refused := _without_posterior(subject, "information"):
        return refused
    model = subject.model
    generator = torch_generator(subject.assembly.options.run.seed, NOISE, 13)
    images = _images_of_tested(subject, _INFORMED)
    with torch.no_grad():
        posterior = model.latent.posterior(subject.in_chunks(lambda part: model.encoder(part).float(), images))
        found = mutual_information(posterior, generator)
        active = active_units(posterior.mean)
        drawn = model.latent.prior_sample(len(images), generator)
        apart = mmd(posterior.rsample(generator), drawn, Kernel("gaussian", "median"), unbiased=True)
    most = math.log(len(images))
    full = found.lower > most - _NEAR
    reason = f"the lower bound stands at its limit, log {len(images)} = {most:.2f}: the codes hold as much or more"
    values: dict[str, float | None] = {
        "lower": found.lower,
        "upper": found.upper,
        "kl_to_prior": found.to_prior,
        "aggregate_kl": None if full else found.to_prior - found.lower,
        "mmd": float(apart),
        "active_units": float(active.sum()),
    }
    details = {"kl_by_factor": posterior.kl().mean(0).tolist(), "active": active.tolist()}
    return MetricResult("information", values, details, n=len(images), reason=reason if full else None)


def hierarchy(subject: Subject) -> MetricResult:
    """Whether some factor's level says how far an episode has got (Cho et al. 2023, arXiv 2209.15217, sec. 5)."""
    rewards = getattr(subject.data, "rewards_so_far", None)
    if rewards is None or np.ptp(rewards[subject.tested]) == 0:
        return MetricResult("hierarchy", {"correlation": None}, reason="no rewards were recorded with these images")
    if refused := _without_posterior(subject, "hierarchy"):
        return refused
    codes = subject.in_chunks(subject.model.encode, _images_of_tested(subject))
    levels = subject.model.latent.levels(codes).double().numpy()
    own = rewards[subject.tested]
    centred = levels - levels.mean(0)
    spread = np.sqrt((centred**2).sum(0) * ((own - own.mean()) ** 2).sum())
    moving = centred.std(0) > 1e-6
    if not moving.any():
        return MetricResult("hierarchy", {"correlation": None}, reason="all codes stand at one level of this space")
    found = np.where(moving, centred.T @ (own - own.mean()) / np.where(moving, spread, 1.0), 0.0)
    strongest = int(np.abs(found).argmax())
    return MetricResult("hierarchy", {"correlation": float(found[strongest])}, {"by_factor": found}, n=len(own))
