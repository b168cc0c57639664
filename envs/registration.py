"""The Gymnasium ids of this library; light: what they stand for is imported when an environment is made."""

from __future__ import annotations

from typing import Any

import gymnasium

NAMESPACE = "equiworld"

# Id without namespace and version: the scalar and the vector class, below equiworld.envs, and steps until truncation.
_ENVIRONMENTS: dict[str, tuple[str, str, int | None]] = {
    name: (f"{module}:{name}Env", f"{module}:{name}VectorEnv", 100)
    for module, names in {
        "flatland.environments": (
            "FlatLand",
            "FlatLandGoal",
            "FlatLandPermuted",
            "FlatLandContinuous",
            "FlatLandWalls",
        ),
        "flatland.shape_environments": ("FlatLandHue", "FlatLandRotor", "FlatLandDiscs", "FlatLandDihedral"),
    }.items()
    for name in names
}

_ENVIRONMENTS["Breakout"] = ("breakout.environment:BreakoutEnv", "breakout.environment:BreakoutVectorEnv", 27_000)

# Arguments of their classes that ids stand for.
_ARGUMENTS: dict[str, dict[str, Any]] = {}

for _name, _config, _steps in (
    ("Exploration", "exploration", 10),
    ("GoalFindingNewPosition", "goal_finding_new_position", 20),
    ("GoalFindingNewShape", "goal_finding_new_shape", 20),
    ("GoalFindingMoreDistractors", "goal_finding_more_distractors", 20),
    ("GoalFindingMoreTargets", "goal_finding_more_targets", 20),
    ("Clustering", "clustering", 50),
    ("Sorting", "sorting", 50),
    ("GoalFindingClustering", "goal_finding_clustering", 50),
    ("GoalFindingEmbodied", "goal_finding_embodied", 50),
):
    _ENVIRONMENTS[f"Spriteworld{_name}"] = (
        "spriteworld.env:SpriteworldEnv",
        "spriteworld.env:SpriteworldVectorEnv",
        _steps,
    )
    _ARGUMENTS[f"Spriteworld{_name}"] = {"config": _config}


def register_all() -> None:
    """Registers every environment; those that are registered already are left as they are."""
    for name, (scalar, vector, limit) in _ENVIRONMENTS.items():
        env_id = f"{NAMESPACE}/{name}-v0"
        if env_id not in gymnasium.registry:
            gymnasium.register(
                env_id,
                entry_point=f"equiworld.envs.{scalar}",
                vector_entry_point=f"equiworld.envs.{vector}",
                max_episode_steps=limit,
                kwargs=dict(_ARGUMENTS.get(name, {})),
            )


def registered() -> tuple[str, ...]:
    """The ids, as ``gymnasium.make`` takes them."""
    return tuple(f"{NAMESPACE}/{name}-v0" for name in _ENVIRONMENTS)
