"""Every registered environment: the checkers, seeds, states, and vector environments that equal scalar ones."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.env_checker import check_env as check_for_baselines

from equiworld.envs import (
    FlatLand,
    GoalTask,
    SimulationEnv,
    SimulationVectorEnv,
    UsageError,
    WorldEnv,
    WorldSimulation,
    WorldVectorEnv,
    restore_state,
    save_state,
)
from equiworld.envs.registration import register_all, registered

IDS = registered()
MODES = [mode.value for mode in AutoresetMode]


@pytest.fixture(autouse=True)
def no_warnings_and_no_screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Gymnasium says what it misses in an environment as a warning."""
    import warnings

    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def assert_same(first: Any, second: Any, place: str = "") -> None:
    """Equal in structure, type and every bit."""
    assert type(first) is type(second), place
    if isinstance(first, dict):
        assert first.keys() == second.keys(), place
        for key in first:
            assert_same(first[key], second[key], f"{place}[{key!r}]")
    elif isinstance(first, tuple | list):
        assert len(first) == len(second), place
        for number, (one, other) in enumerate(zip(first, second, strict=True)):
            assert_same(one, other, f"{place}[{number}]")
    elif isinstance(first, np.ndarray):
        assert (first.shape, first.dtype) == (second.shape, second.dtype), place
        if first.dtype == object:
            assert_same(first.tolist(), second.tolist(), place)
        else:
            np.testing.assert_array_equal(first, second, err_msg=place)
    else:
        assert first == second or first != first, place  # nan is what nan is


def actions_of(space: spaces.Space[Any], number: int, seed: int = 0) -> list[Any]:
    space.seed(seed)
    return [space.sample() for _ in range(number)]


def copied(value: Any) -> Any:
    return {key: copied(part) for key, part in value.items()} if isinstance(value, dict) else np.copy(value)


def sync(env_id: str, num_envs: int, mode: str = "NextStep", **options: Any) -> gym.vector.VectorEnv:
    """Gymnasium's own loop over scalar environments."""
    return gym.make_vec(env_id, num_envs, "sync", {"autoreset_mode": mode}, **options)


# What Gymnasium and stable-baselines3 ask of an environment


def test_ids_are_registered_once_and_lightly() -> None:
    before = dict(gym.registry)
    register_all()
    assert dict(gym.registry) == before
    assert {"equiworld/FlatLand-v0", "equiworld/FlatLandGoal-v0"} <= set(IDS)
    for env_id in IDS:
        spec = gym.spec(env_id)
        assert isinstance(spec.entry_point, str) and isinstance(spec.vector_entry_point, str)


def test_importing_the_worlds_loads_nothing_heavy() -> None:
    code = "import sys, equiworld.envs; print({'torch', 'numba', 'ale_py', 'pygame', 'cv2'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


@pytest.mark.parametrize("env_id", IDS)
def test_both_checkers_are_content(env_id: str) -> None:
    env = gym.make(env_id)
    check_env(env.unwrapped)  # and every render mode, and closing twice
    check_for_baselines(env)


@pytest.mark.parametrize("env_id", IDS)
def test_an_environment_is_documented_and_described(env_id: str) -> None:
    env = gym.make(env_id)
    inner = env.unwrapped
    assert isinstance(inner, SimulationEnv)
    page = type(inner).__doc__ or ""
    headings = ("Description", "Action space", "Observation space", "Factors", "Rewards", "Starting state",
                "Episode end", "Arguments", "Version history")  # fmt: skip
    assert [part for part in headings if f"## {part}" not in page] == []
    assert pickle.loads(pickle.dumps(env.spec)) == env.spec
    _, info = env.reset(seed=0)
    assert info["factors"].shape == (len(inner.factor_names),)
    vector = gym.make_vec(env_id, num_envs=2)
    assert isinstance(vector, SimulationVectorEnv) and vector.factor_names == inner.factor_names
    assert vector.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert (vector.single_observation_space, vector.single_action_space) == (env.observation_space, env.action_space)
    for one in (env, vector):
        one.close()
        one.close()


