"""The names that ``--model`` takes: for each, its options and how it is built."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from ..datasets.factors import FactorDataset
from ..envs.registry import Registry, UsageError
from ..envs.world import World
from .actions.base import Estimator
from .actions.exact import Exact
from .actions.peeling import Peeling, PeelingSchedule
from .actions.procrustes import Procrustes, Schedule
from .actions.reinforce import Reinforce
from .actions.representations import check_structure
from .dynamics.base import DYNAMICS
from .group import GroupVAE
from .latents import LATENTS, LatentSpace
from .likelihoods import LIKELIHOODS
from .networks import ARCHITECTURES
from .objectives import OBJECTIVES, Divergence, Setting
from .parts import Parts
from .vae import VAE

PARTS: dict[str, Parts] = {
    "latent": LATENTS,
    "objective": OBJECTIVES,
    "likelihood": LIKELIHOODS,
    "architecture": ARCHITECTURES,
    "dynamics": DYNAMICS,
}
"""What a model is composed of, by the option that names it; each brings options of its own."""


@dataclass(frozen=True)
class Context:
    """What a model is built for.

    Attributes:
        world: The world that it will see.
        static_content: Whether scenes differ in something that no action moves (backgrounds).
        offset: Steps between the two images of a transition.
        generator: Source of the initial weights.
        images: How many images there are to train on.
        parts: Options of the named parts that have any, by kind.
        data: What it is trained on, for models that read more of it than its world.
        base: The world model that it is made over, where it is made over one.
    """

    world: World
    static_content: bool
    offset: int
    generator: torch.Generator
    images: int = 1
    parts: Mapping[str, Any] = field(default_factory=dict)
    data: FactorDataset | None = None
    base: VAE | None = None

    def build(self, kind: str, name: str, *made_for: Any) -> Any:
        """Makes a part.

        Args:
            kind: A key of ``PARTS``.
            name: Of the part.
            made_for: What parts of this kind are made for, after their options.

        Raises:
            UsageError: There is no such part, or it cannot be made so.
        """
        part = PARTS[kind][PARTS[kind].known_as(name)]
        options = self.parts.get(kind)
        return part.build(part.options() if options is None else options, *made_for)


@dataclass(frozen=True)
class ModelSpec:
    """What a name in ``MODELS`` stands for.

    Attributes:
        options: The dataclass of its options, all with defaults.
        build: Makes the model.
        summary: One line for ``--help``.
        defaults: Options, its own or of its parts, that have another default than elsewhere.
    """

    options: type[Any]
    build: Callable[[Any, Context], VAE]
    summary: str
    defaults: Mapping[str, Any] = field(default_factory=dict)


MODELS = Registry[ModelSpec]("model")


def model(
    name: str, options: type[Any], summary: str, **defaults: Any
) -> Callable[[Callable[[Any, Context], VAE]], Callable[[Any, Context], VAE]]:
    """Registers the decorated function as the builder of the model ``name``.

    Args:
        name: What ``--model`` takes.
        options: The dataclass of its options.
        summary: One line for ``--help``: what it is, and whose.
        defaults: Options, its own or of its parts, that have another default than elsewhere.
    """

    def enter(build: Callable[[Any, Context], VAE]) -> Callable[[Any, Context], VAE]:
        MODELS.register(name)(ModelSpec(options, build, summary, defaults))
        return build

    return enter


@dataclass
class VAEOptions:
    """Options of the model."""

    latents: int = 10
    """Number of latents."""
    latent: str = "euclidean"
    """Latent space; train.py --help lists them."""
    objective: str = "beta"
    """What is minimised; train.py --help lists them."""
    architecture: str = "burgess"
    """Networks; train.py --help lists them."""
    likelihood: str = "bernoulli"
    """Reconstruction term; train.py --help lists them."""
    learning_rate: float = 1e-3
    """Adam's learning rate."""
    adam_beta1: float = 0.9
    """Adam's decay of the mean gradient."""
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
class GroupOptions(VAEOptions):
    """Options of the model."""

    latents: int = 4
    """Latents that the group acts on, in pairs."""
    latent: str = "euclidean"
    """Latent space: euclidean, or torus (with rgrvae's estimators exact and reinforce)."""
    architecture: str = "forward"
    """Networks; train.py --help lists them."""
    learning_rate: float = 3e-3
    """Adam's learning rate."""
    batch_size: int = 40
    """Transitions in a batch; a batch holds batch-size / window windows."""
    epochs: int = 30
    """Passes over the training data, at most: training also ends when refinement is complete."""
    group_structure: tuple[str, ...] = ("c+", "c-")
    """Letters, each an action on every latent pair: c c+ c- cn CN turn, 0 does nothing, m is a free 2x2 matrix."""
    use_cob: bool = False
    """Give each action a learnable change of basis."""
    gvae_gamma: float | None = 40.0
    """Weight of the latent prediction error; None takes the divergence's."""
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
    """The VAE underneath, a model of single images: whose objective weighs the divergence."""
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


