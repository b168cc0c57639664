"""The algorithms behind ``--agent``: those of stable-baselines3 and sb3-contrib, their options by their own names."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from gymnasium import spaces
from sb3_contrib import QRDQN
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.utils import LinearSchedule

from ..envs.registry import Registry, UsageError


@dataclass
class NetworkOptions:
    """What all agents have."""

    net_arch: tuple[int, ...] | None = None
    """Units of the hidden layers; None: 64 64 (sac 256 256, td3 400 300), and none behind NatureCNN but sac and td3."""
    lr_schedule: Literal["constant", "linear"] = "constant"
    """Whether the learning rate stays, or falls to 0 over --steps."""
    gamma: float = 0.99
    """Discount of rewards."""
    reward_scale: float = 1.0
    """What rewards are multiplied by before they are learnt from."""


@dataclass
class OnPolicyOptions(NetworkOptions):
    """What agents have that learn from their latest steps."""

    normalize_reward: bool = False
    """Learn from rewards over the running standard deviation of discounted returns."""
    ent_coef: float = 0.0
    """Weight of the entropy in the loss."""
    vf_coef: float = 0.5
    """Weight of the value function in the loss."""
    max_grad_norm: float = 0.5
    """Norm to which gradients are clipped."""


@dataclass
class PPOOptions(OnPolicyOptions):
    """Options of PPO."""

    learning_rate: float = 3e-4
    """Adam's rate."""
    n_steps: int = 2048
    """Steps of each copy between two updates of the policy."""
    batch_size: int = 64
    """Steps in a minibatch."""
    n_epochs: int = 10
    """Passes over the steps at each update."""
    gae_lambda: float = 0.95
    """Of the generalised advantage estimate."""
    clip_range: float = 0.2
    """How far the ratio of probabilities may go."""
    clip_range_vf: float | None = None
    """How far values may go; None: as far as they like."""
    normalize_advantage: bool = True
    """Normalise advantages in each minibatch."""
    target_kl: float | None = None
    """Divergence at which an update stops early; None: never."""


@dataclass
class DreamPPOOptions(PPOOptions):
    """Options of PPO in the dreams of a world model that is fitted as it goes (``loop.DreamLoop``)."""

    n_steps: int = 32
    """Steps of each dream between two updates of the policy."""
    batch_size: int = 1024
    """Dreamt steps in a minibatch."""
    n_epochs: int = 5
    """Passes over the steps of an update; new steps are cheap in dreams."""
    rounds: int = 5
    """How often there is: collecting, fitting, dreaming. Each round makes as many real steps."""
    dream_steps: int = 200_000
    """Steps that are dreamt in each round."""
    dreams: int = 256
    """Dreams at once."""
    horizon: int = 50
    """Steps of a dream, at most."""
    temperature: float = 1.0
    """Chance in dreams: 1 as it was learnt, 0 none."""
    latents: int = 16
    """Numbers in a code of the world model."""
    vae_epochs: int = 10
    """Passes over all pictures so far, in each round."""
    dynamics: Literal["gru", "mlp", "mdn-gru"] = "gru"
    """What moves codes in dreams."""
    dynamics_epochs: int = 20
    """Passes over all steps so far, in each round."""

    def ppo(self) -> PPOOptions:
        """Those of them that PPO has."""
        return PPOOptions(**{field.name: getattr(self, field.name) for field in dataclasses.fields(PPOOptions)})


@dataclass
class A2COptions(OnPolicyOptions):
    """Options of A2C."""

    learning_rate: float = 7e-4
    """Rate of the optimiser."""
    n_steps: int = 5
    """Steps of each copy between two updates of the policy."""
    gae_lambda: float = 1.0
    """Of the generalised advantage estimate; 1: the return itself."""
    rms_prop_eps: float = 1e-5
    """RMSprop's epsilon."""
    use_rms_prop: bool = True
    """RMSprop instead of Adam."""
    normalize_advantage: bool = False
    """Normalise advantages."""


@dataclass
class OffPolicyOptions(NetworkOptions):
    """What agents have that learn from a replay buffer."""

    buffer_size: int = 1_000_000
    """Steps that the replay buffer holds, of all copies together."""
    learning_starts: int = 100
    """Steps before learning begins."""
    batch_size: int = 256
    """Steps in a minibatch."""
    tau: float = 0.005
    """How far the target network follows at each of its updates."""
    train_freq: int = 1
    """Steps of each copy between two updates."""
    gradient_steps: int = 1
    """Minibatches of an update; -1: as many as steps were made."""


