"""Spriteworld as environments: trajectories, pictures, states, and the ends of episodes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest

from equiworld.envs import UsageError
from equiworld.envs.registration import register_all, registered
from equiworld.envs.spriteworld.action_spaces import DragAndDrop, SelectMove
from equiworld.envs.spriteworld.configs import CONFIGS
from equiworld.envs.spriteworld.distributions import Continuous, Product
from equiworld.envs.spriteworld.env import SpriteworldEnv, SpriteworldVectorEnv
from equiworld.envs.spriteworld.rasterise import render, topmost
from equiworld.envs.spriteworld.simulation import SCENES, SpriteworldSimulation
from equiworld.envs.spriteworld.sprites import sprite
from equiworld.envs.spriteworld.tasks import FindGoalPosition

register_all()
IDS = [name for name in registered() if "Spriteworld" in name]
STILL = np.zeros(4, dtype=np.float32)  # points at the middle, and moves nothing by nothing


def pointing(env: SpriteworldEnv, motion: tuple[float, float]) -> np.ndarray:
    """An action that pushes the first sprite."""
    x, y = env.simulation.factors()[0, :2]
    return np.array([2 * x - 1, 2 * y - 1, *motion], dtype=np.float32)


def play(env: Any, steps: int, seed: int) -> list[Any]:
    """A trajectory of a scalar environment under actions that often hit something."""
    rng = np.random.default_rng(seed)
    observation, info = env.reset(seed=seed)
    seen = [(observation, info)]
    for _ in range(steps):
        action = env.action_space.sample() if env.action_space.shape == (2,) else rng.uniform(-1, 1, 4)
        if env.action_space.shape == (4,):
            place = env.unwrapped.simulation.contained_positions(rng)[0]
            action = np.concatenate([2 * place - 1, action[2:]]).astype(np.float32)
        step = env.step(action)
        seen.append(step)
        if step[2] or step[3]:
            seen.append(env.reset())
    return seen


def same(a: Any, b: Any) -> bool:
    """Whether two things are equal bit by bit."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return np.asarray(a).dtype == np.asarray(b).dtype and np.array_equal(a, b)


@pytest.mark.parametrize("name", IDS)
def test_the_same_seed_gives_the_same_trajectory(name: str) -> None:
    options = {"noise_scale": 0.02}
    runs = []
    for seed in (3, 3, 4):
        env = gymnasium.make(name, **options)
        env.action_space.seed(1)
        runs.append(play(env, 70, seed))
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


@pytest.mark.parametrize("mode", ["train", "test"])
@pytest.mark.parametrize("name", IDS)
def test_observations_are_pictures_of_the_factors(name: str, mode: str) -> None:
    env = gymnasium.make(name, mode=mode)
    simulation = env.unwrapped.simulation
    for step in play(env, 25, 0):
        factors = step[-1]["factors"].reshape(1, simulation.slots, 10)
        count = np.count_nonzero(factors[..., 2])
        assert step[-1]["count"] == count
        assert (factors[0, count:] == 0).all()
        again = SpriteworldEnv(simulation.config, mode)
        observation, info = again.reset(seed=0, options={"factors": factors[0]})
        assert (observation == step[0]).all()
        assert (info["factors"] == step[-1]["factors"]).all()
        assert info["success"] == step[-1]["success"]


