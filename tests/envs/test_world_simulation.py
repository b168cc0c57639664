"""Any world as an environment: one from outside, goals and how they are shown, pictures that are only touched up."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from equiworld.envs import (
    WORLDS,
    Action,
    Factor,
    FactorSpace,
    FlatLand,
    GoalTask,
    UsageError,
    World,
    WorldEnv,
    WorldSimulation,
    WorldVectorEnv,
    make_world,
)


class Dial(World):
    """A lit column that goes around, and a lamp: nothing but factors, pictures and actions."""

    def __init__(self) -> None:
        self.factors = FactorSpace([Factor("place", 6, "cyclic"), Factor("lamp", 2, "ordinal")])
        self.actions = (Action("on", 0, 1, 1.0, None), Action("light", 1, 1, 0.0, None))
        self.image_shape = (4, 6, 1)
        self.rendered = 0

    def render(self, factors: np.ndarray) -> np.ndarray:
        self.rendered += len(factors)
        images = np.zeros((len(factors), *self.image_shape), dtype=np.uint8)
        images[np.arange(len(factors)), :, factors[:, 0]] = 60 + 90 * factors[:, 1, None, None]
        return images


def test_a_world_is_an_environment_with_no_further_code() -> None:
    env = WorldEnv(Dial(), max_episode_steps=3)
    observation, info = env.reset(seed=0, options={"factors": [5, 0]})
    assert env.observation_space == gym.spaces.Box(0, 255, (4, 6, 1), np.uint8)
    assert env.action_space == gym.spaces.Discrete(2)
    assert (env.factor_names, env.world.factors.size) == (("place", "lamp"), 12)
    assert info["factors"].tolist() == [5, 0] and observation[0, :, 0].tolist() == [0, 0, 0, 0, 0, 60]
    observation, reward, terminated, truncated, info = env.step(0)
    assert (reward, terminated, truncated, info["factors"].tolist()) == (0.0, False, False, [0, 0])
    assert env.step(1)[0][0, :, 0].tolist() == [150, 0, 0, 0, 0, 0]
    assert env.step(1)[3] is True


def test_only_what_has_changed_is_drawn() -> None:
    world = Dial()
    envs = WorldVectorEnv(50, world)
    envs.reset(seed=0, options={"factors": [2, 1]})
    envs.step(np.ones(50, dtype=int))  # the lamps are on already: the second buffer is drawn, and nothing changes
    world.rendered = 0
    moving = np.ones(50, dtype=int)
    moving[7] = 0
    seen = [envs.step(moving)[0].copy()]
    assert world.rendered == 1
    seen.append(envs.step(np.ones(50, dtype=int))[0].copy())
    assert world.rendered == 2  # the other buffer
    envs.step(np.ones(50, dtype=int))
    assert world.rendered == 2
    assert np.array_equal(seen[0], seen[1])
    assert np.array_equal(seen[1], world.render(envs.simulation.factors()))


@pytest.mark.parametrize("name", [name for name in WORLDS.names() if name.startswith("flatland")])
def test_pictures_that_are_touched_up_are_those_that_are_drawn(name: str) -> None:
    world, rng = make_world(name), np.random.default_rng(0)
    shown = world.factors.sample(rng, 30)
    images = world.render(shown)
    for share in (0.0, 0.5, 1.0):
        after = np.where(rng.random((30, 1)) < share, world.factors.sample(rng, 30), shown)
        world.redraw(images, shown, after)
        assert np.array_equal(images, world.render(after))
        shown = after
    # Pictures whose rows are no whole number of words.
    odd = FlatLand(period=5, stride=2, radius=2, size=9, channels=1)
    grid = odd.factors.grid()
    images = odd.render(grid)
    odd.redraw(images, grid, grid[::-1].copy())
    assert np.array_equal(images, odd.render(grid[::-1]))


@pytest.mark.parametrize("name", [name for name in WORLDS.names() if name.startswith("flatland")])
def test_pictures_that_are_touched_up_before_others(name: str) -> None:
    world, rng = make_world(name), np.random.default_rng(0)
    shown = world.factors.sample(rng, 30)
    behind = rng.integers(0, 256, (30, *world.image_shape)).astype(np.uint8)
    images, fresh = np.zeros_like(behind), np.ones(30, dtype=bool)
    for share in (0.0, 0.0, 0.5, 1.0, 1.0):
        after = np.where(rng.random((30, 1)) < share, world.factors.sample(rng, 30), shown)
        world.redraw_before(images, behind, fresh, shown, after)
        assert np.array_equal(images, np.maximum(world.render(after), behind))
        shown, fresh = after, rng.random(30) < 0.2
        behind[fresh] = rng.integers(0, 256, behind[fresh].shape)


@pytest.mark.parametrize("name", ["flatland", "flatland-discs", "flatland-rotor", "flatland-continuous"])
@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_goals_in_the_image_whatever_came_before(name: str, mode: str) -> None:
    world = make_world(name)
    envs = WorldVectorEnv(9, world, GoalTask(tolerance=3), max_episode_steps=4, autoreset_mode=mode)
    observation, info = envs.reset(seed=3)
    envs.action_space.seed(0)
    for step in range(25):
        assert np.array_equal(observation, np.maximum(world.render(info["factors"]), world.render(info["goal"]) // 3))
        if step % 7 == 6:
            observation, info = envs.set_state(envs.get_state()[::-1])
        else:
            observation, _, _, _, info = envs.step(envs.action_space.sample())


@pytest.mark.parametrize("name", [name for name in WORLDS.names() if name.startswith("flatland")])
def test_observations_are_the_pictures_of_the_factors(name: str) -> None:
    world = make_world(name)
    envs = WorldVectorEnv(4, world, max_episode_steps=5)
    observation, info = envs.reset(seed=3)
    rng = np.random.default_rng(0)
    envs.action_space.seed(0)
    for _ in range(12):
        assert np.array_equal(observation, world.render(info["factors"]))
        over = envs._over.copy()
        before, action = info["factors"], envs.action_space.sample()
        observation, _, _, _, info = envs.step(action)
        assert np.array_equal(info["factors"][~over], world.act(before, np.asarray(action))[~over])
        if rng.random() < 0.3:
            observation, info = envs.reset()


# Goals


def test_a_goal_behind_the_disc_in_the_image() -> None:
    env = WorldEnv(FlatLand(), GoalTask(shown="image"))
    observation, info = env.reset(options={"factors": [0, 0], "goal": [10, 4]})
    disc, goal = FlatLand().render(np.array([[0, 0], [10, 4]]))
    assert np.array_equal(observation, np.where(disc > 0, 255, np.where(goal > 0, 85, 0)))
    assert (info["factors"].tolist(), info["goal"].tolist()) == ([0, 0], [10, 4])
    after = env.step(3)[0]
    disc = FlatLand().render(np.array([[5, 0]]))[0]
    assert np.array_equal(after, np.where(disc > 0, 255, np.where(goal > 0, 85, 0)))


def test_a_goal_as_an_image_of_its_own_and_a_hidden_one() -> None:
    world = FlatLand()
    env = WorldEnv(world, GoalTask(shown="observation"))
    observation, info = env.reset(seed=0)
    assert list(observation) == ["goal", "image"]
    for name, key in (("goal", "goal"), ("image", "factors")):
        assert np.array_equal(observation[name], world.render(info[key][None])[0])
    hidden = WorldEnv(world, GoalTask(shown="hidden"))
    observation, again = hidden.reset(seed=0)
    assert again["goal"].tolist() == info["goal"].tolist()
    assert np.array_equal(observation, world.render(again["factors"][None])[0])


def test_goals_are_drawn_uniformly_among_those_not_yet_reached() -> None:
    simulation = WorldSimulation(FlatLand(period=3, stride=1, radius=2, size=8), GoalTask(), 9000)
    rngs = [np.random.default_rng(seed) for seed in range(9000)]
    simulation.reset(np.arange(9000), rngs, {"factors": [1, 1]})
    counts = np.bincount(simulation.world.factors.to_index(simulation.info()["goal"]), minlength=9)
    assert counts[4] == 0
    assert np.abs(counts[[0, 1, 2, 3, 5, 6, 7, 8]] / 9000 - 1 / 8).max() < 0.018  # five standard deviations


def test_starts_are_drawn_uniformly() -> None:
    simulation = WorldSimulation(FlatLand(period=3, stride=1, radius=2, size=8), None, 9000)
    simulation.reset(np.arange(9000), [np.random.default_rng(seed) for seed in range(9000)], {})
    counts = np.bincount(simulation.world.factors.to_index(simulation.factors()), minlength=9)
    assert np.abs(counts / 9000 - 1 / 9).max() < 0.017


def test_a_greedy_agent_reaches_its_goal_and_is_paid() -> None:
    """It goes the shorter way on each axis; steps of 5 always come to within 2 of any place."""
    envs = gym.make_vec("equiworld/FlatLandGoal-v0", 64, reward="potential", autoreset_mode="SameStep")
    _, info = envs.reset(seed=0)
    first = [envs.simulation.task.rewards(envs.world.factors, *[info["factors"]] * 2, info["goal"])[0]]
    assert np.allclose(first, 0)
    ended, earned = np.zeros(64, dtype=bool), np.zeros(64)
    for _ in range(8):
        away = (info["goal"] - info["factors"] + 16) % 33 - 16
        along_x = np.abs(away[:, 0]) > 2
        action = np.where(along_x, np.where(away[:, 0] > 0, 3, 1), np.where(away[:, 1] > 0, 2, 0))
        _, rewards, terminated, truncated, info = envs.step(action)
        earned += np.where(ended, 0, rewards)
        ended |= terminated
        assert not truncated.any()
    assert ended.all()
    assert (earned > 1).all() and (earned < 2).all()  # 1, and the distance at the start


def test_any_world_takes_a_goal() -> None:
    env = gym.make("equiworld/FlatLandHue-v0", task=GoalTask("sparse", factors=("hue",)))
    env.reset(options={"factors": [0, 0, 3], "goal": [20, 20, 4]})
    assert env.step(5)[1:3] == (0.0, False)
    env.reset(options={"factors": [0, 0, 3], "goal": [20, 20, 4]})
    assert env.step(4)[1:3] == (1.0, True)


def test_a_goal_and_a_start_are_part_of_the_state() -> None:
    env = gym.make("equiworld/FlatLandGoal-v0", shown="observation").unwrapped
    seen = env.reset(seed=4)
    state = env.get_state()
    assert state["simulation"]["goal"].tolist() == seen[1]["goal"].tolist()
    env.reset()
    env.reset()
    observation, info = env.set_state(state)
    assert info["goal"].tolist() == seen[1]["goal"].tolist()
    assert np.array_equal(observation["goal"], seen[0]["goal"])


def test_refusals_are_one_line() -> None:
    world = Dial()
    world.actions = ()
    for call, message in (
        (lambda: WorldEnv(world), "this world has no actions"),
        (lambda: WorldEnv(Dial(), GoalTask(factors=("x",))), "goal: there is no factor 'x'; there are: place, lamp"),
        (
            lambda: WorldEnv(Dial(), GoalTask()).reset(options={"gaol": [0, 0]}),
            "there is no reset option 'gaol' (did you mean 'goal'?); there are: factors, goal",
        ),
        (
            lambda: WorldEnv(Dial(), GoalTask()).reset(options={"goal": [0, 9]}),
            "reset option 'goal': factor 'lamp' cannot be 9; accepted: 0 to 1",
        ),
        (
            lambda: gym.make("equiworld/FlatLand-v0", disc=3),
            "the world 'flatland' has no option 'disc'; it takes: period, stride, radius, size, channels",
        ),
    ):
        with pytest.raises(UsageError) as caught:
            call()
        assert str(caught.value) == message
