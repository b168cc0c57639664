"""How likely an image is under what the decoder emits, one file a likelihood."""

from importlib import import_module
from pkgutil import iter_modules

from .base import LIKELIHOODS, Likelihood
from .bernoulli import Bernoulli
from .gaussian import Gaussian
from .logistic_mixture import LogisticMixture
from .squared import Squared

for _found in iter_modules(__path__):
    import_module(f".{_found.name}", __name__)  # each enters what it has into the table of names

__all__ = ["LIKELIHOODS", "Bernoulli", "Gaussian", "Likelihood", "LogisticMixture", "Squared"]
