"""Action prediction by a small classifier."""

import numpy as np
import pytest

from equiworld.metrics import action_prediction


def transitions(count, seed=0):
    rng = np.random.default_rng(seed)
    before, actions = rng.standard_normal((count, 2)), rng.integers(4, size=count)
    moves = np.array([[2.0, 0], [-2, 0], [0, 2], [0, -2]])
    return before, before + moves[actions], actions


def test_visible_actions_are_predicted_and_invisible_ones_are_not():
    before, after, actions = transitions(1200)
    test = np.arange(1200) % 2 == 1
    seen = action_prediction(before, after, actions, test=test, trees=40)
    assert seen.values["accuracy"] > 0.9
    assert (seen.details["train"], seen.details["test"]) == (600, 600)
    unseen = action_prediction(before, before, actions, test=test, trees=40)
    assert unseen.values["accuracy"] == pytest.approx(unseen.chance["accuracy"], abs=0.08)


def test_same_seed_same_answer():
    before, after, actions = transitions(200)
    first, second = (action_prediction(before, after, actions, seed=3, trees=10) for _ in range(2))
    assert first == second


def test_chance_is_the_share_of_the_commonest_training_action():
    before, after, _ = transitions(10)
    actions = np.array([0, 0, 0, 0, 1, 0, 1, 1, 1, 1])
    result = action_prediction(before, after, actions, test=np.arange(10) >= 5, trees=5)
    assert result.chance["accuracy"] == pytest.approx(0.2)


@pytest.mark.parametrize("scale", [1e-200, 1e200, [1e-200, 1e200]])
def test_tiny_and_huge_codes(scale):
    before, after, actions = transitions(300)
    usual = action_prediction(before, after, actions, trees=10)
    assert usual.values["accuracy"] > 0.8
    found = action_prediction(before * scale, after * scale, actions, trees=10)
    assert found.values["accuracy"] == pytest.approx(usual.values["accuracy"], abs=0.03)


def test_what_stands_beside_the_score():
    result = action_prediction(*transitions(30), trees=10)
    assert (result.ceiling, result.n) == ({"accuracy": 1.0}, 15)
    assert result.predictor == "forest (10 trees of depth 15)"


def test_bad_input():
    before, after, actions = transitions(10)
    assert action_prediction(before[:2], after[:2], [1, 1], trees=3).values["accuracy"] == 1.0
    with pytest.raises(ValueError, match="at least 2 rows"):
        action_prediction(before[:1], after[:1], actions[:1])
    with pytest.raises(ValueError, match="some of them on either side"):
        action_prediction(before, after, actions, test=np.zeros(10, dtype=bool))
    with pytest.raises(ValueError, match="shapes do not fit"):
        action_prediction(before, after[:, :1], actions)
