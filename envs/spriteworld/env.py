"""Spriteworld as Gymnasium environments."""

from __future__ import annotations

from typing import Any

from ..gym import SimulationEnv, SimulationVectorEnv
from .configs import Config
from .simulation import SpriteworldSimulation


class SpriteworldEnv(SimulationEnv):
    """Coloured sprites in an arena, and an agent that moves them (Watters et al. 2019, arXiv 1905.09275).

    ## Description

    Up to twelve polygons lie in the arena [0, 1] x [0, 1], x to the right and y upwards. They have a place, a shape, an
    angle, a size, a colour and a velocity; they overlap without touching each other, and nothing moves but by the
    agent's actions (and by velocities, which are 0 in these configurations). There are nine configurations, each with
    scenes for training and scenes for testing:

    | ``equiworld/Spriteworld...-v0`` | in ``train`` | in ``test`` | task | steps |
    |---|---|---|---|---|
    | ``Exploration`` | 1 to 6 sprites | the same | none | 10 |
    | ``GoalFindingNewPosition`` | target anywhere but upper right, distractor | target there | centre | 20 |
    | ``GoalFindingNewShape`` | square | triangle or circle | centre | 20 |
    | ``GoalFindingMoreDistractors`` | 2 targets, 1 distractor | 2 and 2 | centre | 20 |
    | ``GoalFindingMoreTargets`` | 1 target, 2 distractors | 2 and 2 | centre | 20 |
    | ``Clustering`` | 2 blue, 2 green | 2 red, 2 yellow | like to like | 50 |
    | ``Sorting`` | two of five hues, never red with blue | red with blue | each hue to its place | 50 |
    | ``GoalFindingClustering`` | 8 to 12, see ``configs`` | other colours and sizes | clusters and sides | 50 |
    | ``GoalFindingEmbodied`` | 1 to 3 targets, 1 to 3 distractors, a body | the same | centre | 50 |

    Targets have a hue in [0, 0.4), distractors one in [0.5, 0.9).

    ## Action space

    ``Box(-1, 1, (4,), float32)``, except for ``goal_finding_embodied``; numbers beyond -1 and 1 are brought back.

    | number | meaning |
    |---|---|
    | 0, 1 | where to point: ``(a + 1) / 2`` is x and y. Of the sprites there the front-most moves |
    | 2, 3 | by how much: ``0.125 a`` along x and y (``0.25 a`` in ``goal_finding_clustering``) |

    In ``goal_finding_embodied`` ``MultiDiscrete([2, 4])``: whether to carry what lies under the centre of the agent's
    body, and a step of 0.05 up, left, down or right. Sprites stop with their centre at the edge of the arena.

    ## Observation space

    ``Box(0, 255, (64, 64, 3), uint8)``: the picture, row 0 at the top (y = 1), each pixel by the exact area that the
    sprites cover of it. With ``observation="factors"`` the factors, float64 [10 S].

    ## Factors

    ``info["factors"]``, float64 [10 S]: for each of the configuration's S slots, from back to front

    | number | factor | values |
    |---|---|---|
    | 0, 1 | ``x``, ``y`` | [0, 1], the centre |
    | 2 | ``shape`` | 1 to 13, ``shapes.SHAPE_NAMES``: triangle, square ...; 0: the slot is empty |
    | 3 | ``angle`` | degrees, counterclockwise |
    | 4 | ``scale`` | the square root of the area |
    | 5, 6, 7 | ``c0``, ``c1``, ``c2`` | hue, saturation and value in [0, 1], see below |
    | 8, 9 | ``x_vel``, ``y_vel`` | what is added to the centre at each step |

    In ``goal_finding_clustering`` the colour is red, green and blue in [0, 256). Empty slots are zeros behind the
    others; ``info["count"]`` tells how many are not empty, and ``info["success"]`` whether the task is solved.
    ``reset(options={"factors": ...})`` takes the same numbers, [S, 10] or [10 S].

    ## Rewards

    Goal finding: ``50 (0.075 - d)``, summed over the targets at distance ``d`` from the centre. Sorting: ``20 (0.075 -
    d)``, each sprite from the place of its hue. Clustering: ``5 (m - 2.5)`` with the inverse Davies-Bouldin index ``m``
    (0 to 100). ``goal_finding_clustering``: clustering by shape, and ``30 (0.15 - |x - side|)``. The page of this world
    and ``tasks`` give the details. Actions are free.

    ## Starting state

    Drawn from the configuration's scenes: centres uniform in [0.1, 0.9), in a random order from back to front.

    ## Episode end

    Terminated: the task is solved (all targets within 0.075, or 0.15 from their side; ``m`` at least 2.5; all of them
    where there are several tasks). Truncated: after the steps in the table, which ``gymnasium.make`` counts.

    ## Arguments

    Args:
        config: A name in ``configs.CONFIGS`` (``goal_finding_new_shape`` ...; each id has its own), or a ``Config`` of
            one's own.
        mode: ``train`` or ``test``.
        image_size: Pixels of the picture's side, or height and width.
        observation: ``image`` or ``factors``.
        noise_scale: Standard deviation of the normal noise on actions, in the arena's units; None: as configured (0).
            0.05 is what the experiments of the paper had.
        noise_on: Which numbers of an action have it: ``all``, or those of the ``motion``; None: as configured.
        motion_cost: What a motion costs by its length; None: as configured (0).
        render_mode: ``rgb_array``, ``human`` or None.
        max_episode_steps: As in ``SimulationEnv``: None for no limit but that of ``gymnasium.make``.

    Raises:
        UsageError: An argument that cannot be used.

    ## Version history

    v0: the first.
    """

    def __init__(
        self,
        config: str | Config = "goal_finding_new_position",
        mode: str = "train",
        *,
        image_size: int | tuple[int, int] = 64,
        observation: str = "image",
        noise_scale: float | None = None,
        noise_on: str | None = None,
        motion_cost: float | None = None,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
    ) -> None:
        actions: dict[str, Any] = {"noise_scale": noise_scale, "noise_on": noise_on, "motion_cost": motion_cost}
        simulation = SpriteworldSimulation(1, config, mode, image_size=image_size, observation=observation, **actions)
        super().__init__(simulation, render_mode=render_mode, max_episode_steps=max_episode_steps)


class SpriteworldVectorEnv(SimulationVectorEnv):
    """Many copies of ``SpriteworldEnv``, whose page describes it.

    Args:
        num_envs: Copies N.
        config: As there.
        mode: As there.
        image_size: As there.
        observation: As there.
        noise_scale: As there.
        noise_on: As there.
        motion_cost: As there.
        **options: ``render_mode``, ``max_episode_steps``, ``autoreset_mode`` and ``copy`` of ``SimulationVectorEnv``.

    Raises:
        UsageError: An argument that cannot be used.
    """

    def __init__(
        self,
        num_envs: int = 1,
        config: str | Config = "goal_finding_new_position",
        mode: str = "train",
        *,
        image_size: int | tuple[int, int] = 64,
        observation: str = "image",
        noise_scale: float | None = None,
        noise_on: str | None = None,
        motion_cost: float | None = None,
        **options: Any,
    ) -> None:
        actions: dict[str, Any] = {"noise_scale": noise_scale, "noise_on": noise_on, "motion_cost": motion_cost}
        simulation = SpriteworldSimulation(
            num_envs, config, mode, image_size=image_size, observation=observation, **actions
        )
        super().__init__(simulation, **options)
