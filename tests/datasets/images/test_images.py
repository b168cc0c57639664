"""Folders of images, prepared files, splits by class and binarisation."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

import equiworld
from equiworld import evaluate, train
from equiworld.datasets import DATASETS, ImageDataset, WindowLoader, factors, load, make_ready, still_images
from equiworld.datasets.images import ImageError, ImageFile, Shape, from_arrays, pictures, write_images
from equiworld.datasets.prepare import main
from equiworld.datasets.registry import absolute
from equiworld.datasets.splits import split_classes
from equiworld.envs import UsageError
from equiworld.world_models.assembly import Assembly, assemble, options_from_config


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def save(path: Path, pixels: np.ndarray, **settings) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **settings)
    return pixels


def colour(rng, height=6, width=5) -> np.ndarray:
    return rng.integers(0, 256, (height, width, 3)).astype(np.uint8)


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_is_read_with_the_folders_in_it(tmp_path, rng):
    pictures = [save(tmp_path / name, colour(rng)) for name in ("a.png", "b/c.bmp", "b/d/e.PNG")]
    (tmp_path / "b" / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_text("no image either")
    data = load(f"folder:{tmp_path}")
    np.testing.assert_array_equal(data.frames(np.arange(3)), pictures)
    assert data.labels is None and data.world.image_shape == (6, 5, 3) and len(data) == 3
    image, known = data[-1]
    assert tuple(image.shape) == (3, 6, 5) and image.dtype == torch.float32 and len(known) == 0
    np.testing.assert_array_equal((image * 255).round().numpy().transpose(1, 2, 0), pictures[2])
    with pytest.raises(UsageError, match="have no factors"):
        data.generative_factors(0)
    assert visible(tmp_path) == [".hidden.png", "a.png", "b", "folder-full.h5"]


def test_size_crop_and_grey(tmp_path, rng):
    pixels = save(tmp_path / "a.png", colour(rng, 12, 10))
    image = Image.fromarray(pixels)
    small = load(f"folder:{tmp_path}", image_size=4)
    np.testing.assert_array_equal(small.frames(0), image.resize((4, 4), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(load(f"folder:{tmp_path}", crop=4).frames(0), pixels[4:8, 3:7])
    np.testing.assert_array_equal(load(f"folder:{tmp_path}", crop=0).frames(0), pixels[1:11])
    grey = load(f"folder:{tmp_path}", grayscale=True)
    np.testing.assert_array_equal(grey.frames(0)[..., 0], image.convert("L"))
    assert len(list(tmp_path.glob("*.h5"))) == 4  # each is kept for itself
    with pytest.raises(UsageError, match=r"--crop 11: .* has 10 x 12 pixels only"):
        load(f"folder:{tmp_path}", crop=11)
    with pytest.raises(UsageError, match="--image-size must be between 1 and 4096, got 0"):
        load(f"folder:{tmp_path}", image_size=0)


def test_a_folder_that_changed_is_prepared_again(tmp_path, rng):
    save(tmp_path / "a.png", colour(rng))
    assert len(load(f"folder:{tmp_path}")) == 1
    made = (tmp_path / "folder-full.h5").stat().st_mtime_ns
    assert len(load(f"folder:{tmp_path}")) == 1
    assert (tmp_path / "folder-full.h5").stat().st_mtime_ns == made
    second = save(tmp_path / "b.png", colour(rng))
    np.testing.assert_array_equal(load(f"folder:{tmp_path}").frames(1), second)


def test_folders_in_it_are_classes_or_parts(tmp_path, rng):
    for kind in ("cat", "dog"):
        for number in range(10):
            save(tmp_path / "kinds" / kind / f"{number}.png", colour(rng))
    data = load(f"folder:{tmp_path / 'kinds'}")
    assert data.classes == ("cat", "dog") and data.labels.tolist() == [0] * 10 + [1] * 10
    split = data.split(0.1, 0.2)
    assert np.bincount(data.labels[split.test]).tolist() == [2, 2]
    assert np.bincount(data.labels[split.validation]).tolist() == [1, 1]
    for part, kind in [("train", "cat"), ("train", "dog"), ("test", "dog"), ("val", "cat")]:
        for number in range(2):
            save(tmp_path / "parts" / part / kind / f"{number}.png", colour(rng))
    data = load(f"folder:{tmp_path / 'parts'}")
    split = data.split()  # the files are sorted: test, train, val
    assert (split.test.tolist(), split.validation.tolist()) == ([0, 1], [6, 7])
    assert data.labels.tolist() == [1, 1, 0, 0, 1, 1, 0, 0]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (np.zeros((6, 6, 3), np.uint8), r"b.png is 6 x 6 pixels with 3 channels, but .*a.png 5 x 6 .* --image-size"),
        (np.zeros((6, 5), np.uint8), r"b.png is 5 x 6 pixels with 1 channel, but .*a.png .* --grayscale where only"),
    ],
)
def test_images_of_mixed_size_or_mode(tmp_path, rng, second, message):
    save(tmp_path / "a.png", colour(rng))
    save(tmp_path / "b.png", second)
    with pytest.raises(UsageError, match=message):
        load(f"folder:{tmp_path}")
    assert visible(tmp_path) == ["a.png", "b.png"]
    assert len(load(f"folder:{tmp_path}", image_size=4, grayscale=True)) == 2


def test_modes_of_images(tmp_path, rng):
    grey = save(tmp_path / "grey" / "a.png", colour(rng)[..., 0])
    assert np.array_equal(load(f"folder:{tmp_path / 'grey'}").frames(0)[..., 0], grey)
    opaque = np.dstack([colour(rng), np.full((6, 5), 255, np.uint8)])
    save(tmp_path / "opaque" / "a.png", opaque)
    np.testing.assert_array_equal(load(f"folder:{tmp_path / 'opaque'}").frames(0), opaque[..., :3])
    (tmp_path / "palette").mkdir()
    palette = Image.fromarray(colour(rng)).quantize(4)
    palette.save(tmp_path / "palette" / "a.png")
    np.testing.assert_array_equal(load(f"folder:{tmp_path / 'palette'}").frames(0), palette.convert("RGB"))
    opaque[2, 2, 3] = 0
    for name, pixels, message in [
        ("clear", opaque, "it has transparent pixels"),
        ("deep", rng.integers(0, 65536, (6, 5)).astype(np.uint16), "its mode is I;16; grey and colours of 8 bits"),
    ]:
        save(tmp_path / name / "a.png", pixels)
        with pytest.raises(ImageError, match=f"a.png cannot be read as an image: {message}"):
            load(f"folder:{tmp_path / name}")


@pytest.mark.parametrize("ending", ["png", "jpg", "gif", "tif", "bmp", "webp"])
def test_images_that_cannot_be_read(tmp_path, rng, ending):
    save(tmp_path / f"a.{ending}", colour(rng))
    file = tmp_path / f"b.{ending}"
    save(file, colour(rng, 60, 50))
    content = file.read_bytes()
    for damaged in (b"", b"junk", content[: len(content) // 2]):
        file.write_bytes(damaged)
        with pytest.raises(ImageError) as caught:
            load(f"folder:{tmp_path}", image_size=4)
        assert str(caught.value).startswith(f"{file} cannot be read as an image") and "\n" not in str(caught.value)
        assert visible(tmp_path) == [f"a.{ending}", f"b.{ending}"]


def test_folders_without_images(tmp_path):
    for path, message in [
        (tmp_path / "no", "there is no folder"),
        (tmp_path, r"holds no images \(.bmp, .gif"),
    ]:
        with pytest.raises(UsageError, match=message):
            load(f"folder:{path}")
    with pytest.raises(UsageError, match="needs the path"):
        load("folder:")
    (tmp_path / "words.h5").write_text("no HDF5")
    with pytest.raises(UsageError, match=r"words.h5: it is neither a folder nor a file of prepared images"):
        load(f"folder:{tmp_path / 'words.h5'}")


def test_names_of_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert absolute("folder:a/b") == f"folder:{tmp_path}/a/b" and absolute("games.h5") == f"{tmp_path}/games.h5"
    assert absolute("flatland") == "flatland" and "folder:a" in DATASETS
    assert absolute("folder:") == "folder:"  # not the working directory
    with pytest.raises(UsageError, match=r"or of images \(folder:PATH\)"):
        DATASETS["flatlamd"]


def write(path: Path, images: np.ndarray, shape: Shape | None = None, **about) -> Path:
    pictures = from_arrays(len(images), lambda: iter(np.array_split(images, 7)), "test", **about)
    write_images(path, pictures, Shape() if shape is None else shape, "test")
    return path


@pytest.mark.parametrize("size", [(3, 5, 1), (64, 64, 3), (200, 200, 3)])
def test_prepared_files_give_any_images(tmp_path, rng, size):
    images = rng.integers(0, 256, (75, *size)).astype(np.uint8)
    file = ImageFile(write(tmp_path / "a.h5", images))
    for numbers in (rng.integers(0, 75, 40), np.arange(75), np.array([74, 0, 74]), np.empty(0, np.int64)):
        np.testing.assert_array_equal(file.read(numbers), images[numbers])
    again = pickle.loads(pickle.dumps(file))
    np.testing.assert_array_equal(again.read(np.array([9])), images[[9]])
    with h5py.File(file.path) as held:  # as any program reads it
        np.testing.assert_array_equal(held["images"][60:], images[60:])


def test_more_than_memory_is_read_by_batches(tmp_path, rng, monkeypatch):
    images = rng.integers(0, 256, (50, 4, 4, 3)).astype(np.uint8)
    path = write(tmp_path / "a.h5", images)
    whole, monkey = ImageDataset(path), rng.permutation(50)
    monkeypatch.setattr(factors, "CACHE_BYTES", 0)
    data = ImageDataset(path)
    assert data._cache is None
    np.testing.assert_array_equal(data.frames(monkey), images[monkey])
    np.testing.assert_array_equal(data.images(monkey), whole.images(monkey))
    np.testing.assert_array_equal(data.frames([[1, 2], [3, 4]]), images[[[1, 2], [3, 4]]])


def test_damaged_prepared_files(tmp_path, rng):
    images = rng.integers(0, 4, (40, 32, 32, 3)).astype(np.uint8)  # such as can be compressed
    path = write(tmp_path / "a.h5", images, labels=np.zeros(40, np.int64), classes=("one",))
    content = path.read_bytes()
    with h5py.File(path) as held:
        place = held["images"].id.get_chunk_info(0).byte_offset
    path.write_bytes(content[:place] + bytes(200) + content[place + 200 :])
    with pytest.raises(ImageError, match="rows 0 and on of /images cannot be unpacked"):
        ImageDataset(path).frames(0)
    for damaged in (content[: len(content) // 2], b"", b"junk"):
        path.unlink()  # HDF5 still holds the one before
        path.write_bytes(damaged)
        with pytest.raises(ImageError, match="it is damaged or no HDF5 file; remove it, and it is made again"):
            ImageDataset(path)
    for change, message in [
        (lambda held: held.attrs.modify("version", 2), "another version"),
        (lambda held: held["labels"].write_direct(np.full(40, 7)), "no classes"),
        (lambda held: held.__delitem__("images"), "images"),
        (lambda held: held["about"].write_direct(np.array(b"{", dtype=object)), "cannot be read"),
    ]:
        path.write_bytes(content)
        with h5py.File(path, "r+") as held:
            change(held)
        with pytest.raises(ImageError, match=message):
            ImageDataset(path)


def test_truncated_prepared_files_are_no_folders(tmp_path, rng, capsys):
    path = write(tmp_path / "a.h5", rng.integers(0, 256, (40, 32, 32, 3)).astype(np.uint8))
    path.write_bytes(path.read_bytes()[:20_000])
    for name, options in ((f"folder:{path}", {}), ("celeba", {"data_path": str(path)})):
        with pytest.raises(ImageError, match=r"a.h5 cannot be read: .*truncated"):
            load(name, **options)
    assert main(["celeba", str(path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_shares_that_are_not_read_are_refused(tmp_path, rng):
    roles = np.repeat(np.array([0, 1, 2], np.int8), [20, 5, 5])
    images = rng.integers(0, 256, (30, 16, 16, 3)).astype(np.uint8)
    path = write(tmp_path / "a.h5", images, roles=roles)
    for name in ("test", "validation"):
        with pytest.raises(
            UsageError, match=rf"--{name}-split 0.2 is not read: the data say which images are for {name}"
        ):
            assembled(path, **{f"{name}_split": 0.2})
    assert len(assembled(path).split.test) == 5
    assert len(assembled(path, test_split=0.2, published_split=False).split.test) == 6
    half = write(tmp_path / "b.h5", images, roles=np.where(roles == 2, roles, 0).astype(np.int8))
    assert len(assembled(half, validation_split=0.2).split.validation) == 5
    with pytest.raises(UsageError, match=r"--test-split 0.2 is not read"):
        assembled(half, test_split=0.2)


def test_splits_by_class():
    labels = np.repeat(np.arange(5), [100, 50, 10, 4, 1])
    split = split_classes(labels, None, 0.2, 0.1, seed=3)
    assert [len(part) for part in (split.train, split.validation, split.test)] == [116, 33, 16]
    everything = np.concatenate([split.train, split.validation, split.test])
    assert np.array_equal(np.sort(everything), np.arange(165))
    for part, share in ((split.validation, 0.2), (split.test, 0.1)):
        counts = np.bincount(labels[part], minlength=5)
        assert (np.abs(counts - share * np.bincount(labels)) < 1.5).all()
    again, other = split_classes(labels, None, 0.2, 0.1, seed=3), split_classes(labels, None, 0.2, 0.1, seed=4)
    assert np.array_equal(again.test, split.test) and not np.array_equal(other.test, split.test)
    # What is published stays; the rest is drawn from what is published for training.
    roles = np.where(np.arange(165) % 3 == 0, 2, 0).astype(np.int8)
    split = split_classes(labels, roles, 0.5, 0.1)
    assert np.array_equal(split.test, np.flatnonzero(roles == 2)) and len(split.validation) == 55
    # A class of one is in each part now and then.
    parts = [split_classes(labels, None, 0.3, 0.3, seed) for seed in range(60)]
    places = [[164 in part for part in (each.train, each.validation, each.test)].index(True) for each in parts]
    assert 10 <= places.count(0) <= 40 and places.count(1) >= 5 and places.count(2) >= 5
    for shares, message in [((0.0, 0.1), "between 0 and 1"), ((0.001, 0.1), "validation part empty")]:
        with pytest.raises(UsageError, match=message):
            split_classes(labels, None, *shares)


def test_thresholds(tmp_path):
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    path = write(tmp_path / "a.h5", ramp)
    spec = DATASETS[f"folder:{path}"]
    for threshold, first in ((0.1, 26), (0.5, 128), (0.0, 1)):
        data = ImageDataset(path, spec.options(threshold=threshold))
        np.testing.assert_array_equal(data.frames(0).reshape(-1), np.where(np.arange(256) >= first, 255, 0))
    with pytest.raises(UsageError, match="--threshold must be 0 or more and below 1, got 1"):
        ImageDataset(path, spec.options(threshold=1.0))
    with pytest.raises(UsageError, match="give one"):
        ImageDataset(path, spec.options(threshold=0.5, dynamic_binarisation=True))


def test_thresholds_are_looked_at_before_images_are_prepared(tmp_path, rng):
    save(tmp_path / "a.png", colour(rng))
    name = f"folder:{tmp_path}"
    with pytest.raises(UsageError, match="--threshold must be"):
        make_ready(name, DATASETS[name].options(threshold=2.0))
    with pytest.raises(UsageError, match="--threshold must be"):
        load(name, threshold=2.0)
    assert visible(tmp_path) == ["a.png"]


def test_dynamic_binarisation_is_drawn_anew_at_every_pass(tmp_path):
    shades = np.broadcast_to(np.array([0, 51, 128, 255], dtype=np.uint8)[:, None, None, None], (4, 100, 100, 1))
    path = write(tmp_path / "a.h5", shades.copy())
    data = ImageDataset(path, DATASETS[f"folder:{path}"].options(dynamic_binarisation=True), seed=5)
    loader = WindowLoader(still_images(data), still_images(data).windows(0), 0, 4, seed=5)
    passes = []
    for number in (0, 0, 1):
        (batch,) = loader.epoch(number)
        order = batch.frames.mean((1, 2, 3)).argsort()  # by brightness: as they were
        passes.append(batch.frames[order])
        assert set(batch.frames.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(passes[0], passes[1]) and not torch.equal(passes[0], passes[2])
    means = passes[2].mean((1, 2, 3)).numpy()
    np.testing.assert_allclose(means, np.array([0, 51, 128, 255]) / 255, atol=0.02)  # four standard deviations
    assert means[0] == 0 and means[3] == 1
    assert torch.equal(data.images([1, 2]), data.images([1, 2]))  # without a pass, always the same
    assert data.frames(1).max() == 51


def assembled(path: Path, **options) -> Assembly:
    config = {"model": "vae", "architecture": "forward", "latents": 2, "dataset": f"folder:{path}", **options}
    return assemble(options_from_config(config, "test"))


def test_a_model_sees_all_training_images_and_no_other(tmp_path, rng):
    images = rng.integers(0, 256, (60, 16, 16, 3)).astype(np.uint8)
    path = write(tmp_path / "a.h5", images, roles=(np.arange(60) >= 40).astype(np.int8) * 2)
    run = assembled(path, batch_size=6)
    seen = torch.cat([batch.frames for batch in run.loader("training").epoch(0)])
    assert len(seen) == 36
    expected = torch.from_numpy(images[run.split.train]).permute(0, 3, 1, 2).float() / 255
    assert {row.numpy().tobytes() for row in seen.contiguous()} == {
        row.numpy().tobytes() for row in expected.contiguous()
    }
    assert run.split.test.tolist() == list(range(40, 60))


def test_training_prepares_images_on_first_use_and_finds_them_again(tmp_path, rng, monkeypatch, capsys):
    for number in range(30):
        save(tmp_path / "in" / f"{number}.png", colour(rng))
    monkeypatch.chdir(tmp_path)
    command = ["--model=vae", "--latents=2", "--architecture=forward", "--epochs=1", "--batch-size=8", "--no-evaluate"]
    assert train.main([*command, "--dataset=folder:in", "--image-size=16", "--grayscale"]) == 0
    assert "folder:" in capsys.readouterr().err and (tmp_path / "in" / "folder-16-grey.h5").is_file()
    monkeypatch.chdir(tmp_path / "in")
    run = equiworld.world_models.load_run(tmp_path / "logs" / "version_0")
    assert run.data.world.image_shape == (16, 16, 1) and run.options.dataset_name == f"folder:{tmp_path}/in"
    assert evaluate.main([str(tmp_path / "logs" / "version_0"), "--report", "--metrics", "mig", "reconstruction"]) == 0
    assert "mig: these images have no factors" in capsys.readouterr().out
    assert (tmp_path / "logs" / "version_0" / "report.html").is_file()
    save(tmp_path / "in" / "new.png", colour(rng))
    assert train.main(["--resume", str(tmp_path / "logs" / "version_0"), "--epochs=2"]) == 1
    heard = capsys.readouterr().err.splitlines()[-1]
    assert "or of another run, or the data have changed: the split covers 30 states, not the 31 there are" in heard
    (tmp_path / "in" / "new.png").unlink()
    for number in range(30):
        save(tmp_path / "in" / f"{number}.png", colour(rng))
    for program in (lambda run: train.main(["--resume", run, "--epochs=2"]), lambda run: evaluate.main([run])):
        assert program(str(tmp_path / "logs" / "version_0")) == 1
        heard = capsys.readouterr().err.splitlines()[-1]
        assert "was trained on other images than its data set has now" in heard
    assert train.main([*command, "--dataset=folder:nowhere"]) == 2
    heard = capsys.readouterr().err
    assert "there is no folder" in heard and heard.count("\n") == 1
    assert train.main([*command, "--dataset=celeba"]) == 2
    assert "data/celeba/img_align_celeba; expected" in capsys.readouterr().err


def test_a_model_of_actions_is_refused_before_anything_is_prepared(tmp_path, rng, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "in" / "a.png", colour(rng))
    assert train.main(["--model=rgrvae", "--dataset=folder:in"]) == 2
    assert "learns from actions, of which --dataset folder:" in capsys.readouterr().err
    assert [each.name for each in tmp_path.rglob("*") if each.is_file()] == ["a.png"]


def test_a_run_finds_its_data_path_from_anywhere(tmp_path, rng, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(30):
        save(tmp_path / "in" / "img_align_celeba" / f"{number}.png", colour(rng))
    command = ["--model=vae", "--latents=2", "--architecture=forward", "--epochs=1", "--batch-size=8", "--no-evaluate"]
    assert train.main([*command, "--dataset=celeba", "--data-path=in", "--image-size=16"]) == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert len(equiworld.world_models.load_run(tmp_path / "logs" / "version_0").data) == 30
    assert train.main(["--resume", str(tmp_path / "logs" / "version_0"), "--epochs=2"]) == 0


def test_validation_is_of_all_classes(tmp_path, rng):
    labels = np.repeat(np.arange(10), 400)
    path = write(tmp_path / "a.h5", rng.integers(0, 256, (4000, 16, 16, 1)).astype(np.uint8), labels=labels,
                 classes=tuple("0123456789"))  # fmt: skip
    run = assembled(path, validation_split=0.4)
    states, _ = run.transitions.gather(run.loader("validation").starts, 0)
    counts = np.bincount(labels[states[:, 0]])
    assert counts.sum() == 512 and counts.min() >= 50


def test_prepare_makes_a_file_and_says_how_it_is_used(tmp_path, rng, capsys):
    pictures = [save(tmp_path / "in" / f"{number}.png", colour(rng, 8, 8)) for number in range(5)]
    out = tmp_path / "out.h5"
    assert main(["folder", str(tmp_path / "in"), "--out", str(out), "--image-size=full"]) == 0
    said, heard = capsys.readouterr()
    assert f"{out}: 5 images, 8 x 8 x 3" in said and f"--dataset=folder:{out}" in said
    assert heard.splitlines() == [f"{out}: 5 in all"]
    np.testing.assert_array_equal(load(f"folder:{out}").frames(np.arange(5)), pictures)
    assert visible(tmp_path / "in") == [f"{number}.png" for number in range(5)]
    assert main(["folder", str(tmp_path / "in"), "--out", str(out), "--image-size=4"]) == 0  # again
    assert load(f"folder:{out}").world.image_shape == (4, 4, 3)
    capsys.readouterr()
    for arguments, status, message in [
        (["celebb", str(tmp_path)], 2, "unknown set of images 'celebb' (did you mean 'celeba'?)"),
        (["folder", str(out)], 2, "is prepared already"),
        (["folder", str(tmp_path / "in"), "--image-size=x"], 2, "'x' is neither a whole number nor 'full'"),
        (
            ["folder", str(tmp_path / "in"), "--out", str(tmp_path / "no" / "a.h5")],
            2,
            "cannot be written (No such file",
        ),
        (["folder"], 2, "PATH"),
        (["folder", str(tmp_path / "in"), "--out", str(tmp_path / "in" / "0.png")], 2, "0.png is there and no file of"),
        (["folder", str(tmp_path / "in"), "--out", str(tmp_path)], 2, "is there and no file of prepared images"),
    ]:
        assert main(arguments) == status
        heard = capsys.readouterr().err
        assert message in heard and heard.count("\n") == 1


def test_a_prepared_file_keeps_its_settings(tmp_path, rng):
    save(tmp_path / "in" / "a.png", colour(rng, 8, 8))
    out = tmp_path / "out.h5"
    assert main(["folder", str(tmp_path / "in"), "--out", str(out), "--image-size=4"]) == 0
    assert load(f"folder:{out}", image_size=4).world.image_shape == (4, 4, 3)
    with pytest.raises(UsageError, match="was prepared with image_size 4, not 5"):
        load(f"folder:{out}", image_size=5)
    with pytest.raises(UsageError, match="was prepared as 'folder', not as 'celeba'"):
        load("celeba", data_path=str(out))


def test_a_killed_preparation_leaves_nothing_half_written(tmp_path, rng):
    images = rng.integers(0, 256, (20, 64, 64, 3)).astype(np.uint8)

    def blocks():
        yield images[:10]
        os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        write_images(tmp_path / "a.h5", from_arrays(20, blocks, "test"), Shape(), "test")
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert visible(tmp_path) == [".a.h5.part"]
    np.testing.assert_array_equal(ImageFile(write(tmp_path / "a.h5", images)).read(np.arange(20)), images)
    assert visible(tmp_path) == ["a.h5"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_preparation_leaves_nothing(tmp_path, rng, monkeypatch, capsys, number, status):
    for name in range(3):
        save(tmp_path / f"{name}.png", colour(rng))
    opened = pictures.open_image

    def interrupted(file, channels):
        os.kill(os.getpid(), number)
        return opened(file, channels)

    monkeypatch.setattr(pictures, "open_image", interrupted)
    if number == signal.SIGINT:
        assert main(["folder", str(tmp_path)]) == status
        assert capsys.readouterr().err == "prepare: interrupted; nothing was written\n"
    else:
        with pytest.raises(SystemExit) as left:
            main(["folder", str(tmp_path)])
        assert left.value.code == status
    assert visible(tmp_path) == ["0.png", "1.png", "2.png"]


def test_a_full_disk_is_one_line(tmp_path, rng):
    for number in range(3):
        save(tmp_path / "in" / f"{number}.png", colour(rng, 200, 200))
    # In a process of its own, because a limit stays; HDF5 could end it where it is left alone with an error.
    lines = [
        "import resource, sys",
        "from equiworld.datasets.prepare import main",
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))",
        f"sys.exit(main(['folder', {str(tmp_path / 'in')!r}, '--image-size=full']))",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[1:] == [f"prepare: {tmp_path / 'in' / 'folder-full.h5'}: File too large"]
    assert visible(tmp_path / "in") == ["0.png", "1.png", "2.png"]


def test_folders_that_are_hidden_or_cannot_be_read(tmp_path, rng, monkeypatch):
    save(tmp_path / "a.png", colour(rng))
    save(tmp_path / ".thumbnails" / "a.png", colour(rng, 2, 2))
    (tmp_path / "b").mkdir()
    assert len(load(f"folder:{tmp_path}")) == 1
    scan = os.scandir

    def refused(path):
        if Path(path) == tmp_path / "b":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(PermissionError, match="Permission denied"):
        load(f"folder:{tmp_path}")


def test_two_that_prepare_at_once_do_not_disturb_each_other(tmp_path, rng):
    images = rng.integers(0, 256, (20, 4, 4, 1)).astype(np.uint8)

    def blocks():
        yield images[:10]
        with pytest.raises(UsageError, match="is in use"):
            write(tmp_path / "a.h5", images)
        yield images[10:]

    write_images(tmp_path / "a.h5", from_arrays(20, blocks, "test"), Shape(), "test")
    np.testing.assert_array_equal(ImageFile(tmp_path / "a.h5").read(np.arange(20)), images)
    assert visible(tmp_path) == ["a.h5"]
