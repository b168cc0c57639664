"""What is written is read again: by any rows, in any process, from one file or many; what is damaged is refused."""

from __future__ import annotations

import multiprocessing
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch.utils.data import BatchSampler, DataLoader, RandomSampler

from equiworld.datasets.rollouts import (
    Column,
    Frames,
    Header,
    RolloutError,
    Rollouts,
    RolloutWriter,
    Sequences,
    Transitions,
    codec,
    reader,
    writer,
)
from equiworld.datasets.rollouts.codec import Packed
from equiworld.envs import UsageError

Arrays = dict[str, np.ndarray]
LENGTHS = (1, 15, 16, 17, 40, 2, 100, 31)  # rows of the episodes
HEADER = Header(
    spaces.Box(0, 255, (12, 10, 3), np.uint8), spaces.Discrete(5), factors=({"name": "x", "kind": "unknown"},)
)


def episode(rows: int, seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    return {
        "observation": rng.integers(0, 256, (rows, 12, 10, 3), dtype=np.uint8),
        "factors": rng.random((rows, 1)),
        "action": rng.integers(0, 5, rows - 1),
        "reward": rng.random(rows - 1),
        "terminated": rng.random(rows - 1) < 0.5,
    }


EPISODES = [episode(rows, number) for number, rows in enumerate(LENGTHS)]


def expected(name: str, episodes: list[Arrays]) -> np.ndarray:
    """A whole column; the last row of an episode is zero where it is about steps."""
    parts = []
    for each in episodes:
        values = each.get(name, np.zeros(len(each["action"]), bool))
        own = name in ("observation", "factors")
        parts.append(values if own else np.concatenate([values, np.zeros(1, values.dtype)]))
    return np.concatenate(parts)


def write(path: Path, episodes: list[Arrays], **options: Any) -> Path:
    with RolloutWriter(path, HEADER, factor_dtype=np.float64, **options) as made:
        for number, each in enumerate(episodes):
            made.append(each, seed=100 + number)
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("rollouts") / "rollouts.h5", EPISODES)


@pytest.fixture(params=["cached", "from the file"])
def rollouts(path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Rollouts:
    if request.param == "from the file":
        monkeypatch.setattr(reader, "CACHE_BYTES", 0)
    return Rollouts(path)


@pytest.mark.parametrize("compression", ["lz4", "zstd", "none"])
@pytest.mark.parametrize("every", [0.0, 1e9])
def test_round_trips(tmp_path: Path, compression: str, every: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "CACHE_BYTES", 0)
    made = Rollouts(write(tmp_path / "a.h5", EPISODES, compression=compression, every=every))
    for name in made.columns:
        assert np.array_equal(made.all(name), expected(name, EPISODES)), name
        assert made.all(name).dtype == made.columns[name].dtype
    assert made.lengths.tolist() == list(LENGTHS) and made.seeds.tolist() == [100 + n for n in range(len(LENGTHS))]
    assert (made.episodes, len(made), made.steps) == (8, sum(LENGTHS), sum(LENGTHS) - 8)
    assert made.header == HEADER


@pytest.mark.parametrize("compression", ["lz4", "zstd", "none"])
def test_hdf5_reads_what_is_compressed_without_it_and_the_other_way_round(tmp_path: Path, compression: str) -> None:
    write(tmp_path / "direct.h5", EPISODES, compression=compression)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "codec_of", lambda dataset: None)
        write(tmp_path / "hdf5.h5", EPISODES, compression=compression)
        patch.setattr(reader, "codec_of", lambda dataset: None)
        patch.setattr(reader, "CACHE_BYTES", 0)
        assert np.array_equal(Rollouts(tmp_path / "direct.h5").all("observation"), expected("observation", EPISODES))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "CACHE_BYTES", 0)
        assert np.array_equal(Rollouts(tmp_path / "hdf5.h5").all("observation"), expected("observation", EPISODES))
    with h5py.File(tmp_path / "direct.h5") as file:  # as anybody would
        assert np.array_equal(file["observation"][:], expected("observation", EPISODES))
        assert file["episode_offsets"][:].tolist() == np.concatenate([[0], np.cumsum(LENGTHS)]).tolist()
        assert file["observation"].chunks == (16, 12, 10, 3)
    with h5py.File(tmp_path / "direct.h5") as file:
        used = codec.codec_of(file["observation"])
        assert (used is None) == (compression == "none")


