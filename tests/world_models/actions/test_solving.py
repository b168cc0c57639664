"""Solving for the actions: which bank entry takes which map, and what is not to be trusted."""

from __future__ import annotations

import torch

from equiworld.world_models.actions.representations import GroupBank
from equiworld.world_models.actions.solving import assign_maps, rotation_maps


def test_maps_are_assigned_by_plane_then_by_sign_and_identities_last() -> None:
    bank = GroupBank(["c-", "0", "c+"], 4, False, torch.Generator())
    angles = torch.tensor([[0.0, 0.8], [1.1, 0.0], [0.0, -0.8], [-1.1, 0.0]])
    assert assign_maps(bank, rotation_maps(angles)) == [5, 2, 3, 0]
