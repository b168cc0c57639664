"""The names that ``--model`` takes: for each, its options and how it is built."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from ..envs.registry import Registry, UsageError
from ..envs.world import World
from .actions.base import Estimator
from .actions.exact import Exact
from .actions.peeling import Peeling, PeelingSchedule
from .actions.procrustes import Procrustes, Schedule
from .actions.reinforce import Reinforce
from .actions.representations import check_structure
from .group import GroupVAE
from .networks import ARCHITECTURES
from .objectives import OBJECTIVES, Beta, Objective
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

    objective: str = "H"
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
    """Letters, each an action on every latent pair: c c+ c- cn CN turn, 0 does nothing, m is a free 2x2 matrix."""
    use_cob: bool = False
    """Give each action a learnable change of basis."""
    gvae_gamma: float | None = 40.0
    """Weight of the latent prediction error; None takes beta."""
    group_learning_rate: float | None = None
    """Adam's rate for angles and matrices; None: 0.003."""
    static_latents: int | None = None
    """Latents that no action moves; None: 4 with backgrounds, else 0."""
    window: int | None = None
    """Consecutive transitions in a training window; None: 5."""
    num_action_steps: int | None = None
    """Actions between the two images of a transition; None takes --offset."""
    slowness: float = 40.0
    """Weight of the latent distance between consecutive images while searching."""
    refine_steps: int = 4000
    """Updates of refinement after the actions are found."""
    base_model: str = "betavae"
    """The VAE underneath, a model of single images: its objective is what the divergence is weighed by."""
    base_model_path: str | None = None
    """Run or checkpoint of a VAE of the same size whose encoder and decoder to start from."""


@dataclass
class RGrVAEOptions(GroupOptions):
    """Options of the model."""

    estimator: str = "procrustes"
    """How actions are inferred: procrustes solves for them, peeling finds one factor after another, exact takes
    expectations, reinforce follows a policy."""
    group_structure: tuple[str, ...] = ("c+", "c-")
    """Letters on every latent pair: c c+ c- cn CN turn, 0 rests; with exact or reinforce also m m3 m4 free, d ddn."""
    group_learning_rate: float | None = None
    """Adam's rate for angles and matrices; None: 0.003, or 0.01 for exact, 0.1 for reinforce."""
    window: int | None = None
    """Consecutive transitions in a training window; None: 5, or 1 for exact and reinforce."""
    num_action_steps: int | None = None
    """Actions inferred between two images; None takes --offset, and only reinforce takes another number."""
    policy_learning_rate: float | None = None
    """Adam's rate for the policy network; None takes the learning rate."""
    search_steps: int = 3000
    """Updates before factors are looked for (peeling)."""
    teach_steps: int = 4000
    """Updates in which the model learns the factors that were found (peeling)."""
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


def _not_negative(**numbers: float | None) -> None:
    for name, number in numbers.items():
        if number is not None and number < 0:
            raise UsageError(f"--{name.replace('_', '-')} must be 0 or more, not {number}")


def _check(options: VAEOptions) -> None:
    ARCHITECTURES[options.architecture]
    if options.lr_scheduler != "exp":
        _refuse_unread(options, ("lr_scheduler_gamma",), f"by --lr-scheduler {options.lr_scheduler}")
    _positive(
        latents=options.latents,
        learning_rate=options.learning_rate,
        batch_size=options.batch_size,
        epochs=options.epochs,
        clip_norm=options.clip_norm,
        lr_scheduler_gamma=options.lr_scheduler_gamma,
    )


def _refuse_unread(options: Any, names: Sequence[str], why: str) -> None:
    """Refuses options that were set but that nothing would read."""
    defaults = type(options)()
    for name in names:
        if getattr(options, name) != getattr(defaults, name):
            raise UsageError(f"--{name.replace('_', '-')} is not read {why}")


def _objective(options: BetaVAEOptions) -> Objective:
    """The chosen objective, its fields read from the options of their names."""
    chosen = OBJECTIVES[options.objective]
    read = {field.name for field in dataclasses.fields(chosen)}
    others = {field.name for name in OBJECTIVES for field in dataclasses.fields(OBJECTIVES[name])} - read
    _refuse_unread(
        options, [name for name in sorted(others) if hasattr(options, name)], f"by objective {options.objective}"
    )
    objective: Objective = chosen(**{name: getattr(options, name) for name in read})
    return objective


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
    _positive(num_action_steps=steps)
    if steps != context.offset and estimator != "reinforce":
        raise UsageError(
            f"--num-action-steps {steps} and --offset {context.offset} must agree: "
            "both count the actions between two images"
        )
    objective = _base_objective(options, context)
    closed_form = estimator in ("procrustes", "peeling")
    window = options.window if options.window is not None else (5 if closed_form else 1)
    default_rate = {"reinforce": 0.1, "exact": 0.01}.get(estimator, 3e-3)
    wanted = 4 if context.static_content and closed_form else 0
    static = wanted if options.static_latents is None else options.static_latents
    policy_rate = getattr(options, "policy_learning_rate", None)
    _positive(
        window=window,
        group_learning_rate=options.group_learning_rate,
        refine_steps=options.refine_steps,
        policy_learning_rate=policy_rate,
    )
    _not_negative(static_latents=static, slowness=options.slowness, gvae_gamma=options.gvae_gamma)
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


