"""The names that ``--model`` takes: for each, its options and how it is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from ..envs.registry import Registry, UsageError
from ..envs.world import World
from .actions.base import Estimator
from .actions.exact import Exact
from .actions.procrustes import Procrustes, Schedule
from .actions.reinforce import Reinforce
from .actions.representations import check_structure
from .group import GroupVAE
from .networks import ARCHITECTURES
from .objectives import Beta, Capacity, Objective
from .vae import VAE


@dataclass(frozen=True)
class Context:
    """What a model is built for.

    Attributes:
        world: The world that it will see.
        static_content: Whether scenes differ in something that no action moves (backgrounds).
        offset: Steps between the two images of a transition.
        generator: Source of the initial weights.
    """

    world: World
    static_content: bool
    offset: int
    generator: torch.Generator


@dataclass(frozen=True)
class ModelSpec:
    """A model's options (a dataclass, all with defaults) and ``build(options, context)``, which makes it."""

    options: type[Any]
    build: Callable[[Any, Context], VAE]
    summary: str


MODELS = Registry[ModelSpec]("model")


def model(
    name: str, options: type[Any], summary: str
) -> Callable[[Callable[[Any, Context], VAE]], Callable[[Any, Context], VAE]]:
    """Registers the decorated function as the builder of the model ``name``.

    Args:
        name: What ``--model`` takes.
        options: The dataclass of its options.
        summary: One line for ``--help``: what it is, and whose.
    """

    def enter(build: Callable[[Any, Context], VAE]) -> Callable[[Any, Context], VAE]:
        MODELS.register(name)(ModelSpec(options, build, summary))
        return build

    return enter


@dataclass
class VAEOptions:
    """Options of the model."""

    latents: int = 10
    """Number of latents."""
    architecture: str = "burgess"
    """Networks: forward, forward-wide, forward-wider, burgess, higgins or mlp."""
    likelihood: Literal["bernoulli", "squared"] = "bernoulli"
    """Reconstruction term: cross-entropy in nats, or squared error, both summed over pixels."""
    learning_rate: float = 1e-3
    """Adam's learning rate."""
    batch_size: int = 64
    """Transitions in a batch (images, for models of single images)."""
    epochs: int = 20
    """Passes over the training data, at most."""
    clip_norm: float = 1000.0
    """Norm to which gradients are clipped."""
    lr_scheduler: Literal["none", "exp", "cosine"] = "none"
    """Decay of all rates after each epoch, beside the model's own: by lr-scheduler-gamma, or along a cosine to 0."""
    lr_scheduler_gamma: float = 0.99
    """Factor for each epoch (exp)."""


@dataclass
class BetaVAEOptions(VAEOptions):
    """Options of the model."""

    objective: Literal["H", "B"] = "H"
    """H: beta * KL (Higgins 2017). B: gamma * |KL - C| with a growing capacity C (Burgess 2018)."""
    beta: float = 4.0
    """Weight of the divergence in objective H."""
    gamma: float = 1000.0
    """Weight of the distance to the capacity in objective B."""
    C_max: float = 25.0
    """Last capacity in nats, objective B."""
    C_stop_iter: int = 100_000
    """Updates until the capacity reaches C_max, objective B."""


@dataclass
class GroupOptions(BetaVAEOptions):
    """Options of the model."""

    latents: int = 4
    """Latents that the group acts on, in pairs."""
    architecture: str = "forward"
    """Networks: forward, forward-wide, forward-wider, burgess, higgins or mlp."""
    learning_rate: float = 3e-3
    """Adam's learning rate."""
    batch_size: int = 40
    """Transitions in a batch; a batch holds batch-size / window windows."""
    epochs: int = 30
    """Passes over the training data, at most: training also ends when refinement is complete."""
    beta: float = 1.0
    """Weight of the divergence in objective H."""
    group_structure: tuple[str, ...] = ("c+", "c-")
    """Letters, each an action on every latent pair: c c+ c- cn CN turn, 0 does nothing, m m3 m4 free, d ddn mirror."""
    use_cob: bool = False
    """Give each action a learnable change of basis."""
    gvae_gamma: float | None = 40.0
    """Weight of the latent prediction error; None takes beta."""
    group_learning_rate: float | None = None
    """Adam's rate for angles and matrices; None: 0.1 for reinforce, 0.01 for exact, 0.003 otherwise."""
    static_latents: int | None = None
    """Latents that no action moves; None: 4 with backgrounds, else 0."""
    window: int | None = None
    """Consecutive transitions in a training window; None: 5, or 1 for reinforce and exact."""
    num_action_steps: int | None = None
    """Actions between the two images of a transition; None takes --offset."""
    slowness: float = 40.0
    """Weight of the latent distance between consecutive images while searching."""
    refine_steps: int = 4000
    """Updates of refinement after the actions are found."""
    base_model: Literal["betavae", "vae"] = "betavae"
    """The VAE underneath: its objective is --objective, or fixed to the evidence lower bound for vae."""
    base_model_path: str | None = None
    """Run or checkpoint of a VAE of the same size whose encoder and decoder to start from."""


