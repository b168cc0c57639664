"""Planning in a latent space: words in the learnt group, and sampled action sequences through learnt dynamics."""

from __future__ import annotations

from .action_map import ActionMap, try_actions
from .base import Plan, Planner
from .cem import CEMPlanner
from .driver import Episodes, reach
from .group import GroupPlanner
from .mppi import MPPIPlanner
from .pictures import encode_pictures

__all__ = [
    "ActionMap",
    "CEMPlanner",
    "Episodes",
    "GroupPlanner",
    "MPPIPlanner",
    "Plan",
    "Planner",
    "encode_pictures",
    "reach",
    "try_actions",
]
