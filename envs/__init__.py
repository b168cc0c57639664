"""Worlds whose factors and symmetries are known exactly."""

from __future__ import annotations

from .factors import Factor, FactorSpace
from .flatland import FlatLand
from .registry import Registry, UsageError
from .world import WORLDS, Action, CyclicGroup, World, make_world, true_groups

__all__ = [
    "WORLDS",
    "Action",
    "CyclicGroup",
    "Factor",
    "FactorSpace",
    "FlatLand",
    "Registry",
    "UsageError",
    "World",
    "make_world",
    "true_groups",
]
