"""The nine configurations: what their scenes hold, and that the test mode is what training never sees."""

from __future__ import annotations

from dataclasses import replace

import gymnasium
import numpy as np
import pytest

from equiworld.envs import UsageError
from equiworld.envs.registration import register_all, registered
from equiworld.envs.spriteworld.action_spaces import DragAndDrop, Embodied, SelectMove
from equiworld.envs.spriteworld.configs import (
    CONFIGS,
    DISTRACTOR_HUE,
    HUES,
    SORTING_GOALS,
    TARGET_HUE,
    Config,
    find_config,
    with_actions,
)
from equiworld.envs.spriteworld.shapes import shape_code
from equiworld.envs.spriteworld.sprites import count

N = 2000
SQUARE, TRIANGLE, CIRCLE = (shape_code(name) for name in ("square", "triangle", "circle"))


def scenes(name: str, mode: str) -> np.ndarray:
    return CONFIGS[name].scenes(mode).sample(np.random.default_rng(0), N)


def hued(found: np.ndarray, hue: object) -> np.ndarray:
    """Which sprites have a hue, bool [N, S]."""
    return (found[..., 2] != 0) & hue.contains({"c0": found[..., 5]})  # type: ignore[attr-defined]


def test_there_are_nine_with_their_lengths() -> None:
    assert {name: config.max_episode_steps for name, config in CONFIGS.items()} == {
        "exploration": 10,
        "goal_finding_new_position": 20,
        "goal_finding_new_shape": 20,
        "goal_finding_more_distractors": 20,
        "goal_finding_more_targets": 20,
        "clustering": 50,
        "sorting": 50,
        "goal_finding_clustering": 50,
        "goal_finding_embodied": 50,
    }


def test_every_configuration_has_an_id_with_its_length() -> None:
    register_all()
    specs = [gymnasium.spec(name) for name in registered() if "Spriteworld" in name]
    assert {spec.kwargs["config"]: spec.max_episode_steps for spec in specs} == {
        name: config.max_episode_steps for name, config in CONFIGS.items()
    }
    for spec in specs:
        assert spec.id.removeprefix("equiworld/Spriteworld").removesuffix("-v0") == "".join(
            part.title() for part in spec.kwargs["config"].split("_")
        )


@pytest.mark.parametrize("mode", ["train", "test"])
@pytest.mark.parametrize("name", CONFIGS)
def test_scenes_are_sound(name: str, mode: str) -> None:
    found = scenes(name, mode)
    present = found[..., 2] != 0
    assert (count(found) >= 1).all() and count(found).max() <= CONFIGS[name].slots
    assert ((found[present][:, :2] >= 0.1) & (found[present][:, :2] < 0.9)).all()
    assert (found[..., 8:] == 0).all()
    if name not in ("goal_finding_clustering", "goal_finding_embodied"):
        assert set(found[present][:, 2]) <= {SQUARE, TRIANGLE, CIRCLE}
        assert set(found[present][:, 4]) == {0.13}
        assert ((found[present][:, 6:8] >= (0.3, 0.9)) & (found[present][:, 6:8] < 1)).all()
        assert CONFIGS[name].action_space == SelectMove(scale=0.25)


@pytest.mark.parametrize("mode", ["train", "test"])
def test_exploration(mode: str) -> None:
    found = scenes("exploration", mode)
    assert np.bincount(count(found), minlength=7)[1:] / N == pytest.approx(np.full(6, 1 / 6), abs=0.03)
    assert np.histogram(found[found[..., 2] != 0][:, 5], 4, (0, 1))[0].min() > 0.2 * count(found).sum()


@pytest.mark.parametrize(
    ("name", "train", "test"),
    [
        ("goal_finding_new_position", (1, 1), (1, 1)),
        ("goal_finding_more_distractors", (2, 1), (2, 2)),
        ("goal_finding_more_targets", (1, 2), (2, 2)),
    ],
)
def test_targets_and_distractors(name: str, train: tuple[int, int], test: tuple[int, int]) -> None:
    for mode, numbers in (("train", train), ("test", test)):
        found = scenes(name, mode)
        for hue, number in zip((TARGET_HUE, DISTRACTOR_HUE), numbers, strict=True):
            assert (hued(found, hue).sum(axis=1) == number).all()
        assert (count(found) == sum(numbers)).all()
        # Shuffled: a target lies behind as often as chance has it.
        assert hued(found, TARGET_HUE)[:, 0].mean() == pytest.approx(numbers[0] / sum(numbers), abs=0.04)


def test_new_position_holds_out_the_upper_right() -> None:
    def upper_right(found: np.ndarray, hue: object) -> np.ndarray:
        return (found[hued(found, hue)][:, :2] >= 0.5).all(axis=1)

    train, test = scenes("goal_finding_new_position", "train"), scenes("goal_finding_new_position", "test")
    assert not upper_right(train, TARGET_HUE).any()
    assert upper_right(test, TARGET_HUE).all()
    for found in (train, test):  # distractors lie anywhere
        assert upper_right(found, DISTRACTOR_HUE).mean() == pytest.approx(0.25, abs=0.03)


def test_new_shape_holds_out_triangles_and_circles() -> None:
    assert (scenes("goal_finding_new_shape", "train")[:, :, 2] == SQUARE).all()
    shapes = scenes("goal_finding_new_shape", "test")[:, 0, 2]
    assert np.mean(shapes == TRIANGLE) == pytest.approx(0.5, abs=0.04)
    assert np.mean(shapes == CIRCLE) == pytest.approx(0.5, abs=0.04)


