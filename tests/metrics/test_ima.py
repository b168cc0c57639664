"""The optimal variance of posteriors and self-consistency, against what can be worked out."""

import numpy as np
import pytest

from equiworld.metrics.ima import optimal_variances, self_consistency


def test_a_linear_decoder_under_a_normal_prior_is_probabilistic_pca():
    # With orthogonal columns the true posterior has independent coordinates, of these variances.
    rng = np.random.default_rng(0)
    columns = np.linalg.qr(rng.standard_normal((6, 3)))[0] * [0.5, 2.0, 7.0]
    exact = np.diag(np.linalg.inv(np.eye(3) + 40.0 * columns.T @ columns))
    found = optimal_variances(columns[None], 40.0, 1.0)
    np.testing.assert_allclose(found, exact[None], rtol=1e-12)
    # Otherwise it is what the best factorising posterior has: 1 over the diagonal of the precision.
    skew = rng.standard_normal((4, 6, 3))
    precision = np.eye(3) + 40.0 * np.einsum("nxk,nxl->nkl", skew, skew)
    np.testing.assert_allclose(optimal_variances(skew, 40.0, 1.0), 1 / np.diagonal(precision, axis1=1, axis2=2))


def test_it_falls_as_1_over_the_precision_and_the_prior_bounds_it():
    jacobians = np.random.default_rng(1).standard_normal((5, 4, 2))
    for precision in (1e2, 1e6):
        uniform = optimal_variances(jacobians, precision)
        np.testing.assert_allclose(uniform * precision, optimal_variances(jacobians, 1.0))
        normal = optimal_variances(jacobians, precision, np.ones((5, 2)))
        np.testing.assert_allclose(1 / normal, 1 / uniform + 1)
    assert (optimal_variances(np.zeros((2, 3, 2)), 10.0) == np.inf).all()
    assert (optimal_variances(np.zeros((2, 3, 2)), 10.0, 1.0) == 1).all()


@pytest.mark.parametrize("precision", [0.0, -1.0, np.nan, np.inf])
def test_a_precision_that_is_none_is_refused(precision):
    with pytest.raises(ValueError, match="precision must be above 0"):
        optimal_variances(np.ones((1, 2, 2)), precision)


def test_self_consistency_is_the_mean_square_of_all_numbers():
    first = np.arange(12.0).reshape(2, 2, 3)
    assert self_consistency(first, first) == 0
    assert self_consistency(first, first + 0.5) == 0.25
    with pytest.raises(ValueError, match=r"of one shape are compared, not \[2, 2, 3\] and \[2, 3\]"):
        self_consistency(first, first[0])
