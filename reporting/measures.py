"""What is measured of a run: the symmetry scores on held-out states, and every metric of factors and codes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from .. import metrics
from ..datasets.randomness import numpy_generator
from ..envs.registry import UsageError, nearest
from ..envs.world import CyclicGroup, true_groups
from ..metrics import METRICS, MetricResult
from ..metrics.suite import failed, progress_of, reads_all
from ..world_models.assembly import Assembly
from . import bounds, dynamics, ima
from .subject import NOISE, Subject

_HORIZON = 50
_WALKS = 5  # random walks from each held-out state
_STARTS = 500  # held-out states, at most, that they start from
_REST = 1e-4  # of the largest variance: directions of codes that vary less are at rest
BLOCKS = "_blocks"
"""What the name of a metric ends with that is computed over blocks of codes."""


# Each of these takes a subject and gives a result; those of groups are only asked of group models.


def _alignment(subject: Subject) -> MetricResult:
    counts = len(subject.matrices), len(subject.world.actions)
    result = metrics.compute("alignment", subject.inferred, subject.held_out.actions, *counts)
    latent = metrics.compute("alignment", subject.nearest, subject.held_out.actions, *counts)
    for part, own in (("values", latent.values), ("chance", latent.chance), ("ceiling", latent.ceiling)):
        getattr(result, part)["latent"] = own.get("alignment")
    return result


def _groups(subject: Subject) -> dict[int, CyclicGroup]:
    """The true decomposition; UsageError where there is none to compare with."""
    groups = true_groups(subject.world)
    if not groups:
        raise UsageError("no cyclic group acts on this world")
    return groups


def _angles(subject: Subject) -> MetricResult:
    orders = [group.order for group in _groups(subject).values()]
    true = [action.angle for action in subject.world.actions]
    return metrics.compute("angles", subject.matrices, subject.mapping, true, max_order=max(64, *orders))


def _group_errors(subject: Subject) -> MetricResult:
    if len(subject.mapping) < len(subject.world.actions):
        return MetricResult("group_errors", {"inverse": None}, reason="some true actions have no learnt one")
    ordered = subject.matrices[[subject.mapping[code] for code in range(len(subject.world.actions))]]
    orders: list[int | None] = [None] * len(ordered)
    for group in _groups(subject).values():
        for code in group.codes:
            orders[code] = group.order
    return metrics.compute("group_errors", ordered, subject.inverses, orders)


def _decomposition(subject: Subject) -> MetricResult:
    """The structure of free linear maps between codes, one for each inferred action (each true one without these).

    The bank's own matrices are of the chosen form, and would answer half of the question.
    """
    held_out = subject.held_out
    if subject.group is None:
        actions, number = held_out.actions, len(subject.world.actions)
        mapping = {code: code for code in range(number)}
    else:
        actions, number, mapping = subject.inferred, len(subject.matrices), subject.mapping
    centre = subject.codes.mean(0)
    # In whitened coordinates a learnt rotation is orthogonal, whatever the scale of its plane. Latents at rest hold
    # nothing but noise, which whitening would make as large as the rest.
    values, vectors = np.linalg.eigh(np.cov(subject.codes.T).reshape(subject.latents, -1))
    moving = values > _REST * values.max()
    if not moving.any():
        raise UsageError("all states have the same code")
    whiten = vectors[:, moving] / np.sqrt(values[moving])
    before, after = (held_out.before - centre) @ whiten, (held_out.after - centre) @ whiten
    # Actions that are never inferred do nothing that could be seen.
    maps = np.repeat(np.eye(before.shape[1])[None], number, axis=0)
    seen = np.unique(actions)
    maps[seen] = metrics.fit_operators(before, after, np.searchsorted(seen, actions), len(seen))
    return metrics.compute("decomposition", maps, _groups(subject), mapping, subject.inverses)


def _prediction(subject: Subject) -> MetricResult:
    """Random walks from held-out states, in the latent space and in the world, compared in the image."""
    assert subject.group is not None
    if len(subject.mapping) < len(subject.world.actions):
        return MetricResult("prediction", {"within_20": None}, reason="some true actions have no learnt one")
    rng = numpy_generator(subject.assembly.options.run.seed, NOISE, 3)
    tested = subject.tested
    starts = np.repeat(tested[np.linspace(0, len(tested) - 1, min(_STARTS, len(tested))).round().astype(int)], _WALKS)
    factors = subject.factors[starts]
    learnt = np.array([subject.mapping[code] for code in range(len(subject.world.actions))])
    latents = subject.in_chunks(subject.model.encode, subject.images(starts, 4))
    centre = getattr(subject.world, "centre", None)
    # Backgrounds are bright too, though not as bright as what moves.
    threshold = 0.95 if subject.assembly.options.data.noise_name == "background" else 0.5
    distances, errors = [], []
    for _ in range(_HORIZON):
        actions = rng.integers(len(learnt), size=len(starts))
        factors = subject.world.act(factors, actions)
        with torch.no_grad():
            latents = subject.group.act(latents, torch.from_numpy(learnt[actions]))
        images = subject.in_chunks(subject.model.decode, latents).mean(1).numpy()
        truth = subject.data.frames(subject.data.latent_to_index(factors)).mean(3) / 255.0
        centres = metrics.image_centres(truth) if centre is None else centre(factors)
        distances.append(metrics.centre_error(images, centres, threshold))
        errors.append(metrics.pixel_error(images, truth))
    return metrics.compute("prediction", np.stack(distances), np.stack(errors))


def _independence(subject: Subject) -> MetricResult:
    centre = subject.trained.before.mean(0)
    trained = subject.trained
    operators = metrics.fit_operators(
        trained.before - centre, trained.after - centre, trained.actions, len(subject.world.actions)
    )
    return metrics.compute("independence", subject.held_out.before - centre, operators, subject.action_groups)


def _lsbd(subject: Subject) -> MetricResult:
    space = subject.data.factors
    sizes = tuple(int(size) for size in space.sizes)
    if not subject.small:
        raise UsageError(f"it needs the codes of all states, and {len(subject.data)} states are too many to encode")
    if len(subject.data) != space.size:
        raise UsageError(f"it needs the codes of all {space.size} states, and the data hold {len(subject.data)}")
    cyclic = [column for column, factor in enumerate(space.factors) if factor.kind == "cyclic"]
    held_out = subject.assembly.split.role(len(subject.data)) == 2
    grid = subject.whole_codes[:, : subject.latents].reshape(*sizes, -1)
    return metrics.compute("lsbd", grid, cyclic, held_out=held_out.reshape(sizes))


def _action_prediction(subject: Subject) -> MetricResult:
    trained, held = subject.trained, subject.held_out
    test = np.concatenate([np.zeros(len(trained.actions), bool), np.ones(len(held.actions), bool)])
    return metrics.compute(
        "action_prediction",
        np.concatenate([trained.before, held.before]),
        np.concatenate([trained.after, held.after]),
        np.concatenate([trained.actions, held.actions]),
        seed=subject.assembly.options.run.seed,
        test=test,
    )


@torch.no_grad()
def _reconstruction(subject: Subject) -> MetricResult:
    if not all(hasattr(subject.model, part) for part in ("posterior", "decode", "decoder", "likelihood", "latent")):
        return MetricResult("reconstruction", {"squared_error": None}, reason="the model has no decoder")
    images = subject.images(subject.tested, 5)
    model = subject.model
    posterior = model.latent.posterior(subject.in_chunks(lambda part: model.encoder(part).float(), images))
    decoded = subject.in_chunks(model.decode, posterior.mean)
    squared = (decoded - images).square().sum((1, 2, 3)).mean()
    bound = subject.in_chunks(
        lambda codes, part: model.likelihood.loss(model.logits(codes), part), posterior.mean, images
    ).mean()
    values: dict[str, float | None] = {
        "squared_error": float(squared),
        "negative_log_likelihood": float(bound),
        "kl": float(posterior.kl().sum(1).mean()),
    }
    return MetricResult("reconstruction", values, {"kl_by_latent": posterior.kl().mean(0).tolist()}, n=len(images))


def _udr(subject: Subject) -> MetricResult:
    return MetricResult("udr", {"udr": None}, reason="it compares runs: name two or more of one data set")


class Measure(NamedTuple):
    """Something that is measured of a run.

    Attributes:
        function: Takes a subject.
        acting: Whether it asks for a model that acts.
        usual: Whether it is measured when nothing is asked for.
    """

    function: Callable[[Subject], MetricResult] | None
    acting: bool = False
    usual: bool = True


MEASURES = {
    "alignment": Measure(_alignment, acting=True),
    "angles": Measure(_angles, acting=True),
    "group_errors": Measure(_group_errors, acting=True),
    "decomposition": Measure(_decomposition),
    "prediction": Measure(_prediction, acting=True),
    "independence": Measure(_independence),
    "lsbd": Measure(_lsbd),
    "mig": Measure(None),  # as every metric of factors and codes
    "action_prediction": Measure(_action_prediction),
    "reconstruction": Measure(_reconstruction),
    "dynamics": Measure(dynamics.dynamics),
    "bound": Measure(bounds.bound, usual=False),
    "information": Measure(bounds.information, usual=False),
    "hierarchy": Measure(bounds.hierarchy, usual=False),
    "ima": Measure(ima.consistency),
    "c_ima": Measure(ima.contrast, usual=False),
    "udr": Measure(_udr, usual=False),
}
"""What is measured of a run besides the metrics of factors and codes, in the order of the report."""


_ON_THE_PAGE = ("sap", "dci_lasso", "modularity", "mcc")


def usual(paged: bool = False) -> list[str]:
    """What is measured when nothing is asked for; with a page also what its heat maps show."""
    blocked = [f"{name}{BLOCKS}" for name in ("mig", *_ON_THE_PAGE) if takes(name, "blocks")]
    names = [name for name, known in MEASURES.items() if known.usual]
    return [*names, *_ON_THE_PAGE, *blocked] if paged else names


def available() -> list[str]:
    """Every name that can be asked for of a run."""
    blocked = [f"{name}{BLOCKS}" for name in metrics.names(of_codes=True) if takes(name, "blocks")]
    return [*MEASURES, *(name for name in [*metrics.names(of_codes=True), *blocked] if name not in MEASURES)]


def select(asked: Sequence[str], known: Sequence[str], usual: Sequence[str]) -> list[str]:
    """The names that a request stands for, each once, in the order of ``known``.

    Args:
        asked: Names, separated by commas or spaces; ``all`` and ``fast`` (all but the slow) stand for several.
        known: Every name there is.
        usual: What is meant when nothing is asked for.

    Raises:
        UsageError: A name that there is not.
    """
    words = [word for part in asked for word in part.replace(",", " ").split()]
    if not words:
        return list(usual)
    wanted: set[str] = set()
    for word in words:
        if word in ("all", "fast"):
            wanted |= {name for name in known if word == "all" or not is_slow(name)}
        elif word in known:
            wanted.add(word)
        else:
            there = ", ".join([*known, "fast", "all"])
            raise UsageError(f"--metrics: there is no {word!r}{nearest(word, list(known))}; there are: {there}")
    return [name for name in known if name in wanted]


def is_slow(name: str) -> bool:
    """Whether a metric takes minutes at published sample sizes."""
    entry = METRICS.get(name.removesuffix(BLOCKS))
    return entry is not None and entry.slow


def family(name: str) -> str:
    """What kind of property a measure is of; its own name where it is of none."""
    entry = METRICS.get(name) or METRICS.get(name.removesuffix(BLOCKS))
    return name if entry is None else entry.family


def measure(
    assembly: Assembly,
    names: Sequence[str] | None = None,
    told: Callable[[str], object] | None = None,
    reference: bool | None = None,
) -> list[MetricResult]:
    """Everything that can be measured of a run; what cannot says why in its place.

    Args:
        assembly: The run.
        names: Of ``available()``; None: the usual ones.
        told: Called with the name of each metric before it is computed, and with lines on how far slow ones are.
        reference: As in ``metrics.compute``: whether chance and ceiling are found by computing.
    """
    return measure_subject(Subject(assembly), names, told, reference)


def measure_subject(
    subject: Subject,
    names: Sequence[str] | None = None,
    told: Callable[[str], object] | None = None,
    reference: bool | None = None,
) -> list[MetricResult]:
    """The same of a subject, which keeps what it has encoded."""
    results = []
    for name in usual() if names is None else names:
        known = MEASURES.get(name, Measure(None, acting=name.endswith(BLOCKS)))
        if told is not None:
            told(name)
        if known.acting and subject.group is None:
            reason = f"{subject.assembly.options.model_name} has no actions"
            results.append(MetricResult(name, {name: None}, reason=reason))
            continue
        try:
            result = _of_codes(subject, name, told, reference) if known.function is None else known.function(subject)
        except Exception as error:  # it says so in its place, whatever it is
            result = failed(name, error)
        result.name = name
        result.n = result.details.get("samples", result.details.get("test")) if result.n is None else result.n
        results.append(result)
    return results


def takes(name: str, option: str) -> bool:
    """Whether a metric has an option of that name."""
    return option in inspect.signature(METRICS[name].function).parameters


def _of_codes(
    subject: Subject, name: str, told: Callable[[str], object] | None, reference: bool | None
) -> MetricResult:
    """A metric of factors and codes over the states of the world, over the planes of the group if so asked."""
    plain = name.removesuffix(BLOCKS)
    options: dict[str, Any] = {"seed": subject.assembly.options.run.seed, "reference": reference}
    codes = subject.codes
    if plain != name:
        options["blocks"], codes = subject.blocks, subject.block_codes
    if told is not None:
        options |= progress_of(plain, told)
    fit, test = subject.rows
    if test is None:
        arrays = [subject.factors, codes]
    elif reads_all(plain) and subject.small:
        arrays = [subject.factors, subject.whole_codes[:, : subject.latents]]
    else:
        arrays = [subject.factors[fit], codes[: len(fit)]]
        if takes(plain, "factors_test"):
            arrays += [subject.factors[test], codes[len(fit) :]]
    if takes(plain, "deviations") and hasattr(subject.model, "posterior"):
        options["deviations"] = subject.deviations[: len(arrays[1])]
    return metrics.compute(plain, *arrays, **options)
