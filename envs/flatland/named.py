"""Environments of worlds by their names, with the options of the worlds as arguments."""

from __future__ import annotations

from typing import Any, ClassVar

from gymnasium.vector import AutoresetMode

from ..tasks import GoalTask
from ..world import make_world
from ..world_simulation import WorldEnv, WorldVectorEnv


class NamedWorldEnv(WorldEnv):
    """A world by its name, with its options as arguments."""

    world_name: ClassVar[str]

    def __init__(
        self,
        task: GoalTask | None = None,
        *,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        **options: Any,
    ) -> None:
        world = make_world(self.world_name, **options)
        super().__init__(world, task, render_mode=render_mode, max_episode_steps=max_episode_steps)


class NamedWorldVectorEnv(WorldVectorEnv):
    """Copies of a world by its name, with its options as arguments."""

    world_name: ClassVar[str]

    def __init__(
        self,
        num_envs: int = 1,
        task: GoalTask | None = None,
        *,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        copy: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(
            num_envs,
            make_world(self.world_name, **options),
            task,
            render_mode=render_mode,
            max_episode_steps=max_episode_steps,
            autoreset_mode=autoreset_mode,
            copy=copy,
        )
