"""Transitions: the actions between two images lead from the first to the second, however they were recorded."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equiworld.datasets import FactorDataset, TransitionDataset, draw_uniform, make_noise, record_trajectory
from equiworld.envs import FlatLand, UsageError

WORLD = FlatLand(period=9, stride=2, radius=3, size=20)
DATA = FactorDataset(WORLD)


def apply(states: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """The states after all actions of each row, int64 [N] and [N, T] to int64 [N]."""
    factors = DATA.index_to_latent(states)
    for step in range(actions.shape[1]):
        factors = WORLD.act(factors, actions[:, step])
    return DATA.latent_to_index(factors)


@pytest.mark.parametrize("offset", [1, 2, 5])
def test_a_trajectory_follows_its_actions(offset: int) -> None:
    recorded = record_trajectory(DATA, 200, offset, seed=3)
    assert recorded.states.shape == (1, 201) and recorded.actions.shape == (1, 200)
    assert np.array_equal(apply(recorded.states[0, :-1], recorded.actions[0, :, None]), recorded.states[0, 1:])
    assert len(recorded) == 201 - offset


@pytest.mark.parametrize("offset", [1, 2, 5])
def test_drawn_pairs_follow_their_actions(offset: int) -> None:
    drawn = draw_uniform(DATA, 50, offset, seed=3)
    assert drawn.states.shape == (50, offset + 1) and drawn.actions.shape == (50, offset)
    assert np.array_equal(apply(drawn.states[:, 0], drawn.actions), drawn.states[:, -1])
    assert len(drawn) == 50


@pytest.mark.parametrize("offset", [1, 3])
@pytest.mark.parametrize("make", [record_trajectory, draw_uniform])
def test_items_keep_all_actions_of_a_pair(make: Callable[..., TransitionDataset], offset: int) -> None:
    transitions = make(DATA, 40, offset)
    for number in (0, 7, len(transitions) - 1, -1):
        (before, action), after = transitions[number]
        assert action.dtype == torch.int64
        assert action.shape == (() if offset == 1 else (offset,))
        (start,) = np.flatnonzero((DATA.images(np.arange(81)) == before).all(dim=(1, 2, 3)).numpy())
        there = apply(np.array([start]), action.reshape(1, -1).numpy())
        assert torch.equal(after, DATA.images(there)[0])
    with pytest.raises(IndexError):
        transitions[len(transitions)]


def test_actions_and_states_are_drawn_uniformly() -> None:
    actions = record_trajectory(DATA, 4000).actions
    assert np.allclose(np.bincount(actions[0], minlength=4) / 4000, 0.25, atol=0.035)
    starts = draw_uniform(DATA, 40_000).states[:, 0]
    assert np.allclose(np.bincount(starts, minlength=81) / 40_000, 1 / 81, atol=0.003)


@pytest.mark.parametrize("make", [record_trajectory, draw_uniform])
def test_the_seed_decides(make: Callable[..., TransitionDataset]) -> None:
    first, again, other = (make(DATA, 100, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.states, again.states) and np.array_equal(first.actions, again.actions)
    assert not np.array_equal(first.actions, other.actions)


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(0, 5), st.integers(0, 3))
def test_windows_are_exactly_those_whose_pictures_exist_and_are_allowed(offset: int, length: int, seed: int) -> None:
    recorded = record_trajectory(DATA, 60, offset, seed)
    allowed = np.random.default_rng(seed).random(81) < 0.8
    for mask in (None, allowed):
        expected = [
            [0, start]
            for start in range(61 - length * offset)
            if mask is None or all(mask[recorded.states[0, start + step * offset]] for step in range(length + 1))
        ]
        assert recorded.windows(length, mask).tolist() == expected


@settings(deadline=None)
@given(st.integers(1, 3), st.integers(1, 5))
def test_what_is_gathered_follows_its_actions(offset: int, length: int) -> None:
    recorded = record_trajectory(DATA, 60, offset, seed=1)
    starts = recorded.windows(length)
    states, actions = recorded.gather(starts, length)
    assert states.shape == (len(starts), length + 1) and actions.shape == (len(starts), length, offset)
    for step in range(length):
        assert np.array_equal(apply(states[:, step], actions[:, step]), states[:, step + 1])
    assert np.array_equal(states[:, 0], recorded.states[0, starts[:, 1]])


def test_windows_of_many_short_trajectories() -> None:
    drawn = draw_uniform(DATA, 3, offset=2)
    assert drawn.windows(1).tolist() == [[0, 0], [1, 0], [2, 0]]
    assert drawn.windows(2).shape == (0, 2)


def test_both_images_of_a_pair_have_one_background() -> None:
    noisy = FactorDataset(WORLD, make_noise("background", image_shape=WORLD.image_shape))
    pairs = record_trajectory(noisy, 40)
    corners = [(float(before[0, 0, 0]), float(after[0, 0, 0])) for (before, _), after in (pairs[i] for i in range(40))]
    assert all(before == after for before, after in corners)
    assert len(set(corners)) > 5
    (before, _), after = pairs[3]
    (again, _), _ = pairs[3]
    assert torch.equal(before, again) and not torch.equal(before, after)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: record_trajectory(DATA, 10, 0), "the offset must be 1 or more, got 0"),
        (lambda: draw_uniform(DATA, 10, 0), "the offset must be 1 or more, got 0"),
        (
            lambda: record_trajectory(DATA, 3, 4),
            "3 steps are too few for an offset of 4; 4 or more are accepted",
        ),
        (lambda: record_trajectory(DATA, -3), "-3 steps are too few for an offset of 1; 1 or more are accepted"),
        (lambda: draw_uniform(DATA, 0), "the number of steps must be 1 or more, got 0"),
        (lambda: record_trajectory(DATA, seed=-1), "a seed must be 0 or more, got -1"),
        (
            lambda: TransitionDataset(DATA, [[0, 1]], [[0, 1]]),
            "transitions need states [M, T + 1] and actions [M, T], got [1, 2] and [1, 2]",
        ),
        (
            lambda: TransitionDataset(DATA, [0, 1], [0]),
            "transitions need states [M, T + 1] and actions [M, T], got [2] and [1]",
        ),
        (lambda: TransitionDataset(DATA, [[0, 81]], [[0]]), "there is no state 81; states are numbered 0 to 80"),
        (lambda: TransitionDataset(DATA, [[0, 1]], [[4]]), "action codes are 0 to 3, got 4 to 4"),
        (lambda: record_trajectory(DATA, 9).windows(-1), "the length of a sequence must be 0 or more, got -1"),
        (
            lambda: record_trajectory(DATA, 9).windows(1, np.ones(3, dtype=bool)),
            "allowed needs one value for each of 81 states, got [3]",
        ),
        (
            lambda: record_trajectory(DATA, 9).gather([[0, 9]], 1),
            "a sequence of 1 transitions runs over the end of its trajectory",
        ),
    ],
)
def test_refusals_are_one_line(call: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        call()
    assert str(caught.value) == message


def test_a_world_without_actions_has_no_transitions() -> None:
    world = FlatLand(period=9, stride=2, radius=3, size=20)
    world.actions = ()
    with pytest.raises(UsageError, match=r"^this world has no actions"):
        record_trajectory(FactorDataset(world), 5)
