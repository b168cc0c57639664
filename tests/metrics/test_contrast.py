"""The contrast of independent mechanisms: closed forms, invariances, degenerate Jacobians."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equiworld.metrics.contrast import c_ima, contrast_of_noise, local_contrasts


def test_orthogonal_columns_have_none(orthogonal):
    jacobians = np.stack([orthogonal(5, seed)[:, :3] * [1e-6, 1.0, 1e5] for seed in range(4)])
    np.testing.assert_allclose(local_contrasts(jacobians), 0, atol=1e-9)


@pytest.mark.parametrize("angle", [0.1, 1.0, 2.5])
def test_two_columns_at_an_angle(angle):
    jacobian = np.array([[2.0, 3 * np.cos(angle)], [0.0, 3 * np.sin(angle)]])
    assert local_contrasts(jacobian[None])[0] == pytest.approx(-np.log(abs(np.sin(angle))), abs=1e-9)
    tall = np.vstack([jacobian, np.zeros((3, 2))])
    assert local_contrasts(tall[None])[0] == pytest.approx(-np.log(abs(np.sin(angle))), abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_a_square_jacobian_by_its_determinant_and_invariances(seed):
    rng = np.random.default_rng(seed)
    jacobian = rng.standard_normal((4, 4))
    expected = np.log(np.linalg.norm(jacobian, axis=0)).sum() - np.linalg.slogdet(jacobian)[1]
    other = jacobian[:, rng.permutation(4)] * rng.uniform(0.1, 10, size=4) * -1
    assert local_contrasts(jacobian[None])[0] == pytest.approx(expected, abs=1e-8)
    assert local_contrasts(other[None])[0] == pytest.approx(expected, abs=1e-8)


def test_the_mean_jacobian_hides_the_local_contrast():
    skew = np.array([[1.0, 0.5], [0.0, 1.0]])
    result = c_ima(np.stack([skew, skew * [[1, -1], [1, 1]]]))
    assert float(result) == pytest.approx(0.5 * np.log(1.25))
    assert result.values["mean_jacobian"] == pytest.approx(0, abs=1e-12)
    assert result.n == 2 and len(result.details["per_point"]) == 2


@pytest.mark.parametrize(("outputs", "latents"), [(2, 2), (5, 3), (40, 10)])
def test_the_contrast_of_noise_is_known_and_no_chance(outputs, latents):
    noise = np.random.default_rng(0).standard_normal((2000, outputs, latents))
    result = c_ima(noise)
    error = 4 * np.std(result.details["per_point"]) / np.sqrt(2000)
    assert float(result) == pytest.approx(contrast_of_noise(outputs, latents), abs=error)
    # With as many outputs as pictures have pixels, noise is all but orthogonal.
    assert result.chance == {} and contrast_of_noise(4096, 3) < 1e-3
    assert result.ceiling == {"c_ima": 0.0, "mean_jacobian": 0.0}


@pytest.mark.parametrize("scale", [1e-200, 1e200, 1e307, [1e-200, 1.0, 1e200]])
def test_tiny_and_huge_derivatives(scale):
    noise = np.random.default_rng(0).standard_normal((50, 6, 3))
    assert c_ima(noise * scale).values == pytest.approx(c_ima(noise).values, abs=1e-9)


def test_degenerate_jacobians():
    dead = np.zeros((2, 3, 2))
    dead[:, 0, 0] = 1
    result = c_ima(dead)
    assert float(result) == 0 and result.details["dead_columns"] == [0, 1]
    twins = c_ima(np.ones((3, 4, 2)))
    assert twins.values == {"c_ima": None, "mean_jacobian": None}
    assert "3 of 3 points" in twins.reason
    assert "singular" in twins.details and c_ima(np.zeros((2, 3, 2))).reason == "the decoder ignores every latent"
    cancel = c_ima(np.stack([np.eye(2), [[1.0, 2.0], [2.0, -1.0]], [[-2.0, -2.0], [-2.0, 0.0]]]))
    assert cancel.values["c_ima"] is not None
    wide = c_ima(np.random.default_rng(0).standard_normal((2, 2, 3)))
    assert wide.values["c_ima"] is None
    with pytest.raises(ValueError):
        c_ima(np.eye(3))
