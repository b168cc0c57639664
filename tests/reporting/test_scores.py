"""The table of scores: mean and spread, references, families, labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from equiworld.metrics import MetricResult
from equiworld.reporting.scores import common_folder, run_labels, scores, slow_without_reference, text_rows


def result(name: str, value: float | None, **more: float) -> MetricResult:
    return MetricResult(name, {"a": value, "b": 0.5}, reason="why", n=10, chance={"a": more.get("chance", 0.1)})


def test_runs_are_averaged_and_families_stand_together() -> None:
    table = scores(
        {
            "one": [result("mig", 0.2), result("alignment", 1.0), result("dmig", 0.3)],
            "two": [result("mig", 0.4, chance=0.3), result("alignment", None)],
        }
    )
    assert (table[0].name, table[0].family) == ("mig.a", "information")
    families = [score.family for score in table]
    assert families == sorted(families, key=families.index)
    first = table[0]
    assert (first.mean, first.chance, first.ceiling, first.rows, first.main) == (
        pytest.approx(0.3),
        pytest.approx(0.2),
        None,
        "10",
        True,
    )
    assert first.std == pytest.approx(0.1 * 2**0.5)
    (missing,) = [score for score in table if score.name == "alignment.a"]
    assert (missing.mean, missing.std, missing.runs) == (1.0, None, {"one": 1.0, "two": None})
    header, groups = text_rows(table)
    assert header == ["metric", "mean", "std", "one", "two", "chance", "ceiling", "N"]
    assert groups[0][1][0] == ["mig.a", "0.3", "0.1414", "0.2", "0.4", "0.2", "-", "10"]


def test_one_run_has_values_alone() -> None:
    header, groups = text_rows(scores({"one": [result("mig", 0.2)]}))
    assert header == ["metric", "value", "chance", "ceiling", "N"]
    assert groups == [("information", [["mig.a", "0.2", "0.1", "-", "10"], ["mig.b", "0.5", "-", "-", "10"]])]
    assert text_rows([])[1] == []


def test_runs_are_called_by_their_seeds_where_that_tells_them_apart() -> None:
    paths = [Path("logs/a/version_0"), Path("logs/b/version_0")]
    assert run_labels(paths, [3, 4], ["vae", "vae"]) == ["seed 3", "seed 4"]
    assert run_labels(paths, [3, 3], ["vae", "vae"]) == ["a/version_0", "b/version_0"]
    assert run_labels(paths, [3, 4], ["vae", "rgrvae"]) == ["a/version_0", "b/version_0"]
    assert run_labels(paths[:1], [3], ["vae"]) == ["logs/a/version_0"]
    assert common_folder(paths) == Path("logs").resolve()


def test_rows_of_runs_of_another_size_are_a_range() -> None:
    few, many = result("mig", 0.2), result("mig", 0.4)
    few.n = 7
    score = scores({"one": [few], "two": [many]})[0]
    assert (score.n, score.rows) == ((7, 10), "7-10")


def test_what_it_was_computed_with_is_a_column_where_anything_says_so() -> None:
    few, many = result("mig", 0.2), result("sap", 0.4)
    many.predictor = "svm"
    table = scores({"one": [few, many]})
    assert [score.predictor for score in table] == ["", "", "svm", "svm"]
    header, groups = text_rows(table)
    assert header[-2:] == ["N", "predictor"]
    assert [row[-1] for _, rows in groups for row in rows] == ["-", "-", "svm", "svm"]
    assert "predictor" not in text_rows(scores({"one": [few]}))[0]


def test_a_metric_that_refuses_has_no_row_of_its_own_beside_the_real_ones() -> None:
    refused = MetricResult("mig_blocks", {"mig_blocks": None}, reason="one block")
    real = MetricResult("mig_blocks", {"mig": 0.5})
    table = scores({"one": [refused], "two": [real]})
    assert [(score.name, score.runs) for score in table] == [("mig_blocks.mig", {"one": None, "two": 0.5})]
    assert [score.name for score in scores({"one": [refused]})] == ["mig_blocks.mig_blocks"]


def test_slow_metrics_without_references_are_told_apart() -> None:
    slow, quick, held = (MetricResult(name, {"a": 0.5}) for name in ("dci", "mig", "dci_forest"))
    held.chance = {"a": 0.1}
    assert slow_without_reference(scores({"one": [slow, quick, held]})) == ["dci"]
