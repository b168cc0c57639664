"""The reconstruction terms, against their definitions."""

from __future__ import annotations

import pytest
import torch

from equiworld.envs import UsageError
from equiworld.world_models.likelihoods import LIKELIHOODS

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = 3 * torch.randn(4, 2, 5, 3, generator=GENERATOR)
IMAGES = torch.rand(4, 2, 5, 3, generator=GENERATOR)


def test_bernoulli_is_the_cross_entropy_in_nats_summed_over_pixels() -> None:
    chance = torch.sigmoid(LOGITS.double())
    expected = -(IMAGES * chance.log() + (1 - IMAGES) * (1 - chance).log()).sum((1, 2, 3))
    torch.testing.assert_close(LIKELIHOODS["bernoulli"]().loss(LOGITS, IMAGES), expected.float())


def test_bernoulli_stays_finite_where_the_sigmoid_is_exactly_0_or_1() -> None:
    logits = torch.tensor([-200.0, 200.0]).reshape(2, 1, 1, 1).requires_grad_()
    loss = LIKELIHOODS["bernoulli"]().loss(logits, torch.tensor([1.0, 0.0]).reshape(2, 1, 1, 1))
    assert loss.tolist() == [200.0, 200.0]
    loss.sum().backward()
    assert logits.grad is not None
    assert logits.grad.flatten().tolist() == [-1.0, 1.0]


def test_squared_is_the_distance_between_sigmoid_and_picture() -> None:
    expected = ((1 / (1 + (-LOGITS).exp()) - IMAGES) ** 2).sum((1, 2, 3))
    torch.testing.assert_close(LIKELIHOODS["squared"]().loss(LOGITS, IMAGES), expected)


@pytest.mark.parametrize("name", LIKELIHOODS.names())
def test_the_decoded_picture_is_the_sigmoid(name: str) -> None:
    mean = LIKELIHOODS[name]().mean(torch.tensor([-1e4, 0.0, 1e4]))
    assert mean.tolist() == [0.0, 0.5, 1.0]


def test_an_unknown_one_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown likelihood 'gauss'; there are: bernoulli, squared"):
        LIKELIHOODS["gauss"]
