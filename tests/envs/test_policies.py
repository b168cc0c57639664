"""Scripted policies: their actions belong to the space, come from the generator alone, and play as they should."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

import equiworld  # noqa: F401 (registers the ids)
from equiworld.envs import UsageError
from equiworld.envs.policies import POLICIES, BrownianPolicy, FollowerPolicy, MixturePolicy, Policy, make_policy
from equiworld.envs.spriteworld.action_spaces import DragAndDrop
from equiworld.envs.spriteworld.configs import CONFIGS
from equiworld.envs.spriteworld.env import SpriteworldVectorEnv
from equiworld.envs.spriteworld.tasks import FindGoalPosition

SPACES: dict[str, spaces.Space[Any]] = {
    "discrete": spaces.Discrete(4),
    "discrete from 2": spaces.Discrete(3, start=2),
    "several": spaces.MultiDiscrete([2, 3]),
    "switches": spaces.MultiBinary(3),
    "box": spaces.Box(-2.0, 3.0, (2,), np.float32),
    "half open": spaces.Box(0.0, np.inf, (2,), np.float64),
    "mixed bounds": spaces.Box(np.array([0, -np.inf], np.float32), np.array([1, np.inf], np.float32)),
    "bytes": spaces.Box(0, 255, (3,), np.uint8),
    "dict": spaces.Dict({"where": spaces.Box(0.0, 1.0, (2,)), "what": spaces.Discrete(5)}),
    "tuple": spaces.Tuple((spaces.Discrete(2), spaces.Tuple((spaces.MultiDiscrete([3, 3]),)))),
}
BREAKOUT_FACTORS = ("ball_x", "ball_y", "ball_vx", "ball_vy", "paddle_x", "paddle_width")


class Stand(gym.vector.VectorEnv[Any, Any, Any]):
    """A vector environment that has nothing but an action space."""

    def __init__(self, space: spaces.Space[Any], num_envs: int = 6) -> None:
        self.num_envs, self.single_action_space = num_envs, space
        self.action_space = batch_space(space, num_envs)


class Game(Stand):
    """What the follower needs to know of Breakout."""

    factor_names = BREAKOUT_FACTORS

    def __init__(self, num_envs: int, meanings: tuple[str, ...] = ("NOOP", "FIRE", "RIGHT", "LEFT")) -> None:
        super().__init__(spaces.Discrete(len(meanings)), num_envs)
        self.simulation = type("Named", (), {"action_meanings": meanings})()


def all_of(policy: Policy) -> NDArray[np.bool_]:
    return np.ones(policy.num_envs, dtype=bool)


def flat(action: Any) -> list[Any]:
    """The arrays of a batched action, one after the other."""
    if isinstance(action, dict):
        action = list(action.values())
    return [leaf for part in action for leaf in flat(part)] if isinstance(action, list | tuple) else [action]


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("name", ["random", "brownian", "mixture"])
def test_actions_belong_to_the_space_and_come_from_the_generator(name: str, space: spaces.Space[Any]) -> None:
    def run(seed: int) -> list[Any]:
        policy, rng = make_policy(name, Stand(space)), np.random.default_rng(seed)
        policy.reset(all_of(policy), rng)
        actions = [policy(None, {}, rng) for _ in range(12)]
        assert all(batch_space(space, 6).contains(action) for action in actions)
        return [part for action in actions for part in flat(action)]

    np.random.seed(0)
    first = run(1)
    np.random.seed(1)
    second, other = run(1), run(2)
    assert all(np.array_equal(one, two) for one, two in zip(first, second, strict=True))
    assert not all(np.array_equal(one, two) for one, two in zip(first, other, strict=True))
    # Actions that were given out stay as they are.
    assert len({id(part) for part in first}) == len(first)


def test_random_actions_are_uniform() -> None:
    rng = np.random.default_rng(0)
    policy = make_policy("random", Stand(spaces.Discrete(4, start=1), 4000))
    drawn = np.concatenate([policy(None, {}, rng) for _ in range(5)])
    assert np.abs(np.bincount(drawn, minlength=5)[1:] / len(drawn) - 0.25).max() < 0.015
    policy = make_policy("random", Stand(spaces.Box(-1.0, 3.0, (1,)), 4000))
    drawn = np.concatenate([policy(None, {}, rng) for _ in range(5)])
    assert abs(drawn.mean() - 1) < 0.03 and abs(drawn.std() - 4 / np.sqrt(12)) < 0.03


def test_brownian_actions_are_kept() -> None:
    rng = np.random.default_rng(0)
    policy = make_policy("brownian", Stand(spaces.Discrete(4), 500), keep=0.8)
    policy.reset(all_of(policy), rng)
    actions = np.array([policy(None, {}, rng) for _ in range(100)])
    # One in four of those that are drawn anew is the same again.
    assert abs((actions[1:] == actions[:-1]).mean() - (0.8 + 0.2 / 4)) < 0.01
    # Where an episode begins, nothing is kept.
    kept, mask = policy(None, {}, rng), np.arange(500) < 250
    same = []
    for _ in range(40):
        policy.reset(mask, rng)
        following = policy(None, {}, rng)
        same.append([(following == kept)[mask].mean(), (following == kept)[~mask].mean()])
        kept = following
    assert np.allclose(np.mean(same, axis=0), [0.25, 0.85], atol=0.02)


def test_continuous_brownian_actions_walk_within_their_bounds() -> None:
    rng = np.random.default_rng(1)
    space = spaces.Box(np.array([0.0, -np.inf]), np.array([10.0, np.inf]), dtype=np.float64)
    policy = make_policy("brownian", Stand(space, 2000), step=0.05)
    policy.reset(all_of(policy), rng)
    walk = np.array([policy(None, {}, rng) for _ in range(30)])
    steps = np.diff(walk, axis=0)
    inside = (walk[:-1, :, 0] > 3) & (walk[:-1, :, 0] < 7)
    assert abs(steps[..., 0][inside].std() - 0.5) < 0.01 and abs(steps[..., 1].std() - 0.05) < 0.001
    assert walk[..., 0].min() == 0 and walk[..., 0].max() == 10  # it stops there


def test_the_follower_keeps_under_the_ball() -> None:
    game = Game(5)
    factors = np.array(
        [
            [-1, -1, 0, 0, 70, 16],  # no ball: FIRE
            [120, 100, 0, 1, 70, 16],  # to its right
            [20, 100, 0, -1, 70, 16],  # to its left
            [77, 100, 0, 1, 70, 16],  # above its middle
            [100, 145, 2, 2, 114, 16],  # flies to 140, past the paddle: 122 is its middle
        ]
    )
    rng = np.random.default_rng(0)
    simple = make_policy("follower", game, epsilon=0.0, anticipate=False, spread=0.0)
    assert simple(None, {"factors": factors}, rng).tolist() == [1, 2, 3, 0, 3]
    ahead = make_policy("follower", game, epsilon=0.0, spread=0.0)
    ahead.reset(np.ones(5, dtype=bool), rng)
    assert ahead(None, {"factors": factors}, rng).tolist() == [1, 2, 3, 0, 2]
    # The paddle of the fourth copy has moved by 80 pixels in a step: it coasts on by 20, too far to the right.
    moved = factors.copy()
    factors[3, 4] = -10
    ahead.reset(np.ones(5, dtype=bool), rng)
    ahead(None, {"factors": factors}, rng)
    assert ahead(None, {"factors": moved}, rng)[3] == 3
    # At a new episode that is forgotten.
    ahead.reset(np.arange(5) == 3, rng)
    assert ahead(None, {"factors": moved}, rng)[3] == 0
    named = make_policy(
        "follower", Game(5, ("LEFT", "RIGHT", "FIRE", "NOOP")), epsilon=0.0, anticipate=False, spread=0.0
    )
    assert named(None, {"factors": moved}, rng).tolist() == [2, 1, 0, 3, 0]


@pytest.mark.parametrize(("x", "vx", "lands"), [(100, 2, 140), (140, 2, 120), (10, -1, 26), (76, 0, 76)])
def test_the_follower_reckons_with_walls(x: int, vx: int, lands: int) -> None:
    """A ball at y 165 with 1 pixel a frame downwards has 20 frames to go."""
    policy = make_policy("follower", Game(141), epsilon=0.0, spread=0.0)
    factors = np.tile([x, 165.0, vx, 1.0, 0.0, 16.0], (141, 1))
    factors[:, 4] = np.arange(141)
    actions = policy(None, {"factors": factors}, np.random.default_rng(0))
    left_alone = factors[actions == 0, 4] + 7.5
    assert abs(left_alone.mean() - (lands + 0.5)) <= 1 and 17 <= len(left_alone) <= 19


def test_epsilon_is_the_part_of_random_actions() -> None:
    rng = np.random.default_rng(3)
    factors = np.tile([20.0, 100, 0, 1, 100, 16], (5000, 1))
    policy = make_policy("follower", Game(5000), epsilon=0.4)
    actions = np.concatenate([policy(None, {"factors": factors}, rng) for _ in range(4)])
    assert abs((actions == 3).mean() - (0.6 + 0.4 / 4)) < 0.015 and set(actions) == {0, 1, 2, 3}


def test_a_mixture_changes_with_the_episodes() -> None:
    rng = np.random.default_rng(5)
    policy = make_policy("mixture", Game(400))
    assert isinstance(policy, MixturePolicy)
    assert [type(part).__name__ for part in policy.parts] == [
        "RandomPolicy",
        "BrownianPolicy",
        "FollowerPolicy",
        "FollowerPolicy",
    ]
    factors = {"factors": np.tile([20.0, 100, 0, 1, 100, 16], (400, 1))}
    policy.reset(all_of(policy), rng)
    first = policy._which.copy()
    assert (np.bincount(first, minlength=4) > 60).all()
    actions = np.array([policy(None, factors, rng) for _ in range(60)])
    left = (actions == 3).mean(axis=0)
    kept = (actions[1:] == actions[:-1]).mean(axis=0)
    assert abs(left[first == 0].mean() - 0.25) < 0.03 and kept[first == 1].mean() > 0.85
    assert abs(left[first == 2].mean() - (0.95 + 0.0125)) < 0.02 and abs(left[first == 3].mean() - (0.7 + 0.075)) < 0.03
    # In the middle of an episode it stays; where one begins it may change.
    mask = np.arange(400) < 200
    policy.reset(mask, rng)
    assert np.array_equal(policy._which[200:], first[200:]) and not np.array_equal(policy._which[:200], first[:200])
    two = make_policy("mixture", Game(4), parts=["random", "follower"])
    assert isinstance(two, MixturePolicy) and isinstance(two.parts[1], FollowerPolicy)
    plain = make_policy("mixture", Stand(spaces.Discrete(2)))
    assert isinstance(plain, MixturePolicy) and isinstance(plain.parts[-1], BrownianPolicy)


def test_the_follower_plays_and_the_random_policy_hardly_does() -> None:
    """Points of the first 170 steps, which random play hardly survives."""

    def points(name: str) -> NDArray[np.float64]:
        envs = gym.make_vec("equiworld/Breakout-v0", 4, autoreset_mode="SameStep")
        policy, rng = (
            make_policy(name, envs, **({"epsilon": 0.0} if name == "follower" else {})),
            np.random.default_rng(0),
        )
        observations, infos = envs.reset(seed=1)
        policy.reset(np.ones(4, dtype=bool), rng)
        gained = np.zeros(4)
        for _ in range(170):
            observations, rewards, terminated, truncated, infos = envs.step(policy(observations, infos, rng))
            gained += rewards
            policy.reset(terminated | truncated, rng)
        envs.close()
        return gained

    assert points("follower").mean() > 4 > 2 > points("random").mean()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "randm",
            {},
            r"^unknown policy 'randm' \(did you mean 'random'\?\); there are: brownian, finder, follower, mixture, ",
        ),
        ("random", {"keep": 0.1}, r"^the policy 'random' has no option 'keep'; it takes: none$"),
        ("brownian", {"epsilon": 0.1}, r"^the policy 'brownian' has no option 'epsilon'; it takes: keep, step$"),
        ("brownian", {"keep": 1.0}, r"^keep must be a probability below 1, got 1.0$"),
        ("brownian", {"keep": "x"}, r"^keep must be a probability below 1, got 'x'$"),
        ("brownian", {"step": 0}, r"^step must be positive, got 0$"),
        ("follower", {}, r"^the policy 'follower' plays Breakout alone; 'random' and 'brownian' play everything$"),
        ("mixture", {"parts": []}, r"^a mixture needs at least one policy$"),
        ("mixture", {"parts": "random"}, r"^parts must be a list of names of policies, got 'random'$"),
        ("mixture", {"parts": ["ranodm"]}, r"^unknown policy 'ranodm' \(did you mean 'random'\?\)"),
    ],
)
def test_policies_that_cannot_be_made_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_policy(name, Stand(spaces.Discrete(4)), **options)


def test_values_that_the_follower_refuses() -> None:
    for options, message in (
        ({"epsilon": 1.5}, "^epsilon must be a probability, got 1.5$"),
        ({"epsilon": "x"}, "^epsilon must be a probability, got 'x'$"),
        ({"spread": -1.0}, "^spread must be a number of pixels, 0 or more, got -1.0$"),
        ({"spread": None}, "^spread must be a number of pixels, 0 or more, got None$"),
    ):
        with pytest.raises(UsageError, match=message):
            make_policy("follower", Game(1), **options)
    with pytest.raises(UsageError, match=r"^no policy acts in the space"):
        make_policy("random", Stand(spaces.Text(4)))
    assert POLICIES.names() == ["brownian", "finder", "follower", "mixture", "random"]


@pytest.mark.parametrize(
    ("name", "rate", "steps"),
    [("NewPosition", 1.0, 3), ("MoreDistractors", 1.0, 6), ("Embodied", 0.7, 35)],
)
def test_the_finder_brings_targets_to_the_goal(name: str, rate: float, steps: float) -> None:
    envs = gym.make_vec(
        f"equiworld/SpriteworldGoalFinding{name}-v0", 40, autoreset_mode="SameStep", observation="factors"
    )
    policy, rng = make_policy("finder", envs, epsilon=0.0), np.random.default_rng(0)
    observations, infos = envs.reset(seed=0)
    over, solved, lengths = (np.zeros(40, dtype=kind) for kind in (bool, bool, int))
    while not over.all():
        actions = policy(observations, infos, rng)
        assert envs.action_space.contains(actions)
        lengths += ~over
        observations, _, terminated, truncated, infos = envs.step(actions)
        solved |= terminated & ~over
        over |= terminated | truncated
    assert solved.mean() >= rate and lengths.mean() <= steps


def test_the_finder_drags_too_and_where_goals_are_lines() -> None:
    task = FindGoalPosition(goal_position=(0.0, 0.5), weights_dimensions=(1, 0), terminate_distance=0.1)
    dragging = replace(CONFIGS["goal_finding_new_shape"], task=task, action_space=DragAndDrop(symmetric=False))
    envs = SpriteworldVectorEnv(20, dragging)
    policy, rng = make_policy("finder", envs, epsilon=0.0), np.random.default_rng(0)
    observations, infos = envs.reset(seed=0)
    before = np.asarray(infos["factors"])[:, 1]
    actions = policy(observations, infos, rng)
    _, _, terminated, _, infos = envs.step(actions)
    assert terminated.all()
    np.testing.assert_allclose(actions[:, 0], actions[:, 0].clip(0, 1))
    assert before.min() > 0  # somewhere else than in the goal's corner


def test_the_finder_explores_as_often_as_it_is_told_and_plays_nothing_else() -> None:
    envs = gym.make_vec("equiworld/SpriteworldGoalFindingEmbodied-v0", 400, observation="factors")
    infos = envs.reset(seed=0)[1]
    sure, rng = make_policy("finder", envs, epsilon=0.0), np.random.default_rng(0)
    unsure = make_policy("finder", envs, epsilon=0.5)
    differ = (sure(None, infos, rng) != unsure(None, infos, rng)).any(1).mean()
    assert abs(differ - 0.5 * 7 / 8) < 0.08
    with pytest.raises(UsageError, match="epsilon must be a probability, got 2"):
        make_policy("finder", envs, epsilon=2)
    for other in ("SpriteworldSorting", "FlatLand"):
        with pytest.raises(UsageError, match="'finder' plays goal finding of Spriteworld alone"):
            make_policy("finder", gym.make_vec(f"equiworld/{other}-v0", 2))


def test_the_finder_walks_to_the_goal_itself_where_all_sprites_belong_there() -> None:
    every = replace(CONFIGS["goal_finding_embodied"], task=FindGoalPosition(terminate_distance=0.1))
    envs = SpriteworldVectorEnv(40, every, max_episode_steps=300, autoreset_mode="SameStep")
    policy, rng = make_policy("finder", envs, epsilon=0.0), np.random.default_rng(0)
    observations, infos = envs.reset(seed=0)
    solved = np.zeros(40, dtype=bool)
    for _ in range(290):
        observations, _, terminated, _, infos = envs.step(policy(observations, infos, rng))
        solved |= terminated
    assert solved.mean() > 0.7
