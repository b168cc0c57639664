"""Dynamics of every kind against what they must be: likelihoods, groups, linear worlds, memories."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor, distributions

from equiworld.datasets.sequences import Recording
from equiworld.envs.registry import UsageError
from equiworld.world_models.dynamics import DYNAMICS, ActionCode, Dynamics, Setting, State, symexp, symlog
from equiworld.world_models.dynamics.base import Point, imagine
from equiworld.world_models.dynamics.mixture import Mixture
from equiworld.world_models.dynamics.model import DynamicsModel, DynamicsOptions
from equiworld.world_models.group import GroupVAE
from equiworld.world_models.vae import VAE


def source(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make(kind: str, base: VAE, space: spaces.Space[Any], **options: Any) -> Dynamics:
    part = DYNAMICS[kind]
    made = part.build(part.options(**options), Setting(base, ActionCode(space), source()))
    assert isinstance(made, Dynamics)
    return made


@pytest.fixture(scope="module")
def flat(tiny: Callable[..., Any]) -> VAE:
    """A model of single images with three latents."""
    return tiny("vae", latents=3, architecture="forward").model


@pytest.fixture(scope="module")
def turning(tiny: Callable[..., Any]) -> GroupVAE:
    """A group model whose four actions turn two planes."""
    model = tiny("rgrvae").model
    with torch.no_grad():
        for number, representation in enumerate(model.bank.representations):
            representation.angle.fill_((0.9, -0.9, 0.7, -0.7)[number])
    return model


def fit(model: DynamicsModel, recording: Recording, epochs: int, rate: float = 1e-2) -> list[float]:
    """Adam on a recording, at a rate that falls to 0; the losses of the codes."""
    model.prepare(recording)
    loader = model.loader(recording, 0)
    optimizer = torch.optim.Adam(model.dynamics.parameters(), rate)
    found = []
    for epoch in range(epochs):
        optimizer.param_groups[0]["lr"] = rate * 0.5 * (1 + math.cos(math.pi * epoch / epochs))
        for batch in loader.epoch(epoch):
            terms = model.terms(batch, 0, source(len(found)))
            optimizer.zero_grad()
            terms["loss"].backward()
            optimizer.step()
            found.append(terms["latent"].item())
    return found


def recording_of(latents: Tensor, actions: Tensor, rewards: Tensor, ends: Tensor) -> Recording:
    """E episodes of T rows: codes [E, T, L], actions [E, T, A], rewards and ends [E, T]."""
    episodes, rows = latents.shape[:2]
    return Recording(
        latents.flatten(0, 1),
        latents.flatten(0, 1),
        torch.arange(episodes * rows),
        actions.flatten(0, 1),
        rewards.flatten(),
        ends.flatten(),
        np.full(episodes, rows),
    )


# The interface


def test_symlog_and_back() -> None:
    values = torch.tensor([-1e4, -1.0, 0.0, 1e-3, 7.0, 1e4])
    assert torch.allclose(symexp(symlog(values)), values, rtol=1e-5)
    assert symlog(torch.tensor(math.e - 1)).item() == pytest.approx(1)
    assert torch.equal(symlog(-values), -symlog(values))
    at_zero = torch.zeros(1, requires_grad=True)
    symlog(at_zero + 1e-12).sum().backward()
    assert at_zero.grad is not None and at_zero.grad.item() == pytest.approx(1)  # like the identity there


def test_states_are_taken_apart_and_put_together() -> None:
    one, two = (State(torch.full((3, 2), value), torch.full((3, 4), value)) for value in (1.0, 2.0))
    mixed = one.where(torch.tensor([True, False, True]), two)
    assert mixed.latent[:, 0].tolist() == [1, 2, 1]
    assert mixed.memory is not None and mixed.memory[:, 3].tolist() == [1, 2, 1]
    part = mixed[torch.tensor([1, 1])]
    assert len(part) == 2 and part.latent.unique().tolist() == [2]
    assert State(torch.zeros(2, 3))[torch.tensor([True, False])].memory is None


@pytest.mark.parametrize("kind", ["group", "mlp", "gru", "mdn-gru"])
def test_a_step_has_the_shapes_and_ranges_that_are_promised(kind: str, turning: GroupVAE) -> None:
    dynamics = make(kind, turning, spaces.Discrete(4))
    latents = torch.randn(6, 4, generator=source())
    actions = dynamics.initial(latents), torch.eye(4)[[0, 1, 2, 3, 0, 1]]
    outcome = dynamics.step(*actions, source(1))
    assert outcome.state.latent.shape == (6, 4) and outcome.reward.shape == outcome.continues.shape == (6,)
    assert ((outcome.continues > 0) & (outcome.continues < 1)).all()
    assert (outcome.state.memory is None) == (dynamics.memory == 0)
    again = dynamics.step(*actions, source(1))
    assert torch.equal(again.state.latent, outcome.state.latent) and torch.equal(again.reward, outcome.reward)
    # A batch is its rows.
    alone = dynamics.step(actions[0][2:3], actions[1][2:3])
    assert torch.allclose(alone.state.latent, dynamics.step(*actions).state.latent[2:3], atol=1e-6)


def test_weights_come_from_the_generator_alone(flat: VAE) -> None:
    for kind in ("mlp", "gru", "mdn-gru"):
        torch.manual_seed(1)
        one = make(kind, flat, spaces.Discrete(3)).state_dict()
        torch.manual_seed(2)
        two = make(kind, flat, spaces.Discrete(3)).state_dict()
        assert all(torch.equal(one[name], two[name]) for name in one)


# Mixtures


@pytest.fixture
def mixture() -> Mixture:
    weights, means = torch.randn(5, 3, generator=source(1)), 2 * torch.randn(5, 3, 2, generator=source(2))
    deviations = torch.rand(5, 3, 2, generator=source(3)) + 0.1
    found = mixed(weights, means, deviations, torch.tensor([2.0, 0.5]))
    assert torch.allclose(found.deviation, deviations, rtol=1e-5)
    return found


def mixed(logits: Tensor, mean: Tensor, deviation: Tensor, scale: Tensor) -> Mixture:
    """By its deviations, which must be a hundredth of the scale or more."""
    return Mixture(logits, mean, torch.log(torch.expm1(deviation / scale - 0.01)), scale)


def as_torch(mixture: Mixture) -> distributions.MixtureSameFamily:
    parts = distributions.Independent(distributions.Normal(mixture.mean, mixture.deviation), 1)
    return distributions.MixtureSameFamily(distributions.Categorical(logits=mixture.logits), parts)


def test_a_mixtures_likelihood_is_torchs(mixture: Mixture) -> None:
    codes = torch.randn(5, 2, generator=source())
    expected = as_torch(mixture).log_prob(codes)
    assert torch.allclose(mixture.log_prob(codes), expected, rtol=1e-5)
    # In units of the spread, for each number: 2 and 0.5 make 1 together.
    assert torch.allclose(mixture.error(codes), -expected / 2, rtol=1e-5)
    far = mixture.log_prob(torch.full((5, 2), 1e4))
    assert far.isfinite().all() and (far < -1e6).all()


def test_samples_of_a_mixture_have_its_moments(mixture: Mixture) -> None:
    rows = torch.zeros(40_000, dtype=torch.int64)
    many = Mixture(mixture.logits[rows], mixture.mean[rows], mixture.spread[rows], mixture.scale)
    drawn = many.draw(source())
    true = as_torch(Mixture(mixture.logits[:1], mixture.mean[:1], mixture.spread[:1], mixture.scale))
    assert torch.allclose(drawn.mean(0), true.mean[0], atol=0.05)
    assert torch.allclose(drawn.var(0), true.variance[0], rtol=0.05)
    assert torch.equal(drawn, many.draw(source()))


def test_temperature_narrows_a_mixture(mixture: Mixture) -> None:
    heaviest = mixture.mean[torch.arange(5), mixture.logits.argmax(1)]
    assert torch.equal(mixture.draw(), heaviest) and torch.equal(mixture.draw(source(), 0.0), heaviest)
    rows = torch.zeros(40_000, dtype=torch.int64)
    one = mixed(torch.zeros(1, 1)[rows], torch.ones(1, 1, 1)[rows], torch.full((1, 1, 1), 2.0)[rows], torch.ones(1))
    for temperature in (0.25, 1.0, 1.5):  # the variance is multiplied by it
        assert one.draw(source(), temperature).var().item() == pytest.approx(4 * temperature, rel=0.03)
    # So are the logits divided: of weights 1 : 3 at temperature 1/2 are left 1 : 9.
    two = (
        torch.tensor([[0.0, math.log(3)]])[rows],
        torch.tensor([[[0.0], [1.0]]])[rows],
        torch.full((40_000, 2, 1), 0.01 + 1e-7),
    )
    assert mixed(*two, torch.ones(1)).draw(source(), 0.5).mean().item() == pytest.approx(0.9, abs=0.01)


# What training minimises


class Counter(Dynamics):
    """Adds the action to the code, and notes what codes it began from."""

    def __init__(self) -> None:
        super().__init__(1, 1, 0, 4, source())
        self.seen: list[Tensor] = []

    def predict(self, state: State, actions: Tensor) -> tuple[Point, None]:
        self.seen.append(state.latent[:, 0].clone())
        return Point(state.latent + actions, self.scale), None


def window() -> Recording:
    """One episode in which the code grows by 2 a step, though the actions say 1."""
    rows = torch.arange(5.0)
    return recording_of(2 * rows.view(1, 5, 1), torch.ones(1, 5, 1), torch.zeros(1, 5), torch.zeros(1, 5))


@pytest.mark.parametrize(
    ("forcing", "context", "seen"),
    [(0.0, 0, [0, 1, 2, 3]), (1.0, 0, [0, 2, 4, 6]), (0.0, 2, [0, 2, 4, 5])],
)
def test_steps_begin_from_predictions_or_from_the_truth(
    flat: VAE, forcing: float, context: int, seen: list[float]
) -> None:
    counter = Counter()
    counter.teacher_forcing, counter.context = forcing, context
    model = DynamicsModel(flat, counter, ActionCode(spaces.Box(-1, 1, (1,))), DynamicsOptions(window=4))
    batch = model.loader(window(), 0).gather(np.array([0]), source())
    terms = model.terms(batch, 0, source())
    assert [float(each) for each in counter.seen] == seen
    # Each step is short by how far behind it began, and 1.
    behind = [2 * place - began + 1 for place, began in enumerate(seen)]
    assert terms["latent"].item() == pytest.approx(np.mean(np.square(behind)))
    assert terms["termination"].item() == pytest.approx(math.log(2))  # heads begin at 0
    if forcing == 0:
        counter.seen.clear()
        dream = imagine(counter, batch.latents[:, :-1], batch.actions)
        assert [float(each) for each in counter.seen] == seen
        assert dream.latents[0, :, 0].tolist() == [began + 1 for began in seen]
        assert dream.continues.tolist() == [[0.5] * 4] and dream.rewards.tolist() == [[0.0] * 4]


def test_what_lies_behind_the_end_of_an_episode_does_not_count(flat: VAE) -> None:
    counter = Counter()
    model = DynamicsModel(flat, counter, ActionCode(spaces.Box(-1, 1, (1,))), DynamicsOptions(window=4))
    loader = model.loader(window(), 0)
    batch = loader.gather(np.array([2]), source())
    assert batch.mask.tolist() == [[1, 1, 0, 0]]
    assert float(model.terms(batch, 0, source())["latent"]) == pytest.approx((1 + 4) / 2)


def test_the_error_of_a_point_is_a_share_of_the_variance(flat: VAE) -> None:
    dynamics = make("mlp", flat, spaces.Discrete(2))
    codes = torch.randn(500, 3, generator=source()) * torch.tensor([3.0, 1.0, 0.2]) + 5
    dynamics.prepare(codes, torch.zeros(500, 2), codes)
    mean = Point(codes.mean(0).expand(500, 3), dynamics.scale)
    assert float(mean.error(codes).mean()) == pytest.approx(1, rel=1e-4)
    assert dynamics.normal(codes).std(0, correction=0).tolist() == pytest.approx([1, 1, 1], rel=1e-4)
    dynamics.prepare(torch.zeros(5, 3), torch.zeros(5, 2), torch.zeros(5, 3))  # codes that never vary
    assert dynamics.scale.tolist() == [1, 1, 1]


# Worlds that are known


def linear_world(episodes: int = 60, rows: int = 12) -> tuple[Recording, Tensor, Tensor]:
    """z' = M z + N u, reward z'_0 - u_1, ended where z'_1 > 0.5."""
    moves = torch.tensor([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.1, 0.9]])
    pushes = torch.tensor([[0.3, 0.0], [0.0, -0.2], [0.1, 0.1]])
    actions = 2 * torch.rand(episodes, rows, 2, generator=source()) - 1
    codes = [torch.randn(episodes, 3, generator=source(1))]
    for step in range(rows - 1):
        codes.append(codes[-1] @ moves.T + actions[:, step] @ pushes.T)
    latents = torch.stack(codes, 1)
    after = latents.roll(-1, 1)  # of the last row nobody asks
    return recording_of(latents, actions, after[..., 0] - actions[..., 1], (after[..., 1] > 0.5).float()), moves, pushes


