"""Independence of the subgroups' effects on the code, and closed-form linear operators to measure it with."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from .angles import chance_of_rotations
from .checks import Floats, Ints, as_codes, as_floats, as_matrices
from .registry import metric
from .result import MetricResult
from .scale import lengths, to_unit


def fit_operators(before: Any, after: Any, actions: Any, n_actions: int) -> Floats:
    """The linear map of each action that best sends codes to the codes after it, in closed form.

    Minimises sum |rho_a z - z'|^2 over the rows with action a (minimum-norm least squares). There is no constant
    term, so codes whose mean is not 0 should be centred first, all with the same mean.

    Args:
        before: Codes [N, D].
        after: Codes one action later [N, D].
        actions: Action codes [N] in 0..n_actions-1.
        n_actions: How many actions there are.

    Returns:
        float64 [n_actions, D, D]; column vectors: z' is about ``operators[a] @ z``.

    Raises:
        ValueError: Shapes do not fit, or an action never occurs.
    """
    first, second = as_floats(before, "before", 2), as_floats(after, "after", 2)
    if first.shape != second.shape:
        raise ValueError(f"before and after differ in shape: {first.shape} and {second.shape}")
    codes = as_codes(actions, "actions", n_actions, len(first))
    # One scale for both, so that the maps are the same and squares stay in range.
    first, second = to_unit(np.stack([first, second]))[0]
    absent = sorted(set(range(n_actions)) - set(codes.tolist()))
    if absent:
        raise ValueError(f"no transition with action {', '.join(map(str, absent))}")
    fits = [np.linalg.lstsq(first[codes == code], second[codes == code], rcond=None)[0] for code in range(n_actions)]
    return np.stack([fit.T for fit in fits])


@metric("independence", family="symmetry")
def independence(codes: Any, operators: Any, groups: Sequence[Sequence[int]], *, seed: int = 0) -> MetricResult:
    """Whether actions of different subgroups move the code in perpendicular directions.

    1 - mean over samples and pairs of distinct subgroups of |max over a in one, b in the other, of
    cos(z - rho_a z, z - rho_b z)| (Painter et al. 2020, arXiv 2008.07922). 1: every pair of subgroups moves the code
    in perpendicular directions. An action that moves nothing counts as perpendicular to all.

    Args:
        codes: Codes z [N, D], in the coordinates in which the operators were fitted.
        operators: rho [A, D, D], acting on column vectors.
        groups: The subgroups, each a list of action codes.
        seed: Seeds the random rotations behind ``chance``.

    Returns:
        Value ``independence`` in 0..1; details: pairs (groups, value), samples. The value is missing, with the
        reason, when there are fewer than two subgroups. Chance: random rotations in place of the operators, on these
        codes. (Operators fitted to codes that know nothing are near 0: all of them move a code the same way, towards
        the centre, which scores near 0.) Ceiling 1.

    Raises:
        ValueError: Shapes do not fit, a group is empty, or an action code is out of range.
    """
    points, maps = to_unit(as_floats(codes, "codes", 2))[0], as_matrices(operators, "operators")
    if points.shape[1] != maps.shape[1]:
        raise ValueError(f"codes have {points.shape[1]} dimensions, operators {maps.shape[1]}")
    members = [as_codes(group, f"group {index}", len(maps)) for index, group in enumerate(groups)]
    if len(members) < 2:
        reason = "fewer than two subgroups"
        return MetricResult("independence", {"independence": None}, reason=reason, n=len(points))
    pairs = _pairs(points, maps, members)
    chance = chance_of_rotations(lambda random: {"independence": _mean(_pairs(points, random, members))}, maps, seed)
    return MetricResult(
        "independence",
        {"independence": _mean(pairs)},
        {"pairs": pairs, "samples": len(points)},
        chance=chance,
        ceiling={"independence": 1.0},
        n=len(points),
    )


def _pairs(points: Floats, maps: Floats, members: Sequence[Ints]) -> list[dict[str, Any]]:
    """The independence of every two subgroups."""
    moves = points[None] - np.einsum("aij,nj->ani", maps, points)
    # Relative to the codes' own size, so that rescaling them changes nothing; below this a move is rounding.
    still = lengths(moves) <= 1e-8 * np.sqrt(np.mean(points**2))
    steps = to_unit(moves, axis=-1)[0]
    directions = np.where(still[..., None], 0.0, steps / np.where(still, 1.0, lengths(steps))[..., None])
    pairs = []
    for (i, first), (j, second) in combinations(enumerate(members), 2):
        cosines = np.einsum("and,bnd->abn", directions[first], directions[second])
        pairs.append({"groups": [i, j], "value": 1.0 - float(np.abs(cosines.max(axis=(0, 1))).mean())})
    return pairs


def _mean(pairs: Sequence[dict[str, Any]]) -> float:
    # The formula is symmetric in the two groups: unordered pairs have the same mean as ordered ones.
    return float(np.mean([pair["value"] for pair in pairs]))
