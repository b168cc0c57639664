"""Spriteworld for people: ``python -m equiworld.envs.spriteworld.play --config sorting --mode train``.

Sprites are dragged with the mouse, or, where the agent has a body, it walks by WASD or the arrow keys and carries
while the space bar is held. R begins anew, Q or Escape ends.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..registry import UsageError
from .action_spaces import DragAndDrop, Embodied
from .configs import CONFIGS, MODES, find_config
from .env import SpriteworldEnv

FPS = 30
_DIRECTIONS = {"w": 0, "up": 0, "a": 1, "left": 1, "s": 2, "down": 2, "d": 3, "right": 3}


class Game:
    """An environment, and what a person has done in it; it needs no screen.

    Args:
        config: A name in ``configs.CONFIGS``. Where one points at sprites they are dragged, whatever the
            configuration's own action space.
        mode: ``train`` or ``test``.
        seed: Of the scenes; None: other ones each time.
        size: Pixels of the picture's side.

    Attributes:
        embodied: Whether one walks; otherwise one drags.
        steps: Steps of this episode.
        reward: The reward of the last step.
        total: The sum of the rewards of this episode.
        over: Whether the episode is over; the next action begins another one.

    Raises:
        UsageError: A name is none, or the size is.
    """

    def __init__(
        self, config: str = "goal_finding_new_position", mode: str = "train", seed: int | None = None, size: int = 512
    ) -> None:
        if seed is not None and seed < 0:
            raise UsageError(f"a seed must be 0 or more, got {seed}")
        chosen = find_config(config)
        self.embodied = isinstance(chosen.action_space, Embodied)
        if not self.embodied:
            chosen = replace(chosen, action_space=DragAndDrop(symmetric=False))
        self.title = f"{config} ({mode})"
        self.env = SpriteworldEnv(chosen, mode, image_size=size, max_episode_steps=chosen.max_episode_steps)
        self.start(seed)

    def start(self, seed: int | None = None) -> None:
        """Begins an episode."""
        self.picture, info = self.env.reset(seed=seed)
        self.steps, self.reward, self.total, self.over = 0, 0.0, 0.0, False
        self.solved = bool(info["success"])

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drags what lies at one place to another, both x and y in the arena; nothing where one walks."""
        if not self.embodied:
            self._act(np.clip([*start, *end], 0.0, 1.0).astype(np.float32))

    def walk(self, direction: int, carry: bool) -> None:
        """One step up, left, down or right (0 to 3); nothing where one drags."""
        if self.embodied:
            self._act(np.array([int(carry), direction]))

    def _act(self, action: NDArray[Any]) -> None:
        if self.over:
            self.start()
            return
        self.picture, self.reward, terminated, truncated, info = self.env.step(action)
        self.steps, self.total = self.steps + 1, self.total + self.reward
        self.solved, self.over = bool(info["success"]), terminated or truncated

    def status(self) -> str:
        """A line that says how things stand."""
        limit = self.env.simulation.config.max_episode_steps  # type: ignore[attr-defined]
        end = " - solved, go on with any action" if self.solved and self.over else " - over" if self.over else ""
        return f"{self.title}: step {self.steps}/{limit}, reward {self.reward:.2f}, return {self.total:.2f}{end}"


class Screen:
    """A window with a game in it.

    Args:
        game: The game.

    Raises:
        UsageError: There is no screen.
    """

    def __init__(self, game: Game) -> None:
        # Said once at import otherwise.
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        import pygame

        self._pygame, self.game = pygame, game
        self._from: tuple[float, float] | None = None
        height, width = game.picture.shape[:2]
        try:
            pygame.display.init()
            self._window = pygame.display.set_mode((width, height))
        except pygame.error as error:
            raise UsageError(f"playing needs a screen ({error})") from error
        self._clock = pygame.time.Clock()

    def _place(self, pixel: tuple[int, int]) -> tuple[float, float]:
        """A pixel (column, row) as x and y in the arena."""
        height, width = self.game.picture.shape[:2]
        return (pixel[0] + 0.5) / width, 1.0 - (pixel[1] + 0.5) / height

    def handle(self, event: Any) -> bool:
        """Does what an event of pygame asks for.

        Returns:
            False if it asks for the end.
        """
        pygame = self._pygame
        if event.type == pygame.QUIT:
            return False
        if event.type == pygame.MOUSEBUTTONDOWN and event.button == 1:
            self._from = self._place(event.pos)
        elif event.type == pygame.MOUSEBUTTONUP and event.button == 1 and self._from is not None:
            self.game.drag(self._from, self._place(event.pos))
            self._from = None
        elif event.type == pygame.KEYDOWN:
            name = pygame.key.name(event.key)
            if name in ("q", "escape"):
                return False
            if name == "r":
                self.game.start()
            elif name in _DIRECTIONS:
                self.game.walk(_DIRECTIONS[name], bool(pygame.key.get_pressed()[pygame.K_SPACE]))
        return True

    def show(self) -> None:
        """Draws the picture, and a line along what is being dragged."""
        pygame = self._pygame
        pygame.surfarray.blit_array(self._window, np.swapaxes(self.game.picture, 0, 1))
        if self._from is not None:
            height, width = self.game.picture.shape[:2]
            start = (self._from[0] * width, (1.0 - self._from[1]) * height)
            pygame.draw.line(self._window, (255, 255, 255), start, pygame.mouse.get_pos(), 2)
        pygame.display.set_caption(self.game.status())
        pygame.display.flip()

    def run(self, frames: int | None = None) -> None:
        """Plays until the window is closed, or for so many frames."""
        pygame = self._pygame
        pygame.key.set_repeat(250, 60)
        shown = 0
        try:
            while frames is None or shown < frames:
                if not all(self.handle(event) for event in pygame.event.get()):
                    break
                self.show()
                shown += 1
                self._clock.tick(FPS)
        finally:
            pygame.quit()


class _Parser(argparse.ArgumentParser):
    """Raises where argparse would print and leave."""

    def error(self, message: str) -> Any:
        raise UsageError(message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Plays what the command line asks for, and returns the exit status."""
    parser = _Parser(
        prog="python -m equiworld.envs.spriteworld.play",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", default="goal_finding_new_position", help=", ".join(CONFIGS))
    parser.add_argument("--mode", default="train", help=", ".join(MODES))
    parser.add_argument("--seed", type=int, help="of the scenes; other ones each time by default")
    parser.add_argument("--size", type=int, default=512, help="pixels of the picture's side")
    try:
        given = parser.parse_args(arguments)
        Screen(Game(given.config, given.mode, given.seed, given.size)).run()
    except UsageError as error:
        sys.stderr.write(f"play: {error}\n")
        return 2
    except KeyboardInterrupt:  # Ctrl-C in the terminal closes the window
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
