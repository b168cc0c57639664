"""Pictures of what a model does: reconstructions, traversals and rows of actions, as arrays, PNG and GIF."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ..world_models.runs import write_whole
from .explorer import code_ranges, decoded, orbit_axes, powers
from .subject import Subject

Pixels = NDArray[np.uint8]

_GREY = 128
_SHOWN = 10  # reconstructions in a row
_STEPS = 11  # decoded images along a latent
_TEST = "test state "
_PATHS = 4  # between pairs of reconstructed images
_REPEATS = 15  # times that an action is taken in its row


@dataclass
class Strips:
    """Rows of pictures, uint8 [H, W, C] each.

    Attributes:
        rows: Row by row; rows may differ in length.
        names: What each row shows.
        columns: What each column shows; empty where nothing need be said.
        cyclic: Whether a row's first picture follows its last.
    """

    rows: list[Pixels]
    names: list[str]
    columns: list[str]
    cyclic: bool = False


def pixels(images: torch.Tensor) -> Pixels:
    """Images ``[N, C, H, W]`` in [0, 1] as uint8 [N, H, W, C]."""
    levels = (images.detach().float().clamp(0, 1) * 255).round().to(torch.uint8)
    return levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def strips(subject: Subject) -> dict[str, Strips]:
    """What can be shown of a model: with a decoder reconstructions and traversals, with actions their rows."""
    model = subject.model
    if not hasattr(model, "decode"):
        return {}
    states = subject.assembly.split.test
    shown = states[np.linspace(0, len(states) - 1, min(_SHOWN, len(states))).round().astype(int)]
    images = subject.images(shown, 6)
    again = subject.in_chunks(lambda batch: model.decode(model.encode(batch)), images)
    known = subject.known(shown)[0].tolist()
    columns = [_TEST + (", ".join(map(str, row)) or str(number)) for number, row in zip(shown, known, strict=True)]
    found = {"reconstructions": Strips([pixels(images), pixels(again)], ["image", "reconstruction"], columns)}
    code = subject.in_chunks(model.encode, images[:1])[0]
    lows, highs = code_ranges(subject)
    rows = []
    for latent in range(len(code)):
        codes = code.repeat(_STEPS, 1)
        codes[:, latent] = torch.linspace(float(lows[latent]), float(highs[latent]), _STEPS)
        rows.append(decoded(model, codes))
    span = [f"{share:.0%} of the range" for share in np.linspace(0, 1, _STEPS)]
    names = [
        f"latent {latent}: {low:.2g} to {high:.2g}" for latent, (low, high) in enumerate(zip(lows, highs, strict=True))
    ]
    found["traversals"] = Strips(rows, names, span)
    space = getattr(model, "latent", None)
    if space is not None and len(shown) > 1:
        rows, names = [], []
        codes = subject.in_chunks(model.encode, images)
        for first in range(0, min(len(shown), 2 * _PATHS) - 1, 2):
            ends = (codes[place].repeat(_STEPS, 1) for place in (first, first + 1))
            rows.append(decoded(model, space.interpolate(*ends, torch.linspace(0.0, 1.0, _STEPS))))
            length = float(space.distance(codes[first : first + 1], codes[first + 1 : first + 2]))
            names.append(f"{columns[first]} to {columns[first + 1].removeprefix(_TEST)}: length {length:.2g}")
        found["geodesics"] = Strips(rows, names, [f"{share:.0%} of the way" for share in np.linspace(0, 1, _STEPS)])
    if subject.group is not None:
        matrices = subject.group.matrices().detach().double().numpy()
        axes, moves = orbit_axes(matrices)
        rows = []
        for matrix, (axis, _) in zip(matrices, moves, strict=True):
            times = axes[axis].size if axes[axis].cyclic else _REPEATS + 1
            moved = np.stack([power @ code.double().numpy() for power in powers(matrix, range(times))])
            rows.append(decoded(model, torch.from_numpy(moved).float()))
        names = action_names(subject)
        found["actions"] = Strips(rows, names, [f"{times} times" for times in range(max(map(len, rows)))], cyclic=True)
    return found


def action_names(subject: Subject) -> list[str]:
    """What each learnt action is called: its place in the bank, and the true action that it stands for."""
    assert subject.group is not None
    true = {learnt: subject.world.actions[code].name for code, learnt in subject.mapping.items()}
    names = [f" ({true[number]})" if number in true else "" for number in range(len(subject.matrices))]
    return [f"action {number}{name}" for number, name in enumerate(names)]


def sheet(rows: Sequence[Pixels], gap: int = 2, scale: int = 1) -> Pixels:
    """Rows of pictures as one picture [height, width, C], grey between them, each pixel ``scale`` wide."""
    height, width, channels = rows[0].shape[1:]
    size = (len(rows) * (height + gap) - gap, max(map(len, rows)) * (width + gap) - gap, channels)
    picture = np.full(size, _GREY, dtype=np.uint8)
    for down, row in enumerate(rows):
        for across, image in enumerate(row):
            top, left = down * (height + gap), across * (width + gap)
            picture[top : top + height, left : left + width] = image
    return picture.repeat(scale, 0).repeat(scale, 1)


def image(picture: Pixels) -> Image.Image:
    """A picture [H, W, C] of one or three channels; of another number, its mean over channels."""
    if picture.shape[2] == 3:
        return Image.fromarray(picture)
    return Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture.mean(2).astype(np.uint8))


def png(picture: Pixels, colours: int = 0) -> bytes:
    """A picture as PNG; with at most so many ``colours`` (0: all), which makes it much smaller."""
    drawn, buffer = image(picture), io.BytesIO()
    if colours:
        if drawn.mode == "L":
            levels = np.round(np.asarray(drawn) * ((colours - 1) / 255))
            drawn = Image.fromarray(levels.astype(np.uint8), "P")
            ramp = np.linspace(0, 255, colours).round().astype(np.uint8)
            drawn.putpalette(ramp.repeat(3).tobytes())
        else:
            drawn = drawn.quantize(colours, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    drawn.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def gif(frames: Sequence[Pixels], milliseconds: int = 120) -> bytes:
    """Pictures [H, W, C] one after another, for ever."""
    drawn, buffer = [image(frame) for frame in frames], io.BytesIO()
    drawn[0].save(buffer, "GIF", save_all=True, append_images=drawn[1:], duration=milliseconds, loop=0, disposal=1)
    return buffer.getvalue()


def data_uri(content: bytes, kind: str = "image/png") -> str:
    """Bytes as an address that holds them."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def frames(strip: Strips) -> list[Pixels]:
    """The frames of an animation: the rows side by side, column by column; there and back, or round and round.

    Rows of different lengths are each gone round by themselves, until the longest is through.
    """
    longest = max(map(len, strip.rows))
    places = list(range(longest)) if strip.cyclic else [*range(longest), *range(longest - 2, 0, -1)]
    return [sheet([np.stack([row[place % len(row)] for row in strip.rows])], scale=2) for place in places]


def write_figures(folder: Path, found: dict[str, Strips]) -> list[Path]:
    """Writes every kind of picture as PNG and as GIF, whole or not at all; returns the files."""
    written = []
    for name, strip in found.items():
        if name == "reconstructions":  # the animation flips between image and reconstruction
            moving = gif([sheet([row], scale=2) for row in strip.rows], 700)
        else:
            moving = gif(frames(strip))
        shown = [row[: _REPEATS + 1] for row in strip.rows]
        for suffix, content in (("png", png(sheet(shown, scale=2))), ("gif", moving)):
            path = folder / f"{name}.{suffix}"
            write_whole(path, _writer(content))
            written.append(path)
    return written


def _writer(content: bytes) -> Callable[[BinaryIO], object]:
    return lambda stream: stream.write(content)
