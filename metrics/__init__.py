"""How well: pure functions on arrays that measure what was learnt, and the table that names them."""

from __future__ import annotations

from .aggregates import (
    Band,
    Interval,
    aggregate_scores,
    efficiency_curve,
    interquartile_mean,
    interval,
    normalised,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
)
from .agreement import udr
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
from .contrast import c_ima, local_contrasts
from .dci_scores import dci, dci_forest, dci_hist, dci_lasso
from .dependent import dmig, xmig
from .discretise import discretise
from .downstream import action_prediction, factor_prediction
from .explicit import explicitness
from .fair import fairness, fairness_hist, inter_group_fairness
from .gaps import jemmig, mig
from .importance import completeness_from_importance, disentanglement_from_importance
from .independence import fit_operators, independence
from .infomec import infomec
from .information import entropy, informative_blocks, mutual_information
from .irs import irs
from .leakage import factor_leakage
from .lsbd import lsbd
from .mcc import mcc
from .modular import dcimig, mig_sup, modularity
from .neighbours import neighbour_information
from .prediction import centre_error, image_centres, pixel_error, prediction_report
from .predictors import Progress
from .registry import METRICS, Metric, compute, metric, names
from .report import aggregate, flatten, reasons, table
from .result import MetricResult, json_safe
from .robust import rmig
from .sampling import CodeTable, beta_vae, factor_vae, z_diff, z_max_var, z_min_var
from .sap import sap
from .structure import CyclicFactor, Decomposition, compare_decomposition, decomposition, decomposition_report
from .suite import evaluate
from .unsupervised import gaussian_total_correlation, gaussian_wasserstein_correlation, unsupervised

__all__ = [
    "METRICS",
    "Band",
    "CodeTable",
    "CyclicFactor",
    "Decomposition",
    "Interval",
    "Metric",
    "MetricResult",
    "Progress",
    "action_prediction",
    "aggregate",
    "aggregate_scores",
    "align_actions",
    "alignment",
    "angle_report",
    "beta_vae",
    "c_ima",
    "centre_error",
    "closure_error",
    "closure_errors",
    "commutator_error",
    "commutator_errors",
    "compare_decomposition",
    "completeness_from_importance",
    "compute",
    "dci",
    "dci_forest",
    "dci_hist",
    "dci_lasso",
    "dcimig",
    "decomposition",
    "decomposition_report",
    "discretise",
    "disentanglement_from_importance",
    "dmig",
    "efficiency_curve",
    "entropy",
    "evaluate",
    "explicitness",
    "factor_leakage",
    "factor_prediction",
    "factor_vae",
    "fairness",
    "fairness_hist",
    "fit_operators",
    "flatten",
    "gaussian_total_correlation",
    "gaussian_wasserstein_correlation",
    "group_errors",
    "image_centres",
    "independence",
    "infomec",
    "informative_blocks",
    "inter_group_fairness",
    "interquartile_mean",
    "interval",
    "inverse_error",
    "inverse_errors",
    "irs",
    "jemmig",
    "json_safe",
    "local_contrasts",
    "lsbd",
    "mcc",
    "metric",
    "mig",
    "mig_sup",
    "modularity",
    "mutual_information",
    "names",
    "nearest_order",
    "neighbour_information",
    "normalised",
    "optimality_gap",
    "order_error",
    "performance_profile",
    "pixel_error",
    "prediction_report",
    "probability_of_improvement",
    "reasons",
    "rmig",
    "rotation_angles",
    "sap",
    "table",
    "udr",
    "unsupervised",
    "wrap_angle",
    "xmig",
    "z_diff",
    "z_max_var",
    "z_min_var",
]