def check_fitting(options: Any) -> None:
    """Refuses options of the fit that no model can be trained with: rates, batches, epochs.

    Args:
        options: An option dataclass that has them.

    Raises:
        UsageError: As the message says.
    """
    if options.lr_scheduler != "exp":
        _refuse_unread(options, ("lr_scheduler_gamma",), f"by --lr-scheduler {options.lr_scheduler}")
    if not 0 <= options.adam_beta1 < 1:
        raise UsageError(f"--adam-beta1 must be at least 0 and below 1, not {options.adam_beta1}")
    _positive(
        learning_rate=options.learning_rate,
        batch_size=options.batch_size,
        epochs=options.epochs,
        clip_norm=options.clip_norm,
        lr_scheduler_gamma=options.lr_scheduler_gamma,
    )


def _check(options: VAEOptions) -> None:
    check_fitting(options)
    _positive(latents=options.latents)


def _refuse_unread(options: Any, names: Sequence[str], why: str) -> None:
    """Refuses options that were set but that nothing would read."""
    defaults = type(options)()
    for name in names:
        if getattr(options, name) != getattr(defaults, name):
            raise UsageError(f"--{name.replace('_', '-')} is not read {why}")


def vae(options: VAEOptions, context: Context, kind: type[VAE] = VAE, space: LatentSpace | None = None) -> VAE:
    """A model of single images, made of the parts that its options name.

    Args:
        options: Its options.
        context: What it is built for.
        kind: Its class.
        space: Its latent space; None: the one that the options name.
    """
    _check(options)
    shape = context.world.image_shape
    space = context.build("latent", options.latent, options.latents) if space is None else space
    setting = Setting(space, context.images, context.generator, options.batch_size)
    built = kind(
        shape,
        space,
        context.build("architecture", options.architecture),
        context.build("likelihood", options.likelihood, shape),
        context.build("objective", options.objective, setting),
        options.learning_rate,
        context.generator,
    )
    built.adam_beta1 = options.adam_beta1
    built.objective.check(built)
    return built


def preset(name: str, summary: str, **defaults: Any) -> None:
    """Registers a model of single images that is made of named parts.

    Args:
        name: What ``--model`` takes.
        summary: One line for ``--help``: what it is, and whose.
        defaults: The parts, and options of the model and of these parts, that have another default than elsewhere.
    """
    model(name, VAEOptions, summary, **defaults)(vae)


