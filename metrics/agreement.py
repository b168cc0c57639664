"""How far the codes of several runs agree up to order and sign, told without any factors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.linear_model import Lasso

from .checks import Floats, as_floats
from .registry import metric
from .result import MetricResult
from .scale import to_unit

CORRELATIONS = ("lasso", "spearman")
"""What similarity of code dimensions can be taken from."""


def relative_strength(similarity: Any, nan_wins: bool = False) -> float:
    """How close a matrix of similarities is to one entry in each row and column.

    Of every row and every column the squared largest entry divided by the sum (0 where all entries are 0); the mean
    over rows and the mean over columns are averaged. Duan et al. 2020 (arXiv 1905.12614).

    Args:
        similarity: [P, Q], not negative.
        nan_wins: Counts every row and column that holds a NaN as 0, as disentanglement_lib's code does. Without it
            NaN is refused.

    Returns:
        From 0 to the largest entry.

    Raises:
        ValueError: A negative number, NaN, or nothing there.
    """
    matrix = np.asarray(similarity, dtype=np.float64) if nan_wins else as_floats(similarity, "similarity", 2)
    if matrix.ndim != 2 or matrix.size == 0 or (matrix < 0).any():
        raise ValueError("similarity must be [P, Q] with numbers from 0 up")
    halves = []
    for axis in (0, 1):
        total = matrix.sum(axis=axis)
        peak = matrix.max(axis=axis)
        usable = total > 0
        halves.append(float(np.where(usable, peak**2 / np.where(usable, total, 1.0), 0.0).mean()))
    return (halves[0] + halves[1]) / 2


def lasso_similarity(first: Any, second: Any, alpha: float = 0.1) -> Floats:
    """Absolute weights with which a lasso predicts each dimension of one code from all of another.

    Args:
        first: Codes [N, P] to predict from, of unit variance.
        second: Codes [N, Q] to predict, of unit variance.
        alpha: Weight of the penalty.

    Returns:
        float64 [P, Q]; a dimension that matches another exactly has 1 - alpha.
    """
    model = Lasso(alpha=alpha).fit(first, second)
    return np.abs(np.asarray(model.coef_, dtype=np.float64).reshape(np.shape(second)[1], -1)).T


def spearman_similarity(first: Any, second: Any, nan_wins: bool = False) -> Floats:
    """Absolute rank correlation of every dimension of one code with every dimension of another.

    Args:
        first: Codes [N, P].
        second: Codes [N, Q].
        nan_wins: Gives dimensions that do not vary NaN instead of 0.

    Returns:
        float64 [P, Q] in 0..1.
    """
    parts = []
    for codes in (first, second):
        ranks = rankdata(codes, axis=0) - (len(codes) + 1) / 2
        norms = np.linalg.norm(ranks, axis=0)
        parts.append(ranks / np.where(norms > 0, norms, np.nan if nan_wins else 1.0))
    return np.minimum(np.abs(parts[0].T @ parts[1]), 1.0)


@metric("udr", family="unsupervised")
def udr(
    codes: Sequence[Any],
    kl: Sequence[Any] | None = None,
    *,
    correlation: str = "lasso",
    alpha: float = 0.1,
    kl_threshold: float = 0.01,
    filter_inactive: bool = True,
    nan_wins: bool = False,
    seed: int = 0,
) -> MetricResult:
    """Unsupervised disentanglement ranking: how far runs of a model agree on their dimensions.

    Every pair of runs is compared by ``relative_strength``; a run's score is the median over the other runs.
    Duan et al. 2020 (arXiv 1905.12614).

    Args:
        codes: One table of codes [N, D] a run, of the same N observations in the same order. At least two.
        kl: One vector [D] a run: the mean divergence of each dimension from the prior. Dimensions with no more than
            ``kl_threshold`` are left out. None: those that do not vary are left out.
        correlation: "lasso" or "spearman".
        alpha: Weight of the lasso's penalty; the best possible score is 1 - alpha.
        kl_threshold: See ``kl``.
        filter_inactive: False keeps the dimensions that would be left out, as constants, which is what
            disentanglement_lib does without its KL filter. They count 0, so the score falls with their number.
        nan_wins: Lets the rank correlation of a constant be NaN, and NaN count every row and column that meets it
            as 0. Together with ``filter_inactive=False`` this is disentanglement_lib's 0 for any code with a dead
            dimension.
        seed: Seeds the order of rows behind ``chance``.

    Returns:
        Values ``udr`` (mean over runs) and ``best`` (largest); None where a run has no dimension left or there are no
        two runs to compare. Details: model_scores, pairs [M, M], active (dimensions of each run), correlation.
        Ceiling: a run against itself, which is below 1. Chance: a run against itself with its rows shuffled.

    Raises:
        ValueError: Fewer than two runs, rows that differ, or an unknown correlation.
    """
    if correlation not in CORRELATIONS:
        raise ValueError(f"unknown correlation {correlation!r}; there are: {', '.join(CORRELATIONS)}")
    tables = [as_floats(table, f"codes[{run}]", 2) for run, table in enumerate(codes)]
    if len(tables) < 2 or len({len(table) for table in tables}) > 1:
        raise ValueError("udr takes the codes of at least two runs for the same rows")
    if kl is not None and len(kl) != len(tables):
        raise ValueError(f"expected {len(tables)} vectors of divergences, got {len(kl)}")
    kept = []
    for run, table in enumerate(tables):
        mask = table.max(axis=0) > table.min(axis=0)
        if kl is not None:
            amounts = as_floats(kl[run], f"kl[{run}]", 1)
            if len(amounts) != table.shape[1]:
                raise ValueError(f"kl[{run}] has {len(amounts)} entries for {table.shape[1]} dimensions")
            mask &= amounts > kl_threshold
        if not filter_inactive:
            tables[run] = np.where(mask, table, 0.0)
            mask = np.ones_like(mask)
        kept.append(mask)
    count = len(tables)
    details: dict[str, Any] = {"active": [mask.sum() for mask in kept], "correlation": correlation}
    if not all(mask.any() for mask in kept):
        empty = [run for run, mask in enumerate(kept) if not mask.any()]
        reason = f"no active dimension in run {', '.join(map(str, empty))}"
        return MetricResult("udr", {"udr": None, "best": None}, details, reason, n=len(tables[0]))
    if correlation == "lasso":
        # The lasso may use every dimension that varies; only then are the inactive ones left out.
        tables = [_standardise(table) for table in tables]

    def compare(first: int, second: int, order: Any = slice(None)) -> float:
        left, right = tables[first][order], tables[second]
        if correlation == "lasso":
            similarity = lasso_similarity(left, right, alpha)
        else:
            similarity = spearman_similarity(left, right, nan_wins)
        return relative_strength(similarity[np.ix_(kept[first], kept[second])], nan_wins)

    pairs = np.full((count, count), np.nan)
    for first in range(count):
        for second in range(count):
            if first != second:
                pairs[first, second] = compare(first, second)
    scores = np.nanmedian(pairs, axis=0)
    details |= {"model_scores": scores, "pairs": pairs}
    shuffled = np.random.default_rng(seed).permutation(len(tables[0]))
    chance = float(np.mean([compare(run, run, shuffled) for run in range(count)]))
    ceiling = float(np.mean([compare(run, run) for run in range(count)]))
    return MetricResult(
        "udr",
        {"udr": float(scores.mean()), "best": float(scores.max())},
        details,
        chance={"udr": chance, "best": chance},
        ceiling={"udr": ceiling, "best": ceiling},
        n=len(tables[0]),
        predictor=f"lasso (alpha {alpha})" if correlation == "lasso" else "spearman",
    )


def _standardise(table: Floats) -> Floats:
    scaled = to_unit(table, axis=0)[0]
    spread = scaled.std(axis=0)
    return (scaled - scaled.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
