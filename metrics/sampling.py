"""Metrics from batches in which a factor is held still, drawn from a table in which every code lies ready."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from .checks import Floats, Ints, as_floats
from .registry import metric
from .result import MetricResult
from .tables import Rows, read_rows

CHUNK = 2**21
"""Numbers gathered at a time."""


@dataclass(frozen=True)
class Partition:
    """Rows in groups, ready to draw from.

    Attributes:
        order: Row numbers, group by group, int64 [N].
        start: Where each group begins in ``order``, int64 [G].
        size: Rows of each group, int64 [G].
        group: The group of each row, int64 [N].
    """

    order: Ints
    start: Ints
    size: Ints
    group: Ints

    @classmethod
    def of(cls, keys: Ints) -> Partition:
        """Groups the rows with equal keys, int64 [N]."""
        group, size = np.unique(keys, return_inverse=True, return_counts=True)[1:]
        group = group.reshape(-1).astype(np.int64)
        order = np.argsort(group, kind="stable").astype(np.int64)
        return cls(order, (np.cumsum(size) - size).astype(np.int64), size.astype(np.int64), group)

    @cached_property
    def place(self) -> Ints:
        """Each row's position within its group, int64 [N]."""
        place = np.empty_like(self.order)
        place[self.order] = np.arange(len(self.order)) - np.repeat(self.start, self.size)
        return place

    def members(self, groups: Ints, uniform: Floats) -> Ints:
        """A row of each of the groups, chosen by numbers in [0, 1) of the same shape."""
        size = self.size[groups]
        return self.order[self.start[groups] + np.minimum((uniform * size).astype(np.int64), size - 1)]

    def partners(self, rows: Ints, uniform: Floats) -> Ints:
        """For each row another row of its group; the row itself where it is alone."""
        group = self.group[rows]
        size = self.size[group]
        step = 1 + np.minimum((uniform * (size - 1)).astype(np.int64), np.maximum(size - 2, 0))
        return self.order[self.start[group] + (self.place[rows] + step) % size]


Groups = tuple[Partition, Ints]
"""Groups of rows, and the rows of those groups that may be drawn."""


