"""Random generators from keys: the same numbers give the same draws, whatever was drawn before."""

from __future__ import annotations

import numpy as np
import torch

from ..envs.registry import UsageError


def seed_sequence(*key: int) -> np.random.SeedSequence:
    """The seed sequence of a key (the seed first, then what is drawn with it).

    Raises:
        UsageError: A number of the key is negative.
    """
    if any(number < 0 for number in key):
        raise UsageError(f"a seed must be 0 or more, got {min(key)}")
    return np.random.SeedSequence([int(number) for number in key])


def numpy_generator(*key: int) -> np.random.Generator:
    """A NumPy generator from a key; errors as in ``seed_sequence``."""
    return np.random.default_rng(seed_sequence(*key))


def torch_generator(*key: int) -> torch.Generator:
    """A torch generator on the CPU from a key; errors as in ``seed_sequence``."""
    return torch.Generator().manual_seed(int(seed_sequence(*key).generate_state(1, np.uint64)[0]))
