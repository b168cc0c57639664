"""Environments of other shapes. The docstring of a scalar class is the page of its vector class too."""

from __future__ import annotations

from .named import NamedWorldEnv, NamedWorldVectorEnv


class FlatLandHueEnv(NamedWorldEnv):
    """FlatLand with a coloured disc whose hue turns.

    ## Description
    The disc of FlatLand has a hue, which two more actions turn. Hues are an exact circle in the space of colours,
    `0.6 + 0.4 cos(2 pi h / 12 - 2 pi c / 3)` for red, green and blue (c = 0, 1, 2): 0 is red, 4 green, 8 blue.

    ## Action space
    `Discrete(6)`

    | Code | Action | Effect | True angle |
    | --- | --- | --- | --- |
    | 0 | down | y - 5 mod 33 | -0.952 rad |
    | 1 | left | x - 5 mod 33 | -0.952 rad |
    | 2 | up | y + 5 mod 33 | +0.952 rad |
    | 3 | right | x + 5 mod 33 | +0.952 rad |
    | 4 | hue on | hue + 1 mod 12 | +0.524 rad |
    | 5 | hue back | hue - 1 mod 12 | -0.524 rad |

    ## Observation space
    `Box(0, 255, (64, 64, 3), uint8)`: the disc in its colour on black.

    ## Factors
    | Column | Name | Values | Kind |
    | --- | --- | --- | --- |
    | 0 | `x` | 0 .. 32, from left to right | cyclic |
    | 1 | `y` | 0 .. 32, from bottom to top | cyclic |
    | 2 | `hue` | 0 .. 11 | cyclic |

    `info["factors"]` holds them at every reset and step, int64 `[3]`. Group: Z33 x Z33 x Z12.

    ## Rewards
    0 always.

    ## Starting state
    Drawn uniformly; `reset(options={"factors": [x, y, hue]})` sets it.

    ## Episode end
    Never of its own. Truncated after 100 steps.

    ## Arguments
    Those of the world `equiworld.envs.FlatLandHue`: `period=33`, `stride=5`, `hue_period=12`, `hue_stride=1`,
    `radius=15`, `size=64`.
    `task=None`: an `equiworld.envs.GoalTask`, which sets a goal among the states of this world.
    Also `render_mode` and `max_episode_steps`, and for the vector environment `num_envs`, `autoreset_mode` and `copy`.

    ## Version history
    - v0: first version.
    """

    world_name = "flatland-hue"


class FlatLandHueVectorEnv(NamedWorldVectorEnv):
    """Copies of ``FlatLandHueEnv``, whose page it shares."""

    world_name = "flatland-hue"


class FlatLandRotorEnv(NamedWorldEnv):
    """FlatLand with a disc that turns about itself.

    ## Description
    The disc of FlatLand has a dark quarter, which two more actions turn. At orientation 0 the quarter lies to the upper
    right; orientations grow counterclockwise.

    ## Action space
    `Discrete(6)`

    | Code | Action | Effect | True angle |
    | --- | --- | --- | --- |
    | 0 | down | y - 5 mod 33 | -0.952 rad |
    | 1 | left | x - 5 mod 33 | -0.952 rad |
    | 2 | up | y + 5 mod 33 | +0.952 rad |
    | 3 | right | x + 5 mod 33 | +0.952 rad |
    | 4 | turn left | orientation + 5 mod 33 | +0.952 rad |
    | 5 | turn right | orientation - 5 mod 33 | -0.952 rad |

    ## Observation space
    `Box(0, 255, (64, 64, 1), uint8)`: white 255, the quarter 76, with soft edges.

    ## Factors
    | Column | Name | Values | Kind |
    | --- | --- | --- | --- |
    | 0 | `x` | 0 .. 32, from left to right | cyclic |
    | 1 | `y` | 0 .. 32, from bottom to top | cyclic |
    | 2 | `orientation` | 0 .. 32, counterclockwise | cyclic |

    `info["factors"]` holds them at every reset and step, int64 `[3]`. Group: Z33 x Z33 x Z33.

    ## Rewards
    0 always.

    ## Starting state
    Drawn uniformly; `reset(options={"factors": [x, y, orientation]})` sets it.

    ## Episode end
    Never of its own. Truncated after 100 steps.

    ## Arguments
    Those of the world `equiworld.envs.FlatLandRotor`: `period=33`, `stride=5`, `turn_period=33`, `turn_stride=5`,
    `radius=15`, `size=64`, `channels=1`.
    `task=None`: an `equiworld.envs.GoalTask`, which sets a goal among the states of this world.
    Also `render_mode` and `max_episode_steps`, and for the vector environment `num_envs`, `autoreset_mode` and `copy`.

    ## Version history
    - v0: first version.
    """

    world_name = "flatland-rotor"


class FlatLandRotorVectorEnv(NamedWorldVectorEnv):
    """Copies of ``FlatLandRotorEnv``, whose page it shares."""

    world_name = "flatland-rotor"


