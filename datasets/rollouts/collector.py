"""Collects rollouts: many copies at once, and the same episodes whatever their number and however often it stops."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from ...envs.policies import Policy, RandomPolicy, make_policy
from ...envs.registry import UsageError
from ..randomness import numpy_generator
from .codec import Packed
from .copies import Copies, OneCopy
from .layout import Header, flatten
from .writer import RolloutWriter

Rows = dict[str, NDArray[Any]]

BLOCK = 64
"""Rows that are recorded of every copy before they are handed on."""
MEMORY = 256 * 2**20
"""Bytes of rows that wait for their turn; beyond it they are compressed."""
_AHEAD = 64  # actions that are drawn at once where that makes no difference
_ENVIRONMENT, _POLICY = 9, 10  # keep these draws apart from others with the same seed


@dataclass(frozen=True)
class Plan:
    """What is collected. The same plan gives the same episodes.

    Episode e is reset with a seed of its own, and its policy has a generator of its own, both made of ``seed`` and e.
    So it depends neither on the other episodes nor on the copy that plays it.

    Attributes:
        env: Id of the environment; ``module:id`` imports a module first.
        policy: A name in ``envs.policies.POLICIES``.
        seed: Source of everything random, 0 or more.
        env_options: Keyword arguments of ``gymnasium.make``.
        policy_options: Keyword arguments of the policy.
        shard: ``(i, K)``: the episodes i, i + K, i + 2 K, ...; (0, 1) for all of them.

    Raises:
        UsageError: The seed is negative, or there is no such shard.
    """

    env: str
    policy: str = "random"
    seed: int = 0
    env_options: Mapping[str, Any] = field(default_factory=dict)
    policy_options: Mapping[str, Any] = field(default_factory=dict)
    shard: tuple[int, int] = (0, 1)

    def __post_init__(self) -> None:
        index, count = self.shard
        if count < 1:
            raise UsageError(f"the number of shards must be 1 or more, got {count}")
        if not 0 <= index < count:
            raise UsageError(f"of {count} shards there is none of number {index}; they are 0 to {count - 1}")
        numpy_generator(self.seed)

    def episode_seed(self, number: int) -> int:
        """What the environment is reset with in an episode, below 2^31."""
        return int(numpy_generator(self.seed, _ENVIRONMENT, number).integers(2**31))

    def policy_generator(self, number: int) -> np.random.Generator:
        """The source of the policy's randomness in an episode."""
        return numpy_generator(self.seed, _POLICY, number)


@dataclass(frozen=True)
class Collected:
    """How a collection ended.

    Attributes:
        episodes: Whole episodes in the file.
        steps: Their steps.
        complete: Whether these are as many as were asked for.
        before: Steps that the file held before.
        note: Something that the user should know; empty if there is nothing.
    """

    episodes: int
    steps: int
    complete: bool
    before: int
    note: str = ""


def collect(
    plan: Plan,
    steps: int,
    out: Path | str,
    *,
    num_envs: int = 16,
    compression: str = "lz4",
    resume: bool = False,
    every: float = 2.0,
    told: Callable[[int], object] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Collected:
    """Plays episodes and records them.

    The episodes stand in the file by number, and the last one is cut where the steps are reached (its last step counts
    as truncated). Neither the number of copies nor interruptions change what the file holds in the end.

    Args:
        plan: What is collected.
        steps: How many steps the file is to hold.
        out: The file.
        num_envs: Copies that are played at once.
        compression: ``lz4``, ``zstd`` or ``none``.
        resume: Go on with the file, if it exists.
        every: Seconds after which whole episodes are made to last.
        told: Called now and then with the number of steps so far.
        stopped: Asked after every step of the copies; True ends the collection, whole episodes are kept.

    Raises:
        UsageError: Something that cannot be used, or a file that exists (``resume`` not given) or is of another plan.
        RolloutError: The file to go on with is foreign or damaged.
        OSError: The file cannot be written; the episodes that were committed stay.
    """
    path = Path(out)
    if steps < 1:
        raise UsageError(f"the number of steps must be 1 or more, got {steps}")
    if path.exists() and not resume:
        raise UsageError(f"{path} exists already; --resume goes on with it")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent} to write into")
    copies = Copies(plan.env, num_envs, plan.env_options)
    try:
        recorder = _Recorder(plan, copies, steps)
        header, note = recorder.begin(), ""
        factors = copies.infos.get("factors")
        if path.exists():
            writer = RolloutWriter(path, every=every)
        else:
            kind = None if factors is None else factors.dtype
            writer = RolloutWriter(path, header, factor_dtype=kind, compression=compression, every=every)
        with writer:
            if different := writer.header.differences(header):
                raise UsageError(
                    f"{path} was collected otherwise and cannot be continued: {', '.join(different)} differ"
                )
            if writer.header.versions != header.versions:
                note = "other versions of the libraries began this file; with these what follows may differ"
            before = writer.steps
            if before < steps:
                if writer.header.cut:
                    writer.drop_last_episode()
                recorder.run(writer, told, stopped)
                writer.commit(cut=recorder.cut)
            return Collected(writer.episodes, writer.steps, writer.steps >= steps, before, note)
    finally:
        copies.close()


