"""The loader: its batches hold the sequences they name, in an order that the seed fixes and that can be resumed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from equiworld.datasets import (
    Batch,
    FactorDataset,
    TransitionDataset,
    WindowLoader,
    make_noise,
    record_trajectory,
    split_states,
)
from equiworld.envs import FlatLand, UsageError

WORLD = FlatLand(period=9, stride=2, radius=3, size=20)
CLEAN = FactorDataset(WORLD)


def recorded(noise: str = "none", offset: int = 1) -> TransitionDataset:
    data = FactorDataset(WORLD, make_noise(noise, image_shape=WORLD.image_shape), seed=1)
    return record_trajectory(data, 300, offset)


def loader(noise: str = "none", length: int = 2, batch_size: int = 32, seed: int = 0, offset: int = 1) -> WindowLoader:
    transitions = recorded(noise, offset)
    allowed = split_states(81).role(81) == 0
    return WindowLoader(transitions, transitions.windows(length, allowed), length, batch_size, seed, allowed)


def same(first: list[Batch], second: list[Batch]) -> bool:
    return len(first) == len(second) and all(
        torch.equal(getattr(a, part), getattr(b, part))
        for a, b in zip(first, second, strict=True)
        for part in ("frames", "index", "actions")
    )


def states_of(batch: Batch) -> np.ndarray:
    """The states that clean pictures show, int64 [S, T + 1]."""
    known = {image.numpy().tobytes(): number for number, image in enumerate(CLEAN.images(np.arange(81)))}
    shown = np.array([known[frame.contiguous().numpy().tobytes()] for frame in batch.frames])
    return shown[batch.index.numpy()]


@pytest.mark.parametrize("offset", [1, 2])
def test_pictures_that_are_there_once_make_up_all_sequences(offset: int) -> None:
    made = loader(offset=offset)
    for batch in made.epoch(0):
        assert batch.frames.dtype == torch.float32
        assert batch.frames.is_contiguous(memory_format=torch.channels_last)
        assert batch.index.shape == (16, 3) and batch.actions.shape == (16, 2, offset)
        assert len(batch.frames) == len(batch.index.unique()) < 16 * 3
        states, actions = states_of(batch), batch.actions.numpy()
        for step in range(2):
            factors = CLEAN.index_to_latent(states[:, step])
            for part in range(offset):
                factors = WORLD.act(factors, actions[:, step, part])
            assert np.array_equal(CLEAN.latent_to_index(factors), states[:, step + 1])


def test_only_allowed_states_are_seen() -> None:
    train = split_states(81).train
    seen = {int(state) for batch in loader().epoch(0) for state in np.unique(states_of(batch))}
    assert seen <= set(train.tolist())
    assert len(seen) > 40


def test_an_epoch_shows_every_sequence_at_most_once() -> None:
    transitions = recorded()
    starts = transitions.windows(1)
    batches = list(WindowLoader(transitions, starts, 1, 30).epoch(4))
    assert len(batches) == len(starts) // 30 == 10
    shown = [
        tuple(row)
        for batch in batches
        for row in np.column_stack([states_of(batch), batch.actions[:, 0].numpy()]).tolist()
    ]
    states, actions = transitions.gather(starts, 1)
    expected = [tuple(row) for row in np.column_stack([states, actions[:, 0]]).tolist()]
    assert sorted(shown) == sorted(expected)


@pytest.mark.parametrize("noise", ["none", "gaussian", "background"])
def test_skipping_resumes_exactly(noise: str) -> None:
    made = loader(noise)
    whole = list(made.epoch(3))
    assert len(whole) == len(made) > 3
    for skip in (0, 1, len(made) - 1, len(made)):
        assert same(list(made.epoch(3, skip)), whole[skip:])


@pytest.mark.parametrize("noise", ["none", "salt"])
def test_the_seed_and_the_epoch_decide(noise: str) -> None:
    first = list(loader(noise).epoch(2))
    assert same(first, list(loader(noise).epoch(2)))
    assert not same(first, list(loader(noise).epoch(1)))
    assert not same(first, list(loader(noise, seed=1).epoch(2)))


def test_with_noise_every_place_has_its_own_picture_and_every_sequence_one_background() -> None:
    batch = next(loader("background").epoch(0))
    assert torch.equal(batch.index, torch.arange(48).reshape(16, 3))
    corners = batch.frames[batch.index][:, :, 0, 0, 0]
    assert torch.equal(corners, corners[:, :1].expand(-1, 3))
    assert len(corners[:, 0].unique()) > 3
    salted = next(loader("salt").epoch(0))
    assert len(salted.frames) == 48 and len({frame.numpy().tobytes() for frame in salted.frames}) == 48


def test_every_batch_and_every_epoch_has_noise_of_its_own() -> None:
    made = loader("salt")
    batches = [next(made.epoch(0)), next(made.epoch(0, skip=1)), next(made.epoch(1)), made.sample(16, key=0)]
    # The corners are black without noise, so that white there is salt alone.
    salt = {batch.frames[:, 0, :2, :2].eq(1).numpy().tobytes() for batch in batches}
    assert len(salt) == 4


def test_samples_are_keyed_and_may_have_another_length() -> None:
    made = loader("gaussian")
    first = made.sample(8, key=5)
    assert first.index.shape == (8, 3)
    assert same([first], [made.sample(8, key=5)])
    assert not same([first], [made.sample(8, key=6)])
    longer = loader().sample(4, key=0, length=5)
    assert longer.index.shape == (4, 6) and longer.actions.shape == (4, 5, 1)
    assert set(np.unique(states_of(longer))) <= set(split_states(81).train.tolist())
    assert loader().sample(5000, key=0).index.shape == (5000, 3)
    single = loader().sample(6, key=0, length=0)
    assert single.index.shape == (6, 1) and single.actions.shape == (6, 0, 1)


def test_sizes_of_batches() -> None:
    transitions = recorded()
    starts = transitions.windows(4)
    assert loader(length=4, batch_size=32).windows_per_batch == 8
    assert loader(length=4, batch_size=3).windows_per_batch == 1
    few = WindowLoader(transitions, starts[:5], 4, 128)
    assert len(few) == 1
    assert [len(batch.index) for batch in few.epoch(0)] == [5]
    assert len(WindowLoader(transitions, starts[:50], 4, 128)) == 1


def test_a_batch_moves_to_a_device() -> None:
    moved = next(loader().epoch(0)).to("meta")
    assert {part.device.type for part in (moved.frames, moved.index, moved.actions)} == {"meta"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: loader(batch_size=0), "the batch size must be 1 or more, got 0"),
        (lambda: loader(seed=-1), "a seed must be 0 or more, got -1"),
        (
            lambda: WindowLoader(recorded(), [], 2, 8),
            "there is no sequence of 2 transitions to be had; accepted: more steps, shorter sequences, or a larger"
            " part of the states",
        ),
        (
            lambda: loader().sample(2, 0, length=301),
            "there is no sequence of 301 transitions to be had; accepted: more steps, shorter sequences, or a larger"
            " part of the states",
        ),
        (lambda: loader().sample(0, 0), "the number of sequences must be 1 or more, got 0"),
        (
            lambda: WindowLoader(recorded(), [[0, 299]], 2, 8).sample(1, 0),
            "a sequence of 2 transitions runs over the end of its trajectory",
        ),
    ],
)
def test_refusals_are_one_line(call: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        call()
    assert str(caught.value) == message