@pytest.mark.parametrize("env_id", IDS)
def test_a_seed_fixes_the_trajectory(env_id: str) -> None:
    env = gym.make(env_id)
    actions = actions_of(env.action_space, 8)

    def trajectory(seed: int | None) -> list[Any]:
        return [env.reset(seed=seed), *(env.step(action) for action in actions[:4]), env.reset(), env.step(actions[4])]

    first, second, other = trajectory(5), trajectory(5), trajectory(6)
    assert_same(first, second)
    keys = set(first[0][1])
    assert all(set(part[-1]) == keys for part in first)
    # The chance that two seeds agree in every start is small, but an environment may always start alike.
    with pytest.raises(AssertionError):
        assert_same([part[0] for part in first], [part[0] for part in other])
    env.close()


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("num_envs", [1, 3])
def test_the_vector_environment_is_the_scalar_one_bit_by_bit(env_id: str, num_envs: int) -> None:
    for mode in ("NextStep", "SameStep"):
        native = gym.make_vec(env_id, num_envs, max_episode_steps=3, autoreset_mode=mode)
        loop = sync(env_id, num_envs, mode, max_episode_steps=3)
        assert native.metadata["autoreset_mode"] is loop.metadata["autoreset_mode"]
        assert_same(native.reset(seed=11), loop.reset(seed=11), mode)
        ends = 0
        for number, action in enumerate(actions_of(native.action_space, 9)):
            ours, theirs = native.step(action), loop.step(action)
            assert_same(ours, theirs, f"{mode} step {number}")
            ends += int(ours[2].any() or ours[3].any())
        assert ends >= 2
        assert_same(native.reset(), loop.reset(), mode)
        native.close()
        loop.close()


@pytest.mark.parametrize("env_id", IDS)
def test_the_user_may_reset(env_id: str) -> None:
    native = gym.make_vec(env_id, 3, max_episode_steps=2, autoreset_mode="Disabled")
    loop = sync(env_id, 3, "Disabled", max_episode_steps=2)
    assert_same(native.reset(seed=[4, 5, 9]), loop.reset(seed=[4, 5, 9]))
    actions = actions_of(native.action_space, 4)
    over = np.zeros(3, dtype=bool)
    while not over.any():
        ours, theirs = native.step(actions[0]), loop.step(actions[0])
        assert_same(ours, theirs)
        over = ours[2] | ours[3]
    with pytest.raises(UsageError, match=r"^copy \d has ended: reset\(.*reset_mask.*\) comes before its step$"):
        native.step(actions[1])
    mask = {"reset_mask": over}
    assert_same(native.reset(seed=3, options=mask), loop.reset(seed=3, options=dict(mask)))
    assert set(mask) == {"reset_mask"}  # what the user gave is left as it was
    assert_same(native.step(actions[2]), loop.step(actions[2]))


@pytest.mark.parametrize("env_id", IDS)
def test_a_saved_state_continues_bit_by_bit(env_id: str) -> None:
    env = gym.make(env_id, max_episode_steps=6)
    actions = actions_of(env.action_space, 12)
    env.reset(seed=2)
    for action in actions[:3]:
        env.step(action)
    saved = pickle.loads(pickle.dumps(save_state(env)))

    def rest(env: gym.Env) -> list[Any]:
        parts: list[Any] = []
        for action in actions[3:]:
            parts.append(env.step(action))
            if parts[-1][2] or parts[-1][3]:
                parts.append(env.reset())  # from the generator, which is part of the state
        return parts

    expected = rest(env)
    assert any(len(part) == 5 and part[3] for part in expected)  # the time limit has come along
    other = gym.make(env_id, max_episode_steps=6)  # never reset
    for again in (env, other):
        observation, info = restore_state(again, saved)
        assert set(info) == set(expected[0][4])
        again.unwrapped.get_state()
        assert_same(rest(again), expected)
    assert again.unwrapped.observation_space.contains(observation)
    env.close()
    other.close()


