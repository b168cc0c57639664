"""What is measured of a run: the symmetry scores on held-out states, and every metric of factors and codes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from .. import metrics
from ..datasets.randomness import numpy_generator
from ..envs.registry import UsageError, nearest
from ..envs.world import CyclicGroup, true_groups
from ..metrics import METRICS, MetricResult
from ..metrics.suite import progress_of
from ..world_models.assembly import Assembly
from .subject import NOISE, Subject

_HORIZON = 50
_WALKS = 5  # random walks from each held-out state,
_WALKERS = 250  # of which there are at most so many
_ROWS = (10_000, 5_000)  # at most so many states to fit on and to test on, as published
_BLOCKS = "_blocks"


# Each of these takes a subject and gives a result; those of groups are only asked of group models.


def _alignment(subject: Subject) -> MetricResult:
    counts = len(subject.matrices), len(subject.world.actions)
    result = metrics.compute("alignment", subject.inferred, subject.held_out.actions, *counts)
    result.values["latent"] = metrics.align_actions(subject.nearest, subject.held_out.actions, *counts)[0]
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
    # In whitened coordinates a learnt rotation is orthogonal, whatever the scale of its plane.
    values, vectors = np.linalg.eigh(np.cov(subject.codes.T))
    whiten = vectors / np.sqrt(np.maximum(values, 1e-9 * values.max()))
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
    starts = np.repeat(subject.drawn(subject.test, _WALKERS, 11), _WALKS)
    factors = subject.data.generative_factors(starts)
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
    if len(subject.states) < len(subject.data):
        raise UsageError(
            f"it needs the codes of every state, and {len(subject.data)} states are too many to be encoded"
        )
    cyclic = [column for column, factor in enumerate(space.factors) if factor.kind == "cyclic"]
    held_out = subject.assembly.split.role(len(subject.data)) == 2
    grid = subject.codes.reshape(*sizes, -1)
    return metrics.compute("lsbd", grid, cyclic, held_out=held_out.reshape(sizes))


def _mig(subject: Subject) -> MetricResult:
    return metrics.compute("mig", subject.factors, subject.codes)


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
    if not all(hasattr(subject.model, part) for part in ("posterior", "decode", "decoder", "likelihood")):
        return MetricResult("reconstruction", {"squared_error": None}, reason="the model has no decoder")
    images = subject.images(subject.test, 5)
    posterior = subject.model.posterior(images)
    decoded = subject.in_chunks(subject.model.decode, posterior.mean)
    squared = (decoded - images).square().sum((1, 2, 3)).mean()
    bound = subject.model.likelihood.loss(subject.model.decoder(posterior.mean).float(), images).mean()
    values: dict[str, float | None] = {
        "squared_error": float(squared),
        "negative_log_likelihood": float(bound),
        "kl": float(posterior.kl().sum(1).mean()),
    }
    return MetricResult("reconstruction", values, {"kl_by_latent": posterior.kl().mean(0).tolist()})


MEASURES: dict[str, tuple[Callable[[Subject], MetricResult], bool]] = {
    "alignment": (_alignment, True),
    "angles": (_angles, True),
    "group_errors": (_group_errors, True),
    "decomposition": (_decomposition, False),
    "prediction": (_prediction, True),
    "independence": (_independence, False),
    "lsbd": (_lsbd, False),
    "mig": (_mig, False),
    "action_prediction": (_action_prediction, False),
    "reconstruction": (_reconstruction, False),
}
"""What is measured of a run, in the order of the report; and whether it asks for a model that acts."""


_ON_THE_PAGE = ("sap", "dci_lasso", "modularity", "mcc")


def usual(paged: bool = False) -> list[str]:
    """What is measured when nothing is asked for; with a page also what its heat maps show."""
    blocked = [f"{name}{_BLOCKS}" for name in ("mig", *_ON_THE_PAGE) if _takes(name, "blocks")]
    return [*MEASURES, *_ON_THE_PAGE, *blocked] if paged else list(MEASURES)


def available() -> list[str]:
    """Every name that can be asked for of a run."""
    blocked = [f"{name}{_BLOCKS}" for name in metrics.names(of_codes=True) if _takes(name, "blocks")]
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
    entry = METRICS.get(name.removesuffix(_BLOCKS))
    return entry is not None and entry.slow


def family(name: str) -> str:
    """What kind of property a measure is of; its own name where it is of none."""
    entry = METRICS.get(name) or METRICS.get(name.removesuffix(_BLOCKS))
    return name if entry is None else entry.family


def refused(name: str, error: Exception) -> MetricResult:
    """The place in the report of a metric that refuses what it is given: it says so."""
    return MetricResult(name, {name: None}, reason=" ".join(str(error).split()))


def measure(
    assembly: Assembly, names: Sequence[str] | None = None, told: Callable[[str], object] | None = None
) -> list[MetricResult]:
    """Everything that can be measured of a run; what cannot says why in its place.

    Args:
        assembly: The run.
        names: Of ``available()``; None: those of ``MEASURES``.
        told: Called with the name of each metric before it is computed, and with lines on how far slow ones are.
    """
    return measure_subject(Subject(assembly), names, told)


def measure_subject(
    subject: Subject, names: Sequence[str] | None = None, told: Callable[[str], object] | None = None
) -> list[MetricResult]:
    """The same of a subject, which keeps what it has encoded."""
    results = []
    for name in MEASURES if names is None else names:
        function, acting = MEASURES.get(name, (None, name.endswith(_BLOCKS)))
        if told is not None:
            told(name)
        if acting and subject.group is None:
            reason = f"{subject.assembly.options.model_name} has no actions"
            results.append(MetricResult(name, {name: None}, reason=reason))
            continue
        try:
            result = _of_codes(subject, name, told) if function is None else function(subject)
        except ValueError as error:
            result = refused(name, error)
        result.name = name
        result.n = result.details.get("samples", result.details.get("test")) if result.n is None else result.n
        results.append(result)
    return results


def _takes(name: str, option: str) -> bool:
    return option in inspect.signature(METRICS[name].function).parameters


def _of_codes(subject: Subject, name: str, told: Callable[[str], object] | None) -> MetricResult:
    """A metric of factors and codes over the states of the world, over the planes of the group if so asked."""
    plain = name.removesuffix(_BLOCKS)
    options: dict[str, Any] = {}
    if plain != name:
        options["blocks"] = subject.blocks
    rows = np.arange(len(subject.factors))
    seed = subject.assembly.options.run.seed
    if _takes(plain, "seed"):
        options["seed"] = seed
    if told is not None:
        options |= progress_of(plain, told)
    arrays = [subject.factors, subject.codes]
    if len(rows) > sum(_ROWS) and _takes(plain, "factors_test"):
        drawn = numpy_generator(seed, NOISE, 7).permutation(len(rows))[: sum(_ROWS)]
        parts = np.split(drawn, [_ROWS[0]])
        arrays = [table[part] for part in parts for table in (subject.factors, subject.codes)]
    return metrics.compute(plain, *arrays, **options)
