"""Breakout as an environment: the game, its options, its factors, and states that continue."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from ale_py import roms
from gymnasium.utils import seeding
from numpy.typing import NDArray

import equiworld  # noqa: F401 (registers the ids)
from equiworld.envs import UsageError
from equiworld.envs.breakout import FACTOR_NAMES, decode, ram
from equiworld.envs.breakout.emulator import FIRE, LEFT, NOOP, RIGHT, Console
from equiworld.envs.breakout.simulation import BreakoutSimulation
from equiworld.envs.breakout.world import Breakout

ID = "equiworld/Breakout-v0"
CONSOLE_ACTIONS = (NOOP, FIRE, RIGHT, LEFT)


def settable(factors: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows of factors can be set, or drawn."""
    y = factors[:, ram.BALL_Y]
    return ((y < 0) | ((y >= 32) & (y <= 216))) & (factors[:, ram.LIVES] > 0)


def one_ball(**values: float) -> NDArray[np.float64]:
    """Factors of a ball that falls past the paddle, and what is given."""
    row = np.zeros(116)
    row[:6] = 30, 170, 1, 2, 120, 16
    row[ram.BRICK], row[ram.LIVES] = 1, 5
    for name, value in values.items():
        row[FACTOR_NAMES.index(name)] = value
    return row


def follow(factors: NDArray[np.float64]) -> NDArray[np.int64]:
    """Actions that keep the paddles under the balls."""
    x, y, _, _, paddle, width = factors[:, :6].T
    off = x + 1 - paddle - width / 2
    return np.where(y < 0, 1, np.where(off > 4, 2, np.where(off < -4, 3, 0)))


def test_it_is_the_emulators_own_game() -> None:
    """Without sticky actions it steps, scores and looks as the environment that comes with the emulator."""
    ours = gym.make(ID, repeat_action_probability=0.0, crop=None, image_size=None)
    theirs = gym.make("ALE/Breakout-v5", repeat_action_probability=0.0)
    first, info = ours.reset(seed=0)
    second, their_info = theirs.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(250):
        assert np.array_equal(first, second) and info["lives"] == their_info["lives"]
        assert np.array_equal(decode(theirs.unwrapped.ale.getRAM()[None])[0], info["factors"])
        action = int(rng.integers(4))
        first, reward, terminated, truncated, info = ours.step(action)
        second, *outcome, their_info = theirs.step(action)
        assert [reward, terminated, truncated] == outcome
        if terminated:
            break
    assert terminated and info["factors"][ram.LIVES] == 0


@pytest.mark.parametrize("grayscale", [False, True])
def test_the_picture_shows_the_factors(grayscale: bool) -> None:
    """Every observation is the picture of the factors that are told with it, drawn by the intervention world."""
    envs = gym.make_vec(ID, 6, grayscale=grayscale, image_size=84)
    world = Breakout(image_size=84, grayscale=grayscale, renderer="drawn")
    observations, infos = envs.reset(seed=3)
    rng = np.random.default_rng(1)
    checked = 0
    for _ in range(120):
        fine = settable(infos["factors"])
        assert np.array_equal(observations[fine], world.render_scene(infos["factors"][fine]))
        checked += int(fine.sum())
        random = rng.integers(0, 4, 6)
        observations, _, terminated, _, infos = envs.step(
            np.where(rng.random(6) < 0.3, random, follow(infos["factors"]))
        )
        if terminated.any():
            break
    assert checked > 400 and envs.world.image_shape == envs.single_observation_space.shape
    envs.close()


def test_rewards_are_what_the_score_grows_by() -> None:
    envs = gym.make_vec(ID, 4)
    _, infos = envs.reset(seed=8)
    gained = np.zeros(4)
    for _ in range(250):
        _, rewards, terminated, _, infos = envs.step(follow(infos["factors"]))
        gained += rewards
        if terminated.any():
            break
    assert rewards.dtype == np.float64 and gained.min() > 0
    assert np.array_equal(infos["factors"][:, ram.SCORE], gained)
    standing = infos["factors"][:, ram.BRICK].reshape(4, 6, 18).sum(axis=2)
    assert np.array_equal((18 - standing) @ np.array([7, 7, 4, 4, 1, 1]), gained)
    envs.close()


