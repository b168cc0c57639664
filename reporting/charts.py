"""Charts as inline SVG: lines, heat maps and scatters that take their colours from the page, light or dark."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_WIDTH, _HEIGHT = 340.0, 200.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 10.0, 10.0, 34.0
SERIES = 8
"""Colours that the page has for series; beyond them they start again, with dashed lines."""
_CELL = 34.0
_COLOURS = 12
_FEW = 100  # points that are drawn larger


def number(value: float) -> str:
    """A coordinate, short."""
    return f"{value:.1f}".rstrip("0").rstrip(".")


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers that cover low to high, about ``most`` of them."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(place * step, 12) for place in range(first, math.floor(high / step + 1e-9) + 1)]


def _svg(width: float, height: float, label: str, body: str, kind: str) -> str:
    size = f'viewBox="0 0 {number(width)} {number(height)}" style="max-width:{number(width * 1.25)}px"'
    return f'<svg class="{kind}" {size} role="img" aria-label="{escape(label)}">{body}</svg>'


def lines(
    series: Sequence[tuple[str, Sequence[float], Sequence[float]]],
    label: str,
    across: str,
    low: float | None = None,
    high: float | None = None,
    bands: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
) -> str:
    """Lines over one axis, with a legend where there are several.

    Args:
        series: Name, positions and values of each line.
        label: What the chart shows.
        across: What the horizontal axis is.
        low: Where the vertical axis starts; None: at the least value.
        high: Where it ends; None: at the largest.
        bands: Lower and upper ends of intervals around a line, one for each of its positions, by the line's name.
    """
    bands = {} if bands is None else bands
    drawn = [each for each in series if len(each[1])]
    if not drawn:
        return ""
    xs = [x for _, positions, _ in drawn for x in positions]
    ys = [y for _, _, values in drawn for y in values]
    ys += [y for name, _, _ in drawn for side in bands.get(name, ()) for y in side]
    left, right = min(xs), max(xs)
    bottom, top = min(ys) if low is None else low, max(ys) if high is None else high
    if top <= bottom:
        spread = abs(bottom) * 0.1 or 1.0
        top, bottom = bottom + spread, bottom - spread
    wide, tall = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        along = (x - left) / (right - left) if right > left else 0.5
        return _LEFT + along * wide, _TOP + (1 - (y - bottom) / (top - bottom)) * tall

    parts = []
    for value in ticks(bottom, top, 4):
        _, y = place(left, value)
        parts.append(f'<line class="rule" x1="{_LEFT:g}" x2="{_WIDTH - _RIGHT:g}" y1="{number(y)}" y2="{number(y)}"/>')
        parts.append(f'<text class="end" x="{_LEFT - 5:g}" y="{number(y + 3.5)}">{value:.4g}</text>')
    for value in ticks(left, right, 5):
        x, _ = place(value, bottom)
        parts.append(f'<text class="mid" x="{number(x)}" y="{_HEIGHT - _BOTTOM + 14:g}">{value:.6g}</text>')
    parts.append(f'<text class="mid" x="{_LEFT + wide / 2:g}" y="{_HEIGHT - 4:g}">{escape(across)}</text>')
    for count, (name, positions, values) in enumerate(drawn):
        points = _points(map(place, positions, values))
        if name in bands and len(positions) > 1:
            below, above = bands[name]
            outline = [*map(place, positions, below), *list(map(place, positions, above))[::-1]]
            parts.append(f'<polygon class="band s{count % SERIES}" points="{_points(outline)}"/>')
        dashed = " dashed" if (count // SERIES) % 2 else ""
        shape = f'points="{points}"' if len(positions) > 1 else ""
        title = f"<title>{escape(name)}: {values[-1]:.4g} at {positions[-1]:.6g}</title>"
        if shape:
            parts.append(f'<polyline class="s{count % SERIES}{dashed}" {shape}>{title}</polyline>')
        else:
            x, y = place(positions[0], values[0])
            parts.append(f'<circle class="s{count % SERIES}" cx="{number(x)}" cy="{number(y)}" r="3">{title}</circle>')
    said = f"{label}: " + "; ".join(f"{name} ends at {values[-1]:.4g}" for name, _, values in drawn[:12])
    legend = "" if len(drawn) < 2 else key([name for name, _, _ in drawn])
    return _svg(_WIDTH, _HEIGHT, said, "".join(parts), "chart") + legend


def _points(places: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{number(x)},{number(y)}" for x, y in places)


def key(names: Sequence[str]) -> str:
    """The legend of some series."""
    items = "".join(
        f'<li class="s{count % SERIES}{" dashed" if (count // SERIES) % 2 else ""}">{escape(name)}</li>'
        for count, name in enumerate(names)
    )
    return f'<ul class="key">{items}</ul>'


def heat_map(matrix: Any, rows: Sequence[str], columns: Sequence[str], label: str) -> str:
    """A matrix as coloured cells with their numbers; negative ones in another hue.

    Args:
        matrix: Numbers [R, C]; None or NaN is an empty cell.
        rows: Names [R].
        columns: Names [C].
        label: What it shows.
    """
    cells = np.array(matrix, dtype=np.float64)
    largest = float(np.nanmax(np.abs(cells))) if np.isfinite(cells).any() else 0.0
    size = _CELL if cells.shape[1] <= 16 else 22.0
    left = 12 + 6.2 * min(max((len(name) for name in rows), default=1), 14)
    slanted = max((len(name) for name in columns), default=1) > 5
    top = 18.0 if not slanted else 16 + 4.6 * min(max(len(name) for name in columns), 18)
    parts = []
    for place, name in enumerate(columns):
        x, y = left + size * (place + 0.5), top - 5
        turn = f' transform="rotate(-50 {number(x)} {number(y)})"' if slanted else ""
        kind = "start" if slanted else "mid"
        parts.append(f'<text class="{kind}" x="{number(x)}" y="{number(y)}"{turn}>{escape(_short(name, 18))}</text>')
    for down, name in enumerate(rows):
        middle = top + size * (down + 0.5) + 3.5
        parts.append(f'<text class="end" x="{number(left - 5)}" y="{number(middle)}">{escape(_short(name, 14))}</text>')
        for across, value in enumerate(cells[down]):
            known = bool(np.isfinite(value))
            share = abs(value) / largest if known and largest else 0.0
            x, y = left + size * across, top + size * down
            tone = "none" if not known else "minus" if value < 0 else "plus"
            title = f"{name}, {columns[across]}: {value:.4g}" if known else f"{name}, {columns[across]}: missing"
            parts.append(
                f'<rect class="{tone}" x="{number(x)}" y="{number(y)}" width="{number(size - 1)}" '
                f'height="{number(size - 1)}" fill-opacity="{share:.3f}"><title>{escape(title)}</title></rect>'
            )
            if known and size == _CELL:
                strong = " strong" if share > 0.55 else ""
                centre = f'x="{number(x + size / 2)}" y="{number(middle)}"'
                parts.append(f'<text class="mid cell{strong}" {centre}>{_cell(value)}</text>')
    extra = 40.0 if slanted else 6.0
    width, height = left + size * cells.shape[1] + extra, top + size * cells.shape[0] + 4
    ends = f"{label}: {cells.shape[0]} rows, {cells.shape[1]} columns, largest magnitude {largest:.4g}"
    return _svg(width, height, ends, "".join(parts), "heat")


def _cell(value: float) -> str:
    if value == round(value) and abs(value) < 1e5:
        return f"{value:.0f}"
    if abs(value) < 0.005:
        return "0"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 100 else f"{value:.0f}"


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def hues(count: int, cyclic: bool) -> list[str]:
    """Colours of ``count`` levels: round the wheel, or from blue to yellow; legible on light and dark."""
    if cyclic:
        return [f"hsl({360 * place / count:.0f} 62% 50%)" for place in range(count)]
    spread = max(count - 1, 1)
    return [f"hsl({250 - 205 * place / spread:.0f} 62% {44 + 8 * place / spread:.0f}%)" for place in range(count)]


def scatter(x: Any, y: Any, shade: Any, label: str, names: tuple[str, str], cyclic: bool = False) -> str:
    """Points in the plane, coloured by a third quantity.

    Args:
        x: [N].
        y: [N].
        shade: What colours them [N]; more than twelve different values share twelve colours.
        label: What it shows.
        names: Of the two axes.
        cyclic: Whether the last colour follows the first.
    """
    first, second, third = (np.asarray(each, dtype=np.float64) for each in (x, y, shade))
    levels, place = np.unique(third, return_inverse=True)
    count = min(len(levels), _COLOURS)
    group = place.reshape(-1) * count // max(len(levels), 1)
    size, margin = 220.0, 26.0
    spans = [(float(values.min()), max(float(np.ptp(values)), 1e-9)) for values in (first, second)]
    across = margin + (first - spans[0][0]) / spans[0][1] * (size - margin - 8)
    down = size - margin - (second - spans[1][0]) / spans[1][1] * (size - margin - 8)
    side = number(size - margin + 2)
    parts = [f'<rect class="frame" x="{margin - 5:g}" y="3" width="{side}" height="{side}"/>']
    dots = "dots few" if len(first) <= _FEW else "dots"
    for level, colour in enumerate(hues(count, cyclic)):
        chosen = group == level
        # One path a colour: a line of no length with round ends is a dot.
        path = "".join(f"M{number(a)} {number(b)}h0" for a, b in zip(across[chosen], down[chosen], strict=True))
        parts.append(f'<path class="{dots}" d="{path}" stroke="{colour}"/>')
    parts.append(f'<text class="mid" x="{size / 2 + 8:g}" y="{size - 8:g}">{escape(names[0])}</text>')
    turn = f'transform="rotate(-90 12 {size / 2 - 8:g})"'
    parts.append(f'<text class="mid" x="12" y="{size / 2 - 8:g}" {turn}>{escape(names[1])}</text>')
    ends = [f'<text class="small" x="{margin - 4:g}" y="{size - 8:g}">{spans[0][0]:.2g}</text>']
    ends.append(f'<text class="small end" x="{size - 3:g}" y="{size - 8:g}">{sum(spans[0]):.2g}</text>')
    for height, kind, value in ((size - margin, "small", spans[1][0]), (4.0, "small end", sum(spans[1]))):
        turn = f'transform="rotate(-90 12 {height:g})"'
        ends.append(f'<text class="{kind}" x="12" y="{height:g}" {turn}>{value:.2g}</text>')
    return _svg(size, size, f"{label}, {len(first)} points", "".join(parts + ends), "scatter")


def colour_key(shade: Any, cyclic: bool) -> str:
    """The colours of ``scatter``, with the values at their ends."""
    levels = np.unique(np.asarray(shade, dtype=np.float64))
    colours = hues(min(len(levels), _COLOURS), cyclic)
    boxes = "".join(f'<i style="background:{colour}"></i>' for colour in colours)
    return f'<p class="ramp"><span>{levels[0]:.4g}</span>{boxes}<span>{levels[-1]:.4g}</span></p>'