@dataclass(frozen=True)
class CodeTable:
    """Codes of distinct observations, each encoded once, with the factors that they show.

    Attributes:
        levels: Level numbers of the factors, int64 [N, K].
        codes: float64 [N, D].
        whole: Whether every combination of levels is there exactly once. Draws from such a table are those of the
            published procedures, which sample factors and encode what they show, at a fraction of the encodings.
    """

    levels: Ints
    codes: Floats
    whole: bool = field(default=False)

    @classmethod
    def encode(cls, sizes: Sequence[int], encoder: Callable[[Ints], Any], batch: int = 1024) -> CodeTable:
        """Encodes every combination of factor values once.

        Args:
            sizes: How many values each factor has.
            encoder: Takes factors, int64 [B, K], and gives codes [B, D] of what they show.
            batch: Combinations handed over at a time.

        Raises:
            ValueError: A size or batch below 1, or codes that are not finite [B, D].
        """
        counts = [int(size) for size in sizes]
        if not counts or min(counts) < 1 or batch < 1:
            raise ValueError(f"sizes and batch must be at least 1, not {counts} and {batch}")
        total = int(np.prod(counts))
        parts, levels = [], np.empty((total, len(counts)), dtype=np.int64)
        for begin in range(0, total, batch):
            end = min(begin + batch, total)
            levels[begin:end] = np.stack(np.unravel_index(np.arange(begin, end), counts), axis=1)
            codes = as_floats(encoder(levels[begin:end]), "codes", 2)
            if len(codes) != end - begin:
                raise ValueError(f"the encoder gave {len(codes)} codes for {end - begin} combinations")
            parts.append(codes)
        return cls(levels, np.concatenate(parts), True)

    @classmethod
    def of_rows(cls, rows: Rows, bins: int = 10) -> CodeTable:
        """A table of rows as they come; ``bins`` equal-width bins stand for a quantity."""
        levels = rows.levels(bins)
        sizes = levels.max(axis=0) + 1
        whole = bool(rows.discrete.all()) and float(np.prod(sizes.astype(np.float64))) == len(levels)
        if whole:
            cells = np.ravel_multi_index(tuple(levels.T), tuple(sizes))
            whole = len(np.unique(cells)) == len(levels)
        return cls(levels, rows.codes, whole)

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def varying(self) -> list[int]:
        """The factors with at least two levels."""
        return [int(column) for column in np.flatnonzero(np.ptp(self.levels, axis=0) > 0)]

    def sharing(self, column: int) -> Groups:
        """Rows grouped by the value of one factor; groups of at least two rows may be drawn."""
        partition = Partition.of(self.levels[:, column])
        return partition, np.flatnonzero(partition.size[partition.group] > 1).astype(np.int64)

    def sharing_others(self, column: int, bins: int | None = None, still: bool = False) -> Groups:
        """Rows grouped by the values of all other factors; groups in which this one varies may be drawn.

        Args:
            column: The factor that is let vary.
            bins: Equal-width bins of every factor's levels. None: each level by itself.
            still: Lets groups of two and more rows be drawn in which this factor does not vary either.
        """
        levels = self.levels
        if bins is not None:
            top = np.maximum(levels.max(axis=0), 1)
            # A level below the number of bins stays by itself: there is nothing to merge.
            levels = np.where(top < bins, levels, np.minimum(levels * bins // top, bins - 1))
        keys = np.zeros(len(levels), dtype=np.int64)
        for other in range(levels.shape[1]):
            if other != column:
                keys = np.unique(keys * (int(levels[:, other].max()) + 1) + levels[:, other], return_inverse=True)[1]
                keys = keys.reshape(-1)
        partition = Partition.of(keys)
        if still:
            usable = partition.size > 1
        else:
            # Sorted by group and then by level, a group varies where its ends differ.
            own = levels[:, column]
            ordered = own[np.lexsort((own, partition.group))]
            usable = ordered[partition.start] != ordered[partition.start + partition.size - 1]
        return partition, np.flatnonzero(usable[partition.group]).astype(np.int64)


def pair_differences(table: CodeTable, columns: Ints, batch: int, rng: np.random.Generator) -> Floats:
    """Mean absolute difference of codes over pairs of rows that share one factor's value.

    Args:
        table: Codes to draw from.
        columns: The factor that is shared in each batch, int64 [P].
        batch: Pairs a batch.
        rng: Draws the pairs.

    Returns:
        float64 [P, D].
    """
    points = np.empty((len(columns), table.codes.shape[1]))
    for column in np.unique(columns):
        partition, usable = table.sharing(int(column))
        if table.whole:
            # There a row may meet itself, as two published draws of all factors may agree.
            usable = np.arange(len(table))
        for part in _chunks(np.flatnonzero(columns == column), batch * points.shape[1]):
            first = usable[rng.integers(len(usable), size=(len(part), batch))]
            uniform = rng.random(first.shape)
            if table.whole:
                second = partition.members(partition.group[first], uniform)
            else:
                second = partition.partners(first, uniform)
            points[part] = np.abs(table.codes[first] - table.codes[second]).mean(axis=1)
    return points


def group_variances(
    table: CodeTable, columns: Ints, batch: int, rng: np.random.Generator, groups: Callable[[int], Groups]
) -> Floats:
    """Variances of codes in batches drawn from one group of rows each.

    Args:
        table: Codes to draw from.
        columns: The factor of each batch, int64 [P].
        batch: Rows a batch.
        rng: Draws groups, by the number of their rows, and rows.
        groups: The groups that belong to a factor, and the rows of those that may be drawn.

    Returns:
        float64 [P, D], unbiased variances.
    """
    found = np.empty((len(columns), table.codes.shape[1]))
    for column in np.unique(columns):
        partition, usable = groups(int(column))
        for part in _chunks(np.flatnonzero(columns == column), batch * found.shape[1]):
            chosen = partition.group[usable[rng.integers(len(usable), size=len(part))]]
            uniform = rng.random((len(part), batch))
            rows = partition.members(np.repeat(chosen[:, None], batch, axis=1), uniform)
            found[part] = table.codes[rows].var(axis=1, ddof=1)
    return found


def fit_differences(
    points: Any, labels: Any, points_test: Any, labels_test: Any, steps: int = 100
) -> tuple[float, float, bool]:
    """Accuracy of the logistic regression of BetaVAE's score that tells the shared factor from mean differences.

    Args:
        points: Mean absolute differences to fit on [P, D].
        labels: The shared factors [P].
        points_test: Those to test on [Q, D].
        labels_test: Theirs [Q].
        steps: Most steps of the fit.

    Returns:
        Accuracy on the test part, on the training part, and whether the fit came to its end.
    """
    model = LogisticRegression(max_iter=steps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(points, labels)
    done = bool(np.max(model.n_iter_) < model.max_iter)
    return float(model.score(points_test, labels_test)), float(model.score(points, labels)), done


def vote_accuracy(votes: Any, votes_test: Any) -> tuple[float, float]:
    """Accuracy of the majority vote: each code dimension stands for the factor that elected it most often.

    Args:
        votes: How often each factor's batches elected each dimension [K, D].
        votes_test: The same for the test batches.

    Returns:
        Accuracy on the test and on the training part.
    """
    table, other = np.asarray(votes, dtype=np.float64), np.asarray(votes_test, dtype=np.float64)
    best = np.argmax(table, axis=0)
    columns = np.arange(table.shape[1])
    return float(other[best, columns].sum() / other.sum()), float(table[best, columns].sum() / table.sum())


@metric("beta_vae", family="intervention", of_codes=True)
def beta_vae(
    factors: Any,
    codes: Any,
    factors_test: Any = None,
    codes_test: Any = None,
    *,
    seed: int = 0,
    batch: int = 64,
    train: int = 10_000,
    test: int = 5_000,
    bins: int = 10,
    continuous: Sequence[int] | None = None,
) -> MetricResult:
    """BetaVAE score: how well a linear classifier tells which factor two halves of a batch share.

    A point is the mean absolute difference of codes over ``batch`` pairs that share one factor's value. Higgins et al.
    2017 (openreview Sy2fzU9gl), with the sizes and the regression of disentanglement_lib (arXiv 1811.12359).

    Args:
        factors: Factors [N, K]. When the rows are every combination exactly once, draws are the published ones;
            otherwise pairs are drawn among the rows that share a value.
        codes: Codes [N, D].
        factors_test: Factors of other rows, from which the test batches are then drawn. None: from the same rows.
        codes_test: Codes of the other rows.
        seed: Seeds the draws.
        batch: Pairs in a point.
        train: Points to fit on.
        test: Points to test on.
        bins: Equal-width bins of a quantity.
        continuous: Columns of ``factors`` that are quantities. None: those with a number that is not whole.

    Returns:
        Values ``beta_vae`` (accuracy on the test points; chance is one over the number of factors), ``scaled`` (0 at
        chance, 1 at best), ``train``. Details: constant_factors (left out), whole_grid, batch, train_points,
        test_points, converged.

    Raises:
        ValueError: Shapes do not fit, or a size below 1.
    """
    setup = _prepare(factors, codes, factors_test, codes_test, bins, continuous, (batch, train, test))
    names = ("beta_vae", "scaled", "train")
    if setup.reason is not None:
        return setup.missing("beta_vae", names)
    return _difference_result("beta_vae", names, setup, seed, batch, (train, test))


@metric("z_diff", family="intervention", of_codes=True)
def z_diff(
    factors: Any,
    codes: Any,
    factors_test: Any = None,
    codes_test: Any = None,
    *,
    seed: int = 0,
    batch: int = 200,
    train: int = 10_000,
    test: int = 5_000,
    bins: int = 10,
    continuous: Sequence[int] | None = None,
) -> MetricResult:
    """Z-diff: the BetaVAE score with batches of 200, scaled to 0 at chance and 1 at best.

    As in the review of Carbonneau et al. 2020 (arXiv 2012.09276). Arguments and details as for ``beta_vae``; values
    ``z_diff`` (scaled), ``accuracy``, ``train`` (accuracy).
    """
    setup = _prepare(factors, codes, factors_test, codes_test, bins, continuous, (batch, train, test))
    if setup.reason is not None:
        return setup.missing("z_diff", ("z_diff", "accuracy", "train"))
    return _difference_result("z_diff", ("accuracy", "z_diff", "train"), setup, seed, batch, (train, test), 10_000)


@metric("factor_vae", family="intervention", of_codes=True)
def factor_vae(
    factors: Any,
    codes: Any,
    factors_test: Any = None,
    codes_test: Any = None,
    *,
    seed: int = 0,
    batch: int = 64,
    train: int = 10_000,
    test: int = 5_000,
    threshold: float = 0.05,
    collapsed_wins: bool = False,
    bins: int = 10,
    continuous: Sequence[int] | None = None,
) -> MetricResult:
    """FactorVAE score: how well the dimension that varies least in a batch tells which factor was held still.

    Variances are divided by those over all rows. Dimensions whose standard deviation is below ``threshold`` are pruned;
    one that does not vary at all never takes part. Kim and Mnih 2018 (arXiv 1802.05983), with the sizes of
    disentanglement_lib (arXiv 1811.12359).

    Args:
        factors: Factors [N, K]; see ``beta_vae`` for whole grids and other rows.
        codes: Codes [N, D].
        factors_test: Factors of other rows, from which the test batches are then drawn. None: from the same rows.
        codes_test: Codes of the other rows.
        seed: Seeds the draws.
        batch: Rows in a batch.
        train: Batches that vote.
        test: Batches to test on.
        threshold: Smallest standard deviation of a dimension that counts, in units of the codes. 0: no pruning.
        collapsed_wins: Without pruning, lets 0 / 0 of a dimension that does not vary win every vote, as published
            code does (disent, and disentanglement_lib with the threshold at 0).
        bins: Equal-width bins of a quantity.
        continuous: Columns of ``factors`` that are quantities. None: those with a number that is not whole.

    Returns:
        Values ``factor_vae`` (accuracy on the test batches; chance is one over the number of factors), ``scaled``,
        ``train``; 0 and its scaled form when every dimension is pruned. Details: votes, votes_test [K, D], variances,
        active_dims, constant_factors (left out), whole_grid.

    Raises:
        ValueError: Shapes do not fit, a size below 1, or a batch below 2.
    """
    setup = _prepare(factors, codes, factors_test, codes_test, bins, continuous, (batch - 1, train, test))
    names = ("factor_vae", "scaled", "train")
    if setup.reason is not None:
        return setup.missing("factor_vae", names)
    votes = _Votes(seed, batch, (train, test), threshold, collapsed_wins)
    return _vote_result("factor_vae", names, setup, votes)


@metric("z_min_var", family="intervention", of_codes=True)
def z_min_var(
    factors: Any,
    codes: Any,
    factors_test: Any = None,
    codes_test: Any = None,
    *,
    seed: int = 0,
    batch: int = 200,
    train: int = 800,
    test: int = 800,
    threshold: float = 0.05,
    bins: int = 10,
    continuous: Sequence[int] | None = None,
) -> MetricResult:
    """Z-min variance: the FactorVAE score with 800 batches of 200, scaled to 0 at chance and 1 at best.

    As in the review of Carbonneau et al. 2020 (arXiv 2012.09276). Arguments and details as for ``factor_vae``; values
    ``z_min_var`` (scaled), ``accuracy``, ``train`` (accuracy).
    """
    setup = _prepare(factors, codes, factors_test, codes_test, bins, continuous, (batch - 1, train, test))
    if setup.reason is not None:
        return setup.missing("z_min_var", ("z_min_var", "accuracy", "train"))
    return _vote_result(
        "z_min_var", ("accuracy", "z_min_var", "train"), setup, _Votes(seed, batch, (train, test), threshold)
    )


@metric("z_max_var", family="intervention", of_codes=True)
def z_max_var(
    factors: Any,
    codes: Any,
    factors_test: Any = None,
    codes_test: Any = None,
    *,
    seed: int = 0,
    batch: int = 200,
    train: int = 800,
    test: int = 800,
    threshold: float = 0.05,
    bins: int | None = None,
    still_batches: bool = False,
    continuous: Sequence[int] | None = None,
) -> MetricResult:
    """Z-max variance: how well the dimension that varies most tells which factor alone was let vary.

    Kim et al. 2019 (arXiv 1902.01568), with the sizes and the scaling of Carbonneau et al. 2020 (arXiv 2012.09276).
    Arguments, values and details as for ``factor_vae`` and ``z_min_var``, and one more:

    Args:
        factors: As for ``factor_vae``.
        codes: As for ``factor_vae``.
        factors_test: As for ``factor_vae``.
        codes_test: As for ``factor_vae``.
        seed: As for ``factor_vae``.
        batch: As for ``factor_vae``.
        train: As for ``factor_vae``.
        test: As for ``factor_vae``.
        threshold: As for ``factor_vae``.
        bins: Equal-width bins of every factor, within which it counts as held still. None: every value of a class by
            itself and 3 bins of a quantity; 3 bins of all of them when too few rows agree in all but one factor.
        still_batches: Draws batches in which the factor does not vary either, as ubisoft's code does where only rows
            alike are left. They elect the first dimension, so even a perfect code does not reach 1.
        continuous: As for ``factor_vae``.
    """
    sizes = (batch - 1, train, test)
    setup = _prepare(factors, codes, factors_test, codes_test, bins or 3, continuous, sizes, True, bins, still_batches)
    if setup.reason is not None:
        return setup.missing("z_max_var", ("z_max_var", "accuracy", "train"))
    votes = _Votes(seed, batch, (train, test), threshold, largest=True)
    return _vote_result("z_max_var", ("accuracy", "z_max_var", "train"), setup, votes)


@dataclass(frozen=True)
class _Setup:
    """Tables to draw the two parts from, the groups of rows that belong to a factor, and why it cannot be done."""

    train: CodeTable
    test: CodeTable
    columns: list[int]
    groups: Callable[[CodeTable, int], Groups]
    reason: str | None
    details: dict[str, Any]

    def missing(self, name: str, names: Sequence[str]) -> MetricResult:
        return MetricResult(name, dict.fromkeys(names), self.details, self.reason, n=len(self.train))


def _prepare(
    factors: Any,
    codes: Any,
    factors_test: Any,
    codes_test: Any,
    bins: int,
    continuous: Sequence[int] | None,
    sizes: Sequence[int],
    others: bool = False,
    merge: int | None = None,
    still: bool = False,
) -> _Setup:
    if min(sizes) < 1:
        raise ValueError("a batch takes two rows at least, and train and test one batch at least")
    if (factors_test is None) != (codes_test is None):
        raise ValueError("factors_test and codes_test go together: one of them is missing")
    rows = read_rows(factors, codes, continuous)
    train = test = CodeTable.of_rows(rows, bins)
    if factors_test is not None:
        held = read_rows(factors_test, codes_test, np.flatnonzero(~rows.discrete).tolist(), "test ")
        if held.factors.shape[1] != rows.factors.shape[1] or held.codes.shape[1] != rows.codes.shape[1]:
            raise ValueError("train and test differ in columns")
        test = CodeTable.of_rows(held, bins)
    columns = train.varying
    details: dict[str, Any] = {
        "constant_factors": [column for column in range(train.levels.shape[1]) if column not in columns],
        "whole_grid": train.whole,
        "batch": sizes[0],
    }

    def missing(merge: int | None) -> set[int]:
        return {
            column
            for table in (train, test)
            for column in columns
            if len((table.sharing_others(column, merge, still) if others else table.sharing(column))[1]) == 0
        }

    reason = None
    if len(columns) < 2:
        reason = "fewer than two factors vary, so there is nothing to tell apart"
    else:
        alone = missing(merge)
        if alone and others and merge is None:
            merge = 3
            alone = missing(merge)
        if alone:
            shared = "all factors but" if others else "the value of"
            reason = f"no rows to draw that share {shared} factor {', '.join(map(str, sorted(alone)))}"
    details["merged_into"] = merge

    def groups(table: CodeTable, column: int) -> Groups:
        return table.sharing_others(column, merge, still) if others else table.sharing(column)

    return _Setup(train, test, columns, groups, reason, details)


def _difference_result(
    name: str, names: Sequence[str], setup: _Setup, seed: int, batch: int, sizes: tuple[int, int], steps: int = 100
) -> MetricResult:
    """Names are those of the accuracy, its scaled form and the training accuracy; the metric's own comes first."""
    rng = np.random.default_rng(seed)
    labels = [rng.choice(setup.columns, size=size) for size in sizes]
    points = [
        pair_differences(table, label, batch, rng)
        for table, label in zip((setup.train, setup.test), labels, strict=True)
    ]
    if len(np.unique(labels[0])) < 2:
        return MetricResult(name, dict.fromkeys(names), setup.details, "all batches share one factor; draw more")
    score, inside, converged = fit_differences(points[0], labels[0], points[1], labels[1], steps)
    details = setup.details | {
        "batch": batch,
        "train_points": sizes[0],
        "test_points": sizes[1],
        "converged": converged,
    }
    values = _values(name, names, score, inside, len(setup.columns))
    return MetricResult(name, values, details, n=len(setup.train), predictor="logistic regression")


@dataclass(frozen=True)
class _Votes:
    """How batches vote."""

    seed: int
    batch: int
    sizes: tuple[int, int]
    threshold: float
    collapsed_wins: bool = False
    largest: bool = False


def _vote_result(name: str, names: Sequence[str], setup: _Setup, how: _Votes) -> MetricResult:
    rng = np.random.default_rng(how.seed)
    total = setup.train.codes.var(axis=0, ddof=1)
    total[np.ptp(setup.train.codes, axis=0) == 0] = 0.0
    active = np.sqrt(total) >= how.threshold
    if not how.collapsed_wins:
        active &= total > 0
    details = setup.details | {
        "batch": how.batch,
        "variances": total,
        "active_dims": np.flatnonzero(active),
        "threshold": how.threshold,
    }
    count = len(setup.columns)
    if not active.any():
        values = _values(name, names, 0.0, 0.0, count)
        return MetricResult(name, values, details, n=len(setup.train), predictor="majority vote")
    tallies = []
    for table, size in zip((setup.train, setup.test), how.sizes, strict=True):
        columns = rng.choice(setup.columns, size=size)

        def groups(column: int, table: CodeTable = table) -> Groups:
            return setup.groups(table, column)

        shares = group_variances(table, columns, how.batch, rng, groups)[:, active]
        shares /= np.where(total[active] > 0, total[active], np.nan)
        # NaN wins both kinds of vote, as it does in NumPy.
        winner = np.argmax(shares, axis=1) if how.largest else np.argmin(shares, axis=1)
        tally = np.zeros((setup.train.levels.shape[1], len(total)), dtype=np.int64)
        np.add.at(tally, (columns, np.flatnonzero(active)[winner]), 1)
        tallies.append(tally)
    score, inside = vote_accuracy(tallies[0][setup.columns], tallies[1][setup.columns])
    details |= {"votes": tallies[0], "votes_test": tallies[1]}
    values = _values(name, names, score, inside, count)
    return MetricResult(name, values, details, n=len(setup.train), predictor="majority vote")


def _values(name: str, names: Sequence[str], score: float, inside: float, count: int) -> dict[str, float | None]:
    """The accuracy, its scaled form and the training accuracy under their names, the metric's own first."""
    scaled = (score - 1 / count) / (1 - 1 / count)
    values: dict[str, float | None] = dict(zip(names, (score, scaled, inside), strict=True))
    return {name: values[name]} | values


def _chunks(indices: Ints, width: int) -> Iterator[Ints]:
    """The indices in parts for which ``width`` numbers each can be gathered at once."""
    step = max(1, CHUNK // max(1, width))
    for begin in range(0, len(indices), step):
        yield indices[begin : begin + step]
