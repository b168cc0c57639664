"""Metrics from batches in which a factor is held still."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from .checks import Ints
from .draws import CodeTable, Groups, group_variances, pair_differences
from .registry import metric
from .result import MetricResult
from .tables import Bools, read_rows

__all__ = [
    "CodeTable",
    "beta_vae",
    "count_votes",
    "factor_vae",
    "fit_differences",
    "vote_accuracy",
    "z_diff",
    "z_max_var",
    "z_min_var",
]

Arrays = tuple[Any, Any, Any, Any]
"""Factors and codes, and those to test on or None."""


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
    draws = _Draws("beta_vae", seed, batch, (train, test))
    return draws.differences((factors, codes, factors_test, codes_test), bins, continuous)


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

    As in the review of Carbonneau et al. 2020 (arXiv 2012.09276). Arguments, errors and details are those of
    ``beta_vae``; values ``z_diff`` (scaled), ``accuracy``, ``train`` (accuracy).
    """
    draws = _Draws("z_diff", seed, batch, (train, test))
    return draws.differences((factors, codes, factors_test, codes_test), bins, continuous, steps=10_000)


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
        factors: Factors [N, K]. When the rows are every combination exactly once, draws are the published ones;
            otherwise batches of different rows are drawn among those that share a value.
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
    draws = _Draws("factor_vae", seed, batch, (train, test))
    setup = draws.setup((factors, codes, factors_test, codes_test), bins, continuous)
    return draws.votes(setup, threshold, collapsed_wins=collapsed_wins)


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

    As in the review of Carbonneau et al. 2020 (arXiv 2012.09276). Arguments, errors and details are those of
    ``factor_vae``; values ``z_min_var`` (scaled), ``accuracy``, ``train`` (accuracy).
    """
    draws = _Draws("z_min_var", seed, batch, (train, test))
    return draws.votes(draws.setup((factors, codes, factors_test, codes_test), bins, continuous), threshold)


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
    Values ``z_max_var`` (scaled), ``accuracy``, ``train`` (accuracy). Arguments, errors and details are those of
    ``factor_vae``, but for these: ``bins`` are equal-width bins of every factor, within which it counts as held still
    (None: every value of a class by itself and 3 bins of a quantity; 3 bins of all of them when too few rows agree in
    all but one factor; the detail merged_into tells). ``still_batches`` draws batches in which the factor does not vary
    either, as ubisoft's code does where only rows alike are left; they elect the first dimension, so that even a
    perfect code does not reach 1.
    """
    draws = _Draws("z_max_var", seed, batch, (train, test))
    for merged in (None, 3) if bins is None else (bins,):

        def others(table: CodeTable, column: int, merged: int | None = merged) -> Groups:
            return table.sharing_others(column, merged, still_batches)

        setup = draws.setup((factors, codes, factors_test, codes_test), bins or 3, continuous, others)
        setup.details["merged_into"] = merged
        if not setup.lonely:
            break
    return draws.votes(setup, threshold, largest=True)


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
    features, others = np.asarray(points, dtype=np.float64), np.asarray(points_test, dtype=np.float64)
    # The penalty has a scale, so that points are fitted as they are. Huge ones are made smaller, and the penalty with
    # them, which changes nothing but that their squares do not overflow.
    shift = max(0, int(np.frexp(features.max())[1]) - _LARGEST)
    model = LogisticRegression(C=np.ldexp(1.0, min(2 * shift, 1000)), max_iter=steps)
    features, others = np.ldexp(features, -shift), np.ldexp(others, -shift)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features, labels)
    done = bool(np.max(model.n_iter_) < model.max_iter)
    return float(model.score(others, labels_test)), float(model.score(features, labels)), done


def count_votes(
    variances: Any, total: Any, columns: Any, factors: int, active: Any = None, largest: bool = False
) -> Ints:
    """How often each factor's batches elect each dimension: the one that varies least, or most, for its own scale.

    Args:
        variances: Of codes within batches [P, D].
        total: Of codes over all rows [D]. A dimension with 0 wins every vote that it takes part in, as 0 / 0 does.
        columns: The factor of each batch [P], in 0..``factors`` - 1.
        factors: How many factors there are, K.
        active: Which dimensions take part, bool [D]. None: all.
        largest: Elects the dimension that varies most.

    Returns:
        int64 [K, D].
    """
    spread = np.asarray(total, dtype=np.float64)
    standing = np.flatnonzero(np.ones(len(spread), dtype=bool) if active is None else active)
    # NaN wins both kinds of vote, as it does in NumPy.
    shares = np.asarray(variances)[:, standing] / np.where(spread > 0, spread, np.nan)[standing]
    winners = np.argmax(shares, axis=1) if largest else np.argmin(shares, axis=1)
    votes = np.zeros((factors, len(spread)), dtype=np.int64)
    np.add.at(votes, (np.asarray(columns), standing[winners]), 1)
    return votes


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


_LARGEST = 32
"""Exponent of two above which mean differences are made smaller."""


