"""Independence and its closed-form operators."""

import numpy as np
import pytest

from equiworld.metrics import fit_operators, independence

GROUPS = [[0, 2], [1, 3]]


def cases(recorded):
    z, reps = recorded.array("independence", "z"), recorded.array("independence", "reps")
    q, s = recorded.array("independence", "Q"), recorded.array("independence", "S")
    first, second, first_back, second_back = reps
    both = [first @ second, first_back @ second, first_back @ second_back, first @ second_back]
    return {
        "block_rotations": (z, reps),
        "orthogonal_change_of_basis": (z @ q.T, q @ reps @ q.T),
        "skewed_change_of_basis": (z @ s.T, s @ reps @ np.linalg.inv(s)),
        "same_plane_for_both": (z, np.stack([first, first @ first, first_back, first_back @ first_back])),
        "both_act_on_both": (z, np.stack(both)),
    }


@pytest.mark.parametrize(
    "name",
    [
        "block_rotations",
        "orthogonal_change_of_basis",
        "skewed_change_of_basis",
        "same_plane_for_both",
        "both_act_on_both",
    ],
)
def test_recorded_values(recorded, name):
    codes, operators = cases(recorded)[name]
    score = independence(codes, operators, GROUPS).values["independence"]
    assert score == pytest.approx(recorded.expected["independence"][name], abs=1e-6)


@pytest.mark.parametrize("name", ["block_rotations", "skewed_change_of_basis", "both_act_on_both"])
def test_fitted_operators_are_the_true_ones_and_give_the_same_score(recorded, name):
    codes, operators = cases(recorded)[name]
    actions = np.random.default_rng(0).integers(4, size=len(codes))
    after = np.einsum("nij,nj->ni", operators[actions], codes)
    fitted = fit_operators(codes, after, actions, 4)
    np.testing.assert_allclose(fitted, operators, atol=1e-9)
    score = independence(codes, fitted, GROUPS).values["independence"]
    assert score == pytest.approx(recorded.expected["independence"][name], abs=1e-6)


@pytest.mark.parametrize("scale", [1e-200, 1e-6, 1.0, 1e6, 1e200, 1e307])
def test_scale_of_the_codes_does_not_matter(recorded, scale):
    codes, operators = cases(recorded)["both_act_on_both"]
    score = independence(codes * scale, operators, GROUPS).values["independence"]
    assert score == pytest.approx(recorded.expected["independence"]["both_act_on_both"], abs=1e-9)
    actions = np.random.default_rng(0).integers(4, size=len(codes))
    after = np.einsum("nij,nj->ni", operators[actions], codes)
    np.testing.assert_allclose(fit_operators(codes * scale, after * scale, actions, 4), operators, atol=1e-9)


@pytest.mark.parametrize("scale", [1e-200, 1e200, 1e307])
def test_tiny_and_huge_operators(recorded, scale):
    codes, operators = cases(recorded)["block_rotations"]
    # Tiny ones leave -z of every move, huge ones the rotated code.
    score = independence(codes, operators * scale, GROUPS).values["independence"]
    directions = np.einsum("aij,nj->ani", operators, codes)
    directions /= np.linalg.norm(directions, axis=2, keepdims=True)
    largest = np.einsum("and,bnd->abn", directions[GROUPS[0]], directions[GROUPS[1]]).max(axis=(0, 1))
    assert score == pytest.approx(0.0 if scale < 1 else 1 - np.abs(largest).mean(), abs=1e-9)


def test_chance_is_what_random_rotations_score(recorded, orthogonal):
    codes, operators = cases(recorded)["block_rotations"]
    result = independence(codes, operators, GROUPS, seed=1)
    scores = [
        independence(codes, np.stack([orthogonal(4, 4 * draw + code) for code in range(4)]), GROUPS).values
        for draw in range(40)
    ]
    assert result.chance["independence"] == pytest.approx(np.mean([row["independence"] for row in scores]), abs=0.1)
    assert 0.1 < result.chance["independence"] < 0.8
    assert (result.ceiling, result.n) == ({"independence": 1.0}, len(codes))
    # Operators fitted to codes that know nothing send all of them to the centre.
    rng = np.random.default_rng(0)
    before, after = rng.standard_normal((2, 4000, 4))
    nothing = fit_operators(before, after, rng.integers(4, size=4000), 4)
    assert independence(before, nothing, GROUPS).values["independence"] < 0.05


def test_action_that_moves_nothing_counts_as_perpendicular(recorded):
    codes, operators = cases(recorded)["block_rotations"]
    still = np.stack([operators[0], np.eye(4), operators[2], np.eye(4)])
    assert independence(codes, still, GROUPS).values["independence"] == 1.0


def test_three_groups_average_over_pairs(recorded):
    codes, operators = cases(recorded)["block_rotations"]
    result = independence(codes, operators, [[0, 2], [1, 3], [0, 2]])
    # A group shares its plane with itself: the largest cosine is 1, so that pair scores 0; the other two score 1.
    assert [round(pair["value"], 9) for pair in result.details["pairs"]] == [1.0, 0.0, 1.0]
    assert result.values["independence"] == pytest.approx(2 / 3)


def test_one_group_says_why_there_is_no_value(recorded):
    codes, operators = cases(recorded)["block_rotations"]
    result = independence(codes, operators, [[0, 2]])
    assert (result.values["independence"], result.reason) == (None, "fewer than two subgroups")


def test_bad_input():
    z = np.ones((3, 2))
    with pytest.raises(ValueError, match="no transition with action 1, 3"):
        fit_operators(z, z, [0, 2, 0], 4)
    with pytest.raises(ValueError, match=r"actions must lie in 0\.\.1, got 0\.\.2"):
        fit_operators(z, z, [0, 2, 0], 2)
    with pytest.raises(ValueError, match=r"group 1 must lie in 0\.\.1"):
        independence(z, np.zeros((2, 2, 2)), [[0], [2]])
    with pytest.raises(ValueError, match="codes have 2 dimensions, operators 3"):
        independence(z, np.zeros((2, 3, 3)), [[0], [1]])
