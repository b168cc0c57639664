"""Published sets of images, from small files of their true layouts."""

from __future__ import annotations

import gzip
import json
import pickle
import struct
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from equiworld.datasets import load
from equiworld.datasets.images import PUBLISHED, ImageError
from equiworld.envs import UsageError

NAMES = ["cars3d", "celeba", "chairs3d", "cub", "food101", "mnist", "omniglot", "oxford102", "shapes3d"]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def save(path: Path, pixels: np.ndarray) -> np.ndarray:
    """Writes a picture without loss, whatever the name's ending says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, format="PNG")
    return pixels


def colour(rng, height=8, width=8) -> np.ndarray:
    return rng.integers(0, 256, (height, width, 3)).astype(np.uint8)


def idx(path: Path, values: np.ndarray, packed: bool) -> None:
    content = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()
    path.with_name(path.name + ".gz" * packed).write_bytes(gzip.compress(content) if packed else content)


@pytest.mark.parametrize("packed", [False, True])
def test_mnist_from_idx_files(tmp_path, rng, packed):
    train, test = (rng.integers(0, 256, (n, 28, 28)).astype(np.uint8) for n in (40, 10))
    digits = np.arange(50).astype(np.uint8) % 10
    idx(tmp_path / "train-images-idx3-ubyte", train, packed)
    idx(tmp_path / "train-labels-idx1-ubyte", digits[:40], packed)
    idx(tmp_path / "t10k-images-idx3-ubyte", test, packed)
    idx(tmp_path / "t10k-labels-idx1-ubyte", digits[40:], packed)
    data = load("mnist", data_path=str(tmp_path))
    np.testing.assert_array_equal(data.frames(np.arange(50))[..., 0], np.concatenate([train, test]))
    assert data.world.image_shape == (28, 28, 1) and not data.world.actions
    np.testing.assert_array_equal(data.labels, digits)
    assert data.classes == tuple("0123456789")
    image, label = data[43]
    assert tuple(image.shape) == (1, 28, 28) and label.tolist() == [3]
    split = data.split(0.25, 0.1)
    assert split.test.tolist() == list(range(40, 50))  # as published
    assert np.bincount(data.labels[split.validation], minlength=10).tolist() == [1] * 10
    drawn = load("mnist", data_path=str(tmp_path), published_split=False).split(0.2, 0.2)
    assert np.bincount(data.labels[drawn.test], minlength=10).tolist() == [1] * 10
    assert set(drawn.test) != set(split.test)


def test_mnist_from_npz(tmp_path, rng):
    train = rng.integers(0, 256, (12, 5, 4)).astype(np.uint8)
    test = rng.integers(0, 256, (6, 5, 4)).astype(np.uint8)
    file = tmp_path / "any.npz"
    np.savez_compressed(file, x_train=train, y_train=np.arange(12) % 3, x_test=test, y_test=np.arange(6) % 3)
    data = load("mnist", data_path=str(file))
    np.testing.assert_array_equal(data.frames(np.arange(18))[..., 0], np.concatenate([train, test]))
    assert data.split().test.tolist() == list(range(12, 18))
    np.savez(tmp_path / "other.npz", images=train[:7])  # beside it, and prepared for itself
    assert len(load("mnist", data_path=str(tmp_path / "other.npz"))) == 7
    (tmp_path / "alone").mkdir()
    shares = np.array([[[0.0, 0.5, 1.0]]] * 10, dtype=np.float32)
    np.savez(tmp_path / "alone" / "b.npz", images=shares)
    data = load("mnist", data_path=str(tmp_path / "alone"))
    assert data.frames([3]).reshape(-1).tolist() == [0, 128, 255]
    assert data.labels is None and len(data.split(0.2, 0.2).test) == 2


def test_npz_files_run_no_pickles_and_say_what_is_wrong(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ImageError, match="allow_pickle=False"):
        load("mnist", data_path=str(tmp_path))
    np.savez(tmp_path / "a.npz", pictures=np.zeros((2, 3, 3)))
    with pytest.raises(ImageError, match=r"no images under a known name .*: pictures"):
        load("mnist", data_path=str(tmp_path))
    np.savez(tmp_path / "a.npz", images=np.full((2, 3, 3), 1.5))
    with pytest.raises(ImageError, match=r"values from 1.5 to 1.5; 0 to 1 are accepted"):
        load("mnist", data_path=str(tmp_path))
    np.savez(tmp_path / "a.npz", images=np.zeros((2, 3, 3)), labels=np.zeros(3))
    with pytest.raises(ImageError, match="3 labels for 2 images"):
        load("mnist", data_path=str(tmp_path))
    for images, message in [
        (np.full((2, 3, 3), "a"), "are of type <U1"),
        (np.zeros((2, 3, 3), complex), "are of type complex"),
        (np.zeros((2, 9)), r"are \[2, 9\], not \[N, H, W\]"),
    ]:
        np.savez(tmp_path / "a.npz", images=images)
        with pytest.raises(ImageError, match=message):
            load("mnist", data_path=str(tmp_path))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as packed:
        packed.writestr("images", "no array")
    with pytest.raises(ImageError, match=r"its images are \[\], not"):
        load("mnist", data_path=str(tmp_path))
    with (tmp_path / "a.npz").open("wb") as stream:
        np.save(stream, np.zeros((2, 3, 3)))
    with pytest.raises(ImageError, match="cannot be read: File is not a zip file"):
        load("mnist", data_path=str(tmp_path))
    (tmp_path / "a.npz").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ImageError, match="cannot be read: File is not a zip file"):
        load("mnist", data_path=str(tmp_path))
    assert [each.name for each in tmp_path.iterdir()] == ["a.npz"]


def test_damaged_idx_files(tmp_path, rng):
    file = tmp_path / "train-images-idx3-ubyte"
    idx(file, rng.integers(0, 256, (4, 3, 3)).astype(np.uint8), False)
    content = file.read_bytes()
    for damaged, message in [
        (content[:-1], r"35 bytes where \[4, 3, 3\]"),
        (b"junk", "no IDX file"),
        (b"", "no IDX file"),
        (gzip.compress(content)[:-12], "cannot be unpacked"),
    ]:
        file.write_bytes(damaged)
        with pytest.raises(ImageError, match=message):
            load("mnist", data_path=str(tmp_path))
        assert [each.name for each in tmp_path.iterdir()] == [file.name]


def test_omniglot_from_its_folders(tmp_path, rng):
    strokes = {}
    for part, count in (("images_background", 3), ("images_evaluation", 2)):
        for number in range(count):
            for drawer in (1, 2):
                place = tmp_path / part / f"Alphabet_{number}" / "character01" / f"0001_{drawer:02d}.png"
                place.parent.mkdir(parents=True, exist_ok=True)
                strokes[place] = rng.random((28, 28)) < 0.2
                Image.fromarray(~strokes[place]).save(place)  # black on white, one bit a pixel
    data = load("omniglot", data_path=str(tmp_path))
    shown = data.frames(np.arange(10))[..., 0]
    np.testing.assert_array_equal(shown, 255 * np.stack([strokes[place] for place in sorted(strokes)]))
    # The alphabets of the two parts are different ones in the published set; here three of five are.
    assert data.classes == tuple(f"Alphabet_{number}/character01" for number in range(3))
    assert data.split(0.2).test.tolist() == [6, 7, 8, 9]


def test_omniglot_at_28_pixels(tmp_path, rng):
    upright = (rng.random((9, 28, 28)) < 0.3).astype(np.float64)
    columns = upright.transpose(0, 2, 1).reshape(9, -1).T  # MATLAB's order
    alphabets = np.eye(3)[:, np.arange(9) % 3]
    held = {"data": columns[:, :6], "target": alphabets[:, :6], "targetchar": np.ones((1, 6))}
    held |= {"testdata": columns[:, 6:], "testtarget": alphabets[:, 6:], "testtargetchar": np.ones((1, 3))}
    savemat(tmp_path / "chardata.mat", held)
    data = load("omniglot", data_path=str(tmp_path))
    np.testing.assert_array_equal(data.frames(np.arange(9))[..., 0], 255 * upright)
    assert data.labels.tolist() == (np.arange(9) % 3).tolist()
    assert data.split(0.2).test.tolist() == [6, 7, 8]
    savemat(tmp_path / "chardata.mat", held | {"targetchar": np.ones((1, 5))})
    with pytest.raises(ImageError, match=r"chardata.mat: it has 5 labels for 6 images"):
        load("omniglot", data_path=str(tmp_path), image_size=20)


def test_celeba_and_its_partition(tmp_path, rng):
    names = [f"{number:06d}.jpg" for number in range(1, 13)]
    pictures = [save(tmp_path / "CelebA" / "img_align_celeba" / name, colour(rng, 10, 8)) for name in names]
    data = load("celeba", data_path=str(tmp_path), image_size=None)
    np.testing.assert_array_equal(data.frames(np.arange(12)), pictures)
    assert len(data.split(0.25, 0.25).test) == 3  # drawn, where there is no list
    roles = [0] * 6 + [1] * 4 + [2] * 2
    lines = "".join(f"{name} {role}\n" for name, role in zip(names, roles, strict=True))
    (tmp_path / "CelebA" / "list_eval_partition.txt").write_text(lines)
    split = load("celeba", data_path=str(tmp_path), image_size=8).split()
    assert [part.tolist() for part in (split.train, split.validation, split.test)] == [
        [0, 1, 2, 3, 4, 5],
        [6, 7, 8, 9],
        [10, 11],
    ]
    cropped = load("celeba", data_path=str(tmp_path), image_size=None, crop=4)
    np.testing.assert_array_equal(cropped.frames([5])[0], pictures[5][3:7, 2:6])
    (tmp_path / "CelebA" / "img_align_celeba" / names[3]).unlink()
    with pytest.raises(UsageError, match=r"1 images that .* names are not there, such as 000004.jpg.*mmlab"):
        load("celeba", data_path=str(tmp_path), image_size=4)
    (tmp_path / "CelebA" / "list_eval_partition.txt").write_text("000001.jpg 3\n")
    with pytest.raises(ImageError, match="with 0, 1 or 2 for the part"):
        load("celeba", data_path=str(tmp_path), image_size=4)


def test_chairs_by_model_or_flat(tmp_path, rng):
    pictures = []
    for model in ("1a", "2b"):
        for view in range(3):
            place = tmp_path / "rendered_chairs" / model / "renders" / f"image_{view:03d}_p020_t000_r096.png"
            pictures.append(save(place, colour(rng)))
    data = load("chairs3d", data_path=str(tmp_path), image_size=None)
    np.testing.assert_array_equal(data.frames(np.arange(6)), pictures)
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1] and data.classes == ("1a", "2b")
    flat = load("chairs3d", data_path=str(tmp_path / "rendered_chairs" / "1a" / "renders"), image_size=4)
    assert len(flat) == 3  # still named as published: one model


def write_cub(root: Path, rng) -> list[np.ndarray]:
    pictures, files, kinds, parts = [], [], [], []
    for number in range(1, 13):
        kind = (number - 1) // 6 + 1
        name = f"{kind:03d}.Bird/Bird_{number:04d}.jpg"
        pictures.append(save(root / "images" / name, colour(rng, 6 + number % 3, 7)))
        files.append(f"{number} {name}")
        kinds.append(f"{number} {kind}")
        parts.append(f"{number} {int(number % 2)}")
    (root / "images.txt").write_text("\n".join(files))
    (root / "image_class_labels.txt").write_text("\n".join(kinds))
    (root / "train_test_split.txt").write_text("\n".join(parts))
    (root / "classes.txt").write_text("1 001.Bird\n2 002.Bird\n")
    return pictures


def test_cub_and_its_split(tmp_path, rng):
    pictures = write_cub(tmp_path / "CUB_200_2011", rng)
    data = load("cub", data_path=str(tmp_path), image_size=16)
    expected = Image.fromarray(pictures[4]).resize((16, 16), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(data.frames([4])[0], np.asarray(expected))
    assert data.labels.tolist() == [0] * 6 + [1] * 6 and data.classes == ("001.Bird", "002.Bird")
    split = data.split(1 / 3)
    assert split.test.tolist() == [1, 3, 5, 7, 9, 11]
    # Not the last of the training images, which are all of one class.
    assert sorted(data.labels[split.validation]) == [0, 1]
    with pytest.raises(UsageError, match=r"8 x 7 pixels|7 x \d pixels"):
        load("cub", data_path=str(tmp_path), image_size=None)
    (tmp_path / "CUB_200_2011" / "train_test_split.txt").write_text("1 1\n")
    with pytest.raises(ImageError, match=r"train_test_split.txt is damaged"):
        load("cub", data_path=str(tmp_path), image_size=8)


@pytest.mark.parametrize("ending", ["txt", "json"])
def test_food_and_its_lists(tmp_path, rng, ending):
    root = tmp_path / "food-101"
    parts = {"train": ["pie/1", "pie/2", "ham/3", "ham/4"], "test": ["pie/5", "ham/6"]}
    pictures = {name: save(root / "images" / f"{name}.jpg", colour(rng)) for part in parts.values() for name in part}
    (root / "meta").mkdir()
    for part, names in parts.items():
        table = {kind: [name for name in names if name.startswith(kind)] for kind in ("pie", "ham")}
        text = "\n".join(names) if ending == "txt" else json.dumps(table)
        (root / "meta" / f"{part}.{ending}").write_text(text)
    data = load("food101", data_path=str(tmp_path), image_size=None)
    np.testing.assert_array_equal(data.frames(np.arange(6)), list(pictures.values()))
    assert data.classes == ("ham", "pie") and data.labels.tolist() == [1, 1, 0, 0, 1, 0]
    split = data.split(0.5)
    assert split.test.tolist() == [4, 5] and sorted(data.labels[split.validation]) == [0, 1]


def test_flowers_and_their_split(tmp_path, rng):
    pictures = [save(tmp_path / "jpg" / f"image_{number:05d}.jpg", colour(rng)) for number in range(1, 10)]
    savemat(tmp_path / "imagelabels.mat", {"labels": np.arange(9)[None] % 3 + 1})
    savemat(tmp_path / "setid.mat", {"trnid": [[3, 4, 5]], "valid": [[1, 2]], "tstid": [[6, 7, 8, 9]]})
    data = load("oxford102", data_path=str(tmp_path), image_size=None)
    np.testing.assert_array_equal(data.frames(np.arange(9)), pictures)
    split = data.split()
    assert (split.train.tolist(), split.validation.tolist()) == ([2, 3, 4], [0, 1])
    assert data.labels.tolist() == [0, 1, 2] * 3 and data.classes == ("1", "2", "3")
    savemat(tmp_path / "setid.mat", {"trnid": [[3, 4, 5]], "valid": [[1, 2]], "tstid": [[6, 7, 8]]})
    with pytest.raises(ImageError, match="do not say of each image what it is"):
        load("oxford102", data_path=str(tmp_path), image_size=4)
    (tmp_path / "setid.mat").write_bytes(b"junk" * 100)
    with pytest.raises(ImageError, match=r"setid.mat cannot be read as a MATLAB file"):
        load("oxford102", data_path=str(tmp_path), image_size=4)


def write_shapes(file: Path, sizes: tuple[int, ...], rng, side: int) -> np.ndarray:
    grid = np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), axis=1)
    hues, scales, angles = np.arange(10) / 10, np.linspace(0.75, 1.25, 8), np.linspace(-30, 30, 15)
    values = [hues, hues, hues, scales, np.arange(4.0), angles]
    images = rng.integers(0, 256, (len(grid), side, side, 3)).astype(np.uint8)
    with h5py.File(file, "w") as held:
        held["images"] = images
        held["labels"] = np.stack([value[column] for value, column in zip(values, grid.T, strict=True)], axis=1)
    return images


def test_shapes_have_the_factors_of_the_published_set(tmp_path, rng):
    images = write_shapes(tmp_path / "3dshapes.h5", (10, 10, 10, 8, 4, 15), rng, side=2)
    data = load("shapes3d", data_path=str(tmp_path), image_size=None)
    assert data.factors.sizes.tolist() == [10, 10, 10, 8, 4, 15] and len(data) == 480_000
    assert data.factors.names == ("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation")
    assert data.generative_factors(479_999).tolist() == [9, 9, 9, 7, 3, 14]
    drawn = data.sample_latent(100, rng)
    numbers = data.latent_to_index(drawn)
    np.testing.assert_array_equal(data.index_to_latent(numbers), drawn)
    np.testing.assert_array_equal(data.frames(numbers), images[numbers])
    picture = data.get_img_by_latent([1, 2, 3, 4, 1, 6])
    number = data.latent_to_index([1, 2, 3, 4, 1, 6])
    np.testing.assert_array_equal((picture * 255).round().numpy().transpose(1, 2, 0), images[number])


def test_shapes_of_another_layout_are_refused(tmp_path, rng):
    file = tmp_path / "3dshapes.h5"
    write_shapes(file, (2, 1, 1, 2, 2, 2), rng, side=4)
    with h5py.File(file, "r+") as held:
        held["labels"][3] = held["labels"][0]
    with pytest.raises(ImageError, match="not every combination of the six factors in order"):
        load("shapes3d", data_path=str(tmp_path))
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ImageError, match=r"3dshapes.h5 cannot be read"):
        load("shapes3d", data_path=str(tmp_path))


def test_cars_have_the_factors_of_the_published_set(tmp_path, rng):
    folder = tmp_path / "data" / "cars"
    folder.mkdir(parents=True)
    meshes = rng.integers(0, 256, (183, 3, 3, 3, 24, 4)).astype(np.uint8)
    for number, mesh in enumerate(meshes):
        savemat(folder / f"car_{number + 1:03d}_mesh.mat", {"im": mesh})
    data = load("cars3d", data_path=str(tmp_path), image_size=None)
    assert data.factors.names == ("elevation", "azimuth", "object")
    assert data.factors.sizes.tolist() == [4, 24, 183] and len(data) == 17_568
    for elevation, azimuth, car in [(0, 0, 0), (3, 1, 2), (2, 23, 182)]:
        number = data.latent_to_index([elevation, azimuth, car])
        np.testing.assert_array_equal(data.frames(number), meshes[car, ..., azimuth, elevation])
    everything = data.frames(np.arange(len(data))).reshape(4, 24, 183, 3, 3, 3)
    np.testing.assert_array_equal(everything, meshes.transpose(5, 4, 0, 1, 2, 3))
    savemat(folder / "car_002_mesh.mat", {"im": meshes[0, :2]})
    with pytest.raises(ImageError, match=r"car_002_mesh.mat: its images are not as many"):
        load("cars3d", data_path=str(tmp_path), image_size=4)
    assert not list(tmp_path.glob(".*part"))


@pytest.mark.parametrize("name", NAMES)
def test_absent_data_are_named_in_one_line(tmp_path, name):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UsageError) as caught:
            load(name, data_path=str(path))
        message, kind = str(caught.value), PUBLISHED[name]
        assert message.startswith(f"{name}: ") and "\n" not in message
        assert kind.source in message and kind.expected in message and "--data-path" in message
    assert not list(tmp_path.iterdir())
