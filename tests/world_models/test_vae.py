"""The VAE: what it encodes, what it minimises, and that actions move the group's latents alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from equiworld.world_models.objectives import Capacity


def key(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_loss_is_reconstruction_and_penalty(tiny: Callable[..., Any]) -> None:
    assembly = tiny("betavae", beta=3.0, latents=5, architecture="forward")
    model, batch = assembly.model, next(iter(assembly.loader("training").epoch(0)))
    terms = model.terms(batch, 0, key())
    posterior = model.posterior(batch.frames)
    samples = posterior.rsample(key())
    chance = model.decode(samples).double()
    images = batch.frames.double()
    reconstruction = -(images * chance.log() + (1 - images) * (1 - chance).log()).sum((1, 2, 3)).mean()
    torch.testing.assert_close(terms["reconstruction"].double(), reconstruction, rtol=1e-4, atol=0.0)
    torch.testing.assert_close(terms["kl"], posterior.kl().sum(1).mean())
    torch.testing.assert_close(terms["penalty"], 3 * terms["kl"])
    torch.testing.assert_close(terms["loss"], terms["reconstruction"] + terms["penalty"])


def test_a_codes_means_are_encoded_and_pictures_decoded(tiny: Callable[..., Any]) -> None:
    assembly = tiny("vae", latents=5, architecture="forward")
    model, images = assembly.model, assembly.data.images([0, 1, 2])
    posterior = model.posterior(images)
    assert torch.equal(model.encode(images), posterior.mean)
    assert posterior.log_variance.shape == (3, 5)
    decoded = model.decode(posterior.mean)
    assert decoded.shape == images.shape
    assert 0.0 <= float(decoded.min()) <= float(decoded.max()) <= 1.0
    assert torch.equal(model.encode(images), model.encode(images))


def test_the_objective_is_told_the_update(tiny: Callable[..., Any]) -> None:
    assembly = tiny("betavae", objective="B", gamma=2.0, C_max=10.0, C_stop_iter=100, architecture="forward")
    model, batch = assembly.model, next(iter(assembly.loader("training").epoch(0)))
    assert isinstance(model.objective, Capacity)
    for step, capacity in ((0, 0.0), (50, 5.0), (1000, 10.0)):
        terms = model.terms(batch, step, key())
        torch.testing.assert_close(terms["penalty"], 2 * (terms["kl"] - capacity).abs())


def test_vae_is_the_evidence_lower_bound(tiny: Callable[..., Any]) -> None:
    assembly = tiny("vae", architecture="forward")
    terms = assembly.model.terms(next(iter(assembly.loader("training").epoch(0))), 0, key())
    assert torch.equal(terms["penalty"], terms["kl"])


def test_samples_depend_on_the_generator_alone(tiny: Callable[..., Any]) -> None:
    assembly = tiny("vae", architecture="forward")
    batch = next(iter(assembly.loader("training").epoch(0)))
    losses = []
    for seed, own in ((0, 5), (1, 5), (0, 6)):
        torch.manual_seed(seed)
        losses.append(float(assembly.model.terms(batch, 0, key(own))["loss"].detach()))
    assert losses[0] == losses[1] != losses[2]


def test_an_action_and_its_undoing(tiny: Callable[..., Any]) -> None:
    model = tiny("rgrvae", static_latents=2).model
    codes, actions = torch.randn(8, 6, generator=key()), torch.arange(8) % 4
    moved = model.act(codes, actions)
    torch.testing.assert_close(torch.einsum("bij,bj->bi", model.matrices()[actions], codes), moved)
    torch.testing.assert_close(model.act(moved, actions, power=-1), codes)
    torch.testing.assert_close(model.act(moved, actions), model.act(codes, actions, power=2))
    assert torch.equal(moved[:, 4:], codes[:, 4:])


def test_inferred_actions_are_chances(tiny: Callable[..., Any]) -> None:
    for name, options in (("rgrvae", {}), ("rgrvae", {"estimator": "exact"}), ("forward", {})):
        assembly = tiny(name, **options)
        chances = assembly.model.infer_action(*assembly.data.images(list(range(10))).split(5))
        assert chances.shape == (5, 4)
        torch.testing.assert_close(chances.sum(1), torch.ones(5))
