"""Splits by episode: disjoint, fixed by the seed, and without frames that an earlier part has shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces

from equiworld.datasets.rollouts import Header, Rollouts, RolloutWriter, frame_numbers, split_episodes
from equiworld.envs import UsageError

HEADER = Header(spaces.Box(0, 255, (4, 4), np.uint8), spaces.Discrete(2))


def write(path: Path, shown: list[list[int]]) -> Rollouts:
    """Episodes that show numbered pictures."""
    with RolloutWriter(path, HEADER) as writer:
        for numbers in shown:
            images = np.zeros((len(numbers), 4, 4), np.uint8)
            images[:, 0, 0], images[:, 3, 3] = np.array(numbers) % 250, np.array(numbers) // 250
            writer.append({"observation": images, "action": [0] * (len(numbers) - 1)})
    return Rollouts(path)


def test_equal_frames_have_one_number(tmp_path: Path) -> None:
    shown = [[5, 6, 5], [300, 6, 50], [50, 5, 7]]
    assert frame_numbers(write(tmp_path / "a.h5", shown)).tolist() == [0, 1, 0, 2, 1, 3, 3, 0, 4]


def test_no_part_shows_a_frame_of_an_earlier_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rollouts = write(tmp_path / "a.h5", [rng.integers(0, 600, 30).tolist() for _ in range(40)])
    split = split_episodes(rollouts, 0.2, 0.25, seed=1)
    parts = (split.train, split.validation, split.test)
    assert [len(part) for part in parts] == [22, 8, 10]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(40))
    numbers, rows = frame_numbers(rollouts), (split.train_rows, split.validation_rows, split.test_rows)
    shown = [set(numbers[rollouts.rows_of(part)]) for part in parts]
    assert shown[0] & shown[2] and shown[0] & shown[1]  # frames do repeat
    kept = [set(numbers[part]) for part in rows]
    assert kept == [shown[0], shown[1] - shown[0], shown[2] - shown[1] - shown[0]]
    for part, own in zip(parts, rows, strict=True):
        assert set(rollouts.episode_of(own)) <= set(part)
    again, other = split_episodes(rollouts, 0.2, 0.25, seed=1), split_episodes(rollouts, 0.2, 0.25, seed=2)
    assert np.array_equal(split.test_rows, again.test_rows)
    assert not np.array_equal(split.test, other.test)


def test_a_part_without_frames_of_its_own(tmp_path: Path) -> None:
    rollouts = write(tmp_path / "a.h5", [[1, 2, 3]] * 10)
    with pytest.raises(UsageError, match="every frame of the validation episodes occurs in an earlier part"):
        split_episodes(rollouts)
    with pytest.raises(UsageError, match=r"the test share of the episodes must lie between 0 and 1, got 1.5"):
        split_episodes(rollouts, test=1.5)
    with pytest.raises(UsageError, match="the split of 10 episodes leaves the validation part empty"):
        split_episodes(rollouts, validation=0.01)
