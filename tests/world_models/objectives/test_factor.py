"""FactorVAE: two losses that do not touch each other, the permutation, and a discriminator that tells what is true."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from equiworld.envs import UsageError
from equiworld.world_models.latents import EuclideanLatent
from equiworld.world_models.latents.hyperboloid import HyperboloidLatent
from equiworld.world_models.latents.torus import TorusLatent
from equiworld.world_models.objectives.factor import Factor
from equiworld.world_models.vae import VAE


def key(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def objective(size: int = 4, gamma: float = 6.4, **options: Any) -> Factor:
    small = {"layers": 2, "width": 32, "learning_rate": 1e-4} | options
    return Factor(EuclideanLatent(size), gamma, generator=key(), **small)


def model(gamma: float) -> VAE:
    return VAE((16, 16, 1), 4, "forward", "bernoulli", objective(gamma=gamma), 1e-3, key(1))


def pictures(number: int = 12) -> Tensor:
    return torch.rand(number, 1, 16, 16, generator=key(2))


def gradients(of: VAE, term: str) -> tuple[dict[str, Tensor | None], dict[str, Tensor | None]]:
    """Of the networks and of the discriminator, by one term of the loss."""
    of.zero_grad()
    found = of.objective.terms(of, pictures(), 0, key(3))
    value = found["loss"] - found["discriminator"] if term == "networks" else found[term]
    value.backward()
    held = {name: parameter.grad for name, parameter in of.named_parameters()}
    own = {name for name in held if name.startswith("objective.")}
    return {name: held[name] for name in held.keys() - own}, {name: held[name] for name in own}


def test_each_loss_reaches_what_it_trains_and_nothing_else() -> None:
    networks, discriminator = gradients(model(6.4), "discriminator")
    assert all(each is None for each in networks.values())
    assert all(each is not None and each.abs().sum() > 0 for each in discriminator.values())
    networks, discriminator = gradients(model(6.4), "total_correlation")
    assert all(each is None for each in discriminator.values())
    assert all(each is not None and each.abs().sum() > 0 for name, each in networks.items() if "encoder" in name)
    # All at once: what each is given is what its own loss gives it.
    whole = gradients(model(6.4), "loss")
    torch.testing.assert_close(whole[0], gradients(model(6.4), "networks")[0])
    torch.testing.assert_close(whole[1], gradients(model(6.4), "discriminator")[1], rtol=0.0, atol=0.0)


def test_the_weight_changes_the_networks_gradient_and_not_the_discriminators() -> None:
    without, with_weight = gradients(model(0.0), "loss"), gradients(model(6.4), "loss")
    torch.testing.assert_close(without[1], with_weight[1], rtol=0.0, atol=0.0)
    assert any(not torch.equal(without[0][name], with_weight[0][name]) for name in without[0])


def test_with_no_weight_the_first_half_trains_as_the_evidence_lower_bound() -> None:
    free = model(0.0)
    found = free.objective.terms(free, pictures(13), 0, key(3))
    generator = key(3)
    first = pictures(13)[torch.randperm(13, generator=generator)][:7]
    evidence = free.evidence(first, generator)
    expected = (evidence.reconstruction + evidence.kl.sum(1)).mean()
    torch.testing.assert_close(found["loss"] - found["discriminator"], expected)


def test_the_halves_are_drawn_whatever_the_order_of_the_batch() -> None:
    free = model(0.0)
    dark, light = torch.zeros(50, 1, 16, 16), torch.ones(50, 1, 16, 16)
    seen: list[Tensor] = []
    free.evidence = lambda images, generator: seen.append(images) or VAE.evidence(free, images, generator)
    free.objective.terms(free, torch.cat([dark, light]), 0, key(3))
    assert len(seen[0]) == 50
    assert 10 < int(seen[0].mean((1, 2, 3)).sum()) < 40


def test_factors_are_permuted_each_by_itself_and_whole() -> None:
    torus = Factor(TorusLatent(6), 1.0, 1, 8, 1e-4, key())
    codes = torch.arange(3000.0).view(500, 6)
    mixed = torus.permuted(codes, key(4))
    for column in (slice(0, 2), slice(2, 4), slice(4, 6)):
        order = mixed[:, column][:, 0].argsort()
        assert torch.equal(mixed[:, column][order], codes[:, column])  # the same pairs, once each
    assert int((mixed == codes).all(1).sum()) <= 3
    # What was dependent no longer is.
    dependent = torch.randn(4000, 1, generator=key(5)).repeat(1, 2)
    assert abs(float(torch.corrcoef(objective(2).permuted(dependent, key(6)).T)[0, 1])) < 0.06


def test_the_discriminator_has_the_published_size() -> None:
    for layers, expected in ((5, 4_017_002), (6, 5_018_002)):
        built = objective(10, layers=layers, width=1000)
        assert sum(parameter.numel() for parameter in built.parameters()) == expected
    (group,) = objective().parameter_groups()
    assert (group["name"], group["lr"], group["betas"]) == ("discriminator", 1e-4, (0.5, 0.9))


def test_a_discriminator_that_has_learnt_tells_the_total_correlation() -> None:
    # Of a Gaussian with correlation r it is -log(1 - r^2) / 2.
    r, built, generator = 0.9, objective(2, layers=2, width=32), key(7)

    def codes(number: int) -> Tensor:
        base = torch.randn(number, 2, generator=generator)
        return torch.stack([base[:, 0], r * base[:, 0] + math.sqrt(1 - r**2) * base[:, 1]], 1)

    class Given:  # a model whose codes are its images
        def posterior(self, images: Tensor) -> Any:
            return EuclideanLatent(2).posterior(torch.cat([images.flatten(1), torch.full((len(images), 2), -30.0)], 1))

        def evidence(self, images: Tensor, generator: torch.Generator) -> Any:
            return VAE.evidence(self, images, generator)

        def explained(self, posterior: Any, draw: Any, images: Tensor) -> Any:
            from equiworld.world_models.objectives import Evidence

            return Evidence(images, posterior, draw.codes, torch.zeros(len(images)), posterior.kl(), draw)

    optimizer = torch.optim.Adam(built.parameters(), 3e-3, betas=(0.5, 0.9))
    for _ in range(250):
        optimizer.zero_grad()
        found = built.terms(Given(), codes(256)[:, None, None], 0, generator)
        found["discriminator"].backward()
        optimizer.step()
    with torch.no_grad():
        told = float(built.total_correlation(codes(20_000)))
    assert told == pytest.approx(-0.5 * math.log(1 - r**2), rel=0.15)
    assert float(found["accuracy"]) > 0.65


def test_one_image_leaves_the_discriminator_alone() -> None:
    free = model(6.4)
    for number in (1, 2):  # of two images one is left to permute, which is nothing
        free.zero_grad()
        free.objective.terms(free, pictures(number), 0, key())["loss"].backward()
        assert all(parameter.grad is None for parameter in free.objective.parameters())


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(UsageError, match="needs two factors or more"):
        objective(1)
    with pytest.raises(UsageError, match="needs two factors or more"):
        Factor(HyperboloidLatent(4, factor_size=4), 1.0, 2, 8, 1e-4, key())
    for options, message in (
        ({"gamma": -1.0}, "--gamma must be 0 or more, not -1.0"),
        ({"layers": 0}, "--discriminator-layers must be above 0, not 0"),
        ({"width": 0}, "--discriminator-width must be above 0, not 0"),
        ({"learning_rate": 0.0}, "--discriminator-learning-rate must be above 0, not 0.0"),
    ):
        with pytest.raises(UsageError, match=message):
            objective(**options)


def test_a_batch_of_which_no_half_can_be_permuted_is_refused(tiny: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match="--batch-size 4 or more is accepted"):
        tiny("factorvae", architecture="forward", batch_size=3)
    tiny("factorvae", architecture="forward", batch_size=4, discriminator_width=8)