@dataclass(frozen=True)
class _Setup:
    """Tables to draw the two parts from, the factors that vary, and those for which there are no rows to draw."""

    train: CodeTable
    test: CodeTable
    columns: list[int]
    groups: Callable[[CodeTable, int], Groups]
    lonely: list[int]
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def reason(self) -> str | None:
        """Why there is nothing to compute, if so."""
        if len(self.columns) < 2:
            return "fewer than two factors vary, so there is nothing to tell apart"
        if self.lonely:
            shared = "the value of" if self.groups is CodeTable.sharing else "all factors but"
            return f"no rows to draw that share {shared} factor {', '.join(map(str, self.lonely))}"
        return None


@dataclass(frozen=True)
class _Draws:
    """How many batches of which size a metric draws, and what it makes of them."""

    name: str
    seed: int
    batch: int
    sizes: tuple[int, int]

    def setup(
        self,
        arrays: Arrays,
        bins: int,
        continuous: Sequence[int] | None,
        groups: Callable[[CodeTable, int], Groups] = CodeTable.sharing,
        least: int = 2,
    ) -> _Setup:
        """Reads the arrays; ``groups`` gives the rows that belong together for a factor, ``least`` bounds the batch."""
        factors, codes, factors_test, codes_test = arrays
        if self.batch < least or min(self.sizes) < 1:
            raise ValueError(
                f"a batch takes at least {least} and train and test at least 1, not {self.batch}, {self.sizes}"
            )
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
        lonely = [column for column in columns if any(len(groups(part, column)[1]) == 0 for part in (train, test))]
        details = {
            "constant_factors": [column for column in range(train.levels.shape[1]) if column not in columns],
            "whole_grid": train.whole,
            "batch": self.batch,
        }
        return _Setup(train, test, columns, groups, lonely, details)

    def differences(
        self, arrays: Arrays, bins: int, continuous: Sequence[int] | None, steps: int = 100
    ) -> MetricResult:
        """Tells the shared factor from the mean differences of pairs."""
        setup = self.setup(arrays, bins, continuous, least=1)
        if setup.reason is not None:
            return self.result(setup, setup.reason)
        rng = np.random.default_rng(self.seed)
        labels = [rng.choice(setup.columns, size=size) for size in self.sizes]
        points = [
            pair_differences(table, label, self.batch, rng)
            for table, label in zip((setup.train, setup.test), labels, strict=True)
        ]
        if len(np.unique(labels[0])) < 2:
            return self.result(setup, "all batches share one factor; draw more")
        if not all(np.isfinite(part).all() for part in points):
            return self.result(setup, "differences of codes overflow")
        score, inside, converged = fit_differences(points[0], labels[0], points[1], labels[1], steps)
        train, test = self.sizes
        details = {"train_points": train, "test_points": test, "converged": converged}
        return self.result(setup, (score, inside), details, "logistic regression")

    def votes(
        self, setup: _Setup, threshold: float, collapsed_wins: bool = False, largest: bool = False
    ) -> MetricResult:
        """Tells the factor from the dimension that varies least, or most, in a batch."""
        if setup.reason is not None:
            return self.result(setup, setup.reason)
        # Powers of two, so that squares of any codes neither overflow nor vanish and no digit is lost.
        peak = np.maximum(np.abs(setup.train.codes).max(axis=0), np.abs(setup.test.codes).max(axis=0))
        exponents = np.frexp(peak)[1]
        tables = [replace(table, codes=np.ldexp(table.codes, -exponents)) for table in (setup.train, setup.test)]
        total = tables[0].codes.var(axis=0, ddof=1)
        total[np.ptp(tables[0].codes, axis=0) == 0] = 0.0
        active: Bools = np.ldexp(np.sqrt(total), exponents) >= threshold
        if not collapsed_wins:
            active &= total > 0
        with np.errstate(over="ignore"):
            variances = np.ldexp(total, 2 * exponents)
        details = {"variances": variances, "active_dims": np.flatnonzero(active), "threshold": threshold}
        if not active.any():
            return self.result(setup, (0.0, 0.0), details, "majority vote")
        rng = np.random.default_rng(self.seed)
        tallies = []
        for table, size in zip(tables, self.sizes, strict=True):
            columns = rng.choice(setup.columns, size=size)
            within = group_variances(table, columns, self.batch, rng, partial(setup.groups, table))
            tallies.append(count_votes(within, total, columns, table.levels.shape[1], active, largest))
        details |= {"votes": tallies[0], "votes_test": tallies[1]}
        accuracies = vote_accuracy(*(tally[setup.columns] for tally in tallies))
        return self.result(setup, accuracies, details, "majority vote")

    def result(
        self,
        setup: _Setup,
        found: tuple[float, float] | str,
        details: dict[str, Any] | None = None,
        predictor: str | None = None,
    ) -> MetricResult:
        """The accuracy on the test and on the training part under the metric's names, or why there is none."""
        # Of the z scores the scaled one is the main one, of the others the accuracy.
        accuracy, scaled = ("accuracy", self.name) if self.name.startswith("z_") else (self.name, "scaled")
        values: dict[str, float | None] = dict.fromkeys((self.name, accuracy, scaled, "train"))
        reason = found if isinstance(found, str) else None
        if not isinstance(found, str):
            chance = 1 / len(setup.columns)
            values |= {accuracy: found[0], scaled: (found[0] - chance) / (1 - chance), "train": found[1]}
        merged = setup.details | (details or {})
        return MetricResult(self.name, values, merged, reason, n=len(setup.train), predictor=predictor)