@pytest.mark.parametrize("name", ["equiworld/SpriteworldSorting-v0", "equiworld/SpriteworldGoalFindingEmbodied-v0"])
@pytest.mark.parametrize("autoreset", ["NextStep", "SameStep"])
def test_the_vector_environment_is_the_scalar_one(name: str, autoreset: str) -> None:
    n, steps = 3, 110
    vector = gymnasium.make_vec(name, num_envs=n, noise_scale=0.02, autoreset_mode=autoreset)
    scalars = [gymnasium.make(name, noise_scale=0.02) for _ in range(n)]
    observations, infos = vector.reset(seed=5)
    seen = [env.reset(seed=5 + row) for row, env in enumerate(scalars)]
    vector.action_space.seed(0)
    over = [False] * n
    episodes = 0
    for _ in range(steps):
        for row, (observation, *_, info) in enumerate(seen):
            assert (observations[row] == observation).all()
            assert (infos["factors"][row] == info["factors"]).all()
            assert infos["success"][row] == info["success"] and infos["count"][row] == info["count"]
        actions = vector.action_space.sample()
        observations, rewards, terminated, truncated, infos = vector.step(actions)
        for row, env in enumerate(scalars):
            if over[row] and autoreset == "NextStep":
                seen[row], over[row] = env.reset(), False
                assert (rewards[row], terminated[row], truncated[row]) == (0, False, False)
                continue
            step = env.step(actions[row])
            assert (rewards[row], terminated[row], truncated[row]) == step[1:4]
            over[row], seen[row] = step[2] or step[3], step
            episodes += over[row]
            if over[row] and autoreset == "SameStep":
                assert (infos["final_obs"][row] == step[0]).all()
                assert (infos["final_info"]["factors"][row] == step[4]["factors"]).all()
                seen[row] = env.reset()
    assert episodes >= 2 * n


@pytest.mark.parametrize("name", IDS)
def test_a_state_is_gone_on_from_bit_by_bit(name: str) -> None:
    env, other = (gymnasium.make(name, noise_scale=0.01).unwrapped for _ in range(2))
    play(env, 7, 0)
    state = env.get_state()
    env.action_space.seed(2)
    actions = [env.action_space.sample() for _ in range(12)]

    def go_on(target: Any) -> list[Any]:
        seen = [target.step(action) for action in actions]
        # Scenes that were drawn ahead are part of the state, and so are those after them.
        return seen + [target.reset() for _ in range(SCENES + 2)]

    first = go_on(env)
    other.set_state(state)
    assert same(go_on(other), first)
    observation, info = env.set_state(state)
    assert same(go_on(env), first)
    assert (info["factors"] == state["simulation"]["factors"].ravel()).all() and observation.dtype == np.uint8


def test_a_foreign_state_is_refused() -> None:
    simulation, other = (SpriteworldSimulation(1, name) for name in ("sorting", "exploration"))
    for each in (simulation, other):
        each.reset(np.array([0]), [np.random.default_rng(0)], {})
    with pytest.raises(UsageError, match="no state of a Spriteworld"):
        simulation.set_state(0, {"x": 1})
    with pytest.raises(UsageError, match=r"another configuration|sprites are"):
        simulation.set_state(0, other.get_state(0))
    with pytest.raises(UsageError, match="another configuration"):
        other.set_state(0, simulation.get_state(0))


def test_resets_give_ever_new_scenes() -> None:
    env = SpriteworldEnv("exploration")
    first, _ = env.reset(seed=0)
    scenes = [env.reset()[1]["factors"] for _ in range(3 * SCENES)]
    assert len(np.unique(scenes, axis=0)) == 3 * SCENES
    assert (env.reset(seed=0)[0] == first).all()
    # The first episodes do not depend on what was drawn before the seed.
    assert (env.reset()[1]["factors"] == scenes[0]).all()


def test_factors_that_are_given_cost_no_scene() -> None:
    env = SpriteworldEnv("exploration")
    env.reset(seed=0)
    expected = env.reset()[1]["factors"]
    env.reset(seed=0)
    env.reset(options={"factors": sprite(x=0.3)[None]})
    assert (env.reset()[1]["factors"] == expected).all()


def test_factors_of_each_copy() -> None:
    env = SpriteworldVectorEnv(3, "exploration")
    scenes = np.zeros((3, 6, 10))
    scenes[:, 0] = [sprite(x=x) for x in (0.2, 0.5, 0.8)]
    _, info = env.reset(seed=0, options={"factors": scenes})
    assert (info["factors"].reshape(3, 6, 10) == scenes).all()
    assert info["count"].tolist() == [1, 1, 1]
    _, info = env.reset(options={"factors": scenes[1].ravel()})
    assert (info["factors"] == scenes[1].ravel()).all()
    with pytest.raises(UsageError, match=r"factors of \[2\] scenes for 3 environments"):
        env.reset(options={"factors": scenes[:2]})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factor": 1}, "unknown reset option 'factor'; there is: factors"),
        ({"factors": [1, 2, 3]}, "the factors of 6 sprites are"),
        ({"factors": sprite(x=1.5)[None]}, "its centre must lie in"),
    ],
)
def test_bad_options_are_refused_and_leave_the_scene(options: dict[str, Any], message: str) -> None:
    env = SpriteworldEnv("exploration")
    _, info = env.reset(seed=0)
    with pytest.raises(UsageError, match=message):
        env.reset(options=options)
    assert (env.step(STILL)[4]["factors"] == info["factors"]).all()


