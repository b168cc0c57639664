"""The procrustes estimator, each part of it on codes that are exact."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from equiworld.datasets import FactorDataset, TransitionDataset, WindowLoader, record_trajectory
from equiworld.envs import FlatLand, UsageError
from equiworld.world_models.actions.procrustes import Procrustes, Schedule
from equiworld.world_models.actions.solving import Solution, assign_maps, rotation_maps
from equiworld.world_models.group import GroupVAE
from equiworld.world_models.networks import Encoder

WORLD = FlatLand(period=9, stride=2, radius=3, size=16)
DATA = FactorDataset(WORLD)
ANGLE = 2 * math.pi * 2 / 9


class TorusEncoder(Encoder):
    """Tells the exact phases of the disc from the picture, mixed into as many codes as are asked for."""

    def __init__(self, wide: int) -> None:
        super().__init__(nn.Identity(), nn.Linear(1, 2 * wide))
        factors = DATA.generative_factors(np.arange(len(DATA)))
        phases = torch.from_numpy(factors).float() * 2 * math.pi / 9
        torus = torch.stack([torch.cos(phases), torch.sin(phases)], -1).flatten(1)
        mixing = torch.randn(4, wide, generator=torch.Generator().manual_seed(0))
        # What spare directions carry differs from state to state, and so is forgotten at once.
        spare = 0.005 * torch.randn(len(DATA), wide, generator=torch.Generator().manual_seed(1))
        self.register_buffer("codes", torus @ mixing + 1.5 + spare)
        self.register_buffer("pictures", DATA.images(np.arange(len(DATA))).flatten(1))

    def forward(self, images: Tensor) -> Tensor:
        distance = torch.cdist(images.contiguous().flatten(1), self.pictures)
        codes = self.codes[distance.argmin(1)]
        return torch.cat([codes, torch.full_like(codes, -6.0)], 1)


def every_pair(offset: int) -> TransitionDataset:
    """Every state with every word of ``offset`` actions, once: so nothing is left to chance."""
    words = np.array(list(itertools.product(range(4), repeat=offset)))
    actions = np.tile(words, (len(DATA), 1))
    path = [DATA.generative_factors(np.repeat(np.arange(len(DATA)), len(words)))]
    for step in range(offset):
        path.append(WORLD.act(path[-1], actions[:, step]))
    states = np.stack([DATA.latent_to_index(factors) for factors in path], axis=1)
    return TransitionDataset(DATA, states, actions, offset)


def setting(
    tiny: Callable[..., Any], model: str = "rgrvae", offset: int = 1, **options: Any
) -> tuple[GroupVAE, Procrustes, WindowLoader]:
    """A group model whose search networks already know the torus, and a loader of uniform pairs."""
    made: GroupVAE = tiny(model, offset=offset, period=9, **options).model
    estimator = made.estimator
    assert isinstance(estimator, Procrustes)
    estimator.search[0] = TorusEncoder(estimator.wide.size)
    pairs = every_pair(offset)
    estimator.problem = replace(estimator.problem, pairs=len(pairs), restarts=24)
    return made, estimator, WindowLoader(pairs, pairs.windows(1), 1, 16, seed=0)


def turned(maps: Tensor) -> tuple[list[float], list[float]]:
    """Of each map, the larger and the smaller of the angles in its two planes, without sign."""
    angles = torch.stack([torch.atan2(maps[:, p + 1, p], maps[:, p, p]).abs() for p in (0, 2)], 1).sort(1).values
    return angles[:, 1].tolist(), angles[:, 0].tolist()


@pytest.mark.parametrize("offset", [1, 2])
def test_the_actions_are_solved_for_without_labels(tiny: Callable[..., Any], offset: int) -> None:
    model, estimator, loader = setting(tiny, offset=offset)
    solution = estimator._solve(model, loader, step=100)
    assert solution.accepted, solution.report
    large, small = turned(solution.maps)
    assert large == pytest.approx([ANGLE] * 4, abs=0.02)
    assert small == pytest.approx([0.0] * 4, abs=0.02)
    # Neighbours are inverse to each other, and the two pairs of them stand on different planes.
    torch.testing.assert_close(solution.maps[0] @ solution.maps[1], torch.eye(4), atol=1e-5, rtol=0.0)
    torch.testing.assert_close(solution.maps[2] @ solution.maps[3], torch.eye(4), atol=1e-5, rtol=0.0)
    assert len({int((each - torch.eye(4)).diagonal().abs().argmax()) // 2 for each in solution.maps}) == 2
    # The codes come back from what is kept of them.
    codes = estimator.search[0].codes
    kept = (codes - solution.centre) @ solution.to_code.T
    assert float((kept @ solution.to_search.T + solution.centre - codes).std()) < 0.02


def test_solving_depends_on_seed_and_update_alone(tiny: Callable[..., Any]) -> None:
    model, estimator, loader = setting(tiny)
    torch.manual_seed(0)
    one = estimator._solve(model, loader, step=100)
    torch.manual_seed(1)
    two = estimator._solve(model, loader, step=100)
    assert torch.equal(one.maps, two.maps)
    assert torch.equal(one.to_code, two.to_code)


@pytest.mark.parametrize("model_name", ["forward", "dforward"])
@pytest.mark.parametrize("offset", [1, 2])
def test_given_labels_find_the_bank_entries_that_carry_them(
    tiny: Callable[..., Any], model_name: str, offset: int
) -> None:
    """Codes 0 and 2 move the disc along one axis, 1 and 3 along the other; the bank counts pair by pair."""
    model, estimator, loader = setting(tiny, model_name, offset=offset)
    solution = estimator._solve(model, loader, step=100)
    assert solution.accepted, solution.report
    large, small = turned(solution.maps)
    assert large == pytest.approx([ANGLE] * 4, abs=0.02)
    assert small == pytest.approx([0.0] * 4, abs=0.02)
    torch.testing.assert_close(solution.maps[0] @ solution.maps[2], torch.eye(4), atol=0.02, rtol=0.0)
    torch.testing.assert_close(solution.maps[1] @ solution.maps[3], torch.eye(4), atol=0.02, rtol=0.0)
    for number, entry in enumerate(assign_maps(model.bank, solution.maps)):
        model.bank.fit_(entry, solution.maps[number])
        estimator.entries[number] = entry
    assert sorted(estimator.entries.tolist()) == [0, 1, 2, 3]
    pairs = [int(entry) // 2 for entry in estimator.entries]
    assert pairs[0] == pairs[2] != pairs[1] == pairs[3]
    # Each bank entry now carries its label's codes onwards.
    batch = loader.sample(40, 0)
    centred = (estimator.search[0](batch.frames)[:, : estimator.wide.size] - solution.centre) @ solution.to_code.T
    means = centred[batch.index]
    chosen = estimator._chosen(means, model.bank.matrices(), batch)
    assert torch.equal(chosen, estimator.entries[batch.actions])
    moved = means[:, 0]
    for place in range(offset):
        moved = model.act(moved, chosen[:, 0, place])
    torch.testing.assert_close(moved.detach(), means[:, 1], atol=0.05, rtol=0.0)


def test_noise_is_not_accepted(tiny: Callable[..., Any]) -> None:
    model, estimator, loader = setting(tiny)
    codes = estimator.search[0].codes
    codes.copy_(torch.randn(codes.shape, generator=torch.Generator().manual_seed(3)))
    assert not estimator._solve(model, loader, step=100).accepted


def solution(maps: Tensor, wide: int, accepted: bool = True, size: int = 4) -> Solution:
    generator = torch.Generator().manual_seed(5)
    to_code, to_search = torch.randn(size, wide, generator=generator), torch.randn(wide, size, generator=generator)
    return Solution(to_code, to_search, torch.randn(wide, generator=generator), maps, accepted, "so it is")


@torch.no_grad()
def test_installing_makes_the_directions_latents_and_the_maps_a_bank(tiny: Callable[..., Any]) -> None:
    model = tiny("rgrvae").model
    estimator = model.estimator
    angles = torch.tensor([[0.0, -0.8], [0.0, 0.8], [1.1, 0.0], [-1.1, 0.0]])
    found = solution(rotation_maps(angles), estimator.wide.size)
    estimator._install(model, found)
    images = torch.rand(6, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    wide = estimator.search[0](images)[:, : estimator.wide.size]
    torch.testing.assert_close(model.encode(images), (wide - found.centre) @ found.to_code.T, atol=1e-4, rtol=1e-4)
    codes = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
    old = torch.sigmoid(estimator.search[1](codes @ found.to_search.T + found.centre))
    torch.testing.assert_close(model.decode(codes), old, atol=1e-4, rtol=1e-4)
    # c+ takes what turns forwards and c- what turns back, each on its own pair.
    assert [float(each.angle) for each in model.bank.representations] == pytest.approx([1.1, -1.1, 0.8, -0.8])


def test_the_group_loss_is_the_mean_squared_distance_between_what_should_be_one(tiny: Callable[..., Any]) -> None:
    assembly = tiny("dforward", gvae_gamma=3.0)
    model, loader = assembly.model, assembly.loader("training")
    model.estimator.solved_at.fill_(0)
    batch = next(iter(loader.epoch(0)))
    terms = model.terms(batch, 0, torch.Generator().manual_seed(0))
    codes = model.encode(batch.frames)[batch.index]
    total, number = torch.zeros(()), 0
    for window, actions in zip(codes, batch.actions, strict=True):
        back = [window[0]]
        for place in range(1, len(window)):
            code = window[place][None]
            for action in reversed(actions[:place, 0]):
                code = model.act(code, model.estimator.entries[action][None], power=-1)
            back.append(code[0])
        for one, two in itertools.combinations(back, 2):
            total, number = total + (one - two).square().sum(), number + 1
    torch.testing.assert_close(terms["prediction"], total / number, atol=1e-5, rtol=1e-4)
    expected = terms["reconstruction"] + terms["penalty"] + 3 * terms["prediction"] + terms["group_penalty"]
    torch.testing.assert_close(terms["loss"], expected)


def test_rates_fall_and_training_ends_with_refinement(tiny: Callable[..., Any]) -> None:
    estimator = tiny("rgrvae").model.estimator
    estimator.schedule = Schedule(refine_steps=1000, warm_up=10, search_rate=0.25)
    assert (estimator.rate(0, "networks"), estimator.rate(5000, "bank")) == (0.25, 0.25)
    assert not estimator.finished(10**6)
    estimator.solved_at.fill_(300)
    rates = [estimator.rate(300 + step, "networks") for step in (0, 4, 9, 500, 1000, 2000)]
    assert rates == pytest.approx([0.1, 0.5, 0.9998, 0.505, 0.01, 0.01], abs=1e-3)
    assert (estimator.finished(1299), estimator.finished(1300)) == (False, True)


def test_the_search_begins_again_where_it_finds_nothing(
    tiny: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assembly = tiny("rgrvae")
    model, loader = assembly.model, assembly.loader("training")
    estimator = model.estimator
    estimator.schedule = Schedule(solve_every=10, patience=20)
    maps = rotation_maps(torch.tensor([[0.0, -0.8], [0.0, 0.8], [1.1, 0.0], [-1.1, 0.0]]))
    answers = {10: False, 20: False, 30: True}
    monkeypatch.setattr(
        estimator, "_solve", lambda model, loader, step: solution(maps, estimator.wide.size, answers[step])
    )
    before = estimator.search[0].head.weight.clone()
    lines = {step: estimator.advance(model, loader, step) for step in range(35)}
    assert {step: line for step, line in lines.items() if line} == {
        10: ["no actions yet: so it is"],
        20: ["no actions found in 20 updates, starting again: so it is"],
        30: ["actions found after 30 updates: so it is"],
    }
    assert not torch.equal(before, estimator.search[0].head.weight)
    assert (int(estimator.solved_at), int(estimator.began_at)) == (30, 20)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("rgrvae", {"group_structure": ("c+", "d")}, r"--group-structure takes c, c\+, c-, cn, CN"),
        ("rgrvae", {"group_structure": ("m",)}, r"--group-structure takes c, c\+, c-, cn, CN"),
        ("rgrvae", {"group_structure": ("0",)}, "--group-structure has only identities"),
        ("rgrvae", {"offset": 40}, "4 actions taken 40 at a time give too many combinations"),
        ("forward", {"latents": 2}, "the world has 4 actions but the group bank 2: raise --latents or add letters"),
    ],
)
def test_what_it_cannot_solve_for_is_refused(
    tiny: Callable[..., Any], model: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as refusal:
        tiny(model, **options)
    assert "\n" not in str(refusal.value)


def test_static_latents_are_found_and_do_not_move(tiny: Callable[..., Any]) -> None:
    model, estimator, _ = setting(tiny, static_latents=2)
    assert (model.latent.size, estimator.wide.size) == (6, 10)
    codes = torch.randn(5, 6)
    moved = model.act(codes, torch.arange(5) % 4)
    assert torch.equal(moved[:, 4:], codes[:, 4:])
    assert torch.equal(model.matrices()[:, 4:], torch.eye(6)[4:].expand(4, -1, -1))
    # In a clean world there is nothing static to find, and those latents start empty.
    pairs = record_trajectory(DATA, 1500, seed=1)
    found = estimator._solve(model, WindowLoader(pairs, pairs.windows(6), 6, 30, seed=0), step=100)
    assert found.accepted, found.report
    assert float(found.to_code[4:].abs().max()) == 0.0
