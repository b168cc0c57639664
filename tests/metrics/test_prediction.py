"""Centres of drawn discs, and the report over horizons."""

import numpy as np
import pytest

from equiworld.metrics import centre_error, compute, image_centres, pixel_error, prediction_report


def discs(centres, radius=15.0, size=64):
    rows, columns = np.indices((size, size))
    return np.stack([(rows - row) ** 2 + (columns - column) ** 2 <= (radius - 0.25) ** 2 for row, column in centres])


CENTRES = np.array([[15.5, 15.5], [47.5, 20.5], [30.5, 31.5], [16.5, 47.5]])


@pytest.mark.parametrize("scale", [1.0, 255.0, 0.02, 1e-200, 1e200, 1e307])
def test_centres_of_discs(scale):
    images = discs(CENTRES)
    assert images.sum(axis=(1, 2)).tolist() == [688] * 4
    np.testing.assert_allclose(image_centres(images * scale), CENTRES, atol=1e-12)


def test_faint_background_does_not_pull_the_centre():
    images = discs(CENTRES).astype(float)
    images[:, :10] += 0.3
    images = images.clip(0, 1)
    np.testing.assert_allclose(image_centres(images), CENTRES, atol=1e-12)
    assert np.abs(image_centres(images, threshold=0.0) - CENTRES).max() > 1


def test_intensity_weighs():
    image = np.zeros((1, 5, 5))
    image[0, 1, 1], image[0, 1, 3] = 1.0, 0.6
    np.testing.assert_allclose(image_centres(image), [[1.0, (1.0 + 3 * 0.6) / 1.6]])


def test_blank_image_has_no_centre():
    images = np.stack([np.zeros((8, 8)), np.eye(8)])
    centres = image_centres(images)
    assert np.isnan(centres[0]).all()
    np.testing.assert_allclose(centres[1], [3.5, 3.5])


def test_centre_error_is_the_distance():
    errors = centre_error(discs(CENTRES), CENTRES + np.array([[0, 0], [3, 4], [0, 1.5], [-2, 0]]))
    np.testing.assert_allclose(errors, [0, 5, 1.5, 2], atol=1e-12)


def test_pixel_error():
    np.testing.assert_allclose(pixel_error(np.ones((2, 4, 4)), np.stack([np.ones((4, 4)), np.zeros((4, 4))])), [0, 1])
    with pytest.raises(ValueError, match="differ by more than float64 can hold the square of"):
        pixel_error(np.full((1, 2), 1e200), np.zeros((1, 2)))
    with pytest.raises(ValueError, match="differ in shape"):
        pixel_error(np.ones((2, 4)), np.ones((2, 3)))


def test_report_over_horizons():
    errors = np.array([[0.0, 1.0, 1.5, 0.5], [1.0, 2.0, np.nan, 3.0], [np.nan] * 4])
    result = prediction_report(errors, np.array([[0.1] * 4, [0.2] * 4, [0.0, 0.4] * 2]), horizons=[1, 20, 50])
    assert result.values == {
        "within_1": 1.0,
        "centre_1": 0.75,
        "mse_1": pytest.approx(0.1),
        "within_20": 0.25,
        "centre_20": 2.0,
        "mse_20": pytest.approx(0.2),
        "within_50": 0.0,
        "centre_50": None,
        "mse_50": pytest.approx(0.2),
    }
    assert result.reason == "nothing was drawn 50 actions ahead"
    assert result.ceiling == {key: float(key.startswith("within")) for key in result.values}
    assert (result.chance, result.n) == ({}, 4)
    assert result.details["blank"] == [0.0, 0.25, 1.0]
    assert result.details["centre_median"] == [0.75, 2.0, None]


def test_every_horizon_is_in_the_details_and_the_radius_counts():
    errors = np.arange(1, 31)[:, None] * 0.1 * np.ones((1, 3))
    result = compute("prediction", errors, radius=1.05)
    assert set(result.values) == {f"{name}_{step}" for name in ("within", "centre") for step in (1, 5, 10, 20)}
    assert result.details["within"] == [1.0] * 10 + [0.0] * 20
    assert result.details["horizons"] == list(range(1, 31))
    assert result.details["mse"] is None


def test_bad_input():
    with pytest.raises(ValueError, match="centre_errors must be"):
        prediction_report(np.zeros(3))
    with pytest.raises(ValueError, match="expected 2 horizons, got 1"):
        prediction_report(np.zeros((2, 3)), horizons=[1])
    with pytest.raises(ValueError, match="negative or infinite"):
        prediction_report(-np.ones((2, 3)))
    with pytest.raises(ValueError, match="expected pixel_errors of shape"):
        prediction_report(np.zeros((2, 3)), np.zeros((3, 2)))
    with pytest.raises(ValueError, match="threshold must lie"):
        image_centres(np.zeros((1, 2, 2)), threshold=2)
