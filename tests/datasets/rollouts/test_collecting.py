"""Collections: the same episodes whatever the copies, the interruptions and the blocks; and a command line to trust."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import h5py
import numpy as np
import pytest
from gymnasium import spaces

import equiworld.envs  # noqa: F401 (registers the ids)
from equiworld.datasets.rollouts import Plan, Rollouts, collect, collect_shard, collector, shards, transaction
from equiworld.datasets.rollouts.command_line import main
from equiworld.datasets.rollouts.layout import versions
from equiworld.envs import UsageError

FLATLAND = {"period": 7, "stride": 2, "radius": 3, "size": 16}
PLANS = {
    "cartpole": Plan("CartPole-v1", "random", seed=3),
    "flatland": Plan("equiworld/FlatLand-v0", "brownian", 1, {**FLATLAND, "max_episode_steps": 30}),
    "goal": Plan("equiworld/FlatLandGoal-v0", "mixture", 2, FLATLAND),
}


class Counting(gym.Env[Any, Any]):
    """Episodes of drawn lengths, with everything that a recording can hold."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}
    observation_space = spaces.Dict({"n": spaces.Discrete(1000), "noise": spaces.Box(0, 1, (2,), np.float32)})
    action_space = spaces.Tuple([spaces.Discrete(3), spaces.Box(-1, 1, (1,), np.float32)])

    def __init__(self, longest: int = 40) -> None:
        self.longest = longest

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.left, self.n = int(self.np_random.integers(1, self.longest)), 0
        return self._seen()

    def _seen(self) -> tuple[Any, dict[str, Any]]:
        noise = self.np_random.random(2).astype(np.float32)
        return {"n": self.n, "noise": noise}, {"factors": np.array([self.n, self.left])}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.n += 1
        observation, info = self._seen()
        return observation, float(action[0]), self.n >= self.left, False, info


@pytest.fixture(autouse=True, scope="module")
def counting() -> Iterator[None]:
    gym.register("Counting-v0", entry_point=Counting)
    yield
    del gym.registry["Counting-v0"]


PLANS["counting"] = Plan("Counting-v0", seed=5)


def assert_same(first: Path, second: Path) -> None:
    with Rollouts(first) as one, Rollouts(second) as other:
        assert one.header == other.header
        assert np.array_equal(one.offsets, other.offsets) and np.array_equal(one.seeds, other.seeds)
        for name in one.columns:
            assert np.array_equal(one.all(name), other.all(name)), name


