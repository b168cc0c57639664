"""The importance-weighted bound: on a linear Gaussian model whose evidence is known, and in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from equiworld.envs import UsageError
from equiworld.world_models.latents import EuclideanLatent
from equiworld.world_models.latents.numerics import HALF_LOG_2PI
from equiworld.world_models.latents.torus import TorusLatent
from equiworld.world_models.objectives import Beta
from equiworld.world_models.objectives.iwae import IWAE
from equiworld.world_models.vae import VAE

WEIGHT = torch.tensor([[1.0, 0.5], [-0.5, 1.0], [2.0, 0.0]])  # of two latents, three pixels


def key(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Linear:
    """p(x|z) = N(Wz, I), p(z) = N(0, I). The posterior is diagonal, and so wrong, unless W's columns are orthogonal."""

    def __init__(self, weight: Tensor, spread: float = 1.0) -> None:
        self.weight, self.spread, self.likelihood, self.largest = weight, spread, self, 0
        self.precision = torch.eye(2) + weight.T @ weight

    def posterior(self, images: Tensor) -> object:
        mean = images.flatten(1) @ self.weight @ torch.linalg.inv(self.precision)
        variance = self.spread / self.precision.diagonal()
        return EuclideanLatent(2).posterior(torch.cat([mean, variance.log().expand_as(mean)], 1))

    def logits(self, codes: Tensor) -> Tensor:
        self.largest = max(self.largest, len(codes))
        return (codes @ self.weight.T)[:, None, None]

    def loss(self, outputs: Tensor, images: Tensor) -> Tensor:
        return (0.5 * (outputs - images).square() + HALF_LOG_2PI).sum((1, 2, 3))

    def evidence_of(self, images: Tensor) -> Tensor:
        """-log p(x), on average."""
        normal = MultivariateNormal(torch.zeros(3), torch.eye(3) + self.weight @ self.weight.T)
        return -normal.log_prob(images.flatten(1)).mean()


def pictures(number: int, weight: Tensor = WEIGHT) -> Tensor:
    codes = torch.randn(number, 2, generator=key(1))
    return (codes @ weight.T + torch.randn(number, 3, generator=key(2)))[:, None, None]


def test_the_bound_tightens_to_the_evidence() -> None:
    linear, images = Linear(WEIGHT, spread=3.0), pictures(500)
    found = [float(IWAE(k, 2**20).terms(linear, images, 0, key(3))["loss"]) for k in (1, 5, 50, 2000)]
    evidence = float(linear.evidence_of(images))
    assert found[0] - 0.3 > found[1] > found[2] + 0.01 > found[3]
    assert found[3] == pytest.approx(evidence, abs=0.005)


def test_with_the_true_posterior_every_sample_gives_the_evidence() -> None:
    weight = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 0.0]])  # orthogonal columns
    linear, images = Linear(weight), pictures(6, weight)
    for k in (1, 3):
        found = IWAE(k, 100).terms(linear, images, 0, key(4))
        torch.testing.assert_close(found["loss"], linear.evidence_of(images))
        torch.testing.assert_close(found["effective_samples"], torch.tensor(float(k)))


def model(latent: int | TorusLatent = 4) -> VAE:
    return VAE((16, 16, 1), latent, "forward", "bernoulli", Beta(), 1e-3, key())


def images16(number: int) -> Tensor:
    return torch.rand(number, 1, 16, 16, generator=key(5))


def test_one_sample_is_the_evidence_lower_bound() -> None:
    vae, images = model(), images16(6)
    evidence = vae.evidence(images, key(6))
    assert evidence.draw is not None
    found = IWAE(1, 100).terms(vae, images, 0, key(6))
    torch.testing.assert_close(found["loss"], (evidence.reconstruction + evidence.draw.log_ratio.sum(1)).mean())
    torch.testing.assert_close(found["loss"], IWAE(9, 100).loss(evidence, 0)["loss"])
    # And on average that of the closed form.
    with torch.no_grad():
        one = [float(IWAE(1, 100).terms(vae, images, 0, key(seed))["loss"]) for seed in range(150)]
        other = [float(Beta().terms(vae, images, 0, key(seed))["loss"]) for seed in range(150)]
    difference = torch.tensor(one) - torch.tensor(other)  # of the same samples: only the divergence's estimate differs
    assert abs(float(difference.mean())) < 4 * float(difference.std()) / 150**0.5


@pytest.mark.parametrize("latent", [4, TorusLatent(4)])
def test_parts_give_the_loss_and_the_gradient_of_the_whole(latent: int | TorusLatent) -> None:
    found = []
    for at_once in (100, 7):
        vae = model(latent)
        terms = IWAE(5, at_once).terms(vae, images16(6), 0, key(7))
        terms["loss"].backward()
        found.append((terms, {name: parameter.grad for name, parameter in vae.named_parameters()}))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-4)
    assert all(gradient is not None for gradient in found[0][1].values())


def test_memory_does_not_grow_with_the_samples() -> None:
    vae, images = model(), images16(4)

    def held(samples: int) -> int:
        """Numbers that wait for the backward pass."""
        sizes: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            sizes[tensor.data_ptr()] = tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            IWAE(samples, 4).terms(vae, images, 0, key())["loss"]
        return sum(sizes.values())

    def largest(samples: int) -> int:
        linear = Linear(WEIGHT)
        IWAE(samples, 4).terms(linear, pictures(4), 0, key())
        return linear.largest

    decoded = vae.logits(torch.zeros(1, 4)).numel()
    assert (held(64) - held(8)) / (4 * 56) < 0.5 * decoded  # codes and densities, not images
    assert [largest(samples) for samples in (1, 3, 50)] == [4, 4, 4]


def test_numbers_below_1_are_refused() -> None:
    for options, message in (
        ((0, 5), "--importance-samples must be 1 or more, not 0"),
        ((5, 0), "--decoded-at-once must be 1"),
    ):
        with pytest.raises(UsageError, match=message):
            IWAE(*options)


def test_an_optimal_variance_is_refused(tiny: Callable[..., Any]) -> None:
    settings = {"objective": "iwae", "likelihood": "gaussian", "architecture": "forward"}
    assert isinstance(tiny("vae", variance_rule="learnt", **settings).model.objective, IWAE)
    with pytest.raises(UsageError, match="--variance-rule fixed or learnt is accepted"):
        tiny("vae", variance_rule="optimal", **settings)
