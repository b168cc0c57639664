"""Bins, entropy and mutual information against closed forms and a second implementation."""

import numpy as np
import pytest

from equiworld.metrics import entropy, mutual_information
from equiworld.metrics.information import information_table, informative_blocks
from equiworld.metrics.tables import read_rows


def full_grid(*sizes):
    return np.stack([axis.ravel() for axis in np.meshgrid(*map(np.arange, sizes), indexing="ij")], axis=1)


def gaussian(rho, count=2000, seed=0):
    return np.random.default_rng(seed).multivariate_normal([0, 0], [[1, rho], [rho, 1]], count)


def test_mutual_information_of_equal_independent_and_constant_columns():
    factors = full_grid(3, 8)
    np.testing.assert_allclose(mutual_information(factors, factors), np.diag([np.log(3), np.log(8)]), atol=1e-12)
    np.testing.assert_allclose(entropy(factors), [np.log(3), np.log(8)], atol=1e-12)
    # Exactly zero: a constant code must not know 1e-17 nats.
    uneven = np.random.default_rng(0).integers(0, 7, (1999, 3))
    assert not mutual_information(np.full((1999, 1), 2), uneven).any()


def test_informative_codes_are_found_at_any_scale(recordings):
    factors, codes = recordings.rows("shapes3d", "dead_dims")[:2]
    blocks = [[dimension] for dimension in range(codes.shape[1])]
    scale = 10.0 ** np.linspace(-3, 3, codes.shape[1])
    for table in (codes, codes[:, ::-1] * scale):
        found = informative_blocks(read_rows(factors, table), blocks)
        assert sorted(found.tolist()) == [False] * 3 + [True] * 6


def test_noise_is_rarely_called_informative():
    rng = np.random.default_rng(0)
    passed = 0
    for _ in range(8):
        rows = read_rows(rng.integers(0, [10, 10, 15], (300, 3)), rng.standard_normal((300, 6)))
        passed += int(informative_blocks(rows, [[0], [1], [2], [3], [4, 5]]).sum())
    assert passed <= 1


def test_a_block_that_only_knows_jointly_is_informative():
    bits = np.random.default_rng(0).integers(0, 2, (400, 2))
    rows = read_rows(bits[:, :1] ^ bits[:, 1:], bits.astype(float))
    assert informative_blocks(rows, [[0, 1]]).tolist() == [True]
    assert informative_blocks(rows, [[0], [1]]).tolist() == [False, False]


def test_a_factor_and_a_code_of_many_levels_need_no_table_of_all_pairs():
    # 10^10 pairs of levels, of which 10^5 occur.
    count = 100_000
    index = np.random.default_rng(0).permutation(count)[:, None]
    assert mutual_information(index, index)[0, 0] == pytest.approx(np.log(count))


def test_the_table_leaves_out_what_it_cannot_estimate():
    factors = np.column_stack([np.arange(12), np.arange(12) % 3, np.ones(12)])
    codes = factors[:, :2] * 1.0
    binned = information_table(read_rows(factors, codes))
    assert binned.kept.tolist() == [0, 1]
    # Neighbours of the same value: the first factor has none.
    near = information_table(read_rows(factors, codes), estimator="knn")
    assert near.kept.tolist() == [1]
    assert near.by_factor(np.array([0.5])) == [None, 0.5, None]
    assert near.details()["constant_factors"].tolist() == [2]
    alone = information_table(read_rows(factors[:, :1], codes), estimator="knn")
    assert "too few" in alone.missing("mig").reason


def test_one_bin_tells_nothing_of_a_quantity():
    quantity = np.linspace(0, 1, 9)[:, None]
    table = information_table(read_rows(quantity, quantity), bins=1)
    assert len(table.kept) == 0
    assert "too few" in table.missing("mig").reason