preset("vae", "variational auto-encoder (Kingma and Welling 2014)")
preset("betavae", "beta-VAE, weighted divergence (Higgins et al. 2017)", beta=4.0, learning_rate=1e-4)
preset(
    "annealedvae",
    "beta-VAE with a growing capacity (Burgess et al. 2018, arXiv 1804.03599)",
    objective="capacity",
    learning_rate=5e-4,
)
preset(
    "factorvae",
    "FactorVAE, total correlation by a discriminator (Kim and Mnih 2018, arXiv 1802.05983)",
    objective="factor",
    learning_rate=1e-4,
    batch_size=128,
)
preset(
    "dipvae-i",
    "DIP-VAE-I, uncorrelated posterior means (Kumar et al. 2018, arXiv 1711.00848)",
    objective="dip-i",
    learning_rate=1e-4,
)
preset(
    "dipvae-ii",
    "DIP-VAE-II, uncorrelated codes (Kumar et al. 2018, arXiv 1711.00848)",
    objective="dip-ii",
    learning_rate=1e-4,
)
preset("betatcvae", "beta-TCVAE, weighted total correlation (Chen et al. 2018, arXiv 1802.04942)", objective="tc")
preset(
    "infovae",
    "InfoVAE, codes compared with the prior by MMD (Zhao et al. 2017, arXiv 1706.02262)",
    objective="info",
    latents=64,
    architecture="dense",
    activation="softplus",
    learning_rate=1e-4,
    adam_beta1=0.5,
    batch_size=250,
)
preset(
    "lagvae",
    "mutual information under constraints, multipliers learnt (Zhao et al. 2018, arXiv 1806.06514)",
    objective="lagrangian",
    bandwidth="dim-squared",
    unbiased=False,
    sampled_kl=True,
    latents=64,
    architecture="dense",
    activation="softplus",
    learning_rate=1e-4,
    adam_beta1=0.5,
    batch_size=250,
)
preset(
    "imavae",
    "VAE with a nearly deterministic decoder (Reizinger et al. 2022, arXiv 2206.02416)",
    latent="unit-interval",
    objective="ima",
    likelihood="gaussian",
    decoder_variance=1e-4,
    architecture="dense",
    hidden_width=60,
    activation="leaky-relu",
    latents=3,
    epochs=50,
)
_GM_VAE = {"latents": 8, "architecture": "gmvae", "batch_size": 100, "epochs": 100}
preset(
    "gmvae",
    "VAE on planes of Gaussians, the Gaussian manifold (Cho et al. 2023, arXiv 2209.15217)",
    latent="gaussian-manifold",
    **_GM_VAE,
)
preset(
    "hvae",
    "VAE on hyperbolic planes, wrapped normal (Nagano et al. 2019, arXiv 1902.02992)",
    latent="hyperboloid",
    **_GM_VAE,
)
preset(
    "rown",
    "VAE on a hyperbolic space, rotated wrapped normal (Cho et al. 2022, arXiv 2205.13371)",
    latent="hyperboloid",
    factor_size=None,
    covariance="rotated",
    **_GM_VAE,
)
preset(
    "pvae",
    "VAE on Poincaré discs, Riemannian normal (Mathieu et al. 2019, arXiv 1901.06033)",
    latent="poincare",
    **_GM_VAE,
)


def _check_torus(options: GroupOptions, estimator: str) -> None:
    """Refuses what would move codes off the torus.

    Raises:
        UsageError: As the message says.
    """
    if estimator in ("procrustes", "peeling"):
        raise UsageError("--latent torus needs codes that turn: --estimator exact or reinforce of rgrvae is accepted")
    moving = [letter for letter in options.group_structure if letter not in _TURNS]
    if moving:
        raise UsageError(f"--group-structure {moving[0]} moves codes off the torus; accepted: {', '.join(_TURNS)}")
    if options.use_cob:
        raise UsageError("--use-cob mixes the circles of the torus: --no-use-cob is accepted")
    if options.static_latents:
        raise UsageError("--static-latents cannot be told from the circles of a torus: 0 is accepted")


