"""Results, the table of metrics, and reports over several runs."""

import json

import numpy as np
import pytest

from equiworld.metrics import (
    METRICS,
    MetricResult,
    aggregate,
    compute,
    flatten,
    json_safe,
    metric,
    names,
    reasons,
    table,
)


def test_result_is_plain_json_and_comes_back():
    result = MetricResult(
        "thing",
        {"a": np.float32(0.5), "b": float("nan")},
        {"matrix": np.eye(2), "count": np.int64(3), "flag": np.True_, "pairs": ((1, 2),), 4: {2, 1}},
        chance={"a": 0.25},
    )
    assert result.values == {"a": 0.5, "b": None}
    assert result.reason == "not finite: b"
    assert result.details == {
        "matrix": [[1.0, 0.0], [0.0, 1.0]],
        "count": 3,
        "flag": True,
        "pairs": [[1, 2]],
        "4": [1, 2],
    }
    assert MetricResult.from_dict(json.loads(json.dumps(result.to_dict(), allow_nan=False))) == result
    assert float(result) == 0.5
    assert np.isnan(float(MetricResult("empty", {"a": None}, reason="nothing there")))


def test_json_safe_drops_what_is_not_finite_and_rejects_what_has_no_form():
    assert json_safe(np.array([1.0, np.inf])) == [1.0, None]
    with pytest.raises(TypeError, match="a object has no JSON form"):
        json_safe({"a": object()})


def test_unknown_metric_lists_those_there_are():
    with pytest.raises(ValueError, match=r"unknown metric 'mug'; there are: action_prediction, .*mig"):
        compute("mug")


def test_every_metric_has_a_family_and_a_summary():
    assert "mig" in names("information")
    assert {"alignment", "angles", "decomposition", "group_errors", "independence", "lsbd"} == set(names("symmetry"))
    assert set(names()) == set(METRICS)
    assert all(entry.summary and entry.family for entry in METRICS.values())


def test_a_metric_from_outside_joins_the_table_once(monkeypatch):
    monkeypatch.setattr("equiworld.metrics.registry.METRICS", dict(METRICS))
    from equiworld.metrics import registry

    @metric("largest", family="other")
    def largest(codes):
        """The largest number."""
        return MetricResult("largest", {"largest": np.max(codes)})

    assert compute("largest", [1, 5, 2]).values == {"largest": 5.0}
    assert registry.METRICS["largest"].summary == "The largest number."
    with pytest.raises(ValueError, match="the metric 'largest' is registered already"):
        metric("largest", family="other")(lambda codes: None)
    assert "largest" not in METRICS


RESULTS = [
    MetricResult("mig", {"mig": 0.5}),
    MetricResult("angles", {"max": None, "mean": 0.1}, reason="one is missing"),
]


def test_flatten():
    assert flatten(RESULTS) == {"mig.mig": 0.5, "angles.max": None, "angles.mean": 0.1}
    assert flatten({"first": RESULTS[0], "second": RESULTS[0]}) == {"first.mig": 0.5, "second.mig": 0.5}
    assert reasons(RESULTS) == {"angles": "one is missing"}
    with pytest.raises(ValueError, match="two results are named 'mig'"):
        flatten([RESULTS[0], RESULTS[0]])


def test_aggregate_gives_mean_sample_deviation_and_every_run():
    found = aggregate({"0": {"a": 1.0, "b": None}, "1": {"a": 2.0, "b": 4.0}, "2": {"a": 6.0}})
    assert found["a"] == {
        "mean": 3.0,
        "std": pytest.approx(np.sqrt(7.0)),
        "count": 3,
        "runs": {"0": 1.0, "1": 2.0, "2": 6.0},
    }
    assert found["b"] == {"mean": 4.0, "std": None, "count": 1, "runs": {"0": None, "1": 4.0, "2": None}}
    assert aggregate({"0": {"a": None}})["a"]["mean"] is None


def test_tables():
    assert table(flatten(RESULTS)) == [
        ["metric", "value"],
        ["mig.mig", "0.5"],
        ["angles.max", "-"],
        ["angles.mean", "0.1"],
    ]
    several = aggregate({"0": {"a": 1.0}, "1": {"a": 2.0}})
    assert table(several) == [["metric", "mean", "std", "0", "1"], ["a", "1.5", "0.7071", "1", "2"]]
    assert table({}) == [["metric", "value"]]
