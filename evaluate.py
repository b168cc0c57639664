"""Front door: the metric report of one run or many. ``python evaluate.py logs/version_0``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from equiworld import __version__, metrics
from equiworld.datasets.randomness import numpy_generator, torch_generator
from equiworld.envs.registry import UsageError
from equiworld.envs.world import true_groups
from equiworld.metrics import MetricResult, report
from equiworld.train import guarded
from equiworld.world_models import runs
from equiworld.world_models.assembly import Assembly, load_run
from equiworld.world_models.command_line import import_plugin
from equiworld.world_models.group import GroupVAE

Array = NDArray[Any]

_SCOPE = "on held-out states; mig and lsbd.lsbd on all states"
_HORIZON = 50
_WALKS = 5  # random walks from each held-out state
_CHUNK = 256
_NOISE = 21  # keeps evaluation's noise apart from that of training


@dataclass
class Codes:
    """Transitions as a model sees them: codes before and after, and the true actions."""

    before: Array
    after: Array
    actions: Array


class Subject:
    """A run under evaluation: everything is encoded once, and read by the metrics.

    What is reported is of held-out states: every transition starts in a test state, so that no evaluated pair of
    images was trained on. Operators that a metric fits are fitted on training states.

    Args:
        assembly: The run.
    """

    def __init__(self, assembly: Assembly) -> None:
        self.assembly = assembly
        self.model, self.data, self.world = assembly.model, assembly.data, assembly.data.world
        self.group = self.model if isinstance(self.model, GroupVAE) else None
        self.latents = self.group.group_latents if self.group else self.model.latent.size

    @torch.no_grad()
    def _in_chunks(self, function: Callable[..., torch.Tensor], *inputs: torch.Tensor) -> torch.Tensor:
        pieces = range(0, len(inputs[0]), _CHUNK)
        return torch.cat([function(*(each[start : start + _CHUNK] for each in inputs)) for start in pieces])

    def _images(self, states: Array, key: int, groups: Array | None = None) -> torch.Tensor:
        generator = torch_generator(self.assembly.options.run.seed, _NOISE, key)
        return self.data.images(states, generator, groups)

    @cached_property
    def factors(self) -> Array:
        """Of every state, int64 [N, K]."""
        return self.data.generative_factors(np.arange(len(self.data)))

    @cached_property
    def codes(self) -> Array:
        """Of every state, [N, L]; one background for all, where there are backgrounds."""
        states = np.arange(len(self.data))
        images = self._images(states, 0, np.zeros(len(states), dtype=np.int64))
        return self._in_chunks(self.model.encode, images)[:, : self.latents].double().numpy()

    def _transitions(self, sources: Array, targets_in: Array | None) -> tuple[Array, Array, Array]:
        """All transitions from ``sources``, or those of them that end in ``targets_in`` (bool by state)."""
        number = len(self.world.actions)
        states, actions = np.repeat(sources, number), np.tile(np.arange(number), len(sources))
        following = self.data.latent_to_index(self.world.act(self.factors[states], actions))
        kept = np.ones(len(states), bool) if targets_in is None else targets_in[following]
        return states[kept], following[kept], actions[kept]

    def _pair_images(self, states: Array, following: Array, key: int) -> tuple[torch.Tensor, torch.Tensor]:
        both = self._images(np.concatenate([states, following]), key, np.tile(np.arange(len(states)), 2))
        return both[: len(states)], both[len(states) :]

    def _encoded(self, states: Array, following: Array, actions: Array, key: int) -> Codes:
        before, after = (
            self._in_chunks(self.model.encode, images)[:, : self.latents].double().numpy()
            for images in self._pair_images(states, following, key)
        )
        return Codes(before, after, actions)

    @cached_property
    def trained(self) -> Codes:
        """All transitions between training states."""
        role = self.assembly.split.role(len(self.data))
        return self._encoded(*self._transitions(self.assembly.split.train, role == 0), key=1)

    @cached_property
    def held_out(self) -> Codes:
        """All transitions from test states."""
        return self._encoded(*self._transitions(self.assembly.split.test, None), key=2)

    @cached_property
    def inferred(self) -> Array:
        """The learnt action that the model infers for each held-out transition."""
        assert self.group is not None
        states, following, _ = self._transitions(self.assembly.split.test, None)
        return self._in_chunks(self.group.infer_action, *self._pair_images(states, following, 2)).argmax(1).numpy()

    @cached_property
    def nearest(self) -> Array:
        """The learnt action whose matrix puts the first code nearest to the second."""
        moved = np.einsum("aij,nj->nai", self.matrices, self.held_out.before)
        return ((moved - self.held_out.after[:, None]) ** 2).sum(2).argmin(1)

    @cached_property
    def matrices(self) -> Array:
        """Of the learnt actions on the group's latents, [A, L, L]."""
        assert self.group is not None
        with torch.no_grad():
            return self.group.bank.matrices().double().numpy()

    @cached_property
    def mapping(self) -> dict[int, int]:
        """True action to learnt action, by what is inferred."""
        return metrics.align_actions(self.inferred, self.held_out.actions, len(self.matrices), len(self.world.actions))[
            1
        ]

    @property
    def inverses(self) -> list[int | None]:
        return [action.inverse for action in self.world.actions]

    @property
    def action_groups(self) -> list[list[int]]:
        """Codes of the actions that move the same factor."""
        moved = sorted({action.factor for action in self.world.actions})
        return [[code for code, action in enumerate(self.world.actions) if action.factor == factor] for factor in moved]