@pytest.mark.parametrize("env_id", IDS)
def test_the_states_of_many_continue_bit_by_bit(env_id: str) -> None:
    envs = gym.make_vec(env_id, 3, max_episode_steps=4)
    actions = actions_of(envs.action_space, 9)
    envs.reset(seed=7)
    for action in actions[:4]:  # all have ended by now, if not before: that they have is part of the state
        seen = copied(envs.step(action)[0])
    saved = envs.get_state()
    expected = [copied(envs.step(action)[0]) for action in actions[4:]]
    other = gym.make_vec(env_id, 3, max_episode_steps=4)
    observation, _ = other.set_state(saved)
    assert_same(copied(observation), seen)
    assert_same([copied(other.step(action)[0]) for action in actions[4:]], expected)
    # What one copy of many was in, a scalar environment continues.
    one = gym.make(env_id).unwrapped
    one.set_state(saved[1])
    assert_same(one.get_state()["rng"], saved[1]["rng"])
    for opened in (envs, other, one):
        opened.close()


@pytest.mark.parametrize("env_id", IDS)
def test_an_observation_stays_valid_until_the_step_after_the_next(env_id: str) -> None:
    envs = gym.make_vec(env_id, 2, max_episode_steps=3, autoreset_mode="SameStep")
    last, _ = envs.reset(seed=0)
    for action in actions_of(envs.action_space, 8):
        kept = copied(last)
        following = envs.step(action)[0]
        assert_same(copied(last), kept)
        last = following
    own = gym.make_vec(env_id, 2, copy=True)
    first, _ = own.reset(seed=0)
    kept = copied(first)
    for action in actions_of(own.action_space, 3):
        own.step(action)
    assert_same(first, kept)
    envs.close()
    own.close()


@pytest.mark.parametrize("env_id", IDS)
def test_factors_can_be_set(env_id: str) -> None:
    env = gym.make(env_id)
    _, info = env.reset(seed=1)
    _, again = env.reset(seed=2, options={"factors": info["factors"]})
    np.testing.assert_allclose(again["factors"], info["factors"])
    vector = gym.make_vec(env_id, 3)
    both = np.stack([info["factors"]] * 3)
    for factors in (info["factors"], both):
        np.testing.assert_allclose(vector.reset(seed=5, options={"factors": factors})[1]["factors"], both)
    with pytest.raises(UsageError) as caught:
        env.reset(options={"factors": "nonsense"})
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError) as caught:
        env.reset(options={"factor": info["factors"]})
    assert "\n" not in str(caught.value) and "factors" in str(caught.value)
    env.close()
    vector.close()


@pytest.mark.parametrize("env_id", IDS)
def test_bad_actions_are_refused_in_one_line(env_id: str) -> None:
    env, vector = gym.make(env_id), gym.make_vec(env_id, 2)
    for bad in (None, "left", [[0.0]], np.nan):
        env.reset(seed=0)
        with pytest.raises(UsageError) as caught:
            env.step(bad)
        assert "\n" not in str(caught.value)
        vector.reset(seed=0)
        with pytest.raises(UsageError) as caught:
            vector.step(bad)
        assert "\n" not in str(caught.value)
    env.close()
    vector.close()


@pytest.mark.parametrize("env_id", IDS)
def test_rendering(env_id: str) -> None:
    env = gym.make(env_id, render_mode="rgb_array")
    env.reset(seed=0)
    first = env.render()
    assert first.dtype == np.uint8 and first.ndim == 3 and first.shape[2] == 3
    many = gym.make_vec(env_id, 3, render_mode="rgb_array")
    many.reset(seed=0)
    frames = many.render()
    assert len(frames) == 3
    np.testing.assert_array_equal(frames[0], first)
    assert len(np.unique(first)) > 1  # something is to be seen
    shown = gym.make_vec(env_id, 3, render_mode="human")
    shown.reset(seed=0)
    shown.step(shown.action_space.sample())
    assert shown.render() is None
    for opened in (env, many, shown):
        opened.close()


# What is the same for all of them, tried with one