def test_a_push_by_hand() -> None:
    env = SpriteworldEnv("goal_finding_new_position")
    target, distractor = sprite(x=0.3, y=0.5, c0=0.1, scale=0.13), sprite(x=0.9, y=0.9, c0=0.6, scale=0.13)
    _, info = env.reset(seed=0, options={"factors": np.stack([target, distractor])})
    assert not info["success"]
    _, reward, terminated, truncated, info = env.step(pointing(env, (1.0, 0.0)))
    assert info["factors"][0] == pytest.approx(0.425)
    assert reward == pytest.approx(50 * (0.075 - 0.075), abs=1e-6)
    observation, reward, terminated, truncated, info = env.step(pointing(env, (0.4, 0.0)))
    assert info["factors"][0] == pytest.approx(0.475)
    assert reward == pytest.approx(50 * (0.075 - 0.025))
    assert (terminated, truncated, info["success"]) == (True, False, True)
    # The square of side 0.13 * 64 = 8.32 pixels: its middle is red to green, the corner of the picture black.
    assert observation[32, 30].tolist() == [0, 0, 0] or observation[32, 30].max() == 0
    assert (observation[0, 0] == 0).all()


def test_the_picture_of_a_square_by_hand() -> None:
    env = SpriteworldEnv("goal_finding_clustering")
    square = sprite(x=0.5, y=0.75, scale=0.125, c0=200, c1=100, c2=50)
    observation, _ = env.reset(options={"factors": square[None]})
    expected = np.zeros((64, 64, 3), dtype=np.uint8)
    expected[12:20, 28:36] = (200, 100, 50)
    assert np.abs(observation.astype(int) - expected).max() <= 1
    wide = SpriteworldEnv("goal_finding_clustering", image_size=(32, 128)).reset(options={"factors": square[None]})[0]
    expected = np.zeros((32, 128, 3), dtype=np.uint8)
    expected[6:10, 56:72] = (200, 100, 50)
    assert np.abs(wide.astype(int) - expected).max() <= 1


def test_a_success_at_the_start_ends_the_episode_at_the_first_step() -> None:
    env = SpriteworldEnv("goal_finding_new_shape")
    _, info = env.reset(options={"factors": sprite(x=0.5, y=0.52)[None]})
    assert info["success"] is True
    assert env.step(STILL)[2]


def test_without_its_target_a_task_goes_on_without_reward() -> None:
    env = SpriteworldEnv("goal_finding_new_position")
    env.reset(options={"factors": sprite(c0=0.6)[None]})
    assert env.step(STILL)[1:3] == (0.0, False)


def test_velocities_move_sprites_and_the_arena_keeps_them_or_not() -> None:
    drifting = np.stack([sprite(x=0.5, x_vel=0.2, y_vel=-0.1), sprite(y=0.3)])
    kept = replace(CONFIGS["exploration"])
    env = SpriteworldEnv(kept)
    env.reset(options={"factors": drifting})
    places = [env.step(STILL)[4]["factors"].reshape(6, 10)[:2, :2] for _ in range(6)]
    assert [place[0].tolist() for place in places[:3]] == [
        pytest.approx([0.7, 0.4]),
        pytest.approx([0.9, 0.3]),
        pytest.approx([1.0, 0.2]),
    ]
    assert places[-1][0] == pytest.approx([1.0, 0.0])
    assert all((place[1] == [0.5, 0.3]).all() for place in places)

    free = SpriteworldEnv(replace(kept, keep_in_frame=False))
    free.reset(options={"factors": drifting})
    ends = []
    for _ in range(3):
        _, _, terminated, truncated, info = free.step(STILL)
        ends.append((terminated, truncated))
    assert ends == [(False, False), (False, False), (True, False)]
    assert info["factors"][0] == pytest.approx(1.1)
    assert not info["success"]


