"""Rollout files as data sets that models are trained on: the states that were seen, and what followed what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from ..envs.factors import Factor, FactorSpace, whole
from ..envs.registry import UsageError
from ..envs.world import Action, World
from . import factors as factors_module
from .factors import FactorDataset, fingerprint_of
from .noise import Noise, NoiseOptions
from .randomness import numpy_generator, torch_generator
from .rollouts.reader import Rollouts, Source
from .rollouts.splits import frame_numbers
from .splits import Split, split_states
from .transitions import TransitionDataset

IntArray = NDArray[np.int64]

SplitBy = Literal["auto", "episodes", "states"]
_ENOUGH = 0.5  # of the states that a part of the split is to have
_NAMED = 8  # factors of a state that a message names
_PARTS = 3  # of a split
_SPLIT = 13  # keeps these draws apart from others with the same seed


@dataclass
class RolloutOptions:
    """The options of recorded rollouts."""

    split_by: SplitBy = "auto"
    """Hold out whole episodes, or single states; auto: states where episodes show the same ones again and again."""
    column: str | None = None
    """The column with the pictures, such as observation/image; None: the only one that there is."""


class RecordedWorld(World):
    """What a file knows of the world that it was recorded in: states that were seen, and steps that were taken.

    Args:
        space: The factors.
        actions: The actions; empty if they are no codes.
        image_shape: Of the pictures.
        commutes: Whether the actions commute.
        table: Factors of the recorded states, [S, K].
        following: Where each action took each state, int64 [S, A]; -1 where that was never recorded, -2 where it was to
            different states.
        meant: Whether ``Action.factor`` and ``amount`` say what the actions do.

    Attributes:
        recorded: ``table``.
    """

    def __init__(
        self,
        space: FactorSpace,
        actions: Sequence[Action],
        image_shape: tuple[int, int, int],
        commutes: bool,
        table: NDArray[Any],
        following: IntArray,
        meant: bool,
    ) -> None:
        self.factors, self.actions, self.image_shape, self.commutes = space, tuple(actions), image_shape, commutes
        self.recorded, self._following = table, following
        self._ruled = meant and self._agrees()

    def _agrees(self) -> bool:
        """Whether every recorded step is what the actions are said to do."""
        states, actions = np.nonzero(self._following >= 0)
        try:
            moved = super().act(self.recorded[states], actions)
        except UsageError:  # actions that move what is neither cyclic nor ordinal
            return False
        return bool(
            (self._following != -2).all() and np.array_equal(moved, self.recorded[self._following[states, actions]])
        )

    @cached_property
    def _places(self) -> dict[bytes, int]:
        """The number of the first state with each row of factors."""
        return {row.tobytes(): number for number, row in reversed(list(enumerate(self.recorded + 0)))}

    def number(self, factors: ArrayLike) -> IntArray:
        """Which recorded states have these factors, int64 [N].

        Raises:
            UsageError: One was never recorded.
        """
        rows = np.atleast_2d(self.factors.check(factors)) + 0  # a zero below zero is none
        numbers = np.array([self._places.get(row.tobytes(), -1) for row in rows], dtype=np.int64)
        if (numbers < 0).any():
            missing = rows[numbers < 0][0]
            raise UsageError(f"the state {self._named(missing)} was never recorded")
        return numbers

    def after(self, states: IntArray, actions: IntArray) -> IntArray:
        """Numbers of the states after one action each, int64 [N]; -1 where that was not recorded, or not always so."""
        found = np.maximum(self._following[states, actions], -1)
        if self._ruled:
            rows = super().act(self.recorded[states], actions) + 0
            found = np.array([self._places.get(row.tobytes(), -1) for row in rows], dtype=np.int64)
        return found

    def _named(self, row: NDArray[Any]) -> str:
        values = [f"{name}={value:g}" for name, value in zip(self.factors.names, row.tolist(), strict=True)]
        more = f" and {len(values) - _NAMED} more" if len(values) > _NAMED else ""
        return ", ".join(values[:_NAMED]) + more

    def render(self, factors: NDArray[Any]) -> NDArray[np.uint8]:
        """Refused: a file has pictures of rows, which ``RecordedDataset`` gives."""
        raise UsageError("recorded rollouts cannot draw states; images() gives the pictures that were recorded")

    def act(self, factors: IntArray, actions: IntArray) -> IntArray:
        """The states after one action each, where a step from there was recorded or the actions' meaning says it.

        Raises:
            UsageError: It is not known; or a row is no state, or a code no action.
        """
        if self._ruled:
            return super().act(factors, actions)
        codes = whole(actions, "actions")
        if codes.size and not (codes.min() >= 0 and codes.max() < len(self.actions)):
            raise UsageError(f"action codes are 0 to {len(self.actions) - 1}, got {codes.min()} to {codes.max()}")
        states = self.number(factors)
        after = self._following[states, np.atleast_1d(codes)]
        if (after < 0).any():
            place = int(np.argmax(after < 0))
            action = self.actions[int(np.atleast_1d(codes)[place])].name
            how = "was never recorded" if after[place] == -1 else "did not always lead to the same state"
            raise UsageError(f"the action {action} in the state {self._named(self.recorded[states[place]])} {how}")
        return self.recorded[after].reshape(np.shape(factors))


class RecordedDataset(FactorDataset):
    """The different states in recorded rollouts: rows with the same picture and the same factors are one.

    They are numbered by their factors (row by row, the last factor changing fastest); without factors by their first
    occurrence. Where factors determine the picture, this is a data set of factors like any other, with the states that
    were seen. Where they do not, ``latent_to_index`` gives the first state with these factors.

    Args:
        source: The files, as ``Rollouts`` takes them.
        column: The column with the pictures; None: the only one that there is.
        split_by: What ``split`` holds out.
        noise: Noise on the pictures.
        seed: The source of the noise.

    Attributes:
        rollouts: The recordings.
        states: The state in each row, int64 [rows].
        rows: A row that shows each state, int64 [S].

    Raises:
        UsageError: The files cannot be read as one, hold no episode, or no pictures.
        RolloutError: A file is damaged.
    """

    world: RecordedWorld

    def __init__(
        self,
        source: Source,
        column: str | None = None,
        split_by: SplitBy = "auto",
        noise: Noise | None = None,
        seed: int = 0,
    ) -> None:
        self.rollouts = Rollouts(source)
        if not self.rollouts.episodes:
            raise UsageError(f"{self.rollouts.files[0]} holds no whole episode")
        self.column, self.split_by = _image_column(self.rollouts, column), split_by
        shape = self.rollouts.columns[self.column].shape
        self._named = bool(self.rollouts.header.factors)
        columns = [self.column, *(["factors"] if self._named else [])]
        first_seen = frame_numbers(self.rollouts, columns)
        _, rows = np.unique(first_seen, return_index=True)
        space, table = self._factor_table(rows)
        order = np.lexsort(table.T[::-1]) if self._named else np.arange(len(rows))
        self.rows, self._table = rows[order].astype(np.int64), table[order]
        self.states = np.argsort(order)[first_seen].astype(np.int64)
        self._table.setflags(write=False)
        actions, meant = self._actions()
        image_shape = (shape[0], shape[1], shape[2] if len(shape) == 3 else 1)
        commutes = self.rollouts.header.commutes
        following = self._following(len(actions))
        world = RecordedWorld(space, actions, image_shape, commutes, self._table, following, meant)
        super().__init__(world, noise, seed)

    @property
    def fingerprint(self) -> int:
        return fingerprint_of(self)

    def _factor_table(self, rows: IntArray) -> tuple[FactorSpace, NDArray[Any]]:
        """The factors and their values in some rows; where the file has none, the pictures are numbered."""
        if not self._named:
            return FactorSpace([Factor("picture", len(rows), "categorical")]), np.arange(len(rows))[:, None]
        table = self.rollouts.read("factors", rows)
        known = self.rollouts.header.known_factors()
        if known is None:
            names = self.rollouts.header.factor_names
            known = tuple(_guessed(name, values) for name, values in zip(names, table.T, strict=True))
        space = FactorSpace(known)
        return space, np.asarray(space.check(table))

    def _actions(self) -> tuple[tuple[Action, ...], bool]:
        """The actions, and whether it is known what they do to the factors."""
        named = self.rollouts.header.known_actions()
        space = self.rollouts.header.action_space
        if named or not isinstance(space, spaces.Discrete):
            return named, self.rollouts.header.plain_actions
        return tuple(Action(str(code + int(space.start)), 0, 0, 0.0, None) for code in range(int(space.n))), False

    @cached_property
    def codes(self) -> IntArray:
        """The code of the action that was taken in each row, int64 [rows]; zeros where actions are no codes."""
        space = self.rollouts.header.action_space
        if not isinstance(space, spaces.Discrete):
            return np.zeros(len(self.rollouts), dtype=np.int64)
        codes = self.rollouts.all("action").astype(np.int64) - int(space.start)
        codes[self.rollouts.offsets[1:] - 1] = 0
        return codes

    def _following(self, actions: int) -> IntArray:
        """Where each action took each state; see ``RecordedWorld``."""
        found = np.full((len(self.rows), actions), -1, dtype=np.int64)
        if actions:
            before = self.rollouts.starts(2)
            pairs = self.states[before], self.codes[before]
            after = self.states[before + 1]
            found[pairs] = after
            found[tuple(part[found[pairs] != after] for part in pairs)] = -2
        return found

    def _count(self) -> int:
        return len(self.rows)

    def check_index(self, index: ArrayLike) -> IntArray:
        numbers = whole(index, "state")
        wrong = (numbers < 0) | (numbers >= len(self.rows))
        if wrong.any():
            raise UsageError(
                f"there is no state {numbers[wrong].flat[0]}; states are numbered 0 to {len(self.rows) - 1}"
            )
        return numbers

    @cached_property
    def _cache(self) -> NDArray[np.uint8] | None:
        if len(self) * int(np.prod(self.world.image_shape)) > factors_module.CACHE_BYTES:
            return None
        return self._read(np.arange(len(self)))

    def _read(self, states: IntArray) -> NDArray[np.uint8]:
        images: NDArray[np.uint8] = self.rollouts.read(self.column, self.rows[states])
        return images.reshape(*states.shape, *self.world.image_shape)

    def frames(self, index: ArrayLike) -> NDArray[np.uint8]:
        numbers = self.check_index(index)
        return self._read(numbers) if self._cache is None else self._cache[numbers]

    def generative_factors(self, index: ArrayLike) -> NDArray[Any]:
        """The factors of states, [N, K] (or [K] for one index).

        Raises:
            UsageError: There is no such state, or the file records no factors.
        """
        numbers = self.check_index(index)
        if not self._named:
            raise UsageError("these rollouts record no factors")
        return self._table[numbers]

    @cached_property
    def rewards_so_far(self) -> NDArray[np.float64]:
        """Sum of the rewards of the episode until each state was first recorded, float64 [S]."""
        return self.rollouts.rewards_so_far[self.rows]

    def latent_to_index(self, latents: ArrayLike) -> Any:
        """The indices of states with these factors, int64 [N] (or one, for one row [K]).

        Raises:
            UsageError: A state was never recorded, or the file records no factors.
        """
        if not self._named:
            raise UsageError("these rollouts record no factors")
        found = self.world.number(latents)
        return found if np.ndim(latents) > 1 else found[0]

    def following(self, states: IntArray, actions: IntArray) -> IntArray:
        return self.world.after(states, actions)

    def sample_latent(self, n: int | None = None, rng: np.random.Generator | None = None) -> NDArray[Any]:
        """Factors of recorded states, drawn uniformly among these; see ``FactorDataset.sample_latent``."""
        generator = self._rng if rng is None else rng
        drawn = self.generative_factors(generator.integers(0, len(self), 1 if n is None else n))
        return drawn[0] if n is None else drawn

    def split(self, validation: float = 0.1, test: float = 0.1, seed: int = 0) -> Split:
        """Training, validation and test states.

        By episodes, a state belongs to training if a training episode shows it, otherwise to validation if a validation
        episode does: no test picture is shown in training. Where that leaves a part with less than half of its share
        of the states, because all episodes show the same ones, ``auto`` splits by states.

        Args:
            validation: The share of the episodes (or states), in (0, 1).
            test: Likewise.
            seed: The same seed gives the same split.

        Raises:
            UsageError: A share is not in (0, 1), or a part would be empty.
        """
        if self.split_by == "states":
            return split_states(len(self), validation, test, seed)
        found = self._split_episodes(validation, test, seed)
        shares = {"validation": validation, "test": test}
        parts = {} if found is None else {"validation": len(found.validation), "test": len(found.test)}
        if self.split_by == "auto":
            fair = all(parts.get(name, 0) >= _ENOUGH * share * len(self) for name, share in shares.items())
            return found if found is not None and fair else split_states(len(self), validation, test, seed)
        if found is None or not all(parts.values()):
            raise UsageError(
                f"{self.rollouts.episodes} episodes cannot be split into training, validation and test so that each has"
                " pictures of its own; --split-by states is accepted"
            )
        return found

    def split_episodes(self, validation: float = 0.1, test: float = 0.1, seed: int = 0) -> Split:
        """Training, validation and test episodes, whatever they show; at least one of each.

        Where ``split`` goes by episodes these are the ones that it goes by, if each part has a share of them.

        Args:
            validation: The share of the episodes, in (0, 1).
            test: Likewise.
            seed: The same seed gives the same split.

        Raises:
            UsageError: A share is not in (0, 1), or there are fewer than three episodes.
        """
        number = self.rollouts.episodes
        if number < _PARTS:
            raise UsageError(f"episodes are held out, so that {_PARTS} or more are needed; the recording has {number}")
        validation, test = (max(share, 1 / number) if share > 0 else share for share in (validation, test))
        return self._drawn_episodes(validation, test, seed)

    def _drawn_episodes(self, validation: float, test: float, seed: int) -> Split:
        drawn = int(numpy_generator(seed, _SPLIT).integers(2**31))
        return split_states(self.rollouts.episodes, validation, test, drawn)

    def _split_episodes(self, validation: float, test: float, seed: int) -> Split | None:
        try:
            episodes = self._drawn_episodes(validation, test, seed)
        except UsageError:
            if not (0 < validation < 1 and 0 < test < 1):
                raise
            return None  # too few episodes
        roles = np.full(len(self), 2, dtype=np.int8)
        for role, part in ((1, episodes.validation), (0, episodes.train)):
            roles[self.states[self.rollouts.rows_of(part)]] = role
        return Split(*(np.flatnonzero(roles == role) for role in range(3)))

    def transitions(self, offset: int = 1) -> RecordedTransitions:
        """What followed what.

        Args:
            offset: Steps from an image to the next one.
        """
        return RecordedTransitions(self, offset)


class RecordedTransitions(TransitionDataset):
    """The steps of recorded episodes, which are of different lengths; see ``TransitionDataset``.

    Args:
        data: The states.
        offset: Steps from an image to the next one; all its actions are kept.

    Raises:
        UsageError: The offset is below 1, or no episode is that long.
    """

    data: RecordedDataset

    def __init__(self, data: RecordedDataset, offset: int = 1) -> None:
        if offset < 1:
            raise UsageError(f"the offset must be 1 or more, got {offset}")
        self.data, self.offset = data, offset
        self._offsets = data.rollouts.offsets
        self._begins = data.rollouts.starts(offset + 1)
        if not len(self._begins):
            longest = int(data.rollouts.lengths.max()) - 1
            raise UsageError(f"the longest episode has {longest} steps: too few for an offset of {offset}")

    def __len__(self) -> int:
        return len(self._begins)

    def __getitem__(self, index: int) -> tuple[tuple[torch.Tensor, torch.Tensor], torch.Tensor]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"there is no item {index} in a data set of {len(self)}")
        number = int(index) % len(self)
        row = self._begins[number]
        source = torch_generator(self.data.seed, 5, number)
        states = self.data.states[[row, row + self.offset]]
        before, after = self.data.images(states, source, np.zeros(2, dtype=np.int64))
        action = torch.from_numpy(self.data.codes[row : row + self.offset].copy())
        return (before, action[0] if self.offset == 1 else action), after

    def windows(self, length: int, allowed: NDArray[np.bool_] | None = None) -> IntArray:
        if length < 0:
            raise UsageError(f"the length of a sequence must be 0 or more, got {length}")
        rows = self.data.rollouts.starts(length * self.offset + 1)
        if allowed is not None:
            mask = np.asarray(allowed, dtype=bool)
            if mask.shape != (len(self.data),):
                raise UsageError(f"allowed needs one value for each of {len(self.data)} states, got {list(mask.shape)}")
            seen = mask[self.data.states]
            good = np.ones(len(rows), dtype=bool)
            for step in range(length + 1):
                good &= seen[rows + step * self.offset]
            rows = rows[good]
        episodes = self.data.rollouts.episode_of(rows)
        return np.stack([episodes, rows - self._offsets[episodes]], axis=1)

    def gather(self, starts: ArrayLike, length: int) -> tuple[IntArray, IntArray]:
        places = whole(starts, "starts").reshape(-1, 2)
        episodes, steps = places[:, 0], places[:, 1]
        inside = (places >= 0).all(axis=1) & (episodes < len(self._offsets) - 1)
        if not inside.all() or (steps + length * self.offset >= self.data.rollouts.lengths[episodes]).any():
            raise UsageError(f"a sequence of {length} transitions runs over the end of its trajectory")
        rows = self._offsets[episodes][:, None] + steps[:, None]
        states = self.data.states[rows + np.arange(length + 1) * self.offset]
        actions = self.data.codes[rows + np.arange(length * self.offset)]
        return states, actions.reshape(len(places), length, self.offset)

    def single_steps(self, n: int, seed: int = 0) -> TransitionDataset:
        return RecordedTransitions(self.data)


def recorded(source: Source, options: RolloutOptions, noise: NoiseOptions, seed: int) -> RecordedDataset:
    """Recorded rollouts as a data set.

    Args:
        source: The files, as ``Rollouts`` takes them.
        options: Options of the data set.
        noise: The noise.
        seed: Its source.

    Raises:
        UsageError: The files cannot be used, or an option cannot.
        RolloutError: A file is damaged.
    """
    data = RecordedDataset(source, options.column, options.split_by, seed=seed)
    data.noise = noise.make(data.world.image_shape, seed)
    return data


def _guessed(name: str, values: NDArray[Any]) -> Factor:
    """A factor of which only values are known: counted where they are whole and not negative."""
    if values.dtype.kind in "iub" and values.min() >= 0:
        return Factor(name, int(values.max()) + 1, "ordinal")
    low, high = float(values.min()), float(values.max())
    return Factor(name, None, "continuous", low, high if high > low else low + 1.0)


def _image_column(rollouts: Rollouts, asked: str | None) -> str:
    """The column with the pictures.

    Raises:
        UsageError: There is none, or several, or the one that was asked for holds none.
    """
    parts = [column for name, column in rollouts.columns.items() if name.partition("/")[0] == "observation"]
    if asked is not None and asked not in [column.name for column in parts]:
        raise UsageError(f"--column {asked}: there are {', '.join(column.name for column in parts)}")
    considered = [column for column in parts if asked in (None, column.name)]
    images = [
        column.name
        for column in considered
        if column.dtype == np.uint8 and (len(column.shape) == 2 or (len(column.shape) == 3 and column.shape[2] <= 4))
    ]
    if not images:
        found = "; ".join(f"{column.name} is {column.dtype} {list(column.shape)}" for column in considered)
        raise UsageError(f"models look at pictures, uint8 [H, W] or [H, W, channels], of which there are none: {found}")
    if len(images) > 1:
        raise UsageError(f"there are several columns of pictures: --column {' or '.join(images)} is accepted")
    return images[0]
