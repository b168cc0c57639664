"""Latent spaces, one file a geometry: posterior, prior, divergence, mean."""

from .euclidean import DiagonalGaussian, EuclideanLatent

__all__ = ["DiagonalGaussian", "EuclideanLatent"]
