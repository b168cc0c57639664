"""Charts: round ticks, marks where the numbers are, and markup that an XML reader takes."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from equiworld.reporting import charts


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0, 50, [0, 10, 20, 30, 40, 50]), (-3, 3, [-2, 0, 2]), (5, 5, [5])],
)
def test_ticks_are_round_and_inside(low: float, high: float, expected: list[float]) -> None:
    assert charts.ticks(low, high) == pytest.approx(expected)


def test_lines_go_through_their_points() -> None:
    text = charts.lines([("one", [0, 1, 2], [0.0, 1.0, 0.5])], "shares", "steps", 0.0, 1.0)
    root = ElementTree.fromstring(text)
    points = [tuple(map(float, pair.split(","))) for pair in root.find("polyline").get("points").split()]
    across, down = zip(*points, strict=True)
    assert np.diff(across) == pytest.approx([142, 142])
    assert down[0] - down[1] == pytest.approx(156) and down[2] == pytest.approx((down[0] + down[1]) / 2)
    assert root.get("aria-label") == "shares: one ends at 0.5"


def test_several_lines_have_a_legend_and_empty_ones_are_left_out() -> None:
    text = charts.lines([(f"<{n}>", [1, 2], [n, n]) for n in range(10)] + [("none", [], [])], "all", "x")
    assert text.count("<li ") == 10 and "none" not in text and "&lt;9&gt;" in text and "dashed" in text
    assert charts.lines([("none", [], [])], "all", "x") == ""
    assert "<circle" in charts.lines([("one", [1], [3.0])], "all", "x")


def test_a_heat_map_is_as_dark_as_its_numbers() -> None:
    text = charts.heat_map([[1.0, -0.5], [0.0, None]], ["a", "<b>"], ["c", "a long name"], "matrix")
    cells = [each for each in ElementTree.fromstring(text).iter() if each.tag == "rect"]
    assert [float(cell.get("fill-opacity")) for cell in cells] == [1.0, 0.5, 0.0, 0.0]
    assert [cell.get("class") for cell in cells] == ["plus", "minus", "plus", "none"]
    assert [cell.find("title").text for cell in cells][1:] == [
        "a, a long name: -0.5",
        "<b>, c: 0",
        "<b>, a long name: missing",
    ]


@pytest.mark.parametrize("cyclic", [True, False])
def test_a_scatter_has_every_point_once_in_the_colour_of_its_level(cyclic: bool) -> None:
    rng = np.random.default_rng(0)
    shade = rng.integers(0, 30, 50)
    text = charts.scatter(rng.normal(size=50), rng.normal(size=50), shade, "points", ("x", "y"), cyclic)
    paths = [each for each in ElementTree.fromstring(text).iter() if each.tag == "path"]
    assert sum(len(re.findall("M", path.get("d"))) for path in paths) == 50
    assert len({path.get("stroke") for path in paths}) == len(paths) <= 12


def test_points_without_spread_are_drawn_too() -> None:
    text = charts.scatter(np.zeros(3), np.zeros(3), np.zeros(3), "one point", ("x", "y"))
    paths = [each.get("d") for each in ElementTree.fromstring(text).iter() if each.tag == "path"]
    assert sum(path.count("M") for path in paths) == 3
    assert "nan" not in text and "inf" not in text
