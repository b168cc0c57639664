"""What the metrics of information have in common, described once and put into the docstring of each."""

from __future__ import annotations

import re
from collections.abc import Callable
from textwrap import indent
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

_TEXTS = {
    "arrays": """\
factors: Factors [N, K]. Whole numbers are categories.
codes: Codes [N, D].
factors_test: Not read.
codes_test: Not read.
seed: Not read.""",
    "bins": """\
bins: Bins per code dimension. None: as many as the factor with the most levels has, at least 20.
binning: "width", "quantile" or "exact" (``discretise``).""",
    "estimator": """\
blocks: Code dimensions that belong together, such as ``[[0, 1], [2, 3]]``; a block is read as one code, and a
    dimension in no block is left out.
estimator: "binned" (plug-in) or "knn" (nearest neighbours). None: "knn" with blocks of several dimensions.
neighbours: Of "knn".""",
    "normaliser": """\
normaliser: "factor" divides by the entropy of the factor. "ubisoft_code" divides each information by the
    entropy of its code first, as the code of Carbonneau et al. (arXiv 2012.09276) does; that rewards coarse
    codes.""",
    "dead_codes": """\
dead_codes: "leave_out" averages over the codes that depend on some factor by a test without scale
    (``informative_blocks``), and gives 0 where none does. "as_disentanglement_lib" averages over all: sampling
    noise then counts as information, so that a dead code scores about what noise does, and 0 only when its
    information is exactly 0.""",
    "assigned": """\
assigned: The code, or block, that belongs to each factor, as a model with regularised dimensions states it;
    gaps are then taken from these and may be negative. None: gaps are taken from the code that knows most, and
    each factor owns one code, such that the owned ones know most (``assign_codes``).""",
    "continuous": """\
continuous: Columns of ``factors`` that are quantities. None: those with numbers that are not whole.""",
    "details": "the table's mutual_information [D, K], factor_entropy, estimator, bins, samples, constant_factors.",
    "refused": "ValueError: Shapes do not fit, numbers that are not finite, or an unknown option.",
}


def documented(function: Function) -> Function:
    """Puts the shared texts into a docstring, for the lines that are their names in braces."""

    def text(line: re.Match[str]) -> str:
        return indent(_TEXTS[line[2]], line[1])

    function.__doc__ = re.sub(r"^( *)\{(\w+)\}$", text, function.__doc__ or "", flags=re.MULTILINE)
    return function
