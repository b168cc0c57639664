"""Observers: what agents are shown, against closed forms and the model's own codes."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import nn

from equiworld.agents.observers import CHUNK, Factors, Latents, Pixels, frozen, load_world_model
from equiworld.datasets.randomness import torch_generator
from equiworld.envs import UsageError
from equiworld.envs.registration import registered
from equiworld.world_models.assembly import Assembly

IMAGE = spaces.Box(0, 255, (16, 16, 1), np.uint8)


@pytest.fixture(scope="module")
def model(tiny: Callable[..., Assembly]) -> Any:
    return tiny("vae", architecture="forward", latents=4).model.eval()


def images(number: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (number, 16, 16, 1), dtype=np.uint8)


def as_model_takes(shown: Any) -> torch.Tensor:
    return torch.from_numpy(shown).permute(0, 3, 1, 2).float() / 255


def test_pixels_are_what_the_environment_shows() -> None:
    shown = images(3)
    assert Pixels(IMAGE)(shown, {}) is shown
    assert Pixels(IMAGE).space is IMAGE


@pytest.mark.parametrize("env_id", registered())
def test_factors_of_every_environment_lie_in_their_space(env_id: str) -> None:
    envs = gym.make_vec(env_id, 3)
    observer = Factors(envs)
    observations, infos = envs.reset(seed=0)
    envs.action_space.seed(0)
    for _ in range(12):
        shown = observer(observations, infos)
        assert shown.dtype == np.float32 and shown.shape == (3, *observer.space.shape)
        assert all(observer.space.contains(row) for row in shown)
        observations, *_, infos = envs.step(envs.action_space.sample())
    one = gym.make(env_id)
    assert Factors(one).space == observer.space
    one.close()
    envs.close()


def test_cyclic_factors_and_their_goal_are_angles(goal_envs: Callable[..., Any]) -> None:
    envs = goal_envs(2)
    shown = Factors(envs)(None, {"factors": np.array([[0, 3], [6, 1]]), "goal": np.array([[1, 1], [0, 0]])})
    angle = 2 * math.pi / 7
    expected = [
        [1, 0, math.cos(3 * angle), math.sin(3 * angle), *[math.cos(angle), math.sin(angle)] * 2],
        [math.cos(angle), -math.sin(angle), math.cos(angle), math.sin(angle), 1, 0, 1, 0],
    ]
    np.testing.assert_allclose(shown, expected, atol=1e-6)


def test_ordinal_factors_lie_between_their_ends() -> None:
    envs = gym.make_vec("equiworld/FlatLandWalls-v0", 3)
    shown = Factors(envs)(None, {"factors": np.array([[0, 32], [16, 8], [32, 0]])})
    np.testing.assert_allclose(shown, [[-1, 1], [0, -0.5], [1, -1]], atol=1e-7)


def test_sprites_are_shown_slot_by_slot() -> None:
    envs = gym.make_vec("equiworld/SpriteworldSorting-v0", 1)
    slots = envs.unwrapped.simulation.slots
    row = np.zeros((1, slots, 10))
    row[0, 0] = [0.25, 1.0, 2, -90, 1.0, 0.5, 0, 1, 0, 0.5]
    shown = Factors(envs)(None, {"factors": row.reshape(1, -1)})[0].reshape(slots, -1)
    kind = np.zeros(14)
    kind[2] = 1
    expected = [-0.5, 1, *kind, 0, -1, 0, 0, -1, 1, 0, 0.5]  # a quarter to the right is cosine 0, sine -1
    np.testing.assert_allclose(shown[0], expected, atol=1e-6)
    assert shown[1, 2] == 1 and not shown[1, 3:16].any()  # an empty slot has shape 0


def test_breakout_is_shown_by_its_ranges() -> None:
    envs = gym.make_vec("equiworld/Breakout-v0", 1)
    _, infos = envs.reset(seed=0)
    names, shown = envs.unwrapped.factor_names, Factors(envs)(None, infos)[0]
    assert len(shown) == len(names)
    told = dict(zip(names, shown.tolist(), strict=True))
    assert (told["ball_y"], told["ball_vx"], told["paddle_width"]) == (-1, 0, 1)
    assert (told["brick_0_0"], told["lives"], told["score"]) == (1, 1, -1)
    envs.close()


def test_factors_that_nobody_tells() -> None:
    with pytest.raises(UsageError, match="tells no factors; pixels and the run of a world model are accepted"):
        Factors(gym.make("CartPole-v1"))


@pytest.mark.parametrize("number", [1, CHUNK, CHUNK + 3])
def test_latents_are_the_means_that_the_model_gives(model: Any, number: int) -> None:
    shown = images(number)
    codes = Latents(model, IMAGE)(shown, {})
    assert codes.dtype == np.float32
    with torch.no_grad():
        np.testing.assert_allclose(codes, model.encode(as_model_takes(shown)).numpy(), atol=1e-5)


def test_latents_keep_the_encoder_that_they_were_given(model: Any, tiny: Callable[..., Assembly]) -> None:
    own = tiny("vae", architecture="forward", latents=4).model
    observer, shown = Latents(own, IMAGE), images(2)
    before = observer(shown, {})
    with torch.no_grad():
        own.encoder.head.bias += 1
    np.testing.assert_array_equal(observer(shown, {}), before)
    assert not any(parameter.requires_grad for parameter in observer.encoder.parameters())


def test_samples_are_the_posterior_s_and_follow_the_seed(model: Any) -> None:
    shown = images(5)
    observer = Latents(model, IMAGE, sample=True, seed=3)
    first, second = observer(shown, {}), observer(shown, {})
    generator = torch_generator(3, 71)
    with torch.no_grad():
        posterior = model.posterior(as_model_takes(shown))
        for codes in (first, second):
            np.testing.assert_allclose(codes, posterior.rsample(generator).numpy(), atol=1e-5)
    assert not np.array_equal(first, second)
    observer.seed(3)
    np.testing.assert_array_equal(observer(shown, {}), first)
    state = observer.get_state()
    np.testing.assert_array_equal(observer(shown, {}), second)
    observer.set_state(state)
    np.testing.assert_array_equal(observer(shown, {}), second)


def test_every_image_of_a_dict_is_encoded_and_the_rest_is_appended(model: Any) -> None:
    speed = spaces.Box(-2, 3, (2, 2), np.float64)
    observer = Latents(model, spaces.Dict({"goal": IMAGE, "image": IMAGE, "speed": speed}))
    shown = {"goal": images(3, 1), "image": images(3, 2), "speed": np.arange(12.0).reshape(3, 2, 2) / 6}
    codes = observer(shown, {})
    alone = Latents(model, IMAGE)
    np.testing.assert_allclose(codes[:, :4], alone(shown["goal"], {}), atol=1e-5)
    np.testing.assert_allclose(codes[:, 4:8], alone(shown["image"], {}), atol=1e-5)
    np.testing.assert_array_equal(codes[:, 8:], shown["speed"].reshape(3, 4).astype(np.float32))
    assert observer.space.shape == (12,)
    assert observer.space.low[0] == -np.inf and observer.space.high[8:].tolist() == [3] * 4


@pytest.mark.parametrize(("latent", "low", "high"), [("torus", -1, 1), ("unit-interval", 0, 1)])
def test_bounds_are_those_of_the_latent_space(
    tiny: Callable[..., Assembly], latent: str, low: float, high: float
) -> None:
    bounded = tiny("vae", architecture="forward", latents=4, latent=latent).model
    observer = Latents(bounded, IMAGE, sample=True)
    assert observer.space == spaces.Box(low, high, (4,), np.float32)
    assert all(observer.space.contains(code) for code in observer(images(CHUNK), {}))


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (spaces.Box(0, 255, (16, 16, 3), np.uint8), "takes images of 16x16 with 1 channel (grey), and the environment"),
        (spaces.Box(0, 255, (64, 64, 1), np.uint8), "shows images of 64x64 with 1 channel (grey)"),
        (spaces.Box(0, 1, (5,), np.float32), "the environment shows no images, which a world model needs"),
        (spaces.Dict({"image": IMAGE, "turn": spaces.Discrete(3)}), "the observation 'turn' is none of numbers"),
    ],
)
def test_images_that_do_not_fit(model: Any, space: Any, message: str) -> None:
    with pytest.raises(UsageError) as error:
        Latents(model, space)
    assert message in str(error.value) and "\n" not in str(error.value)


class Residual(nn.Module):
    """Needs what its activation reads."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.act, self.head = nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        hidden = self.layer(images.flatten(1))
        return self.head(hidden - self.act(hidden))


