"""Predictors of factors from codes: which there are, how they are fitted factor by factor, and how long that takes."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, RidgeCV
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.parallel import Parallel, delayed

from .checks import Floats
from .levels import constant_columns
from .scale import to_unit
from .tables import Rows

PREDICTORS = ("gbt", "hist", "forest", "logistic", "logistic_cv")
"""The predictors by name: exact boosted trees, histogram boosting, random forest, logistic regression (with its penalty
chosen by cross-validation)."""

FOLDS = 5
"""Of the cross-validation of "logistic_cv"."""

PARALLEL_FROM = 30.0
"""Expected seconds from which on factors are fitted in parallel when it is left open."""

STARTUP = 6.0
"""Seconds that starting the processes takes, about: each imports scikit-learn."""

_ROUNDS = 5  # of boosting or trees, by which the time of a fit is judged

_NARROW = 2.0**-10
"""Range of codes within -1..1 below which trees, which read float32, would lose digits of the differences."""


_ENSEMBLES = (GradientBoostingClassifier, GradientBoostingRegressor, RandomForestClassifier, RandomForestRegressor)


_LARGEST = 1e18
"""Codes from which on the steps of an unscaled logistic regression are lost in rounding."""


@dataclass(frozen=True)
class Progress:
    """How far a long computation is.

    Attributes:
        done: Factors finished.
        total: Factors in all.
        seconds: Time since the first fit began.
        remaining: Expected seconds from now on.
    """

    done: int
    total: int
    seconds: float
    remaining: float

    def __str__(self) -> str:
        left = f", about {self.remaining:.0f} s left" if self.remaining > 0 else ""
        return f"{self.done} of {self.total} factors in {self.seconds:.0f} s{left}"


@dataclass(frozen=True)
class Fit:
    """What came of fitting one factor.

    Attributes:
        importance: float64 [D] from 0, summing to 1 or all 0; None where the predictor has none.
        train: Score on the rows that it was fitted on.
        test: Score on the test rows.
        model: The fitted predictor.
    """

    importance: Floats | None
    train: float
    test: float
    model: Any


def make_predictor(name: str, discrete: bool, seed: int) -> Any:
    """A predictor that has not been fitted: a classifier of a discrete factor, a regressor of a quantity.

    Args:
        name: "gbt": scikit-learn's gradient boosting with its defaults, as in disentanglement_lib. "hist": histogram
            boosting with 100 rounds of trees of depth 3, as the exact one. "forest": 100 trees of depth 10, by entropy
            where there are classes; every dimension is open to every split, or trees would have to split on dimensions
            that say nothing. "logistic": logistic regression on standardised codes; ridge for a quantity.
            "logistic_cv": logistic regression on codes as they are, its penalty chosen out of ten by 5-fold
            cross-validation without shuffling, as in disentanglement_lib; ridge for a quantity.
        discrete: Whether the factor has classes.
        seed: Seeds what is random in it.

    Raises:
        ValueError: An unknown name.
    """
    if name == "gbt":
        return (GradientBoostingClassifier if discrete else GradientBoostingRegressor)(random_state=seed)
    if name == "hist":
        # Early stopping would hold rows back, and only from 10,000 rows on.
        settings = {"max_depth": 3, "max_leaf_nodes": None, "early_stopping": False, "random_state": seed}
        return (HistGradientBoostingClassifier if discrete else HistGradientBoostingRegressor)(**settings)
    if name == "forest":
        trees = {"n_estimators": 100, "max_depth": 10, "max_features": 1.0, "random_state": seed}
        return RandomForestClassifier(criterion="entropy", **trees) if discrete else RandomForestRegressor(**trees)
    if name == "logistic":
        model = LogisticRegression(max_iter=1000) if discrete else RidgeCV(np.logspace(-3, 3, 7))
        return make_pipeline(StandardScaler(), model)
    if name == "logistic_cv":
        if not discrete:
            return RidgeCV(np.logspace(-3, 3, 7))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return LogisticRegressionCV(Cs=10, cv=KFold(FOLDS))
    raise ValueError(f"unknown predictor {name!r}; there are: {', '.join(PREDICTORS)}")


def importance_of(model: Any, codes: Floats) -> Floats | None:
    """How much each code dimension contributes to a fitted predictor.

    Exact boosted trees and forests have scikit-learn's impurity importance. Histogram boosting, which offers none, has
    the sum over all splits on a dimension of the loss that they gain, as the trees recorded it while growing. Between
    dimensions that order the rows alike it always takes the first, so these share what they have evenly; exact trees
    choose one at random each time.

    Args:
        model: Fitted on ``codes``.
        codes: float64 [N, D].

    Returns:
        float64 [D] from 0, summing to 1 or all 0; None where the predictor has no importances.
    """
    if isinstance(model, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
        gains = np.zeros(codes.shape[1])
        for stage in model._predictors:
            for tree in stage:
                splits = tree.nodes[tree.nodes["is_leaf"] == 0]
                np.add.at(gains, splits["feature_idx"].astype(np.int64), np.maximum(splits["gain"], 0.0))
        for group in same_order(codes):
            gains[group] = gains[group].mean()
        total = gains.sum()
        return gains / total if total > 0 else gains
    found = getattr(model, "feature_importances_", None)
    return None if found is None else np.abs(np.asarray(found, dtype=np.float64))


def same_order(codes: Floats) -> list[list[int]]:
    """Groups of two and more dimensions that order the rows alike, or exactly the other way round."""
    groups: dict[bytes, list[int]] = {}
    for dimension, column in enumerate(codes.T):
        ranks = np.unique(column, return_inverse=True)[1].reshape(-1)
        # The direction is fixed by which end the first row that is off the middle lies nearer to.
        off = np.flatnonzero(2 * ranks != ranks.max())
        if len(off) and 2 * ranks[off[0]] > ranks.max():
            ranks = ranks.max() - ranks
        groups.setdefault(ranks.astype(np.int64).tobytes(), []).append(dimension)
    return [group for group in groups.values() if len(group) > 1]


def score_of(model: Any, codes: Floats, factor: Floats, discrete: bool) -> float:
    """Share of right predictions of a discrete factor; R2 of a quantity, not below 0."""
    predicted = model.predict(codes)
    if discrete:
        return float((predicted == factor).mean())
    spread = float(((factor - factor.mean()) ** 2).sum())
    left = float(((factor - predicted) ** 2).sum())
    return max(0.0, 1.0 - left / spread) if spread > 0 else float(left == 0)


def in_range(train: Rows, test: Rows, predictor: str = "") -> tuple[Rows, Rows]:
    """Both parts with each code dimension, and each factor that is a quantity, divided by a power of two.

    The training part then lies within -1..1. Trees read codes as float32 and others square them, so that huge numbers
    would overflow and tiny ones vanish. A power of two costs no digit: what does not depend on the scale stays exactly
    the same. A code dimension that varies little beside its size is counted from its smallest value. "logistic_cv"
    depends on the scale of the codes, and reads them as they are.

    Raises:
        ValueError: Codes too large for "logistic_cv", or test rows far beyond the training rows.
    """
    if predictor != "logistic_cv":
        train, test = _from_zero(train, test)
    scales = [np.where(train.discrete, 0, to_unit(train.factors, axis=0)[1]), to_unit(train.codes, axis=0)[1]]
    if predictor == "logistic_cv":
        if np.abs(train.codes).max() > _LARGEST:
            raise ValueError(
                f"logistic_cv reads codes as they are, and cannot be fitted to any beyond {_LARGEST:g}: scale them"
            )
        scales[1] = np.zeros_like(scales[1])
    parts = []
    for part in (train, test):
        with np.errstate(over="ignore"):
            factors, codes = (
                np.ldexp(values, -scale) for values, scale in zip((part.factors, part.codes), scales, strict=True)
            )
        if not (np.isfinite(factors).all() and np.isfinite(codes).all()):
            raise ValueError("the test rows are larger than the training rows by more than numbers can hold")
        parts.append(replace(part, factors=factors, codes=codes))
    return parts[0], parts[1]


def _from_zero(train: Rows, test: Rows) -> tuple[Rows, Rows]:
    """Both parts with the smallest training value taken from the code dimensions whose range is tiny beside it."""
    low, high = train.codes.min(axis=0), train.codes.max(axis=0)
    size = np.maximum(np.abs(low), np.abs(high))
    # Halves, since a range may be beyond all numbers where its ends are not.
    narrow = (high > low) & (high / 2 - low / 2 < _NARROW * size)
    if not narrow.any():
        return train, test
    offset = np.where(narrow, low, 0.0)
    with np.errstate(over="ignore"):
        return replace(train, codes=train.codes - offset), replace(test, codes=test.codes - offset)


def fit_factors(
    train: Rows,
    test: Rows,
    predictor: str | Callable[[bool, int], Any],
    *,
    seed: int = 0,
    n_jobs: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> tuple[list[int], list[Fit]]:
    """Fits one predictor for each factor that varies in the training rows.

    All predictors are seeded alike, each by itself, so that one process or many give the same numbers.

    Args:
        train: Rows to fit on.
        test: Rows to test on.
        predictor: A name, or a function of (discrete, seed) that makes a predictor.
        seed: Seeds the predictors.
        n_jobs: Processes; -1 takes all cores. None: all cores where one would take more than ``PARALLEL_FROM`` seconds.
        progress: Called before the start (with the expected time) and after each factor.

    Returns:
        The factors' columns, and what came of each.

    Raises:
        ValueError: An unknown predictor, or rows that it cannot be fitted on.
    """
    constant = constant_columns(train)
    columns = [column for column in range(train.factors.shape[1]) if column not in constant]
    make = partial(make_predictor, predictor) if isinstance(predictor, str) else predictor
    tasks = [_Task(train, test, column, make, seed) for column in columns]
    if not tasks:
        return [], []
    shares = np.ones(len(tasks))
    expected = 0.0
    if progress is not None or n_jobs is None:
        seconds = np.array([task.expected_seconds() for task in tasks])
        expected = float(seconds.sum())
        shares = seconds if expected > 0 else shares
    if n_jobs is None:
        n_jobs = -1 if expected > PARALLEL_FROM and len(tasks) > 1 else 1
    pool = Parallel(n_jobs=n_jobs, return_as="generator")
    cores = min(pool._effective_n_jobs(), len(tasks)) if n_jobs != 1 else 1
    # The longest fit is not divided.
    expected = max(expected / cores, float(shares.max()) if expected > 0 else 0.0) + (STARTUP if cores > 1 else 0.0)
    began = time.perf_counter()
    if progress is not None:
        progress(Progress(0, len(tasks), 0.0, expected))
    stream = (task() for task in tasks) if cores == 1 else pool(delayed(_run)(task) for task in tasks)
    fits = []
    for fit in stream:
        fits.append(fit)
        if progress is not None:
            spent = time.perf_counter() - began
            # What is left by the expected times, at the pace so far.
            share = float(shares[: len(fits)].sum() / shares.sum())
            progress(Progress(len(fits), len(tasks), spent, spent * (1 - share) / share))
    return columns, fits


@dataclass(frozen=True)
class _Task:
    """The fit of one factor."""

    train: Rows
    test: Rows
    column: int
    make: Callable[[bool, int], Any]
    seed: int

    @property
    def discrete(self) -> bool:
        return bool(self.train.discrete[self.column])

    def target(self, rows: Rows) -> Any:
        return rows.labels(self.column) if self.discrete else rows.factors[:, self.column]

    def expected_seconds(self) -> float:
        return expected_seconds(self.make(self.discrete, self.seed), self.train.codes, self.target(self.train))

    def __call__(self) -> Fit:
        model = self.make(self.discrete, self.seed)
        _fit(model, self.train.codes, self.target(self.train))
        return Fit(
            importance_of(model, self.train.codes),
            score_of(model, self.train.codes, self.target(self.train), self.discrete),
            score_of(model, self.test.codes, self.target(self.test), self.discrete),
            model,
        )


def _run(task: _Task) -> Fit:
    return task()


def _fit(model: Any, codes: Floats, target: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", FutureWarning)
        # Many classes for few rows: so be it.
        warnings.filterwarnings("ignore", message="The number of unique classes")
        model.fit(codes, target)


def expected_seconds(model: Any, codes: Floats, target: Any) -> float:
    """The time that a fit takes, judged from a twentieth of it; 0 for a model that takes none worth stating.

    Args:
        model: Not fitted; it is left as it is. One with an attribute ``part``, a model and how many fits of it make
            one of its own, is judged by that.
        codes: float64 [N, D].
        target: The factor [N].
    """
    if isinstance(model, _ENSEMBLES):
        part, times = clone(model).set_params(n_estimators=_ROUNDS), model.n_estimators / _ROUNDS
    elif isinstance(model, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
        part, times = clone(model).set_params(max_iter=_ROUNDS), model.max_iter / _ROUNDS
    elif isinstance(model, LogisticRegressionCV):
        part, times = LogisticRegression(max_iter=model.max_iter), model.Cs * FOLDS
    elif hasattr(model, "part"):
        part, times = model.part
    else:
        return 0.0
    began = time.perf_counter()
    _fit(part, codes, target)
    return (time.perf_counter() - began) * times
