"""MIG-sup, modularity and DCIMIG: codes that know nothing, and what is refused."""

import numpy as np
import pytest

from equiworld.metrics import dcimig, mig_sup, modularity


def full_grid(*sizes):
    return np.indices(sizes).reshape(len(sizes), -1).T


def test_dead_codes_are_left_out_of_modularity_by_default(recordings):
    factors, codes = recordings.rows("shapes3d", "dead_dims")[:2]
    result = modularity(factors, codes)
    assert result.values["modularity"] == pytest.approx(1.0, abs=1e-3)
    assert result.details["active"] == [True] * 6 + [False] * 3
    assert modularity(factors, codes, dead_codes="as_disentanglement_lib").values["modularity"] < 0.9
    noise = recordings.rows("shapes3d", "random")[1]
    assert modularity(factors, noise).values["modularity"] == 0.0


def test_mig_sup_sees_mixing_and_not_duplicates():
    factors = full_grid(4, 6)
    mixed = np.column_stack([factors[:, 0], factors @ [6, 1]])
    per_code = mig_sup(factors, mixed, binning="exact").details["per_code"]
    # The second code knows both factors wholly.
    assert per_code == pytest.approx([1.0, 0.0])
    assert mig_sup(factors, np.hstack([factors, factors])).values["mig_sup"] == pytest.approx(1.0)


def test_dcimig_counts_factors_by_their_entropy():
    factors = full_grid(4, 16)
    result = dcimig(factors, factors[:, 1:].astype(float))
    assert result.values["dcimig"] == pytest.approx(np.log(16) / np.log(64))


def test_refused():
    factors = full_grid(3, 3)
    with pytest.raises(ValueError, match="dead_codes must be one of"):
        modularity(factors, factors, dead_codes="drop")
    with pytest.raises(ValueError, match="normaliser must be one of"):
        mig_sup(factors, factors, normaliser="code")