def test_sticky_actions_are_drawn_in_every_frame() -> None:
    """The same generator, asked by hand, makes the same game on a bare console."""
    env = gym.make(ID, repeat_action_probability=0.4, frame_skip=3)
    _, info = env.reset(seed=21)
    rng = seeding.np_random(21)[0]
    memory = np.zeros(128, np.uint8)
    console = Console(memory, np.zeros((210, 160), np.uint8))
    held = NOOP
    repeated = 0
    for action in np.random.default_rng(4).integers(0, 4, 60):
        plan = []
        for draw in rng.random(3):
            held = held if draw < 0.4 else CONSOLE_ACTIONS[action]
            plan.append(held)
        repeated += sum(one != CONSOLE_ACTIONS[action] for one in plan)
        console.run(plan)
        _, _, _, _, info = env.step(int(action))
        assert np.array_equal(info["factors"], decode(memory[None])[0])
    assert repeated > 20


def test_always_repeated_actions_never_begin() -> None:
    env = gym.make(ID, repeat_action_probability=1.0)
    env.reset(seed=0)
    for action in (1, 2, 2, 2, 3):
        _, _, _, _, info = env.step(action)
    assert info["factors"][:6].tolist() == [-1, -1, 0, 0, 99, 16]


def test_without_sticky_actions_the_seed_does_not_matter() -> None:
    def run(seed: int) -> NDArray[np.float64]:
        env = gym.make(ID, repeat_action_probability=0.0)
        env.reset(seed=seed)
        return np.array([env.step(action)[4]["factors"] for action in (1, 2, 2, 3, 0, 0, 3, 3)])

    assert np.array_equal(run(0), run(1))


def test_frame_skips_can_be_drawn() -> None:
    env = gym.make(ID, frame_skip=(2, 5), repeat_action_probability=0.0)
    row = one_ball(ball_x=10, ball_y=100, ball_vx=1, ball_vy=0.25)
    steps = []
    for seed in range(12):
        _, before = env.reset(seed=seed, options={"factors": row})
        after = env.step(0)[4]
        steps.append(int(after["factors"][0] - before["factors"][0]))
    assert set(steps) == {2, 3, 4}


def test_a_game_can_begin_after_some_frames_and_with_the_serve() -> None:
    env = gym.make(ID, noop_max=30, fire_reset=True)
    balls = {tuple(env.reset(seed=seed)[1]["factors"][:2]) for seed in range(8)}
    assert all(y > 0 for _, y in balls) and len(balls) > 1
    calm = gym.make(ID, noop_max=30)
    assert calm.reset(seed=0)[1]["factors"][:6].tolist() == [-1, -1, 0, 0, 99, 16]


@pytest.mark.parametrize("life_loss", ["ignore", "terminate", "continue"])
def test_the_loss_of_a_life(life_loss: str) -> None:
    env = gym.make(ID, life_loss=life_loss, repeat_action_probability=0.0)
    row = one_ball(lives=3, score=50)
    row[ram.BRICK] = np.arange(108) % 2
    env.reset(seed=5, options={"factors": row})
    while True:
        _, _, terminated, _, info = env.step(0)
        if info["factors"][ram.LIVES] < 3:
            break
        assert not terminated
    assert info["factors"][ram.LIVES] == 2 and terminated == (life_loss != "ignore")
    state = env.unwrapped.get_state()
    goes_on = life_loss == "continue"
    _, info = env.reset()
    assert info["factors"][[ram.LIVES, ram.SCORE]].tolist() == ([2, 50] if goes_on else [5, 0])
    assert info["factors"][ram.BRICK].sum() == (54 if goes_on else 108)
    # That it goes on is part of the state; a seed begins a new game all the same.
    env.unwrapped.set_state(state)
    assert env.reset()[1]["factors"][ram.LIVES] == (2 if goes_on else 5)
    env.unwrapped.set_state(state)
    assert env.reset(seed=5)[1]["factors"][ram.LIVES] == 5
    # The last life is the end of the game.
    env.reset(seed=5, options={"factors": one_ball(lives=1)})
    terminated = False
    while not terminated:
        _, _, terminated, _, info = env.step(0)
    assert info["factors"][ram.LIVES] == 0
    assert env.reset()[1]["factors"][ram.LIVES] == 5