def test_a_linear_world_is_recovered(flat: VAE) -> None:
    recording, moves, pushes = linear_world()
    space = spaces.Box(-1, 1, (2,))
    options = DynamicsOptions(window=5, batch_size=200, reward_loss="plain")
    dynamics = make("mlp", flat, space, hidden_layers=0, hidden_width=64)
    dynamics.symlog = False
    model = DynamicsModel(flat, dynamics, ActionCode(space), options)
    errors = fit(model, recording, 80)
    assert errors[-1] < 1e-4 * errors[0]
    # z + s (W [(z - c) / s, u] + b) is linear, and must be M z + N u.
    weight, bias = dynamics.moves[0].weight.detach(), dynamics.moves[0].bias.detach()
    scale = dynamics.scale
    found = torch.eye(3) + scale[:, None] * weight[:, :3] / scale
    assert torch.allclose(found, moves, atol=0.01)
    assert torch.allclose(scale[:, None] * weight[:, 3:], pushes, atol=0.01)
    assert torch.allclose(scale * bias, (found - torch.eye(3)) @ dynamics.centre, atol=0.01)
    before, after = recording.steps()
    outcome = dynamics.step(State(recording.latents(before)), recording.actions[before])
    assert torch.allclose(outcome.state.latent, recording.latents(after), atol=0.02)
    reward, ends = recording.rewards[before], recording.ends[before].bool()
    assert (outcome.reward - reward).square().mean() < 0.05 * reward.var()
    assert float(((outcome.continues < 0.5) == ends).float().mean()) > 0.95


