"""Films: pictures one after another in a file, by what is installed."""

from __future__ import annotations

import importlib.util
import io
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..envs.registry import UsageError
from ..world_models import runs

_SIDE = 256
"""Pictures are magnified by the whole number that brings their height nearest to so many pixels from below."""
_GAP = 2


def check_video(path: Path) -> None:
    """Refuses a file that no film can be written to.

    Raises:
        UsageError: Its ending says no format that can be written here, or there is no such folder.
    """
    accepted = ".gif" + ("" if _writer() is None else " and .mp4")
    if path.suffix.lower() not in (".gif", ".mp4"):
        raise UsageError(f"a film is written to a file that ends in {accepted}, not to {path.name}")
    if path.suffix.lower() == ".mp4" and _writer() is None:
        raise UsageError(f"{path.name}: MP4 needs imageio-ffmpeg or opencv, which are not installed; .gif is accepted")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent} to write {path.name} into")


def _writer() -> str | None:
    """What can write MP4."""
    return next((name for name in ("imageio_ffmpeg", "cv2") if importlib.util.find_spec(name) is not None), None)


def write_video(path: Path, frames: Iterable[NDArray[np.uint8]], fps: int) -> None:
    """Writes a film: GIF, or MP4 where imageio-ffmpeg or opencv is installed.

    Args:
        path: The file; ``.gif`` or ``.mp4``.
        frames: Pictures of one size, uint8 [H, W, 3], one or more.
        fps: Pictures a second. A GIF counts in hundredths of a second.

    Raises:
        UsageError: It cannot be written as such a file.
    """
    check_video(path)
    shown = list(frames)
    if path.suffix.lower() == ".gif":
        first, *rest = [Image.fromarray(frame) for frame in shown]
        stream = io.BytesIO()
        first.save(
            stream,
            "GIF",
            save_all=True,
            append_images=rest,
            duration=10 * max(1, round(100 / fps)),
            loop=0,
            optimize=False,
        )
        runs.write_bytes(path, stream.getvalue())
        return
    height, width = (side - side % 2 for side in shown[0].shape[:2])  # what codecs take
    even = [np.ascontiguousarray(frame[:height, :width]) for frame in shown]
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        whole = Path(folder) / "film.mp4"
        _write_mp4(whole, even, fps)
        whole.replace(path)


def _write_mp4(path: Path, frames: list[NDArray[np.uint8]], fps: int) -> None:
    module: Any = importlib.import_module(str(_writer()))
    height, width = frames[0].shape[:2]
    if module.__name__ == "cv2":
        film = module.VideoWriter(str(path), module.VideoWriter_fourcc(*"mp4v"), fps, (width, height))
        for frame in frames:
            film.write(frame[..., ::-1])
        film.release()
        return
    film = module.write_frames(str(path), (width, height), fps=fps)
    film.send(None)
    for frame in frames:
        film.send(frame.tobytes())
    film.close()


def side_by_side(pictures: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Pictures in a row, magnified to about the same height, with a white line between them.

    Args:
        pictures: uint8 [H, W, 1 or 3].

    Returns:
        uint8 [H', W', 3].
    """
    large = []
    for picture in pictures:
        times = max(1, _SIDE // picture.shape[0])
        colour = picture if picture.shape[2] == 3 else np.repeat(picture[..., :1], 3, axis=2)
        large.append(np.repeat(np.repeat(colour, times, axis=0), times, axis=1))
    height = max(picture.shape[0] for picture in large)
    parts = []
    for picture in large:
        sheet = np.zeros((height, picture.shape[1], 3), dtype=np.uint8)
        sheet[: picture.shape[0]] = picture
        parts += [np.full((height, _GAP, 3), 255, dtype=np.uint8), sheet]
    return np.concatenate(parts[1:], axis=1)
