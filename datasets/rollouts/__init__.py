"""Recorded rollouts in HDF5: collecting, writing and reading them, and the way to Minari and back."""

from __future__ import annotations

from .collector import Collected, Plan, collect
from .exchange import export_minari, import_minari
from .items import Frames, Sequences, Transitions
from .layout import Column, Header, RolloutError
from .reader import Rollouts
from .shards import collect_shard, collect_shards
from .splits import EpisodeSplit, frame_numbers, split_episodes
from .writer import RolloutWriter

__all__ = [
    "Collected",
    "Column",
    "EpisodeSplit",
    "Frames",
    "Header",
    "Plan",
    "RolloutError",
    "RolloutWriter",
    "Rollouts",
    "Sequences",
    "Transitions",
    "collect",
    "collect_shard",
    "collect_shards",
    "export_minari",
    "frame_numbers",
    "import_minari",
    "split_episodes",
]
