"""Latent spaces, one file a geometry: posterior, prior, divergence, distance."""

from importlib import import_module
from pkgutil import iter_modules

from .base import LATENTS, Draw, LatentSpace, Posterior, latent
from .euclidean import DiagonalGaussian, EuclideanLatent

for _found in iter_modules(__path__):
    import_module(f".{_found.name}", __name__)  # each enters what it has into the table of names

__all__ = ["LATENTS", "DiagonalGaussian", "Draw", "EuclideanLatent", "LatentSpace", "Posterior", "latent"]