@pytest.mark.parametrize("kind", ["gru", "mdn-gru"])
def test_recurrent_dynamics_learn_it_too(flat: VAE, kind: str) -> None:
    recording, _, _ = linear_world()
    space = spaces.Box(-1, 1, (2,))
    dynamics = make(kind, flat, space, memory=32, hidden_width=16)
    model = DynamicsModel(flat, dynamics, ActionCode(space), DynamicsOptions(window=5, batch_size=200))
    fit(model, recording, 40)
    before, _ = recording.steps()
    batch = model.loader(recording, 0).gather(before[::11], source())
    dream = imagine(dynamics, batch.latents[:, :-1], batch.actions)
    error = (dream.latents - batch.latents[:, 1:]).square().sum((0, 2))
    copied = (batch.latents[:, :1] - batch.latents[:, 1:]).square().sum((0, 2))
    assert (error < 0.05 * copied).all()


def test_chance_is_learnt_as_chance(flat: VAE) -> None:
    """A coin decides whether the code becomes 1 or -1: the mixture has both, and neither lies between."""
    coins = 2.0 * torch.randint(2, (400, 2, 1), generator=source()) - 1
    latents = (coins + 0.05 * torch.randn(400, 2, 3, generator=source(1))) * torch.ones(3)
    recording = recording_of(latents, torch.ones(400, 2, 1), coins[..., 0].roll(-1, 1), torch.zeros(400, 2))
    space = spaces.Discrete(1)
    dynamics = make("mdn-gru", flat, space, memory=16, hidden_width=16, components=4)
    model = DynamicsModel(flat, dynamics, ActionCode(space), DynamicsOptions(window=1, batch_size=100))
    fit(model, recording, 40)
    start = State(latents[:1, 0].expand(2000, 3), torch.zeros(2000, 16))
    with torch.no_grad():
        outcome = dynamics.step(start, torch.ones(2000, 1), source())
    drawn = outcome.state.latent
    assert (drawn.abs() - 1).abs().mean() < 0.15  # all three numbers of a code on one side
    assert (drawn > 0).all(1).float().mean().item() == pytest.approx(0.5, abs=0.1)
    assert ((drawn > 0).all(1) | (drawn < 0).all(1)).float().mean() > 0.99
    # The reward belongs to the code that came up.
    assert float((outcome.reward - drawn.mean(1).sign()).abs().mean()) < 0.2


