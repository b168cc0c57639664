"""Separated attribute predictability: how far the best code of a factor predicts it better than the second best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import r2_score
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from .checks import Floats, Ints
from .gap_matrices import top_gaps
from .registry import metric
from .result import MetricResult
from .scale import to_unit
from .tables import LONE_BLOCK, NOTHING_VARIES, Rows, is_lone_block, read_blocks, read_split

PREDICTORS = ("svm", "r2", "knn", "tree_ubisoft")
_DEPTHS = 9
_FOLDS = 10
_LARGEST = 1e18
"""Codes beyond which the linear SVM, which reads them as they are, does not end."""


@metric("sap", family="information", of_codes=True)
def sap(
    factors: Any,
    codes: Any,
    factors_test: Any = None,
    codes_test: Any = None,
    *,
    seed: int = 0,
    predictor: str | None = None,
    blocks: Sequence[Sequence[int]] | None = None,
    neighbours: int = 5,
    continuous: Sequence[int] | None = None,
) -> MetricResult:
    """Separated attribute predictability: how far the best code of a factor predicts it better than the second best.

    Every factor is predicted from every code alone; the gap between the two best scores is averaged over factors
    (Kumar, Sattigeri and Balakrishnan 2018, arXiv 1711.00848). With "svm" the settings are disentanglement_lib's.

    Args:
        factors: Factors to fit on [N, K].
        codes: Codes to fit on [N, D].
        factors_test: Factors to score on [M, K]. None: a third of the rows is set apart.
        codes_test: Codes to score on [M, D].
        seed: Of that division, and of the SVM.
        predictor: "svm": accuracy on test rows of a linear SVM (C = 0.01, balanced classes). "r2": squared correlation
            on the training rows, of several dimensions the multiple one. "knn": accuracy on test rows of a vote among
            neighbours. "tree_ubisoft": accuracy on the training rows of a decision tree of cross-validated depth, as in
            the code of Carbonneau et al. (arXiv 2012.09276). None: "svm", or "knn" with blocks of several dimensions.
            Quantities are always predicted by regression: "knn" by neighbours, with the others linearly.
        blocks: Code dimensions that belong together, such as ``[[0, 1], [2, 3]]``.
        neighbours: Of "knn".
        continuous: Columns of ``factors`` that are quantities. None: those with numbers that are not whole.

    Returns:
        Values ``sap`` (with the predictor) and ``sap_r2`` (explained variance: on the training rows by a line, or with
        blocks of several dimensions on test rows by neighbours), each 0..1. Ceiling: both of the factors themselves as
        codes; for "svm" far below 1. ``sap`` is None for an SVM of codes beyond 1e18. Details: score_matrix [D, K],
        r2_matrix [D, K], per_factor, constant_factors.

    Raises:
        ValueError: Shapes do not fit, numbers that are not finite, too few rows, or an unknown predictor.
    """
    train, test = read_split(factors, codes, factors_test, codes_test, seed=seed, continuous=continuous)
    groups = read_blocks(blocks, train.codes.shape[1])
    wide = any(len(block) > 1 for block in groups)
    chosen = predictor if predictor is not None else "knn" if wide else "svm"
    if chosen not in PREDICTORS:
        raise ValueError(f"predictor must be one of {', '.join(PREDICTORS)}, not {chosen!r}")
    if neighbours < 1:
        raise ValueError(f"neighbours must be at least 1, not {neighbours}")
    varying = train.varying
    kept = np.flatnonzero(varying)
    missing: dict[str, float | None] = dict.fromkeys(("sap", "sap_r2"))
    details: dict[str, Any] = {"constant_factors": np.flatnonzero(~varying), "test_samples": len(test)}
    if wide:
        details["blocks"] = groups
    if len(kept) == 0:
        return MetricResult("sap", missing, details, reason=NOTHING_VARIES, n=len(train), predictor=chosen)
    if is_lone_block(groups, len(kept)):
        return MetricResult("sap", missing, details, reason=LONE_BLOCK, n=len(train), predictor=chosen)

    def matrices(part: Rows, held: Rows, using: list[list[int]]) -> tuple[Floats, Floats]:
        scores = score_matrix(part, held, using, kept, chosen, neighbours, seed)
        regression = "knn" if wide and chosen == "knn" else "r2"
        if chosen == regression == "r2":
            return scores, scores
        plain = Rows(part.factors, part.codes, np.zeros_like(part.discrete))
        return scores, score_matrix(plain, held, using, kept, regression, neighbours, seed)

    found = matrices(train, test, groups)
    perfect = matrices(_perfect(train, train), _perfect(test, train), read_blocks(None, train.factors.shape[1]))
    values, ceiling = (
        {name: float(top_gaps(matrix).mean()) for name, matrix in zip(missing, pair, strict=True)}
        for pair in (found, perfect)
    )
    full = np.full((2, len(groups), len(varying)), np.nan)
    full[:, :, kept] = found
    per_factor = np.full(len(varying), np.nan)
    per_factor[kept] = top_gaps(found[0])
    details |= {"score_matrix": full[0], "r2_matrix": full[1], "per_factor": per_factor}
    reason = f"no linear SVM of codes beyond {_LARGEST:g}: scale them" if np.isnan(values["sap"]) else None
    return MetricResult("sap", dict(values), details, reason, ceiling=dict(ceiling), n=len(train), predictor=chosen)


def score_matrix(
    train: Rows,
    test: Rows,
    blocks: Sequence[Sequence[int]],
    columns: Sequence[int] | Ints,
    predictor: str,
    neighbours: int = 5,
    seed: int = 0,
) -> Floats:
    """How well every block of codes predicts each of the named factors, float64 [B, len(columns)] in 0..1.

    NaN stands for a linear SVM of codes too large for it.

    Args:
        train: Rows to fit on; ``train.discrete`` says which factors are categories.
        test: Rows to score on, where the predictor uses them.
        blocks: Lists of code dimensions.
        columns: Factors to predict; they must vary among the training rows.
        predictor: As in ``sap``.
        neighbours: Of "knn".
        seed: Of "svm".
    """
    scores = np.zeros((len(blocks), len(columns)))
    for row, block in enumerate(blocks):
        inputs, held = _scaled(train.codes[:, list(block)], test.codes[:, list(block)], predictor)
        unfit = predictor == "svm" and max(np.abs(inputs).max(), np.abs(held).max()) > _LARGEST
        for place, column in enumerate(columns):
            target, answer = train.factors[:, column], test.factors[:, column]
            if predictor == "r2" or (predictor != "knn" and not train.discrete[column]):
                scores[row, place] = squared_correlation(inputs, target)
            elif predictor == "knn":
                scores[row, place] = _vote(inputs, target, held, answer, neighbours, bool(train.discrete[column]))
            elif unfit:
                scores[row, place] = np.nan
            elif predictor == "svm":
                machine = LinearSVC(C=0.01, class_weight="balanced", random_state=seed)
                scores[row, place] = (machine.fit(inputs, target).predict(held) == answer).mean()
            else:
                scores[row, place] = tree_accuracy(inputs, target.astype(np.int64))
    return scores


def squared_correlation(inputs: Floats, target: Floats) -> float:
    """Share of a target's variance that a linear function of the inputs [N, D] explains; 0 for constant inputs."""
    if not np.ptp(inputs, axis=0).any() or not np.ptp(target):
        return 0.0
    unit, goal = to_unit(inputs, axis=0)[0], to_unit(target)[0]
    centred, aim = unit - unit.mean(axis=0), goal - goal.mean()
    total = float(aim @ aim)
    weights = np.linalg.lstsq(centred, aim, rcond=None)[0]
    return min(1.0, max(0.0, 1 - float(((aim - centred @ weights) ** 2).sum()) / total))