def test_rows_in_any_order_and_shape(rollouts: Rollouts) -> None:
    whole, rng = expected("observation", EPISODES), np.random.default_rng(0)
    for rows in (
        rng.integers(0, len(whole), 300),
        rng.integers(-len(whole), len(whole), (4, 5)),
        np.arange(len(whole))[::-1],
        np.arange(5, 100),
        np.arange(16, 48),
        [3, 3, 3],
        7,
        [],
    ):
        assert np.array_equal(rollouts.read("observation", rows), whole[np.asarray(rows, dtype=int)])
    assert rollouts.read("reward", [[1, 2]]).shape == (1, 2)
    assert np.array_equal(np.concatenate(list(rollouts.blocks("observation", 50))), whole)


def test_what_is_read_is_a_copy(rollouts: Rollouts) -> None:
    first = rollouts.read("observation", [4, 5])
    first[:] = 0
    assert np.array_equal(rollouts.read("observation", [4, 5]), expected("observation", EPISODES)[4:6])


@pytest.mark.parametrize("length", [1, 2, 16, 17, 100, 101])
@pytest.mark.parametrize("stride", [1, 3])
def test_sequences_never_cross_episodes(rollouts: Rollouts, length: int, stride: int) -> None:
    starts = rollouts.starts(length, stride=stride)
    by_hand = [
        begin + step
        for begin, rows in zip(np.cumsum([0, *LENGTHS[:-1]]), LENGTHS, strict=True)
        for step in range(0, rows - length + 1, stride)
    ]
    assert starts.tolist() == by_hand
    found = rollouts.sequences(starts, length)
    rows = starts[:, None] + np.arange(length)
    assert all(len(np.unique(row)) == 1 for row in rollouts.episode_of(rows))
    for name, values in found.items():
        assert np.array_equal(values, expected(name, EPISODES)[rows]), name
    others = np.setdiff1d(np.arange(len(rollouts)), rollouts.starts(length))
    for start in others[:: max(1, len(others) // 20)]:
        with pytest.raises(UsageError, match="crosses the end of its episode"):
            rollouts.sequences([start], length)


def test_sequences_of_some_episodes(rollouts: Rollouts) -> None:
    starts = rollouts.starts(16, episodes=[4, 2])
    assert starts.tolist() == [*range(49, 74), 16]
    assert rollouts.rows_of([5]).tolist() == [89, 90]
    assert rollouts.sequences([49], 3, ["reward"]).keys() == {"reward"}


def test_transitions(rollouts: Rollouts) -> None:
    rows = rollouts.starts(2)
    assert len(rows) == rollouts.steps
    found = rollouts.transitions(rows)
    whole, factors = expected("observation", EPISODES), expected("factors", EPISODES)
    assert np.array_equal(found["observation"], whole[rows]) and np.array_equal(
        found["next_observation"], whole[rows + 1]
    )
    assert np.array_equal(found["factors"], factors[rows]) and np.array_equal(found["next_factors"], factors[rows + 1])
    assert np.array_equal(found["action"], np.concatenate([each["action"] for each in EPISODES]))
    assert np.array_equal(found["reward"], np.concatenate([each["reward"] for each in EPISODES]))
    with pytest.raises(UsageError):
        rollouts.transitions([0])  # the only row of its episode


def test_random_frames_and_returns(rollouts: Rollouts) -> None:
    whole = {row.tobytes() for row in expected("observation", EPISODES)[73:89]}
    drawn = rollouts.random_frames(200, np.random.default_rng(0), episodes=[4])
    assert drawn.shape == (200, 12, 10, 3) and len({row.tobytes() for row in drawn}) > 30
    again = rollouts.random_frames(200, np.random.default_rng(0), episodes=[4])
    assert np.array_equal(drawn, again) and whole.isdisjoint(
        {row.tobytes() for row in rollouts.random_frames(5, np.random.default_rng(1), [0])}
    )
    sums = [each["reward"].sum() for each in EPISODES]
    assert np.allclose(rollouts.returns, sums, atol=1e-12)
    # A reward belongs to the step away from its row's observation: it has been won once the next one is seen.
    so_far = [np.concatenate([[0.0], np.cumsum(each["reward"])]) for each in EPISODES]
    found = np.split(rollouts.rewards_so_far, rollouts.offsets[1:-1])
    assert all(
        np.allclose(one[: len(two)], two[: len(one)], atol=1e-12) for one, two in zip(found, so_far, strict=True)
    )
    assert [len(each) for each in found] == rollouts.lengths.tolist()


def test_nested_observations_and_actions(tmp_path: Path) -> None:
    space = spaces.Dict({"image": spaces.Box(0, 255, (4, 4), np.uint8), "goal": spaces.Tuple([spaces.Discrete(9)])})
    header = Header(space, spaces.Tuple([spaces.Discrete(2), spaces.Box(-1, 1, (2,))]))
    images, goals = np.arange(48, dtype=np.uint8).reshape(3, 4, 4), np.array([3, 4, 5])
    extra = [Column("info/deep/score", np.dtype(np.float32), (2,))]
    with RolloutWriter(tmp_path / "a.h5", header, extra=extra) as made:
        made.append(
            {
                "observation/image": images,
                "observation/goal/0": goals,
                "action/0": [1, 0],
                "action/1": np.float32([[0, 1], [0.5, 0.25]]),
                "info/deep/score": np.ones((3, 2)),
            }
        )
    with Rollouts(tmp_path / "a.h5") as found:
        step = found.transitions([1])
        assert np.array_equal(step["observation"]["image"], images[1:2])
        assert step["next_observation"]["goal"][0].tolist() == [5]
        assert step["action"][0].tolist() == [0] and step["action"][1].tolist() == [[0.5, 0.25]]
        assert found.sequences([0], 3)["info/deep/score"].shape == (1, 3, 2)


# Many files, many processes


def test_many_files_are_read_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, part in enumerate((EPISODES[:3], [], EPISODES[3:4], EPISODES[4:])):
        write(tmp_path / f"shard-{number}.h5", part)
    (tmp_path / "note.txt").write_text("not a shard")
    monkeypatch.setattr(reader, "CACHE_BYTES", 0)
    rng = np.random.default_rng(0)
    for source in (tmp_path, str(tmp_path / "shard-*.h5"), sorted(tmp_path.glob("*.h5"))):
        found = Rollouts(source)
        assert found.lengths.tolist() == list(LENGTHS) and found.episodes == 8
        rows = rng.integers(0, len(found), 500)
        for name in found.columns:
            assert np.array_equal(found.read(name, rows), expected(name, EPISODES)[rows])
        assert np.array_equal(found.starts(16), Rollouts(tmp_path).starts(16))


def check_rows(rollouts: Rollouts, rows: np.ndarray) -> bool:
    return np.array_equal(rollouts.read("observation", rows), expected("observation", EPISODES)[rows])


def test_after_pickling_and_in_other_processes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "CACHE_BYTES", 0)
    rollouts, rows = Rollouts(path), np.arange(5, 100, 7)
    assert check_rows(rollouts, rows)  # the file is open when it is handed on
    again = pickle.loads(pickle.dumps(rollouts))
    assert check_rows(again, rows) and len(pickle.dumps(rollouts)) < 20_000
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert all(pool.starmap(check_rows, [(rollouts, rows)] * 4))
    assert check_rows(rollouts, rows)


def test_loaders_with_workers(path: Path) -> None:
    items = Sequences(path, 16)
    items.rollouts.read("observation", [0])
    loader: Any = DataLoader(items, batch_size=10, num_workers=2, multiprocessing_context="fork")
    found = list(loader)
    assert torch.equal(
        torch.cat([batch["observation"] for batch in found]),
        torch.from_numpy(items.rollouts.sequences(items.rollouts.starts(16), 16)["observation"]),
    )
    assert found[0].keys() == {"observation", "action", "reward", "terminated", "truncated", "factors"}


def test_items(path: Path) -> None:
    frames, steps = Frames(path), Transitions(path, rows=[20, 3])
    assert len(frames) == sum(LENGTHS) and len(steps) == 2
    assert np.array_equal(frames[7]["observation"], expected("observation", EPISODES)[7])
    assert frames[7]["factors"].shape == (1,)
    assert steps[1]["next_observation"].tobytes() == expected("observation", EPISODES)[4].tobytes()
    sampler = BatchSampler(RandomSampler(frames), 32, drop_last=True)
    batches: Any = DataLoader(frames, sampler=sampler, batch_size=None)
    assert {batch["observation"].shape for batch in batches} == {torch.Size([32, 12, 10, 3])}
    with pytest.raises(IndexError):
        steps[2]


# What cannot be used


def damaged(path: Path, change: Callable[[h5py.File], object]) -> None:
    with h5py.File(path, "r+") as file:
        change(file)


def resized(name: str, rows: int) -> Callable[[h5py.File], object]:
    return lambda file: file[name].resize(rows, axis=0)


def replaced(name: str, **options: Any) -> Callable[[h5py.File], object]:
    def change(file: h5py.File) -> None:
        del file[name]
        if options:
            file.create_dataset(name, **options)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.attrs.update(version=9), "it has version 9 of the format; this library reads version 1"),
        (lambda file: file.attrs.__delitem__("format"), "it is no rollout file of equiworld"),
        (lambda file: file.attrs.__delitem__("seed"), "its header is damaged"),
        (replaced("reward"), "its column reward is missing"),
        (replaced("reward", data=np.zeros(222, np.float32), chunks=(8,)), "its column reward holds float32 of shape"),
        (
            replaced("observation", data=np.zeros((222, 12, 9, 3), np.uint8)),
            "its column observation holds uint8 of shape",
        ),
        (replaced("action", data=np.zeros(222, np.int64)), "its column action holds int64"),
        (resized("observation", 200), "its column observation has 200 rows instead of 222"),
        (resized("episode_seeds", 3), "its column episode_seeds has 3 rows instead of 8"),
        (resized("episode_offsets", 0), "its episode_offsets do not begin at 0 and grow"),
        (lambda file: file["episode_offsets"].__setitem__(3, 5), "its episode_offsets do not begin at 0 and grow"),
    ],
)
def test_files_whose_parts_do_not_belong_together(path: Path, tmp_path: Path, change: Any, message: str) -> None:
    copy = tmp_path / "copy.h5"
    copy.write_bytes(path.read_bytes())
    damaged(copy, change)
    for use in (Rollouts, RolloutWriter):
        with pytest.raises(RolloutError) as caught:
            use(copy)
        assert str(caught.value).startswith(f"{copy} cannot be read: {message}") and "\n" not in str(caught.value)