def test_all_of_the_consoles_actions() -> None:
    env = gym.make(ID, full_action_space=True, repeat_action_probability=0.0)
    meanings = env.unwrapped.simulation.action_meanings
    assert env.action_space.n == 18 and meanings[:5] == ("NOOP", "FIRE", "UP", "RIGHT", "LEFT")
    places = {}
    for code, name in enumerate(meanings):
        env.reset(seed=0, options={"factors": one_ball(paddle_x=70, ball_x=-1, ball_y=-1, ball_vx=0, ball_vy=0)})
        env.step(code)
        places[name] = env.step(code)[4]["factors"]
    assert places["UP"][4] == places["NOOP"][4] == 70
    assert places["UPRIGHT"][4] == places["RIGHT"][4] > 80 and places["DOWNLEFTFIRE"][4] == places["LEFT"][4] < 60
    assert {name for name, row in places.items() if row[1] > 0} == {name for name in meanings if "FIRE" in name}


def test_pictures_can_be_stacked_and_pooled() -> None:
    options: dict[str, Any] = {"grayscale": True, "image_size": 84, "crop": None}
    single, stacked = gym.make_vec(ID, 2, **options), gym.make_vec(ID, 2, frame_stack=3, **options)
    assert stacked.single_observation_space.shape == (84, 84, 3)
    shown = [single.reset(seed=1)[0].copy()] * 3
    first, _ = stacked.reset(seed=1)
    assert np.array_equal(first, np.concatenate(shown, axis=-1))
    for action in np.random.default_rng(0).integers(0, 4, (12, 2)):
        shown = [*shown[1:], single.step(action)[0].copy()]
        assert np.array_equal(stacked.step(action)[0], np.concatenate(shown, axis=-1))
    # Stacks of colours have their channels together.
    colours = gym.make(ID, frame_stack=2)
    before = colours.reset(seed=0)[0]
    after = colours.step(2)[0]
    assert np.array_equal(after[..., :3], before[..., 3:]) and not np.array_equal(after[..., :3], after[..., 3:])

    row = one_ball(ball_x=60, ball_y=120, ball_vx=2, ball_vy=2)
    native: dict[str, Any] = {"crop": None, "image_size": None, "repeat_action_probability": 0.0}
    plain, pooled = gym.make(ID, **native), gym.make(ID, max_pool=True, **native)
    for env in (plain, pooled):
        env.reset(seed=0, options={"factors": row})
    three = gym.make(ID, frame_skip=3, **native)
    three.reset(seed=0, options={"factors": row})
    assert np.array_equal(pooled.step(0)[0], np.maximum(plain.step(0)[0], three.step(0)[0]))


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({}, (64, 64, 3)),
        ({"image_size": 84, "grayscale": True}, (84, 84, 1)),
        ({"image_size": None}, (164, 144, 3)),
        ({"image_size": None, "crop": None}, (210, 160, 3)),
        ({"image_size": 20, "crop": [90, 190, 8, 60], "frame_stack": 2}, (20, 20, 6)),
    ],
)
def test_observations_come_in_any_size(options: dict[str, Any], shape: tuple[int, ...]) -> None:
    env = gym.make(ID, render_mode="rgb_array", **options)
    observation, _ = env.reset(seed=0)
    assert observation.shape == shape == env.observation_space.shape
    frame = env.render()
    assert frame.shape == (210, 160, 3)
    assert frame[20, 80].tolist() == [142, 142, 142] and frame[60, 80].tolist() == [200, 72, 72]


