"""What is measured of models with a Gaussian likelihood: the contrast of the decoder, and their consistency."""

from __future__ import annotations

import numpy as np
import torch

from .. import metrics
from ..datasets import MixtureDataset
from ..envs.registry import UsageError
from ..metrics import MetricResult
from ..metrics.ima import optimal_variances, self_consistency
from ..world_models.latents.sphere import SphereLatent
from ..world_models.likelihoods import Gaussian
from .subject import Array, Subject

_POINTS, _NUMBERS = 64, 10_000_000  # codes to differentiate at: so many, and more while Jacobians have fewer numbers
_CHUNK = 2**20  # numbers of Jacobians that are found at once

_ROUND = "codes on circles and spheres have more numbers than directions, so that columns are not independent"


def points(states: Array, number: int) -> Array:
    """So many of the states at most, spread evenly."""
    return np.asarray(states[np.linspace(0, len(states) - 1, min(number, len(states))).round().astype(int)])


def jacobians(subject: Subject, codes: torch.Tensor) -> Array:
    """Derivatives of the decoded images' numbers by codes ``[N, L]``, float64 [N, X, L]."""

    def outputs(code: torch.Tensor) -> torch.Tensor:
        return subject.model.decode(code[None]).flatten()

    # Few latents and many pixels: forward mode takes one pass a latent.
    size = int(np.prod(subject.model.image_shape)) * codes.shape[1]
    found = torch.func.vmap(torch.func.jacfwd(outputs), chunk_size=max(16, _CHUNK // size))(codes)
    return found.detach().double().numpy()


def contrast(subject: Subject) -> MetricResult:
    """The contrast of the decoder at codes of held-out states."""
    if not hasattr(subject.model, "decode"):
        return MetricResult("c_ima", {"c_ima": None}, reason="the model has no decoder")
    if isinstance(getattr(subject.model, "latent", None), SphereLatent):
        return MetricResult("c_ima", {"c_ima": None}, reason=_ROUND)
    codes = subject.in_chunks(subject.model.encode, subject.images(points(subject.tested, _POINTS), 11))
    return metrics.compute("c_ima", jacobians(subject, codes))


@torch.no_grad()
def consistency(subject: Subject) -> MetricResult:
    """The contrast, the optimal variance of posteriors beside their own, and codes and images that come back.

    Of held-out states. On spaces where a factor is more than a number there is no formula of the optimal variance.
    """
    model = subject.model
    likelihood = getattr(model, "likelihood", None)
    if not isinstance(likelihood, Gaussian):
        return MetricResult("ima", {"ima": None}, reason="it is for models with a gaussian likelihood")
    if isinstance(model.latent, SphereLatent):
        return MetricResult("ima", {"ima": None}, reason=_ROUND)
    gamma2 = float(likelihood.gamma2)
    images = subject.images(subject.tested, 11)
    codes = subject.in_chunks(model.encode, images)
    decoded = subject.in_chunks(model.decode, codes)
    number = max(_POINTS, _NUMBERS // (decoded[0].numel() * codes.shape[1]))
    chosen = torch.from_numpy(points(np.arange(len(codes)), number))
    stack = jacobians(subject, codes[chosen])
    of_contrast = metrics.compute("c_ima", stack)
    recoded = subject.in_chunks(model.encode, decoded)
    values: dict[str, float | None] = {
        "c_ima": of_contrast.values["c_ima"],
        "gamma2": gamma2,
        "self_consistency": self_consistency(images, decoded),
        "latent_self_consistency": self_consistency(codes, recoded),
        "posterior_variance": None,
        "optimal_variance": None,
        "mcc": None,
    }
    details = {"contrast": of_contrast.to_dict(), "points": len(chosen)}
    reasons = [] if of_contrast.reason is None else [of_contrast.reason]
    if model.latent.factors == model.latent.size:
        own = model.posterior(images[chosen]).deviation.double().square().numpy()
        optimal = optimal_variances(stack, gamma2, _curvature(subject, codes[chosen]))
        values |= {"posterior_variance": float(own.mean()), "optimal_variance": float(optimal.mean())}
        details |= {"posterior_variances": own.mean(0), "optimal_variances": optimal.mean(0)}
    else:
        reasons.append("the formula of the optimal variance is for factors of one number")
    try:
        tested = subject.assembly.split.test
        matched = metrics.compute("mcc", subject.factors[tested], subject.encode(tested, model.encode), reference=False)
    except UsageError as error:  # recordings without factors
        reasons.append(str(error))
    else:
        values["mcc"] = matched.values["mcc"]
    if isinstance(subject.data, MixtureDataset):
        sources = torch.from_numpy(subject.factors[subject.tested])
        values["true_c_ima"] = float(metrics.local_contrasts(subject.data.mixing.jacobian(sources).numpy()).mean())
    return MetricResult("ima", values, details, "; ".join(reasons) or None, n=len(images))


def _curvature(subject: Subject, codes: torch.Tensor) -> Array:
    """The second derivatives of the prior's log-density by each number of a code, negative, [N, L]."""
    space = subject.model.latent

    def density(code: torch.Tensor) -> torch.Tensor:
        return space.prior_log_prob(code[None])[0]

    found = torch.func.vmap(torch.func.hessian(density), chunk_size=256)(codes)
    return -torch.diagonal(found, dim1=1, dim2=2).double().numpy()