@pytest.mark.parametrize("name", PLANS)
def test_the_number_of_copies_and_the_blocks_change_nothing(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = collect(PLANS[name], 500, tmp_path / "a.h5", num_envs=4)
    assert (done.steps, done.complete, done.before) == (500, True, 0)
    collect(PLANS[name], 500, tmp_path / "b.h5", num_envs=1)
    monkeypatch.setattr(collector, "BLOCK", 5)
    monkeypatch.setattr(collector, "MEMORY", 1000)  # so that what waits is packed
    collect(PLANS[name], 500, tmp_path / "c.h5", num_envs=7, compression="zstd", every=0)
    for other in ("b.h5", "c.h5"):
        assert_same(tmp_path / "a.h5", tmp_path / other)
    assert Rollouts(tmp_path / "a.h5").steps == 500


@pytest.mark.parametrize("name", PLANS)
def test_interruptions_change_nothing(tmp_path: Path, name: str) -> None:
    collect(PLANS[name], 1500, tmp_path / "a.h5", num_envs=4)
    rng, stops = np.random.default_rng(0), 0
    while True:
        left = int(rng.integers(1, 150))
        calls = iter(range(left))
        done = collect(
            PLANS[name],
            1500,
            tmp_path / "b.h5",
            num_envs=3,
            resume=True,
            stopped=lambda calls=calls: next(calls, None) is None,
        )
        with Rollouts(tmp_path / "b.h5") as found:
            assert found.steps == done.steps
        if done.complete:
            break
        stops += 1
    assert stops > 1
    assert_same(tmp_path / "a.h5", tmp_path / "b.h5")


@pytest.mark.parametrize("name", PLANS)
def test_more_steps_go_on_where_fewer_were_cut(tmp_path: Path, name: str) -> None:
    collect(PLANS[name], 500, tmp_path / "a.h5", num_envs=4)
    for steps in (1, 17, 18, 250, 500):
        done = collect(PLANS[name], steps, tmp_path / "b.h5", num_envs=2, resume=True)
        with Rollouts(tmp_path / "b.h5") as found:
            assert done.steps == found.steps == steps
            last = len(found) - 2
            assert found.read("truncated", last) or found.read("terminated", last)
            assert not found.read("truncated", last + 1)
    assert_same(tmp_path / "a.h5", tmp_path / "b.h5")
    assert collect(PLANS[name], 400, tmp_path / "b.h5", resume=True).steps == 500  # which are enough
    assert_same(tmp_path / "a.h5", tmp_path / "b.h5")


@pytest.mark.parametrize("name", PLANS)
def test_every_episode_can_be_played_again(tmp_path: Path, name: str) -> None:
    plan = PLANS[name]
    collect(plan, 300, tmp_path / "a.h5", num_envs=4)
    found = Rollouts(tmp_path / "a.h5")
    env = gym.make(found.header.environment["id"], **found.header.environment["options"])
    if name != "counting":  # whose entry point is a class, which no JSON can hold
        assert gym.envs.registration.EnvSpec.from_json(found.header.spec).id == plan.env
    for number in range(found.episodes):
        assert found.seeds[number] == plan.episode_seed(number)
        begin, end = found.offsets[number : number + 2]
        observation, info = env.reset(seed=int(found.seeds[number]))
        for row in range(begin, end):
            recorded = found.observations([row])
            if isinstance(recorded, dict):
                assert all(np.array_equal(recorded[key][0], observation[key]) for key in recorded)
            else:
                assert np.array_equal(recorded[0], observation)
            if "factors" in found.columns:
                assert np.array_equal(found.read("factors", row), info["factors"])
            if row == end - 1:
                break
            action = found.actions([row])
            taken = tuple(part[0] for part in action) if isinstance(action, tuple) else action[0]
            observation, reward, terminated, truncated, info = env.step(taken)
            assert found.read("reward", row) == reward and found.read("terminated", row) == terminated
            cut = found.header.cut and row == len(found) - 2
            assert found.read("truncated", row) == (truncated or cut)
            assert (terminated or truncated or cut) == (row == end - 2)
        for column in ("action", "reward", "terminated", "truncated"):
            if column in found.columns:
                assert not found.read(column, end - 1).any()


def plan_of(path: Path) -> tuple[Plan, int]:
    """What a file says of its making, read from its attributes alone, without this library's reader."""
    with h5py.File(path) as file:
        told = {name: json.loads(file.attrs[name]) for name in ("environment", "policy", "shard")}
        environment, policy = told["environment"], told["policy"]
        shard = (told["shard"][0], told["shard"][1])
        plan = Plan(
            environment["id"],
            policy["name"],
            int(file.attrs["seed"]),
            environment["options"],
            policy["options"],
            shard,
        )
        return plan, int(file["episode_offsets"][-1]) - len(file["episode_seeds"])


@pytest.mark.parametrize(
    "plan",
    [
        PLANS["flatland"],
        Plan("equiworld/SpriteworldSorting-v0", "random", 3, {"mode": "test"}, shard=(1, 3)),
        Plan("equiworld/Breakout-v0", "follower", 4, {"frame_skip": (2, 5), "grayscale": True}, {"epsilon": 0.3}),
        Plan("own_environments:Own-v0", seed=2, env_options={"max_episode_steps": 9}),
    ],
    ids=lambda plan: plan.env,
)
def test_the_attributes_are_all_that_it_takes_to_collect_it_again(
    tmp_path: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "gym.register('Own-v0', entry_point='gymnasium.envs.classic_control:CartPoleEnv')"
    (tmp_path / "own_environments.py").write_text(f"import gymnasium as gym\n{source}\n")
    monkeypatch.syspath_prepend(tmp_path)

    def forget() -> None:  # as in another process
        sys.modules.pop("own_environments", None)
        gym.registry.pop("Own-v0", None)

    collect(plan, 120, tmp_path / "a.h5", num_envs=3)
    forget()
    collect(*plan_of(tmp_path / "a.h5"), tmp_path / "b.h5")
    forget()
    assert_same(tmp_path / "a.h5", tmp_path / "b.h5")


def test_the_package_of_an_environment_is_told() -> None:
    assert versions("ale_py.env:AtariEnv")["ale-py"] == metadata.version("ale-py")
    assert versions("h5py.any:Env")["h5py"] == metadata.version("h5py")
    assert versions("nobody.knows:It").keys() == versions(lambda: None).keys() == versions().keys()


def test_what_the_header_says(tmp_path: Path) -> None:
    collect(PLANS["flatland"], 100, tmp_path / "a.h5")
    header = Rollouts(tmp_path / "a.h5").header
    assert header.environment == {"id": "equiworld/FlatLand-v0", "options": {**FLATLAND, "max_episode_steps": 30}}
    assert header.policy == {"name": "brownian", "options": {}} and header.seed == 1
    assert [(factor["name"], factor["size"], factor["kind"]) for factor in header.factors] == [
        ("x", 7, "cyclic"),
        ("y", 7, "cyclic"),
    ]
    assert [action["name"] for action in header.actions] == ["down", "left", "up", "right"]
    assert {"equiworld", "python", "gymnasium", "numpy"} <= header.versions.keys()
    collect(PLANS["counting"], 100, tmp_path / "b.h5")
    assert [factor["name"] for factor in Rollouts(tmp_path / "b.h5").header.factors] == ["factor_0", "factor_1"]
    collect(PLANS["cartpole"], 100, tmp_path / "c.h5")
    found = Rollouts(tmp_path / "c.h5")
    assert found.header.factors == () and "factors" not in found.columns


def test_seeds_differ_and_decide(tmp_path: Path) -> None:
    for seed in (0, 1):
        collect(Plan("CartPole-v1", seed=seed), 100, tmp_path / f"{seed}.h5")
    first, second = (Rollouts(tmp_path / f"{seed}.h5") for seed in (0, 1))
    assert not set(first.seeds) & set(second.seeds)
    assert len(set(first.seeds)) == first.episodes
    assert not np.array_equal(first.all("observation"), second.all("observation"))


def test_random_actions_are_uniform(tmp_path: Path) -> None:
    collect(Plan("equiworld/FlatLand-v0", env_options=FLATLAND), 4000, tmp_path / "a.h5")
    found = Rollouts(tmp_path / "a.h5")
    counts = np.bincount(found.read("action", found.starts(2)), minlength=4)
    assert ((counts - 1000) ** 2 / 1000).sum() < 16.3  # chi-squared with 3 degrees of freedom, p = 0.001


# Shards


def test_shards_hold_every_episode_once(tmp_path: Path) -> None:
    plan = PLANS["cartpole"]
    collect(plan, 2000, tmp_path / "whole.h5")
    whole = Rollouts(tmp_path / "whole.h5")
    for number in range(3):
        part = Plan(plan.env, plan.policy, plan.seed, shard=(number, 3))
        done = collect_shard(part, 1000, tmp_path / "shards", num_envs=2)
        assert done.steps == (334 if number == 0 else 333)
        own = Rollouts(shards.shard_path(tmp_path / "shards", (number, 3)))
        assert own.seeds.tolist() == [plan.episode_seed(number + 3 * each) for each in range(own.episodes)]
        last = own.episodes - 1  # which may have been cut
        for each in range(last):
            rows, expected = (r.rows_of([e]) for r, e in ((own, each), (whole, number + 3 * each)))
            assert np.array_equal(own.read("observation", rows), whole.read("observation", expected))
    together = Rollouts(tmp_path / "shards")
    assert together.steps == 1000 and len(set(together.seeds)) == together.episodes


def test_processes_collect_the_same_shards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan, told = PLANS["cartpole"], []
    done = shards.collect_shards(plan, 301, tmp_path / "a", 2, told=told.append, num_envs=2)
    assert (done.steps, done.complete) == (301, True) and told
    for number in range(2):
        part = Plan(plan.env, plan.policy, plan.seed, shard=(number, 2))
        collect_shard(part, 301, tmp_path / "b")
        assert_same(*(shards.shard_path(tmp_path / name, (number, 2)) for name in ("a", "b")))
    with pytest.raises(UsageError, match="exists already; --resume goes on with it"):
        shards.collect_shards(plan, 301, tmp_path / "a", 2)


# The command line


COLLECT = ["collect", "--env", "CartPole-v1", "--steps", "200"]


def test_collecting_and_asking(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "a.h5")
    options = [f"{key}={value}" for key, value in FLATLAND.items()]
    command = ["collect", "--env", "equiworld/FlatLand-v0", "--policy", "brownian", "--steps", "250", "--out", out]
    assert main([*command, "--policy-options", "keep=0.5", "--env-options", *options]) == 0
    said = capsys.readouterr()
    assert said.out == f"{out}: 3 whole episodes with 250 steps\n"
    assert Rollouts(out).header.policy == {"name": "brownian", "options": {"keep": 0.5}}
    assert main(["info", out]) == 0
    lines = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    said_of = {name.strip(): what.strip() for name, what in lines.items()}
    assert said_of["environment"] == "equiworld/FlatLand-v0 (period=7, stride=2, radius=3, size=16)"
    assert said_of["episodes"] == "3, of 50 to 100 steps (mean 83.3), the last one cut"
    assert said_of["observation"] == "uint8, 16 x 16 x 1; chunks of 16 rows, blosc"
    assert said_of["cyclic factors"] == "x, y (7 values)" and said_of["action 2"] == "up"
    assert main([*command, "--policy-options", "keep=0.5", "--env-options", *options]) == 2
    assert capsys.readouterr().err == f"rollouts: {out} exists already; --resume goes on with it\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required"),
        (["collect"], "the following arguments are required: --env, --steps, --out"),
        ([*COLLECT, "--out", "OUT", "--sed", "3"], "unrecognized arguments: --sed 3"),
        ([*COLLECT[:-1], "many", "--out", "OUT"], "argument --steps: 'many' is no whole number"),
        ([*COLLECT[:-1], "0", "--out", "OUT"], "the number of steps must be 1 or more, got 0"),
        ([*COLLECT, "--out", "OUT", "--seed", "-1"], "a seed must be 0 or more, got -1"),
        ([*COLLECT, "--out", "OUT", "--num-envs", "0"], "the number of copies must be 1 or more, got 0"),
        ([*COLLECT, "--out", "OUT", "--compression", "gzip"], "unknown compression 'gzip'; there are: lz4, zstd, none"),
        (
            [*COLLECT, "--out", "OUT", "--policy", "radnom"],
            "unknown policy 'radnom' (did you mean 'random'?); there are: ",
        ),
        (
            [*COLLECT, "--out", "OUT", "--policy-options", "keep=1"],
            "the policy 'random' has no option 'keep'; it takes: none",
        ),
        ([*COLLECT, "--out", "OUT", "--policy-options", "keep"], "--policy-options takes KEY=VALUE pairs, got 'keep'"),
        ([*COLLECT, "--out", "OUT", "--env-options", "mass=1"], "the environment CartPole-v1 cannot be made: "),
        ([*COLLECT, "--out", "OUT", "--policy", "follower"], "the policy 'follower' plays Breakout alone"),
        ([*COLLECT, "--out", "nowhere/OUT"], "there is no folder nowhere to write into"),
        ([*COLLECT, "--out", "OUT", "--shard", "2/2"], "of 2 shards there is none of number 2; they are 0 to 1"),
        ([*COLLECT, "--out", "OUT", "--shard", "0/0"], "the number of shards must be 1 or more, got 0"),
        ([*COLLECT, "--out", "OUT", "--shards", "0"], "the number of shards must be 1 or more, got 0"),
        ([*COLLECT, "--out", "OUT", "--shard", "2"], "argument --shard: '2' is no shard; 0/4 is the first of four"),
        (
            [*COLLECT, "--out", "OUT", "--shard", "0/2", "--shards", "2"],
            "--shards collects all shards, --shard one of them",
        ),
        (["info", "OUT"], "there is no rollout file OUT"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith(f"rollouts: {message}") and said.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("env", ["CartPol-v1", "equiworld/FlatLan-v0", "nowhere:Env-v0", "Cart Pole"])
def test_unknown_environments(tmp_path: Path, capsys: pytest.CaptureFixture[str], env: str) -> None:
    assert main(["collect", "--env", env, "--steps", "5", "--out", str(tmp_path / "a.h5")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("rollouts: there is no environment" if ":" not in env else "rollouts: the environment")
    assert said.count("\n") == 1
    if env == "CartPol-v1":
        assert "did you mean 'CartPole-v1'?" in said


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        (["--seed", "1"], "seed"),
        (["--policy", "brownian"], "policy"),
        (["--env-options", "max_episode_steps=20"], "environment"),
        (["--env", "Acrobot-v1"], "observation_space, action_space, environment"),
    ],
)
def test_another_collection_is_not_continued(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: list[str], differs: str
) -> None:
    out = tmp_path / "a.h5"
    collect(Plan("CartPole-v1"), 100, out)
    before = out.read_bytes()
    assert main([*COLLECT, "--out", str(out), "--resume", *change]) == 2
    assert f"was collected otherwise and cannot be continued: {differs}" in capsys.readouterr().err
    assert out.read_bytes() == before


def test_foreign_files_are_not_continued_and_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a.h5"
    collect(Plan("CartPole-v1"), 100, out)
    for content in (b"hello", b"", out.read_bytes()[:5000]):
        out.write_bytes(content)
        assert main([*COLLECT, "--out", str(out), "--resume"]) == 1
        assert capsys.readouterr().err.startswith(f"rollouts: {out} cannot be read: it is ")
        assert out.read_bytes() == content


def in_a_child(arguments: list[str], signals: Callable[[int], None]) -> int:
    """Runs the command line in a process of its own; gives its exit status, negative for a signal."""
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        status = 70
        try:
            status = main(arguments)
        finally:
            os._exit(status)
    signals(child)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_signal_leaves_whole_episodes(
    tmp_path: Path, number: int, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "a.h5"
    real = collector.RolloutWriter
    monkeypatch.setattr(collector, "RolloutWriter", lambda *given, every, **options: real(*given, every=0.0, **options))
    command = ["collect", "--env", "CartPole-v1", "--steps", "1000000", "--out", str(out), "--num-envs", "3"]

    def wait_and_send(child: int) -> None:
        deadline = time.monotonic() + 20
        while not out.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)
        os.kill(child, number)

    assert in_a_child(command, wait_and_send) == status
    with Rollouts(out) as found:
        assert found.episodes > 0 and found.steps < 1_000_000
        reached = found.steps + 50
    assert main([*command[:3], "--steps", str(reached), *command[5:], "--resume"]) == 0
    collect(Plan("CartPole-v1"), reached, tmp_path / "b.h5")
    assert_same(out, tmp_path / "b.h5")


def test_a_full_disk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    out, real, written = tmp_path / "a.h5", transaction._write_all, [0]
    real_writer = collector.RolloutWriter
    monkeypatch.setattr(
        collector, "RolloutWriter", lambda *given, every, **options: real_writer(*given, every=0.0, **options)
    )

    def full(stream: Any, view: Any) -> None:
        written[0] += len(view)
        if written[0] > 300_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(stream, view)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transaction, "_write_all", full)
        assert main(["collect", "--env", "CartPole-v1", "--steps", "100000", "--out", str(out)]) == 1
    said, kept = capsys.readouterr().err, Rollouts(out).steps
    assert kept > 0 and said.startswith(f"rollouts: {out}: No space left on device; ") and "kept, and --resume" in said
    collect(Plan("CartPole-v1"), kept + 100, out, resume=True)
    collect(Plan("CartPole-v1"), kept + 100, tmp_path / "b.h5")
    assert_same(out, tmp_path / "b.h5")


def test_a_disk_that_is_full_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, real, written = tmp_path / "a.h5", transaction._write_all, [0]

    def full(stream: Any, view: Any) -> None:
        written[0] += len(view)
        if written[0] > room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(stream, view)

    monkeypatch.setattr(transaction, "_write_all", full)
    command = ["collect", "--env", "equiworld/FlatLand-v0", "--steps", "50000", "--out", str(out)]
    room = 1000
    assert main(command) == 1
    said = capsys.readouterr().err
    assert said == f"rollouts: {out}: No space left on device; there was no whole episode yet to be kept\n"
    assert not list(tmp_path.iterdir())
    written[0], room = 0, 600_000  # full before two seconds have passed: the first episode is kept all the same
    assert main(command) == 1
    said = capsys.readouterr().err
    assert re.search(r"; \d+ whole episodes with \d+ steps are kept, and --resume goes on with them\n$", said)
    assert Rollouts(out).episodes >= 1


def test_other_versions_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a.h5"
    collect(Plan("CartPole-v1"), 100, out)
    with h5py.File(out, "r+") as file:
        file.attrs["versions"] = json.dumps({"gymnasium": "0.1"})
    assert main([*COLLECT, "--out", str(out), "--resume"]) == 0
    said = capsys.readouterr()
    assert said.err.startswith("beware: other versions of the libraries began this file")
    assert said.out.endswith("with 200 steps, 100 of them new\n")
