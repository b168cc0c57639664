"""Intervention scores: tables of codes, whole grids and other rows, pruning, degenerate input."""

import itertools

import numpy as np
import pytest

from equiworld.metrics.draws import CodeTable, Partition, group_variances, pair_differences
from equiworld.metrics.sampling import (
    beta_vae,
    count_votes,
    factor_vae,
    fit_differences,
    vote_accuracy,
    z_diff,
    z_max_var,
    z_min_var,
)
from equiworld.metrics.tables import read_rows

GRID = np.array(list(itertools.product(range(5), repeat=4)))
PERFECT = (GRID - 2) / np.sqrt(2)
FAST = {"train": 2000, "test": 2000}
METRICS = [beta_vae, factor_vae, z_diff, z_min_var, z_max_var]


class States:
    """A data set of every combination of factor values; its images are the factors."""

    def __init__(self, sizes):
        self.sizes = sizes
        self.shown = []

    def __len__(self):
        return int(np.prod(self.sizes))

    def generative_factors(self, index):
        return np.stack(np.unravel_index(index, self.sizes), axis=1)

    def images(self, index):
        self.shown.append(np.array(index))
        return self.generative_factors(index)


def rotated(recorded_list, sizes):
    """A code that rotates all factors into each other."""
    return lambda factors: recorded_list.represent("rotated", factors, sizes, None)


def test_scores_of_a_whole_grid_and_of_rows_drawn_from_it(recordings, recorded_list):
    sizes = recordings.SIZES["shapes3d"]
    table = CodeTable.encode(rotated(recorded_list, sizes), States(sizes), batch=100_000)
    assert len(table) == 480_000 and table.whole
    expected = recordings.expected["disentanglement_lib"]
    labels = [np.random.default_rng(seed).integers(6, size=2000) for seed in (0, 1)]
    points = [pair_differences(table, label, 64, np.random.default_rng(seed)) for seed, label in enumerate(labels)]
    accuracy = fit_differences(points[0], labels[0], points[1], labels[1])[0]
    assert accuracy == pytest.approx(expected["shapes3d/rotated/beta_vae"]["scores"]["eval_accuracy"], abs=0.02)
    grid = factor_vae(table.levels, table.codes)
    assert grid.details["whole_grid"]
    # 25 repetitions of the published procedure give .7805 with a deviation of .011; the recorded one is .770.
    assert float(grid) == pytest.approx(0.7805, abs=0.015)
    rows = np.random.default_rng(0).permutation(len(table))[:16_000]
    part = (table.levels[rows], table.codes[rows])
    some = factor_vae(*(half[:8000] for half in part), *(half[8000:] for half in part))
    assert not some.details["whole_grid"]
    assert float(some) == pytest.approx(float(grid), abs=0.02)


def test_batches_in_which_nothing_varies_are_not_drawn(recordings):
    factors, codes, _, _ = recordings.rows("shapes3d", "perfect")
    assert float(z_max_var(factors, codes)) == 1
    assert float(z_max_var(factors, codes, still_batches=True)) < 0.9


def test_a_collapsed_dimension_wins_no_vote():
    codes = np.column_stack([np.zeros(len(GRID)), PERFECT])
    assert float(factor_vae(GRID, codes, **FAST)) == 1
    assert float(factor_vae(GRID, codes, threshold=0, **FAST)) == 1
    assert float(factor_vae(GRID, codes, threshold=0, collapsed_wins=True, **FAST)) == pytest.approx(0.25, abs=0.03)


def test_a_collapsed_code_scores_nothing(recordings):
    rows = recordings.rows("mini", "constant")
    assert factor_vae(*rows, **FAST).values == {"factor_vae": 0, "scaled": pytest.approx(-1 / 3), "train": 0}
    assert float(z_min_var(*rows)) == float(z_max_var(*rows)) == pytest.approx(-1 / 3)
    assert float(beta_vae(*rows, **FAST)) == pytest.approx(0.25, abs=0.03)