def test_velocity_acts_after_the_action() -> None:
    config = replace(CONFIGS["exploration"], action_space=DragAndDrop())
    env = SpriteworldEnv(config)
    env.reset(options={"factors": sprite(x=0.2, y=0.2, x_vel=0.1)[None]})
    _, _, _, _, info = env.step(np.array([-0.6, -0.6, 0.0, 0.0]))
    assert info["factors"][:2] == pytest.approx([0.6, 0.5])


def test_reward_is_the_task_less_the_cost_of_the_motion() -> None:
    env = SpriteworldEnv("goal_finding_new_shape", motion_cost=2.0)
    env.reset(options={"factors": sprite(x=0.5, y=0.9)[None]})
    # Into nothing: 0.125 to the right costs 0.25.
    assert env.step(np.array([-1, -1, 1, 0]))[1] == pytest.approx(50 * (0.075 - 0.4) - 0.25)


def test_filters_of_places_are_asked_at_every_step() -> None:
    left = FindGoalPosition(Product([Continuous("x", 0.0, 0.5)]), (0.0, 0.5), terminate_distance=0.0)
    env = SpriteworldEnv(replace(CONFIGS["exploration"], task=left))
    env.reset(options={"factors": sprite(x=0.45, y=0.5)[None]})
    assert env.step(STILL)[1] == pytest.approx(-50 * 0.45)
    assert env.step(pointing(env, (1.0, 0.0)))[1] == 0.0  # now it lies in the right half


@pytest.mark.parametrize("name", IDS)
def test_a_time_limit_truncates(name: str) -> None:
    limit = gymnasium.spec(name).max_episode_steps
    env = gymnasium.make_vec(name, num_envs=2, vectorization_mode="vector_entry_point")
    env.reset(seed=0)
    # Nothing moves, so that no task is solved, unless it is at the start.
    still = np.zeros_like(env.action_space.sample())
    while (np.asarray(env.reset()[1]["success"])).any():
        pass
    ends = [env.step(still)[2:4] for _ in range(limit)]
    assert [bool(truncated.all()) for _, truncated in ends] == [False] * (limit - 1) + [True]
    assert not any(terminated.any() for terminated, _ in ends)


def test_factors_as_observations() -> None:
    env = SpriteworldEnv("exploration", observation="factors")
    for seed in range(5):
        observation, info = env.reset(seed=seed)
        assert observation.shape == (60,) and env.observation_space.contains(observation)
        assert (observation == info["factors"]).all()
    moved, _, _, _, info = env.step(pointing(env, (1.0, 1.0)))
    assert (moved != observation).any() and (moved == info["factors"]).all()
    assert env.simulation.frame(0, moved).shape == (256, 256, 3)


def test_pictures_for_people_show_the_same_larger() -> None:
    env = SpriteworldEnv("sorting", render_mode="rgb_array")
    observation, _ = env.reset(seed=0)
    frame = env.render()
    assert frame is not None and frame.shape == (256, 256, 3)
    smaller = frame.reshape(64, 4, 64, 4, 3).mean(axis=(1, 3))
    assert np.abs(smaller - observation).mean() < 0.1
    assert np.abs(smaller - observation).max() <= 2
    assert SpriteworldEnv(image_size=300).simulation.frame(0, None).shape == (300, 300, 3)


def test_contained_positions_lie_within_sprites() -> None:
    simulation = SpriteworldSimulation(300, "goal_finding_clustering")
    simulation.reset(np.arange(300), [np.random.default_rng(seed) for seed in range(300)], {})
    factors = simulation.factors().reshape(300, -1, 10)
    rng = np.random.default_rng(0)
    hit = [topmost(factors[..., :5], simulation.contained_positions(rng), simulation.info()["count"]) for _ in range(9)]
    assert (np.array(hit) >= 0).all()
    assert len(np.unique(hit)) == factors[0].shape[0]
    simulation.reset(np.arange(300), [np.random.default_rng(0)] * 300, {"factors": np.zeros((1, 10))})
    assert (simulation.contained_positions(rng) == 0.5).all()


