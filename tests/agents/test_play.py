"""Playing: films of the real and the imagined world, keys, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from PIL import Image

from equiworld import train
from equiworld.agents.play import Imagined, keys_of, main
from equiworld.agents.video import side_by_side, write_video
from equiworld.envs.registry import UsageError
from equiworld.world_models import load

TORUS = ["period=7", "stride=2", "radius=3", "size=16", "max_episode_steps=5"]
ENV = ["--env=equiworld/FlatLand-v0", "--env-options", *TORUS]


def frames_of(path: Path) -> list[np.ndarray]:
    with Image.open(path) as film:
        found = []
        for number in range(film.n_frames):
            film.seek(number)
            found.append(np.asarray(film.convert("RGB")))
    return found


def test_a_film_of_both_worlds(tmp_path: Path, trained: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    film, again = tmp_path / "film.gif", tmp_path / "again.gif"
    asked = [*ENV, "--actions=random", "--steps=8", f"--world-model={trained['vae']}"]
    assert main([*asked, f"--video={film}"]) == 0
    # Two episodes of 5 and 3 steps, each with its first picture.
    assert "film.gif: 10 pictures; 2 episodes, returns 0 0" in capsys.readouterr().out
    assert main([*asked, f"--video={again}"]) == 0 and film.read_bytes() == again.read_bytes()
    frames = frames_of(film)
    assert frames[0].shape == (256, 2 * 256 + 2, 3)
    assert (frames[0][:, 256:258] == 255).all()
    assert main([*ENV, "--actions=random", "--steps=3", f"--video={tmp_path / 'real.gif'}"]) == 0
    assert frames_of(tmp_path / "real.gif")[0].shape == (256, 256, 3)


def test_a_film_of_an_agent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    goal = ["--env=equiworld/FlatLandGoal-v0", "--env-options", *TORUS, "tolerance=0"]
    sizes = ["--agent=ppo", "--world-model=factors", "--n-steps=8", "--batch-size=8", "--steps=16", "--num-envs=1"]
    assert train.main([*goal, *sizes, "--eval-episodes=0", f"--log-dir={tmp_path}"]) == 0
    run = tmp_path / "version_0"
    film = ["--steps=4", f"--video={tmp_path / 'film.gif'}"]
    assert main([*goal, f"--actions=policy:{run}", *film]) == 0
    assert "5 pictures; 1 episode" in capsys.readouterr().out
    assert main([*ENV, f"--actions=policy:{run}", *film]) == 2
    assert "is shown what equiworld/FlatLandGoal-v0 tells" in capsys.readouterr().err
    assert main([*goal, "size=24", f"--actions=policy:{run}", *film]) == 2
    told = capsys.readouterr().err
    assert "looks at Box(0, 255, (16, 16, 1)" in told and told.count("\n") == 1


def test_a_film_of_an_agent_that_learnt_in_dreams_beside_what_is_imagined(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], dreamer: Path
) -> None:
    sizes = ["--n-steps=8", "--batch-size=8", "--steps=16", "--num-envs=1", "--eval-episodes=0", "--stack=2"]
    front = ["--agent=ppo", "--env=dream", f"--world-model={dreamer}", f"--log-dir={tmp_path}"]
    assert train.main([*front, *sizes]) == 0
    film = ["--steps=4", f"--world-model={dreamer}", f"--video={tmp_path / 'film.gif'}"]
    assert main([*ENV, f"--actions=policy:{tmp_path / 'version_0'}", *film]) == 0
    assert "5 pictures; 1 episode" in capsys.readouterr().out
    assert frames_of(tmp_path / "film.gif")[0].shape == (256, 2 * 256 + 2, 3)


def test_dynamics_imagine_from_the_first_picture_and_the_actions_alone(dreamer: Path) -> None:
    model = load(dreamer)
    space, actions = spaces.Box(0, 255, (16, 16, 1), np.uint8), spaces.Discrete(4)
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 1), dtype=np.uint8)
    codes = model.encode(torch.from_numpy(images).permute(0, 3, 1, 2) / 255)
    state = model.dynamics.initial(codes[:1])
    for action in (2, 1):
        vectors = model.action_code.encode(np.array([action]))
        state = model.dynamics.step(state, vectors, torch.Generator(), 0.0).state
    wanted = (model.decode(state.latent)[0, 0].clamp(0, 1) * 255).round().to(torch.uint8).detach().numpy()
    alone = Imagined(model, space, actions, temperature=0)
    first = alone.begin(images[0])
    alone.step(2, images[1])
    np.testing.assert_array_equal(alone.step(1, images[2])[..., 0], wanted)
    anew = Imagined(model, space, actions, temperature=0, anew=2)
    np.testing.assert_array_equal(anew.begin(images[0]), first)
    anew.step(2, images[1])
    np.testing.assert_array_equal(anew.step(1, images[2]), alone.begin(images[2]))
    assert anew._state is not None and state.memory is not None and anew._state.memory is not None
    torch.testing.assert_close(anew._state.memory, state.memory)  # which has seen every action
    with pytest.raises(UsageError, match=r"has dynamics of Discrete\(4\), and the environment takes Discrete\(5\)"):
        Imagined(model, space, spaces.Discrete(5))


def test_what_is_imagined_follows_the_actions_and_not_the_pictures(trained: dict[str, Path]) -> None:
    model = load(trained["vae"])
    space, actions = spaces.Box(0, 255, (16, 16, 1), np.uint8), spaces.Discrete(4)
    seen = Imagined(model, space, actions)
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    code = model.encode(torch.from_numpy(image).permute(2, 0, 1)[None] / 255)
    wanted = (model.decode(code)[0, 0].clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    shown = seen.begin(image)
    np.testing.assert_array_equal(shown, np.repeat(wanted[..., None], 3, 2))
    # Without dynamics it is what the model makes of each picture.
    np.testing.assert_array_equal(seen.step(1, image), shown)
    with pytest.raises(UsageError, match="the world model takes images of 16x16"):
        Imagined(model, spaces.Box(0, 255, (8, 8, 1), np.uint8), actions)


def test_keys(small: dict[str, Any]) -> None:
    env = gym.make("equiworld/FlatLand-v0", period=7, stride=2, radius=3, size=16)
    keys, idle = keys_of(env)
    assert idle is None and [keys[str(code)] for code in range(4)] == [0, 1, 2, 3]
    continuous = gym.make("equiworld/FlatLandContinuous-v0", period=7, stride=2, radius=3, size=16)
    keys, idle = keys_of(continuous)
    assert set(keys) == {"right", "left", "up", "down"} and idle is None
    assert all(continuous.action_space.contains(action) for action in keys.values())
    assert keys["right"][0] == continuous.action_space.high[0] and keys["down"][1] == continuous.action_space.low[1]

    class Own(gym.Env[Any, Any]):
        action_space = spaces.Discrete(2)

        def get_keys_to_action(self) -> dict[Any, int]:
            return {(): 0, (ord("a"),): 1}

    assert keys_of(Own()) == ({"a": 1}, 0)

    class Strange(gym.Env[Any, Any]):
        action_space = spaces.MultiBinary(3)

    with pytest.raises(UsageError, match="there are no keys for actions of MultiBinary"):
        keys_of(Strange())


def test_pictures_side_by_side() -> None:
    sheet = side_by_side([np.full((64, 64, 1), 7, np.uint8), np.full((128, 100, 3), 9, np.uint8)])
    assert sheet.shape == (256, 256 + 2 + 200, 3)
    assert (sheet[:, :256] == 7).all() and (sheet[:, 256:258] == 255).all() and (sheet[:, 258:] == 9).all()


def test_what_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], trained: dict[str, Path]) -> None:
    gif = f"--video={tmp_path / 'a.gif'}"
    for arguments, message in (
        (["--env=equiworld/FlatLnd-v0", "--actions=random", gif], "there is no environment 'equiworld/FlatLnd-v0'"),
        ([*ENV, "--actions=rando", gif], "keys, random and policy:RUN are accepted"),
        ([*ENV, gif], "--video is filmed without a window"),
        ([*ENV, "--actions=random", f"--video={tmp_path / 'a.avi'}"], "ends in .gif"),
        ([*ENV, "--actions=random", f"--video={tmp_path / 'no' / 'a.gif'}"], "there is no folder"),
        ([*ENV, "--actions=random", gif, "--steps=0"], "--steps must be 1 or more, not 0"),
        ([*ENV, "--actions=random", gif, "--temperature=inf"], "temperature of dreams must be a number, 0 or more"),
        ([*ENV, "size=24", "--actions=random", gif, f"--world-model={trained['vae']}"], "the world model takes"),
        ([*ENV, "--actions=random", gif, f"--world-model={tmp_path / 'no'}"], "no"),
        (["--env-options", "size=16"], "--env"),
    ):
        assert main(arguments) == 2
        told = capsys.readouterr().err
        assert message in told and told.count("\n") == 1
    assert not (tmp_path / "a.gif").exists()
    with pytest.raises(UsageError, match="ends in"):
        write_video(tmp_path / "film.webm", [np.zeros((4, 4, 3), np.uint8)], 10)
