"""The bound of nearly deterministic decoders: its terms, what it logs, what it refuses, and what it tends to."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from equiworld.datasets.loader import Batch
from equiworld.envs import UsageError
from equiworld.world_models.assembly import Assembly, assemble, options_from_config
from equiworld.world_models.objectives.ima import Ima
from equiworld.world_models.vae import VAE

SMALL = {"dataset": "moebius", "n_obs": 400, "hidden_width": 8}


def made(**options: Any) -> Assembly:
    return assemble(options_from_config({"model": "imavae", **SMALL, **options}, "test"))


def batch(assembly: Assembly) -> Batch:
    return next(iter(assembly.loader("training").epoch(0)))


def terms(model: VAE, images: Batch) -> dict[str, float]:
    found = model.terms(images, 0, torch.Generator().manual_seed(1))
    return {name: float(value.detach()) for name, value in found.items()}


@pytest.mark.parametrize("latent", ["euclidean", "unit-interval"])
@pytest.mark.parametrize("beta", [1.0, 0.5])
def test_it_is_the_bound_with_the_variance_in_it(latent: str, beta: float) -> None:
    assembly = made(latent=latent, beta=beta, decoder_variance=0.01)
    images = batch(assembly)
    found = terms(assembly.model, images)
    posterior = assembly.model.posterior(images.frames)
    draw = posterior.draw(torch.Generator().manual_seed(1))
    decoded = assembly.model.decode(draw.codes)
    squared = (decoded - images.frames).square().sum((1, 2, 3)).mean()
    reconstruction = 50 * float(squared.detach()) + 1.5 * math.log(2 * math.pi * 0.01)
    kl = posterior.kl() if latent == "euclidean" else draw.log_ratio
    expected = {"reconstruction": reconstruction, "kl": float(kl.sum(1).mean()), "gamma2": 100.0}
    expected |= {"posterior_variance": float(posterior.deviation.square().mean())}
    assert found == pytest.approx(expected | {"loss": reconstruction + beta * expected["kl"]}, rel=1e-4)


def test_a_learnt_precision_is_logged_and_trained() -> None:
    model = made(variance_rule="learnt").model
    (group,) = model.parameter_groups()
    assert any(each is model.likelihood.log_variance for each in group["params"])  # type: ignore[attr-defined]


def test_an_optimal_precision_follows_training_and_not_validation() -> None:
    assembly = made(variance_rule="optimal")
    images = batch(assembly)
    trained = [terms(assembly.model.train(), images)["gamma2"] for _ in range(2)]
    assembly.model.eval()
    assert terms(assembly.model, images)["gamma2"] == terms(assembly.model, images)["gamma2"] == trained[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"likelihood": "squared"}, "--objective ima needs a precision: --likelihood gaussian is accepted"),
        ({"beta": -1.0}, "--beta must be 0 or more, not -1"),
        ({"model": "vae", "architecture": "dense"}, "--likelihood bernoulli takes images in"),
        ({"model": "rgrvae", "dataset": "flatland", "objective": "ima", "likelihood": "gaussian"}, "beta and capacity"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], message: str) -> None:
    small = SMALL if options.get("model") is None else {key: SMALL[key] for key in ("dataset", "n_obs")}
    chosen = {"model": "imavae", **small, **options}
    if chosen["dataset"] == "flatland":
        del chosen["n_obs"]
    with pytest.raises(UsageError, match=message):
        assemble(options_from_config(chosen, "test"))


def test_the_divergence_may_weigh_more_at_first() -> None:
    objective = Ima(2.0, start=200.0, steps=100)
    assert [objective.weight(step) for step in (0, 50, 100, 10**6)] == pytest.approx([200.0, 20.0, 2.0, 2.0])
    assert [Ima(3.0).weight(step) for step in (0, 50)] == [3.0, 3.0]
    for wrong in ({"beta": 0.0, "start": 2.0}, {"start": -1.0}, {"steps": 0}):
        with pytest.raises(UsageError, match=r"--beta-st(art|eps)"):
            Ima(**wrong)  # type: ignore[arg-type]


def test_steps_without_a_start_are_refused(tiny: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match="--beta-steps is not read without --beta-start"):
        tiny("imavae", hidden_width=8, beta_steps=10)
