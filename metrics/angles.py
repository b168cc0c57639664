"""By what angle learnt maps turn, of what order that is, and how well they obey the laws of the group."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .checks import Floats, as_codes, as_floats, as_matrices
from .registry import metric
from .result import MetricResult
from .scale import lengths, to_unit

CHANCE_DRAWS = 10
"""How many sets of random rotations the chance of a score of maps is the mean of."""


def random_rotations(rng: np.random.Generator, count: int, dims: int) -> Floats:
    """Rotations drawn evenly from all of them, float64 [count, dims, dims]."""
    factors, upper = np.linalg.qr(rng.standard_normal((count, dims, dims)))
    # With a positive diagonal the factorisation is unique, and its first part evenly distributed.
    signs = np.where(np.diagonal(upper, axis1=1, axis2=2) < 0, -1.0, 1.0)
    rotations = factors * signs[:, None]
    rotations[np.linalg.det(rotations) < 0, :, 0] *= -1
    return np.asarray(rotations, dtype=np.float64)


def chance_of_rotations(
    score: Callable[[Floats], Mapping[str, float | None]], matrices: Floats, seed: int
) -> dict[str, float | None]:
    """The mean of scores over random rotations in place of the maps [A, D, D]; of what could be measured."""
    rng = np.random.default_rng(seed)
    draws = [score(random_rotations(rng, len(matrices), matrices.shape[1])) for _ in range(CHANCE_DRAWS)]
    found = {key: [value for draw in draws if (value := draw[key]) is not None] for key in draws[0]}
    return {key: float(np.mean(numbers)) for key, numbers in found.items() if numbers}


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
    values = np.linalg.eigvals(to_unit(as_matrices(np.asarray(matrix)[None], "matrix")[0])[0])
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
    *,
    seed: int = 0,
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
        seed: Seeds the random rotations behind ``chance``.

    Returns:
        Values ``max`` and ``mean`` over true actions, and ``orders``: the share whose order n is the true angle's.
        Missing, with the reason, when a true action has no learnt one. Chance: random rotations of as many dimensions
        in place of the learnt ones. Ceiling: 0, 0 and 1. ``n``: true actions. Details per true action: learnt,
        angles, true_angle, error, order [k, n], true_order [k, n], order_error.

    Raises:
        ValueError: Shapes do not fit, or a learnt code is out of range.
    """
    maps = as_matrices(matrices)
    truths = as_floats(true_angles, "true_angles", 1)
    rows = _angle_rows(maps, mapping, truths, max_order, tolerance)
    absent = [code for code in range(len(truths)) if code not in mapping]
    ceiling = {"max": 0.0, "mean": 0.0, "orders": 1.0}
    if absent:
        reason = f"no learnt action for the true action {', '.join(map(str, absent))}"
        missing: dict[str, float | None] = dict.fromkeys(ceiling)
        return MetricResult("angles", missing, {"actions": rows}, reason, ceiling=dict(ceiling), n=len(truths))

    def score(random: Floats) -> dict[str, float | None]:
        return _angle_values(_angle_rows(random, mapping, truths, max_order, tolerance))

    return MetricResult(
        "angles",
        _angle_values(rows),
        {"actions": rows},
        chance=chance_of_rotations(score, maps, seed),
        ceiling=dict(ceiling),
        n=len(truths),
    )


def _angle_rows(
    maps: Floats, mapping: Mapping[int, int], truths: Floats, max_order: int, tolerance: float
) -> list[dict[str, Any]]:
    """What was found of each true action that has a learnt one."""
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
    return rows


def _angle_values(rows: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    errors = [row["error"] for row in rows]
    right = [row["order"][1] == row["true_order"][1] for row in rows]
    return {"max": max(errors), "mean": float(np.mean(errors)), "orders": float(np.mean(right))}


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
            errors[code] = _distance_from_identity(_product(maps[code], maps[other]))
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
            with np.errstate(over="ignore", invalid="ignore"):
                power = np.linalg.matrix_power(maps[code], int(order))
            errors[code] = _distance_from_identity(power)
    return errors


def closure_error(matrices: Any, orders: Sequence[int | None] | int) -> float:
    """The largest of ``closure_errors``; NaN when no action has an order."""
    return _largest(closure_errors(matrices, orders))


def commutator_errors(matrices: Any) -> Floats:
    """|M_a M_b - M_b M_a| / sqrt(D) (Frobenius) for every pair of maps; float64 [A, A]."""
    maps, exponent = to_unit(as_matrices(matrices))
    products = np.einsum("aij,bjk->abik", maps, maps)
    errors = lengths(products - products.swapaxes(0, 1), axes=(2, 3)) / math.sqrt(maps.shape[1])
    with np.errstate(over="ignore"):
        return np.ldexp(errors, 2 * exponent)


def commutator_error(matrices: Any) -> float:
    """The largest of ``commutator_errors``."""
    return float(commutator_errors(matrices).max())


@metric("group_errors", family="symmetry")
def group_errors(
    matrices: Any,
    inverses: Sequence[int | None],
    orders: Sequence[int | None] | int,
    commute: bool = True,
    *,
    seed: int = 0,
) -> MetricResult:
    """How far the learnt matrices are from the laws of the group: inverses, orders, commutation.

    Args:
        matrices: Maps [A, D, D], in the order of the true actions.
        inverses: For each action the code of its inverse, or None.
        orders: The order of each action (None: none), or one for all.
        commute: Whether the true actions all commute; False leaves that error out.
        seed: Seeds the random rotations behind ``chance``.

    Returns:
        Values ``inverse``, ``closure`` and ``commutator``: the largest Frobenius norm of the deviation over
        sqrt(D); 0 is exact. A value no action has, or one beyond float64, is missing, with the reason. Chance: random
        rotations of as many dimensions in place of the maps. Ceiling 0. ``n``: actions. Details: each for every
        action.

    Raises:
        ValueError: As ``inverse_errors`` and ``closure_errors``.
    """
    maps = as_matrices(matrices)

    def errors_of(stack: Floats) -> dict[str, Floats]:
        found = {"inverse": inverse_errors(stack, inverses), "closure": closure_errors(stack, orders)}
        return found | {"commutator": commutator_errors(stack)} if commute else found

    def score(stack: Floats) -> dict[str, float | None]:
        worst = {key: _largest(errors) for key, errors in errors_of(stack).items()}
        return {key: value if math.isfinite(value) else None for key, value in worst.items()}

    details = errors_of(maps)
    none = {"inverse": "no action has an inverse", "closure": "no action has an order"}
    gaps = [none[key] for key in none if np.isnan(details[key]).all()]
    if too_large := [key for key in details if np.isinf(details[key]).any()]:
        gaps.append(f"the maps are so large that {' and '.join(too_large)} overflow")
    values = score(maps)
    return MetricResult(
        "group_errors",
        values,
        details | {"commutator": commutator_errors(maps)},
        reason="; ".join(gaps) or None,
        chance=chance_of_rotations(score, maps, seed),
        ceiling={key: 0.0 for key in values if key not in none or none[key] not in gaps},
        n=len(maps),
    )


def _product(first: Floats, second: Floats) -> Floats:
    with np.errstate(over="ignore", invalid="ignore"):
        return first @ second


def _distance_from_identity(matrix: Floats) -> float:
    return float(lengths(matrix - np.eye(len(matrix)), axes=(0, 1)) / math.sqrt(len(matrix)))


def _largest(errors: Floats) -> float:
    return math.nan if np.isnan(errors).all() else float(np.nanmax(errors))