def test_votes_are_counted_for_the_factor_that_elects_most():
    votes, votes_test = np.array([[3, 0, 1], [1, 4, 1]]), np.array([[2, 1, 0], [0, 1, 0]])
    assert vote_accuracy(votes, votes_test) == (pytest.approx(3 / 4), pytest.approx(8 / 10))


def test_a_dimension_wins_for_its_own_scale():
    variances, total = np.array([[1.0, 4.0, 0.2], [3.0, 1.0, 0.2]]), np.array([4.0, 16.0, 0.0])
    columns = np.array([0, 1])
    # 0 / 0 wins, unless the dimension takes no part.
    assert count_votes(variances, total, columns, 2).tolist() == [[0, 0, 1], [0, 0, 1]]
    active = total > 0
    assert count_votes(variances, total, columns, 2, active).tolist() == [[1, 0, 0], [0, 1, 0]]
    assert count_votes(variances[1:], total, columns[1:], 2, active, largest=True).tolist() == [[0, 0, 0], [1, 0, 0]]


def test_every_state_is_encoded_once():
    data = States((3, 2))
    table = CodeTable.encode(lambda images: images[:, :1] * 10.0 + images[:, 1:], data, batch=4)
    assert [len(part) for part in data.shown] == [4, 2]
    assert np.concatenate(data.shown).tolist() == list(range(6))
    assert table.codes[:, 0].tolist() == [0, 1, 10, 11, 20, 21]
    assert table.whole and table.varying == [0, 1]
    data.shown.clear()
    some = CodeTable.encode(lambda images: images * 1.0, data, [5, 2, 5, 5])
    assert [part.tolist() for part in data.shown] == [[2, 5]]
    assert some.codes.tolist() == [[2, 1], [1, 0], [2, 1], [2, 1]] and not some.whole


def test_encoding_refuses():
    with pytest.raises(ValueError, match="for 6 images"):
        CodeTable.encode(lambda images: np.ones((1, 1)), States((3, 2)))
    with pytest.raises(ValueError, match="not finite"):
        CodeTable.encode(lambda images: np.full((6, 2), np.inf), States((3, 2)))
    with pytest.raises(ValueError, match="no states"):
        CodeTable.encode(lambda images: images, States((3, 2)), [])
    with pytest.raises(ValueError, match="batch must be"):
        CodeTable.encode(lambda images: images, States((3, 2)), batch=0)


def test_whole_grids_are_recognised_in_any_order():
    order = np.random.default_rng(0).permutation(len(GRID))
    assert CodeTable.of_rows(read_rows(GRID[order], PERFECT[order])).whole
    assert not CodeTable.of_rows(read_rows(GRID[:-1], PERFECT[:-1])).whole
    twice = np.concatenate([GRID[:-1], GRID[:1]])
    assert not CodeTable.of_rows(read_rows(twice, PERFECT)).whole


def test_partners_share_the_group_and_are_others():
    keys = np.array([5, 1, 5, 1, 5, 9])
    partition = Partition.of(keys)
    rng = np.random.default_rng(0)
    rows = rng.integers(5, size=500)
    partners = partition.partners(rows, rng.random(500))
    assert (keys[partners] == keys[rows]).all() and (partners != rows).all()
    assert set(partners[rows == 0]) == {2, 4}
    assert partition.partners(np.array([5]), np.array([0.5])).tolist() == [5]
    members = partition.members(partition.group[rows], rng.random(500))
    assert (keys[members] == keys[rows]).all() and set(members) == {0, 1, 2, 3, 4}


def test_the_rows_of_a_batch_differ():
    keys = np.repeat([0, 1], [70, 3])
    partition, rng = Partition.of(keys), np.random.default_rng(0)
    groups = rng.integers(2, size=300)
    rows = partition.batches(groups, 8, rng)
    assert (keys[rows] == groups[:, None]).all()
    assert {len(set(batch)) for batch in rows[groups == 0].tolist()} == {8}
    # Three rows fill a batch of eight with two or three of each.
    assert {tuple(sorted(np.bincount(batch - 70, minlength=3))) for batch in rows[groups == 1]} == {(2, 3, 3)}
    # Eight batches of eight are one pass through seventy rows.
    assert len(set(rows[groups == 0][:8].ravel().tolist())) == 64