def test_an_episode_begins_at_any_factors() -> None:
    rows = np.array([one_ball(ball_x=20 + 40 * n, paddle_x=30 * n + 10, score=11 * n, lives=n + 1) for n in range(4)])
    rows[:, ram.BRICK] = np.random.default_rng(0).random((4, 108)) < 0.5
    rows[2, ram.PADDLE_WIDTH] = 12
    envs = gym.make_vec(ID, 4, repeat_action_probability=0.0)
    observations, infos = envs.reset(seed=0, options={"factors": rows})
    assert np.array_equal(infos["factors"], rows)
    assert np.array_equal(observations, envs.world.render_scene(rows))
    # Some copies alone; and from there they go on as a copy that was set before.
    kept = envs.step(np.array([0, 2, 3, 0]))[4]["factors"].copy()
    mask = np.array([False, True, False, True])
    _, infos = envs.reset(options={"factors": rows[mask], "reset_mask": mask})
    assert np.array_equal(infos["factors"][mask], rows[mask]) and np.array_equal(infos["_factors"], mask)
    again = envs.step(np.array([0, 2, 3, 0]))[4]["factors"]
    assert np.array_equal(again[mask], kept[mask]) and not np.array_equal(again[0], kept[0])
    envs.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factors": np.zeros(3)}, r"^Breakout's factors need the shape \[N, 116\], got \[3\]$"),
        ({"factors": np.stack([one_ball()] * 3)}, r"^3 rows of factors do not belong to 2 copies$"),
        ({"factors": one_ball(lives=0)}, r"^lives cannot be set to 0; accepted: whole numbers 1 to 5$"),
        ({"level": 2}, r"^Breakout has no reset option 'level'; it takes: factors$"),
    ],
)
def test_starts_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    envs = gym.make_vec(ID, 2)
    with pytest.raises(UsageError, match=message):
        envs.reset(options=options)
    envs.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frame_skip": 0}, "frame_skip must be a whole number, 1 or more, got 0"),
        ({"frame_skip": (4, 4)}, r"frame_skip must be a whole number or two of them, the first smaller, got \(4, 4\)"),
        ({"repeat_action_probability": 1.5}, r"repeat_action_probability must be in \[0, 1\], got 1.5"),
        ({"repeat_action_probability": "often"}, r"repeat_action_probability must be in \[0, 1\], got 'often'"),
        ({"noop_max": -1}, "noop_max must be a whole number, 0 or more, got -1"),
        ({"life_loss": "weep"}, "life_loss must be one of ignore, terminate, continue, got 'weep'"),
        ({"frame_stack": 0}, "frame_stack must be a whole number, 1 or more, got 0"),
        ({"num_workers": -1}, "num_workers must be a whole number, 0 or more, got -1"),
        ({"image_size": 200}, "image_size must be 1 to 144"),
        ({"crop": (40, 30, 0, 160)}, "crop must lie in"),
        ({"crop": 64}, "crop must be four whole numbers"),
        ({"grayscale": "False"}, "grayscale must be True or False, got 'False'"),
        ({"max_pool": 1}, "max_pool must be True or False, got 1"),
        ({"fire_reset": None}, "fire_reset must be True or False, got None"),
        ({"full_action_space": "no"}, "full_action_space must be True or False, got 'no'"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}"):
        BreakoutSimulation(1, **options)


@pytest.mark.parametrize("actions", [[4, 0], [-1, 0], [0], [0, 0, 0], [0.5, 1.0], [[0, 0], [0, 0]], None])
def test_actions_that_are_none_are_refused(actions: Any) -> None:
    envs = gym.make_vec(ID, 2)
    envs.reset(seed=0)
    before = envs.get_state()
    with pytest.raises(
        UsageError, match=r"^(actions must be whole numbers \[2\]|there is no action -?\d; actions are 0 to 3)"
    ):
        envs.step(actions)
    assert envs.get_state()[0]["simulation"]["emulator"] == before[0]["simulation"]["emulator"]
    envs.close()


@pytest.mark.parametrize("made", [gym.make, gym.make_vec])
def test_options_that_there_are_not_are_refused(made: Any) -> None:
    with pytest.raises(
        UsageError, match=r"^Breakout has no option 'frameskip' \(did you mean 'frame_skip'\?\); it takes"
    ):
        made(ID, frameskip=4)


def test_without_its_emulator_or_its_game_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise FileNotFoundError(f"no file\n{name}.bin")

    monkeypatch.setattr(roms, "get_rom_path", missing)
    with pytest.raises(UsageError, match=r"^the game 'breakout' of ale-py cannot be read: no file breakout.bin$"):
        BreakoutSimulation(1)
    monkeypatch.setattr(roms, "get_rom_path", lambda name: None)
    with pytest.raises(UsageError, match=r"^ale-py brings no game 'breakout' here"):
        BreakoutSimulation(1)
    code = f"import sys; sys.modules['ale_py'] = None; import gymnasium, equiworld; gymnasium.make('{ID}')"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "UsageError: Breakout needs ale-py, version 0.11 or later" in out.stderr.splitlines()[-1]