def test_only_some_copies_step_and_reset() -> None:
    simulation = SpriteworldSimulation(4, "exploration", noise_scale=0.1)
    rngs = [np.random.default_rng(seed) for seed in range(4)]
    simulation.reset(np.arange(4), rngs, {})
    before, states = simulation.factors(), [rng.bit_generator.state for rng in rngs]
    actions = np.ones((4, 4), dtype=np.float32)
    actions[0] = np.nan  # not read
    rewards, ended = simulation.step(actions, np.array([1, 3]))
    assert rewards.tolist() == [0.0] * 4 and not ended.any()
    assert (simulation.factors()[[0, 2]] == before[[0, 2]]).all()
    assert [rng.bit_generator.state == state for rng, state in zip(rngs, states, strict=True)] == [
        True,
        False,
        True,
        False,
    ]
    simulation.reset(np.array([2]), [rngs[2]], {})
    after = simulation.factors()
    assert (after[0] == before[0]).all() and (after[2] != before[2]).any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SpriteworldEnv("sortin"), "did you mean 'sorting'"),
        (lambda: SpriteworldEnv(mode="testing"), "unknown mode 'testing'; there are: train, test"),
        (lambda: SpriteworldEnv(observation="picture"), "unknown observation 'picture'; there are: image, factors"),
        (lambda: SpriteworldEnv(image_size=0), "image_size must be a whole number, 1 or more, or such .* got 0"),
        (lambda: SpriteworldEnv(image_size=(64, 32.5)), r"image_size must be a whole number.* got \(64, 32.5\)"),
        (lambda: SpriteworldEnv(image_size=(64,)), "image_size must be a whole number"),
        (lambda: SpriteworldEnv(image_size="64"), "image_size must be a whole number.* got '64'"),
        (lambda: SpriteworldEnv(config=["sorting"]), "unknown config"),
        (lambda: SpriteworldEnv(noise_scale="much"), "noise_scale must be a number, 0 or more, got 'much'"),
        (lambda: SpriteworldVectorEnv(2.5), "the number of environments must be a whole number, 1 or more, got 2.5"),
        (lambda: SpriteworldVectorEnv(0), "the number of environments must be a whole number, 1 or more, got 0"),
        (lambda: SpriteworldEnv(noise_on="position"), "unknown noise_on 'position'"),
        (lambda: SpriteworldEnv("goal_finding_embodied", noise_on="all"), "Embodied has no noise_on"),
        (lambda: SpriteworldSimulation(2, action="jump"), "SelectMove has no action; it has: motion_cost"),
    ],
)
def test_what_cannot_be_made_is_refused(make: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()  # type: ignore[operator]


def test_an_environment_of_ones_own() -> None:
    config = replace(CONFIGS["exploration"], action_space=SelectMove(scale=0.25, symmetric=False))
    env = gymnasium.make("equiworld/SpriteworldExploration-v0", config=config)
    assert (env.action_space.low == 0).all()
    env.reset(seed=0, options={"factors": sprite(x=0.3, y=0.5)[None]})
    assert env.step(np.array([0.3, 0.5, 1.0, 0.5], dtype=np.float32))[4]["factors"][0] == pytest.approx(0.425)


def test_pictures_do_not_depend_on_what_was_drawn_before() -> None:
    simulation = SpriteworldSimulation(5, "exploration")
    simulation.reset(np.arange(5), [np.random.default_rng(seed) for seed in range(5)], {})
    buffers = [np.zeros((5, 64, 64, 3), dtype=np.uint8) for _ in range(2)]
    rng = np.random.default_rng(0)
    for turn in range(30):
        simulation.step(np.concatenate([2 * simulation.contained_positions(rng) - 1, rng.uniform(-1, 1, (5, 2))], 1))
        simulation.draw(buffers[turn % 2], turn % 2)
        factors = simulation.factors().reshape(5, 6, 10)
        fresh = render(factors[..., :5], simulation._colours, simulation.info()["count"])
        assert (buffers[turn % 2] == fresh).all()