def test_a_memory_tells_what_a_code_does_not(flat: VAE) -> None:
    """A code goes on in the direction in which it came: two codes tell it, one does not."""
    steps = 2.0 * torch.randint(2, (100, 1), generator=source()) - 1
    places = torch.randn(100, 1, generator=source(1)) + steps * torch.arange(6)
    latents = places[..., None] * torch.ones(3)
    recording = recording_of(latents, torch.ones(100, 6, 1), torch.zeros(100, 6), torch.zeros(100, 6))
    space = spaces.Discrete(1)
    errors = {}
    for context in (0, 1):
        dynamics = make("gru", flat, space, memory=32, hidden_width=16, context=context)
        model = DynamicsModel(flat, dynamics, ActionCode(space), DynamicsOptions(window=4, batch_size=200))
        fit(model, recording, 30, 2e-2)
        batch = model.loader(recording, 0).gather(np.arange(0, 600, 6), source())
        dream = imagine(dynamics, batch.latents[:, :-1], batch.actions)
        errors[context] = float((dream.latents[:, 3] - batch.latents[:, 4]).square().mean())
    assert errors[1] < 0.1 * errors[0]


# Groups


def test_the_learnt_group_is_matched_to_recorded_actions(turning: GroupVAE) -> None:
    """Five actions of the world: the learnt ones in another order, and one that does nothing."""
    order = [2, 0, -1, 3, 1]
    codes = torch.randint(5, (40, 10), generator=source())
    latents = [torch.randn(40, 4, generator=source(1))]
    learnt = torch.cat([turning.matrices(), torch.eye(4)[None]]).detach()
    for step in range(9):
        matrices = learnt[[order[code] for code in codes[:, step].tolist()]]
        latents.append(torch.einsum("bij,bj->bi", matrices, latents[-1]))
    path = torch.stack(latents, 1) + 0.05 * torch.randn(40, 10, 4, generator=source(2))
    actions = torch.eye(5)[codes]
    recording = recording_of(path, actions, torch.zeros(40, 10), torch.zeros(40, 10))
    dynamics = make("group", turning, spaces.Discrete(5))
    before, after = recording.steps()
    dynamics.prepare(recording.latents(before), recording.actions[before], recording.latents(after))
    assert dynamics.matched.tolist() == order
    for code, learnt_code in enumerate(order):
        start = State(torch.randn(7, 4, generator=source(3)))
        moved = dynamics.step(start, torch.eye(5)[[code] * 7]).state.latent
        acted = turning.act(start.latent, torch.full((7,), learnt_code)) if learnt_code >= 0 else start.latent
        assert torch.allclose(moved, acted, atol=1e-6)
    learnable = sum(each.numel() for each in dynamics.parameters())
    assert learnable == sum(each.numel() for each in dynamics.heads.parameters())


