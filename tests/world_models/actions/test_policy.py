"""The policy network: its size, its uniform start, its shapes."""

from __future__ import annotations

import math

import pytest
import torch

from equiworld.envs import UsageError
from equiworld.world_models.actions.policy import PolicyNetwork


def test_it_has_the_published_size() -> None:
    network = PolicyNetwork((64, 64, 1), 4, torch.Generator().manual_seed(0))
    assert sum(parameter.numel() for parameter in network.parameters()) == 10_692


@pytest.mark.parametrize(("shape", "actions"), [((64, 64, 1), 4), ((15, 31, 3), 5)])
def test_it_starts_exactly_uniform(shape: tuple[int, int, int], actions: int) -> None:
    network = PolicyNetwork(shape, actions, torch.Generator().manual_seed(0))
    before, after = torch.rand(2, 6, shape[2], *shape[:2], generator=torch.Generator().manual_seed(1))
    assert torch.equal(network(before, after), torch.full((6, actions), -math.log(actions)))


def test_it_sees_both_images_and_their_order() -> None:
    network = PolicyNetwork((16, 16, 1), 3, torch.Generator().manual_seed(0))
    torch.nn.init.normal_(network.last.weight, generator=torch.Generator().manual_seed(2))
    one, two, three = torch.rand(3, 4, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    answers = [network(*pair) for pair in ((one, two), (two, one), (one, three), (three, two))]
    torch.testing.assert_close(answers[0].exp().sum(1), torch.ones(4))
    for other in answers[1:]:
        assert float((answers[0] - other).abs().max()) > 1e-3


def test_it_is_made_from_its_generator_alone() -> None:
    states = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        states.append(PolicyNetwork((16, 16, 1), 3, torch.Generator().manual_seed(4)).state_dict())
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_too_small_images_are_refused() -> None:
    with pytest.raises(UsageError, match="images of 14x20 are too small for the policy network: at least 15x15"):
        PolicyNetwork((14, 20, 1), 4, torch.Generator())
