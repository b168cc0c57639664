"""Films are whole or not there."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from equiworld.agents import video


class Recorder:
    """Stands in for a writer of MP4, which is not installed everywhere."""

    def __init__(self, path: str, failing: bool) -> None:
        self.path, self.failing = Path(path), failing

    def write(self, frame: Any) -> None:
        self.path.write_bytes(b"half")
        if self.failing:
            raise OSError("no space left")

    def release(self) -> None: ...


@pytest.mark.parametrize("failing", [False, True])
def test_an_mp4_that_is_not_finished_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: bool
) -> None:
    cv2 = SimpleNamespace(
        __name__="cv2",
        VideoWriter=lambda path, *rest: Recorder(path, failing),
        VideoWriter_fourcc=lambda *letters: 0,
    )
    monkeypatch.setitem(sys.modules, "cv2", cv2)  # type: ignore[arg-type]
    monkeypatch.setattr(video, "_writer", lambda: "cv2")
    film = tmp_path / "film.mp4"
    film.write_bytes(b"before")
    frames = [np.zeros((5, 5, 3), dtype=np.uint8)]
    if failing:
        with pytest.raises(OSError, match="no space"):
            video.write_video(film, frames, 10)
    else:
        video.write_video(film, frames, 10)
    assert film.read_bytes() == (b"before" if failing else b"half")
    assert list(tmp_path.iterdir()) == [film]