@dataclass
class DQNOptions(OffPolicyOptions):
    """Options of DQN."""

    learning_rate: float = 1e-4
    """Adam's rate."""
    batch_size: int = 32
    """Steps in a minibatch."""
    tau: float = 1.0
    """How far the target network follows at each of its updates."""
    train_freq: int = 4
    """Steps of each copy between two updates."""
    target_update_interval: int = 10_000
    """Steps between two updates of the target network."""
    exploration_fraction: float = 0.1
    """Share of --steps over which exploration falls to its end."""
    exploration_initial_eps: float = 1.0
    """Chance of a random action at the start."""
    exploration_final_eps: float = 0.05
    """Chance of a random action at the end."""
    max_grad_norm: float = 10.0
    """Norm to which gradients are clipped."""


@dataclass
class QRDQNOptions(DQNOptions):
    """Options of QR-DQN."""

    learning_rate: float = 5e-5
    """Adam's rate."""
    exploration_fraction: float = 0.005
    """Share of --steps over which exploration falls to its end."""
    exploration_final_eps: float = 0.01
    """Chance of a random action at the end."""
    max_grad_norm: float | None = None  # type: ignore[assignment]
    """Norm to which gradients are clipped; None: not at all."""
    n_quantiles: int = 200
    """Quantiles of the return that are learnt."""


@dataclass
class SACOptions(OffPolicyOptions):
    """Options of SAC."""

    learning_rate: float = 3e-4
    """Adam's rate, of actor, critics and entropy."""
    ent_coef: str = "auto"
    """Weight of the entropy: a number, or auto (auto_0.1: from there on) to learn it."""
    target_entropy: str = "auto"
    """Entropy at which auto aims: a number, or auto for minus the numbers of an action."""
    target_update_interval: int = 1
    """Updates between two of the target network."""
    action_noise: float = 0.0
    """Deviation of normal noise on actions (of [-1, 1]) while training."""


@dataclass
class TD3Options(OffPolicyOptions):
    """Options of TD3."""

    learning_rate: float = 1e-3
    """Adam's rate."""
    policy_delay: int = 2
    """Updates of the critics for each of the actor."""
    target_policy_noise: float = 0.2
    """Deviation of the noise on the target's actions."""
    target_noise_clip: float = 0.5
    """The largest such noise."""
    action_noise: float = 0.0
    """Deviation of normal noise on actions (of [-1, 1]) while training: without it nothing is explored."""


@dataclass(frozen=True)
class Agent:
    """An algorithm.

    Attributes:
        options: The dataclass of its options.
        algorithm: The class of stable-baselines3 or sb3-contrib.
        actions: The action spaces that it can take.
        on_policy: Whether it learns from whole rollouts, and keeps no replay buffer.
        summary: One line: what it is, and whose.
    """

    options: type[Any]
    algorithm: type[BaseAlgorithm]
    actions: tuple[type[spaces.Space[Any]], ...]
    on_policy: bool
    summary: str


AGENTS: Registry[Agent] = Registry("agent")
"""The names that ``--agent`` takes."""

_ANY = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)

for _name, _agent in {
    "ppo": Agent(PPOOptions, PPO, _ANY, True, "proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347)"),
    "dream-ppo": Agent(
        DreamPPOOptions,
        PPO,
        _ANY,
        True,
        "PPO in the dreams of a world model that is fitted as it goes; --steps are real",
    ),
    "a2c": Agent(A2COptions, A2C, _ANY, True, "advantage actor-critic (Mnih et al. 2016, arXiv 1602.01783)"),
    "dqn": Agent(DQNOptions, DQN, (spaces.Discrete,), False, "deep Q-network (Mnih et al. 2015)"),
    "qrdqn": Agent(
        QRDQNOptions, QRDQN, (spaces.Discrete,), False, "quantile regression DQN (Dabney et al. 2018, arXiv 1710.10044)"
    ),
    "sac": Agent(SACOptions, SAC, (spaces.Box,), False, "soft actor-critic (Haarnoja et al. 2018, arXiv 1812.05905)"),
    "td3": Agent(TD3Options, TD3, (spaces.Box,), False, "twin delayed DDPG (Fujimoto et al. 2018, arXiv 1802.09477)"),
}.items():
    AGENTS.register(_name)(_agent)

_COUNTS: tuple[str, ...] = ("n_steps", "batch_size", "n_epochs", "n_quantiles", "policy_delay")
_COUNTS += ("buffer_size", "train_freq", "target_update_interval")
_COUNTS += ("rounds", "dream_steps", "dreams", "horizon", "latents", "vae_epochs", "dynamics_epochs")
_ABOVE_ZERO: tuple[str, ...] = ("learning_rate", "clip_range", "clip_range_vf", "target_kl", "max_grad_norm")
_ABOVE_ZERO += ("rms_prop_eps", "reward_scale")
_OF_ENVS = ("reward_scale", "normalize_reward")  # options of what lies between environments and algorithm: rewards.py
_SHARES = ("gamma", "gae_lambda", "tau", "exploration_fraction", "exploration_initial_eps", "exploration_final_eps")
_NOT_NEGATIVE = (
    "temperature",
    "ent_coef",
    "vf_coef",
    "learning_starts",
    "action_noise",
    "target_policy_noise",
    "target_noise_clip",
)


