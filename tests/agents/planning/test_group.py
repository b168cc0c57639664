"""The group planner against brute force, closed forms and the shortest words that worlds know of themselves."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from equiworld.agents.planning import GroupPlanner
from equiworld.agents.planning.search import search
from equiworld.agents.planning.words import spectrum
from equiworld.envs import FlatLand, FlatLandDihedral, FlatLandDiscs, UsageError, action_group, true_matrices

TURN = 2 * math.pi


def turning(angles: np.ndarray, basis: np.ndarray | None = None) -> SimpleNamespace:
    """A model whose action a turns plane p by ``angles[a, p]``, in a basis of its own."""
    count, planes = angles.shape
    maps = np.zeros((count, 2 * planes, 2 * planes))
    for plane in range(planes):
        cos, sin = np.cos(angles[:, plane]), np.sin(angles[:, plane])
        block = np.stack([np.stack([cos, -sin], 1), np.stack([sin, cos], 1)], 1)
        maps[:, 2 * plane : 2 * plane + 2, 2 * plane : 2 * plane + 2] = block
    if basis is not None:
        maps = basis @ maps @ np.linalg.inv(basis)
    return of(maps)


def of(maps: np.ndarray) -> SimpleNamespace:
    tensor = torch.from_numpy(maps)
    return SimpleNamespace(matrices=lambda: tensor)


def carried_out(model: SimpleNamespace, codes: torch.Tensor, plan: object) -> torch.Tensor:
    rows = []
    for code, actions in zip(codes, plan.actions, strict=True):
        for action in actions.tolist():
            code = model.matrices()[action] @ code
        rows.append(code)
    return torch.stack(rows)


def brute_force(angles: np.ndarray, wanted: np.ndarray, tolerance: float, longest: int) -> int:
    """The length of the shortest word that turns every plane nearly as wanted; all counts are tried."""
    best = longest + 1
    for counts in itertools.product(range(longest + 1), repeat=len(angles)):
        if sum(counts) < best:
            gap = (np.array(counts) @ angles - wanted + math.pi) % TURN - math.pi
            if (np.abs(gap) <= tolerance).all():
                best = sum(counts)
    return best


FLATLAND = np.array([[5, 0], [-5, 0], [0, 5], [0, -5]]) * TURN / 33
START = torch.tensor([[1.0, 0.2, -0.7, 1.5]], dtype=torch.float64)


def test_every_state_of_the_torus_is_reached_by_the_shortest_word() -> None:
    model = turning(FLATLAND)
    planner = GroupPlanner(model)
    assert planner.commutes and [len(words.phases) for words in planner.words] == [33, 33]
    # A place i on the circle is 5k for one k; the shorter way round is the shorter word.
    places = np.array(list(itertools.product(range(33), range(33))))
    goals = (START @ true_turns(places * TURN / 33).transpose(1, 2))[:, 0]
    plan = planner.plan(START.expand(len(places), 4), goals)
    powers = np.array([min(k for k in range(33) if (5 * k - i) % 33 == 0) for i in range(33)])
    expected = np.minimum(powers, 33 - powers)[places].sum(1)
    assert plan.found.all() and plan.lengths.tolist() == expected.tolist()
    assert plan.distance.max() < 1e-9
    led = carried_out(model, START.expand(len(places), 4), plan)
    torch.testing.assert_close(led, goals)


def true_turns(angles: np.ndarray) -> torch.Tensor:
    return turning(angles).matrices()


def test_half_a_step_is_the_fewest_steps_that_come_nearest() -> None:
    model = turning(FLATLAND)
    places = np.array(list(itertools.product(range(33), range(33))))
    goals = (START @ true_turns(places * TURN / 33).transpose(1, 2))[:, 0]
    plan = GroupPlanner(model, tolerance="step").plan(START.expand(len(places), 4), goals)
    # Steps of 5 come within 2 of any place: that is the task FlatLandGoal.
    signed = (places + 16) % 33 - 16
    expected = np.minimum(np.abs(np.rint(signed / 5)), 3).sum(1)
    assert plan.found.all() and plan.lengths.tolist() == expected.tolist()


def test_angles_that_are_slightly_off_are_taken_for_fractions_of_a_turn() -> None:
    # Sixteen steps of an angle .002 off would end .032 off, and of one seen as it is nearer to another state by then.
    off = turning(FLATLAND + np.array([[0.002], [-0.001], [0.0005], [0.002]]) * (FLATLAND != 0))
    exact = turning(FLATLAND)
    goal = (torch.matrix_power(exact.matrices()[0], 16) @ START[0])[None]
    plan = GroupPlanner(off).plan(START, goal)
    assert plan.actions[0].tolist() == [0] * 16 and plan.distance[0] < 1e-9


@pytest.mark.parametrize(
    "angles",
    [
        np.array([[1, 0], [0, 1]]) * TURN / 7,  # no inverses
        np.array([[2, 3], [-2, -3], [0, 1], [1, 0]]) * TURN / 9,  # actions that turn both planes
        np.array([[1, 2], [3, -1], [2, 2]]) * TURN / 8,
        np.array([[1 / 5, 0], [-1 / 5, 0], [1 / 2, 1 / 4], [0, -1 / 4]]) * TURN,  # different orders
    ],
)
@pytest.mark.parametrize("tolerance", [0.01, 0.5])
def test_words_are_as_short_as_brute_force_finds(angles: np.ndarray, tolerance: float) -> None:
    model = turning(angles)
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 3, (12, len(angles)))
    wanted = counts @ angles
    goals = (START @ true_turns(wanted).transpose(1, 2))[:, 0]
    plan = GroupPlanner(model, tolerance=tolerance).plan(START.expand(12, 4), goals)
    pairs = zip(wanted, counts.sum(1).tolist(), strict=True)
    shortest = [brute_force(angles, turn, tolerance + 1e-9, longest) for turn, longest in pairs]
    assert plan.found.all() and plan.lengths.tolist() == shortest
    led = carried_out(model, START.expand(12, 4), plan)
    np.testing.assert_allclose(plan.distance, (led - goals).norm(dim=1), atol=1e-9)


def test_the_basis_of_the_codes_does_not_matter() -> None:
    basis = np.random.default_rng(2).normal(size=(4, 4))
    goals = (START @ true_turns(np.array([[10, -15]]) * TURN / 33).transpose(1, 2))[:, 0]
    turned = torch.from_numpy(basis)
    plan = GroupPlanner(turning(FLATLAND, basis)).plan(START @ turned.T, goals @ turned.T)
    assert sorted(plan.actions[0].tolist()) == [0, 0, 3, 3, 3] and plan.found[0] and plan.distance[0] < 1e-9


@pytest.mark.parametrize("order", [41, 50, 64])
def test_fractions_of_high_orders_are_told_from_simpler_ones_beside_them(order: int) -> None:
    angles = (np.array([[1.0], [-1.0]]) * TURN / order).astype(np.float32)  # 1/64 of a turn is .003 rad from 1/62
    goals = torch.cat([true_turns(np.array([[place]]) * TURN / order) @ START[0, :2] for place in range(order)])
    plan = GroupPlanner(turning(angles)).plan(START[:, :2].expand(order, 2), goals)
    assert plan.lengths.tolist() == [min(place, order - place) for place in range(order)]
    assert plan.found.all() and plan.distance.max() < 1e-9


def test_angles_of_no_order_go_as_far_as_asked() -> None:
    angles = np.array([[1.0], [-1.0]])
    planner = GroupPlanner(turning(angles), tolerance=0.05, max_order=3)
    assert not planner.words[0].closed and planner.words[0].lengths.max() == 3
    goal = true_turns(np.array([[3.0], [5.0]])) @ START[0, :2]
    plan = planner.plan(START[:, :2].expand(2, 2), goal)
    assert plan.found.tolist() == [True, False]
    assert plan.actions[0].tolist() == [0, 0, 0]
    # 5 rad is 1.28 short of a full turn: one step back comes nearest.
    assert plan.actions[1].tolist() == [1]


def test_matrices_may_be_there_already() -> None:
    # As those of dynamics are, which are not called.
    planner = GroupPlanner(SimpleNamespace(matrices=turning(FLATLAND).matrices()))
    assert planner.plan(START, (turning(FLATLAND).matrices()[2] @ START[0])[None]).actions[0].tolist() == [2]


def test_nothing_to_do() -> None:
    plan = GroupPlanner(turning(FLATLAND)).plan(START, START)
    assert plan.actions[0].size == 0 and plan.found[0] and plan.distance[0] < 1e-12


def test_what_no_word_changes_is_not_looked_at() -> None:
    # A third plane that nothing turns, another amplitude, and a plane with nothing in it.
    angles = np.pad(FLATLAND, ((0, 0), (0, 1)))
    here = torch.tensor([[1.0, 0.0, 2.0, 0.0, 5.0, 6.0], [1.0, 0.0, 0.0, 1e-3, 5.0, 6.0]], dtype=torch.float64)
    there = (here @ turning(angles).matrices()[0].T) * 1.3
    there[:, 4:] = -1.0
    there[1, 2:4] = torch.tensor([-1e-3, 0.0])
    plan = GroupPlanner(turning(angles)).plan(here, there)
    assert [actions.tolist() for actions in plan.actions] == [[0], [0]] and plan.found.all()


def test_only_actions_that_can_be_carried_out_are_planned_with() -> None:
    planner = GroupPlanner(turning(FLATLAND), codes=(1, 2))
    goal = (true_turns(np.array([[5, 5]]) * TURN / 33) @ START[0])[0][None]
    assert sorted(planner.plan(START, goal).actions[0].tolist()) == [1] * 32 + [2]


def test_less_of_the_tolerance_asks_for_more() -> None:
    planner = GroupPlanner(turning(FLATLAND), tolerance="step")
    goals = (START @ true_turns(np.array([[1, 0], [1, 0]]) * TURN / 33).transpose(1, 2))[:, 0]
    plan = planner.plan(START.expand(2, 4), goals, within=np.array([1.0, 0.2]))
    # One place on is thirteen steps of 5 back.
    assert [actions.tolist() for actions in plan.actions] == [[], [1] * 13]


def test_where_to_do_nothing_is_no_answer_the_next_best_place_is() -> None:
    planner = GroupPlanner(turning(FLATLAND))
    # A third of the way to the next place in x, and less in y: the place before and the one after are 13 steps away.
    goals = (START @ true_turns(np.array([[0.3, 0.1], [-0.3, 0.1], [5.0, 0.1]]) * TURN / 33).transpose(1, 2))[:, 0]
    here = START.expand(3, 4)
    assert planner.plan(here, goals, within=0.1).lengths.tolist() == [0, 0, 1]
    plan = planner.plan(here, goals, within=0.0)
    assert [actions.tolist() for actions in plan.actions] == [[1] * 13, [0] * 13, [0]]


def test_an_earlier_plan_is_kept_while_it_leads_about_there() -> None:
    planner = GroupPlanner(turning(FLATLAND))
    # Codes are a little off: the goal seems to be the next place, thirteen steps the other way.
    goals = (START @ true_turns(np.array([[10.6, 0]] * 3) * TURN / 33).transpose(1, 2))[:, 0]
    left = [np.array([0, 0]), np.array([0]), np.array([], dtype=np.int64)]
    here = START.expand(3, 4)
    plan = planner.plan(here, goals, previous=left)
    assert [actions.tolist() for actions in plan.actions] == [[0, 0], [1] * 11, [1] * 11]
    assert planner.plan(here[:1], goals[:1]).actions[0].tolist() == [1] * 11
    assert planner.plan(here[:1], goals[:1], previous=left[:1], within=0.0).actions[0].tolist() == [1] * 11


def test_the_words_of_two_discs() -> None:
    world = FlatLandDiscs(period=5, stride=1)
    model, group = of(true_matrices(world)), action_group(world)
    planner = GroupPlanner(model)
    code = torch.from_numpy(np.random.default_rng(0).normal(size=8))
    goals = torch.stack([product(model, word) @ code for word in group.words])
    plan = planner.plan(code.expand(len(goals), 8), goals)
    assert plan.found.all() and plan.lengths.tolist() == [len(word) for word in group.words]


def product(model: SimpleNamespace, word: tuple[int, ...]) -> torch.Tensor:
    made = torch.eye(model.matrices().shape[1], dtype=torch.float64)
    for action in word:
        made = model.matrices()[action] @ made
    return made


def test_the_words_of_a_group_that_does_not_commute() -> None:
    world = FlatLandDihedral()
    model, group = of(true_matrices(world)), action_group(world)
    planner = GroupPlanner(model)
    assert not planner.commutes
    dims = model.matrices().shape[1]
    code = torch.from_numpy(np.random.default_rng(0).normal(size=dims))
    chosen = np.random.default_rng(1).choice(group.order, min(group.order, 40), replace=False)
    words = [group.words[number] for number in chosen]
    goals = torch.stack([product(model, word) @ code for word in words])
    plan = planner.plan(code.expand(len(goals), dims), goals)
    assert plan.found.all()
    # A code in general position is moved by every element but the first.
    assert plan.lengths.tolist() == [len(word) for word in words]
    torch.testing.assert_close(carried_out(model, code.expand(len(goals), dims), plan), goals)


def test_a_search_agrees_with_what_is_looked_up() -> None:
    model = turning(np.array([[1, 0], [-1, 0], [0, 1], [0, -1]]) * TURN / 9)
    turns = np.random.default_rng(0).integers(0, 9, (30, 2)) * TURN / 9
    here = START.expand(30, 4)
    goals = (START @ true_turns(turns).transpose(1, 2))[:, 0]
    looked_up = GroupPlanner(model).plan(here, goals)
    found = search(
        model.matrices(), here, goals, torch.full((30,), 0.1, dtype=torch.float64), max_length=12, max_states=100
    )
    assert found.near.all() and [len(word) for word in found.words] == looked_up.lengths.tolist()
    assert found.distance.max() < 1e-9


def test_a_search_takes_what_is_near_enough_however_little_nearer_it_is() -> None:
    # The start is .13 rad off, a step leads to .09, and no other word to less than .1.
    model, here = turning(np.array([[0.22]])), START[:, :2] / START[:, :2].norm()
    goal = true_turns(np.array([[0.13]])) @ here[0]
    found = search(model.matrices(), here, goal, torch.tensor([0.1], dtype=here.dtype), max_length=5, max_states=99)
    assert found.words[0].tolist() == [0] and found.near[0]


def test_words_of_a_finite_group_are_as_long_as_it_takes() -> None:
    angles = np.array([[1, 1, 0], [0, 1, 1], [0, 0, 1]]) * TURN / 15  # three planes in one set, and no inverses
    planner = GroupPlanner(turning(angles), max_order=20)
    assert [(words.closed, len(words.phases), words.lengths.max()) for words in planner.words] == [(True, 15**3, 42)]
    code = torch.ones(1, 6, dtype=torch.float64)
    plan = planner.plan(code, (true_turns(np.array([[14, 13, 12]]) @ angles) @ code[0]))
    assert plan.found[0] and plan.lengths[0] == 39 and plan.distance[0] < 1e-9


def test_a_search_that_is_cut_gives_the_nearest_that_it_saw() -> None:
    model = turning(np.array([[1.0], [-1.0]]) * TURN / 20)
    here, goal = START[:, :2], (true_turns(np.array([[TURN / 4]])) @ START[0, :2])
    found = search(model.matrices(), here, goal, torch.tensor([0.01]), max_length=3, max_states=1000)
    assert found.words[0].tolist() == [0, 0, 0] and not found.near[0]
    few = search(model.matrices(), here, goal, torch.tensor([0.01]), max_length=30, max_states=4)
    assert len(few.words[0]) < 5 and not few.near[0]


def test_maps_that_stretch_are_searched() -> None:
    model = of(np.array([[[2.0, 0.0], [0.0, 1.0]], [[0.5, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 2.0]]]))
    planner = GroupPlanner(model)
    assert not planner.commutes
    plan = planner.plan(torch.tensor([[1.0, 1.0]]), torch.tensor([[0.25, 2.0]]))
    assert sorted(plan.actions[0].tolist()) == [1, 1, 2] and plan.found[0] and plan.distance[0] < 1e-6


def test_a_spectrum_is_that_of_the_maps() -> None:
    basis = np.random.default_rng(3).normal(size=(6, 6))
    angles = np.array([[0.3, 0.0, 1.0], [0.0, 0.7, 1.0], [0.0, 0.0, 0.0]])
    maps = turning(angles, basis).matrices().numpy()
    found = spectrum(maps, max_order=1)
    assert found is not None and len(found.turned) == 3
    again = found.basis @ (np.exp(1j * found.angles)[:, :, None] * found.inverse)
    np.testing.assert_allclose(again, maps, atol=1e-9)


def test_a_reflection_alone_commutes() -> None:
    planner = GroupPlanner(of(np.array([[[0.0, 1.0], [1.0, 0.0]]])))
    assert planner.commutes
    plan = planner.plan(torch.tensor([[1.0, 3.0], [1.0, 3.0]]), torch.tensor([[3.0, 1.0], [1.0, 3.0]]))
    assert [actions.tolist() for actions in plan.actions] == [[0], []] and plan.found.all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tolerance": "near"}, "'exact', 'step'"),
        ({"tolerance": 0.0}, "above 0"),
        ({"max_order": 0}, "max_order"),
        ({"codes": ()}, "no action"),
        ({"codes": (4,)}, "0 to 3"),
    ],
)
def test_options_that_cannot_be_used(options: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        GroupPlanner(turning(FLATLAND), **options)


def test_a_model_without_a_group_cannot_be_planned_with() -> None:
    with pytest.raises(UsageError, match="a world model with a group"):
        GroupPlanner(SimpleNamespace())


def test_codes_that_do_not_fit() -> None:
    planner = GroupPlanner(turning(FLATLAND))
    with pytest.raises(UsageError, match=r"\[B, 4\]"):
        planner.plan(START, START[:, :3])
    with pytest.raises(UsageError, match="0 or more"):
        planner.plan(START, START, within=-1.0)


def test_flatland_itself() -> None:
    world = FlatLand()
    planner = GroupPlanner(of(true_matrices(world)))
    assert [words.closed for words in planner.words] == [True, True]
    np.testing.assert_allclose([words.halfway[0] for words in planner.words], math.pi / 33)
    np.testing.assert_allclose([words.half_step[0] for words in planner.words], TURN * 2.5 / 33)
