"""Action spaces: which sprite moves, how far, at what cost, and noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from equiworld.envs import UsageError
from equiworld.envs.spriteworld.action_spaces import ActionSpace, DragAndDrop, Embodied, SelectMove
from equiworld.envs.spriteworld.sprites import check, count, sprite

# Two squares of side 0.2 that overlap, the second in front; a circle elsewhere.
THREE = np.stack(
    [
        sprite(x=0.3, y=0.5, scale=0.2),
        sprite(x=0.4, y=0.5, scale=0.2),
        sprite(x=0.8, y=0.8, scale=0.1, shape="circle"),
    ]
)


def act(
    actions: ActionSpace, action: Any, sprites: np.ndarray = THREE, *, keep: bool = True, seed: int = 0
) -> tuple[np.ndarray, float]:
    """Where the sprites stand after one action, [S, 2], and what it cost."""
    factors = check(sprites, 4)[None]
    before = factors.copy()
    rows = np.array([0])
    checked = actions.check(np.array([action]), 1)
    reward = actions.step(factors, count(factors), checked, rows, [np.random.default_rng(seed)], keep)
    assert (factors[..., 2:] == before[..., 2:]).all()
    assert (factors[0, len(sprites) :] == 0).all()
    return factors[0, : len(sprites), :2], reward[0]


def moves(after: np.ndarray, sprites: np.ndarray = THREE) -> np.ndarray:
    return after - sprites[:, :2]


def unit(*numbers: float) -> np.ndarray:
    """An action given in the arena's units."""
    return (np.array(numbers) * 2 - 1).astype(np.float32)


def test_the_front_most_sprite_moves() -> None:
    after, reward = act(SelectMove(scale=0.5), unit(0.35, 0.5, 0.75, 0.25))
    assert moves(after) == pytest.approx(np.array([[0, 0], [0.125, -0.125], [0, 0]]), abs=1e-7)
    assert reward == 0
    # Where only the one behind is.
    after, _ = act(SelectMove(), unit(0.25, 0.5, 0.5, 0.75))
    assert moves(after) == pytest.approx(np.array([[0, 0.25], [0, 0], [0, 0]]), abs=1e-7)


@pytest.mark.parametrize(
    ("place", "hit"),
    [
        ((0.201, 0.401), 0),
        ((0.199, 0.5), -1),
        ((0.499, 0.599), 1),
        ((0.501, 0.5), -1),
        ((0.8, 0.855), 2),  # the circle's radius is 0.0564
        ((0.8, 0.857), -1),
        ((0.845, 0.845), -1),  # inside its box, outside of it
        ((0.0, 0.0), -1),  # where empty slots would lie
    ],
)
def test_what_lies_at_a_point(place: tuple[float, float], hit: int) -> None:
    after, _ = act(SelectMove(scale=0.1), unit(*place, 1.0, 1.0))
    expected = np.zeros((3, 2))
    if hit >= 0:
        expected[hit] = 0.05
    assert moves(after) == pytest.approx(expected, abs=1e-7)


def test_a_turned_sprite_is_hit_where_it_lies() -> None:
    turned = np.stack([sprite(x=0.5, y=0.5, scale=0.2, angle=45)])
    corner = unit(0.5 + 0.13, 0.5, 1.0, 0.5)  # the half diagonal is 0.1414
    assert moves(act(SelectMove(), corner, turned)[0], turned)[0, 0] == pytest.approx(0.5 - 0.13 + 0.13)
    upright = np.stack([sprite(x=0.5, y=0.5, scale=0.2)])
    assert (moves(act(SelectMove(), corner, upright)[0], upright) == 0).all()


def test_drag_and_drop_carries_what_is_dragged() -> None:
    after, reward = act(DragAndDrop(), unit(0.82, 0.8, 0.12, 0.9))
    assert after[2] == pytest.approx([0.1, 0.9], abs=1e-6)
    assert (after[:2] == THREE[:2, :2]).all()
    after, _ = act(DragAndDrop(scale=0.5), unit(0.8, 0.8, 0.4, 0.8))
    assert after[2] == pytest.approx([0.6, 0.8], abs=1e-6)
    assert reward == 0


