"""Actions found by trying, and plans carried out, with a model whose codes are known in closed form."""

from __future__ import annotations

import math
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

import equiworld  # noqa: F401  registers the ids
from equiworld.agents.planning import ActionMap, CEMPlanner, GroupPlanner, encode_pictures, reach, try_actions
from equiworld.agents.planning.base import Plan
from equiworld.envs import FlatLand, FlatLandContinuous, GoalTask, UsageError, WorldVectorEnv
from equiworld.envs.tasks import shortest_steps
from equiworld.world_models.dynamics.base import Outcome, State

GOAL = "equiworld/FlatLandGoal-v0"
ORDER = (2, 0, 3, 1)
"""Which true action each learnt one is: the model has its own order."""


class Discs(torch.nn.Module):
    """Reads a disc's place off the picture: a code is the phases of x and y on two circles, with errors if asked for.

    Args:
        error: Standard deviation of the errors of phases, which are those of each state for good.
    """

    image_shape = (64, 64, 1)

    def __init__(self, error: float = 0.0) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.errors = torch.from_numpy(np.random.default_rng(0).normal(0.0, error, (33, 33, 2))).float()

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        bright = images[:, 0] > 0.5
        x = bright.any(1).float().argmax(1)
        y = 32 - (bright.any(2).float().argmax(1) - (64 - 2 * 15 - 32) // 2)
        x = (x - (64 - 2 * 15 - 32) // 2).clamp(0, 32)
        phases = 2 * math.pi * torch.stack([x, y.clamp(0, 32)], 1) / 33 + self.errors[x, y.clamp(0, 32)]
        return torch.stack([phases.cos(), phases.sin()], 2).flatten(1)

    def matrices(self) -> torch.Tensor:
        maps = torch.eye(4).repeat(4, 1, 1)
        for learnt, true in enumerate(ORDER):
            action = FlatLand().actions[true]
            cos, sin = math.cos(action.angle), math.sin(action.angle)
            block = slice(2 * action.factor, 2 * action.factor + 2)
            maps[learnt, block, block] = torch.tensor([[cos, -sin], [sin, cos]])
        return maps


def goals(number: int, **options: Any) -> Any:
    return gymnasium.make_vec(GOAL, num_envs=number, **{"shown": "hidden", **options})


def shortest(envs: Any, went: Any) -> Any:
    simulation = envs.unwrapped.simulation
    return shortest_steps(simulation.world, simulation.task, went.starts, went.goals)


MAP = ActionMap(np.argsort(ORDER), np.ones(4), np.zeros(4))


def test_the_stub_reads_places_off_pictures() -> None:
    world = FlatLand()
    factors = world.factors.sample(np.random.default_rng(0), 100)
    codes = encode_pictures(Discs(), world.render(factors))  # more than one chunk
    phases = torch.from_numpy(factors * 2 * math.pi / 33).float()
    torch.testing.assert_close(codes, torch.stack([phases.cos(), phases.sin()], 2).flatten(1))


@pytest.mark.parametrize("shown", ["hidden", "observation"])
def test_actions_are_found_by_trying(shown: str) -> None:
    found = try_actions(Discs(), goals(16, shown=shown), states=20)
    assert found.learnt.tolist() == np.argsort(ORDER).tolist() and found.codes == (0, 1, 2, 3)
    assert found.votes.tolist() == [1.0] * 4 and (found.error < 1e-5).all()
    assert found.carried_out(np.array([0, 3, 3, 1])).tolist() == [ORDER[0], ORDER[3], ORDER[3], ORDER[1]]
    noisy = try_actions(Discs(0.1), goals(16), states=40)
    assert noisy.learnt.tolist() == found.learnt.tolist() and (noisy.error > 0.05).all()


def test_what_is_not_learnt_is_left_out() -> None:
    class Half(Discs):
        def matrices(self) -> torch.Tensor:
            return super().matrices()[:2]

    found = try_actions(Half(), goals(16), states=16)
    assert found.learnt.tolist() == [1, -1, 0, -1] and found.codes == (0, 1)
    with pytest.raises(UsageError, match="learnt action 2"):
        found.carried_out(np.array([2]))


def test_of_two_actions_that_do_the_same_the_more_certain_is_taken() -> None:
    twice = ActionMap(np.array([0, 1, 0]), np.array([0.7, 1.0, 0.9]), np.zeros(3))
    assert twice.carried_out(np.array([0, 1])).tolist() == [2, 1]


def test_walls_leave_actions_what_they_mostly_do() -> None:
    envs = WorldVectorEnv(32, FlatLand(), None)
    before = try_actions(Discs(), envs, states=32, seed=1)
    assert before.learnt.tolist() == np.argsort(ORDER).tolist()


@pytest.mark.parametrize("every", [1, 3, None])
def test_goals_are_reached_by_shortest_paths(every: int | None) -> None:
    envs = goals(100)
    went = reach(envs, Discs(), GroupPlanner(Discs(), tolerance="step"), MAP, every=every, seed=3)
    assert went.reached.all() and went.believed.all()
    assert went.steps.tolist() == went.planned.tolist() == shortest(envs, went).tolist()


def test_a_goal_of_its_own_in_the_observation() -> None:
    envs = goals(30, shown="observation", autoreset_mode="SameStep")
    went = reach(envs, Discs(), GroupPlanner(Discs(), tolerance="step"), MAP, seed=4)
    assert went.reached.all() and went.steps.tolist() == shortest(envs, went).tolist()


def test_the_very_place() -> None:
    envs = goals(60, tolerance=0)
    went = reach(envs, Discs(), GroupPlanner(Discs()), MAP, seed=5)
    assert went.reached.all() and went.steps.tolist() == shortest(envs, went).tolist()


def test_who_is_not_there_when_it_thinks_so_looks_closer() -> None:
    # Half a step is not near enough for this goal: the planner is there twice before the environment agrees.
    envs = goals(60, tolerance=0)
    went = reach(envs, Discs(), GroupPlanner(Discs(), tolerance="step"), MAP, seed=5)
    assert went.reached.all() and (went.steps >= shortest(envs, went)).all() and (went.planned < went.steps).any()


def test_the_closed_loop_bears_errors_that_the_open_one_does_not() -> None:
    # Errors of .04 rad: neighbours are .19 apart, so that now and then a state is taken for the next one.
    envs, model = goals(100, tolerance=0), Discs(0.04)
    planner = GroupPlanner(model)
    blind = reach(envs, model, planner, MAP, every=None, seed=6)
    seeing = reach(envs, model, planner, MAP, seed=6)
    assert 0.5 < blind.reached.mean() < seeing.reached.mean() and seeing.reached.mean() > 0.95
    # A plan does not change with every error: ways are hardly longer than the shortest.
    done = seeing.reached
    assert seeing.steps[done].sum() < 1.15 * shortest(envs, seeing)[done].sum()
    # What was carried out blindly is the first plan, unless it met the goal on its way.
    assert (blind.steps[~blind.reached] == blind.planned[~blind.reached]).all()


def test_factors_and_rewards_are_not_read() -> None:
    class Blind(gymnasium.vector.VectorWrapper):
        def step(self, actions: Any) -> Any:
            observations, _, terminated, truncated, _ = super().step(actions)
            return observations, None, terminated, truncated, None

    went = reach(Blind(goals(10)), Discs(), GroupPlanner(Discs(), tolerance="step"), MAP)
    assert went.reached.all()


def test_episodes_are_those_of_the_seed_and_of_what_is_asked() -> None:
    planner = GroupPlanner(Discs(), tolerance="step")
    first, again = (reach(goals(8), Discs(), planner, MAP, seed=1) for _ in range(2))
    assert np.array_equal(first.starts, again.starts) and np.array_equal(first.steps, again.steps)
    asked = reach(goals(2), Discs(), planner, MAP, options={"factors": [0, 0], "goal": [5, 10]})
    assert asked.steps.tolist() == [3, 3] and asked.goals.tolist() == [[5, 10]] * 2


def test_episodes_end_at_the_limit_and_where_the_environment_cuts_them() -> None:
    class Wrong:
        def plan(self, latents: torch.Tensor, goals: torch.Tensor, **_: Any) -> Plan:
            count = len(latents)
            return Plan([np.zeros(0, dtype=np.int64)] * count, np.zeros(count, dtype=bool), np.zeros(count))

    # A planner that never sees anything to do: actions are random then.
    options = {"factors": [0, 0], "goal": [16, 16]}
    limited = reach(goals(4), Discs(), Wrong(), None, limit=5, options=options)
    assert limited.steps.tolist() == [5] * 4 and not limited.reached.any()
    cut = reach(goals(4, max_episode_steps=4), Discs(), Wrong(), None, options=options)
    assert cut.steps.tolist() == [4] * 4 and not cut.reached.any()
    blind = reach(goals(4), Discs(), Wrong(), None, every=None)
    assert blind.steps.tolist() == [0] * 4


def test_continuous_actions_are_planned_by_sampling() -> None:
    """Dynamics in closed form, and a planner of the other kind, through the same loop."""

    class Turns:
        def initial(self, latents: torch.Tensor) -> State:
            return State(latents)

        def step(self, state: State, actions: torch.Tensor) -> Outcome:
            angle = 2 * math.pi * 5 / 33 * actions
            pairs = torch.view_as_complex(state.latent.view(-1, 2, 2).contiguous())
            turned = torch.view_as_real(pairs * torch.polar(torch.ones_like(angle), angle)).flatten(1)
            return Outcome(State(turned), torch.zeros(len(angle)), torch.ones(len(angle)))

    class Soft(Discs):
        def encode(self, images: torch.Tensor) -> torch.Tensor:
            grid = torch.arange(64.0)
            mass = images[:, 0] / images[:, 0].sum((1, 2), keepdim=True)
            x, y = (mass.sum(1) * grid).sum(1), 63 - (mass.sum(2) * grid).sum(1)
            phases = 2 * math.pi * torch.stack([x, y], 1) / 33
            return torch.stack([phases.cos(), phases.sin()], 2).flatten(1)

    envs = WorldVectorEnv(12, FlatLandContinuous(), GoalTask(tolerance=1.0, shown="hidden"), max_episode_steps=30)
    planner = CEMPlanner(Turns(), envs.single_action_space, horizon=5, samples=150, rounds=5)
    went = reach(envs, Soft(), planner, every=1, seed=2)
    assert went.reached.all() and went.steps.max() <= 8


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: reach(goals(2), Discs(), GroupPlanner(Discs()), MAP, every=0), "every 0"),
        (lambda: reach(goals(2), Discs(), GroupPlanner(Discs()), MAP, limit=0), "at least 1 step"),
        (lambda: reach(goals(2, shown="image"), Discs(), GroupPlanner(Discs()), MAP), "shown='observation'"),
        (lambda: reach(goals(2, size=72), Discs(), GroupPlanner(Discs()), MAP), "64 x 64 x 1"),
        (lambda: reach(goals(2, autoreset_mode="Disabled"), Discs(), GroupPlanner(Discs()), MAP), "reset itself"),
        (
            lambda: reach(gymnasium.make_vec("equiworld/FlatLand-v0", num_envs=2), Discs(), GroupPlanner(Discs()), MAP),
            "no goal",
        ),
        (lambda: try_actions(Discs(), goals(2), states=0), "1 state or more"),
        (lambda: try_actions(Discs(), WorldVectorEnv(2, FlatLandContinuous())), "discrete actions"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_line(call: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said) as raised:
        call()
    assert "\n" not in str(raised.value)


def test_action_spaces_may_begin_elsewhere() -> None:
    class Shifted(gymnasium.vector.VectorWrapper):
        def __init__(self, env: Any) -> None:
            super().__init__(env)
            self.single_action_space = spaces.Discrete(4, start=10)

        def step(self, actions: Any) -> Any:
            return super().step(np.asarray(actions) - 10)

    envs = Shifted(goals(16))
    found = try_actions(Discs(), envs, states=16)
    assert found.carried_out(np.arange(4)).tolist() == [10 + code for code in ORDER]
    went = reach(envs, Discs(), GroupPlanner(Discs(), tolerance="step"), found)
    assert went.reached.all()