def test_files_that_are_none(path: Path, tmp_path: Path) -> None:
    content = path.read_bytes()
    for name, part, message in (
        ("cut.h5", content[: len(content) // 2], "cut.h5 cannot be read: it is truncated"),
        ("text.h5", b"hello", "text.h5 cannot be read: it is damaged or no HDF5 file"),
        ("empty.h5", b"", "empty.h5 cannot be read: it is damaged or no HDF5 file"),
    ):
        (tmp_path / name).write_bytes(part)
        with pytest.raises(RolloutError, match=f"{message}$"):
            Rollouts(tmp_path / name)
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["observation"] = np.zeros(3)
    with pytest.raises(RolloutError, match="it is no rollout file of equiworld"):
        Rollouts(tmp_path / "foreign.h5")


def test_chunks_that_are_said_to_lie_nowhere(path: Path, tmp_path: Path) -> None:
    with h5py.File(path) as file:
        place = file["observation"].id.get_chunk_info(0).byte_offset
    content = path.read_bytes()
    assert content.count(struct.pack("<Q", place)) == 1
    for wrong in (2**63 + 5, 2**40):
        (tmp_path / "copy.h5").write_bytes(content.replace(struct.pack("<Q", place), struct.pack("<Q", wrong)))
        with pytest.raises(RolloutError, match="rows 0 and on of /observation are missing"):
            Rollouts(tmp_path / "copy.h5").read("observation", [0])


def test_damage_is_told_in_one_line_where_it_is_noticed(path: Path, tmp_path: Path) -> None:
    content, rng = bytearray(path.read_bytes()), np.random.default_rng(0)
    copy, told = tmp_path / "copy.h5", 0
    for place in rng.integers(0, len(content), 60).tolist():
        spoiled = bytearray(content)
        spoiled[place : place + 8] = rng.integers(0, 256, 8, dtype=np.uint8).tobytes()
        copy.write_bytes(spoiled)
        try:
            with Rollouts(copy) as found:
                for name in found.columns:
                    found.all(name)
        except RolloutError as error:
            told += 1
            assert "copy.h5" in str(error) and "\n" not in str(error)
    assert told


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: r.read("colour", [0]), "there is no column 'colour'; there are: observation, action, "),
        (lambda r: r.read("reward", [222]), "there is no row 222; rows are numbered 0 to 221"),
        (lambda r: r.read("reward", [0.5]), "rows: whole numbers are accepted"),
        (lambda r: r.starts(0), "sequences need a length and a stride of 1 or more, got 0 and 1"),
        (lambda r: r.starts(1, [8]), "episodes are numbered 0 to 7, got 8 to 8"),
        (lambda r: Rollouts("nowhere.h5"), "there is no rollout file nowhere.h5"),
        (lambda r: Rollouts("nowhere-*.h5"), "no file matches nowhere-"),
        (lambda r: Rollouts([]), "no rollout file is given"),
    ],
)
def test_refusals_are_one_line(rollouts: Rollouts, call: Callable[[Rollouts], object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        call(rollouts)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_files_that_are_not_of_one_kind(path: Path, tmp_path: Path) -> None:
    other = Header(spaces.Box(0, 1, (2,)), spaces.Discrete(5))
    with RolloutWriter(tmp_path / "b.h5", other) as made:
        made.append({"observation": np.zeros((2, 2)), "action": [0]})
    with pytest.raises(UsageError, match="have different columns: they cannot be read as one"):
        Rollouts([path, tmp_path / "b.h5"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"holds no rollouts \(\.h5 or \.hdf5 files\)"):
        Rollouts(tmp_path / "empty")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"observation": np.zeros((3, 12, 10, 3)), "factors": np.zeros((3, 1))}, "the episode has no column action"),
        (episode(3, 0) | {"more": [1, 2]}, "there is no column more; there are: observation"),
        (episode(3, 0) | {"action": [1]}, "an episode of 3 observations cannot have 1 rows in action"),
        (episode(3, 0) | {"factors": np.zeros((2, 1))}, "an episode of 3 observations cannot have 2 rows in factors"),
        (episode(3, 0) | {"action": [0.5, 1]}, "action holds int64, and float64 values would be changed by that"),
        (episode(3, 0) | {"observation": np.zeros((3, 12, 10))}, "rows of observation have the shape"),
    ],
)
def test_episodes_that_do_not_fit(tmp_path: Path, rows: Arrays, message: str) -> None:
    with RolloutWriter(tmp_path / "a.h5", HEADER, factor_dtype=np.float64) as made:
        made.append(EPISODES[1])
        with pytest.raises(UsageError) as caught:
            made.append(rows)
        assert str(caught.value).startswith(message)
        made.append(EPISODES[2])
    assert Rollouts(tmp_path / "a.h5").lengths.tolist() == [15, 16]


