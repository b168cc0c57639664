"""What is measured of models with a Gaussian likelihood, where the decoder is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from equiworld.reporting import measures
from equiworld.reporting.subject import Subject
from equiworld.world_models.assembly import assemble, options_from_config

COLUMNS = torch.tensor([[2.0, 0.0, 1.0], [0.0, 3.0, 1.0], [0.0, 0.0, 1.0]])


def subject(**options: Any) -> Subject:
    chosen = {"model": "imavae", "dataset": "moebius", "n_obs": 400, "hidden_width": 8, **options}
    return Subject(assemble(options_from_config(chosen, "test")))


def linear(found: Subject) -> None:
    """Makes encoder and decoder the linear map of these columns and its inverse."""

    class Fixed(torch.nn.Module):
        def __init__(self, function: Any) -> None:
            super().__init__()
            self.function = function

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.function(inputs)

    def encoded(images: torch.Tensor) -> torch.Tensor:
        means = images.flatten(1) @ torch.linalg.inv(COLUMNS).T
        return torch.cat([means, torch.full_like(means, -4.0)], 1)

    found.model.encoder = Fixed(encoded)
    found.model.decoder = Fixed(lambda codes: (codes @ COLUMNS.T)[:, None, None])


def test_of_a_known_decoder_all_is_known() -> None:
    found = subject(latent="euclidean", decoder_variance=1e-2)
    linear(found)
    (result,) = measures.measure_subject(found, ["ima"])
    norms = COLUMNS.square().sum(0).double().numpy()
    expected = {
        "c_ima": 0.5 * float(np.log(norms).sum()) - np.log(6.0),
        "gamma2": 100.0,
        "self_consistency": 0.0,
        "latent_self_consistency": 0.0,
        "posterior_variance": np.exp(-4),
        "optimal_variance": float((1 / (1 + 100 * norms)).mean()),
        "true_c_ima": 0.0,
    }
    assert {name: result.values[name] for name in expected} == pytest.approx(expected, rel=1e-5, abs=1e-9)
    assert result.n == 40 and result.reason is None


def test_the_uniform_prior_has_no_curvature_and_the_variance_is_that_of_the_code() -> None:
    found = subject(decoder_variance=1e-2)
    linear(found)
    (result,) = measures.measure_subject(found, ["ima"])
    norms = COLUMNS.square().sum(0).double().numpy()
    assert result.values["optimal_variance"] == pytest.approx(float((1 / (100 * norms)).mean()), rel=1e-5)
    codes = found.encode(found.tested, found.model.encode)
    slopes = (codes * (1 - codes)) ** 2
    assert result.values["posterior_variance"] == pytest.approx(float(np.exp(-4) * slopes.mean()), rel=1e-4)


def test_correlations_are_of_posterior_means_over_all_test_states() -> None:
    found = subject(latent="euclidean")
    mixing = found.data.mixing  # type: ignore[attr-defined]

    def encoded(images: torch.Tensor) -> torch.Tensor:
        return mixing.inverse(images.flatten(1).double()).float()[:, [2, 0, 1]] * torch.tensor([1.0, -2.0, 0.1])

    class Inverse(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            means = encoded(images)
            return torch.cat([means, torch.full_like(means, 9.0)], 1)  # samples know nothing

    found.model.encoder = Inverse()
    (result,) = measures.measure_subject(found, ["ima"])
    assert result.values["mcc"] == pytest.approx(1, abs=1e-4)


def test_other_likelihoods_and_spaces_say_why_not(tiny: Any) -> None:
    (other,) = measures.measure_subject(Subject(tiny("vae", latents=4, architecture="forward")), ["ima"])
    assert other.values == {"ima": None} and other.reason == "it is for models with a gaussian likelihood"
    for name in ("torus", "sphere"):
        chosen = {"latent": name, "latents": 6, "architecture": "forward", "likelihood": "gaussian"}
        for result in measures.measure_subject(Subject(tiny("vae", **chosen)), ["ima", "c_ima"]):
            assert result.reason is not None and result.reason.startswith("codes on circles and spheres have more")
    (curved,) = measures.measure_subject(subject(latent="gaussian-manifold", latents=2), ["ima"])
    assert curved.values["optimal_variance"] is None and curved.values["c_ima"] is not None
    assert curved.reason == "the formula of the optimal variance is for factors of one number"
