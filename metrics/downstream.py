"""What a small predictor can read from the codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from .checks import as_floats
from .levels import constant_columns
from .predictors import PREDICTORS, Progress, fit_factors, in_range
from .registry import metric
from .result import MetricResult
from .scale import to_unit
from .tables import read_split


@metric("action_prediction", family="downstream")
def action_prediction(
    before: Any, after: Any, actions: Any, seed: int = 0, test: Any = None, trees: int = 100
) -> MetricResult:
    """How well a random forest of depth 15 tells the action from the codes before and after it.

    Args:
        before: Codes [N, D].
        after: Codes one action later [N, D].
        actions: True action codes [N].
        seed: Seeds the forest, and the split when none is given.
        test: bool [N], the rows to test on; the others are trained on. None: a random half.
        trees: How many trees.

    Returns:
        Value ``accuracy`` on the test rows. Chance: the share among them of the commonest training action. Ceiling: 1,
        although where two actions lead to the same state not even perfect codes tell them apart. Details:
        train_accuracy, train, test (row counts).

    Raises:
        ValueError: Shapes do not fit, fewer than 2 rows, or one side of the split is empty.
    """
    first, second = as_floats(before, "before", 2), as_floats(after, "after", 2)
    labels = np.asarray(actions)
    if first.shape != second.shape or labels.shape != (len(first),):
        raise ValueError(f"shapes do not fit: before {first.shape}, after {second.shape}, actions {labels.shape}")
    if len(first) < 2:
        raise ValueError("action_prediction takes at least 2 rows, one to train on and one to test on")
    if test is None:
        mask = np.zeros(len(first), dtype=bool)
        mask[np.random.default_rng(seed).permutation(len(first))[: len(first) // 2]] = True
    else:
        mask = np.asarray(test, dtype=bool)
    if mask.shape != labels.shape or not mask.any() or mask.all():
        raise ValueError("test must be a mask over the rows with some of them on either side")
    # Trees read float32: each dimension is brought into its range, which changes no order and loses no digit.
    features = to_unit(np.hstack([first, second]), axis=0)[0]
    forest = RandomForestClassifier(n_estimators=trees, max_depth=15, random_state=seed, n_jobs=1)
    forest.fit(features[~mask], labels[~mask])
    kinds, counts = np.unique(labels[~mask], return_counts=True)
    accuracy = float(forest.score(features[mask], labels[mask]))
    chance = float((labels[mask] == kinds[np.argmax(counts)]).mean())
    details = {
        "train_accuracy": float(forest.score(features[~mask], labels[~mask])),
        "train": int((~mask).sum()),
        "test": int(mask.sum()),
    }
    return MetricResult(
        "action_prediction",
        {"accuracy": accuracy},
        details,
        chance={"accuracy": chance},
        ceiling={"accuracy": 1.0},
        n=int((~mask).sum()),
        predictor=f"forest ({trees} trees of depth 15)",
    )


@metric("factor_prediction", family="downstream", of_codes=True)
def factor_prediction(
    factors: Any,
    codes: Any,
    factors_test: Any = None,
    codes_test: Any = None,
    *,
    seed: int = 0,
    predictor: str = "logistic",
    continuous: Sequence[int] | None = None,
    n_jobs: int | None = 1,
    progress: Callable[[Progress], None] | None = None,
) -> MetricResult:
    """How well a small predictor tells each factor from the codes, mean over factors.

    The downstream task of disentanglement_lib (Locatello et al. 2019, arXiv 1811.12359).

    Args:
        factors: Factors [N, K].
        codes: Codes [N, D].
        factors_test: Factors of the test rows. None: a third of the rows is set apart.
        codes_test: Codes of the test rows.
        seed: Seeds the predictors, and the split where there is one.
        predictor: "logistic" (fast), "logistic_cv" (disentanglement_lib's, ten penalties by 5-fold cross-validation),
            "gbt" (its other one), "hist" or "forest"; see ``make_predictor``.
        continuous: Columns of ``factors`` that are quantities. None: those with a number that is not whole.
        n_jobs: Processes, one factor each; the numbers do not depend on it. None: all cores where it pays.
        progress: Called with a ``Progress`` before the first factor and after each.

    Returns:
        Values ``accuracy`` (mean over factors of the test rows' share of right predictions, or R2 of a quantity) and
        ``train_accuracy``. Chance: always the commonest training value; 0 for a quantity. Details:
        per_factor, per_factor_train, factors, constant_factors (left out), test.

    Raises:
        ValueError: Shapes do not fit, an unknown predictor, or for "logistic_cv" less than 5 rows or codes beyond 1e18.
    """
    if predictor not in PREDICTORS:
        raise ValueError(f"unknown predictor {predictor!r}; there are: {', '.join(PREDICTORS)}")
    train, test = read_split(factors, codes, factors_test, codes_test, seed=seed, continuous=continuous)
    train, test = in_range(train, test, predictor)
    columns, fits = fit_factors(train, test, predictor, seed=seed, n_jobs=n_jobs, progress=progress)
    details: dict[str, Any] = {"constant_factors": constant_columns(train), "factors": columns, "test": len(test)}
    names = ("accuracy", "train_accuracy")
    if not fits:
        reason = "no factor varies in the sample"
        return MetricResult("factor_prediction", dict.fromkeys(names), details, reason, n=len(train))
    inside, outside = [fit.train for fit in fits], [fit.test for fit in fits]
    guesses: list[list[float]] = [[], []]
    for column in columns:
        kinds, counts = np.unique(train.factors[:, column], return_counts=True)
        for part, shares in zip((test, train), guesses, strict=True):
            right = (part.factors[:, column] == kinds[np.argmax(counts)]).mean()
            shares.append(float(right) if train.discrete[column] else 0.0)
    return MetricResult(
        "factor_prediction",
        {"accuracy": float(np.mean(outside)), "train_accuracy": float(np.mean(inside))},
        details | {"per_factor": outside, "per_factor_train": inside},
        chance={name: float(np.mean(shares)) for name, shares in zip(names, guesses, strict=True)},
        n=len(train),
        predictor=predictor,
    )
