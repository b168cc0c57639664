"""Environments of one disc. The docstring of a scalar class is the page of its vector class too."""

from __future__ import annotations

from typing import Any, Literal

from gymnasium.vector import AutoresetMode

from ..tasks import GoalTask, Reward
from .named import NamedWorldEnv, NamedWorldVectorEnv


class FlatLandEnv(NamedWorldEnv):
    """A white disc on a black torus.

    ## Description
    A disc that four actions carry over an exact torus. At an edge it is carried to the other side, so that it is always
    wholly visible. There is nothing to be reached: it is a world to learn the structure of. It is the set that
    symmetry-based representation learning was first tried on (Caselles-Dupré et al. 2019, arXiv 1904.00243), without
    the irregularities of its simulator.

    ## Action space
    `Discrete(4)`

    | Code | Action | Effect | True angle |
    | --- | --- | --- | --- |
    | 0 | down | y - 5 mod 33 | -0.952 rad |
    | 1 | left | x - 5 mod 33 | -0.952 rad |
    | 2 | up | y + 5 mod 33 | +0.952 rad |
    | 3 | right | x + 5 mod 33 | +0.952 rad |

    ## Observation space
    `Box(0, 255, (64, 64, 1), uint8)`: one channel as in the data set `flatland`, pixels 0 or 255. `channels=3` gives
    the three equal channels of the original.

    ## Factors
    | Column | Name | Values | Kind |
    | --- | --- | --- | --- |
    | 0 | `x` | 0 .. 32, from left to right | cyclic |
    | 1 | `y` | 0 .. 32, from bottom to top | cyclic |

    `info["factors"]` holds them at every reset and step, int64 `[2]`. Group: Z33 x Z33.

    ## Rewards
    0 always.

    ## Starting state
    Drawn uniformly; `reset(options={"factors": [x, y]})` sets it.

    ## Episode end
    Never of its own. Truncated after 100 steps.

    ## Arguments
    Those of the world `equiworld.envs.FlatLand`: `period=33`, `stride=5`, `radius=15`, `size=64`, `channels=1`.
    `task=None`: an `equiworld.envs.GoalTask`, which sets a goal among the states of this world.
    Also `render_mode` and `max_episode_steps`, and for the vector environment `num_envs`, `autoreset_mode` and `copy`.

    ## Version history
    - v0: first version.
    """

    world_name = "flatland"


class FlatLandVectorEnv(NamedWorldVectorEnv):
    """Copies of ``FlatLandEnv``, whose page it shares."""

    world_name = "flatland"


class FlatLandGoalEnv(NamedWorldEnv):
    """FlatLand with a place to reach.

    ## Description
    The disc of FlatLand has to be brought to a goal, by default a grey disc behind it. The goal is reached when the
    disc is at most `tolerance` positions away on each axis: 2 by default, so that steps of 5 can always get there.

    ## Action space
    `Discrete(4)`

    | Code | Action | Effect | True angle |
    | --- | --- | --- | --- |
    | 0 | down | y - 5 mod 33 | -0.952 rad |
    | 1 | left | x - 5 mod 33 | -0.952 rad |
    | 2 | up | y + 5 mod 33 | +0.952 rad |
    | 3 | right | x + 5 mod 33 | +0.952 rad |

    ## Observation space
    With `shown="image"` (the default) and `shown="hidden"`: `Box(0, 255, (64, 64, 1), uint8)`. The goal's picture
    stands behind the disc at a third of its brightness (85), or nowhere. With `shown="observation"`:
    `Dict(goal=Box(0, 255, (64, 64, 1), uint8), image=Box(0, 255, (64, 64, 1), uint8))`, the picture that there would be
    at the goal, and the one that there is.

    ## Factors
    | Column | Name | Values | Kind |
    | --- | --- | --- | --- |
    | 0 | `x` | 0 .. 32, from left to right | cyclic |
    | 1 | `y` | 0 .. 32, from bottom to top | cyclic |

    `info["factors"]` holds those of the disc and `info["goal"]` those of the goal, int64 `[2]` each, at every reset and
    step.

    ## Rewards
    - `reward="sparse"` (the default): 1 at the step that reaches the goal, 0 before.
    - `reward="dense"`: minus the distance that is left, from -1 to 0: the mean over the axes of the shorter way round,
      as a share of half the circumference.
    - `reward="potential"`: as `sparse`, plus `discount * potential(after) - potential(before)` with minus the distance
      as potential (0 at the end). It does not change which policies are optimal (Ng, Harada and Russell 1999).

    ## Starting state
    Disc and goal are drawn uniformly, the goal again while it is reached already.
    `reset(options={"factors": [x, y], "goal": [x, y]})` sets them.

    ## Episode end
    Terminated when the goal is reached. Truncated after 100 steps.

    ## Arguments
    `reward="sparse"`, `tolerance=2`, `shown="image"`, `discount=1.0`; and those of the world `equiworld.envs.FlatLand`:
    `period=33`, `stride=5`, `radius=15`, `size=64`, `channels=1`.
    Also `render_mode` and `max_episode_steps`, and for the vector environment `num_envs`, `autoreset_mode` and `copy`.

    ## Version history
    - v0: first version.
    """

    world_name = "flatland"

    def __init__(
        self,
        *,
        reward: Reward = "sparse",
        tolerance: float = 2,
        shown: Literal["image", "observation", "hidden"] = "image",
        discount: float = 1.0,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        **options: Any,
    ) -> None:
        task = GoalTask(reward, tolerance, discount=discount, shown=shown)
        super().__init__(task, render_mode=render_mode, max_episode_steps=max_episode_steps, **options)


