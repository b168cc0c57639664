"""Recorded rollouts in HDF5: writing, collecting, reading, and the way to Minari and back."""

from __future__ import annotations

from .layout import Header, RolloutError
from .reader import Rollouts
from .writer import RolloutWriter

__all__ = ["Header", "RolloutError", "RolloutWriter", "Rollouts"]