def test_the_writer_forgets_what_is_not_whole(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", EPISODES[:3])
    with RolloutWriter(tmp_path / "a.h5") as made:
        assert (made.episodes, made.steps, made.rows) == (3, 29, 32)
        made.write({name: expected(name, EPISODES[6:7])[:70] for name in made.columns})
        assert (made.episodes, made.rows) == (3, 102)
        with pytest.raises(UsageError, match="the running episode is not whole"):
            made.commit()
    assert Rollouts(tmp_path / "a.h5").lengths.tolist() == [1, 15, 16]
    with RolloutWriter(tmp_path / "a.h5") as made:
        made.drop_last_episode()
        made.append(EPISODES[4], seed=104)
        made.append(EPISODES[5], seed=105)
        made.drop_last_episode()
        with pytest.raises(UsageError, match="at least one row"):
            made.end_episode()
    found, kept = Rollouts(tmp_path / "a.h5"), [EPISODES[0], EPISODES[1], EPISODES[4]]
    assert found.seeds.tolist() == [100, 101, 104]
    for name in found.columns:
        assert np.array_equal(found.all(name), expected(name, kept))


def test_seeds_have_sixty_four_bits(tmp_path: Path) -> None:
    header = Header(spaces.Box(0, 1, (1,)), spaces.Discrete(2))
    rows = {"observation": np.zeros((1, 1), np.float32), "action": []}
    with RolloutWriter(tmp_path / "a.h5", header) as writer:
        for seed in (-2, 2**64 - 1, 2**70):
            with pytest.raises(UsageError, match="the seed of an episode is 0 to"):
                writer.append(rows, seed)
            writer.discard()
        for seed in (-1, 2**63, 2**64 - 2):
            writer.append(rows, seed)
    seeds = Rollouts(tmp_path / "a.h5").seeds
    assert [int(seed) % 2**64 for seed in seeds[1:]] == [2**63, 2**64 - 2] and seeds[0] == -1


def test_the_first_episode_lasts_at_once(tmp_path: Path) -> None:
    header = Header(spaces.Box(0, 1, (1,)), spaces.Discrete(2))
    writer = RolloutWriter(tmp_path / "a.h5", header, every=1e9)
    for _ in range(3):
        writer.append({"observation": np.zeros((1, 1), np.float32), "action": []})
    writer.abandon()
    assert Rollouts(tmp_path / "a.h5").episodes == 1


def test_a_file_is_not_overwritten_and_not_made_of_nothing(tmp_path: Path, path: Path) -> None:
    with pytest.raises(UsageError, match="exists already"):
        RolloutWriter(path, HEADER)
    with pytest.raises(UsageError, match=r"there is no file .* to go on with"):
        RolloutWriter(tmp_path / "a.h5")
    with pytest.raises(
        UsageError, match=r"unknown compression 'lz5' \(did you mean 'lz4'\?\); there are: lz4, zstd, none"
    ):
        RolloutWriter(tmp_path / "a.h5", HEADER, compression="lz5")
    assert list(tmp_path.iterdir()) == []


def test_long_headers_have_room(tmp_path: Path) -> None:
    bounds = np.random.default_rng(0).random((64, 64, 3))
    header = Header(spaces.Box(-bounds, bounds, dtype=np.float64), spaces.Discrete(2))
    assert len(header.to_attributes()["observation_space"]) > 200_000
    with RolloutWriter(tmp_path / "a.h5", header) as made:
        made.append({"observation": np.zeros((2, 64, 64, 3)), "action": [1]})
    assert Rollouts(tmp_path / "a.h5").header == header


def test_packing_in_memory() -> None:
    rng = np.random.default_rng(0)
    rows = {"a": rng.random((5, 3)), "b": np.zeros((0, 4), np.int64), "c": np.zeros((64, 9, 9), np.uint8)[:, ::2]}
    for name, values in Packed(rows).rows().items():
        assert np.array_equal(values, rows[name]) and values.dtype == rows[name].dtype and values.flags.writeable


def test_plugins_are_the_ones_that_are_called() -> None:
    assert {kind.filter for kind in codec._KINDS.values()} == {
        dict(hdf5plugin.Blosc())["compression"],
        dict(hdf5plugin.Zstd())["compression"],
    }