def test_a_batch_of_all_rows_has_the_variance_of_its_group():
    codes = np.random.default_rng(0).standard_normal((len(GRID), 2))
    table = CodeTable(GRID, codes)
    found = group_variances(table, np.full(40, 3), 125, np.random.default_rng(0), table.sharing)
    own = [codes[GRID[:, 3] == value].var(axis=0, ddof=1) for value in range(5)]
    nearest = [min(np.abs(row - variances).max() for variances in own) for row in found]
    assert max(nearest) < 1e-12


def test_the_same_seed_gives_the_same_score(recordings):
    rows = recordings.rows("mini", "random")
    for metric in (beta_vae, factor_vae, z_max_var):
        first, second = (metric(*rows, seed=4, train=200, test=200).to_dict() for _ in range(2))
        assert first == second
    assert metric(*rows, seed=5, train=200, test=200).to_dict() != first


def test_quantities_are_held_still_bin_by_bin():
    rng = np.random.default_rng(0)
    factors = rng.random((2000, 3))
    for metric in (beta_vae, factor_vae, z_min_var, z_max_var):
        assert metric(factors, factors, train=500, test=500).values[metric.__name__] > 0.95


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e200, 1e308])
def test_codes_of_any_size(metric, scale):
    small = {"train": 200, "test": 200}
    if "threshold" in metric.__kwdefaults__:  # which is in units of the codes
        small["threshold"] = 0.0
    plain, scaled = (metric(GRID, PERFECT * size, **small) for size in (1.0, scale))
    assert float(plain) > 0.95
    if scale == 1e308 and metric in (beta_vae, z_diff):
        assert scaled.values[metric.__name__] is None and "overflow" in scaled.reason
    elif scale < 1 and metric in (beta_vae, z_diff):  # for the penalty such codes are constant
        assert abs(scaled.values["scaled" if metric is beta_vae else "z_diff"]) < 0.15
    else:
        assert float(scaled) == pytest.approx(float(plain), abs=0.02)


@pytest.mark.parametrize("metric", METRICS)
def test_constant_codes_and_a_single_row(metric):
    small = {"train": 200, "test": 200}
    still = metric(GRID, np.full((len(GRID), 2), 0.1), **small)
    assert still.reason is None and still.values[metric.__name__] < 0.4
    single = metric(GRID[:1], PERFECT[:1], **small)
    assert set(single.values.values()) == {None} and "fewer than two factors" in single.reason


@pytest.mark.parametrize("metric", METRICS)
def test_degenerate_input_has_values_or_reasons(metric):
    small = {"train": 100, "test": 100}
    one = metric(GRID[:, :1], PERFECT, **small)
    assert set(one.values.values()) == {None} and "fewer than two factors" in one.reason
    rng = np.random.default_rng(0)
    distinct = np.column_stack([rng.permutation(50), rng.permutation(50)])
    lonely = metric(distinct, rng.standard_normal((50, 2)), **small)
    if metric is z_max_var:  # of three bins each there are rows to draw
        assert lonely.details["merged_into"] == 3 and float(lonely) < 0.5
    else:
        assert lonely.values[metric.__name__] is None and "no rows to draw" in lonely.reason
    fixed = np.column_stack([GRID, np.ones(len(GRID))])
    kept = metric(fixed, PERFECT, **small)
    assert kept.details["constant_factors"] == [4] and float(kept) > 0.95
    assert float(metric(GRID, PERFECT[:, :1], **small)) < 0.9
    with pytest.raises(ValueError, match="a batch takes"):
        metric(GRID, PERFECT, train=0)
    with pytest.raises(ValueError, match="go together"):
        metric(GRID, PERFECT, GRID)