def test_a_state_continues_with_all_that_is_shown() -> None:
    """Pooled and stacked pictures, sticky actions and drawn frame skips, among other numbers of copies."""
    options: dict[str, Any] = {"frame_stack": 2, "max_pool": True, "frame_skip": (2, 5)}
    envs = gym.make_vec(ID, 3, **options)
    envs.reset(seed=4)
    actions = np.random.default_rng(2).choice([0, 1, 2, 3], (40, 3))
    for action in actions[:20]:
        seen, *_ = envs.step(action)
    seen, states = seen.copy(), envs.get_state()
    expected = [[np.array(part[1]) for part in envs.step(action)[:3]] for action in actions[20:]]
    for row in (0, 2):
        one = gym.make(ID, **options).unwrapped
        observation, info = one.set_state(states[row])
        assert np.array_equal(observation, seen[row]) and info["lives"] <= 5
    other = gym.make_vec(ID, 3, **options)
    other.set_state([states[2], states[1], states[0]])
    for action, parts in zip(actions[20:], expected, strict=True):
        got = [np.array(part[1]) for part in other.step(action)[:3]]
        assert all(np.array_equal(one, two) for one, two in zip(got, parts, strict=True))
    # States of another make are refused.
    plain = gym.make_vec(ID, 3)
    plain.reset(seed=0)
    with pytest.raises(UsageError, match=r"^the state's 'before' belongs to other options of Breakout"):
        plain.set_state(states)
    with pytest.raises(UsageError, match=r"^a state of Breakout holds emulator, screen, "):
        plain.simulation.set_state(0, {"emulator": b""})
    for name, entry, message in (
        ("emulator", b"nonsense", "the state of the emulator cannot be restored"),
        ("emulator", None, "the state of the emulator cannot be restored"),
        ("history", np.zeros((1, 64, 64, 3)), "the state's 'history' belongs to other options"),
        ("screen", "dark", "the state's 'screen' belongs to other options"),
        ("action", 18, "the state's 'action' must be 0 to 17, got 18"),
    ):
        with pytest.raises(UsageError, match=f"^{message}"):
            plain.simulation.set_state(0, {**plain.simulation.get_state(0), name: entry})
    for one in (envs, other, plain):
        one.close()


@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
def test_many_games_are_single_ones_bit_by_bit(mode: str) -> None:
    """Over ends of lives and games, with everything drawn at random that can be."""
    options: dict[str, Any] = {"life_loss": "continue", "noop_max": 9, "fire_reset": True, "frame_skip": (2, 6)}
    options |= {"max_pool": True, "frame_stack": 2, "max_episode_steps": 60}
    envs = gym.make_vec(ID, 3, autoreset_mode=mode, **options)
    singles = [gym.make(ID, **options) for _ in range(3)]
    seen, infos = envs.reset(seed=7)
    shown = [one.reset(seed=7 + row) for row, one in enumerate(singles)]
    over, ends = np.zeros(3, dtype=bool), 0
    for action in np.random.default_rng(5).integers(0, 4, (150, 3)):
        for row, (observation, info) in enumerate(shown):
            assert np.array_equal(seen[row], observation) and info["lives"] == infos["lives"][row]
            assert np.array_equal(infos["factors"][row], info["factors"])
        if mode == "Disabled" and over.any():
            envs.reset(options={"reset_mask": over})
            for row in np.flatnonzero(over):
                singles[row].reset()
            over[:] = False
        seen, rewards, terminated, truncated, infos = envs.step(action)
        for row, one in enumerate(singles):
            if over[row]:
                shown[row] = one.reset()
                continue
            *what, ended, cut, info = one.step(action[row])
            assert (what[1], ended, cut) == (rewards[row], terminated[row], truncated[row])
            shown[row] = what[0], info
            if mode == "SameStep" and (ended or cut):
                assert np.array_equal(infos["final_obs"][row], what[0])
                assert np.array_equal(infos["final_info"]["factors"][row], info["factors"])
                shown[row] = one.reset()
        over = (terminated | truncated) & (mode != "SameStep")
        ends += int((terminated | truncated).sum())
    assert ends > 8
    envs.close()


def test_a_second_wall_follows_the_first() -> None:
    env = gym.make(ID, repeat_action_probability=0.0, crop=None, image_size=None)
    row = one_ball(ball_x=80, ball_y=120, ball_vx=0, ball_vy=-1, paddle_x=70, score=431)
    row[ram.BRICK] = 0
    row[FACTOR_NAMES.index("brick_5_9")] = 1
    observation, info = env.reset(seed=0, options={"factors": row})
    bricks = []
    for _ in range(40):
        observation, _, _, _, info = env.step(int(follow(info["factors"][None])[0]))
        bricks.append(int(info["factors"][ram.BRICK].sum()))
    assert bricks[0] == 1 and 0 in bricks and 108 in bricks and bricks[-1] == 108
    assert info["factors"][ram.SCORE] == 432
    assert np.array_equal(observation[32:196], env.unwrapped.world.render_scene(info["factors"])[0, 32:196])


