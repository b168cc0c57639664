"""The weight on the divergence."""

from __future__ import annotations

import pytest
import torch

from equiworld.envs import UsageError
from equiworld.world_models.latents import EuclideanLatent
from equiworld.world_models.objectives import OBJECTIVES, Beta, Evidence

KL = torch.tensor([1.0, 2.0, 6.0])  # of three pictures; 3 on average


def test_it_weighs_the_mean_divergence_whatever_the_update() -> None:
    assert [float(Beta(4.0).penalty(KL, step)) for step in (0, 10**6)] == [12.0, 12.0]


def test_the_loss_is_the_reconstruction_and_the_penalty() -> None:
    posterior = EuclideanLatent(2).posterior(torch.zeros(3, 4))
    evidence = Evidence(torch.zeros(3, 1, 1, 1), posterior, posterior.mean, torch.tensor([3.0, 4.0, 5.0]), KL[:, None])
    terms = {name: float(value) for name, value in Beta(2.0).loss(evidence, 0).items()}
    assert terms == {"loss": 10.0, "reconstruction": 4.0, "kl": 3.0, "penalty": 6.0}


def test_it_is_there_by_its_name_and_by_its_letter() -> None:
    assert OBJECTIVES.known_as("H") == OBJECTIVES.known_as("beta") == "beta"
    part = OBJECTIVES["beta"]
    built = part.build(part.options(beta=4.0), None)
    assert (type(built), built.beta) == (Beta, 4.0)
    with pytest.raises(UsageError, match="unknown objective 'C'; there are: beta, capacity"):
        OBJECTIVES.known_as("C")


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(UsageError, match=r"--beta must be 0 or more, not -1.0"):
        Beta(-1.0)