class FlatLandDiscsEnv(NamedWorldEnv):
    """Two discs, each on a torus of its own.

    ## Description
    A large red disc and a small green one, which four actions each carry over a torus of nine by nine places, 5 pixels
    apart. Where they overlap the picture is yellow, so that both are always wholly visible.

    ## Action space
    `Discrete(8)`

    | Code | Action | Effect | True angle |
    | --- | --- | --- | --- |
    | 0 | red down | y1 - 1 mod 9 | -0.698 rad |
    | 1 | red left | x1 - 1 mod 9 | -0.698 rad |
    | 2 | red up | y1 + 1 mod 9 | +0.698 rad |
    | 3 | red right | x1 + 1 mod 9 | +0.698 rad |
    | 4 | green down | y2 - 1 mod 9 | -0.698 rad |
    | 5 | green left | x2 - 1 mod 9 | -0.698 rad |
    | 6 | green up | y2 + 1 mod 9 | +0.698 rad |
    | 7 | green right | x2 + 1 mod 9 | +0.698 rad |

    ## Observation space
    `Box(0, 255, (64, 64, 3), uint8)`: red (255, 0, 0), green (0, 255, 0), both (255, 255, 0).

    ## Factors
    | Column | Name | Values | Kind |
    | --- | --- | --- | --- |
    | 0 | `x1` | 0 .. 8, the red disc from left to right | cyclic |
    | 1 | `y1` | 0 .. 8, from bottom to top | cyclic |
    | 2 | `x2` | 0 .. 8, the green disc from left to right | cyclic |
    | 3 | `y2` | 0 .. 8, from bottom to top | cyclic |

    `info["factors"]` holds them at every reset and step, int64 `[4]`. Group: Z9 x Z9 x Z9 x Z9.

    ## Rewards
    0 always.

    ## Starting state
    Drawn uniformly; `reset(options={"factors": [x1, y1, x2, y2]})` sets it.

    ## Episode end
    Never of its own. Truncated after 100 steps.

    ## Arguments
    Those of the world `equiworld.envs.FlatLandDiscs`: `period=9`, `stride=1`, `spacing=5`, `radius=12`,
    `small_radius=7`, `size=64`.
    `task=None`: an `equiworld.envs.GoalTask`, which sets a goal among the states of this world.
    Also `render_mode` and `max_episode_steps`, and for the vector environment `num_envs`, `autoreset_mode` and `copy`.

    ## Version history
    - v0: first version.
    """

    world_name = "flatland-discs"


class FlatLandDiscsVectorEnv(NamedWorldVectorEnv):
    """Copies of ``FlatLandDiscsEnv``, whose page it shares."""

    world_name = "flatland-discs"


class FlatLandDihedralEnv(NamedWorldEnv):
    """A letter that is turned and mirrored: actions that do not commute.

    ## Description
    The letter F in the middle of the picture. Two actions turn the picture, a third mirrors it left to right. The
    states are the elements of the dihedral group of order 72. To reflect and then turn left is to turn right and then
    reflect.

    ## Action space
    `Discrete(3)`

    | Code | Action | Effect | True angle |
    | --- | --- | --- | --- |
    | 0 | turn left | orientation + 5 mod 36 | +0.873 rad |
    | 1 | turn right | orientation - 5 mod 36 | -0.873 rad |
    | 2 | reflect | -orientation mod 36, 1 - mirror | none |

    ## Observation space
    `Box(0, 255, (64, 64, 1), uint8)`: the letter in white with soft edges.

    ## Factors
    | Column | Name | Values | Kind |
    | --- | --- | --- | --- |
    | 0 | `orientation` | 0 .. 35, counterclockwise | cyclic |
    | 1 | `mirror` | 0 or 1; the letter is mirrored first and then turned | categorical |

    `info["factors"]` holds them at every reset and step, int64 `[2]`. Group: the dihedral
    group of order 72; `equiworld.envs.action_group(env.unwrapped.world)` has its table.

    ## Rewards
    0 always.

    ## Starting state
    Drawn uniformly; `reset(options={"factors": [orientation, mirror]})` sets it.

    ## Episode end
    Never of its own. Truncated after 100 steps.

    ## Arguments
    Those of the world `equiworld.envs.FlatLandDihedral`: `period=36`, `stride=5`, `radius=32`, `size=64`,
    `channels=1`.
    `task=None`: an `equiworld.envs.GoalTask`, which sets a goal among the states of this world.
    Also `render_mode` and `max_episode_steps`, and for the vector environment `num_envs`, `autoreset_mode` and `copy`.

    ## Version history
    - v0: first version.
    """

    world_name = "flatland-dihedral"


class FlatLandDihedralVectorEnv(NamedWorldVectorEnv):
    """Copies of ``FlatLandDihedralEnv``, whose page it shares."""

    world_name = "flatland-dihedral"