class _Ahead:
    """A policy that neither looks nor remembers: what it does in many copies at once is what it does next in one."""

    def __init__(self, policy: Policy, space: spaces.Space[Any]) -> None:
        self.policy, self.space = policy, space
        self.at = _AHEAD
        self.drawn: Any = None

    def reset(self, mask: NDArray[np.bool_], rng: np.random.Generator) -> None:
        self.at = _AHEAD

    def next(self, rng: np.random.Generator) -> Any:
        if self.at == _AHEAD:
            self.drawn, self.at = self.policy(None, {}, rng), 0
        self.at += 1
        return _slice(self.space, self.drawn, self.at - 1)


@dataclass
class _Episode:
    """An episode in progress, or one that waits for those before it."""

    number: int
    policy: Policy | _Ahead
    rng: np.random.Generator
    steps: int = 0
    over: bool = False
    parts: list[Rows | Packed] = field(default_factory=list)


class _Recorder:
    """Plays the episodes of a plan, and hands their rows to a writer in order.

    Rows are first kept in a block [N, BLOCK, ...]. When it is full, or an episode ends, they are moved to the episode.
    """

    def __init__(self, plan: Plan, copies: Copies, steps: int) -> None:
        self.plan, self.copies, self.wanted = plan, copies, steps
        self.observation_space = copies.envs.single_observation_space
        self.action_space = copies.envs.single_action_space
        self.cut = False
        self._policy()  # tells early what is wrong with its options

    def begin(self) -> Header:
        """Resets all copies for the first time, with seeds that nothing depends on."""
        self.copies.reset(dict.fromkeys(range(self.copies.number), 0))
        policy = {"name": self.plan.policy, "options": dict(self.plan.policy_options)}
        return self.copies.header(policy, self.plan.seed, self.plan.shard)

    def run(self, writer: RolloutWriter, told: Callable[[int], object] | None, stopped: Callable[[], bool]) -> None:
        """Plays until the writer has as many steps as are wanted, or ``stopped`` says so."""
        self.writer = writer
        index, self.stride = self.plan.shard
        self.frontier = self.next = index + writer.episodes * self.stride  # the episode that is written next
        self.episodes: dict[int, _Episode] = {}
        self.waiting = 0  # bytes
        number = self.copies.number
        self.block = {name: np.zeros((number, BLOCK, *c.shape), c.dtype) for name, c in writer.columns.items()}
        self.own = [name for name in self.block if name.partition("/")[0] in ("observation", "factors")]
        self.begins = np.zeros(number, dtype=np.int64)
        self.playing: list[_Episode | None] = [None] * number
        self.idle = self._episode(0)  # what copies do that have nothing to do
        self.at = 0
        observations = self._restart(range(number))
        turn = 0
        while writer.steps < self.wanted and not stopped():
            observations = self._step(observations)
            turn += 1
            if told is not None and turn % 16 == 0:
                told(min(self.wanted, self._steps_so_far()))
        if told is not None:
            told(writer.steps)
        writer.discard()

    def _policy(self) -> Policy | _Ahead:
        def make(number: int) -> Policy:
            view: Any = OneCopy(self.copies, number)
            return make_policy(self.plan.policy, view, **self.plan.policy_options)

        one = make(1)
        return _Ahead(make(_AHEAD), self.action_space) if type(one) is RandomPolicy else one

    def _episode(self, number: int) -> _Episode:
        policy, rng = self._policy(), self.plan.policy_generator(number)
        policy.reset(np.ones(1, dtype=bool), rng)
        return _Episode(number, policy, rng)

    def _steps_so_far(self) -> int:
        return self.writer.steps + sum(each.steps for each in self.episodes.values())

    def _restart(self, rows: Any) -> Any:
        """Begins the next episodes in some copies, as long as more are needed; records what they show."""
        seeds = {}
        for row in rows:
            episode = None
            if self._steps_so_far() < self.wanted:
                episode = self.episodes[self.next] = self._episode(self.next)
                self.next += self.stride
            self.playing[row] = episode
            seeds[row] = 0 if episode is None else self.plan.episode_seed(episode.number)
            self.begins[row] = self.at
        observations = self.copies.reset(seeds)
        chosen = list(rows)
        for name, values in self._seen(observations).items():
            self.block[name][chosen, self.at] = values[chosen]
        return observations

    def _seen(self, observations: Any) -> Rows:
        seen = flatten(self.observation_space, observations, "observation")
        if "factors" in self.block:
            seen["factors"] = self.copies.infos["factors"]
        return seen

    def _step(self, observations: Any) -> Any:
        actions = self._act(observations)
        observations, rewards, terminated, truncated = self.copies.step(actions)
        done = flatten(self.action_space, actions, "action")
        done |= {"reward": rewards, "terminated": terminated, "truncated": truncated}
        for name, values in done.items():
            self.block[name][:, self.at] = values
        self.at += 1
        for name, values in self._seen(observations).items():
            self.block[name][:, self.at] = values
        for episode in self.playing:
            if episode is not None:
                episode.steps += 1
        over = np.flatnonzero(terminated | truncated).tolist()
        for row in over:
            self._end(row)
        self._drain()
        if self.waiting > MEMORY:
            self._pack()
        if over and self.writer.steps < self.wanted:
            observations = self._restart(over)
        if self.at == BLOCK - 1:
            self._next_block()
        return observations

    def _act(self, observations: Any) -> Any:
        infos, parts = self.copies.infos, []
        for row, playing in enumerate(self.playing):
            episode = playing or self.idle
            if isinstance(episode.policy, _Ahead):
                parts.append(episode.policy.next(episode.rng))
                continue
            shown = _slice(self.observation_space, observations, row)
            parts.append(
                episode.policy(shown, {name: each[row : row + 1] for name, each in infos.items()}, episode.rng)
            )
        return _join(self.action_space, parts)

    # From the block to the episodes, and from there to the writer

    def _move(self, row: int, end: int) -> None:
        """Moves a copy's rows up to ``end`` from the block to its episode."""
        episode = self.playing[row]
        if episode is None:
            return
        rows = {name: values[row, self.begins[row] : end].copy() for name, values in self.block.items()}
        self.begins[row] = end
        self.waiting += _bytes(rows)
        episode.parts.append(rows)

    def _end(self, row: int) -> None:
        """The episode of a copy is over; its last row is the one that was just recorded."""
        episode = self.playing[row]
        self._move(row, self.at + 1)
        self.playing[row] = None
        if episode is not None:
            episode.over = True
            self._clear_last(_unpacked(episode.parts[-1]))

    def _next_block(self) -> None:
        for row in range(self.copies.number):
            self._move(row, self.at)
        for name in self.own:
            self.block[name][:, 0] = self.block[name][:, self.at]
        self.begins[:] = 0
        self.at = 0

    def _pack(self) -> None:
        """Compresses what waits."""
        for episode in self.episodes.values():
            episode.parts = [part if isinstance(part, Packed) else Packed(part) for part in episode.parts]
        self.waiting = 0

    def _drain(self) -> None:
        """Writes what is next in order; cuts the episode in which the wanted steps are reached."""
        while (left := self.wanted - self.writer.steps) and self.frontier in self.episodes:
            episode = self.episodes[self.frontier]
            if episode.steps >= left:
                self._cut(episode, left)
            for part in episode.parts:
                if not isinstance(part, Packed):
                    self.waiting -= _bytes(part)
                self.writer.write(_unpacked(part))
            episode.parts.clear()
            if not episode.over:
                return
            self.writer.end_episode(self.plan.episode_seed(episode.number))
            del self.episodes[self.frontier]
            self.frontier += self.stride

    def _cut(self, episode: _Episode, left: int) -> None:
        """Ends an episode after ``left`` steps, as a time limit would; it may have been played beyond them."""
        if not episode.over:
            self._end(self.playing.index(episode))
        elif episode.steps == left:
            return  # it ends there by itself
        excess = episode.steps - left
        last = _unpacked(episode.parts.pop())
        while len(last["reward"]) <= excess:
            excess -= len(last["reward"])
            last = _unpacked(episode.parts.pop())
        last = {name: values[: len(values) - excess] for name, values in last.items()}
        if len(last["reward"]) == 1:  # the step before it stands in the part before
            before = _unpacked(episode.parts.pop())
            last = {name: np.concatenate([before[name], values]) for name, values in last.items()}
        episode.parts.append(last)
        self._clear_last(last)
        last["truncated"][-2] = True
        self.cut = True

    def _clear_last(self, rows: Rows) -> None:
        """The last row of an episode has no step."""
        for name, values in rows.items():
            if name not in self.own:
                values[-1] = 0


def _bytes(rows: Rows) -> int:
    return sum(values.nbytes for values in rows.values())


def _unpacked(part: Rows | Packed) -> Rows:
    return part.rows() if isinstance(part, Packed) else part


def _slice(space: spaces.Space[Any], batch: Any, row: int) -> Any:
    """One copy's part of a batch, with the leading axis."""
    if isinstance(space, spaces.Dict):
        return {key: _slice(part, batch[key], row) for key, part in space.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_slice(part, batch[place], row) for place, part in enumerate(space.spaces))
    return batch[row : row + 1]


def _join(space: spaces.Space[Any], parts: list[Any]) -> Any:
    """Batches of one as one batch."""
    if isinstance(space, spaces.Dict):
        return {key: _join(part, [each[key] for each in parts]) for key, part in space.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_join(part, [each[place] for each in parts]) for place, part in enumerate(space.spaces))
    return np.concatenate(parts)
