"""What a run's likelihood, codes and levels are measured by: bounds, mutual information, and hierarchy."""

from __future__ import annotations

import numpy as np
import torch

from ..datasets.randomness import torch_generator
from ..metrics import MetricResult
from ..world_models.bounds import active_units, evidence_bound, importance_bound, mutual_information
from ..world_models.objectives.mmd import Kernel, mmd
from .subject import NOISE, Subject

_DECODINGS = 500_000  # of an importance-weighted bound, at most
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
    for samples in subject.samples:
        # The cost grows with the samples, and the error of the mean over images hardly falls.
        some = _images_of_tested(subject, max(50, _DECODINGS // samples))
        values[f"iwae_{samples}"] = float(importance_bound(subject.model, some, samples, generator).mean())
    return MetricResult("bound", values, n=len(images))


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
    values: dict[str, float | None] = {
        "lower": found.lower,
        "upper": found.upper,
        "kl_to_prior": found.to_prior,
        "aggregate_kl": found.to_prior - found.lower,
        "mmd": float(apart),
        "active_units": float(active.sum()),
    }
    details = {"kl_by_factor": posterior.kl().mean(0).tolist(), "active": active.tolist()}
    return MetricResult("information", values, details, n=len(images))


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