# Each of these takes a subject and gives a result; those of groups are only asked of group models.


def _alignment(subject: Subject) -> MetricResult:
    counts = len(subject.matrices), len(subject.world.actions)
    result = metrics.compute("alignment", subject.inferred, subject.held_out.actions, *counts)
    result.values["latent"] = metrics.align_actions(subject.nearest, subject.held_out.actions, *counts)[0]
    return result


def _angles(subject: Subject) -> MetricResult:
    orders = [group.order for group in true_groups(subject.world).values()]
    true = [action.angle for action in subject.world.actions]
    return metrics.compute("angles", subject.matrices, subject.mapping, true, max_order=max(64, *orders))


def _group_errors(subject: Subject) -> MetricResult:
    if len(subject.mapping) < len(subject.world.actions):
        return MetricResult("group_errors", {"inverse": None}, reason="some true actions have no learnt one")
    ordered = subject.matrices[[subject.mapping[code] for code in range(len(subject.world.actions))]]
    orders: list[int | None] = [None] * len(ordered)
    for group in true_groups(subject.world).values():
        for code in group.codes:
            orders[code] = group.order
    return metrics.compute("group_errors", ordered, subject.inverses, orders)


def _decomposition(subject: Subject) -> MetricResult:
    # In whitened coordinates a learnt rotation is orthogonal, whatever the scale of its plane.
    values, vectors = np.linalg.eigh(np.cov(subject.codes.T))
    scale = np.sqrt(np.maximum(values, 1e-9 * values.max()))
    whiten, colour = vectors.T / scale[:, None], vectors * scale
    return metrics.compute(
        "decomposition",
        whiten @ subject.matrices @ colour,
        true_groups(subject.world),
        subject.mapping,
        subject.inverses,
    )


def _prediction(subject: Subject) -> MetricResult:
    """Random walks from held-out states, in the latent space and in the world, compared in the image."""
    assert subject.group is not None
    if len(subject.mapping) < len(subject.world.actions):
        return MetricResult("prediction", {"within_20": None}, reason="some true actions have no learnt one")
    rng = numpy_generator(subject.assembly.options.run.seed, _NOISE, 3)
    starts = np.repeat(subject.assembly.split.test, _WALKS)
    factors = subject.factors[starts]
    learnt = np.array([subject.mapping[code] for code in range(len(subject.world.actions))])
    latents = subject._in_chunks(subject.model.encode, subject._images(starts, 4))
    centre = getattr(subject.world, "centre", None)
    # Backgrounds are bright too, though hardly as bright as what moves.
    threshold = 0.9 if subject.assembly.options.data.noise_name == "background" else 0.5
    distances, errors = [], []
    for _ in range(_HORIZON):
        actions = rng.integers(len(learnt), size=len(starts))
        factors = subject.world.act(factors, actions)
        with torch.no_grad():
            latents = subject.group.act(latents, torch.from_numpy(learnt[actions]))
        images = subject._in_chunks(subject.model.decode, latents).mean(1).numpy()
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
    images = subject._images(subject.assembly.split.test, 5)
    posterior = subject.model.posterior(images)
    decoded = subject._in_chunks(subject.model.decode, posterior.mean)
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
    "decomposition": (_decomposition, True),
    "prediction": (_prediction, True),
    "independence": (_independence, False),
    "lsbd": (_lsbd, False),
    "mig": (_mig, False),
    "action_prediction": (_action_prediction, False),
    "reconstruction": (_reconstruction, False),
}
"""What is measured of a run, in the order of the report; and whether it asks for a model that acts."""


