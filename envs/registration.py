"""The Gymnasium ids of this library; light: what they stand for is imported when an environment is made."""

from __future__ import annotations

import gymnasium

NAMESPACE = "equiworld"

# Id without namespace and version: the scalar and the vector class, below equiworld.envs, and steps until truncation.
_ENVIRONMENTS: dict[str, tuple[str, str, int | None]] = {}


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
            )


def registered() -> tuple[str, ...]:
    """The ids, as ``gymnasium.make`` takes them."""
    return tuple(f"{NAMESPACE}/{name}-v0" for name in _ENVIRONMENTS)
