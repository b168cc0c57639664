"""Frames of recorded games of Breakout."""

from __future__ import annotations

import numpy as np
import pytest

from equiworld.datasets import DATASETS, load, make_ready
from equiworld.envs import UsageError

OPTIONS = {"frames": 1500, "policy": "random"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder into which some games have been recorded, and what was told meanwhile."""
    place, heard = tmp_path_factory.mktemp("data") / "games", []
    options = DATASETS["breakout-frames"].options(data_path=str(place), **OPTIONS)
    make_ready("breakout-frames", options, lambda done, total: heard.append((done, total)))
    return place, heard


@pytest.fixture
def games(folder):
    return lambda **options: load("breakout-frames", data_path=str(folder[0]), **OPTIONS, **options)


def test_games_are_recorded_once(folder, games):
    place, heard = folder
    assert heard[-1] == (1500, 1500) and len(heard) > 2
    (file,) = place.iterdir()
    before = file.stat().st_mtime_ns
    data = games()
    assert file.stat().st_mtime_ns == before and data.rollouts.steps == 1500
    assert data.world.image_shape == (64, 64, 1) and not data.world.actions


def test_frames_are_those_of_the_games_and_each_is_there_once(games):
    data = games()
    recorded = data.rollouts.all("observation")
    np.testing.assert_array_equal(data.frames(data.states), np.where(recorded > 25.5, 255, 0))
    everything = data.frames(np.arange(len(data)))
    assert len({frame.tobytes() for frame in everything}) == len(data) < len(data.rollouts)
    assert 0.2 < (everything > 0).mean() < 0.5  # 0.362 was measured of the published ones
    grey = games(threshold=None)
    assert len(grey) >= len(data) and len(np.unique(grey.frames(0))) > 2


def test_the_middle_of_larger_frames(folder):
    options = {"data_path": str(folder[0]), "frames": 100, "policy": "random", "image_size": 84}
    data = load("breakout-frames", crop=80, **options)
    assert data.world.image_shape == (80, 80, 1)
    recorded = data.rollouts.all("observation")[data.rows]
    np.testing.assert_array_equal(data.frames(np.arange(len(data))) > 0, recorded[:, 2:-2, 2:-2] > 25.5)
    with pytest.raises(UsageError, match="--crop must be between 1 and 84"):
        load("breakout-frames", crop=85, **options)


def test_the_split_is_by_games_and_no_test_frame_is_trained_on(games):
    data = games()
    assert data.rollouts.episodes >= 4
    split = data.split(0.25, 0.25, seed=1)
    everything = np.concatenate([split.train, split.validation, split.test])
    assert np.array_equal(np.sort(everything), np.arange(len(data)))
    episodes = data.rollouts.episode_of(np.arange(len(data.rollouts)))
    shown = [set(np.unique(episodes[np.isin(data.states, part)])) for part in (split.train, split.test)]
    frames = {data.frames(number).tobytes() for number in split.train}
    assert not frames & {data.frames(number).tobytes() for number in split.test}
    own = set(range(data.rollouts.episodes)) - shown[1]
    assert own and not np.array_equal(split.test, data.split(0.25, 0.25, seed=2).test)
    with pytest.raises(UsageError, match="games leaves the test part empty"):
        data.split(0.25, 0.01)


def test_cumulative_rewards(games):
    data = games()
    for number in (0, len(data) // 2, len(data) - 1):
        row = data.rows[number]
        begin = data.rollouts.offsets[data.rollouts.episode_of(row)]
        assert data.rewards_so_far[number] == data.rollouts.all("reward")[begin:row].sum()
    assert data.rewards_so_far[0] == 0 and data.rewards_so_far.max() >= 2


def test_other_uses(games):
    dynamic = games(threshold=None, dynamic_binarisation=True)
    assert set(dynamic.images([5, 6]).unique().tolist()) == {0.0, 1.0}
    noisy = games(noise_name="gaussian")
    assert len(noisy.images([5]).unique()) > 100
    with pytest.raises(UsageError, match="have no factors"):
        noisy.generative_factors(0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 2.0}, "--threshold must be 0 or more and below 1"),
        ({"crop": 65}, "--crop must be between 1 and 64"),
    ],
)
def test_options_are_looked_at_before_games_are_played(tmp_path, options, message):
    chosen = DATASETS["breakout-frames"].options(data_path=str(tmp_path / "games"), **options)
    with pytest.raises(UsageError, match=message):
        make_ready("breakout-frames", chosen)
    assert not list(tmp_path.iterdir())
