"""Chance and ceiling: what they are computed from, and that scores lie between them."""

import numpy as np
import pytest

from equiworld.metrics import compute

SIZES = (6, 8, 5)
GRID = np.stack([axis.ravel() for axis in np.meshgrid(*map(np.arange, SIZES), indexing="ij")], axis=1)
ANGLES = 2 * np.pi * GRID / np.array(SIZES)
CIRCLES = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=-1).reshape(len(GRID), -1)
BLOCKS = [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize("name", ["mig", "sap", "dci_hist", "modularity"])
def test_a_circle_per_factor_reaches_the_ceiling_of_its_blocks(name):
    result = compute(name, GRID, CIRCLES, GRID, CIRCLES, blocks=BLOCKS)
    main = next(iter(result.values))
    assert result.values[main] == pytest.approx(result.ceiling[main], abs=0.03)
    assert result.chance[main] < 0.5 * result.values[main]


def test_chance_has_the_levels_of_the_code():
    result = compute("infomec", GRID, GRID.astype(float), quantised=True)
    assert result.chance["infoe"] < 0.15
    assert result.values["infoe"] > 0.99


def test_chance_has_the_dead_dimensions_of_the_code():
    codes = np.hstack([GRID, 1e-4 * np.random.default_rng(0).standard_normal((len(GRID), 2))])
    result = compute("factor_vae", GRID, codes.astype(float))
    assert result.values["factor_vae"] == pytest.approx(1.0)
    assert 0.3 < result.chance["factor_vae"] < 0.7


def test_a_factor_without_a_block_has_a_dimension_in_the_perfect_code():
    result = compute("mig", GRID, CIRCLES[:, :4], blocks=BLOCKS[:2])
    assert result.ceiling["mig"] > 0.9
    assert result.values["mig"] < 0.75


@pytest.mark.parametrize("name", ["mig", "sap"])
def test_one_block_for_all_factors_has_nothing_to_be_compared_with(name):
    result = compute(name, GRID, CIRCLES, blocks=[[0, 1, 2, 3, 4, 5]])
    assert result.values[name] is None
    assert "a single block holds every code" in result.reason


def test_arrays_by_the_names_of_their_parts():
    by_name = compute("mig", factors_train=GRID, codes_train=CIRCLES)
    assert by_name.values == compute("mig", GRID, CIRCLES).values
    assert compute("mig", GRID, CIRCLES, reference=False).chance == {}
