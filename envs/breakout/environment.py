"""Breakout as a Gymnasium environment and as a vector environment."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from gymnasium.vector import AutoresetMode

from ..gym import SimulationEnv, SimulationVectorEnv
from ..registry import UsageError, nearest
from .simulation import BreakoutSimulation


class BreakoutEnv(SimulationEnv):
    """Breakout, with every factor known at every step.

    ## Description
    The Atari 2600 game itself, emulated by the Arcade Learning Environment (Bellemare et al. 2013, arXiv 1207.4708). A
    paddle sends a ball up to a wall of 6 x 18 bricks, and each brick that it hits disappears. The game's ball, paddle,
    bricks, lives and score are read from the console's memory, exactly and without lag, and can be set.

    ## Action space
    `Discrete(4)`:

    | Action | Name | Effect |
    | --- | --- | --- |
    | 0 | `NOOP` | none |
    | 1 | `FIRE` | serves, when no ball is in play |
    | 2 | `RIGHT` | turns the paddle's dial to the right |
    | 3 | `LEFT` | turns it to the left |

    With `full_action_space=True`, `Discrete(18)`: all of the console's actions, in its order. An action is held for
    `frame_skip` frames; with the probability `repeat_action_probability` a frame repeats the one before instead.

    ## Observation space
    `Box(0, 255, (64, 64, 3), uint8)`: the field within the walls (rows 32 to 195 and columns 8 to 151 of the screen),
    reduced by exact area averaging, so that the ball, 2 x 4 pixels on the screen, is never lost between the pixels. The
    arguments below change size, crop, colours, and the number of steps that are shown. The picture shows the same frame
    that the factors describe; the digits of the score, outside of the crop, follow one frame later.

    ## Factors
    `info["factors"]` is float64 [116]; their names are `factor_names`. Pixels are those of the screen, 210 x 160.

    | Column | Name | Values |
    | --- | --- | --- |
    | 0, 1 | `ball_x`, `ball_y` | the ball's upper left pixel, y growing downwards; -1, -1: no ball in play |
    | 2, 3 | `ball_vx`, `ball_vy` | pixels a frame, in steps of 1/256; 0, 0: no ball in play |
    | 4 | `paddle_x` | the paddle's left pixel, 8 to 144 |
    | 5 | `paddle_width` | 16, and 12 once the ball has reached the ceiling |
    | 6 .. 113 | `brick_0_0` .. `brick_5_17` | 1 while the brick stands; rows from the top, columns from the left |
    | 114 | `lives` | 5 to 0 |
    | 115 | `score` | 0 to 864 |

    `info["lives"]` is the same number of lives under the name that Atari wrappers look for.

    ## Rewards
    What the score grows by: 1 for a brick of the lower two rows, 4 in the middle, 7 in the upper two.

    ## Starting state
    A new game: the wall is whole, the paddle is in the middle, there are 5 lives, and the ball is not in play until
    `FIRE`. With `noop_max`, some frames later; with `fire_reset`, served.

    `reset(options={"factors": ...})` begins at any factors that can be set: ball_y from 32 to 216 (a ball below is lost
    within the frame), lives from 1 to 5, score from 0 to 999. The paddle stays where it is put until it is moved.

    ## Episode end
    Terminated when the last life is lost (see `life_loss`), truncated after 27,000 steps.

    ## Arguments

    | Name | Default | Meaning |
    | --- | --- | --- |
    | `frame_skip` | 4 | frames of a step; `(2, 5)`: drawn, 2 to 4 |
    | `repeat_action_probability` | 0.25 | sticky actions, drawn anew in each frame |
    | `full_action_space` | False | 18 actions instead of 4 |
    | `noop_max` | 0 | a new game begins with 1 to so many frames without action |
    | `fire_reset` | False | a new game, and each new life of `life_loss="continue"`, begins with the serve |
    | `life_loss` | `"ignore"` | `"terminate"`: an episode ends; `"continue"`: so too, and the next one goes on |
    | `max_pool` | False | show the brighter of the last two frames, pixel by pixel |
    | `grayscale` | False | one channel |
    | `image_size` | 64 | pixels along each side; None: no reduction |
    | `crop` | `(32, 196, 8, 152)` | rows and columns of the screen that are seen; None: all of it |
    | `frame_stack` | 1 | steps that are shown, one after the other in the channels, the latest last |
    | `num_workers` | 0 | processes that run the consoles; 0: this one |
    | `max_episode_steps` | 27,000 | steps until truncation (by `gymnasium.make`); -1 for no limit |
    | `render_mode` | None | `rgb_array` or `human`: the whole screen |

    ## Version history
    - v0: first version.
    """

    metadata = {**SimulationEnv.metadata, "render_fps": 15}  # noqa: RUF012

    def __init__(self, *, render_mode: str | None = None, max_episode_steps: int | None = None, **options: Any) -> None:
        super().__init__(_simulation(1, options), render_mode=render_mode, max_episode_steps=max_episode_steps)


class BreakoutVectorEnv(SimulationVectorEnv):
    """Many games of Breakout, stepped together.

    Each copy is what `BreakoutEnv` is, bit by bit, and takes the same arguments. They run in this process, or with
    `num_workers` in others, to the same effect.
    """

    def __init__(
        self,
        num_envs: int = 1,
        *,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        copy: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(
            _simulation(num_envs, options),
            render_mode=render_mode,
            max_episode_steps=max_episode_steps,
            autoreset_mode=autoreset_mode,
            copy=copy,
        )


def _simulation(num_envs: int, options: Mapping[str, Any]) -> BreakoutSimulation:
    accepted = [name for name in inspect.signature(BreakoutSimulation).parameters if name != "num_envs"]
    for option in options:
        if option not in accepted:
            raise UsageError(
                f"Breakout has no option {option!r}{nearest(option, accepted)}; it takes: {', '.join(accepted)}"
            )
    return BreakoutSimulation(num_envs, **options)