@pytest.mark.parametrize("place", [(0.8, 0.8), (0.05, 0.05)])
def test_motion_costs_whether_or_not_something_moves(place: tuple[float, float]) -> None:
    # (0.3, 0.4) from the middle, times 0.5: a motion of length 0.25.
    assert act(SelectMove(scale=0.5, motion_cost=2.0), unit(*place, 0.8, 0.9))[1] == pytest.approx(-0.5, abs=1e-6)
    towards = (place[0] + (0.12 if place[0] < 0.5 else -0.12), place[1] + (0.16 if place[1] < 0.5 else -0.16))
    assert act(DragAndDrop(motion_cost=2.0), unit(*place, *towards))[1] == pytest.approx(-0.4, abs=1e-6)


def test_sprites_stop_at_the_edge_or_leave() -> None:
    action = unit(0.8, 0.8, 1.0, 0.5)
    assert act(SelectMove(), action)[0][2].tolist() == pytest.approx([1.0, 0.8])
    assert act(SelectMove(), action, keep=False)[0][2] == pytest.approx([1.3, 0.8])


def test_actions_of_the_original_range() -> None:
    original = SelectMove(symmetric=False)
    assert (original.space.low == 0).all() and (SelectMove().space.low == -1).all()
    same = act(original, np.array([0.8, 0.8, 0.25, 0.5], dtype=np.float32))[0]
    assert same == pytest.approx(act(SelectMove(), unit(0.8, 0.8, 0.25, 0.5))[0], abs=1e-6)


def test_noise_on_the_motion_leaves_the_choice_alone() -> None:
    exact, noisy = SelectMove(scale=0.1), SelectMove(scale=0.1, noise_scale=0.05, noise_on="motion")
    shifts = []
    for seed in range(400):
        after, _ = act(noisy, unit(0.8, 0.8, 0.5, 0.5), seed=seed)
        assert (after[:2] == THREE[:2, :2]).all()
        shifts.append(moves(after)[2])
    assert (moves(act(exact, unit(0.8, 0.8, 0.5, 0.5))[0]) == 0).all()
    assert np.std(shifts, axis=0) == pytest.approx([0.005, 0.005], rel=0.1)
    assert np.mean(shifts, axis=0) == pytest.approx([0, 0], abs=0.001)


def test_noise_on_all_numbers_misses_now_and_then() -> None:
    noisy = SelectMove(noise_scale=0.05)
    hits = [(moves(act(noisy, unit(0.8, 0.8, 1.0, 0.5), seed=seed)[0])[2] != 0).any() for seed in range(400)]
    # The chance that normal noise of 0.05 stays within the circle's radius of 0.0564: 1 - exp(-r^2 / 2 s^2).
    assert np.mean(hits) == pytest.approx(1 - np.exp(-0.5 * (0.1**2 / np.pi) / 0.05**2), abs=0.06)


def test_noised_actions_stay_in_the_space() -> None:
    corner = np.stack([sprite(x=1.0, y=1.0, scale=0.2), sprite(x=0.0, y=0.0, scale=0.2)])
    noisy = DragAndDrop(noise_scale=0.02, motion_cost=1.0)
    for seed in range(50):
        # Both ends lie in the corner: pointing beyond the arena would miss, and dragging beyond it cost more.
        after, reward = act(noisy, unit(1.0, 1.0, 1.0, 1.0), corner, keep=False, seed=seed)
        assert -0.2 < reward <= 0
        assert (np.abs(moves(after, corner)) < 0.15).all()
    numbers = np.random.default_rng(0).normal(0.0, 0.02, 4)
    first = np.clip(np.ones(4) + numbers, 0, 1)
    assert moves(act(noisy, unit(1, 1, 1, 1), corner, keep=False)[0], corner)[0] == pytest.approx(first[2:] - first[:2])


BODY = np.stack(
    [
        sprite(x=0.5, y=0.5, scale=0.3),
        sprite(x=0.52, y=0.5, scale=0.2, shape="circle"),
        sprite(x=0.5, y=0.5, scale=0.07, shape="circle"),
    ]
)


@pytest.mark.parametrize(("direction", "step"), [(0, (0, 0.05)), (1, (-0.05, 0)), (2, (0, -0.05)), (3, (0.05, 0))])
def test_the_body_walks_and_carries_what_lies_on_top_under_its_centre(
    direction: int, step: tuple[float, float]
) -> None:
    after, reward = act(Embodied(), np.array([0, direction]), BODY)
    assert moves(after, BODY) == pytest.approx(np.array([[0, 0], [0, 0], step]))
    assert reward == 0
    after, _ = act(Embodied(), np.array([1, direction]), BODY)
    assert moves(after, BODY) == pytest.approx(np.array([[0, 0], step, step]))


