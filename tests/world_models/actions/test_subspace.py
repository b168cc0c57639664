"""Slow directions of codes: their order, their speeds and how many stand still."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from equiworld.world_models.actions.subspace import count_static, slow_subspace

ANGLE = 0.6


def codes(static: int, steps: int = 1, number: int = 20_000) -> tuple[Tensor, Tensor, Tensor]:
    """Mixed codes of static numbers, a plane that turns by ANGLE a step, and noise; and the mixing matrix."""
    generator = torch.Generator().manual_seed(0)
    still = torch.randn(number, static, generator=generator)
    phase = 2 * math.pi * torch.rand(number, generator=generator)
    mixing = torch.randn(static + 3, static + 3, generator=torch.Generator().manual_seed(7))

    def view(turned: Tensor) -> Tensor:
        parts = [still, 3 * torch.cos(turned)[:, None], 0.2 * torch.sin(turned)[:, None]]
        return torch.cat([*parts, torch.randn(number, 1, generator=generator)], 1) @ mixing + 5.0

    return view(phase), view(phase + steps * ANGLE), mixing


def test_directions_are_sorted_by_speed_and_speeds_mean_what_is_said() -> None:
    before, after, mixing = codes(static=2)
    space = slow_subspace(before, after)
    turning = 1 - math.cos(ANGLE)
    assert space.speeds.tolist() == pytest.approx([0.0, 0.0, turning, turning, 1.0], abs=0.02)
    # In the original coordinates, the slowest rows see the static parts alone, the last one the noise alone.
    seen = (mixing @ space.directions.T).T
    assert float(seen[:2, 2:].abs().max()) < 0.05
    assert float(seen[2:4, [0, 1, 4]].abs().max()) < 0.05
    assert float(seen[4, :4].abs().max()) < 0.2


def test_directions_whiten() -> None:
    before, after, _ = codes(static=1)
    space = slow_subspace(before, after)
    seen = (torch.cat([before, after]) - space.centre) @ space.directions.T
    torch.testing.assert_close(torch.cov(seen.T), torch.eye(4), atol=1e-3, rtol=0.0)
    assert float(seen.mean(0).abs().max()) < 1e-3


def test_a_direction_that_carries_nothing_is_not_blown_up() -> None:
    before, after, _ = codes(static=1, number=500)
    before, after = (torch.cat([each, torch.zeros(500, 1)], 1) for each in (before, after))
    space = slow_subspace(before, after)
    assert bool(torch.isfinite(space.directions).all())
    assert float(space.speeds.min()) >= -1e-6


@pytest.mark.parametrize(("static", "at_most", "counted"), [(0, 3, 0), (2, 4, 2), (3, 2, 2), (1, 1, 1)])
def test_what_stands_still_to_the_end_is_counted(static: int, at_most: int, counted: int) -> None:
    before, after, _ = codes(static)
    # After a window of five steps the plane has turned by 3 radians, though one step moves it little.
    first, last, _ = codes(static, steps=5)
    assert count_static(slow_subspace(before, after), first, last, at_most) == counted
