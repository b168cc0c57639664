"""How explicitly the codes hold each factor: how well a linear classifier tells each value from the others."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from .checks import Floats, Ints
from .levels import constant_columns, shared_levels
from .predictors import in_range
from .registry import metric
from .result import MetricResult
from .tables import Rows, read_split

CLASSIFIERS = ("multinomial", "one_vs_rest")
"""Logistic regression over all values at once, or of each value against the others with balanced weights."""


def area_under_curve(scores: Any, labels: Any) -> float:
    """Mean over classes of the area under the ROC curve of each class against the others.

    Args:
        scores: How much each row speaks for each class, [N, C].
        labels: Class numbers in 0..C-1, [N].

    Returns:
        0.5 for scores that know nothing, 1 for perfect order; NaN when no class has rows both inside and outside.

    Raises:
        ValueError: Shapes do not fit.
    """
    table, classes = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    if table.ndim != 2 or classes.shape != (len(table),):
        raise ValueError(f"expected scores [N, C] and labels [N], got {table.shape} and {classes.shape}")
    inside = classes[:, None] == np.arange(table.shape[1])
    count = inside.sum(axis=0)
    pairs = count * (len(table) - count)
    wins = (rankdata(table, axis=0) * inside).sum(axis=0) - count * (count + 1) / 2
    usable = pairs > 0
    return float((wins[usable] / pairs[usable]).mean()) if usable.any() else float("nan")


@metric("explicitness", family="prediction", of_codes=True)
def explicitness(
    factors: Any,
    codes: Any,
    factors_test: Any = None,
    codes_test: Any = None,
    *,
    seed: int = 0,
    classifier: str = "multinomial",
    scaling: str = "variance",
    bins: int = 20,
    continuous: Sequence[int] | None = None,
) -> MetricResult:
    """Explicitness: area under the ROC curve of a logistic regression of each factor, mean over values and factors.

    Ridgeway and Mozer 2018 (arXiv 1802.05312), with disentanglement_lib's multinomial regression on standardised codes.

    Args:
        factors: Factors [N, K].
        codes: Codes [N, D].
        factors_test: Factors of the test rows. None: a third of the rows is set apart.
        codes_test: Codes of the test rows.
        seed: Seeds the split where there is one.
        classifier: "multinomial", or "one_vs_rest" with balanced class weights.
        scaling: "variance": codes of unit variance; "range": codes in 0..1. It matters through the penalty.
        bins: Equal-width bins of a quantity; it is then told apart bin by bin.
        continuous: Columns of ``factors`` that are quantities. None: those with a number that is not whole.

    Returns:
        Values ``explicitness`` (test rows; 0.5 knows nothing, 1 is best), ``scaled`` (2 x that - 1), ``train``.
        Details: per_factor, per_factor_train, constant_factors (left out), test, converged (whether every
        regression did). Values of a factor that lack training or test rows are left out.

    Raises:
        ValueError: Shapes do not fit, or an unknown classifier or scaling.
    """
    if classifier not in CLASSIFIERS:
        raise ValueError(f"unknown classifier {classifier!r}; there are: {', '.join(CLASSIFIERS)}")
    if scaling not in ("variance", "range"):
        raise ValueError(f"scaling must be variance or range, not {scaling!r}")
    train, test = in_range(*read_split(factors, codes, factors_test, codes_test, seed=seed, continuous=continuous))
    features, features_test = _scaled(train, test, scaling)
    levels, levels_test = shared_levels(train, test, bins)
    constant = constant_columns(train)
    inside: list[float | None] = [None] * levels.shape[1]
    outside: list[float | None] = [None] * levels.shape[1]
    converged = True
    for column in range(levels.shape[1]):
        if column in constant:
            continue
        scores, scores_test, known, done = _fit(features, levels[:, column], features_test, classifier)
        converged &= done
        inside[column] = _finite(area_under_curve(scores, np.searchsorted(known, levels[:, column])))
        # Rows whose value was never seen are no example of any class.
        seen = np.isin(levels_test[:, column], known)
        if seen.any():
            labels = np.searchsorted(known, levels_test[seen, column])
            outside[column] = _finite(area_under_curve(scores_test[seen], labels))
    used = [score for score in outside if score is not None]
    used_train = [score for score in inside if score is not None]
    main = float(np.mean(used)) if used else None
    values = {
        "explicitness": main,
        "scaled": None if main is None else 2 * main - 1,
        "train": float(np.mean(used_train)) if used_train else None,
    }
    details = {
        "per_factor": outside,
        "per_factor_train": inside,
        "constant_factors": constant,
        "test": len(test),
        "converged": converged,
    }
    reason = None
    if main is None:
        reason = "no factor varies in the training rows"
        if used_train:
            reason = "no factor has two values in the test rows that the training rows have too"
    named = f"logistic regression, {classifier}"
    return MetricResult("explicitness", values, details, reason, n=len(train), predictor=named)


def _fit(features: Floats, labels: Ints, others: Floats, classifier: str) -> tuple[Floats, Floats, Ints, bool]:
    """Class probabilities of both parts [N, C], the classes, and whether the regression converged."""
    model: Any = LogisticRegression()
    if classifier == "one_vs_rest":
        model = OneVsRestClassifier(LogisticRegression(class_weight="balanced"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", message="The number of unique classes")
        model.fit(features, labels)
    fitted = model.estimators_ if classifier == "one_vs_rest" else [model]
    # A class that is everywhere has a constant predictor, which takes no steps.
    converged = all(np.max(getattr(each, "n_iter_", 0)) < getattr(each, "max_iter", 1) for each in fitted)
    return model.predict_proba(features), model.predict_proba(others), model.classes_, converged


def _scaled(train: Rows, test: Rows, scaling: str) -> tuple[Floats, Floats]:
    """Codes of both parts, scaled by the training rows; a dimension that does not vary becomes 0."""
    codes = train.codes
    low, width = (
        (codes.mean(axis=0), codes.std(axis=0)) if scaling == "variance" else (codes.min(axis=0), np.ptp(codes, axis=0))
    )
    still = np.ptp(codes, axis=0) == 0
    width = np.where(still | (width == 0), np.inf, width)
    return (codes - low) / width, (test.codes - low) / width


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