def test_a_state_goes_on_in_another_process(tmp_path: Path) -> None:
    """Saved as bytes, arrays and text alone: nothing that needs to be unpickled."""
    env = gym.make(ID, frame_stack=2, max_pool=True).unwrapped
    env.reset(seed=3)
    for action in (1, 2, 2, 3, 0, 2):
        env.step(action)
    state = env.get_state()
    emulator = np.frombuffer(state["simulation"].pop("emulator"), dtype=np.uint8)
    pictures = {name: state["simulation"].pop(name) for name in ("screen", "before", "history")}
    np.savez(tmp_path / "state.npz", emulator=emulator, rest=np.array(json.dumps(state)), **pictures)
    code = f"""
import hashlib, json, sys, gymnasium, numpy as np, equiworld
kept = dict(np.load(sys.argv[1], allow_pickle=False))
state = json.loads(str(kept.pop("rest")))
state["simulation"] |= {{**kept, "emulator": kept.pop("emulator").tobytes()}}
env = gymnasium.make("{ID}", frame_stack=2, max_pool=True).unwrapped
env.set_state(state)
digest = hashlib.sha256()
for action in [1, 2, 3, 0] * 20:
    observation, reward, terminated, _, info = env.step(action)
    digest.update(observation.tobytes() + info["factors"].tobytes() + bytes([int(reward), terminated]))
print(digest.hexdigest())
"""
    digest = hashlib.sha256()
    for action in [1, 2, 3, 0] * 20:
        observation, reward, terminated, _, info = env.step(action)
        digest.update(observation.tobytes() + info["factors"].tobytes() + bytes([int(reward), terminated]))
    command = [sys.executable, "-c", code, str(tmp_path / "state.npz")]
    out = subprocess.run(command, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == digest.hexdigest()


def test_pooled_pictures_of_single_frames_have_no_past() -> None:
    """The first step after a reset, or after a state, pools with the frame that it began at."""
    env = gym.make(ID, max_pool=True, frame_skip=1, noop_max=1).unwrapped
    first, _ = env.reset(seed=0)
    after, state = env.step(2)[0], env.get_state()
    then = env.step(1)[0]
    for _ in range(60):
        env.step(1)
    assert np.array_equal(env.reset(seed=0)[0], first) and np.array_equal(env.step(2)[0], after)
    for _ in range(60):
        env.step(3)
    env.set_state(state)
    assert np.array_equal(env.step(1)[0], then)


def test_workers_come_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Consoles in two further processes: every bit of observations, infos and states, and errors are told."""
    options: dict[str, Any] = {"max_pool": True, "life_loss": "continue", "noop_max": 5}
    here, there = gym.make_vec(ID, 3, **options), gym.make_vec(ID, 3, num_workers=2, **options)
    assert np.array_equal(here.reset(seed=2)[0], there.reset(seed=2)[0])
    for action in np.random.default_rng(3).integers(0, 4, (25, 3)):
        ours, theirs = here.step(action), there.step(action)
        assert all(np.array_equal(one, two) for one, two in zip(ours[:4], theirs[:4], strict=True))
        assert np.array_equal(ours[4]["factors"], theirs[4]["factors"])
    rows = np.array([one_ball(ball_x=20 * n + 20) for n in range(3)])
    assert np.array_equal(there.reset(options={"factors": rows})[1]["factors"], rows)
    here.set_state(there.get_state())
    with pytest.raises(UsageError, match=r"^the state of the emulator cannot be restored"):
        there.simulation.set_state(2, {**there.simulation.get_state(2), "emulator": b"nonsense"})
    ours, theirs = here.step(np.array([1, 2, 3])), there.step(np.array([1, 2, 3]))
    assert np.array_equal(ours[0], theirs[0]) and np.array_equal(ours[4]["factors"], theirs[4]["factors"])
    last = there.simulation.factors()
    there.close()
    there.close()
    assert np.array_equal(there.simulation.factors(), last)
    here.close()


def test_a_worker_that_dies_is_told() -> None:
    simulation = BreakoutSimulation(2, num_workers=1)
    simulation.reset(np.arange(2), [np.random.default_rng(0), np.random.default_rng(1)], {})
    process = simulation._fleet._processes[0]
    process.terminate()
    process.join()
    with pytest.raises(RuntimeError, match=r"^a process that runs consoles has ended unexpectedly$"):
        simulation.step(np.array([0, 0]))
    simulation.close()
