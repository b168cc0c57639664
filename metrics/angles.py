"""By what angle learnt maps turn, of what order that is, and how well they obey the laws of the group."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .checks import Floats, as_codes, as_floats, as_matrices
from .registry import metric
from .result import MetricResult


def wrap_angle(angle: Any) -> Floats:
    """Angles in radians brought into [-pi, pi)."""
    return (np.asarray(angle, dtype=np.float64) + np.pi) % (2 * np.pi) - np.pi


def rotation_angles(matrix: Any) -> Floats:
    """The unsigned angles by which a matrix turns its planes, from its eigenvalues.

    The eigenvalues of a rotation come in pairs of equal unsigned argument, one pair a plane; basis and (positive)
    scale do not matter. A reflection has no plane of its own: its -1 is paired with another eigenvalue.

    Args:
        matrix: Floats [D, D].

    Returns:
        Radians in 0..pi, descending: D // 2 of them, one more for an odd D.

    Raises:
        ValueError: Not a square matrix, or not finite.
    """
    values = np.linalg.eigvals(as_matrices(np.asarray(matrix)[None], "matrix")[0])
    return np.sort(np.abs(np.angle(values)))[::-1][::2]


def nearest_order(angle: float, max_order: int = 64, tolerance: float = 0.004) -> tuple[int, int]:
    """The simplest fraction of a full turn that an angle stands for.

    Args:
        angle: Radians; taken modulo a full turn into [-pi, pi].
        max_order: The largest order considered.
        tolerance: How far, in radians, the angle may be from the fraction. Two fractions with orders m and n may be
            as close as 2 pi / (m n), so a coarse tolerance hides high orders: 5/33 is .0095 from 3/20. The default
            tells all orders up to 40 apart when the angle is exact; higher ones need a finer tolerance.

    Returns:
        (k, n) in lowest terms, k with the angle's sign: the smallest order n with |angle - 2 pi k / n| <= tolerance,
        or, when there is none, the fraction nearest to the angle (``order_error`` then exceeds the tolerance).

    Raises:
        ValueError: The angle is not finite, ``max_order`` is below 1 or the tolerance is negative.
    """
    if not math.isfinite(angle) or max_order < 1 or tolerance < 0:
        raise ValueError(
            f"expected a finite angle, max_order >= 1, tolerance >= 0; got {angle}, {max_order}, {tolerance}"
        )
    turned = math.remainder(angle, 2 * math.pi)
    orders = np.arange(1, max_order + 1)
    steps = np.rint(abs(turned) * orders / (2 * np.pi)).astype(np.int64)
    errors = np.abs(abs(turned) - 2 * np.pi * steps / orders)
    # A few units of rounding keep an exact fraction inside a tolerance of 0.
    close = np.flatnonzero(errors <= tolerance + 1e-12)
    best = int(close[0]) if len(close) else int(np.argmin(errors))
    step, order = int(steps[best]), int(orders[best])
    common = math.gcd(step, order)
    return int(math.copysign(step // common, turned)), order // common


def order_error(angle: float, fraction: tuple[int, int]) -> float:
    """How far, in radians, an angle is from the fraction (k, n) of a full turn."""
    return abs(math.remainder(angle - 2 * math.pi * fraction[0] / fraction[1], 2 * math.pi))


@metric("angles", family="symmetry")
def angle_report(
    matrices: Any,
    mapping: Mapping[int, int],
    true_angles: Any,
    max_order: int = 64,
    tolerance: float = 0.004,
) -> MetricResult:
    """How far the learnt rotations are from the true ones, in radians.

    The error of an action is the larger of two: how far the angle of the plane it turns most is from the true one
    (unsigned: a plane has no orientation of its own), and the angle of the plane it turns second most, which should
    be 0.

    Args:
        matrices: Learnt maps [A, D, D].
        mapping: {true code: learnt code}.
        true_angles: Radians [A_true], by true code; 0 for an action that turns nothing.
        max_order: The largest order considered.
        tolerance: Radians, as in ``nearest_order``.

    Returns:
        Values ``max`` and ``mean`` over true actions, and ``orders``: the share whose order n is the true angle's.
        Missing, with the reason, when a true action has no learnt one. Details per true action: learnt, angles,
        true_angle, error, order [k, n], true_order [k, n], order_error.

    Raises:
        ValueError: Shapes do not fit, or a learnt code is out of range.
    """
    maps = as_matrices(matrices)
    truths = as_floats(true_angles, "true_angles", 1)
    rows: list[dict[str, Any]] = []
    for code, truth in enumerate(truths):
        if code not in mapping:
            continue
        learnt = int(as_codes([mapping[code]], "mapping", len(maps))[0])
        angles = rotation_angles(maps[learnt])
        target = abs(math.remainder(float(truth), 2 * math.pi))
        second = float(angles[1]) if len(angles) > 1 else 0.0
        order = nearest_order(float(angles[0]), max_order, tolerance)
        rows.append(
            {
                "true": code,
                "learnt": learnt,
                "angles": angles,
                "true_angle": float(truth),
                "error": max(abs(float(angles[0]) - target), second),
                "order": order,
                "true_order": nearest_order(target, max_order, tolerance),
                "order_error": order_error(float(angles[0]), order),
            }
        )
    absent = [code for code in range(len(truths)) if code not in mapping]
    values: dict[str, float | None]
    if absent:
        values = {"max": None, "mean": None, "orders": None}
        reason = f"no learnt action for the true action {', '.join(map(str, absent))}"
        return MetricResult("angles", values, {"actions": rows}, reason=reason)
    errors = [row["error"] for row in rows]
    right = [row["order"][1] == row["true_order"][1] for row in rows]
    values = {"max": max(errors), "mean": float(np.mean(errors)), "orders": float(np.mean(right))}
    return MetricResult("angles", values, {"actions": rows})


def inverse_errors(matrices: Any, inverses: Sequence[int | None]) -> Floats:
    """|M_a M_b - I| / sqrt(D) (Frobenius) for each action a with inverse b.

    Args:
        matrices: Maps [A, D, D].
        inverses: For each action the code of its inverse, or None.

    Returns:
        float64 [A]; NaN for an action without an inverse.

    Raises:
        ValueError: Another number of inverses than maps, or a code out of range.
    """
    maps = as_matrices(matrices)
    if len(inverses) != len(maps):
        raise ValueError(f"expected {len(maps)} inverses, got {len(inverses)}")
    errors = np.full(len(maps), np.nan)
    for code, inverse in enumerate(inverses):
        if inverse is not None:
            other = int(as_codes([inverse], "inverses", len(maps))[0])
            errors[code] = _distance_from_identity(maps[code] @ maps[other])
    return errors


def inverse_error(matrices: Any, inverses: Sequence[int | None]) -> float:
    """The largest of ``inverse_errors``; NaN when no action has an inverse."""
    return _largest(inverse_errors(matrices, inverses))


def closure_errors(matrices: Any, orders: Sequence[int | None] | int) -> Floats:
    """|M_a^n - I| / sqrt(D) (Frobenius) for each action a of order n.

    Args:
        matrices: Maps [A, D, D].
        orders: The order of each action (None: none), or one for all.

    Returns:
        float64 [A]; NaN for an action without an order.

    Raises:
        ValueError: Another number of orders than maps, or an order below 1.
    """
    maps = as_matrices(matrices)
    each: Sequence[int | None] = [orders] * len(maps) if isinstance(orders, int | np.integer) else orders
    if len(each) != len(maps):
        raise ValueError(f"expected {len(maps)} orders, got {len(each)}")
    errors = np.full(len(maps), np.nan)
    for code, order in enumerate(each):
        if order is not None:
            if order < 1:
                raise ValueError(f"an order must be at least 1, not {order}")
            errors[code] = _distance_from_identity(np.linalg.matrix_power(maps[code], int(order)))
    return errors


def closure_error(matrices: Any, orders: Sequence[int | None] | int) -> float:
    """The largest of ``closure_errors``; NaN when no action has an order."""
    return _largest(closure_errors(matrices, orders))


def commutator_errors(matrices: Any) -> Floats:
    """|M_a M_b - M_b M_a| / sqrt(D) (Frobenius) for every pair of maps; float64 [A, A]."""
    maps = as_matrices(matrices)
    products = np.einsum("aij,bjk->abik", maps, maps)
    return np.asarray(np.linalg.norm(products - products.swapaxes(0, 1), axis=(2, 3)) / math.sqrt(maps.shape[1]))


def commutator_error(matrices: Any) -> float:
    """The largest of ``commutator_errors``."""
    return float(commutator_errors(matrices).max())


@metric("group_errors", family="symmetry")
def group_errors(
    matrices: Any, inverses: Sequence[int | None], orders: Sequence[int | None] | int, commute: bool = True
) -> MetricResult:
    """How far the learnt matrices are from the laws of the group: inverses, orders, commutation.

    Args:
        matrices: Maps [A, D, D], in the order of the true actions.
        inverses: For each action the code of its inverse, or None.
        orders: The order of each action (None: none), or one for all.
        commute: Whether the true actions all commute; False leaves that error out.

    Returns:
        Values ``inverse``, ``closure`` and ``commutator``: the largest Frobenius norm of the deviation over
        sqrt(D); 0 is exact. A value no action has is missing, with the reason. Details: each for every action.

    Raises:
        ValueError: As ``inverse_errors`` and ``closure_errors``.
    """
    maps = as_matrices(matrices)
    inverse, closure = inverse_errors(maps, inverses), closure_errors(maps, orders)
    values: dict[str, float | None] = {"inverse": _largest(inverse), "closure": _largest(closure)}
    if commute:
        values["commutator"] = commutator_error(maps)
    gaps = [
        text
        for errors, text in ((inverse, "no action has an inverse"), (closure, "no action has an order"))
        if np.isnan(errors).all()
    ]
    details = {"inverse": inverse, "closure": closure, "commutator": commutator_errors(maps)}
    return MetricResult("group_errors", values, details, reason="; ".join(gaps) or None)


def _distance_from_identity(matrix: Floats) -> float:
    return float(np.linalg.norm(matrix - np.eye(len(matrix))) / math.sqrt(len(matrix)))


def _largest(errors: Floats) -> float:
    return math.nan if np.isnan(errors).all() else float(np.nanmax(errors))
