"""Numbers of any size brought into range without losing a digit."""

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from equiworld.metrics import METRICS
from equiworld.metrics.scale import lengths, to_unit

NUMBERS = st.floats(-1.7e308, 1.7e308, allow_subnormal=False)


@settings(max_examples=100, deadline=None)
@given(table=arrays(np.float64, (3, 2), elements=NUMBERS), axis=st.sampled_from([None, 0, 1, (0, 1)]))
def test_what_is_scaled_is_what_it_was(table, axis):
    scaled, exponents = to_unit(table, axis=axis)
    assert np.abs(scaled).max() < 1
    peaks = np.abs(scaled).max(axis=axis)
    assert ((peaks >= 0.5) | (np.abs(table).max(axis=axis) == 0)).all()
    back = np.ldexp(scaled, exponents)
    # Only what is smaller than the largest by more than float64's range may lose digits.
    close = np.abs(scaled) > 1e-290
    assert (back[close] == table[close]).all()


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200, 5e307])
def test_lengths_of_any_size(scale):
    assert lengths(np.array([[0.6, 0.8], [0.0, 0.0]]) * scale).tolist() == pytest.approx([scale, 0.0])
    assert lengths(np.full((2, 3, 3), scale / 3), axes=(1, 2)).tolist() == pytest.approx([scale, scale])


def test_lengths_beyond_all_numbers_are_infinite():
    assert lengths(np.array([[np.inf, 1.0], [np.nan, 1.0], [1.7e308, 1.7e308]])).tolist() == [np.inf] * 3


@pytest.mark.parametrize("name", sorted(METRICS))
def test_every_metric_takes_a_seed(name):
    assert "seed" in inspect.signature(METRICS[name].function).parameters