def test_truncation_is_not_termination() -> None:
    envs = gym.make_vec("equiworld/FlatLand-v0", 2, max_episode_steps=2)
    envs.reset(seed=0)
    actions = np.array([0, 1])
    seen = [envs.step(actions)[1:4] for _ in range(4)]
    assert [part[2].tolist() for part in seen] == [[False] * 2, [True] * 2, [False] * 2, [False] * 2]
    assert not any(part[1].any() for part in seen)
    env = gym.make("equiworld/FlatLand-v0")
    env.reset(seed=0)
    ends = [env.step(0)[2:4] for _ in range(100)]
    assert ends[-2:] == [(False, False), (False, True)]
    # The step that reaches the goal terminates, whatever is left of the time.
    goal = WorldEnv(FlatLand(), gym.make("equiworld/FlatLandGoal-v0").unwrapped.simulation.task)
    goal.reset(seed=0, options={"factors": [0, 0], "goal": [10, 0]})
    assert [goal.step(3)[1:4] for _ in range(2)] == [(0.0, False, False), (1.0, True, False)]


def test_the_action_of_a_copy_that_is_reset_is_not_read() -> None:
    envs = gym.make_vec("equiworld/FlatLand-v0", 2, max_episode_steps=1)
    envs.reset(seed=0)
    envs.step(np.array([0, 0]))
    envs.step(np.array([-7, 99]))
    with pytest.raises(UsageError, match=r"^there is no action -7; actions are 0 to 3$"):
        envs.step(np.array([-7, 0]))


def test_a_refused_step_changes_nothing() -> None:
    envs = gym.make_vec("equiworld/FlatLand-v0", 3, max_episode_steps=4)
    envs.reset(seed=0)
    before = envs.get_state()
    with pytest.raises(UsageError):
        envs.step(np.array([0, 1, 4]))
    with pytest.raises(UsageError):
        envs.reset(options={"factors": [[0, 0], [0, 0], [0, 40]]})
    assert_same(envs.get_state(), before)


def test_the_generator_can_be_given() -> None:
    env = WorldEnv(FlatLand())
    env.np_random = np.random.Generator(np.random.PCG64(3))
    _, info = env.reset()
    expected = np.random.Generator(np.random.PCG64(3)).integers(1089)
    assert env.world.factors.to_index(info["factors"]) == expected
    envs = WorldVectorEnv(2, FlatLand())
    envs.reset(seed=8)
    assert envs.np_random_seed == (8, 9)
    assert len(envs.np_random) == 2 and envs.np_random[0] is not envs.np_random[1]
    envs.np_random = [np.random.default_rng(seed) for seed in (3, 4)]
    drawn = envs.world.factors.to_index(envs.reset()[1]["factors"])
    assert drawn.tolist() == [np.random.default_rng(seed).integers(1089) for seed in (3, 4)]
    with pytest.raises(UsageError, match=r"^np_random must be a generator for each of 2 copies$"):
        envs.np_random = np.random.default_rng(0)


def test_unseeded_environments_differ() -> None:
    draws = {tuple(WorldEnv(FlatLand()).reset()[1]["factors"].tolist()) for _ in range(6)}
    assert len(draws) > 1
    factors = WorldVectorEnv(6, FlatLand()).reset()[1]["factors"]
    assert len(np.unique(factors, axis=0)) > 1


def test_a_state_that_is_refused_changes_nothing() -> None:
    env = gym.make("equiworld/FlatLand-v0").unwrapped
    env.reset(seed=0)
    state = env.get_state()
    foreign = gym.make("equiworld/FlatLandHue-v0").unwrapped
    foreign.reset(seed=1)
    with pytest.raises(UsageError):
        env.set_state(foreign.get_state())
    assert env.get_state()["rng"] == state["rng"]
    assert (env.get_state()["simulation"]["factors"] == state["simulation"]["factors"]).all()