def measure(assembly: Assembly) -> list[MetricResult]:
    """Everything that can be measured of a run; what cannot says why in its place."""
    subject = Subject(assembly)
    results = []
    for name, (function, acting) in MEASURES.items():
        if acting and subject.group is None:
            reason = f"{assembly.options.model_name} has no actions"
            results.append(MetricResult(name, {name: None}, reason=reason))
            continue
        try:
            results.append(function(subject))
        except ValueError as error:  # a metric that refuses what it is given: it says so in the report
            results.append(MetricResult(name, {name: None}, reason=" ".join(str(error).split())))
    return results


def evaluate_run(run: Path) -> tuple[dict[str, float | None], dict[str, str]]:
    """Measures a run and writes its ``metrics.json``; returns the flat values, and why some are missing."""
    assembly = load_run(run)
    results = measure(assembly)
    values, missing = report.flatten(results), report.reasons(results)
    content = {
        "equiworld": __version__,
        "model": assembly.options.model_name,
        "dataset": assembly.options.dataset_name,
        "seed": assembly.options.run.seed,
        "test_states": len(assembly.split.test),
        "values": values,
        "missing": missing,
        "results": [result.to_dict() for result in results],
    }
    runs.write_json((run if run.is_dir() else run.parent.parent) / "metrics.json", report.json_safe(content))
    return values, missing


def evaluate_runs(paths: Sequence[Path]) -> dict[str, dict[str, float | None]]:
    """Measures runs one by one and prints the table; returns the flat values by run."""
    console = Console()
    values: dict[str, dict[str, float | None]] = {}
    missing: dict[str, str] = {}
    for path in paths:
        values[str(path)], reasons = evaluate_run(path)
        missing |= reasons
    rows = report.table(next(iter(values.values())) if len(values) == 1 else report.aggregate(values))
    shown = Table(
        *rows[0], title=f"on states that were not trained on: {', '.join(values)}" if len(values) == 1 else None
    )
    for row in rows[1:]:
        shown.add_row(*row)
    console.print(shown)
    for name, reason in missing.items():
        console.print(f"{name}: {reason}", highlight=False, soft_wrap=True)
    written = ", ".join(str((path if path.is_dir() else path.parent.parent) / "metrics.json") for path in paths)
    console.print(f"details: {written}", highlight=False, soft_wrap=True)
    return values


def read_arguments(arguments: list[str]) -> argparse.Namespace:
    """Reads the command line.

    Raises:
        UsageError: No runs, or an unknown option.
    """

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> Any:
            raise UsageError(message)

    parser = Parser(
        prog="evaluate.py",
        description="Measure runs on held-out states: prints a table, and writes metrics.json into each run.",
        allow_abbrev=False,
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run directory, such as logs/version_0")
    parser.add_argument(
        "--plugin", action="append", default=[], help="module or .py file that the run was trained with"
    )
    parser.add_argument("--threads", type=int, default=None, help="threads that torch computes with")
    return parser.parse_args(arguments)


def evaluate(arguments: list[str]) -> int:
    """Evaluates what the command line names."""
    asked = read_arguments(arguments)
    if asked.threads is not None:
        if asked.threads < 1:
            raise UsageError(f"--threads must be 1 or more, not {asked.threads}")
        torch.set_num_threads(asked.threads)
    for plugin in asked.plugin:
        import_plugin(plugin)
    for run in asked.runs:
        # All of them are looked at before the first is measured.
        if run.is_file() and not (run.parent.parent / "config.yaml").is_file():
            raise UsageError(f"{run} is neither a run directory nor a checkpoint in one")
        runs.read_config(run if run.is_dir() or not run.exists() else run.parent.parent)
    evaluate_runs(asked.runs)
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    return guarded(lambda: evaluate(sys.argv[1:] if arguments is None else arguments))


if __name__ == "__main__":
    sys.exit(main())