def tree_accuracy(inputs: Floats, labels: Ints) -> float:
    """Accuracy on its own rows of a decision tree whose depth, 1 to 9, has the best mean accuracy over ten folds.

    A tree of depth d is the upper part of the deeper ones, so each fold grows a single one and is read at every depth.
    """
    folds = min(_FOLDS, int(np.bincount(labels).max()))
    if folds < 2:
        return float(_accuracy_by_depth(inputs, labels, inputs, labels)[-1])
    accuracy = [
        _accuracy_by_depth(inputs[fit], labels[fit], inputs[check], labels[check])
        for fit, check in StratifiedKFold(folds).split(inputs, labels)
    ]
    # Depths that tie are told apart by rounding in the published code: each mean is taken as it is there.
    means = [np.mean(np.array(column)) for column in zip(*accuracy, strict=True)]
    return float(_accuracy_by_depth(inputs, labels, inputs, labels)[int(np.argmax(means))])


def _accuracy_by_depth(inputs: Floats, labels: Ints, held: Floats, answers: Ints) -> Floats:
    """Accuracy on held rows of the trees of depth 1, 2, ..., from the deepest one."""
    model = DecisionTreeClassifier(max_depth=_DEPTHS, random_state=0).fit(inputs, labels)
    tree = model.tree_
    guesses = model.classes_[tree.value[:, 0].argmax(axis=1)]
    place = np.zeros(len(held), dtype=np.int64)
    values = held.astype(np.float32)
    found = np.zeros(_DEPTHS)
    for depth in range(_DEPTHS):
        inner = tree.children_left[place] >= 0
        feature, threshold = np.maximum(tree.feature[place], 0), tree.threshold[place]
        left = values[np.arange(len(held)), feature] <= threshold
        child = np.where(left, tree.children_left[place], tree.children_right[place])
        place = np.where(inner, child, place)
        found[depth] = (guesses[place] == answers).mean()
    return found


def _vote(inputs: Floats, target: Floats, held: Floats, answer: Floats, neighbours: int, discrete: bool) -> float:
    count = min(neighbours, len(inputs))
    if discrete:
        classes = KNeighborsClassifier(count, algorithm="kd_tree").fit(inputs, target.astype(np.int64))
        return float((classes.predict(held) == answer).mean())
    if np.ptp(answer) == 0:
        return 0.0
    unit, exponent = to_unit(target)
    values = KNeighborsRegressor(count, algorithm="kd_tree").fit(inputs, unit)
    return max(0.0, float(r2_score(np.ldexp(answer, -exponent), values.predict(held))))


def _scaled(inputs: Floats, held: Floats, predictor: str) -> tuple[Floats, Floats]:
    """What a predictor sees: the tree codes in 0..1, as in its published code, the SVM codes as they are."""
    if predictor == "svm":
        return inputs, held
    # Powers of two, which cost no digit, so that no square overflows or vanishes; neighbours keep their distances.
    inputs, exponents = to_unit(inputs, axis=None if predictor == "knn" else 0)
    held = np.ldexp(held, -exponents)
    if predictor != "tree_ubisoft":
        return inputs, held
    low, span = inputs.min(axis=0), np.ptp(inputs, axis=0)
    span = np.where(span > 0, span, 1.0)
    return (inputs - low) / span, (held - low) / span


def _perfect(rows: Rows, train: Rows) -> Rows:
    """The factors themselves as codes, each of unit variance."""
    spread = train.factors.std(axis=0)
    return Rows(
        rows.factors, (rows.factors - train.factors.mean(axis=0)) / np.where(spread > 0, spread, 1.0), rows.discrete
    )
