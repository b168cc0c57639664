"""DMIG and XMIG: factors that depend on each other, and codes that belong to them."""

import numpy as np
import pytest

from equiworld.metrics import dmig, mig, xmig


def full_grid(*sizes):
    return np.indices(sizes).reshape(len(sizes), -1).T


def test_dependent_factors_bound_mig_but_not_dmig():
    rng = np.random.default_rng(0)
    first = rng.integers(0, 6, 6000)
    second = np.where(rng.random(6000) < 0.7, first, rng.integers(0, 6, 6000))
    factors = np.stack([first, second], axis=1)
    codes = factors.astype(float)
    assert mig(factors, codes).values["mig"] < 0.7
    result = dmig(factors, codes)
    assert result.values["dmig"] == pytest.approx(1.0, abs=1e-9)
    assert result.ceiling["dmig"] == pytest.approx(1.0, abs=1e-9)
    # Named the other way round, each factor's own code is the worse one.
    assert dmig(factors, codes, assigned=[1, 0]).values["dmig"] == pytest.approx(-1.0, abs=1e-9)
    wide = np.hstack([codes, rng.standard_normal((6000, 1))])
    assert xmig(factors, wide).values["xmig"] == pytest.approx(1.0, abs=0.02)


def test_determined_factors_are_left_out_of_dmig():
    factors = full_grid(4, 3)[:, [0, 0, 1]]
    result = dmig(factors, factors.astype(float))
    assert result.details["determined_factors"] == [0, 1]
    assert result.values["dmig"] == pytest.approx(1.0)
    result = dmig(factors[:, :2], factors[:, :2].astype(float))
    assert result.values["dmig"] is None
    assert result.reason == "each factor is determined by another"


def test_xmig_needs_a_free_code():
    factors = full_grid(4, 3)
    result = xmig(factors, factors.astype(float))
    assert result.values["xmig"] is None
    assert "no free one" in result.reason
    leaking = np.hstack([factors, factors[:, :1]]).astype(float)
    assert xmig(factors, leaking, assigned=[0, 1]).details["per_factor"] == pytest.approx([0.0, 1.0])


@pytest.mark.parametrize("order", [[0, 1, 2], [0, 2, 1], [2, 0, 1]])
def test_of_codes_that_know_equally_much_the_order_does_not_matter(order):
    rng = np.random.default_rng(0)
    first = rng.integers(0, 3, 600)
    factors = np.stack([first, (first + (rng.random(600) < 0.2)) % 3], axis=1)
    # The second factor has two codes, one of which belongs to no factor.
    codes = factors[:, [0, 1, 1]].astype(float)
    assert dmig(factors, codes[:, order]).values == pytest.approx(dmig(factors, codes).values)
    assert dmig(factors, codes).details["per_factor"] == pytest.approx([1.0, 0.0])


def test_a_quantity_in_many_bins_has_the_entropy_of_its_bins():
    factors = np.column_stack([np.arange(90) % 30, np.linspace(0, 1, 90)])
    result = dmig(factors, factors, bins=None)
    assert result.details["bins"] == 30
    # Twenty bins of the quantity are twenty bins of it wherever they are counted.
    assert result.details["factor_entropy"][1] == pytest.approx(np.log(20), abs=0.01)


def test_refused():
    factors = full_grid(3, 3)
    with pytest.raises(ValueError, match="assigned must name one of 2 codes"):
        dmig(factors, factors, assigned=[0, 2])
    with pytest.raises(ValueError, match="assigned must name one of 2 codes"):
        xmig(factors, factors, assigned=["a", "b"])
    with pytest.raises(ValueError, match="one code to two factors"):
        xmig(factors, factors, assigned=[1, 1])