@dataclass
class RGrVAEOptions(GroupOptions):
    """Options of the model."""

    estimator: Literal["procrustes", "exact", "reinforce"] = "procrustes"
    """How actions are inferred: solved for in closed form, by exact expectation, or by policy gradient."""
    policy_learning_rate: float | None = None
    """Adam's rate for the policy network; None takes the learning rate."""
    entropy_weight: float = 0.01
    """Weight of the policy's entropy (reinforce, exact)."""
    information_weight: float | None = None
    """Weight of the mean policy's entropy (exact); None takes twice gvae-gamma."""
    multi_action_strategy: Literal["reward", "returns"] = "reward"
    """Credit of each of several actions: its own reward, or discounted returns (reinforce)."""
    reinforce_discount: float = 0.99
    """Discount of returns (reinforce)."""
    use_regret: bool = False
    """Subtract the mean regret from rewards (reinforce)."""
    base_policy_weight: float = 1.0
    """Chance to draw an action from the policy rather than uniformly (reinforce)."""
    base_policy_epsilon: float = 0.0
    """Share of the rest of that chance moved to the policy at each draw (reinforce)."""


def _positive(**numbers: float | None) -> None:
    for name, number in numbers.items():
        if number is not None and not number > 0:
            raise UsageError(f"--{name.replace('_', '-')} must be above 0, not {number}")


def _check(options: VAEOptions) -> None:
    ARCHITECTURES[options.architecture]
    _positive(
        latents=options.latents,
        learning_rate=options.learning_rate,
        batch_size=options.batch_size,
        epochs=options.epochs,
        clip_norm=options.clip_norm,
        lr_scheduler_gamma=options.lr_scheduler_gamma,
    )


def _refuse_unread(options: Any, names: tuple[str, ...], why: str) -> None:
    """Refuses options that were set but that nothing would read."""
    defaults = type(options)()
    for name in names:
        if getattr(options, name) != getattr(defaults, name):
            raise UsageError(f"--{name.replace('_', '-')} is not read {why}")


def _objective(options: BetaVAEOptions) -> Objective:
    unread = ("beta",) if options.objective == "B" else ("gamma", "C_max", "C_stop_iter")
    _refuse_unread(options, unread, f"by objective {options.objective}")
    if options.objective == "B":
        _positive(gamma=options.gamma, C_max=options.C_max, C_stop_iter=options.C_stop_iter)
        return Capacity(options.gamma, options.C_max, options.C_stop_iter)
    if options.beta < 0:
        raise UsageError(f"--beta must be 0 or more, not {options.beta}")
    return Beta(options.beta)


def _plain(options: VAEOptions, objective: Objective, context: Context) -> VAE:
    _check(options)
    return VAE(
        context.world.image_shape,
        options.latents,
        options.architecture,
        options.likelihood,
        objective,
        options.learning_rate,
        context.generator,
    )


@model("vae", VAEOptions, "variational auto-encoder (Kingma and Welling 2014)")
def vae(options: VAEOptions, context: Context) -> VAE:
    """The evidence lower bound and nothing else."""
    return _plain(options, Beta(1.0), context)


@model("betavae", BetaVAEOptions, "beta-VAE, objective H or B (Higgins et al. 2017; Burgess et al. 2018)")
def betavae(options: BetaVAEOptions, context: Context) -> VAE:
    """A VAE whose divergence is weighted, or held at a capacity."""
    return _plain(options, _objective(options), context)


def _group_model(options: GroupOptions, context: Context, estimator: str) -> GroupVAE:
    _check(options)
    check_structure(options.group_structure, options.latents)
    steps = context.offset if options.num_action_steps is None else options.num_action_steps
    if steps != context.offset:
        raise UsageError(
            f"--num-action-steps {steps} and --offset {context.offset} must agree: "
            "both count the actions between two images"
        )
    if options.base_model == "vae" and (options.objective != "H" or options.beta != 1.0):
        raise UsageError(
            "--base-model vae has the evidence lower bound: --objective and --beta need --base-model betavae"
        )
    objective = _objective(options)
    closed_form = estimator == "procrustes"
    window = options.window if options.window is not None else (5 if closed_form else 1)
    default_rate = {"reinforce": 0.1, "exact": 0.01}.get(estimator, 3e-3)
    wanted = 4 if context.static_content and closed_form else 0
    static = wanted if options.static_latents is None else options.static_latents
    if static < 0:
        raise UsageError(f"--static-latents must be 0 or more, not {static}")
    policy_rate = getattr(options, "policy_learning_rate", None)
    _positive(
        window=window,
        group_learning_rate=options.group_learning_rate,
        refine_steps=options.refine_steps,
        policy_learning_rate=policy_rate,
    )
    if options.slowness < 0 or (options.gvae_gamma is not None and options.gvae_gamma < 0):
        raise UsageError("--slowness and --gvae-gamma must be 0 or more")
    return GroupVAE(
        context.world.image_shape,
        latents=options.latents,
        static_latents=static,
        structure=options.group_structure,
        use_cob=options.use_cob,
        num_action_steps=steps,
        window=window,
        group_learning_rate=options.group_learning_rate or default_rate,
        policy_learning_rate=policy_rate or options.learning_rate,
        architecture=options.architecture,
        likelihood=options.likelihood,
        objective=objective,
        learning_rate=options.learning_rate,
        generator=context.generator,
    )


