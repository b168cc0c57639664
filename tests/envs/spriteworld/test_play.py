"""Playing by hand: the game without a screen, and the window with one that is not there."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from equiworld.envs import UsageError
from equiworld.envs.spriteworld.play import Game, Screen, main


@pytest.fixture(autouse=True)
def no_screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setenv("SDL_AUDIODRIVER", "dummy")
    yield
    import pygame

    pygame.quit()


def sprites(game: Game) -> np.ndarray:
    return game.env.simulation.factors()[0].reshape(-1, 10)


def test_dragging_carries_a_sprite_to_where_it_is_let_go() -> None:
    game = Game("exploration", seed=0, size=64)
    before = sprites(game)
    top = np.count_nonzero(before[:, 2]) - 1
    x, y = before[top, :2]
    game.drag((x, y), (0.25, 0.75))
    assert sprites(game)[top, :2] == pytest.approx([0.25, 0.75], abs=1e-6)
    assert (sprites(game)[:top] == before[:top]).all()
    assert (game.steps, game.over) == (1, False)
    game.walk(0, False)  # nobody walks here
    assert game.steps == 1
    game.drag((0.25, 0.75), (1.7, 0.75))  # let go outside the window
    assert sprites(game)[top, :2] == pytest.approx([1.0, 0.75], abs=1e-6)


def test_a_solved_episode_is_told_and_the_next_action_begins_another() -> None:
    game = Game("goal_finding_new_shape", "test", seed=1, size=64)
    scene = sprites(game)[0]
    game.drag(tuple(scene[:2]), (0.5, 0.5))
    assert game.over and game.solved
    assert game.reward == game.total == pytest.approx(50 * 0.075, abs=1e-4)
    assert game.status() == (
        "goal_finding_new_shape (test): step 1/20, reward 3.75, return 3.75 - solved, go on with any action"
    )
    game.drag((0.0, 0.0), (0.0, 0.0))
    assert (game.steps, game.total, game.over) == (0, 0.0, False)
    assert (sprites(game)[0] != scene).any()


def test_an_episode_ends_after_its_steps() -> None:
    game = Game("exploration", seed=0, size=64)
    for _ in range(10):
        assert not game.over
        game.drag((0.0, 0.0), (0.0, 0.0))
    assert game.over and not game.solved
    assert game.status().endswith("step 10/10, reward 0.00, return 0.00 - over")


def test_walking() -> None:
    game = Game("goal_finding_embodied", seed=0, size=64)
    body = np.count_nonzero(sprites(game)[:, 2]) - 1
    start = sprites(game)[body, :2]
    game.walk(1, False)
    assert sprites(game)[body, :2] - start == pytest.approx([-0.05, 0.0])
    game.drag((0.5, 0.5), (0.6, 0.6))
    assert game.steps == 1


def test_the_same_seed_begins_with_the_same_scene() -> None:
    assert (Game("sorting", seed=5, size=64).picture == Game("sorting", seed=5, size=64).picture).all()


def test_the_mouse_in_the_window() -> None:
    import pygame

    game = Game("goal_finding_new_shape", seed=2, size=100)
    screen = Screen(game)
    x, y = sprites(game)[0, :2]
    pixel = int(x * 100), int((1 - y) * 100)

    def mouse(kind: int, place: tuple[int, int]) -> Any:
        return pygame.event.Event(kind, button=1, pos=place)

    assert screen.handle(mouse(pygame.MOUSEBUTTONDOWN, pixel))
    screen.show()
    assert game.steps == 0
    assert screen.handle(mouse(pygame.MOUSEBUTTONUP, (pixel[0], pixel[1] - 20 if y < 0.5 else pixel[1] + 20)))
    assert sprites(game)[0, :2] - (x, y) == pytest.approx([0.0, 0.2 if y < 0.5 else -0.2], abs=1e-6)
    assert screen.handle(mouse(pygame.MOUSEBUTTONUP, pixel))  # without a button that was pressed
    assert game.steps == 1
    screen.show()
    shown = np.swapaxes(pygame.surfarray.array3d(pygame.display.get_surface()), 0, 1)
    assert (shown == game.picture).all()
    assert pygame.display.get_caption()[0] == game.status()


def test_the_keys_in_the_window() -> None:
    import pygame

    game = Game("goal_finding_embodied", seed=0, size=64)
    screen = Screen(game)

    def press(key: int) -> bool:
        return screen.handle(pygame.event.Event(pygame.KEYDOWN, key=key))

    body = np.count_nonzero(sprites(game)[:, 2]) - 1
    start = sprites(game)[body, :2].copy()
    for key, step in (
        (pygame.K_w, (0, 0.05)),
        (pygame.K_s, (0, -0.05)),
        (pygame.K_LEFT, (-0.05, 0)),
        (pygame.K_d, (0.05, 0)),
    ):
        before = sprites(game)[body, :2].copy()
        assert press(key)
        assert sprites(game)[body, :2] - before == pytest.approx(step)
    assert sprites(game)[body, :2] == pytest.approx(start)
    assert press(pygame.K_x) and game.steps == 4
    assert press(pygame.K_r) and game.steps == 0
    assert not press(pygame.K_q)
    assert not press(pygame.K_ESCAPE)
    assert not screen.handle(pygame.event.Event(pygame.QUIT))


def test_it_runs_until_it_is_closed() -> None:
    import pygame

    screen = Screen(Game("sorting", seed=0, size=64))
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_r))
    screen.run(frames=2)
    assert not pygame.display.get_init()
    screen = Screen(Game("sorting", seed=0, size=64))
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    screen.run()


def test_bad_arguments_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", "sortin"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("play: unknown config 'sortin' (did you mean 'sorting'?)") and error.count("\n") == 1
    assert main(["--mode", "valid"]) == 2
    capsys.readouterr()
    assert main(["--seed", "-3"]) == 2
    assert capsys.readouterr().err == "play: a seed must be 0 or more, got -3\n"
    assert main(["--size", "ten"]) == 2
    assert capsys.readouterr().err == "play: argument --size: invalid int value: 'ten'\n"
    with pytest.raises(UsageError, match="image_size"):
        Game(size=0)


def test_ctrl_c_ends_it_without_a_word(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it may be ignored
    monkeypatch.setattr(Screen, "show", lambda self: signal.raise_signal(signal.SIGINT))
    assert main(["--size", "64"]) == 130
    assert capsys.readouterr().err == ""


def test_without_a_screen_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "nonsense")
    assert main(["--size", "64"]) == 2
    assert capsys.readouterr().err.startswith("play: playing needs a screen")
