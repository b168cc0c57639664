"""What writing and reading recorded frames costs, beside h5py used plainly and Minari, in one run and turn by turn.

The frames are those of Breakout, 64 x 64 x 3, played at random (``equiworld/Breakout-v0``); ``--env`` takes others.
Everything is per second of CPU time (user and system, all threads). Raw results go to results/rollouts.json.

    python benchmarks/rollouts.py
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import tempfile
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
from gymnasium import spaces

from equiworld.datasets.rollouts import Header, Plan, Rollouts, RolloutWriter, collect

RESULTS = Path(__file__).resolve().parent / "results"
BARS = {"write": 400_000, "random": 50_000, "windows": 15_000}
WINDOW, FRAMES_AT_ONCE, WINDOWS_AT_ONCE = 16, 64, 32
COPIES = 4  # of all episodes in a file, but not in Minari's, which takes long

Work = Callable[[], int]
"""Does something, and says how many frames or windows it did it to."""


class Way(ABC):
    """A way to keep episodes: what it costs to write them, and to read frames, windows, and everything in order."""

    name = ""
    windows_in_a_round, frames_in_a_round, copies = 1024, 8192, 1

    def __init__(self, folder: Path, episodes: list[np.ndarray]) -> None:
        self.path, self.episodes = folder / f"{type(self).__name__}.h5", episodes
        self.rng = np.random.default_rng(0)

    @abstractmethod
    def write(self) -> int:
        """Writes all episodes anew; the number of frames."""

    @abstractmethod
    def open(self) -> None:
        """Gets ready to read."""

    @abstractmethod
    def random(self) -> int:
        """Reads single frames from anywhere."""

    @abstractmethod
    def windows(self) -> int:
        """Reads 16 frames that follow each other in an episode, from anywhere."""

    @abstractmethod
    def sequential(self) -> int:
        """Reads everything in order."""

    def size(self) -> int:
        """Bytes on the disk."""
        return self.path.stat().st_size


class Ours(Way):
    """Rollout files."""

    name, compression, copies = "equiworld, Blosc-LZ4", "lz4", COPIES

    def write(self) -> int:
        self.path.unlink(missing_ok=True)
        header = Header(spaces.Box(0, 255, self.episodes[0].shape[1:], np.uint8), spaces.Discrete(4))
        with RolloutWriter(self.path, header, compression=self.compression) as writer:
            for number, frames in enumerate(self.episodes * self.copies):
                steps = np.zeros(len(frames))
                flags = np.zeros(len(frames), dtype=bool)
                rows = {"action": np.zeros(len(frames), np.int64), "terminated": flags, "truncated": flags}
                writer.write({"observation": frames, "reward": steps, **rows})
                writer.end_episode(number)
        return self.copies * sum(map(len, self.episodes))

    def open(self) -> None:
        self.rollouts = Rollouts(self.path)
        self.starts = self.rollouts.starts(WINDOW)

    def random(self) -> int:
        for _ in range(self.frames_in_a_round // FRAMES_AT_ONCE):
            self.rollouts.random_frames(FRAMES_AT_ONCE, self.rng)
        return self.frames_in_a_round

    def windows(self) -> int:
        for _ in range(self.windows_in_a_round // WINDOWS_AT_ONCE):
            self.rollouts.sequences(self.rng.choice(self.starts, WINDOWS_AT_ONCE), WINDOW, ["observation"])
        return self.windows_in_a_round

    def sequential(self) -> int:
        return sum(len(block) for block in self.rollouts.blocks("observation", 1024))


class OursSmall(Ours):
    """Rollout files with Zstd."""

    name, compression = "equiworld, Zstd", "zstd"


class Plain(Way):
    """One data set of h5py, chunks of 16 frames, Blosc-LZ4, and an index of the episodes; no step, no safety."""

    name, copies = "h5py, Blosc-LZ4, chunks of 16", COPIES

    def write(self) -> int:
        self.path.unlink(missing_ok=True)
        with h5py.File(self.path, "w") as file:
            shape = self.episodes[0].shape[1:]
            filters = dict(hdf5plugin.Blosc(cname="lz4", clevel=5, shuffle=1))
            frames = file.create_dataset(
                "observation", (0, *shape), "u1", maxshape=(None, *shape), chunks=(16, *shape), **filters
            )
            at = 0
            for each in self.episodes * self.copies:
                frames.resize(at + len(each), axis=0)
                frames[at : at + len(each)] = each
                at += len(each)
        return at

    def open(self) -> None:
        self.frames = h5py.File(self.path)["observation"]

    def random(self) -> int:
        count = self.frames_in_a_round // 4
        for row in self.rng.integers(0, len(self.frames), count).tolist():
            self.frames[row]
        return count

    def windows(self) -> int:
        count = self.windows_in_a_round // 2
        for row in self.rng.integers(0, len(self.frames) - WINDOW, count).tolist():
            self.frames[row : row + WINDOW]
        return count

    def sequential(self) -> int:
        return sum(len(self.frames[row : row + 1024]) for row in range(0, len(self.frames), 1024))


class Minari(Way):
    """Minari as it comes: an episode a group, frames as JPEG, which changes them."""

    name, jpeg = "Minari (JPEG)", True
    windows_in_a_round = frames_in_a_round = 16

    def __init__(self, folder: Path, episodes: list[np.ndarray]) -> None:
        super().__init__(folder, episodes)
        self.id = f"benchmark-{type(self).__name__.lower()}-v0"
        self.folder = Path(os.environ["MINARI_DATASETS_PATH"]) / self.id

    def write(self) -> int:
        import minari
        from minari.data_collector import EpisodeBuffer

        shutil.rmtree(self.folder, ignore_errors=True)

        def buffers() -> Iterator[Any]:
            for frames in self.episodes:
                steps = np.zeros(len(frames) - 1)
                flags = steps.astype(bool)
                yield EpisodeBuffer(None, None, None, frames, steps.astype(np.int64), steps, flags, flags)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            minari.create_dataset_from_buffers(
                self.id,
                buffers(),
                observation_space=spaces.Box(0, 255, self.episodes[0].shape[1:], np.uint8),
                action_space=spaces.Discrete(4),
                jpeg_encoding=self.jpeg,
            )
        return sum(map(len, self.episodes))

    def open(self) -> None:
        import minari

        self.dataset = minari.load_dataset(self.id)

    def random(self) -> int:
        for _ in range(self.frames_in_a_round):
            episode = self.dataset[int(self.rng.integers(self.dataset.total_episodes))]
            episode.observations[int(self.rng.integers(len(episode.observations)))]
        return self.frames_in_a_round

    def windows(self) -> int:
        long = [number for number, frames in enumerate(self.episodes) if len(frames) >= WINDOW]
        for _ in range(self.windows_in_a_round):
            episode = self.dataset[int(self.rng.choice(long))]
            start = int(self.rng.integers(len(episode.observations) - WINDOW + 1))
            episode.observations[start : start + WINDOW]
        return self.windows_in_a_round

    def sequential(self) -> int:
        return sum(len(episode.observations) for episode in self.dataset.iterate_episodes())

    def size(self) -> int:
        return sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file())


class MinariLossless(Minari):
    """Minari with the frames as they are."""

    name, jpeg = "Minari (jpeg_encoding=False)", False


def record(env: str, steps: int, folder: Path) -> tuple[list[np.ndarray], float]:
    """Frames of an environment, by episode, and the steps that were collected per second of CPU time."""
    began = time.process_time()
    collect(Plan(env), steps, folder / "source.h5")
    rate = steps / (time.process_time() - began)
    with Rollouts(folder / "source.h5") as rollouts:
        return [rollouts.observations(rollouts.rows_of([number])) for number in range(rollouts.episodes)], rate


def measure(work: Work) -> float:
    """What is done per second of CPU time."""
    began = time.process_time()
    done = work()
    return done / (time.process_time() - began)


def main() -> None:
    """Measures all ways turn by turn and prints medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", default="equiworld/Breakout-v0", help="whose frames")
    parser.add_argument("--steps", type=int, default=20_000, help="frames")
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    kinds: list[type[Way]] = [Ours, OursSmall, Plain]
    try:
        metadata.version("minari")
        kinds += [Minari, MinariLossless]
    except metadata.PackageNotFoundError:
        print("Minari is not installed: it is left out")
    with tempfile.TemporaryDirectory() as name:
        os.environ["MINARI_DATASETS_PATH"] = str(Path(name) / "minari")
        rows, frames = compare(Path(name), kinds, asked.env, asked.steps, asked.rounds)
    content = {
        "env": asked.env,
        "frames": frames,
        "unit": "per second of CPU time; medians",
        "batches": {"frames": FRAMES_AT_ONCE, "windows": WINDOWS_AT_ONCE, "window": WINDOW},
        "python": platform.python_version(),
        "processor": processor(),
        "versions": {each: metadata.version(each) for each in ("h5py", "hdf5plugin", "numpy", "gymnasium")},
        "bars": BARS,
        "rows": rows,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "rollouts.json").write_text(json.dumps(content, indent=1) + "\n")


