"""Windows of codes under inferred actions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from equiworld.datasets import Batch
from equiworld.world_models.actions.solving import rotation_maps
from equiworld.world_models.actions.windows import (
    align,
    as_pairs,
    likeliest_words,
    outcome_errors,
    products,
    unevenness,
)


@pytest.mark.parametrize("steps", [1, 2])
def test_the_likeliest_words_are_inferred_from_consecutive_means(steps: int) -> None:
    matrices = rotation_maps(torch.tensor([[0.9, 0.0], [-0.9, 0.0], [0.0, 0.7], [0.0, -0.7]]))
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randint(4, (6, 3, steps), generator=generator)
    means = [torch.randn(6, 4, generator=generator)]
    for place in range(3):
        step = means[-1]
        for number in range(steps):
            step = torch.einsum("bij,bj->bi", matrices[chosen[:, place, number]], step)
        means.append(step)
    found = likeliest_words(torch.stack(means, 1), matrices, steps)
    assert found.shape == (6, 3, steps)
    # Words that undo themselves all say the same; what they do is what counts.
    for told, done in zip(found.reshape(-1, steps), chosen.reshape(-1, steps), strict=True):
        moves = [torch.linalg.multi_dot([matrices[a] for a in word] + [torch.eye(4)]) for word in (told, done)]
        torch.testing.assert_close(*moves, atol=1e-5, rtol=0.0)
    if steps == 1:
        assert torch.equal(found, chosen)


def test_products_along_windows_are_products_and_undone_by_their_inverses() -> None:
    generator = torch.Generator().manual_seed(0)
    forward = torch.eye(3) + 0.3 * torch.randn(5, 3, 3, generator=generator)  # they do not commute
    chosen = torch.randint(5, (4, 3, 2), generator=generator)
    onward, back = products(forward, torch.linalg.inv(forward), chosen)
    assert onward.shape == back.shape == (4, 4, 3, 3)
    for window in range(4):
        expected = torch.eye(3)
        torch.testing.assert_close(onward[window, 0], expected)
        for place in range(3):
            for action in chosen[window, place]:
                expected = forward[action] @ expected
            torch.testing.assert_close(onward[window, place + 1], expected)
    identity = torch.eye(3).expand(4, 4, 3, 3)
    torch.testing.assert_close(back @ onward, identity, atol=1e-4, rtol=0.0)


def test_windows_as_pairs() -> None:
    index = torch.tensor([[0, 1, 2], [3, 4, 5]])
    actions = torch.arange(8).reshape(2, 2, 2)
    pairs = as_pairs(Batch(torch.zeros(6, 1, 2, 2), index, actions))
    assert pairs.index.tolist() == [[0, 1], [1, 2], [3, 4], [4, 5]]
    assert pairs.actions.tolist() == [[[0, 1]], [[2, 3]], [[4, 5]], [[6, 7]]]


def test_codes_that_the_actions_explain_are_predicted_exactly() -> None:
    generator = torch.Generator().manual_seed(0)
    forward = rotation_maps(torch.tensor([[0.9, 0.0], [0.0, 0.7]]))
    chosen = torch.randint(2, (5, 3, 1), generator=generator)
    onward, _ = products(forward, forward.transpose(1, 2), chosen)
    means = torch.einsum("stij,sj->sti", onward, torch.randn(5, 4, generator=generator))
    aligned = align(means, forward, forward.transpose(1, 2), chosen)
    torch.testing.assert_close(aligned.predicted, means, atol=1e-5, rtol=0.0)
    assert float(aligned.dispersion) == pytest.approx(0.0, abs=1e-9)
    torch.testing.assert_close(outcome_errors(means[:, 0], means[:, 1], forward).argmin(1), chosen[:, 0, 0])
    # Rotations keep lengths: what is added to every code in its own frame moves each prediction by its mean.
    off = align(means + torch.randn(means.shape, generator=generator), forward, forward.transpose(1, 2), chosen)
    assert float(off.dispersion) > 1.0


def test_unevenness_is_that_of_the_distribution_the_windows_come_from() -> None:
    generator = torch.Generator().manual_seed(0)

    def circle(phase: Tensor) -> Tensor:
        return torch.stack([torch.cos(phase), torch.sin(phase)], -1).flatten(-2)

    # A plane with a third of its circle left out has first moment sin(120) / (2 pi / 3) and second half that or so.
    gap = 4 * math.pi / 3 * torch.rand(4000, 2, 1, generator=generator)
    full = 2 * math.pi * torch.rand(4000, 2, 1, generator=generator)
    first, second = math.sin(2 * math.pi / 3) / (2 * math.pi / 3), math.sin(4 * math.pi / 3) / (4 * math.pi / 3)
    assert float(unevenness(circle(full))) == pytest.approx(0.0, abs=0.002)
    assert float(unevenness(circle(gap))) == pytest.approx(first**2 + second**2, abs=0.01)
    both = 3 * torch.cat([circle(gap), circle(full)], -1)  # planes add up; the radius is nothing
    assert float(unevenness(both)) == pytest.approx(first**2 + second**2, abs=0.012)
    # However alike the codes of a window are, even windows stay even.
    assert float(unevenness(circle(full[:, :1].expand(-1, 6, -1)))) == pytest.approx(0.0, abs=0.005)
    assert float(unevenness(circle(full[:1]))) == 0.0
