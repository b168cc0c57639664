"""The capacity's schedule, and the pull towards it."""

from __future__ import annotations

import pytest
import torch

from equiworld.envs import UsageError
from equiworld.world_models.latents.euclidean import DiagonalGaussian
from equiworld.world_models.objectives import OBJECTIVES, Capacity, Evidence

KL = torch.tensor([1.0, 2.0, 6.0])  # of three pictures; 3 on average


def test_the_capacity_rises_linearly_and_stays() -> None:
    schedule = Capacity(gamma=10.0, C_max=25.0, C_stop_iter=1000)
    assert [schedule.capacity(step) for step in (0, 1, 500, 1000, 5000)] == [0.0, 0.025, 12.5, 25.0, 25.0]


@pytest.mark.parametrize(("step", "expected"), [(0, 30.0), (120, 0.0), (400, 70.0), (4000, 220.0)])
def test_the_penalty_is_gamma_times_the_distance_of_the_mean_to_the_capacity(step: int, expected: float) -> None:
    assert float(Capacity(10.0, 25.0, 1000).penalty(KL, step)) == pytest.approx(expected)


def test_it_pulls_from_both_sides() -> None:
    for step, sign in ((0, 1.0), (4000, -1.0)):
        kl = KL.clone().requires_grad_()
        Capacity(3.0, 25.0, 1000).penalty(kl, step).backward()
        assert kl.grad is not None
        assert kl.grad.tolist() == [sign] * 3


def test_it_is_there_by_its_name_and_by_its_letter() -> None:
    assert OBJECTIVES.known_as("B") == OBJECTIVES.known_as("capacity") == "capacity"
    part = OBJECTIVES["capacity"]
    built = part.build(part.options(gamma=5.0, C_max=2.0, C_stop_iter=9), None)
    assert (type(built), built.gamma, built.C_max, built.C_stop_iter) == (Capacity, 5.0, 2.0, 9)


@pytest.mark.parametrize("name", ["gamma", "C_max", "C_stop_iter"])
def test_what_is_not_above_0_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"--{name.replace('_', '-')} must be above 0, not 0"):
        Capacity(**{name: 0})


def test_the_capacity_is_among_the_terms() -> None:
    posterior = DiagonalGaussian(torch.zeros(3, 1), torch.zeros(3, 1))
    evidence = Evidence(torch.zeros(3, 1, 1, 1), posterior, torch.zeros(3, 1), torch.ones(3), KL[:, None])
    terms = Capacity(10.0, 25.0, 1000).loss(evidence, 120)
    assert {name: float(each) for name, each in terms.items()} == pytest.approx(
        {"loss": 1.0, "reconstruction": 1.0, "kl": 3.0, "penalty": 0.0, "capacity": 3.0}, abs=1e-5
    )