def compare(folder: Path, kinds: list[type[Way]], env: str, steps: int, rounds: int) -> tuple[dict[str, Any], int]:
    """The measurements of all ways, by their name; and the number of frames."""
    episodes, rate = record(env, steps, folder)
    frames = sum(map(len, episodes))
    raw = sum(each.nbytes for each in episodes)
    print(f"{frames} frames in {len(episodes)} episodes of {env}, {raw / 1e6:.1f} MB; collected at {rate:.0f} steps")
    ways = [kind(folder, episodes) for kind in kinds]
    seen: dict[str, dict[str, list[float]]] = {way.name: {} for way in ways}
    for turn in range(rounds):
        for way in ways:
            if isinstance(way, Minari) and turn >= 3:
                continue  # seconds each
            for what, work in (
                ("write", way.write),
                ("random", way.random),
                ("windows", way.windows),
                ("sequential", way.sequential),
            ):
                if what == "random":
                    way.open()
                seen[way.name].setdefault(what, []).append(measure(work))
    rows: dict[str, Any] = {"collected": {"steps": rate}}
    print(f"{'':<32}{'write':>10}{'random':>10}{'windows':>10}{'in order':>10}{'MB':>8}")
    for way in ways:
        medians = {what: statistics.median(rates) for what, rates in seen[way.name].items()}
        rows[way.name] = {**medians, "frames": way.copies * frames, "bytes": way.size(), "all": seen[way.name]}
        numbers = "".join(f"{medians[what]:>10.0f}" for what in ("write", "random", "windows", "sequential"))
        print(f"{way.name:<32}{numbers}{way.size() / way.copies / 1e6:>8.1f}")
    for what, bar in BARS.items():
        reached = rows[Ours.name][what]
        print(f"{what}: {reached:.0f} of {bar} wanted, {reached / bar:.2f} times")
    return rows, frames


def processor() -> str:
    """The name of the processor, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


if __name__ == "__main__":
    main()
