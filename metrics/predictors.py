"""Predictors of factors from codes: which there are, how they are fitted factor by factor, and how long that takes."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
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
from .tables import Rows

PREDICTORS = ("gbt", "hist", "forest", "logistic", "logistic_cv")
"""The predictors by name: exact boosted trees, histogram boosting, random forest, logistic regression (with its penalty
chosen by cross-validation)."""

PARALLEL_FROM = 5.0
"""Expected seconds from which on factors are fitted in parallel when it is left open."""


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
            "logistic_cv": logistic regression on codes as they are, its penalty chosen out of ten by 10-fold
            cross-validation without shuffling, as in disentanglement_lib.
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
            return LogisticRegressionCV(Cs=10, cv=KFold(10))
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

    Every factor's predictor has its own seed, so that one process or many give the same numbers.

    Args:
        train: Rows to fit on.
        test: Rows to test on.
        predictor: A name, or a function of (discrete, seed) that makes a predictor.
        seed: Seeds the predictors.
        n_jobs: Processes; -1 takes all cores. None: all cores where one would take more than ``PARALLEL_FROM`` seconds.
        progress: Called before the start (with the expected time) and after each factor.

    Returns:
        The factors' columns, and what came of each.
    """
    constant = constant_columns(train)
    columns = [column for column in range(train.factors.shape[1]) if column not in constant]
    make = partial(make_predictor, predictor) if isinstance(predictor, str) else predictor
    tasks = [_Task(train, test, column, make, seed) for column in columns]
    if not tasks:
        return [], []
    weights = np.array([task.weight() for task in tasks])
    expected = 0.0
    if progress is not None or n_jobs is None:
        expected = _expected_seconds(train, tasks[int(np.argmin(weights))]) * float(weights.sum() / weights.min())
    if n_jobs is None:
        n_jobs = -1 if expected > PARALLEL_FROM and len(tasks) > 1 else 1
    pool = Parallel(n_jobs=n_jobs, return_as="generator")
    cores = min(pool._effective_n_jobs(), len(tasks)) if n_jobs != 1 else 1
    expected /= cores
    began = time.perf_counter()
    if progress is not None:
        progress(Progress(0, len(tasks), 0.0, expected))
    stream = (task() for task in tasks) if cores == 1 else pool(delayed(_run)(task) for task in tasks)
    fits = []
    for fit in stream:
        fits.append(fit)
        if progress is not None:
            spent = time.perf_counter() - began
            # What is left by weight, at the pace so far.
            share = float(weights[: len(fits)].sum() / weights.sum())
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

    def weight(self) -> int:
        """The relative cost: boosted trees grow one tree a class, but two classes share one."""
        levels = len(np.unique(self.target(self.train))) if self.discrete else 1
        return levels if levels > 2 else 1

    def __call__(self) -> Fit:
        model = self.make(self.discrete, self.seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.simplefilter("ignore", FutureWarning)
            model.fit(self.train.codes, self.target(self.train))
        return Fit(
            importance_of(model, self.train.codes),
            score_of(model, self.train.codes, self.target(self.train), self.discrete),
            score_of(model, self.test.codes, self.target(self.test), self.discrete),
            model,
        )


def _run(task: _Task) -> Fit:
    return task()


def _expected_seconds(train: Rows, task: _Task) -> float:
    """The time that one factor takes, judged from two of its boosting rounds; 0 for what is fast."""
    model = task.make(task.discrete, task.seed)
    rounds = getattr(model, "n_estimators", None)
    if not isinstance(model, GradientBoostingClassifier | GradientBoostingRegressor) or rounds is None:
        return 0.0
    began = time.perf_counter()
    model.set_params(n_estimators=2).fit(train.codes, task.target(train))
    return (time.perf_counter() - began) * rounds / 2