def test_an_action_that_was_not_recorded_moves_nothing(turning: GroupVAE) -> None:
    dynamics = make("group", turning, spaces.Discrete(2))
    start = torch.randn(9, 4, generator=source())
    dynamics.prepare(start, torch.eye(2)[[0] * 9], turning.act(start, torch.full((9,), 3)).detach())
    assert dynamics.matched.tolist() == [3, -1]


@pytest.mark.parametrize(
    ("kind", "space", "options", "message"),
    [
        ("group", spaces.MultiDiscrete([2, 2]), {}, "takes actions of a Discrete space, not MultiDiscrete"),
        ("group", spaces.Box(-1, 1, (2,)), {}, "takes actions of a Discrete space, not Box"),
        ("mlp", spaces.Discrete(2), {"hidden_width": 0}, "--hidden-width must be above 0, not 0"),
        ("mlp", spaces.Discrete(2), {"hidden_layers": -1}, "--hidden-layers must be 0 or more, not -1"),
        ("gru", spaces.Discrete(2), {"memory": 0}, "--memory must be above 0, not 0"),
        ("gru", spaces.Discrete(2), {"teacher_forcing": 1.5}, "--teacher-forcing must be between 0 and 1, not 1.5"),
        ("mdn-gru", spaces.Discrete(2), {"components": 0}, "--components must be above 0, not 0"),
        ("mdn-gru", spaces.Discrete(2), {"context": -1}, "--context must be 0 or more, not -1"),
    ],
)
def test_what_cannot_be_made_is_refused(
    turning: GroupVAE, kind: str, space: spaces.Space[Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        make(kind, turning, space, **options)
    assert "\n" not in str(raised.value)


def test_a_group_needs_a_group(flat: VAE) -> None:
    with pytest.raises(UsageError, match="--dynamics group needs a world model with a group, such as rgrvae"):
        make("group", flat, spaces.Discrete(2))


def test_states_can_be_told_the_truth(flat: VAE) -> None:
    dynamics = make("gru", flat, spaces.Discrete(2))
    state = dynamics.step(dynamics.initial(torch.zeros(2, 3)), torch.eye(2)).state
    seen = dataclasses.replace(state, latent=torch.ones(2, 3))
    assert torch.equal(seen.latent, torch.ones(2, 3)) and seen.memory is state.memory
