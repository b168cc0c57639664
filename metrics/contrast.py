"""How far the columns of a decoder's Jacobian are from orthogonal."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import digamma

from .checks import Floats, as_floats
from .registry import metric
from .result import MetricResult
from .scale import to_unit


def local_contrasts(jacobians: Any) -> Floats:
    """The contrast of independent mechanisms at each point: sum of log column norms - log |det|.

    For tall Jacobians half the log determinant of the Gram matrix stands for log |det|. Zero exactly where columns are
    orthogonal; unchanged by permutation of columns and by scaling any of them. Gresele et al. 2021 (arXiv 2106.05200).

    Args:
        jacobians: [N, X, L], derivatives of X outputs by L latents. Columns that are all zero are left out, point by
            point: a latent that does nothing has no direction.

    Returns:
        float64 [N] from 0; infinite where the other columns depend linearly on each other.

    Raises:
        ValueError: Not [N, X, L], or not finite.
    """
    stack = as_floats(jacobians, "jacobians", 3)
    # Dividing by the largest entry first keeps squares of tiny or huge derivatives within range.
    largest = np.abs(stack).max(axis=1, keepdims=True)
    columns = stack / np.where(largest > 0, largest, 1.0)
    norms = np.linalg.norm(columns, axis=1, keepdims=True)
    dead = norms[:, 0] == 0
    columns = columns / np.where(norms > 0, norms, 1.0)
    gram = np.einsum("nxl,nxm->nlm", columns, columns)
    # A dead column becomes a unit vector at right angles to all others, which adds nothing.
    gram += np.eye(gram.shape[1]) * dead[:, :, None]
    values = np.linalg.eigvalsh(gram)
    singular = values[:, 0] <= gram.shape[1] * 1e-14
    logs = np.log(np.where(singular[:, None], 1.0, values))
    return np.where(singular, np.inf, np.maximum(0.0, -0.5 * logs.sum(axis=1)))


def contrast_of_noise(outputs: int, latents: int) -> float:
    """The expected contrast of a Jacobian [outputs, latents] of independent standard normal numbers.

    Squared column norms are chi-squared with X degrees of freedom, and the determinant of the Gram matrix is a product
    of chi-squared numbers with X, X - 1, .., X - L + 1 of them.

    Args:
        outputs: X, at least ``latents``.
        latents: L.
    """
    return float(0.5 * (digamma(outputs / 2) - digamma((outputs - np.arange(latents)) / 2)).sum())


@metric("c_ima", family="independence")
def c_ima(jacobians: Any, *, seed: int = 0) -> MetricResult:
    """IMA contrast: the mean over points of how far the decoder's Jacobian is from orthogonal columns.

    The mean Jacobian's contrast stands beside it. It is what some published code reports under the same name; averaging
    cancels what differs from point to point, so it is smaller, often by orders of magnitude.

    Args:
        jacobians: The decoder's Jacobians [N, X, L] at N latent points, X outputs by L latents.
        seed: Not read: nothing is drawn.

    Returns:
        Values ``c_ima`` (the mean of ``local_contrasts``) and ``mean_jacobian``; 0 is best, and both are None where
        infinite. No chance: what stands for a decoder that knows nothing is open. Columns of independent normal
        derivatives (``contrast_of_noise``) are nearly orthogonal where there are many outputs, as pixels are, and score
        far lower than any decoder of pictures, whose derivatives depend on each other. Ceiling 0. Details: median, max
        over points, per_point, dead_columns (share of points at which each latent does nothing), singular (points whose
        columns depend linearly on each other).

    Raises:
        ValueError: Not [N, X, L], or not finite.
    """
    stack = as_floats(jacobians, "jacobians", 3)
    points = local_contrasts(stack)
    # Each latent's scale is free, and a sum of huge derivatives must not overflow.
    mean = to_unit(stack, axis=(0, 1))[0].mean(axis=0, keepdims=True)
    average = local_contrasts(mean)
    singular = int(np.isinf(points).sum())
    dead = (stack == 0).all(axis=1)
    values: dict[str, float | None] = {
        "c_ima": None if singular else float(points.mean()),
        "mean_jacobian": float(average[0]) if np.isfinite(average[0]) else None,
    }
    details = {
        "median": float(np.median(points)),
        "max": float(points.max()),
        "per_point": points,
        "dead_columns": dead.mean(axis=0),
        "singular": singular,
    }
    reasons = []
    if dead.all():
        values = dict.fromkeys(values)
        reasons.append("the decoder ignores every latent")
    elif singular:
        reasons.append(f"columns depend linearly on each other at {singular} of {len(points)} points")
    elif values["mean_jacobian"] is None:
        reasons.append("the columns of the mean Jacobian depend linearly on each other")
    return MetricResult(
        "c_ima",
        values,
        details,
        "; ".join(reasons) or None,
        ceiling=dict.fromkeys(values, 0.0),
        n=len(points),
    )
