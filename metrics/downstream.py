"""What a small classifier can read from the codes."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from .checks import as_floats
from .registry import metric
from .result import MetricResult


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
        Value ``accuracy`` on the test rows; chance: the share among them of the commonest training action.
        Details: train_accuracy, train, test (row counts).

    Raises:
        ValueError: Shapes do not fit, or one side of the split is empty.
    """
    first, second = as_floats(before, "before", 2), as_floats(after, "after", 2)
    labels = np.asarray(actions)
    if first.shape != second.shape or labels.shape != (len(first),):
        raise ValueError(f"shapes do not fit: before {first.shape}, after {second.shape}, actions {labels.shape}")
    if test is None:
        mask = np.zeros(len(first), dtype=bool)
        mask[np.random.default_rng(seed).permutation(len(first))[: len(first) // 2]] = True
    else:
        mask = np.asarray(test, dtype=bool)
    if mask.shape != labels.shape or not mask.any() or mask.all():
        raise ValueError("test must be a mask over the rows with some of them on either side")
    features = np.hstack([first, second])
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
    return MetricResult("action_prediction", {"accuracy": accuracy}, details, chance={"accuracy": chance})
