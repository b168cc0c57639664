"""Defects of the published code that could come back, each with the test that keeps it out; and options without effect.

The published RGrVAE code has flags that nothing reads, metrics on the states trained on, and more of the kind. What has
no counterpart here (a broken default, an unreachable model, `time.clock`) is not listed.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import equiworld
from equiworld.envs import UsageError
from equiworld.world_models.assembly import read_options
from equiworld.world_models.zoo import MODELS

TESTS = Path(equiworld.__file__).parent / "tests"

KEPT_OUT = {
    "dforward cannot be used": "test_zoo.py: test_labels_are_used_by_forward_and_dforward_alone",
    "evaluation fails on checkpoints of current torch": "test_runs.py: test_nothing_in_a_checkpoint_is_executed",
    ".cuda() everywhere": "../test_packaging.py: test_library_code_does_nothing_forbidden",
    "bare excepts hide failures": "../test_packaging.py: test_library_code_does_nothing_forbidden",
    "learning-rate schedules that do nothing": (
        "../test_train.py: test_the_schedule_that_is_asked_for_is_the_one_that_trains"
    ),
    "metrics on the states trained on": ("../test_evaluate.py: test_what_is_reported_is_of_test_states"),
    "powers of matrices taken element by element": (
        "actions/test_representations.py: test_powers_are_powers_of_the_matrix_and_negative_ones_undo"
    ),
    "infinite loss of a saturated policy": (
        "actions/test_reinforce.py: test_a_saturated_policy_has_a_finite_loss_and_gradient"
    ),
    "validation advances the capacity": "test_trainer.py: test_validation_advances_nothing",
    "no seed": "../test_train.py: test_the_same_seed_gives_the_same_run",
    "pictures want eight images of 64 x 64": ("../test_train.py: test_channels_that_are_no_colours_can_be_trained_on"),
    "raw logits shown to the policy": (
        "actions/test_reinforce.py: test_between_actions_the_policy_is_shown_decoded_images_not_logits"
    ),
    "a change of basis by default in one place and not in another": (
        "actions/test_representations.py: test_a_change_of_basis_starts_as_none_and_CN_always_has_one"
    ),
}


@pytest.mark.parametrize("defect", KEPT_OUT)
def test_the_test_that_keeps_it_out_is_there(defect: str) -> None:
    file, name = KEPT_OUT[defect].split(": ")
    tree = ast.parse((TESTS / "world_models" / file).read_text(encoding="utf-8"))
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert name in functions


# What the trainer or the front door reads, and what makes no difference at the defaults; other tests look after these.
ELSEWHERE = {
    "epochs",
    "adam_beta1",
    "clip_norm",
    "lr_scheduler",
    "lr_scheduler_gamma",
    "base_model",
    "base_model_path",
    "backgrounds",
    "search_steps",
    "teach_steps",
}
CASES: dict[str, dict[str, Any]] = {
    "vae": {},
    "betavae": {},
    "capacity": {"objective": "capacity", "C_stop_iter": 20},
    "forward": {},
    "dforward": {},
    "procrustes": {},
    "peeling": {"estimator": "peeling"},
    "exact": {"estimator": "exact"},
    "reinforce": {"estimator": "reinforce", "offset": 2, "base_policy_weight": 0.5},
}
OTHER_VALUES: dict[str, tuple[Any, ...]] = {
    "likelihood": ("squared",),
    "objective": ("capacity", "beta"),
    "architecture": ("mlp",),
    "group_structure": (("c+", "c-", "0"),),
    "use_cob": (True,),
    "use_regret": (True,),
    "estimator": ("reinforce", "exact", "peeling"),
    "multi_action_strategy": ("returns",),
    "transitions": ("uniform",),
    "noise_name": ("salt",),
    "noise_level": (0.3,),
    "num_action_steps": (3,),
    "steps": (200,),
    "latents": (6,),
    "latent": ("torus",),
    "window": (3,),
    "static_latents": (2,),
    "batch_size": (20,),
    "C_stop_iter": (40,),
}


def model_of(case: str) -> str:
    return case if case in MODELS else {"capacity": "betavae"}.get(case, "rgrvae")


def fingerprint(assembly: Any) -> tuple[Any, ...]:
    """Whatever an option could change: weights, rates, batches, the split, and the loss early and late."""
    model, loader = assembly.model, assembly.loader("training")
    losses = []
    for step in (0, 30):
        if step and hasattr(getattr(model, "estimator", None), "solved_at"):
            model.estimator.solved_at.fill_(10)
        if step and hasattr(getattr(model, "estimator", None), "peeling"):
            model.estimator.peeling = dataclasses.replace(model.estimator.peeling, teach_steps=0)  # refinement at once
        batch = next(iter(loader.epoch(0)))
        terms = model.terms(batch, step, torch.Generator().manual_seed(step))
        losses.append({name: float(value.detach()) for name, value in terms.items()})
    rates = [(group["name"], group["lr"], model.rate(500, group["name"])) for group in model.parameter_groups()]
    sizes = [tuple(parameter.shape) for parameter in model.parameters()]
    return losses, rates, sizes, len(loader), len(assembly.split.train), len(assembly.split.test), len(batch.frames)


def options_of(case: str) -> list[str]:
    types, _ = read_options(model_of(case), "flatland", CASES[case])
    kinds = [kind for part, kind in types.items() if part not in ("dataset", "run")]
    return [each.name for kind in kinds for each in dataclasses.fields(kind) if each.name not in ELSEWHERE]


@functools.cache
def unchanged(case: str, given: tuple[tuple[str, Any], ...], tiny: Callable[..., Any]) -> tuple[Any, tuple[Any, ...]]:
    """The run whose options are changed one by one, and its fingerprint."""
    assembly = tiny(model_of(case), **dict(given))
    return assembly, fingerprint(assembly)


@pytest.mark.parametrize(("case", "name"), [(case, name) for case in CASES for name in options_of(case)])
def test_every_option_has_an_effect_or_is_refused(tiny: Callable[..., Any], case: str, name: str) -> None:
    given = {"architecture": "forward", "latents": 4} | CASES[case]
    before, print_before = unchanged(case, tuple(given.items()), tiny)
    value = before.options.flat()[name]
    others = OTHER_VALUES.get(name) or (0.37 if value is None else value + (0.25 if type(value) is float else 1),)
    other = next(each for each in others if each != value)
    try:
        after = tiny(model_of(case), **{**given, name: other})
    except UsageError:
        return
    assert print_before != fingerprint(after)