def _gamma(options: GroupOptions) -> float:
    return options.beta if options.gvae_gamma is None else options.gvae_gamma


def _procrustes(options: GroupOptions, group: GroupVAE, context: Context, labelled: bool) -> Procrustes:
    return Procrustes(
        context.world.image_shape,
        options.architecture,
        group.bank,
        static_latents=group.latent.size - group.group_latents,
        steps=group.num_action_steps,
        gamma=_gamma(options),
        schedule=Schedule(slowness=options.slowness, refine_steps=options.refine_steps),
        labelled=labelled,
        label_count=len(context.world.actions) if labelled else 0,
        generator=context.generator,
    )


@dataclass
class ForwardOptions(GroupOptions):
    """Options of the model."""

    group_structure: tuple[str, ...] = field(default=("m", "m"))
    """Letters, each an action on every latent pair: m (free 2x2 matrix) or a rotation."""


@model("forward", ForwardOptions, "Forward-VAE: a free matrix for each given action (Caselles-Dupre et al. 2019)")
def forward(options: ForwardOptions, context: Context) -> VAE:
    """Actions are given; each has a free 2x2 matrix on the latent pair that it is found to move."""
    group = _group_model(options, context, "procrustes")
    group.estimator = _procrustes(options, group, context, labelled=True)
    return group


@model("dforward", GroupOptions, "Forward-VAE over a group structure: actions given, rotations learnt")
def dforward(options: GroupOptions, context: Context) -> VAE:
    """Actions are given; each is matched to the entry of the group structure that can carry it."""
    group = _group_model(options, context, "procrustes")
    group.estimator = _procrustes(options, group, context, labelled=True)
    return group


_SAMPLING = (
    "multi_action_strategy",
    "reinforce_discount",
    "use_regret",
    "base_policy_weight",
    "base_policy_epsilon",
)
_SOLVING = ("slowness", "refine_steps", "static_latents")
_UNREAD = {
    "procrustes": (*_SAMPLING, "entropy_weight", "information_weight"),
    "exact": (*_SAMPLING, *_SOLVING),
    "reinforce": (*_SOLVING, "information_weight"),
}


@model("rgrvae", RGrVAEOptions, "group VAE that infers the actions itself (Painter et al. 2020)")
def rgrvae(options: RGrVAEOptions, context: Context) -> VAE:
    """Actions are inferred from the two images, by the chosen estimator."""
    _refuse_unread(options, _UNREAD[options.estimator], f"by --estimator {options.estimator}")
    group = _group_model(options, context, options.estimator)
    group.estimator = _estimator(options, group, context)
    return group


def _estimator(options: RGrVAEOptions, group: GroupVAE, context: Context) -> Estimator:
    gamma = _gamma(options)
    shape, generator = context.world.image_shape, context.generator
    if options.estimator == "procrustes":
        return _procrustes(options, group, context, labelled=False)
    if options.estimator == "exact":
        if group.num_action_steps > 1:
            raise UsageError("--estimator exact takes single actions: use procrustes or reinforce with several")
        weight = 2 * gamma if options.information_weight is None else options.information_weight
        return Exact(
            shape,
            group.bank,
            gamma=gamma,
            entropy_weight=options.entropy_weight,
            information_weight=weight,
            generator=generator,
        )
    for name in ("base_policy_weight", "base_policy_epsilon", "reinforce_discount"):
        if not 0 <= getattr(options, name) <= 1:
            raise UsageError(f"--{name.replace('_', '-')} must be between 0 and 1, not {getattr(options, name)}")
    return Reinforce(
        shape,
        group.num_actions,
        steps=group.num_action_steps,
        gamma=gamma,
        entropy_weight=options.entropy_weight,
        strategy=options.multi_action_strategy,
        discount=options.reinforce_discount,
        use_regret=options.use_regret,
        policy_weight=options.base_policy_weight,
        policy_epsilon=options.base_policy_epsilon,
        generator=generator,
    )