def test_the_body_alone_carries_nothing_and_every_step_costs() -> None:
    alone = BODY[2:]
    after, reward = act(Embodied(step_size=0.1, motion_cost=3.0), np.array([1, 3]), alone)
    assert after == pytest.approx(np.array([[0.6, 0.5]]))
    assert reward == pytest.approx(-0.3)
    after, _ = act(Embodied(step_size=0.7), np.array([1, 3]), alone)
    assert after[0, 0] == 1.0


def test_embodied_noise() -> None:
    shifts = [moves(act(Embodied(noise_scale=0.02), np.array([1, 0]), BODY, seed=seed)[0], BODY) for seed in range(300)]
    assert np.std(shifts, axis=0)[2] == pytest.approx([0.02, 0.02], rel=0.15)
    assert all(shift[1] == pytest.approx(shift[2]) for shift in shifts)


@pytest.mark.parametrize("actions", [SelectMove(noise_scale=0.1), Embodied(noise_scale=0.1), DragAndDrop(scale=0.7)])
def test_many_scenes_move_as_each_alone(actions: ActionSpace) -> None:
    rng = np.random.default_rng(0)
    scenes = np.zeros((40, 4, 10))
    for number, one in enumerate(scenes):
        for slot in range(number % 5):
            one[slot] = sprite(x=rng.random(), y=rng.random(), scale=0.9, angle=rng.random() * 360, shape="star_5")
    space = actions.space
    space.seed(0)
    batch = np.stack([space.sample() for _ in scenes])
    together, rows = scenes.copy(), np.flatnonzero(np.arange(40) % 3)
    rewards = actions.step(
        together,
        count(scenes),
        actions.check(batch, 40, rows),
        rows,
        [np.random.default_rng(row) for row in rows],
        True,
    )
    assert (together[::3] == scenes[::3]).all()
    assert (together[rows] != scenes[rows]).any(axis=(1, 2)).sum() > 8
    for row, reward in zip(rows, rewards, strict=True):
        alone = scenes[row : row + 1].copy()
        given = actions.check(batch[row : row + 1], 1)
        assert actions.step(alone, count(alone), given, np.array([0]), [np.random.default_rng(row)], True) == reward
        assert (alone[0] == together[row]).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SelectMove(noise_on="position"), "unknown noise_on 'position'; there are: all, motion"),
        (lambda: SelectMove(noise_scale=-1), "noise_scale must be a number, 0 or more, got -1"),
        (lambda: DragAndDrop(motion_cost=np.nan), "motion_cost must be a number, 0 or more, got nan"),
        (lambda: SelectMove(scale=np.inf), "scale must be a finite number"),
        (lambda: Embodied(step_size=-0.1), "step_size must be a number, 0 or more"),
        (lambda: SelectMove(noise_scale="a"), "noise_scale must be a number, 0 or more, got 'a'"),
        (lambda: SelectMove(scale=None), "scale must be a finite number, got None"),
        (lambda: act(SelectMove(), [0, 0, 0]), r"actions must be numbers \[1, 4\], got .* \[1, 3\]"),
        (lambda: act(SelectMove(), [0, 0, 0, np.nan]), "finite numbers"),
        (lambda: act(Embodied(), [0, 4]), r"there is no action \[0, 4\]; actions are \[0 or 1, 0 to 3\]"),
        (lambda: act(Embodied(), [-1, 0]), r"there is no action \[-1, 0\]"),
        (lambda: act(Embodied(), [0.5, 0.5]), r"actions must be whole numbers \[1, 2\], got float64"),
        (lambda: act(Embodied(), 3), r"actions must be whole numbers \[1, 2\]"),
    ],
)
def test_bad_input_is_refused(make: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()  # type: ignore[operator]


def test_actions_of_scenes_that_do_not_move_are_not_read() -> None:
    assert Embodied().check(np.array([[0, 9], [1, 2]]), 2, np.array([1])).tolist() == [[0, 0], [1, 2]]
