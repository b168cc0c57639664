"""Latent dynamics: where actions lead in a latent space, what they are rewarded with, and when an episode ends."""

from .actions import ActionCode
from .base import DYNAMICS, Dynamics, Outcome, Prediction, Setting, State, symexp, symlog

__all__ = ["DYNAMICS", "ActionCode", "Dynamics", "Outcome", "Prediction", "Setting", "State", "symexp", "symlog"]