def test_activations_overwrite_only_what_nobody_else_reads(model: Any) -> None:
    quick = frozen(model.encoder, (16, 16, 1))
    assert all(layer.inplace for layer in quick.modules() if hasattr(layer, "inplace"))
    assert not any(getattr(layer, "inplace", False) for layer in model.encoder.modules())
    residual = Residual()
    assert not frozen(residual, (2, 2, 3)).act.inplace


def test_runs_that_do_not_fit(trained: dict[str, Path], tmp_path: Path) -> None:
    assert load_world_model(trained["vae"], spaces.Discrete(3))[1].latent.size == 4
    assert load_world_model(trained["rgrvae"], spaces.Discrete(4))[1].num_actions == 4
    with pytest.raises(UsageError, match=r"learnt the group of 4 actions, and the environment has 3: .* accepted"):
        load_world_model(trained["rgrvae"], spaces.Discrete(3))
    with pytest.raises(UsageError, match=r"group of 4 actions, and the environment has MultiDiscrete\(\[2 2\]\): "):
        load_world_model(trained["rgrvae"], spaces.MultiDiscrete([2, 2]))
    with pytest.raises(UsageError, match="is not a run directory"):
        load_world_model(tmp_path, spaces.Discrete(3))
    (tmp_path / "config.yaml").write_text("agent: ppo\n")
    with pytest.raises(UsageError, match="is the run of an agent, and not of a world model"):
        load_world_model(tmp_path, spaces.Discrete(3))