class FlatLandGoalVectorEnv(NamedWorldVectorEnv):
    """Copies of ``FlatLandGoalEnv``, whose page it shares."""

    world_name = "flatland"

    def __init__(
        self,
        num_envs: int = 1,
        *,
        reward: Reward = "sparse",
        tolerance: float = 2,
        shown: Literal["image", "observation", "hidden"] = "image",
        discount: float = 1.0,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        copy: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(
            num_envs,
            GoalTask(reward, tolerance, discount=discount, shown=shown),
            render_mode=render_mode,
            max_episode_steps=max_episode_steps,
            autoreset_mode=autoreset_mode,
            copy=copy,
            **options,
        )


class FlatLandPermutedEnv(NamedWorldEnv):
    """FlatLand with its places in a scrambled order.

    ## Description
    The pictures and the group of FlatLand, but which place follows which is drawn at random for each axis (and is the
    same in every environment of one `order_seed`). A factor is the place on the scrambled circle, which an action moves
    by 5: in the picture the disc jumps along its axis. Place `x` is position `world.order[0][x]` from the left, place
    `y` is position `world.order[1][y]` from the bottom.

    ## Action space
    `Discrete(4)`

    | Code | Action | Effect | True angle |
    | --- | --- | --- | --- |
    | 0 | y back | y - 5 mod 33 | -0.952 rad |
    | 1 | x back | x - 5 mod 33 | -0.952 rad |
    | 2 | y on | y + 5 mod 33 | +0.952 rad |
    | 3 | x on | x + 5 mod 33 | +0.952 rad |

    ## Observation space
    `Box(0, 255, (64, 64, 1), uint8)`: as in FlatLand.

    ## Factors
    | Column | Name | Values | Kind |
    | --- | --- | --- | --- |
    | 0 | `x` | 0 .. 32, on the scrambled circle | cyclic |
    | 1 | `y` | 0 .. 32, on the scrambled circle | cyclic |

    `info["factors"]` holds them at every reset and step, int64 `[2]`. Group: Z33 x Z33.

    ## Rewards
    0 always.

    ## Starting state
    Drawn uniformly; `reset(options={"factors": [x, y]})` sets it.

    ## Episode end
    Never of its own. Truncated after 100 steps.

    ## Arguments
    Those of the world `equiworld.envs.FlatLandPermuted`: `period=33`, `stride=5`, `radius=15`, `size=64`,
    `channels=1`, `order_seed=0`.
    `task=None`: an `equiworld.envs.GoalTask`, which sets a goal among the states of this world.
    Also `render_mode` and `max_episode_steps`, and for the vector environment `num_envs`, `autoreset_mode` and `copy`.

    ## Version history
    - v0: first version.
    """

    world_name = "flatland-permuted"


class FlatLandPermutedVectorEnv(NamedWorldVectorEnv):
    """Copies of ``FlatLandPermutedEnv``, whose page it shares."""

    world_name = "flatland-permuted"


class FlatLandContinuousEnv(NamedWorldEnv):
    """FlatLand with continuous places and actions.

    ## Description
    The disc of FlatLand anywhere on the torus, moved by any amount. Its edges are soft, so that its place can be read
    off the picture to a fraction of a pixel.

    ## Action space
    `Box(-1, 1, (2,), float32)`; numbers outside are brought back to the bounds.

    | Number | Effect | True angle |
    | --- | --- | --- |
    | 0 | x + 5 a mod 33 | 0.952 a rad |
    | 1 | y + 5 a mod 33 | 0.952 a rad |

    ## Observation space
    `Box(0, 255, (64, 64, 1), uint8)`: a pixel is as bright as the share of it that the disc covers.

    ## Factors
    | Column | Name | Values | Kind |
    | --- | --- | --- | --- |
    | 0 | `x` | in [0, 33), from left to right | continuous, circular |
    | 1 | `y` | in [0, 33), from bottom to top | continuous, circular |

    `info["factors"]` holds them at every reset and step, float64 `[2]`. Group: SO(2) x SO(2).

    ## Rewards
    0 always.

    ## Starting state
    Drawn uniformly; `reset(options={"factors": [x, y]})` sets it.

    ## Episode end
    Never of its own. Truncated after 100 steps.

    ## Arguments
    Those of the world `equiworld.envs.FlatLandContinuous`: `period=33.0`, `stride=5.0`, `radius=15.0`, `size=64`,
    `channels=1`.
    `task=None`: an `equiworld.envs.GoalTask`, which sets a goal among the states of this world.
    Also `render_mode` and `max_episode_steps`, and for the vector environment `num_envs`, `autoreset_mode` and `copy`.

    ## Version history
    - v0: first version.
    """

    world_name = "flatland-continuous"


class FlatLandContinuousVectorEnv(NamedWorldVectorEnv):
    """Copies of ``FlatLandContinuousEnv``, whose page it shares."""

    world_name = "flatland-continuous"


class FlatLandWallsEnv(NamedWorldEnv):
    """FlatLand between walls: no group.

    ## Description
    The disc of FlatLand, which stops at the edges of its range instead of being carried to the other side. No action
    can always be undone, so that the actions make no group: the contrast to the torus.

    ## Action space
    `Discrete(4)`

    | Code | Action | Effect | True angle |
    | --- | --- | --- | --- |
    | 0 | down | y - 5, at least 0 | none |
    | 1 | left | x - 5, at least 0 | none |
    | 2 | up | y + 5, at most 32 | none |
    | 3 | right | x + 5, at most 32 | none |

    ## Observation space
    `Box(0, 255, (64, 64, 1), uint8)`: as in FlatLand.

    ## Factors
    | Column | Name | Values | Kind |
    | --- | --- | --- | --- |
    | 0 | `x` | 0 .. 32, from left to right | ordinal |
    | 1 | `y` | 0 .. 32, from bottom to top | ordinal |

    `info["factors"]` holds them at every reset and step, int64 `[2]`. No group.

    ## Rewards
    0 always.

    ## Starting state
    Drawn uniformly; `reset(options={"factors": [x, y]})` sets it.

    ## Episode end
    Never of its own. Truncated after 100 steps.

    ## Arguments
    Those of the world `equiworld.envs.FlatLandWalls`: `period=33`, `stride=5`, `radius=15`, `size=64`, `channels=1`.
    `task=None`: an `equiworld.envs.GoalTask`, which sets a goal among the states of this world.
    Also `render_mode` and `max_episode_steps`, and for the vector environment `num_envs`, `autoreset_mode` and `copy`.

    ## Version history
    - v0: first version.
    """

    world_name = "flatland-walls"


class FlatLandWallsVectorEnv(NamedWorldVectorEnv):
    """Copies of ``FlatLandWallsEnv``, whose page it shares."""

    world_name = "flatland-walls"
