"""``breakout-frames``: frames of played games of Breakout, as pictures of their own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...envs.registry import UsageError
from ..noise import NoiseOptions
from ..registry import DATASETS, DatasetSpec
from ..rollouts.collector import Plan, collect
from ..rollouts.reader import Rollouts
from ..rollouts.splits import frame_numbers
from ..splits import Split, split_states
from .data import BinaryOptions, StillImages, binarised
from .file import Told
from .pictures import Images

_COLUMN = "observation"


@dataclass
class BreakoutFramesOptions(BinaryOptions):
    """The options of frames of Breakout."""

    threshold: float | None = 0.1
    """White where a pixel is brighter than this share of the brightest, 0 to 1, black elsewhere; None: as it is."""
    data_path: str = "data/breakout-frames"
    """The folder that games are recorded into, once for each policy, number, size and seed."""
    frames: int = 100_000
    """Steps that are recorded; frames that look the same are one picture."""
    policy: str = "mixture"
    """Who plays: random, brownian, follower (breaks bricks), or a mixture of these, one a game."""
    image_size: int = 64
    """Height and width that the whole screen is reduced to, by exact area averages."""
    crop: int | None = None
    """Height and width of the middle that is kept after that: --image-size 84 --crop 80 are the published 80 x 80."""
    games_seed: int = 0
    """Source of the recorded games; --seed splits them."""

    @property
    def file(self) -> Path:
        """Where the games are recorded."""
        return Path(self.data_path) / f"{self.policy}-{self.frames}-{self.image_size}-seed{self.games_seed}.h5"


class BreakoutFrames(StillImages):
    """The different frames of recorded games, in the order of their first occurrence.

    Frames that look the same once they are cut and binarised are one, whatever the balls in them do next.

    Args:
        file: The recorded games: grey pictures, their rewards.
        options: How frames are cut and binarised.
        noise: Options of the noise on them.
        seed: Source of the noise.

    Attributes:
        rollouts: The games.
        rows: The first row of the games that shows each frame, int64 [N].
        states: The frame that each row shows, int64 [rows].

    Raises:
        UsageError: The options cannot be used.
        RolloutError: The file is damaged.
    """

    def __init__(
        self,
        file: Path,
        options: BreakoutFramesOptions | None = None,
        noise: NoiseOptions | None = None,
        seed: int = 0,
    ) -> None:
        chosen = BreakoutFramesOptions() if options is None else options
        self.rollouts = Rollouts(file)
        size, side = self.rollouts.columns[_COLUMN].shape[0], chosen.crop
        if side is not None and not 1 <= side <= size:
            raise UsageError(f"--crop must be between 1 and {size}, the size of the frames, got {side}")
        side = size if side is None else side
        begin = (size - side) // 2
        self._middle = slice(begin, begin + side)
        threshold = chosen.threshold
        self.states = frame_numbers(
            self.rollouts, [_COLUMN], shown=lambda images: binarised(self._cut(images), threshold)
        )
        self.rows = np.unique(self.states, return_index=True)[1].astype(np.int64)
        super().__init__(len(self.rows), (side, side, 1), None, chosen, noise, seed)

    def _cut(self, images: Images) -> Images:
        return images[:, self._middle, self._middle]

    def read(self, numbers: NDArray[np.int64]) -> Images:
        return self._cut(self.rollouts.read(_COLUMN, self.rows[numbers]))

    @cached_property
    def rewards_so_far(self) -> NDArray[np.float64]:
        """What had been scored in the game when each frame was first shown, float64 [N]."""
        return self.rollouts.rewards_so_far[self.rows]

    def split(self, validation: float = 0.1, test: float = 0.1, seed: int = 0) -> Split:
        """Training, validation and test frames, of different games.

        A frame belongs to training if a training game shows it, else to validation if a validation game does, so that
        no test frame is shown in training.

        Args:
            validation: The share of the games, in (0, 1).
            test: Likewise.
            seed: The same seed gives the same split.

        Raises:
            UsageError: A share is not in (0, 1), there are too few games, or a part would have no frame of its own.
        """
        try:
            games = split_states(self.rollouts.episodes, validation, test, seed)
        except UsageError as error:
            raise UsageError(f"{str(error).replace('state', 'game')}; more --frames are accepted") from error
        roles = np.full(len(self), 2, dtype=np.int8)
        for role, part in ((1, games.validation), (0, games.train)):
            roles[self.states[self.rollouts.rows_of(part)]] = role
        parts = [np.flatnonzero(roles == role) for role in range(3)]
        for name, part in zip(("validation", "test"), parts[1:], strict=True):
            if not len(part):
                raise UsageError(f"every frame of the {name} games is shown in others too: more --frames are accepted")
        return Split(*parts)


def record_games(options: BreakoutFramesOptions, told: Told | None = None) -> Path:
    """The recorded games that options ask for; they are played if they are not there, or played on.

    Args:
        options: Who plays, and how long.
        told: How far it is, in steps.

    Raises:
        UsageError: An option cannot be used, or the file cannot be written.
        OSError: The disk is full, or the like; whole games are kept.
    """
    options.check()
    if options.crop is not None and not 1 <= options.crop <= options.image_size:
        raise UsageError(
            f"--crop must be between 1 and {options.image_size}, the size of the frames, got {options.crop}"
        )
    file = options.file
    plan = Plan(
        "equiworld/Breakout-v0",
        options.policy,
        options.games_seed,
        {"image_size": options.image_size, "crop": None, "grayscale": True},
    )
    if file.is_file():
        with Rollouts(file) as rollouts:
            if rollouts.steps >= options.frames:
                return file
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--data-path {file.parent} cannot be made: {error.strerror}") from error
    heard = None if told is None else lambda steps: told(steps, options.frames)
    # Few copies for few frames: what is played at the same time and not needed is lost.
    copies = min(16, max(1, options.frames // 1000))
    collect(plan, options.frames, file, num_envs=copies, resume=True, told=heard)
    return file


def _build(options: BreakoutFramesOptions, noise: NoiseOptions, seed: int) -> BreakoutFrames:
    return BreakoutFrames(record_games(options), options, noise, seed)


def _ready(options: BreakoutFramesOptions, told: Told | None) -> None:
    record_games(options, told)


DATASETS.register("breakout-frames")(DatasetSpec(BreakoutFramesOptions, _build, ready=_ready, acts=False))
