"""Docstrings of the metrics of information describe every argument."""

import inspect
import re

import pytest

from equiworld.metrics import dcimig, dmig, jemmig, mig, mig_sup, modularity, rmig, xmig
from equiworld.metrics.shared_arguments import documented


@pytest.mark.parametrize("function", [mig, mig_sup, modularity, dmig, xmig, rmig, jemmig, dcimig])
def test_every_argument_is_described(function):
    text = inspect.getdoc(function)
    described = re.findall(r"^    (\w+): \S", text, re.MULTILINE)
    assert described[: len(inspect.signature(function).parameters)] == list(inspect.signature(function).parameters)
    assert "{" not in text
    assert max(map(len, text.splitlines())) <= 120


def test_texts_take_the_place_of_their_names():
    def plain(factors):
        """Does it.

        Args:
            {continuous}
            other: Not {continuous}.
        """

    lines = documented(plain).__doc__.splitlines()
    assert lines[3].strip().startswith("continuous: Columns of ``factors`` that are quantities. None: ")
    assert lines[4].strip() == "other: Not {continuous}."
    with pytest.raises(KeyError):
        documented(type("Unknown", (), {"__doc__": "{nothing}"}))
