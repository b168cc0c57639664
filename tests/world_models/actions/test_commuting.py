"""Commuting rotations fitted without labels: known planes and angles come back from noisy latents of a torus."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from equiworld.world_models.actions.commuting import (
    Fit,
    Words,
    fit_commuting_rotations,
    polar,
    possible_words,
    predict,
    random_fit,
    simplest_angles,
)

ANGLES = (0.952, 0.571)  # of the two generators, each in a plane of its own


def torus(steps: int, noise: float = 0.05, number: int = 1000, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Whitened latents before and after ``steps`` actions, the net counts of those, and the true basis."""
    generator = torch.Generator().manual_seed(seed)
    basis = polar(torch.randn(4, 4, generator=generator))
    actions = torch.randint(4, (number, steps), generator=generator)
    counts = torch.stack([(actions == 2 * g).sum(1) - (actions == 2 * g + 1).sum(1) for g in range(2)], 1).float()
    phases = 2 * math.pi * torch.rand(number, 2, generator=generator)

    def latents(turned: Tensor) -> Tensor:
        flat = math.sqrt(2) * torch.stack([torch.cos(turned), torch.sin(turned)], -1).flatten(1)
        return (flat + noise * torch.randn(number, 4, generator=generator)) @ basis

    return latents(phases), latents(phases + counts * torch.tensor(ANGLES)), counts, basis


def best(before: Tensor, after: Tensor, words: Words, known: Tensor | None = None) -> Fit:
    start = random_fit(
        96 if len(words.counts) > 9 else 24, before.shape[1], words.counts.shape[1], torch.Generator().manual_seed(1)
    )
    return fit_commuting_rotations(before, after, words, start, known).best()


def check_angles(fit: Fit, tolerance: float = 0.01) -> None:
    """One plane of each generator turns by its angle, the other by none."""
    sizes = fit.angles[0].abs().sort(1, descending=True).values
    found = sizes[:, 0].sort(descending=True).values
    assert found.tolist() == pytest.approx(ANGLES, abs=tolerance)
    assert float(sizes[:, 1].max()) < tolerance
    assert fit.angles[0].abs().argmax(1).sort().values.tolist() == [0, 1]


def check_planes(fit: Fit, basis: Tensor) -> None:
    projectors = [fit.basis[0, 2 * p : 2 * p + 2].T @ fit.basis[0, 2 * p : 2 * p + 2] for p in range(2)]
    true = [basis[2 * p : 2 * p + 2].T @ basis[2 * p : 2 * p + 2] for p in range(2)]
    assert min(float((projectors[0] - each).norm()) for each in true) < 0.02
    torch.testing.assert_close(fit.basis[0] @ fit.basis[0].T, torch.eye(4), atol=1e-5, rtol=0.0)


# With five actions between the images there are 36 outcomes, and one start in five or so leads to the right one.
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_planes_and_angles_come_back_without_labels(steps: int) -> None:
    before, after, counts, basis = torus(steps)
    words = possible_words(2, steps, inverses=True)
    fit = simplest_angles(best(before, after, words), steps, inverses=True)
    check_angles(fit)
    check_planes(fit, basis)
    # What happened in each pair is told too, up to the generators' names and directions.
    moved, word = predict(before, after, words, fit)
    first = int(fit.angles[0].abs().max(1).values.argmax())
    plane = fit.angles[0].abs().argmax(1)
    told = words.counts[word][:, [first, 1 - first]]
    for generator in range(2):
        agree = [float((sign * told[:, generator] == counts[:, generator]).float().mean()) for sign in (1, -1)]
        assert max(agree) > 0.99, plane
    assert float((moved - after).square().sum(1).mean()) < 8 * 4 * 0.05**2
    assert float(fit.error) == pytest.approx(float((moved - after).square().sum(1).mean()), rel=0.1)


def test_planes_and_angles_come_back_from_given_labels() -> None:
    before, after, counts, basis = torus(1)
    distinct, known = torch.unique(counts, dim=0, return_inverse=True)
    fit = best(before, after, Words(distinct, torch.zeros(len(distinct))), known)
    check_planes(fit, basis)
    sizes = fit.angles[0].abs()
    assert sizes.max(1).values.tolist() == pytest.approx(ANGLES, abs=0.01)
    assert float(sizes.min(1).values.max()) < 0.01


def test_with_labels_angles_need_no_single_plane() -> None:
    """A generator that turns both planes is found as it is."""
    generator = torch.Generator().manual_seed(3)
    phases = 2 * math.pi * torch.rand(800, 2, generator=generator)
    turn = torch.tensor([0.7, -1.1])
    before, after = (
        math.sqrt(2) * torch.stack([torch.cos(each), torch.sin(each)], -1).flatten(1)
        for each in (phases, phases + turn)
    )
    fit = best(before, after, Words(torch.ones(1, 1), torch.zeros(1)), torch.zeros(800, dtype=torch.long))
    assert sorted(fit.angles[0, 0].abs().tolist()) == pytest.approx([0.7, 1.1], abs=1e-3)
    assert float(fit.error) < 1e-4


