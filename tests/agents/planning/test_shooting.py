"""CEM and MPPI through dynamics whose best plans are known in closed form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium import spaces

from equiworld.agents.planning import CEMPlanner, MPPIPlanner
from equiworld.agents.planning.shooting import Categorical, Gaussian
from equiworld.envs import UsageError
from equiworld.world_models.dynamics.base import Outcome, State

PLANNERS = [CEMPlanner, MPPIPlanner]
STEERED = spaces.Box(-1.0, 1.0, (2,), np.float32)


class Walk:
    """A place in the plane, moved by ``step`` of what is done; the reward is minus the squared distance from 1, 1."""

    def __init__(self, moves: torch.Tensor, ends: bool = False) -> None:
        self.moves, self.ends, self.rows = moves, ends, 0

    def initial(self, latents: torch.Tensor) -> State:
        return State(latents)

    def step(self, state: State, actions: torch.Tensor) -> Outcome:
        self.rows = len(actions)
        after = state.latent + actions @ self.moves
        reward = -(after - 1.0).square().sum(1)
        continues = torch.zeros(len(after)) if self.ends else torch.ones(len(after))
        return Outcome(replace(state, latent=after), reward, continues)


STEER = torch.eye(2) * 0.5
COMPASS = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])


@pytest.mark.parametrize("kind", PLANNERS)
def test_continuous_actions_lead_to_goals(kind: type) -> None:
    goals = torch.tensor([[1.2, -0.3], [0.0, 2.0], [-0.7, -0.7]])
    planner = kind(Walk(STEER), STEERED, horizon=6, samples=400, rounds=8)
    plan = planner.plan(torch.zeros(3, 2), goals)
    assert plan.found.all() and (plan.distance < 0.1).all()
    for actions, goal, distance in zip(plan.actions, goals, plan.distance, strict=True):
        assert actions.dtype == np.float32 and (np.abs(actions) <= 1).all()
        led = 0.5 * torch.from_numpy(actions).sum(0)
        assert float((led - goal).norm()) == pytest.approx(distance, abs=1e-5)
    # At half a unit a step, two units take four of them.
    assert len(plan.actions[1]) >= 4


@pytest.mark.parametrize("kind", PLANNERS)
def test_choices_lead_to_goals_and_plans_end_there(kind: type) -> None:
    goals = torch.tensor([[2.0, 1.0], [-1.0, -3.0], [0.0, 1.0]])
    planner = kind(Walk(COMPASS), spaces.Discrete(4), horizon=6, samples=300, rounds=6)
    plan = planner.plan(torch.zeros(3, 2), goals)
    assert plan.found.all() and plan.distance.max() < 1e-6
    for actions, goal in zip(plan.actions, goals, strict=True):
        assert actions.dtype == np.int64
        assert torch.equal(COMPASS[torch.from_numpy(actions)].sum(0), goal)
        assert len(actions) % 2 == int(goal.abs().sum()) % 2 and len(actions) <= 6


def test_numbers_of_choices_that_do_not_begin_at_0_and_several_at_once() -> None:
    shifted = CEMPlanner(Walk(COMPASS), spaces.Discrete(4, start=3), horizon=2, samples=64)
    assert shifted.plan(torch.zeros(1, 2), torch.tensor([[0.0, 2.0]])).actions[0].tolist() == [5, 5]
    # Two choices side by side: along, and across.
    moves = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    several = MPPIPlanner(Walk(moves), spaces.MultiDiscrete([3, 2]), horizon=3, samples=200)
    plan = several.plan(torch.zeros(1, 2), torch.tensor([[0.0, 3.0]]))
    assert plan.found[0] and plan.actions[0].shape == (3, 2) and plan.actions[0][:, 1].tolist() == [0, 0, 0]


def test_steps_may_cost() -> None:
    options = {"horizon": 6, "samples": 300, "rounds": 6}
    goal = torch.tensor([[3.4, 0.4]])
    # Each of three steps brings the goal nearer by most of a unit, a fourth by nothing.
    plan = CEMPlanner(Walk(COMPASS), spaces.Discrete(4), step_cost=0.5, **options).plan(torch.zeros(1, 2), goal)
    assert plan.actions[0].tolist() == [0, 0, 0] and plan.distance[0] == pytest.approx(0.4 * 2**0.5, abs=1e-5)
    dear = CEMPlanner(Walk(COMPASS), spaces.Discrete(4), step_cost=1.5, **options).plan(torch.zeros(1, 2), goal)
    assert dear.actions[0].tolist() == [0]


@pytest.mark.parametrize("kind", PLANNERS)
def test_without_goals_rewards_are_summed(kind: type) -> None:
    planner = kind(Walk(STEER), STEERED, horizon=4, samples=500, rounds=8)
    plan = planner.plan(torch.zeros(2, 2))
    assert np.isnan(plan.distance).all() and plan.found.all() and plan.lengths.tolist() == [4, 4]
    places = 0.5 * np.cumsum(plan.actions[0], 0)
    # The best of all: full speed for two steps, and then rest.
    assert -np.square(places - 1).sum() == pytest.approx(-0.5, abs=0.08)


def test_nothing_is_earned_after_the_end() -> None:
    # The episode ends with the first step, so that it alone counts: as far as one step goes.
    plan = CEMPlanner(Walk(STEER, ends=True), STEERED, horizon=5, samples=300, rounds=10).plan(torch.full((1, 2), 0.7))
    np.testing.assert_allclose(plan.actions[0][0], [0.6, 0.6], atol=0.05)
    # And where only the near future counts, likewise.
    greedy = CEMPlanner(Walk(STEER), STEERED, horizon=5, samples=300, rounds=10, discount=1e-6)
    np.testing.assert_allclose(greedy.plan(torch.full((1, 2), 0.7)).actions[0][0], [0.6, 0.6], atol=0.05)


@pytest.mark.parametrize("kind", PLANNERS)
def test_a_warm_start_is_as_good_as_what_it_begins_with(kind: type) -> None:
    goal, few = torch.tensor([[3.0, -2.0]]), {"horizon": 6, "samples": 4, "rounds": 1}
    known = [np.array([0, 0, 0, 3, 3])]
    warm = kind(Walk(COMPASS), spaces.Discrete(4), **few).plan(torch.zeros(1, 2), goal, previous=known)
    assert warm.actions[0].tolist() == [0, 0, 0, 3, 3] and warm.found[0]
    cold = kind(Walk(COMPASS), spaces.Discrete(4), **few).plan(torch.zeros(1, 2), goal)
    assert cold.distance[0] > 0.5
    steered = [np.full((6, 2), 0.4, dtype=np.float32)]
    begun = kind(Walk(STEER), STEERED, **few).plan(torch.zeros(1, 2), torch.full((1, 2), 1.2), previous=steered)
    assert begun.distance[0] < 1e-5


@pytest.mark.parametrize("kind", PLANNERS)
def test_plans_are_those_of_the_seed(kind: type) -> None:
    goals = torch.tensor([[1.2, -0.3]])
    made = [kind(Walk(STEER), STEERED, samples=20, rounds=2, seed=seed) for seed in (0, 0, 1)]
    first, again, other = (planner.plan(torch.zeros(1, 2), goals).actions[0] for planner in made)
    np.testing.assert_array_equal(first, again)
    assert first.shape != other.shape or not np.array_equal(first, other)


def test_all_problems_and_sequences_are_one_batch() -> None:
    walk = Walk(STEER)
    CEMPlanner(walk, STEERED, samples=30, rounds=1).plan(torch.zeros(7, 2), torch.ones(7, 2))
    assert walk.rows == 7 * 31


def test_what_cannot_be_imagined_is_not_chosen() -> None:
    class Broken(Walk):
        def step(self, state: State, actions: torch.Tensor) -> Outcome:
            after = super().step(state, actions)
            latent = torch.where(actions[:, :1] > 0, torch.nan, after.state.latent)
            return Outcome(State(latent), after.reward, after.continues)

    for kind in PLANNERS:
        plan = kind(Broken(COMPASS), spaces.Discrete(4), horizon=3).plan(torch.zeros(1, 2), torch.tensor([[0.0, 2.0]]))
        assert plan.found[0] and 0 not in plan.actions[0]


def test_where_nothing_can_be_imagined_nothing_is_found() -> None:
    class Failing(Walk):
        def step(self, state: State, actions: torch.Tensor) -> Outcome:
            after = super().step(state, actions)
            return Outcome(State(after.state.latent * torch.nan), after.reward, after.continues)

    for kind in PLANNERS:
        plan = kind(Failing(STEER), STEERED, horizon=2).plan(torch.zeros(1, 2), torch.ones(1, 2))
        assert not plan.found[0] and plan.distance[0] > 1e6


def test_elites_and_exponential_weights() -> None:
    costs = torch.tensor([[3.0, 1.0, 2.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    elite = CEMPlanner(Walk(STEER), STEERED, elite=0.5).weights(costs)
    assert elite[0].tolist() == [0.0, 0.5, 0.0, 0.5] and float(elite[1].sum()) == 1.0
    weights = MPPIPlanner(Walk(STEER), STEERED, temperature=2.0).weights(costs)
    spread = costs[0].std(correction=0)
    torch.testing.assert_close(weights[0], torch.softmax(-costs[0] / (2.0 * spread), 0))
    torch.testing.assert_close(weights[1], torch.full((4,), 0.25))
    # The size of the costs does not matter.
    torch.testing.assert_close(MPPIPlanner(Walk(STEER), STEERED, temperature=2.0).weights(costs * 50 + 7), weights)


def test_laws_become_those_of_what_is_weighted() -> None:
    sequences, weights = torch.tensor([[[[1.0]], [[3.0]], [[9.0]]]]), torch.tensor([[0.5, 0.5, 0.0]])
    law = Gaussian(torch.zeros(1, 1, 1), 4.0, torch.tensor([False]), refit=True, least=0.1)
    law.fit(sequences, weights, keep=0.0)
    assert float(law.mean) == 2.0 and float(law.deviation) == 1.0
    law.fit(sequences, weights, keep=0.5)
    assert float(law.deviation) == 1.0
    fixed = Gaussian(torch.zeros(1, 1, 1), 4.0, torch.tensor([True]), refit=False, least=0.1)
    fixed.fit(sequences, weights, keep=0.25)
    assert float(fixed.mean) == 1.5 and float(fixed.deviation) == 4.0
    drawn = fixed.draw(500, torch.Generator().manual_seed(0))
    assert float(drawn.min()) == -1.0 and float(drawn.max()) == 1.0
    choices = Categorical(torch.tensor([[[0.5, 0.5, 0.25, 0.75]]]), (2, 2), floor=0.0)
    drawn = choices.draw(4000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn.mean(1)[0, 0], choices.probabilities[0, 0], atol=0.03, rtol=0)
    assert choices.centre()[0, 0, 2:].tolist() == [0.0, 1.0]
    choices.fit(torch.tensor([[[[1.0, 0.0, 1.0, 0.0]]]]), torch.ones(1, 1), keep=0.0)
    assert choices.probabilities.flatten().tolist() == [1.0, 0.0, 1.0, 0.0]
    floored = Categorical(torch.tensor([[[1.0, 0.0]]]), (2,), floor=0.1)
    torch.testing.assert_close(floored.probabilities, torch.tensor([[[0.95, 0.05]]]))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"horizon": 0}, "horizon"),
        ({"samples": 0}, "samples"),
        ({"keep": 1.0}, "keep"),
        ({"deviation": 0.0}, "deviation"),
        ({"discount": 1.5}, "discount"),
        ({"elite": 0.0}, "elite"),
    ],
)
def test_options_that_cannot_be_used(options: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        CEMPlanner(Walk(STEER), STEERED, **options)
    with pytest.raises(UsageError, match="temperature"):
        MPPIPlanner(Walk(STEER), STEERED, temperature=0.0)
    with pytest.raises(UsageError, match="Text"):
        CEMPlanner(Walk(STEER), spaces.Text(3))