def test_clustering_holds_out_hues() -> None:
    for mode, names in (("train", ("blue", "green")), ("test", ("red", "yellow"))):
        found = scenes("clustering", mode)
        assert (count(found) == 4).all()
        assert all((hued(found, HUES[name]).sum(axis=1) == 2).all() for name in names)


def test_sorting_holds_out_one_pair_of_ten() -> None:
    def pairs(mode: str) -> dict[tuple[str, ...], int]:
        found = scenes("sorting", mode)
        assert (count(found) == 2).all()
        has = np.stack([hued(found, hue).any(axis=1) for hue in HUES.values()], axis=1)
        assert (has.sum(axis=1) == 2).all()
        rows, numbers = np.unique(has, axis=0, return_counts=True)
        return {
            tuple(name for name, there in zip(HUES, row, strict=True) if there): int(number)
            for row, number in zip(rows, numbers, strict=True)
        }

    train = pairs("train")
    assert pairs("test") == {("red", "blue"): N}
    assert len(train) == 9 and ("red", "blue") not in train
    assert min(train.values()) > 0.7 * N / 9


def test_sorting_is_solved_when_each_lies_in_its_place() -> None:
    config = CONFIGS["sorting"]
    found = scenes("sorting", "train")
    assert config.task.evaluate(found).success.mean() < 0.01
    for name, goal in SORTING_GOALS.items():
        found[hued(found, HUES[name]), :2] = goal
    outcome = config.task.evaluate(found)
    assert outcome.success.all()
    assert outcome.reward == pytest.approx(np.full(N, 2 * 20 * 0.075))


def test_goal_finding_clustering() -> None:
    codes = {name: shape_code(name) for name in ("triangle", "square", "pentagon", "spoke_4", "star_4", "circle")}
    clustered = [codes[name] for name in ("triangle", "square", "pentagon")]
    for mode in ("train", "test"):
        found = scenes("goal_finding_clustering", mode)
        for code in clustered:
            assert ((found[..., 2] == code).sum(axis=1) == 2).all()
        kinds = np.isin(found[..., 2], clustered)
        carried = np.isin(found[..., 2], [codes["spoke_4"], codes["star_4"]])
        red, green = (carried & (found[..., column] >= 192) for column in (5, 6))
        assert set(red.sum(axis=1)) == set(green.sum(axis=1)) == {1, 2}
        assert (red | green == carried).all() and not (red & green).any()
        assert set((found[..., 2] == codes["circle"]).sum(axis=1)) == {0, 1, 2}
        assert ((found[kinds][:, 4] >= 0.08) & (found[kinds][:, 4] < 0.12)).all()
        # What is held out: little red in what is clustered, and middle sizes of what is carried.
        assert ((found[kinds][:, 5] >= 128) == (mode == "train")).all()
        middle = (found[carried][:, 4] >= 0.08) & (found[carried][:, 4] < 0.12)
        assert (middle == (mode == "test")).all()
        # Solved: one place for each shape, reddish on the left, greenish on the right, the rest anywhere.
        for code, place in zip(clustered, ((0.2, 0.2), (0.8, 0.2), (0.5, 0.8)), strict=True):
            found[found[..., 2] == code, :2] = place
        config = CONFIGS["goal_finding_clustering"]
        found[red, 0], found[green, 0] = 0.1, 0.9
        assert config.task.evaluate(found).success.all()
        found[red, 0] = 0.2
        assert not config.task.evaluate(found).success.any()
    assert config.action_space == SelectMove(scale=0.5)
    assert config.color_space == "rgb"


def test_goal_finding_embodied_has_its_body_in_front() -> None:
    found = scenes("goal_finding_embodied", "train")
    numbers = count(found)
    body = found[np.arange(N), numbers - 1]
    assert (body[:, 2:] == [CIRCLE, 0, 0.07, 1, 0, 1, 0, 0]).all()
    for hue in (TARGET_HUE, DISTRACTOR_HUE):
        assert set(hued(found, hue).sum(axis=1)) == {1, 2, 3}
    assert (hued(found, TARGET_HUE).sum(axis=1) + hued(found, DISTRACTOR_HUE).sum(axis=1) + 1 == numbers).all()
    assert CONFIGS["goal_finding_embodied"].action_space == Embodied(step_size=0.05)


def test_options_of_the_action_space_can_be_changed() -> None:
    changed = with_actions(CONFIGS["sorting"], noise_scale=0.05, noise_on="motion", motion_cost=None)
    assert changed.action_space == SelectMove(scale=0.25, noise_scale=0.05, noise_on="motion")
    assert with_actions(CONFIGS["sorting"], noise_scale=None) is CONFIGS["sorting"]
    assert replace(CONFIGS["sorting"], action_space=DragAndDrop()).task is CONFIGS["sorting"].task


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: find_config("sortin"),
            r"unknown config 'sortin' \(did you mean 'sorting'\?\); there are: explo",
        ),
        (lambda: CONFIGS["sorting"].scenes("valid"), "unknown mode 'valid'; there are: train, test"),
        (
            lambda: with_actions(CONFIGS["goal_finding_embodied"], noise_on="all"),
            "Embodied has no noise_on; it has: mo",
        ),
        (lambda: replace(CONFIGS["sorting"], color_space="lab"), "lab"),
        (lambda: replace(CONFIGS["sorting"], max_episode_steps=0), "max_episode_steps must be 1 or more, got 0"),
    ],
)
def test_what_cannot_be_is_refused(make: object, message: str) -> None:
    assert isinstance(find_config(CONFIGS["sorting"]), Config)
    with pytest.raises(UsageError, match=message):
        make()  # type: ignore[operator]