def _group_model(options: GroupOptions, context: Context, estimator: str) -> GroupVAE:
    _check(options)
    if options.latent == "torus":
        _check_torus(options, estimator)
    elif options.latent != "euclidean":
        raise UsageError(
            "actions are matrices, which move codes of euclidean and torus latents: "
            f"--latent {options.latent} is not accepted here"
        )
    check_structure(options.group_structure, options.latents)
    steps = context.offset if options.num_action_steps is None else options.num_action_steps
    _positive(num_action_steps=steps)
    if steps != context.offset and estimator != "reinforce":
        raise UsageError(
            f"--num-action-steps {steps} and --offset {context.offset} must agree: "
            "both count the actions between two images"
        )
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
    shape, space = context.world.image_shape, context.build("latent", options.latent, options.latents + static)
    objective = context.build("objective", options.objective, Setting(space, context.images, context.generator))
    if not isinstance(objective, Divergence):
        raise UsageError(
            f"--objective {options.objective} weighs more than the divergence, which models of actions cannot be"
            " trained by; beta and capacity are accepted"
        )
    likelihood = context.build("likelihood", options.likelihood, shape)
    if likelihood.channels is not None:
        raise UsageError(f"--likelihood {options.likelihood} is for models of single images, not for those of actions")
    architecture = context.build("architecture", options.architecture)
    group = GroupVAE(
        shape,
        latents=options.latents,
        static_latents=static,
        structure=options.group_structure,
        use_cob=options.use_cob,
        num_action_steps=steps,
        window=window,
        group_learning_rate=options.group_learning_rate or default_rate,
        policy_learning_rate=policy_rate or options.learning_rate,
        architecture=architecture,
        likelihood=likelihood,
        objective=objective,
        learning_rate=options.learning_rate,
        generator=context.generator,
        latent=space,
    )
    group.adam_beta1 = options.adam_beta1
    return group


_TURNS = ("c", "c+", "c-", "cn", "0", "d", "ddn")
"""Group structure letters that keep the length of each pair."""


def base_defaults(name: str) -> dict[str, Any]:
    """The objective of a model of single images, and its options where they have another default than elsewhere.

    Raises:
        UsageError: There is no such model, or it is of another kind.
    """
    spec = MODELS[name]
    if spec.build is not vae:
        raise UsageError(f"--base-model {name} is not a model of single images; vae and betavae are")
    chosen = spec.defaults.get("objective", VAEOptions.objective)
    known = {each.name for each in dataclasses.fields(OBJECTIVES[chosen].options)}
    return {"objective": chosen} | {key: value for key, value in spec.defaults.items() if key in known}


def _gamma(options: GroupOptions, group: GroupVAE) -> float:
    weight: float = getattr(group.objective, "beta", 1.0)
    return weight if options.gvae_gamma is None else options.gvae_gamma


def _procrustes(options: GroupOptions, group: GroupVAE, context: Context, labelled: bool) -> Procrustes:
    if labelled and not context.world.actions:
        raise UsageError("this model learns from the codes of actions, which the data has none of; rgrvae does without")
    return Procrustes(
        context.world.image_shape,
        context.build("architecture", options.architecture),
        group.bank,
        static_latents=group.latent.size - group.group_latents,
        steps=group.num_action_steps,
        gamma=_gamma(options, group),
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
        context.build("architecture", options.architecture),
        group.bank,
        gamma=_gamma(options, group),
        refine_steps=options.refine_steps,
        schedule=PeelingSchedule(search_steps=options.search_steps, teach_steps=options.teach_steps),
        generator=context.generator,
    )


@ESTIMATORS.register("exact")
def _exact(options: RGrVAEOptions, group: GroupVAE, context: Context) -> Estimator:
    _not_negative(entropy_weight=options.entropy_weight, information_weight=options.information_weight)
    if group.num_action_steps > 1:
        raise UsageError("--estimator exact takes single actions: use procrustes or reinforce with several")
    gamma = _gamma(options, group)
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
        gamma=_gamma(options, group),
        entropy_weight=options.entropy_weight,
        strategy=options.multi_action_strategy,
        discount=options.reinforce_discount,
        use_regret=options.use_regret,
        policy_weight=options.base_policy_weight,
        policy_epsilon=options.base_policy_epsilon,
        generator=context.generator,
    )
