"""Gaps in the table of information against recorded values, closed forms and invariances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equiworld.metrics import compute, dcimig, dmig, jemmig, mig, mig_sup, modularity, rmig, xmig

UBISOFT = {"binning": "width_ubisoft", "bins": 10}
GAPS = [mig, mig_sup, modularity, dmig, xmig, rmig, jemmig, dcimig]
BLOCKWISE = [mig, mig_sup, modularity, dmig, jemmig, dcimig]


def full_grid(*sizes):
    return np.stack([axis.ravel() for axis in np.meshgrid(*map(np.arange, sizes), indexing="ij")], axis=1)


def test_disentanglement_lib_is_reproduced(recordings, space, name):
    factors, codes = recordings.rows(space, name)[:2]
    published = recordings.expected["disentanglement_lib"]
    expected = published[f"{space}/{name}/mig"]["scores"]
    result = mig(factors, codes)
    assert result.values["mig"] == pytest.approx(expected["discrete_mig"], abs=1e-6)
    np.testing.assert_allclose(result.details["mutual_information"], expected["mi_matrix"], atol=1e-6)
    np.testing.assert_allclose(result.details["factor_entropy"], expected["factor_entropy"], atol=1e-6)
    # Without posterior deviations the robust gap is the same one.
    assert rmig(factors, codes).values["rmig"] == pytest.approx(expected["discrete_mig"], abs=1e-6)
    expected = published[f"{space}/{name}/modularity"]["scores"]
    result = modularity(factors, codes, dead_codes="as_disentanglement_lib")
    assert result.values["modularity"] == pytest.approx(expected["modularity_score"], abs=1e-6)


def test_ubisoft_is_reproduced(recordings, space, name):
    factors, codes = recordings.rows(space, name)[:2]
    counted = {"dead_codes": "as_disentanglement_lib"}
    by_code = {"normaliser": "ubisoft_code"}
    found = {
        "mig_10bins": mig(factors, codes, **UBISOFT, **by_code),
        "mig_20bins": mig(factors, codes, **(UBISOFT | {"bins": 20}), **by_code),
        "mig_sup": mig_sup(factors, codes, **UBISOFT, **by_code, **counted),
        "dcimig": dcimig(factors, codes, **UBISOFT),
        "jemmig": jemmig(factors, codes, **UBISOFT),
        "modularity": modularity(factors, codes, **UBISOFT, **counted),
    }
    for metric, result in found.items():
        expected = recordings.expected["others"][f"{space}/{name}/ubisoft/{metric}"]["scores"]["score"]
        # A constant code is NaN there, by 0 / 0; it knows nothing, which is 0.
        assert float(result) == pytest.approx(0.0 if np.isnan(expected) else expected, abs=1e-6), metric


@pytest.mark.parametrize(
    "name", ["perfect", "monotone", "duplicated", "sincos", "missing", "noisy", "constant", "rotated"]
)
def test_other_recorded_inputs(recorded, name):
    expected = recorded.expected["mig"][name]
    result = mig(recorded.array("mig", "factors"), recorded.array("mig", name), bins=20)
    assert result.values["mig"] == pytest.approx(expected["mig"], abs=1e-6)


@pytest.mark.parametrize("sizes", [(3, 4, 5), (20, 7), (33, 33)])
@pytest.mark.parametrize("function", [mig, mig_sup, modularity, dmig, jemmig, dcimig])
def test_perfect_code_on_a_full_grid_scores_one_with_enough_bins(function, sizes):
    factors = full_grid(*sizes)
    result = function(factors, factors * 2.5 - 1.0, bins=None)
    assert float(result) == pytest.approx(1.0, abs=1e-9)
    assert result.ceiling[result.name] == pytest.approx(1.0, abs=1e-9)
    exact = function(factors, np.exp(factors / 9), binning="exact")
    assert float(exact) == pytest.approx(1.0, abs=1e-9)


def test_too_few_bins_lower_the_ceiling_and_the_score_reaches_it():
    factors = full_grid(33, 33)
    result = mig(factors, factors.astype(float), bins=20)
    # 33 levels in 20 bins: 13 bins take two levels, 7 take one.
    information = -(13 * (2 / 33) * np.log(2 / 33) + 7 * (1 / 33) * np.log(1 / 33))
    assert result.ceiling["mig"] == pytest.approx(information / np.log(33), abs=1e-9)
    assert result.values["mig"] == pytest.approx(result.ceiling["mig"], abs=1e-12)


def test_monotone_maps_change_equal_widths_but_not_equal_counts():
    factors = full_grid(10, 10)
    cubed = (factors - 4.5) ** 3
    assert mig(factors, cubed).values["mig"] < 0.9
    assert mig(factors, cubed, binning="quantile").values["mig"] == pytest.approx(1.0, abs=1e-9)


def test_duplicated_codes():
    factors = full_grid(4, 6)
    twice = np.hstack([factors, factors])
    assert mig(factors, twice).values["mig"] == pytest.approx(0.0, abs=1e-12)
    assert mig_sup(factors, twice).values["mig_sup"] == pytest.approx(1.0)
    assert dcimig(factors, twice).values["dcimig"] == pytest.approx(1.0)
    assert xmig(factors, twice).values["xmig"] == pytest.approx(0.0, abs=1e-12)
    # H(v, z*) - I + I = H(v), of at most H(v) + log 20.
    expected = np.mean([1 - np.log(size) / (np.log(size) + np.log(20)) for size in (4, 6)])
    assert jemmig(factors, twice).values["jemmig"] == pytest.approx(expected)


def test_single_code_dimension_has_no_rival():
    factors = full_grid(5, 5)
    result = mig(factors, factors[:, :1].astype(float))
    np.testing.assert_allclose(result.details["per_factor"], [1.0, 0.0], atol=1e-12)


def circles(recordings, space):
    factors = recordings.rows(space, "perfect")[0]
    codes = recordings.rows(space, "sincos")[1]
    factors, codes = factors[:400], codes[:400]
    return factors, codes, [[2 * index, 2 * index + 1] for index in range(factors.shape[1])]


@pytest.mark.parametrize("function", BLOCKWISE)
def test_circles_score_as_perfect_in_blocks(recordings, function):
    factors, codes, blocks = circles(recordings, "mini")
    result = function(factors, codes, blocks=blocks)
    assert float(result) == pytest.approx(1.0, abs=0.02)
    assert result.ceiling[result.name] == pytest.approx(float(result), abs=0.02)
    if function is not jemmig:
        assert result.predictor == "knn"
    noise = np.random.default_rng(0).standard_normal(codes.shape)
    chance = function(factors, noise, blocks=blocks)
    assert float(chance) < (0.03 if function is not jemmig else 0.6)


def test_circles_of_many_levels_score_low_without_blocks(recordings):
    factors, codes, blocks = circles(recordings, "shapes3d")
    assert mig(factors, codes).values["mig"] == pytest.approx(0.12, abs=0.03)
    assert mig(factors, codes, blocks=blocks).values["mig"] == pytest.approx(1.0, abs=0.02)
    # A block of the wrong dimensions does not help.
    wrong = [[0, 2], [1, 3], [4, 6], [5, 7], [8, 10], [9, 11]]
    assert mig(factors, codes, blocks=wrong).values["mig"] < 0.2


def test_compute_finds_chance_and_ceiling_of_blocks():
    factors = full_grid(6, 5, 4)
    angles = 2 * np.pi * factors / np.array([6, 5, 4])
    codes = np.stack([np.cos(angles), np.sin(angles)], axis=-1).reshape(len(factors), -1)
    result = compute("mig", factors, codes, blocks=[[0, 1], [2, 3], [4, 5]])
    assert result.values["mig"] == pytest.approx(1.0, abs=1e-9)
    assert result.ceiling["mig"] == pytest.approx(1.0, abs=1e-9)
    assert abs(result.chance["mig"]) < 0.1
    assert result.n == 120


@pytest.mark.parametrize("estimator", ["binned", "knn"])
def test_quantities(estimator):
    rng = np.random.default_rng(0)
    factors = rng.random((800, 3))
    assert mig(factors, factors * [1, -2, 3], estimator=estimator).values["mig"] > 0.9
    assert dmig(factors, factors * [1, -2, 3], estimator=estimator).values["dmig"] > 0.9
    assert mig(factors, rng.random((800, 3)), estimator=estimator).values["mig"] < 0.05
    mixed = np.hstack([rng.integers(0, 4, (800, 1)), factors[:, :1]])
    result = mig(mixed, mixed, estimator=estimator)
    assert result.values["mig"] > 0.9
    assert modularity(mixed, mixed, estimator=estimator).values["modularity"] > 0.95
    whole = mig(mixed, mixed, estimator=estimator, continuous=[0, 1])
    assert whole.values["mig"] > 0.9


def test_whole_numbers_named_continuous_are_cut_into_bins():
    factors = np.arange(100)[:, None]
    assert mig(factors, factors).details["factor_entropy"] == pytest.approx([np.log(100)])
    assert mig(factors, factors, continuous=[0]).details["factor_entropy"] == pytest.approx([np.log(20)])


@pytest.mark.parametrize("function", GAPS)
def test_constant_factor_is_left_out_and_named(function):
    grid = full_grid(4, 5)
    factors = np.hstack([grid, np.zeros((20, 1), dtype=int)])
    codes = np.hstack([grid, np.zeros((20, 1))])
    result = function(factors, codes)
    assert float(result) == pytest.approx(1.0)
    assert result.details["constant_factors"] == [2]
    if "per_factor" in result.details:
        assert result.details["per_factor"][2] is None


@pytest.mark.parametrize("function", GAPS)
def test_no_varying_factor_says_so(function):
    result = function(np.zeros((5, 2)), np.arange(5.0)[:, None])
    assert set(result.values.values()) == {None}
    assert result.reason == "no factor varies in the sample"


@pytest.mark.parametrize("function", GAPS)
def test_constant_codes_and_single_ones_have_values(function):
    factors = full_grid(4, 5)
    for codes in (np.full((20, 3), 7.0), factors[:, :1].astype(float)):
        result = function(factors, codes)
        for value in result.values.values():
            assert value is None or (value >= 0 and np.isfinite(value))
        assert all(value is not None for value in result.values.values()) or result.reason
    single = function(factors[:, :1], factors.astype(float))
    assert float(single) == pytest.approx(1.0) or "only one varies" in single.reason


@pytest.mark.parametrize("function", GAPS)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**20))
def test_invariant_to_order_and_scale_of_codes_and_order_of_rows(function, seed):
    rng = np.random.default_rng(seed)
    factors = rng.integers(0, [4, 3], (90, 2))
    # Shares of whole numbers, away from the edges of 19 bins, so that rounding and signs move nothing across an edge.
    codes = np.column_stack([factors @ [3, 1], factors[:, 1], rng.integers(0, 5, 90)]).astype(float)
    columns, rows = rng.permutation(3), rng.permutation(90)
    moved = codes[rows][:, columns] * 2.0 ** rng.integers(-4, 4, 3) * rng.choice([-1, 1], 3)
    first, second = (float(function(*pair, bins=19)) for pair in ((factors, codes), (factors[rows], moved)))
    assert first == pytest.approx(second, abs=1e-9)


@pytest.mark.parametrize(
    ("factors", "codes", "options", "message"),
    [
        (np.zeros((3, 1)), np.zeros((4, 1)), {}, "differ in rows"),
        (np.zeros((3, 1)), np.full((3, 1), np.nan), {}, "not finite"),
        (np.zeros((3, 1)), np.zeros((3, 0)), {}, "empty"),
        (np.arange(3)[:, None], np.zeros((3, 1)), {"bins": 0}, "bins must be at least 1"),
        (np.arange(3)[:, None], np.zeros((3, 1)), {"estimator": "mine"}, "estimator must be one of"),
        (np.arange(3)[:, None], np.zeros((3, 1)), {"normaliser": "code"}, "normaliser must be"),
        (np.arange(3)[:, None], np.zeros((3, 1)), {"blocks": [[0, 1]]}, "blocks name dimension 1"),
        (
            np.arange(3)[:, None],
            np.zeros((3, 1)),
            {"normaliser": "ubisoft_code", "estimator": "knn"},
            "needs the entropy of codes",
        ),
    ],
)
def test_bad_input(factors, codes, options, message):
    with pytest.raises(ValueError, match=message):
        compute("mig", factors, codes, **options)


@pytest.mark.parametrize("function", GAPS)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**20), exponents=st.lists(st.integers(-900, 900), min_size=3, max_size=3))
def test_any_scale_of_any_code(function, seed, exponents):
    rng = np.random.default_rng(seed)
    factors = rng.integers(0, [4, 3], (60, 2))
    codes = np.column_stack([factors, rng.standard_normal(60)]) + 0.2 * rng.standard_normal((60, 3))
    scaled = codes * 2.0 ** np.array(exponents)
    for options in [{}] if function in (rmig, jemmig) else [{}, {"estimator": "knn"}, {"binning": "quantile"}]:
        assert function(factors, scaled, **options).values == function(factors, codes, **options).values


ROWS = {"one": slice(1), "two": slice(2), "all": slice(None)}
CODES = {
    "plain": lambda codes: codes,
    "one dimension": lambda codes: codes[:, :1],
    "constant": lambda codes: np.full_like(codes, 1e300),
    "huge": lambda codes: codes * 1e200,
    "tiny": lambda codes: codes * 1e-200,
    "last digits": lambda codes: 1 + np.round(codes) * 2**-52,
    "both ends": lambda codes: np.where(codes > 1, 1.7e308, -1.7e308),
}
FACTORS = {
    "categories": lambda factors: factors,
    "one": lambda factors: factors[:, :1],
    "constant": lambda factors: np.full_like(factors, 3),
    "quantities": lambda factors: factors + 0.25,
    "huge": lambda factors: (factors + 0.25) * 1e200,
    "tiny": lambda factors: (factors + 0.25) * 1e-200,
    "all different": lambda factors: np.arange(factors.size).reshape(factors.shape),
}


@pytest.mark.parametrize("factors_of", FACTORS)
@pytest.mark.parametrize("codes_of", CODES)
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.filterwarnings("error")
def test_whatever_the_data_there_is_a_value_or_a_reason(rows, codes_of, factors_of):
    factors = full_grid(4, 3)
    codes = factors + 0.3 * np.random.default_rng(0).standard_normal((12, 2))
    factors, codes = FACTORS[factors_of](factors)[ROWS[rows]], CODES[codes_of](codes)[ROWS[rows]]
    for function in GAPS:
        for options in [{}] if function in (rmig, jemmig) else [{}, {"estimator": "knn"}]:
            result = function(factors, codes, **options)
            for key, value in result.values.items():
                assert (value is None) == (result.reason is not None)
                assert value is None or value >= -1e-12
                assert value is None or value <= 1 + 1e-9 or key.endswith("_nats") or options
    if codes.shape[1] > 1:
        result = mig(factors, codes, blocks=[[0, 1]])
        assert result.values["mig"] is not None or result.reason


@pytest.mark.parametrize("name", ["mig", "modularity", "dcimig", "mig_sup", "dmig", "jemmig"])
def test_blocks_of_different_sizes_and_dimensions_in_none(name):
    sizes = np.array([7, 5, 4])
    factors = full_grid(*sizes)
    angles = 2 * np.pi * factors / sizes
    circles = np.stack([np.cos(angles), np.sin(angles)], axis=-1).reshape(len(factors), -1)
    # The second factor lies on a line; copies of the first, outside all blocks, are not seen.
    codes = np.hstack([circles[:, :2], factors[:, 1:2], circles[:, 4:], factors[:, :1], circles[:, :2]])
    result = compute(name, factors, codes, blocks=[[0, 1], [2], [3, 4]])
    assert float(result) == pytest.approx(1.0, abs=0.02)
    assert result.ceiling[name] == pytest.approx(1.0, abs=0.02)
    assert np.shape(result.details["mutual_information"]) == (3, 3)
    if name in ("mig", "jemmig", "dmig"):
        # In blocks of their own the copies are rivals.
        rivals = compute(name, factors, codes, blocks=[[0, 1], [2], [3, 4], [5], [6, 7]])
        assert float(rivals) < float(result) - 0.05


@pytest.mark.parametrize("function", [mig, dmig, jemmig])
def test_a_lone_block_has_no_rival(function):
    factors = full_grid(4, 3)
    result = function(factors, factors * 1.0, blocks=[[0, 1]])
    assert set(result.values.values()) == {None}
    assert "single block" in result.reason


def test_the_ceiling_of_jemmig_has_blocks_too():
    factors = np.stack(np.divmod(np.arange(900), 30), axis=1)
    angles = 2 * np.pi * factors / 30
    circles = np.stack([np.cos(angles), np.sin(angles)], axis=2).reshape(900, 4)
    lines = np.zeros((900, 4))
    lines[:, ::2] = factors
    for codes in (circles, lines):
        result = jemmig(factors, codes, blocks=[[0, 1], [2, 3]])
        assert result.values["jemmig"] <= result.ceiling["jemmig"] + 1e-12
        assert result.values["jemmig_nats"] >= result.ceiling["jemmig_nats"] - 1e-12
    best = jemmig(factors, circles, blocks=[[0, 1], [2, 3]])
    assert best.values == pytest.approx(best.ceiling, abs=1e-9)
