"""A window on the screen that shows pictures, for ``render_mode="human"``."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .registry import UsageError

_SIDE = 512
"""Pictures are magnified by the whole number that brings their larger side nearest to so many pixels from below."""


class Window:
    """A window, opened with the first picture.

    Args:
        title: Its title.
        fps: Pictures a second at most.
    """

    def __init__(self, title: str, fps: int) -> None:
        self.title, self.fps = title, fps
        self._screen: Any = None
        self._clock: Any = None

    def show(self, picture: NDArray[np.uint8]) -> None:
        """Shows a picture, uint8 [H, W, 3], and waits for its time to be over.

        Raises:
            UsageError: There is no screen.
        """
        # Said once at import otherwise; a library is quiet.
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        import pygame

        times = max(1, _SIDE // max(picture.shape[:2]))
        large = np.repeat(np.repeat(picture, times, axis=0), times, axis=1)
        size = large.shape[1], large.shape[0]
        try:
            if self._screen is None or self._screen.get_size() != size:
                pygame.display.init()
                self._screen = pygame.display.set_mode(size)
                pygame.display.set_caption(self.title)
                self._clock = pygame.time.Clock()
        except pygame.error as error:
            raise UsageError(f"render_mode 'human' needs a screen ({error}); 'rgb_array' does not") from error
        pygame.surfarray.blit_array(self._screen, np.swapaxes(large, 0, 1))
        pygame.event.pump()
        pygame.display.flip()
        self._clock.tick(self.fps)

    def close(self) -> None:
        """Closes the window. May be called twice."""
        if self._screen is not None:
            import pygame

            pygame.display.quit()
            self._screen = None


def mosaic(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Pictures of one shape [H, W, 3] side by side, row by row in a square as near as can be."""
    columns = math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    height, width, channels = pictures[0].shape
    sheet = np.zeros((rows, height, columns, width, channels), dtype=np.uint8)
    for place, picture in enumerate(pictures):
        sheet[place // columns, :, place % columns] = picture
    return sheet.reshape(rows * height, columns * width, channels)
