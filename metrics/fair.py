"""Whether predictions of one factor from the codes depend on another factor that should not matter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .checks import Floats, Ints
from .draws import CodeTable
from .levels import shared_levels
from .predictors import PREDICTORS, Progress, fit_factors, in_range
from .registry import metric
from .result import MetricResult
from .tables import Rows, read_rows, read_split

Shown = Callable[[Progress], None] | None

_NAMES = ("unfairness", "worst_pair", "worst_group")
_DEALS = 5  # of which chance is the mean


def inter_group_fairness(counts: Any) -> tuple[float, float]:
    """How far the predictions made for single groups lie from those made for all.

    The total variation distance between each group's distribution of predictions and the overall one; its mean,
    weighted by the groups' sizes, and its maximum. Locatello et al. 2019 (arXiv 1905.13662).

    Args:
        counts: How often each prediction was made for each group [predictions, groups]. Empty groups are left out.

    Returns:
        Mean and maximum, in 0..1; 0 where all groups are treated alike.

    Raises:
        ValueError: Not a matrix of numbers from 0 up with something in it.

    Example:
        >>> mean, largest = inter_group_fairness([[0, 100], [100, 100]])
        >>> round(9 * mean, 9), round(3 * largest, 9)
        (2.0, 1.0)
    """
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim != 2 or not np.isfinite(table).all() or (table < 0).any() or table.sum() == 0:
        raise ValueError(f"counts must be [predictions, groups] with numbers from 0 up, not shape {table.shape}")
    table = table[:, table.sum(axis=0) > 0]
    sizes = table.sum(axis=0)
    overall = table.sum(axis=1) / table.sum()
    distances = 0.5 * np.abs(table / sizes - overall[:, None]).sum(axis=0)
    return float((distances * sizes).sum() / sizes.sum()), float(distances.max())


def fairness_matrices(
    test: Rows,
    levels: Ints,
    columns: Sequence[int],
    predicted: Sequence[Ints],
    rng: np.random.Generator,
    samples: int | None,
) -> tuple[Floats, Floats]:
    """Mean and largest unfairness of predicting one factor with respect to another.

    Args:
        test: Rows that were predicted.
        levels: Their factors as level numbers, int64 [N, K].
        columns: The factors that there are predictions of.
        predicted: What was predicted of each of them, as numbers 0.., int64 [N].
        rng: Draws the combinations when ``samples`` are asked for.
        samples: Combinations drawn for each pair, each shown with every value of the other factor, as published; the
            rows must be a whole grid. None: all rows, grouped by their value.

    Returns:
        Two tables float64 [K, K], predicted by sensitive factor; NaN on the diagonal, where nothing was predicted, and
        where the sensitive factor has one value only.

    Raises:
        ValueError: ``samples`` without a whole grid.
    """
    count = levels.shape[1]
    mean, largest = np.full((count, count), np.nan), np.full((count, count), np.nan)
    # Values that occur among other rows only would be empty cells of the grid.
    levels = np.stack([np.unique(column, return_inverse=True)[1].reshape(-1) for column in levels.T], axis=1)
    sizes = levels.max(axis=0) + 1
    cells: Ints | None = None
    if samples is not None:
        if not CodeTable.of_rows(test).whole:
            raise ValueError("interventions take test rows that hold every combination of factor values exactly once")
        cells = np.empty(len(test), dtype=np.int64)
        cells[np.ravel_multi_index(tuple(levels.T), tuple(sizes))] = np.arange(len(test))
    for column, outcome in zip(columns, predicted, strict=True):
        for other in range(count):
            if other == column or sizes[other] == 1:
                continue
            groups, outcomes = levels[:, other], outcome
            if cells is not None:
                drawn = np.stack([rng.integers(size, size=samples) for size in sizes], axis=1)
                shown = np.repeat(drawn[None], sizes[other], axis=0)
                shown[:, :, other] = np.arange(sizes[other])[:, None]
                rows = cells[np.ravel_multi_index(tuple(np.moveaxis(shown, 2, 0)), tuple(sizes))].reshape(-1)
                groups, outcomes = levels[rows, other], outcome[rows]
            counts = np.zeros((int(outcome.max()) + 1, int(sizes[other])))
            np.add.at(counts, (outcomes, groups), 1)
            mean[column, other], largest[column, other] = inter_group_fairness(counts)
    return mean, largest


@metric("fairness", family="prediction", of_codes=True, slow=True)
def fairness(
    factors: Any,
    codes: Any,
    factors_test: Any = None,
    codes_test: Any = None,
    *,
    seed: int = 0,
    predictor: str = "gbt",
    samples: int | None = None,
    bins: int = 5,
    continuous: Sequence[int] | None = None,
    n_jobs: int | None = None,
    progress: Shown = None,
) -> MetricResult:
    """Unfairness: how much predictions of one factor change with another one, mean over pairs; 0 is fair.

    A predictor of each factor is fitted on the codes; ``inter_group_fairness`` compares what it predicts for the values
    of each other factor. Locatello et al. 2019 (arXiv 1905.13662).

    Args:
        factors: Factors [N, K].
        codes: Codes [N, D].
        factors_test: Factors of the test rows. None: all rows where they are a whole grid, else a third of them.
            Predictions are compared on the test rows, or on all where only all together are a whole grid: that is
            an intervention without sampling error.
        codes_test: Codes of the test rows.
        seed: Seeds predictors, draws, and the split where there is one.
        predictor: "gbt" as published, or another name of ``make_predictor``.
        samples: Combinations drawn for each pair, as published (100 or more); the test rows must be a whole grid.
            None: all test rows.
        bins: Equal-width bins of a quantity, told apart as sensitive values and as predictions.
        continuous: Columns of ``factors`` that are quantities. None: those with a number that is not whole.
        n_jobs: Processes, one factor each. None: all cores where it pays.
        progress: Called with a ``Progress`` before the first factor and after each.

    Returns:
        Values ``unfairness`` (mean over pairs of the mean distance), ``worst_pair`` (largest mean distance),
        ``worst_group`` (largest distance of any group). Details: mean, largest [K, K] (predicted by sensitive factor),
        constant_factors (left out on both sides), test (rows compared), grid (whether they are a whole grid). Chance:
        the same predictions dealt out to the rows at random; groups of few rows differ, so it is not 0.

    Raises:
        ValueError: Shapes do not fit, an unknown predictor, or ``samples`` without a whole grid.
    """
    if predictor not in PREDICTORS:
        raise ValueError(f"unknown predictor {predictor!r}; there are: {', '.join(PREDICTORS)}")
    return _fairness(
        "fairness",
        (factors, codes, factors_test, codes_test),
        seed,
        predictor,
        samples,
        bins,
        continuous,
        n_jobs,
        progress,
    )


@metric("fairness_hist", family="prediction", of_codes=True, slow=True)
def fairness_hist(
    factors: Any,
    codes: Any,
    factors_test: Any = None,
    codes_test: Any = None,
    *,
    seed: int = 0,
    samples: int | None = None,
    bins: int = 5,
    continuous: Sequence[int] | None = None,
    n_jobs: int | None = 1,
    progress: Shown = None,
) -> MetricResult:
    """Unfairness with histogram boosting: many times faster than exact trees. Arguments and result as ``fairness``."""
    arrays = (factors, codes, factors_test, codes_test)
    return _fairness("fairness_hist", arrays, seed, "hist", samples, bins, continuous, n_jobs, progress)


def _fairness(
    name: str,
    arrays: tuple[Any, Any, Any, Any],
    seed: int,
    predictor: str,
    samples: int | None,
    bins: int,
    continuous: Sequence[int] | None,
    n_jobs: int | None,
    progress: Shown,
) -> MetricResult:
    parts, grid = _parts(arrays, seed, continuous)
    train, test = in_range(*parts, predictor)
    levels, levels_test = shared_levels(train, test, bins)
    # Predictions are compared as distributions over values, so that quantities are predicted bin by bin.
    classes = np.ones_like(train.discrete)
    fitted = Rows(levels.astype(np.float64), train.codes, classes)
    asked = Rows(levels_test.astype(np.float64), test.codes, classes)
    columns, fits = fit_factors(fitted, asked, predictor, seed=seed, n_jobs=n_jobs, progress=progress)
    details: dict[str, Any] = {
        "constant_factors": [column for column in range(levels.shape[1]) if column not in columns],
        "test": len(test),
        "grid": grid,
        "samples": samples,
    }
    # A row's code decides its prediction, so one pass over the rows serves all draws.
    predicted = [np.unique(fit.model.predict(asked.codes), return_inverse=True)[1].reshape(-1) for fit in fits]
    rng = np.random.default_rng(seed)
    mean, largest = fairness_matrices(asked, levels_test, columns, predicted, rng, samples)
    if np.isnan(mean).all():
        reason = "no factor varies in the sample"
        if fits:
            reason = "a single factor varies, and there is no other one to depend on"
            if len(fits) > 1:
                reason = "no factor varies in the test rows"
        return MetricResult(name, dict.fromkeys(_NAMES), details, reason, n=len(train), predictor=predictor)
    deals = []
    for _ in range(_DEALS):
        order = rng.permutation(len(asked))
        dealt = [outcome[order] for outcome in predicted]
        deals.append(_summaries(*fairness_matrices(asked, levels_test, columns, dealt, rng, samples)))
    return MetricResult(
        name,
        dict(_summaries(mean, largest)),
        details | {"mean": mean, "largest": largest},
        chance={key: float(np.mean([each[key] for each in deals])) for key in _NAMES},
        n=len(train),
        predictor=predictor,
    )


def _parts(
    arrays: tuple[Any, Any, Any, Any], seed: int, continuous: Sequence[int] | None
) -> tuple[tuple[Rows, Rows], bool]:
    """Rows to fit on and rows to compare predictions on, and whether these are a whole grid.

    Published predictors are fitted to, and asked about, samples of the same population, which a whole grid is. Parts of
    a grid have groups of few rows, which differ by chance.
    """
    factors, codes, factors_test, codes_test = arrays
    if factors_test is None and codes_test is None:
        rows = read_rows(factors, codes, continuous)
        if len(rows) > 1 and CodeTable.of_rows(rows).whole:
            return (rows, rows), True
    train, test = read_split(*arrays, seed=seed, continuous=continuous)
    if CodeTable.of_rows(test).whole and test.varying.any():
        return (train, test), True
    both = [np.concatenate(pair) for pair in ((train.factors, test.factors), (train.codes, test.codes))]
    together = Rows(both[0], both[1], train.discrete)
    return ((train, together), True) if CodeTable.of_rows(together).whole else ((train, test), False)


def _summaries(mean: Floats, largest: Floats) -> dict[str, float]:
    found = (np.nanmean(mean), np.nanmax(mean), np.nanmax(largest))
    return {key: float(value) for key, value in zip(_NAMES, found, strict=True)}
