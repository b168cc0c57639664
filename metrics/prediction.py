"""Where a predicted picture's object stands, and how that and the pixels hold up over many actions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .checks import Floats, as_floats
from .registry import metric
from .result import MetricResult
from .scale import lengths, to_unit


def image_centres(images: Any, threshold: float = 0.5) -> Floats:
    """The intensity-weighted centre of what is bright in each image.

    Pixels below ``threshold`` times the image's largest are ignored, so that a faint background does not pull the
    centre. The object must be brighter than its background and lie in one piece.

    Args:
        images: [N, H, W] of any number type and scale, not negative where it matters (negative counts as 0).
        threshold: Share of the largest intensity, in 0..1.

    Returns:
        (row, column) in pixels [N, 2], pixel (0, 0) centred at 0; NaN for an image without anything bright.

    Raises:
        ValueError: Not [N, H, W], not finite, or a threshold outside 0..1.
    """
    pixels = as_floats(images, "images", 3)
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must lie in 0..1, not {threshold}")
    pixels = to_unit(np.maximum(pixels, 0.0), axis=(1, 2))[0]
    peak = pixels.max(axis=(1, 2), keepdims=True)
    weights = np.where(pixels >= threshold * peak, pixels, 0.0)
    mass = weights.sum(axis=(1, 2))
    rows = weights.sum(axis=2) @ np.arange(pixels.shape[1])
    columns = weights.sum(axis=1) @ np.arange(pixels.shape[2])
    lit = mass > 0
    return np.where(lit[:, None], np.stack([rows, columns], axis=1) / np.where(lit, mass, 1.0)[:, None], np.nan)


def centre_error(images: Any, centres: Any, threshold: float = 0.5) -> Floats:
    """Distance in pixels between each image's bright centre and where it should be.

    Args:
        images: [N, H, W].
        centres: True (row, column) [N, 2].
        threshold: As in ``image_centres``.

    Returns:
        float64 [N]; NaN for an image without anything bright.

    Raises:
        ValueError: Shapes do not fit.
    """
    found = image_centres(images, threshold)
    truth = as_floats(centres, "centres", 2)
    if truth.shape != found.shape:
        raise ValueError(f"expected centres of shape {found.shape}, got {truth.shape}")
    return np.where(np.isnan(found).any(axis=1), np.nan, lengths(found - truth))


def pixel_error(predicted: Any, target: Any) -> Floats:
    """Mean squared difference over the pixels of each image.

    Args:
        predicted: [N, ...].
        target: [N, ...], the same shape and scale.

    Returns:
        float64 [N].

    Raises:
        ValueError: The shapes differ, something is not finite, or differences are too large to be squared.
    """
    first, second = as_floats(predicted, "predicted"), as_floats(target, "target")
    if first.shape != second.shape:
        raise ValueError(f"predicted and target differ in shape: {first.shape} and {second.shape}")
    with np.errstate(over="ignore"):
        errors = np.asarray(((first - second) ** 2).reshape(len(first), -1).mean(axis=1))
    if not np.isfinite(errors).all():
        raise ValueError("predicted and target differ by more than float64 can hold the square of")
    return errors


@metric("prediction", family="rollouts")
def prediction_report(
    centre_errors: Any,
    pixel_errors: Any = None,
    horizons: Sequence[int] | None = None,
    radius: float = 1.5,
    shown: Sequence[int] = (1, 5, 10, 20, 50),
    *,
    seed: int = 0,
) -> MetricResult:
    """How predictions hold up with the number of actions ahead: object in place, distance, pixel error.

    Args:
        centre_errors: Distances in pixels [T, N], one row a horizon; NaN where nothing was drawn, which counts as
            not in place and is left out of the mean distance.
        pixel_errors: Mean squared pixel errors [T, N]; optional.
        horizons: The number of actions of each row. None: 1..T.
        radius: Largest distance, in pixels, at which the object is in place.
        shown: The horizons that become values; the details hold all. Those not measured are skipped.
        seed: Not read: nothing is drawn.

    Returns:
        For each shown horizon h: ``within_h`` (share in place), ``centre_h`` (mean distance), ``mse_h``. Ceiling: 1, 0
        and 0. There is no chance: what a picture of anything else scores depends on the pictures, of which only errors
        are known here. Details: horizons, within, centre, centre_median, mse (by row), blank (share with nothing
        drawn), radius, samples.

    Raises:
        ValueError: Shapes do not fit, or a distance is negative or infinite.
    """
    distances = np.asarray(centre_errors, dtype=np.float64)
    if distances.ndim != 2 or distances.size == 0:
        raise ValueError(f"centre_errors must be [T, N], not shape {distances.shape}")
    blank = np.isnan(distances)
    if np.isinf(distances).any() or (distances[~blank] < 0).any():
        raise ValueError("centre_errors holds negative or infinite distances")
    steps = list(range(1, len(distances) + 1)) if horizons is None else [int(step) for step in horizons]
    if len(steps) != len(distances):
        raise ValueError(f"expected {len(distances)} horizons, got {len(steps)}")
    # NaN compares as False: nothing drawn is not in place.
    within = (distances <= radius).mean(axis=1)
    drawn = [row[~np.isnan(row)] for row in distances]
    centre = np.array([row.mean() if len(row) else np.nan for row in drawn])
    median = np.array([np.median(row) if len(row) else np.nan for row in drawn])
    squares = None
    if pixel_errors is not None:
        table = as_floats(pixel_errors, "pixel_errors", 2)
        if table.shape != distances.shape:
            raise ValueError(f"expected pixel_errors of shape {distances.shape}, got {table.shape}")
        squares = table.mean(axis=1)
    values: dict[str, float | None] = {}
    for step in shown:
        if step in steps:
            row = steps.index(step)
            values[f"within_{step}"] = float(within[row])
            values[f"centre_{step}"] = float(centre[row])
            if squares is not None:
                values[f"mse_{step}"] = float(squares[row])
    empty = [step for step, row in zip(steps, drawn, strict=True) if len(row) == 0 and step in shown]
    details = {
        "horizons": steps,
        "within": within,
        "centre": centre,
        "centre_median": median,
        "mse": squares,
        "blank": blank.mean(axis=1),
        "radius": radius,
        "samples": distances.shape[1],
    }
    reason = f"nothing was drawn {', '.join(map(str, empty))} actions ahead" if empty else None
    ceiling = {key: 1.0 if key.startswith("within") else 0.0 for key in values}
    return MetricResult("prediction", values, details, reason, ceiling=dict(ceiling), n=distances.shape[1])