@pytest.mark.parametrize(
    ("steps", "inverses", "angles", "expected"),
    [
        # In plane 0 both generators are pi off; a pair two steps apart cannot tell.
        (2, True, [[0.9 - math.pi, 0.1], [0.0 + math.pi - 1e-3, 0.5]], [[0.9, 0.1], [-1e-3, 0.5]]),
        (4, True, [[3.0, 0.1], [-3.0, 0.5]], [[3.0 - math.pi, 0.1], [math.pi - 3.0, 0.5]]),
        (2, True, [[0.9, 0.1], [0.0, 0.5]], [[0.9, 0.1], [0.0, 0.5]]),
        (1, True, [[3.0, 0.1], [-3.0, 0.5]], [[3.0, 0.1], [-3.0, 0.5]]),
        (5, True, [[3.0, 0.1], [-3.0, 0.5]], [[3.0, 0.1], [-3.0, 0.5]]),
        # Without inverses any part of a full turn that the steps complete is left open.
        (3, False, [[0.2 - 2 * math.pi / 3, 0.1], [-2 * math.pi / 3, 0.5]], [[0.2, 0.1], [0.0, 0.5]]),
        (1, False, [[3.0, 0.1], [-3.0, 0.5]], [[3.0, 0.1], [-3.0, 0.5]]),
    ],
)
def test_of_equal_solutions_the_one_that_turns_least_is_taken(
    steps: int, inverses: bool, angles: list[list[float]], expected: list[list[float]]
) -> None:
    fit = Fit(torch.eye(4)[None], torch.tensor([angles]), torch.zeros(1), torch.zeros(1))
    simple = simplest_angles(fit, steps, inverses)
    torch.testing.assert_close(simple.angles[0], torch.tensor(expected), atol=1e-5, rtol=0.0)
    # Whatever is chosen, it says the same of every word of that many steps.
    words = possible_words(2, steps, inverses).counts
    before, after = (words @ each[0] for each in (fit.angles, simple.angles))
    torch.testing.assert_close(torch.cos(before - after), torch.ones_like(before), atol=1e-4, rtol=0.0)


def test_words_of_one_step_are_the_actions_and_their_inverses() -> None:
    words = possible_words(2, 1, inverses=True)
    assert sorted(words.counts.tolist()) == [[-1, 0], [0, -1], [0, 1], [1, 0]]
    torch.testing.assert_close(words.log_prior.exp(), torch.full((4,), 0.25))
    assert sorted(possible_words(3, 1, inverses=False).counts.tolist()) == [[0, 0, 1], [0, 1, 0], [1, 0, 0]]


def test_words_of_two_steps_have_the_chances_of_two_draws() -> None:
    words = possible_words(2, 2, inverses=True)
    chances = {
        tuple(counts): float(chance)
        for counts, chance in zip(words.counts.tolist(), words.log_prior.exp(), strict=True)
    }
    expected = {(0, 0): 4, (2, 0): 1, (-2, 0): 1, (0, 2): 1, (0, -2): 1, (1, 1): 2, (1, -1): 2, (-1, 1): 2, (-1, -1): 2}
    assert chances == pytest.approx({key: count / 16 for key, count in expected.items()})


def test_polar_gives_the_nearest_orthogonal_matrix() -> None:
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(3, 3, generator=generator)
    near = polar(matrix)
    torch.testing.assert_close(near @ near.T, torch.eye(3), atol=1e-5, rtol=0.0)
    others = polar(torch.randn(500, 3, 3, generator=generator))
    assert float((others - matrix).norm(dim=(1, 2)).min()) >= float((near - matrix).norm())
    torch.testing.assert_close(polar(near), near, atol=1e-5, rtol=0.0)


def test_the_best_candidate_is_that_of_the_highest_score() -> None:
    fit = Fit(
        torch.eye(2).repeat(3, 1, 1),
        torch.arange(3.0).reshape(3, 1, 1),
        torch.tensor([1.0, 5.0, 2.0]),
        torch.arange(3.0),
    )
    assert (fit.best().angles.flatten().tolist(), fit.best().error.tolist()) == ([1.0], [1.0])


def test_the_fit_depends_on_its_arguments_alone() -> None:
    before, after, _, _ = torus(1, number=200)
    words = possible_words(2, 1, inverses=True)
    torch.manual_seed(0)
    one = best(before, after, words)
    torch.manual_seed(1)
    assert torch.equal(one.angles, best(before, after, words).angles)
