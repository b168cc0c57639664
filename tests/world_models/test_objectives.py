"""The divergence's part of the loss: its weight, and the capacity's schedule."""

from __future__ import annotations

import pytest
import torch

from equiworld.envs import UsageError
from equiworld.world_models.objectives import OBJECTIVES, Beta, Capacity

KL = torch.tensor([1.0, 2.0, 6.0])  # of three pictures; 3 on average


def test_h_weights_the_mean_divergence_whatever_the_update() -> None:
    assert [float(Beta(4.0).penalty(KL, step)) for step in (0, 10**6)] == [12.0, 12.0]


def test_the_capacity_rises_linearly_and_stays() -> None:
    schedule = Capacity(gamma=10.0, C_max=25.0, C_stop_iter=1000)
    assert [schedule.capacity(step) for step in (0, 1, 500, 1000, 5000)] == [0.0, 0.025, 12.5, 25.0, 25.0]


@pytest.mark.parametrize(("step", "expected"), [(0, 30.0), (120, 0.0), (400, 70.0), (4000, 220.0)])
def test_b_is_gamma_times_the_distance_of_the_mean_to_the_capacity(step: int, expected: float) -> None:
    assert float(Capacity(10.0, 25.0, 1000).penalty(KL, step)) == pytest.approx(expected)


def test_b_pulls_from_both_sides() -> None:
    for step, sign in ((0, 1.0), (4000, -1.0)):
        kl = KL.clone().requires_grad_()
        Capacity(3.0, 25.0, 1000).penalty(kl, step).backward()
        assert kl.grad is not None
        assert kl.grad.tolist() == [sign] * 3


def test_they_are_there_by_name() -> None:
    assert (OBJECTIVES["H"], OBJECTIVES["B"]) == (Beta, Capacity)
    with pytest.raises(UsageError, match="unknown objective 'C'; there are: B, H"):
        OBJECTIVES["C"]
