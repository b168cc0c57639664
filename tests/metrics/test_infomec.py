"""InfoMEC: closed forms, ties, pruning, codes of any size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equiworld.metrics.infomec import concentration, infomec


@pytest.mark.parametrize("name", ["perfect", "noisy", "rotated", "random"])
def test_exact_ties_come_close_to_noise(recordings, name):
    factors, codes = recordings.rows("mini", name)[:2]
    expected = recordings.expected["others"][f"mini/{name}/infomec/latent_quantization"]["scores"]
    result = infomec(factors, codes, prune="range_latent_quantization")
    np.testing.assert_allclose(result.details["nmi"], expected["nmi"], atol=0.02)
    assert result.values["infom"] == pytest.approx(expected["infom"], abs=0.02)


def test_a_constant_code_knows_nothing(recordings):
    factors, codes = recordings.rows("mini", "constant")[:2]
    for prune in ("informative", "range_latent_quantization", "iqr_tripod", "none"):
        result = infomec(factors, codes, prune=prune)
        assert result.values == pytest.approx({"infom": 0.0, "infoe": 0.0, "infoc": 0.0}, abs=1e-6)
        assert result.details["active"] == [False] * 4


def test_default_pruning_has_no_scale(recordings):
    factors, codes = recordings.rows("mini", "dead_dims")[:2]
    grown = codes * [1, 1, 1, 1e-3, 1e4, 1, 1]
    plain, scaled = infomec(factors, codes), infomec(factors, grown)
    assert plain.details["active"] == scaled.details["active"] == [True] * 4 + [False] * 3
    assert plain.values == pytest.approx(scaled.values, abs=1e-6)
    assert plain.values["infom"] > 0.99 < plain.values["infoc"]
    published = infomec(factors, grown, prune="range_latent_quantization")
    assert published.details["active"] == [False] * 4 + [True] + [False] * 2


def test_noise_scores_zero_by_default(recordings):
    factors, codes = recordings.rows("mini", "random")[:2]
    result = infomec(factors, codes)
    assert result.values == pytest.approx({"infom": 0.0, "infoe": 0.0, "infoc": 0.0}, abs=0.01)


def test_concentration():
    assert concentration(np.eye(4)) == pytest.approx(1.0)
    assert concentration(np.ones((3, 5))) == pytest.approx(0.0)
    assert concentration(np.zeros((3, 5))) == pytest.approx(0.0)
    assert concentration(np.zeros((3, 0))) == 0.0
    assert concentration(np.array([[0.5], [0.0]])) == 0.5
    # Half the information in one of two columns, then all of it.
    assert concentration(np.array([[1.0, 1.0], [2.0, 0.0]])) == pytest.approx(0.5)


def test_duplicated_codes_are_modular_and_not_compact():
    factors = (
        np.stack(np.meshgrid(np.arange(5), np.arange(6), indexing="ij"), axis=-1).reshape(-1, 2).repeat(20, axis=0)
    )
    result = infomec(factors, np.hstack([factors, factors]).astype(float))
    assert result.values["infom"] == pytest.approx(1.0, abs=0.02)
    assert result.values["infoe"] == pytest.approx(1.0, abs=0.02)
    assert result.values["infoc"] == pytest.approx((0.5 - 0.25) / 0.75, abs=0.02)
    coarse = infomec(factors, np.hstack([factors, factors]).astype(float), quantised=True)
    assert coarse.values["infom"] == pytest.approx(1.0, abs=1e-9)
    assert coarse.values["infoc"] == pytest.approx(1 / 3, abs=1e-9)


def test_quantities():
    factors = np.random.default_rng(0).random((500, 2))
    result = infomec(factors, factors * [2, -1])
    assert min(result.values.values()) > 0.95
    mixed = np.column_stack([factors[:, 0], np.arange(500) % 4])
    assert min(infomec(mixed, mixed).values.values()) > 0.95
    assert min(infomec(mixed, np.floor(mixed * 8), quantised=True).values.values()) > 0.8


def test_degenerate_factors():
    rng = np.random.default_rng(0)
    factors = np.column_stack([rng.integers(0, 4, 200), np.ones(200, dtype=int)])
    result = infomec(factors, factors.astype(float))
    assert result.details["constant_factors"] == [1]
    assert result.details["per_factor_infoe"][1] is None
    assert result.values == pytest.approx({"infom": 1.0, "infoe": 1.0, "infoc": 1.0}, abs=0.01)
    nothing = infomec(factors[:, 1:], factors.astype(float))
    assert set(nothing.values.values()) == {None}
    assert nothing.reason == "no factor varies in the sample"


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**20))
def test_invariant_to_order_sign_and_scale(seed):
    rng = np.random.default_rng(seed)
    factors = rng.integers(0, [3, 4], (120, 2))
    codes = factors + 0.3 * rng.standard_normal((120, 2))
    rows, columns = rng.permutation(120), rng.permutation(2)
    moved = codes[rows][:, columns] * rng.choice([-20, 0.5, 3], 2) + 1
    first, second = infomec(factors, codes), infomec(factors[rows], moved)
    assert first.values["infom"] == pytest.approx(second.values["infom"], abs=1e-9)
    assert first.values["infoc"] == pytest.approx(second.values["infoc"], abs=1e-9)
    assert first.values["infoe"] == pytest.approx(second.values["infoe"], abs=5e-3)


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e200, 1e307])
@pytest.mark.parametrize("options", [{}, {"quantised": True}, {"ties": "noise_sklearn", "prune": "iqr_tripod"}])
def test_codes_of_any_size(scale, options):
    rng = np.random.default_rng(0)
    factors = rng.integers(0, [3, 4], (120, 2))
    codes = np.round(factors + 0.3 * rng.standard_normal((120, 2)), 1)
    first, second = infomec(factors, codes, **options), infomec(factors, codes * scale, **options)
    for name, value in first.values.items():
        assert second.values[name] == pytest.approx(value, abs=1e-4)


def test_a_single_row():
    assert "no factor varies" in infomec([[0, 1]], [[1.0]]).reason
    pair = infomec([[0], [1]], [[1.0], [2.0]])
    assert all(value is not None for value in pair.values.values())


def test_bad_input():
    factors = np.arange(6)[:, None] % 3
    with pytest.raises(ValueError, match="prune must be one of"):
        infomec(factors, factors, prune="range")
    with pytest.raises(ValueError, match="ties must be"):
        infomec(factors, factors, ties="noise")
