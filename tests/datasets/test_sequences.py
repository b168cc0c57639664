"""Windows of encoded episodes: what they hold, what is masked, and that they can be resumed anywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from equiworld.datasets.sequences import Recording, SequenceLoader, Sequences
from equiworld.envs.registry import UsageError


def recording(*lengths: int) -> Recording:
    """Episodes of so many rows; every number of a row is its place in all of them."""
    rows = sum(lengths)
    ends = torch.zeros(rows)
    ends[np.cumsum(lengths) - 2] = 1
    # Pictures lie in another order than they were shown in.
    pictures = torch.randperm(rows, generator=torch.Generator().manual_seed(0))
    means = torch.empty(rows, 2)
    means[pictures] = torch.arange(rows, dtype=torch.float32)[:, None].expand(rows, 2)
    number = torch.arange(rows, dtype=torch.float32)
    return Recording(means, means.repeat(1, 2), pictures, number[:, None], 10 * number, ends, np.array(lengths))


def test_rows_and_steps() -> None:
    made = recording(3, 2, 4)
    assert made.last.tolist() == [2, 4, 8]
    before, after = made.steps()
    assert before.tolist() == [0, 1, 3, 5, 6, 7] and after.tolist() == [1, 2, 4, 6, 7, 8]
    assert made.latents(np.array([[4, 0], [8, 1]]))[..., 0].tolist() == [[4, 0], [8, 1]]


def test_a_window_ends_with_its_episode() -> None:
    made = recording(3, 2, 4)
    loader = SequenceLoader(made, 3, 3)
    found = loader.gather(np.array([0, 3, 5]), torch.Generator())
    assert found.latents[..., 0].tolist() == [[0, 1, 2, 2], [3, 4, 4, 4], [5, 6, 7, 8]]
    assert found.mask.tolist() == [[1, 1, 0], [1, 0, 0], [1, 1, 1]]
    there = found.mask.bool()
    assert found.actions[..., 0][there].tolist() == [0, 1, 3, 5, 6, 7]
    assert found.rewards[there].tolist() == [0, 10, 30, 50, 60, 70]
    assert found.ends[there].tolist() == [0, 1, 1, 0, 0, 1]
    assert found.frames.shape == (12, 2)


def test_an_epoch_shows_each_step_about_once_and_begins_anywhere() -> None:
    made = recording(*[21] * 30)
    loader = SequenceLoader(made, 5, 50)
    assert loader.windows_per_batch == 10 and len(loader) == 12  # 600 steps
    starts = torch.cat([batch.latents[:, 0, 0] for batch in loader.epoch(0)]).long()
    assert len(starts) == len(set(starts.tolist())) == 120
    assert set(starts.tolist()) <= set(made.steps()[0].tolist())
    other = torch.cat([batch.latents[:, 0, 0] for batch in loader.epoch(1)]).long()
    assert not torch.equal(starts, other)
    # Over epochs every step begins a window.
    seen = {int(each) for epoch in range(40) for batch in loader.epoch(epoch) for each in batch.latents[:, 0, 0]}
    assert seen == set(made.steps()[0].tolist())


def test_what_is_skipped_changes_nothing() -> None:
    made = recording(*[8] * 20)

    def drawn(features: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return features[:, :2] + torch.randn(len(features), 2, generator=generator)

    loader = SequenceLoader(made, 4, 20, seed=3, draw=drawn)
    whole, rest = list(loader.epoch(2)), list(loader.epoch(2, skip=4))
    assert len(whole) == len(loader) == 7 and len(rest) == 3
    for one, two in zip(whole[4:], rest, strict=True):
        assert all(torch.equal(vars(one)[name], vars(two)[name]) for name in vars(one))
    plain = SequenceLoader(made, 4, 20, seed=3)
    first, bare = whole[0].latents, next(plain.epoch(2)).latents
    assert not torch.equal(first, bare) and (first - bare).std().item() == pytest.approx(1, abs=0.2)


def test_some_windows_are_from_all_over() -> None:
    loader = SequenceLoader(recording(*[11] * 10), 2, 8, most=25)
    assert len(loader.starts) == 25 and len(loader) == 6
    assert loader.starts[0] == 0 and loader.starts[-1] == 108
    assert len(SequenceLoader(recording(4), 2, 8, most=25).starts) == 3


def test_what_cannot_be_is_refused() -> None:
    for length, batch_size in ((0, 5), (5, 0)):
        with pytest.raises(UsageError, match="must be 1 or more, got 0"):
            SequenceLoader(recording(3), length, batch_size)


def test_batches_move_to_a_device() -> None:
    batch = SequenceLoader(recording(5), 2, 4).gather(np.array([0]), torch.Generator())
    moved = batch.to("meta")
    assert isinstance(moved, Sequences) and all(each.device.type == "meta" for each in vars(moved).values())
