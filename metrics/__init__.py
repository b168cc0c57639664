"""How well: pure functions on arrays that measure what was learnt, and the table that names them."""

from __future__ import annotations

from .angles import (
    angle_report,
    closure_error,
    closure_errors,
    commutator_error,
    commutator_errors,
    group_errors,
    inverse_error,
    inverse_errors,
    nearest_order,
    order_error,
    rotation_angles,
    wrap_angle,
)
from .assignment import align_actions, alignment
from .discretise import discretise
from .downstream import action_prediction
from .gaps import mig
from .independence import fit_operators, independence
from .information import entropy, mutual_information
from .lsbd import lsbd
from .prediction import centre_error, image_centres, pixel_error, prediction_report
from .registry import METRICS, Metric, compute, metric, names
from .report import aggregate, flatten, reasons, table
from .result import MetricResult, json_safe
from .structure import CyclicFactor, Decomposition, compare_decomposition, decomposition, decomposition_report

__all__ = [
    "METRICS",
    "CyclicFactor",
    "Decomposition",
    "Metric",
    "MetricResult",
    "action_prediction",
    "aggregate",
    "align_actions",
    "alignment",
    "angle_report",
    "centre_error",
    "closure_error",
    "closure_errors",
    "commutator_error",
    "commutator_errors",
    "compare_decomposition",
    "compute",
    "decomposition",
    "decomposition_report",
    "discretise",
    "entropy",
    "fit_operators",
    "flatten",
    "group_errors",
    "image_centres",
    "independence",
    "inverse_error",
    "inverse_errors",
    "json_safe",
    "lsbd",
    "metric",
    "mig",
    "mutual_information",
    "names",
    "nearest_order",
    "order_error",
    "pixel_error",
    "prediction_report",
    "reasons",
    "rotation_angles",
    "table",
    "wrap_angle",
]