def _base_objective(options: GroupOptions, context: Context) -> Objective:
    """The objective of the model named by ``--base-model``, built with what options the two have in common."""
    if options.base_model == "betavae":
        return _objective(options)
    spec = MODELS[options.base_model]
    if not issubclass(spec.options, VAEOptions) or issubclass(spec.options, GroupOptions):
        raise UsageError(f"--base-model {options.base_model} is not a model of single images; vae and betavae are")
    shared = _names(spec.options) & _names(options)
    unread = sorted(_names(BetaVAEOptions) - shared)
    _refuse_unread(options, unread, f"by --base-model {options.base_model}")
    own = dataclasses.replace(context, generator=torch.Generator())  # whose weights are not used
    return spec.build(spec.options(**{name: getattr(options, name) for name in shared}), own).objective


def _names(options: Any) -> set[str]:
    return {each.name for each in dataclasses.fields(options)}


def _gamma(options: GroupOptions) -> float:
    return options.beta if options.gvae_gamma is None else options.gvae_gamma


def _procrustes(options: GroupOptions, group: GroupVAE, context: Context, labelled: bool) -> Procrustes:
    if labelled and not context.world.actions:
        raise UsageError("this model learns from the codes of actions, which the data has none of; rgrvae does without")
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
    """Letters, each an action on every latent pair: m is a free 2x2 matrix, c c+ c- cn CN turn, 0 does nothing."""


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


ESTIMATORS = Registry[Callable[[RGrVAEOptions, GroupVAE, Context], Estimator]]("estimator")
"""The names that ``--estimator`` takes."""

_SAMPLING = (
    "multi_action_strategy",
    "reinforce_discount",
    "use_regret",
    "base_policy_weight",
    "base_policy_epsilon",
)
_SOLVING = ("slowness", "refine_steps", "static_latents")
_PEELING = ("search_steps", "teach_steps")
_UNREAD = {
    "procrustes": (*_SAMPLING, "entropy_weight", "information_weight", *_PEELING),
    "peeling": (*_SAMPLING, "entropy_weight", "information_weight", "slowness", "policy_learning_rate"),
    "exact": (*_SAMPLING, *_SOLVING, *_PEELING),
    "reinforce": (*_SOLVING, *_PEELING, "information_weight"),
}


@model("rgrvae", RGrVAEOptions, "group VAE that infers the actions itself (Painter et al. 2020)")
def rgrvae(options: RGrVAEOptions, context: Context) -> VAE:
    """Actions are inferred from the two images, by the chosen estimator."""
    build = ESTIMATORS[options.estimator]
    _refuse_unread(options, _UNREAD.get(options.estimator, ()), f"by --estimator {options.estimator}")
    group = _group_model(options, context, options.estimator)
    group.estimator = build(options, group, context)
    return group


@ESTIMATORS.register("procrustes")
def _solved_for(options: RGrVAEOptions, group: GroupVAE, context: Context) -> Estimator:
    return _procrustes(options, group, context, labelled=False)


@ESTIMATORS.register("peeling")
def _peeled(options: RGrVAEOptions, group: GroupVAE, context: Context) -> Estimator:
    _positive(search_steps=options.search_steps, teach_steps=options.teach_steps)
    if group.num_action_steps > 1:
        raise UsageError("--estimator peeling takes single actions: use procrustes or reinforce with several")
    if group.latent.size > group.group_latents:
        raise UsageError("--estimator peeling has no static latents: use procrustes with backgrounds")
    return Peeling(
        context.world.image_shape,
        options.architecture,
        group.bank,
        gamma=_gamma(options),
        refine_steps=options.refine_steps,
        schedule=PeelingSchedule(search_steps=options.search_steps, teach_steps=options.teach_steps),
        generator=context.generator,
    )


@ESTIMATORS.register("exact")
def _exact(options: RGrVAEOptions, group: GroupVAE, context: Context) -> Estimator:
    _not_negative(entropy_weight=options.entropy_weight, information_weight=options.information_weight)
    if group.num_action_steps > 1:
        raise UsageError("--estimator exact takes single actions: use procrustes or reinforce with several")
    gamma = _gamma(options)
    return Exact(
        context.world.image_shape,
        group.bank,
        gamma=gamma,
        entropy_weight=options.entropy_weight,
        information_weight=2 * gamma if options.information_weight is None else options.information_weight,
        generator=context.generator,
    )


@ESTIMATORS.register("reinforce")
def _reinforce(options: RGrVAEOptions, group: GroupVAE, context: Context) -> Estimator:
    _not_negative(entropy_weight=options.entropy_weight)
    for name in ("base_policy_weight", "base_policy_epsilon", "reinforce_discount"):
        if not 0 <= getattr(options, name) <= 1:
            raise UsageError(f"--{name.replace('_', '-')} must be between 0 and 1, not {getattr(options, name)}")
    return Reinforce(
        context.world.image_shape,
        group.num_actions,
        steps=group.num_action_steps,
        gamma=_gamma(options),
        entropy_weight=options.entropy_weight,
        strategy=options.multi_action_strategy,
        discount=options.reinforce_discount,
        use_regret=options.use_regret,
        policy_weight=options.base_policy_weight,
        policy_epsilon=options.base_policy_epsilon,
        generator=context.generator,
    )
