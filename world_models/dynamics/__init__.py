"""Latent dynamics: where actions lead in a latent space, what they are rewarded with, and when an episode ends."""

from . import group, gru, mixture, mlp  # noqa: F401 (they enter their dynamics)
from .actions import ActionCode
from .base import DYNAMICS, Dynamics, Outcome, Prediction, Setting, State, symexp, symlog

__all__ = ["DYNAMICS", "ActionCode", "Dynamics", "Outcome", "Prediction", "Setting", "State", "symexp", "symlog"]
