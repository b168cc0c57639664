"""Worlds whose factors and symmetries are known exactly."""

from __future__ import annotations

from .breakout.world import Breakout
from .factors import Factor, FactorSpace
from .flatland import (
    FlatLand,
    FlatLandContinuous,
    FlatLandDihedral,
    FlatLandDiscs,
    FlatLandHue,
    FlatLandPermuted,
    FlatLandRotor,
    FlatLandWalls,
)
from .groups import ActionGroup, action_group, true_matrices
from .gym import SimulationEnv, SimulationVectorEnv, restore_state, save_state
from .ima_sprites import ImaSprites
from .registry import Registry, UsageError
from .simulation import Simulation
from .sprites import Sprites
from .tasks import GoalTask
from .world import WORLDS, Action, CyclicGroup, World, make_world, true_groups
from .world_simulation import WorldEnv, WorldSimulation, WorldVectorEnv

__all__ = [
    "WORLDS",
    "Action",
    "ActionGroup",
    "Breakout",
    "CyclicGroup",
    "Factor",
    "FactorSpace",
    "FlatLand",
    "FlatLandContinuous",
    "FlatLandDihedral",
    "FlatLandDiscs",
    "FlatLandHue",
    "FlatLandPermuted",
    "FlatLandRotor",
    "FlatLandWalls",
    "GoalTask",
    "ImaSprites",
    "Registry",
    "Simulation",
    "SimulationEnv",
    "SimulationVectorEnv",
    "Sprites",
    "UsageError",
    "World",
    "WorldEnv",
    "WorldSimulation",
    "WorldVectorEnv",
    "action_group",
    "make_world",
    "restore_state",
    "save_state",
    "true_groups",
    "true_matrices",
]
