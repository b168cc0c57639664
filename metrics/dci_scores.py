"""Disentanglement, completeness and informativeness, with several predictors behind the importance matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Lasso, LassoCV
from sklearn.model_selection import KFold

from .checks import Floats
from .importance import completeness_from_importance, disentanglement_from_importance, sum_blocks
from .predictors import Fit, Progress, fit_factors, in_range
from .registry import metric
from .result import MetricResult
from .tables import Rows, read_blocks, read_split

Shown = Callable[[Progress], None] | None
Blocks = Sequence[Sequence[int]] | None

LASSO_ALPHAS = (0.0001, 0.001, 0.01, 0.1, 0.2, 0.4, 0.8, 1.0)
"""Penalties that cross-validation chooses from."""


@metric("dci", family="prediction", of_codes=True, slow=True)
def dci(
    factors: Any,
    codes: Any,
    factors_test: Any = None,
    codes_test: Any = None,
    *,
    seed: int = 0,
    predictor: str = "gbt",
    blocks: Blocks = None,
    weights: str = "importance",
    continuous: Sequence[int] | None = None,
    n_jobs: int | None = None,
    progress: Shown = None,
) -> MetricResult:
    """DCI with exact gradient boosted trees: disentanglement, completeness, informativeness.

    One predictor a factor, fitted to tell it from the codes; how much each code dimension contributes to each makes
    the importance matrix. Eastwood and Williams 2018 (openreview By-7dz-AZ), with the predictor and the weighting of
    disentanglement_lib (Locatello et al. 2019, arXiv 1811.12359).

    Args:
        factors: Factors [N, K]. Columns of whole numbers are classes, others quantities.
        codes: Codes [N, D].
        factors_test: Factors of the test rows. None: a third of the rows is set apart.
        codes_test: Codes of the test rows.
        seed: Seeds the predictors, and the split where there is one.
        predictor: "gbt", or "hist" or "forest" (see ``make_predictor``).
        blocks: Lists of code dimensions whose importance is summed. None: each dimension by itself.
        weights: "importance" or "uniform", how codes and factors are averaged.
        continuous: Columns of ``factors`` that are quantities. None: those with a number that is not whole.
        n_jobs: Processes, one factor each; the numbers do not depend on it. None: all cores where it pays.
        progress: Called with a ``Progress`` before the first factor (with the expected time) and after each.

    Returns:
        Values ``disentanglement``, ``completeness``, ``informativeness`` (mean over factors of the test rows' share of
        right predictions, or R2 of a quantity) and ``informativeness_train``. Disentanglement is None with a single
        factor, completeness with a single block. Details: importance [blocks, K], informativeness by factor,
        constant_factors (left out), blocks, weights, test.

    Raises:
        ValueError: Shapes do not fit, an unknown predictor, or one without importances.
    """
    if predictor not in ("gbt", "hist", "forest"):
        raise ValueError(f"dci takes the predictors gbt, hist and forest, not {predictor!r}")
    train, test = _read((factors, codes, factors_test, codes_test), seed, continuous, blocks)
    named = {"gbt": "gradient boosted trees", "hist": "histogram boosting", "forest": "random forest"}[predictor]
    columns, fits = fit_factors(train, test, predictor, seed=seed, n_jobs=n_jobs, progress=progress)
    return _result("dci", train, test, columns, fits, blocks, (weights, weights), named)


@metric("dci_hist", family="prediction", of_codes=True)
def dci_hist(
    factors: Any,
    codes: Any,
    factors_test: Any = None,
    codes_test: Any = None,
    *,
    seed: int = 0,
    blocks: Blocks = None,
    weights: str = "importance",
    continuous: Sequence[int] | None = None,
    n_jobs: int | None = 1,
    progress: Shown = None,
) -> MetricResult:
    """DCI with histogram boosting: many times faster than exact trees, and not the same numbers.

    The importance of a code dimension is the loss that all splits on it gain. Arguments and result as for ``dci``.
    """
    train, test = _read((factors, codes, factors_test, codes_test), seed, continuous, blocks)
    columns, fits = fit_factors(train, test, "hist", seed=seed, n_jobs=n_jobs, progress=progress)
    return _result("dci_hist", train, test, columns, fits, blocks, (weights, weights), "histogram boosting")


@metric("dci_forest", family="prediction", of_codes=True, slow=True)
def dci_forest(
    factors: Any,
    codes: Any,
    factors_test: Any = None,
    codes_test: Any = None,
    *,
    seed: int = 0,
    ubisoft_search: bool = False,
    blocks: Blocks = None,
    weights: str = "importance",
    continuous: Sequence[int] | None = None,
    n_jobs: int | None = 1,
    progress: Shown = None,
) -> MetricResult:
    """DCI with random forests of 100 trees of depth 10, every dimension open to every split.

    Arguments, errors and result are those of ``dci``, but for one. ``ubisoft_search`` does as ubisoft's code: it
    regresses every factor, scaled to 0..1, with 10 trees whose depth and share of dimensions a split 10-fold
    cross-validation chooses; completeness is then the plain mean over factors and informativeness 1 - 12 x the squared
    error. All factors share one stream of random numbers, so that ``n_jobs`` and ``weights`` are not read. It takes
    at least 10 rows, and minutes.
    """
    train, test = _read((factors, codes, factors_test, codes_test), seed, continuous, blocks)
    if not ubisoft_search:
        columns, fits = fit_factors(train, test, "forest", seed=seed, n_jobs=n_jobs, progress=progress)
        return _result("dci_forest", train, test, columns, fits, blocks, (weights, weights), "random forest")
    _check_folds(train)
    train, test = _unit_range(train, test)
    stream = np.random.RandomState(seed)

    def make(discrete: bool, seed: int) -> _ChosenForest:
        return _ChosenForest(stream)

    columns, fits = fit_factors(train, test, make, n_jobs=1, progress=progress)
    result = _result("dci_forest", train, test, columns, fits, blocks, ("importance", "uniform"), "searched forest")
    return _with_unit_errors(result, train, test, columns, fits)


@metric("dci_lasso", family="prediction", of_codes=True)
def dci_lasso(
    factors: Any,
    codes: Any,
    factors_test: Any = None,
    codes_test: Any = None,
    *,
    seed: int = 0,
    alphas: Sequence[float] = LASSO_ALPHAS,
    blocks: Blocks = None,
    stop_at_dead_code: bool = False,
    continuous: Sequence[int] | None = None,
    n_jobs: int | None = 1,
    progress: Shown = None,
) -> MetricResult:
    """DCI with a lasso: importance is the absolute weight, so that only linear dependence counts.

    Factors and codes are scaled to 0..1, every factor is regressed (classes by their numbers), and the penalty is
    chosen by 10-fold cross-validation. Eastwood and Williams 2018, as in ubisoft's metrics (Carbonneau et al. 2020,
    arXiv 2012.09276): completeness is the plain mean over factors.

    Args:
        factors: Factors [N, K].
        codes: Codes [N, D].
        factors_test: Factors of the test rows. None: a third of the rows is set apart.
        codes_test: Codes of the test rows.
        seed: Seeds the split where there is one.
        alphas: Penalties to choose from.
        blocks: Lists of code dimensions whose importance is summed. None: each dimension by itself.
        stop_at_dead_code: Ends the sum over codes at the first one without weight, as ubisoft's code does.
        continuous: Unused but for the check of the rows: every factor is regressed.
        n_jobs: Processes, one factor each.
        progress: As for ``dci``.

    Returns:
        Values ``disentanglement``, ``completeness``, ``informativeness`` and ``informativeness_train``, the last two
        1 - 12 x the squared error, not below 0 (1/12 is the variance of an even spread over 0..1).
        Details as for ``dci``, and alphas (chosen).

    Raises:
        ValueError: Shapes do not fit, or fewer than 10 rows.
    """
    train, test = _read((factors, codes, factors_test, codes_test), seed, continuous, blocks)
    _check_folds(train)
    train, test = _unit_range(train, test)
    make = partial(_searched_lasso, tuple(alphas))
    columns, fits = fit_factors(train, test, make, seed=seed, n_jobs=n_jobs, progress=progress)
    result = _result(
        "dci_lasso", train, test, columns, fits, blocks, ("importance", "uniform"), "lasso", stop_at_dead_code
    )
    result.details["alphas"] = [float(fit.model.alpha_) for fit in fits]
    return _with_unit_errors(result, train, test, columns, fits)


class _ChosenLasso:
    """A lasso whose penalty cross-validation chooses on the data that it is fitted on."""

    def __init__(self, alphas: Sequence[float]):
        self.alphas = tuple(alphas)

    def fit(self, codes: Floats, factor: Floats) -> _ChosenLasso:
        # The usual tolerance would let the path stop at the solution for the penalty before.
        self.alpha_ = float(LassoCV(alphas=self.alphas, cv=10, max_iter=5000, tol=1e-8).fit(codes, factor).alpha_)
        self.model = Lasso(alpha=self.alpha_).fit(codes, factor)
        self.feature_importances_ = np.abs(self.model.coef_)
        return self

    def predict(self, codes: Floats) -> Any:
        return self.model.predict(codes)


class _ChosenForest:
    """A small forest whose depth and share of dimensions a split cross-validation chooses.

    All fits draw from one stream of random numbers, in the order of the published code, which draws from NumPy's own.
    """

    choices = tuple(product((8, 16, 32, 64, 128), (0.2, 0.4, 0.8, 1.0)))
    folds = 10

    def __init__(self, stream: np.random.RandomState):
        self.stream = stream

    @property
    def part(self) -> tuple[Any, int]:
        return self._forest((16, 0.4), np.random.RandomState(0)), len(self.choices) * self.folds + 1

    def fit(self, codes: Floats, factor: Floats) -> _ChosenForest:
        def error(choice: tuple[int, float]) -> float:
            errors = []
            for fitted, held in KFold(self.folds).split(codes):
                forest = self._forest(choice, self.stream).fit(codes[fitted], factor[fitted])
                errors.append(float(np.mean((forest.predict(codes[held]) - factor[held]) ** 2)))
            return float(np.mean(errors))

        # Of equally good ones the first.
        self.model = self._forest(min(self.choices, key=error), self.stream).fit(codes, factor)
        self.feature_importances_ = self.model.feature_importances_
        return self

    def predict(self, codes: Floats) -> Any:
        return self.model.predict(codes)

    @staticmethod
    def _forest(choice: tuple[int, float], stream: np.random.RandomState) -> RandomForestRegressor:
        depth, share = choice
        return RandomForestRegressor(n_estimators=10, max_depth=depth, max_features=share, random_state=stream)


def _searched_lasso(alphas: tuple[float, ...], discrete: bool, seed: int) -> _ChosenLasso:
    return _ChosenLasso(alphas)


def _check_folds(train: Rows) -> None:
    if len(train) < 10:
        raise ValueError(f"10-fold cross-validation takes at least 10 rows to fit on, not {len(train)}")


def _unit_range(train: Rows, test: Rows) -> tuple[Rows, Rows]:
    """Both parts with every column as a quantity, scaled so that the training part lies in 0..1."""

    def scaled(values: Floats, others: Floats) -> tuple[Floats, Floats]:
        low, width = values.min(axis=0), np.ptp(values, axis=0)
        width = np.where(width > 0, width, 1.0)
        return (values - low) / width, (others - low) / width

    factors, codes = scaled(train.factors, test.factors), scaled(train.codes, test.codes)
    quantities = np.zeros_like(train.discrete)
    return Rows(factors[0], codes[0], quantities), Rows(factors[1], codes[1], quantities)


def _with_unit_errors(
    result: MetricResult, train: Rows, test: Rows, columns: list[int], fits: list[Fit]
) -> MetricResult:
    """Replaces informativeness by 1 - 12 x the squared error, not below 0; factors that do not vary are left out."""

    def scores(rows: Rows) -> Floats:
        errors = [
            np.mean((fit.model.predict(rows.codes) - rows.factors[:, column]) ** 2)
            for column, fit in zip(columns, fits, strict=True)
        ]
        return np.maximum(0.0, 1.0 - 12.0 * np.array(errors))

    if fits:
        result.details["per_factor"] = scores(test).tolist()
        result.values["informativeness"] = float(scores(test).mean())
        result.values["informativeness_train"] = float(scores(train).mean())
    return result


def _read(
    arrays: tuple[Any, Any, Any, Any], seed: int, continuous: Sequence[int] | None, blocks: Blocks
) -> tuple[Rows, Rows]:
    """The two parts, in range; a dimension in no block is constant, so that nothing can be predicted from it."""
    train, test = in_range(*read_split(*arrays, seed=seed, continuous=continuous))
    used = np.zeros(train.codes.shape[1], dtype=bool)
    used[[dimension for block in read_blocks(blocks, len(used)) for dimension in block]] = True
    return Rows(train.factors, train.codes * used, train.discrete), Rows(test.factors, test.codes * used, test.discrete)


def _result(
    name: str,
    train: Rows,
    test: Rows,
    columns: list[int],
    fits: list[Fit],
    blocks: Blocks,
    weights: tuple[str, str],
    predictor: str,
    stop_at_dead_code: bool = False,
) -> MetricResult:
    """The result for fitted factors: weights of codes and of factors, in this order."""
    groups = read_blocks(blocks, train.codes.shape[1])
    count = train.factors.shape[1]
    details: dict[str, Any] = {
        "constant_factors": [column for column in range(count) if column not in columns],
        "factors": columns,
        "blocks": groups,
        "weights": list(weights),
        "test": len(test),
    }
    values: dict[str, float | None] = dict.fromkeys(
        ("disentanglement", "completeness", "informativeness", "informativeness_train")
    )
    if not fits:
        return MetricResult(name, values, details, "no factor varies in the sample", n=len(train), predictor=predictor)
    dimensions = train.codes.shape[1]
    table = np.stack([np.zeros(dimensions) if fit.importance is None else fit.importance for fit in fits], axis=1)
    importance = sum_blocks(table, groups)
    details |= {
        "importance": importance,
        "per_factor": [fit.test for fit in fits],
        "per_factor_train": [fit.train for fit in fits],
    }
    values["informativeness"] = float(np.mean([fit.test for fit in fits]))
    values["informativeness_train"] = float(np.mean([fit.train for fit in fits]))
    reasons = []
    if len(fits) > 1:
        values["disentanglement"] = disentanglement_from_importance(importance, weights[0], stop_at_dead_code)
    else:
        reasons.append("a single factor varies, so every code serves one factor")
    if len(groups) > 1:
        values["completeness"] = completeness_from_importance(importance, weights[1])
    else:
        reasons.append("a single code, so every factor is held by one")
    return MetricResult(name, values, details, "; ".join(reasons) or None, n=len(train), predictor=predictor)