def check_options(options: Any) -> None:
    """Refuses options of an agent that are out of their range.

    Raises:
        UsageError: As the message says.
    """
    for field in dataclasses.fields(options):
        name, value = field.name, getattr(options, field.name)
        flag = f"--{name.replace('_', '-')}"
        if value is None or isinstance(value, bool):
            continue
        if name in _COUNTS and value < 1:
            raise UsageError(f"{flag} must be 1 or more, not {value}")
        if name in _ABOVE_ZERO and not value > 0:
            raise UsageError(f"{flag} must be above 0, not {value}")
        if name in _SHARES and not 0 <= value <= 1:
            raise UsageError(f"{flag} must be between 0 and 1, not {value}")
        if name in _NOT_NEGATIVE and isinstance(value, int | float) and value < 0:
            raise UsageError(f"{flag} must be 0 or more, not {value}")
        if name in ("ent_coef", "target_entropy") and isinstance(value, str):
            _check_automatic(flag, value)
    if options.net_arch is not None and any(units < 1 for units in options.net_arch):
        raise UsageError(f"--net-arch must be numbers of units, 1 or more, not {' '.join(map(str, options.net_arch))}")
    if isinstance(options, PPOOptions) and options.normalize_advantage and options.batch_size < 2:
        raise UsageError("--batch-size must be 2 or more, as advantages are normalised (--no-normalize-advantage: 1)")
    if getattr(options, "gradient_steps", 1) < 1 and options.gradient_steps != -1:
        raise UsageError(f"--gradient-steps must be 1 or more, or -1, not {options.gradient_steps}")


def _check_automatic(flag: str, value: str) -> None:
    number = value.removeprefix("auto_") if flag == "--ent-coef" else value
    try:
        fine = value == "auto" or (np.isfinite(float(number)) and (flag != "--ent-coef" or float(number) >= 0))
    except ValueError:
        fine = False
    if not fine:
        raise UsageError(f"{flag} must be a number or auto, not {value!r}")


def check_actions(name: str, env_id: str, space: spaces.Space[Any]) -> None:
    """Refuses an agent that cannot take the actions of an environment.

    Args:
        name: A name in ``AGENTS``.
        env_id: Of the environment, for the message.
        space: Its actions.

    Raises:
        UsageError: It cannot; the message says which agents can.
    """
    if not isinstance(space, AGENTS[name].actions):
        can = ", ".join(each for each in AGENTS if isinstance(space, AGENTS[each].actions))
        raise UsageError(f"--agent {name} cannot take the actions of {env_id}, {space}; accepted: {can or 'none'}")


def build_agent(
    name: str, options: Any, envs: Any, policy: str, policy_options: dict[str, Any], seed: int, device: str
) -> BaseAlgorithm:
    """An algorithm as its options say. It seeds the global random states, which its caller puts back.

    Args:
        name: A name in ``AGENTS``.
        options: Its options.
        envs: The environments, as stable-baselines3 has them.
        policy: The name of its policy.
        policy_options: Options of the policy.
        seed: Source of everything random.
        device: Where it computes.

    Raises:
        UsageError: The options do not go together.
    """
    options = options.ppo() if isinstance(options, DreamPPOOptions) else options
    names = [field.name for field in dataclasses.fields(options) if field.name not in _OF_ENVS]
    given = {each: getattr(options, each) for each in names}
    policy_options = dict(policy_options)
    if (units := given.pop("net_arch")) is not None:
        policy_options["net_arch"] = list(units)
    if "n_quantiles" in given:
        policy_options["n_quantiles"] = given.pop("n_quantiles")
    if given.pop("lr_schedule") == "linear":
        given["learning_rate"] = LinearSchedule(given["learning_rate"], 0.0, 1.0)
    if (deviation := given.pop("action_noise", 0.0)) and isinstance(envs.action_space, spaces.Box):
        zero = np.zeros(envs.action_space.shape)
        given["action_noise"] = NormalActionNoise(zero, zero + deviation)
    try:
        return AGENTS[name].algorithm(
            policy,
            envs,
            policy_kwargs=policy_options,
            seed=seed,
            device=device,
            **given,
        )
    except (AssertionError, ValueError, TypeError) as error:
        raise UsageError(f"--agent {name}: {' '.join(str(error).split())}") from error
