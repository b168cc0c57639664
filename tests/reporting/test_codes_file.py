"""Files of factors and codes: what is read, what is refused in one line, what comes out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from equiworld import evaluate, metrics
from equiworld.reporting.codes_file import read_codes
from equiworld.reporting.evaluation import write_results


@pytest.fixture
def arrays() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    factors = np.stack(np.divmod(np.arange(64), 8), axis=1)
    return {"factors": factors, "codes": np.hstack([factors, rng.normal(size=(64, 1))])}


def test_results_and_page_lie_beside_the_file(
    tmp_path: Path, arrays: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "codes.npz", **arrays)
    assert evaluate.main([str(tmp_path / "codes.npz"), "--metrics", "mig", "--report"]) == 0
    content = json.loads((tmp_path / "codes.metrics.json").read_text())
    expected = metrics.compute("mig", arrays["factors"], arrays["codes"])
    assert content["values"]["mig.mig"] == pytest.approx(expected.values["mig"])
    assert content["results"][0]["ceiling"]["mig"] == pytest.approx(expected.ceiling["mig"])
    assert content["results"][0]["chance"]["mig"] == pytest.approx(expected.chance["mig"])
    page = (tmp_path / "codes.report.html").read_text()
    assert "mig: mutual information" in page and "Latents by factor" in page and 'class="explorer"' not in page
    said = capsys.readouterr()
    assert said.err == "" and str(tmp_path / "codes.report.html") in said.out
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "codes.metrics.json",
        "codes.npz",
        "codes.report.html",
    ]


def test_test_rows_reach_the_metrics(tmp_path: Path, arrays: dict[str, Any]) -> None:
    more = {f"{name}_test": table[:16] for name, table in arrays.items()}
    np.savez(tmp_path / "codes.npz", **arrays, **more)
    read = read_codes(tmp_path / "codes.npz")
    assert read.rows == {
        "factors": 64,
        "codes": 64,
        "factors_test": 16,
        "codes_test": 16,
    }


def test_what_the_file_says_of_its_columns_is_used(tmp_path: Path, arrays: dict[str, Any]) -> None:
    said = {
        "continuous": np.array([True, False]),
        "blocks": np.array([0, 1, -1]),
        "factor_names": np.array(["hue", "x"]),
    }
    np.savez(tmp_path / "codes.npz", **arrays, **said)
    read = read_codes(tmp_path / "codes.npz")
    assert (read.continuous, read.blocks, read.factor_names) == ([0], [[0], [1]], ["hue", "x"])
    assert evaluate.main([str(tmp_path / "codes.npz"), "--metrics", "mig", "mig_blocks", "--report"]) == 0
    results = {each["name"]: each for each in json.loads((tmp_path / "codes.metrics.json").read_text())["results"]}
    expected = metrics.compute("mig", arrays["factors"], arrays["codes"], blocks=[[0], [1]], continuous=[0])
    assert results["mig_blocks"]["values"]["mig"] == pytest.approx(expected.values["mig"])
    assert results["mig_blocks"]["options"]["blocks"] == [[0], [1]] and results["mig"]["options"]["continuous"] == [0]
    assert results["mig"]["values"]["mig"] != results["mig_blocks"]["values"]["mig"]
    assert "hue" in (tmp_path / "codes.report.html").read_text()


def test_a_file_is_known_again_by_its_content(tmp_path: Path, arrays: dict[str, Any]) -> None:
    path = tmp_path / "codes.npz"
    np.savez(path, **arrays)
    assert evaluate.main([str(path), "--metrics", "mig"]) == evaluate.main([str(path), "--metrics", "mcc"]) == 0
    held = json.loads((tmp_path / "codes.metrics.json").read_text())
    assert {each["name"] for each in held["results"]} == {"mig", "mcc"}
    np.savez(path, factors=arrays["factors"], codes=arrays["codes"][:, :2])
    assert evaluate.main([str(path), "--metrics", "mcc"]) == 0
    held = json.loads((tmp_path / "codes.metrics.json").read_text())
    assert {each["name"] for each in held["results"]} == {"mcc"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"continuous": np.array([0, 1])}, "continuous must be true or false for each factor, not int64 [2]"),
        (
            {"blocks": np.zeros(2, int)},
            "blocks must be a whole number for each code dimension, -1 for none, not",
        ),
        ({"blocks": np.full(3, -1)}, "blocks puts no dimension into any block"),
        ({"factor_names": np.array(["x"])}, "factor_names must be a name for each factor, not <U1 [1]"),
        ({"codes": None}, "has no array codes; its arrays are: factors"),
        ({"codes": None, "factors": None}, "has no array factors and no codes; its arrays are: none"),
        ({"codes": np.zeros(64)}, "codes must be a table of numbers, not float64 [64]"),
        ({"codes": np.full((64, 2), "a")}, "codes must be a table of numbers"),
        ({"codes": np.full((64, 2), np.nan)}, "codes holds numbers that are not finite"),
        ({"codes": np.zeros((63, 2))}, "factors has 64 rows, and codes 63"),
        ({"codes": np.array([[None]])}, "is not a file of plain arrays"),
        ({"codes_test": np.zeros((9, 3))}, "has codes_test alone"),
        ({"codes_test": np.zeros((9, 2)), "factors_test": np.zeros((9, 2))}, "codes has 3 columns, and codes_test 2"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    tmp_path: Path, arrays: dict[str, Any], capsys: pytest.CaptureFixture[str], change: dict[str, Any], message: str
) -> None:
    given = {name: table for name, table in (arrays | change).items() if table is not None}
    np.savez(tmp_path / "codes.npz", **given)
    assert evaluate.main([str(tmp_path / "codes.npz")]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and message in said.err
    assert [path.name for path in tmp_path.iterdir()] == ["codes.npz"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{file}", "--metrics=nothing"], "--metrics: there is no 'nothing'"),
        (["{file}", "--metrics=alignment"], "--metrics: there is no 'alignment'"),
        (["{file}", "--figures"], "--figures needs a run"),
        (["{file}", "{run}"], "it cannot be compared with runs"),
        (["nowhere.npz"], "nowhere.npz: there is no such file"),
        (["{text}"], "is not a file of plain arrays"),
    ],
)
def test_wrong_requests_are_one_line(
    tmp_path: Path,
    arrays: dict[str, Any],
    trained: dict[str, Path],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    np.savez(tmp_path / "codes.npz", **arrays)
    (tmp_path / "text.npz").write_text("nothing of the kind")
    places = {"file": tmp_path / "codes.npz", "run": trained["vae"], "text": tmp_path / "text.npz"}
    assert evaluate.main([argument.format(**places) for argument in arguments]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and message in said.err


def test_one_array_is_no_file_of_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "codes.npy", np.zeros((9, 2)))
    (tmp_path / "codes.npy").rename(tmp_path / "codes.npz")
    assert evaluate.main([str(tmp_path / "codes.npz")]) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and "is one array, not a file of several" in said.err


def test_less_does_not_take_the_place_of_more(tmp_path: Path) -> None:
    def held(values: dict[str, float | None], chance: dict[str, float | None]) -> tuple[Any, Any]:
        found = metrics.MetricResult("udr", values, chance=chance)
        content = {"equiworld": "1", "sha256": "x"}
        (known,) = write_results(tmp_path / "metrics.json", content, [found])
        return known.values["udr"], known.chance

    assert held({"udr": None}, {}) == (None, {})
    assert held({"udr": 0.5}, {"udr": 0.1}) == (0.5, {"udr": 0.1})
    assert held({"udr": None}, {}) == (0.5, {"udr": 0.1})
    assert held({"udr": 0.5}, {}) == (0.5, {"udr": 0.1})
    assert held({"udr": 0.6}, {}) == (0.6, {})