def test_a_state_of_something_else_is_refused() -> None:
    env, envs = WorldEnv(FlatLand()), WorldVectorEnv(2, FlatLand())
    env.reset(seed=0)
    envs.reset(seed=0)
    state = env.get_state()
    bad: list[tuple[Callable[[], object], str]] = [
        (lambda: env.set_state({"factors": [0, 0]}), "a state is what get_state gave"),
        (lambda: env.set_state({**state, "simulation": {"factors": [99, 0]}}), "factor 'x' cannot be 99"),
        (lambda: env.set_state({**state, "simulation": {"x": 1}}), "this is no state of a simulation of FlatLand"),
        (lambda: env.set_state({**state, "rng": {"bit_generator": "MT19937"}}), "the state of the generator"),
        (lambda: envs.set_state([state]), "set_state needs a list of 2 states"),
        (lambda: envs.set_state(state), "set_state needs a list of 2 states"),
        (lambda: envs.set_state(None), "set_state needs a list of 2 states"),  # type: ignore[arg-type]
        (lambda: restore_state(env, None), "this is not a state that save_state gave"),  # type: ignore[arg-type]
        (lambda: restore_state(env, {**state, "time_limits": [3]}), "this is not a state that save_state gave"),
        (lambda: save_state(gym.make("CartPole-v1")), "only environments of equiworld can be saved"),
        (lambda: restore_state(gym.make("CartPole-v1"), {}), "only environments of equiworld can be restored"),
    ]
    for call, message in bad:
        with pytest.raises(UsageError) as caught:
            call()
        assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: WorldEnv(FlatLand()).step(0), "the environment must be reset before its first step"),
        (lambda: WorldVectorEnv(2, FlatLand()).step([0, 0]), "the environment must be reset before its first step"),
        (lambda: WorldEnv(FlatLand()).get_state(), "the environment must be reset before it has a state"),
        (lambda: WorldVectorEnv(2, FlatLand()).get_state(), "the environment must be reset before it has a state"),
        (lambda: WorldEnv(FlatLand()).render(), "render() needs a render_mode; there are: rgb_array, human"),
        (lambda: WorldVectorEnv(1, FlatLand()).render(), "render() needs a render_mode; there are: rgb_array, human"),
        (
            lambda: WorldEnv(FlatLand(), render_mode="rgb_array").render(),
            "the environment must be reset before it is rendered",
        ),
        (
            lambda: WorldVectorEnv(1, FlatLand(), render_mode="rgb_array").render(),
            "the environment must be reset before it is rendered",
        ),
        (
            lambda: WorldEnv(FlatLand(), render_mode="ansi"),
            "there is no render mode 'ansi'; there are: rgb_array, human",
        ),
        (
            lambda: WorldEnv(FlatLand(), max_episode_steps=0),
            "max_episode_steps must be a whole number, 1 or more, got 0",
        ),
        (
            lambda: WorldVectorEnv(0, FlatLand()),
            "the number of environments must be a whole number, 1 or more, got 0",
        ),
        (
            lambda: WorldVectorEnv(1, FlatLand(), autoreset_mode="Never"),
            "there is no autoreset mode 'Never'; there are: NextStep, SameStep, Disabled",
        ),
        (
            lambda: SimulationEnv(WorldSimulation(FlatLand(), None, 2)),
            "a scalar environment needs a simulation of one copy, got 2",
        ),
        (lambda: WorldEnv(FlatLand()).reset(options=[1]), "reset options must be a dict, got [1]"),
        (
            lambda: WorldVectorEnv(2, FlatLand()).reset(options={"reset_mask": [True, True]}),
            "reset_mask must be a bool array [2], got [True, True]",
        ),
        (
            lambda: WorldVectorEnv(2, FlatLand()).reset(options={"reset_mask": np.zeros(2, bool)}),
            "reset_mask must choose at least one copy",
        ),
        (
            lambda: WorldVectorEnv(2, FlatLand()).reset(options={"reset_mask": np.array([True, False])}),
            "the first reset is one of all copies: reset_mask must choose all of them",
        ),
        (
            lambda: WorldVectorEnv(2, FlatLand()).reset(seed=[1]),
            "seeds must be a whole number, or one for each of 2 copies, got [1]",
        ),
        (
            lambda: WorldVectorEnv(2, FlatLand()).reset(seed=1.5),
            "seeds must be a whole number, or one for each of 2 copies, got 1.5",
        ),
        (
            lambda: WorldEnv(FlatLand()).reset(options={"goal": [0, 0]}),
            "there is no reset option 'goal'; there are: factors",
        ),
        (
            lambda: WorldVectorEnv(3, FlatLand()).reset(options={"factors": [[0, 0], [1, 1]]}),
            "reset option 'factors': 2 rows were given for 3 copies",
        ),
        (
            lambda: WorldEnv(FlatLand()).reset(options={"factors": [33, 0]}),
            "reset option 'factors': factor 'x' cannot be 33; accepted: 0 to 32",
        ),
    ],
)
def test_refusals_are_one_line(call: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        call()
    assert str(caught.value) == message


def test_a_reset_that_is_refused_changes_nothing() -> None:
    env = WorldEnv(FlatLand())
    env.reset(seed=3)
    before = env.get_state(), env.np_random_seed
    for options in ({"factors": [99, 0]}, {"colour": 1}, {"factors": ["red", 0]}, 5):
        with pytest.raises(UsageError):
            env.reset(seed=8, options=options)
        assert_same((env.get_state(), env.np_random_seed), before)
    envs = WorldVectorEnv(3, FlatLand())
    envs.reset(seed=3)
    several = envs.get_state(), envs.np_random_seed
    for seed, options in ((8, {"factors": [99, 0]}), (8, {"colour": 1}), ([1, 2, -3], None), ([1, 2, "x"], None)):
        with pytest.raises((ValueError, gym.error.Error)):
            envs.reset(seed=seed, options=options)
        assert_same((envs.get_state(), envs.np_random_seed), several)


def test_states_of_which_one_is_refused_change_nothing() -> None:
    envs = WorldVectorEnv(3, FlatLand())
    envs.reset(seed=3)
    before = envs.get_state()
    envs.step(np.array([0, 1, 2]))
    now, factors = envs.get_state(), envs.simulation.factors()
    for entry, value in (
        ("simulation", {"factors": [99, 0]}),
        ("simulation", {"factors": [[1, 0], [2, 0]]}),
        ("simulation", 5),
        ("rng", {}),
        ("steps", "three"),
        ("over", None),
    ):
        with pytest.raises(UsageError):
            envs.set_state([*before[:2], {**before[2], entry: value}])
        assert_same(envs.get_state(), now)
        with pytest.raises(UsageError):
            WorldEnv(FlatLand()).set_state({**before[2], entry: value})
    assert np.array_equal(envs.simulation.factors(), factors)
    unbegun = WorldVectorEnv(2, FlatLand())
    with pytest.raises(UsageError):
        unbegun.set_state([before[0], {**before[1], "simulation": {"factors": [99, 0]}}])
    with pytest.raises(UsageError, match="must be reset before its first step"):
        unbegun.step(np.array([0, 1]))


def test_a_run_whose_resets_are_the_users_continues_bit_by_bit() -> None:
    def make() -> WorldVectorEnv:
        task = GoalTask(tolerance=6)
        return WorldVectorEnv(4, FlatLand(), task, max_episode_steps=6, autoreset_mode="Disabled")

    def go(envs: WorldVectorEnv, actions: np.ndarray) -> list:
        seen = []
        for action in actions:
            over = envs._over.copy()
            if over.any():
                seen.append(envs.reset(options={"reset_mask": over}))
            seen.append(envs.step(action))
            seen[-1] = (seen[-1][0].copy(), *seen[-1][1:])
        return seen

    actions = np.random.default_rng(0).integers(4, size=(40, 4))
    envs, other = make(), make()
    envs.reset(seed=5)
    first = 0
    while not envs._over.any() or envs._over.all():  # until some copies, and not all, wait for their reset
        go(envs, actions[first : first + 1])
        first += 1
    saved = envs.get_state()
    other.set_state(saved)
    with pytest.raises(UsageError, match="has ended"):
        other.step(actions[0])
    assert_same(go(other, actions[first:]), go(envs, actions[first:]))
