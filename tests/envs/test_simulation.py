"""What simulations share: actions that are checked, pictures for people, and windows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from gymnasium import spaces

from equiworld.envs import FlatLand, UsageError, WorldSimulation
from equiworld.envs.simulation import box_actions, discrete_actions
from equiworld.envs.window import Window, mosaic

FOUR = spaces.Discrete(4)
SHIFTED = spaces.Discrete(3, start=-1)
BOX = spaces.Box(-1.0, 2.0, (2,), np.float32)


def test_discrete_actions_are_codes_from_zero() -> None:
    assert discrete_actions([0, 3], FOUR, 2).tolist() == [0, 3]
    assert discrete_actions(np.array([-1, 1], dtype=np.int8), SHIFTED, 2).tolist() == [0, 2]
    assert discrete_actions(np.array([3, 255], dtype=np.uint8), FOUR, 2, np.array([0])).tolist() == [3, 0]
    assert discrete_actions([-9, 1, 77], FOUR, 3, np.array([1])).tolist() == [0, 1, 0]
    assert discrete_actions([-9, 77], FOUR, 2, np.array([], dtype=int)).tolist() == [0, 0]


def test_box_actions_are_brought_back_to_the_bounds() -> None:
    assert box_actions([[-3, 0.5], [1, 9]], BOX, 2).tolist() == [[-1, 0.5], [1, 2]]
    assert box_actions([[np.nan, 0.5], [1, 1]], BOX, 2, np.array([1])).tolist() == [[0, 0.5], [1, 1]]
    assert box_actions([[np.nan, np.inf]], BOX, 1, np.array([], dtype=int)).tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: discrete_actions([0, 4], FOUR, 2), "there is no action 4; actions are 0 to 3"),
        (lambda: discrete_actions([-2], SHIFTED, 1), "there is no action -2; actions are -1 to 1"),
        (lambda: discrete_actions([9, 4, 1], FOUR, 3, np.array([1, 2])), "there is no action 4; actions are 0 to 3"),
        (
            lambda: discrete_actions([0, 1, 2], FOUR, 2),
            "actions must be whole numbers [2], one for each copy, got int64 [3]",
        ),
        (lambda: discrete_actions([0.5], FOUR, 1), "actions must be whole numbers [1], one for each copy, got 0.5"),
        (lambda: discrete_actions([True], FOUR, 1), "actions must be whole numbers [1], one for each copy, got True"),
        (lambda: discrete_actions([[1], [2, 3]], FOUR, 2), "actions must be one array, got rows of different shapes"),
        (lambda: box_actions([[0, 0, 0]], BOX, 1), "actions must be numbers [1, 2], got int64 [1, 3]"),
        (lambda: box_actions([["a", "b"]], BOX, 1), "actions must be numbers [1, 2], got <U1 [1, 2]"),
        (lambda: box_actions([[0, np.inf]], BOX, 1), "actions must be finite numbers, got nan or infinity"),
        (
            lambda: WorldSimulation(FlatLand()).frame(0, np.zeros(3)),
            "there is no image in the observation that could be rendered",
        ),
    ],
)
def test_refusals_are_one_line(call: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        call()
    assert str(caught.value) == message


def test_the_frame_is_the_image_in_colour() -> None:
    simulation = WorldSimulation(FlatLand())
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)
    frame = simulation.frame(0, grey)
    assert frame.shape == (3, 4, 3) and (frame == grey).all()
    coloured = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
    frame = simulation.frame(0, {"goal": grey, "image": coloured})
    assert np.array_equal(frame, coloured) and not np.shares_memory(frame, coloured)


def test_a_mosaic_has_the_pictures_row_by_row() -> None:
    pictures = [np.full((2, 3, 3), number, dtype=np.uint8) for number in range(1, 6)]
    sheet = mosaic(pictures)
    assert sheet.shape == (4, 9, 3)
    assert sheet[::2, ::3, 0].tolist() == [[1, 2, 3], [4, 5, 0]]
    assert np.array_equal(mosaic(pictures[:1]), pictures[0])


def test_a_window_shows_the_picture_magnified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    import pygame

    window = Window("test", 1000)
    window.close()  # before it was opened
    picture = np.zeros((64, 64, 3), dtype=np.uint8)
    picture[0, 1] = (255, 0, 7)
    window.show(picture)
    screen = pygame.surfarray.array3d(pygame.display.get_surface())
    assert screen.shape == (512, 512, 3)
    assert np.array_equal(screen[::8, ::8].swapaxes(0, 1), picture)
    window.show(np.zeros((600, 300, 3), dtype=np.uint8))
    assert pygame.display.get_surface().get_size() == (300, 600)
    window.close()
    window.close()


def test_without_a_screen_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "nowhere")
    window = Window("test", 1000)
    with pytest.raises(UsageError, match=r"^render_mode 'human' needs a screen \(.*\); 'rgb_array' does not$"):
        window.show(np.zeros((64, 64, 3), dtype=np.uint8))
