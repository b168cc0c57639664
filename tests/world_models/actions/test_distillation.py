"""Teaching the policy network the inferred actions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from equiworld.world_models.actions.distillation import part_way


def test_part_way_images_and_what_remains_of_the_actions(tiny: Callable[..., Any]) -> None:
    model = tiny("rgrvae", offset=3).model
    letters = torch.tensor([[0, 0, 2]]).repeat(300, 1)
    images, latents = torch.full((300, 1, 16, 16), 2.0), torch.randn(1, 4).repeat(300, 1)
    generator = torch.Generator().manual_seed(0)
    shown, left = part_way(model, images, latents, letters, model.matrices().detach(), generator)
    seen = {tuple(round(value, 3) for value in row) for row in left.tolist()}
    third = {(0.667, 0.0, 0.333, 0.0)}
    assert seen == third | {(1.0, 0.0, 0.0, 0.0), (0.5, 0.0, 0.5, 0.0), (0.0, 0.0, 1.0, 0.0)}
    untouched = (shown == 2.0).flatten(1).all(1)
    assert float(untouched.float().mean()) == pytest.approx(1 / 3, abs=0.1)
    torch.testing.assert_close(left[untouched], torch.tensor([[2 / 3, 0, 1 / 3, 0]]).expand(int(untouched.sum()), -1))
    assert float(shown[~untouched].max()) <= 1.0
