"""What a VAE whose decoder is nearly deterministic tends to: its posterior's variance, and codes that come back.

Formulas of Reizinger et al. 2022 (arXiv 2206.02416); the contrast itself is in ``contrast``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .checks import Floats, as_floats


def optimal_variances(jacobians: Any, precision: float, curvature: Any = 0.0) -> Floats:
    """The variance of each code that maximises the evidence lower bound as the decoder becomes deterministic.

    ``1 / (-n'' + gamma^2 |J_k|^2)`` with the second derivative n'' of the prior's log-density of latent k, and the
    decoder's column ``J_k``.

    Args:
        jacobians: The decoder's, [N, X, L], at N codes.
        precision: gamma^2, 1 over the decoder's variance.
        curvature: ``-n''`` at each code, [N, L] or what broadcasts to it: 1 for a standard normal prior, 0 for a
            uniform one.

    Returns:
        float64 [N, L]; infinite where neither prior nor decoder hold a code.

    Raises:
        ValueError: Not [N, X, L] or not finite, or a precision that is not above 0.
    """
    stack = as_floats(jacobians, "jacobians", 3)
    if not (precision > 0 and np.isfinite(precision)):
        raise ValueError(f"precision must be above 0, not {precision}")
    held = precision * np.square(stack).sum(axis=1) + np.asarray(curvature, dtype=np.float64)
    return np.divide(1.0, held, out=np.full_like(held, np.inf), where=held > 0)


def self_consistency(first: Any, second: Any) -> float:
    """How far a thing is from what encoder and decoder make of it: the mean squared difference of their numbers.

    Args:
        first: Observations, or codes; [N, ...].
        second: What posterior means decode to, or the posterior means of what codes decode to; likewise.

    Raises:
        ValueError: The shapes differ.
    """
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.shape != other.shape or not one.size:
        raise ValueError(f"two arrays of one shape are compared, not {list(one.shape)} and {list(other.shape)}")
    return float(np.square(one - other).mean())
