"""The training loop: what is continued equals what was never interrupted, and failures leave a good checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from equiworld.world_models import runs
from equiworld.world_models.actions import peeling, solving
from equiworld.world_models.actions.circles import CircleReader, Peeled
from equiworld.world_models.actions.procrustes import Schedule
from equiworld.world_models.panels import Panels
from equiworld.world_models.runs import RunError
from equiworld.world_models.trainer import NonFiniteLoss, Trainer, decay

CASES: dict[str, dict[str, Any]] = {
    "vae": {"model": "vae", "architecture": "forward", "latents": 4, "steps": 150},
    "capacity": {"model": "betavae", "objective": "B", "architecture": "forward", "C_stop_iter": 20},
    "procrustes": {"model": "rgrvae", "window": 2},
    "several": {"model": "rgrvae", "window": 2, "offset": 2},
    "peeling": {"model": "rgrvae", "window": 2, "estimator": "peeling"},
    "exact": {"model": "rgrvae", "estimator": "exact"},
    "reinforce": {
        "model": "rgrvae",
        "estimator": "reinforce",
        "offset": 2,
        "base_policy_weight": 0.5,
        "base_policy_epsilon": 0.1,
    },
    "salt": {"model": "dforward", "window": 2, "noise_name": "salt"},
}


class Quiet:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def start(self, epochs: int, batches: int, progress: Any) -> None:
        self.batches = batches

    def update(self, progress: Any, loss: float, images_per_second: float, expected: int) -> None:
        assert images_per_second > 0
        assert progress.step <= expected

    def note(self, line: str) -> None:
        self.lines.append(line)


SOLVING = ("procrustes", "several", "peeling", "salt")


@pytest.fixture(autouse=True)
def any_solution_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """What these tiny runs solve for is nonsense; it is taken as it comes, so that refinement follows the search."""
    monkeypatch.setattr(solving, "judge", lambda *given: ("as it comes", True))
    one = CircleReader(8, 256)  # of the codes of four latents
    monkeypatch.setattr(peeling, "peel", lambda *given: Peeled([one], 0.0, "as it comes"))


def trainer(tiny: Callable[..., Any], run: Path, epochs: int, case: str = "vae", panels: bool = True) -> Trainer:
    options = dict(CASES[case])
    assembly = tiny(options.pop("model"), **options)
    estimator = getattr(assembly.model, "estimator", None)
    if case in SOLVING:  # after five updates
        estimator.problem = replace(estimator.problem, pairs=60, restarts=2)
        estimator.schedule = Schedule(solve_every=5, refine_steps=1000, warm_up=10)
    if case == "peeling":  # learnt within the first two epochs, so that all four parts are passed through
        estimator.peeling = replace(estimator.peeling, search_steps=5, teach_steps=5)
    training, validation = assembly.loader("training"), assembly.loader("validation")
    return Trainer(
        assembly.model,
        training,
        validation,
        run,
        epochs=epochs,
        seed=0,
        clip_norm=1000.0,
        monitor=Panels(validation, 4, {}) if panels else None,
        listener=Quiet(),
    )


def scalars(run: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(run), size_guidance={"scalars": 0})
    events.Reload()
    # Files of one second are read in any order.
    return {tag: sorted((each.step, each.value) for each in events.Scalars(tag)) for tag in events.Tags()["scalars"]}


def same(one: Any, two: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(same(*pair) for pair in zip(one, two, strict=True))
    return bool(one == two)


def after(updates: int) -> Callable[[], bool]:
    """Stops when it has been asked that many times."""
    asked = iter(range(updates))
    return lambda: next(asked, None) is None


@pytest.mark.parametrize("case", CASES)
def test_two_epochs_continued_by_two_are_four(tiny: Callable[..., Any], tmp_path: Path, case: str) -> None:
    straight, parts = tmp_path / "straight", tmp_path / "parts"
    assert trainer(tiny, straight, 4, case).fit()
    assert trainer(tiny, parts, 2, case).fit()
    halfway = runs.load_checkpoint(parts)
    assert halfway["progress"]["epoch"] == 2
    if case in SOLVING:
        assert 0 < int(halfway["model"]["estimator.solved_at"]) < halfway["progress"]["step"]
    torch.manual_seed(99)  # the global state has no say
    continued = trainer(tiny, parts, 4, case)
    continued.resume()
    assert continued.fit()
    one, two = runs.load_checkpoint(straight), runs.load_checkpoint(parts)
    assert not same(halfway["model"], two["model"])
    for part in ("model", "optimizer", "progress"):
        assert same(one[part], two[part]), part
    assert scalars(straight) == scalars(parts)
    assert {step for step, _ in scalars(parts)["train/loss"]} == {1, 2, 3, 4}


@pytest.mark.parametrize("case", ["vae", "procrustes", "reinforce"])
def test_and_so_they_are_when_interrupted_within_an_epoch(tiny: Callable[..., Any], tmp_path: Path, case: str) -> None:
    straight, parts = tmp_path / "straight", tmp_path / "parts"
    first = trainer(tiny, straight, 3, case)
    assert first.fit()
    batches = len(first.training)
    assert batches >= 3
    # Within the first epoch, within the second, and exactly between two: the last two stops follow one another.
    for stop, where in ((2, (0, 2)), (batches - 2 + 1, (1, 1)), (batches - 1, (2, 0))):
        part = trainer(tiny, parts, 3, case)
        if (parts / runs.CHECKPOINT).exists():
            part.resume()
        assert not part.fit(after(stop))
        saved = runs.load_checkpoint(parts)["progress"]
        assert (saved["epoch"], saved["batch"]) == where
    last = trainer(tiny, parts, 3, case)
    last.resume()
    assert last.fit()
    one, two = runs.load_checkpoint(straight), runs.load_checkpoint(parts)
    for part in ("model", "optimizer", "progress"):
        assert same(one[part], two[part]), part
    assert scalars(straight) == scalars(parts)


def test_a_stop_before_the_first_update_leaves_a_checkpoint_too(tiny: Callable[..., Any], tmp_path: Path) -> None:
    assert not trainer(tiny, tmp_path, 1).fit(lambda: True)
    saved = runs.load_checkpoint(tmp_path)["progress"]
    assert (saved["epoch"], saved["batch"], saved["step"], saved["sums"]) == (0, 0, 0, {})


def test_validation_advances_nothing(tiny: Callable[..., Any], tmp_path: Path) -> None:
    """Neither the schedule of the capacity nor the weight of the policy: they count updates."""
    made = trainer(tiny, tmp_path, 3, "capacity")
    seen: list[tuple[bool, int]] = []
    penalty = made.model.objective.penalty

    def watched(kl: torch.Tensor, step: int) -> torch.Tensor:
        seen.append((made.model.training, step))
        return penalty(kl, step)

    made.model.objective.penalty = watched
    made.fit()
    assert [step for training, step in seen if training] == list(range(3 * len(made.training)))
    validation = [step for training, step in seen if not training]
    assert validation == [n * len(made.training) for n in (1, 2, 3) for _ in range(len(made.validation))]

    other = trainer(tiny, tmp_path / "other", 1, "reinforce")
    other.fit()
    draws = 2 * len(other.training)
    assert float(other.model.estimator.policy_weight) == pytest.approx(1 - 0.5 * 0.9**draws, rel=1e-4)


def test_scalars_of_an_epoch_are_means_over_its_batches(tiny: Callable[..., Any], tmp_path: Path) -> None:
    made = trainer(tiny, tmp_path, 1)
    losses: list[float] = []
    update = made._update
    made._update = lambda batch: losses.append(values := update(batch)) or values  # type: ignore[func-returns-value]
    made.fit()
    logged = scalars(tmp_path)
    for name in ("loss", "reconstruction", "kl", "penalty"):
        mean = sum(values[name] for values in losses) / len(losses)
        assert logged[f"train/{name}"] == [(1, pytest.approx(mean, rel=1e-5))]
        assert f"valid/{name}" in logged
    assert logged["rate/networks"] == [(1, pytest.approx(1e-3))]


def test_rates_are_base_times_multiplier(tiny: Callable[..., Any], tmp_path: Path) -> None:
    made = trainer(tiny, tmp_path, 1, "exact", panels=False)
    made.model.rate = lambda step, group: {"networks": 0.5, "bank": 0.1 * step, "policy": 0.0}[group]
    before = {name: value.clone() for name, value in made.model.estimator.policy.state_dict().items()}
    made.fit()
    rates = {group["name"]: group["lr"] for group in made.optimizer.param_groups}
    bases = {group["name"]: group["lr"] for group in made.model.parameter_groups()}
    last = made.progress.step - 1
    assert rates == pytest.approx(
        {"networks": 0.5 * bases["networks"], "bank": 0.1 * last * bases["bank"], "policy": 0}
    )
    assert same(before, dict(made.model.estimator.policy.state_dict()))


def test_gradients_are_clipped(tiny: Callable[..., Any], tmp_path: Path) -> None:
    made = trainer(tiny, tmp_path, 1, panels=False)
    made.clip_norm = 1e-3
    batch = next(iter(made.training.epoch(0)))
    made.wrapped.train()
    made._update(batch)
    norm = torch.stack([p.grad.norm() for p in made.model.parameters() if p.grad is not None]).norm()
    assert float(norm) == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_and_leaves_the_last_good_checkpoint(
    tiny: Callable[..., Any], tmp_path: Path, value: float
) -> None:
    made = trainer(tiny, tmp_path, 1, panels=False)
    batches = len(made.training)
    terms = made.model.terms

    def spoilt(batch: Any, step: int, generator: torch.Generator) -> Any:
        found = terms(batch, step, generator)
        if step == batches + 1:
            found["kl"] = found["kl"] * value
            found["loss"] = found["loss"] + found["kl"]
        return found

    made.fit()
    kept = (tmp_path / runs.CHECKPOINT).read_bytes()
    made.epochs = 3
    made.model.terms = spoilt
    with pytest.raises(NonFiniteLoss) as failure:
        made.fit()
    expected = f"the loss is not finite at update {batches + 1}: term 'kl' is {value}; the last good checkpoint is "
    assert str(failure.value) == expected + str(tmp_path / "checkpoints" / "last.pt")
    assert (tmp_path / runs.CHECKPOINT).read_bytes() == kept


def test_training_ends_when_the_model_has_finished(tiny: Callable[..., Any], tmp_path: Path) -> None:
    made = trainer(tiny, tmp_path, 50, panels=False)
    made.model.finished = lambda step: step >= 2 * len(made.training)
    assert made.fit()
    assert made.progress.epoch == 2


def test_another_model_or_a_damaged_state_is_not_continued(tiny: Callable[..., Any], tmp_path: Path) -> None:
    trainer(tiny, tmp_path, 1, panels=False).fit()
    with pytest.raises(RunError, match="does not fit the configured model"):
        trainer(tiny, tmp_path, 2, "exact").resume()
    content = runs.load_checkpoint(tmp_path)
    for part, damage in (("optimizer", {"state": {}, "param_groups": []}), ("progress", {"epochs": 3})):
        runs.save_checkpoint(tmp_path, {**content, part: damage})
        with pytest.raises(RunError, match="cannot be continued: ") as refusal:
            trainer(tiny, tmp_path, 2).resume()
        assert "\n" not in str(refusal.value)


def test_the_decay_of_the_mean_gradient_is_the_one_that_is_asked_for(
    tiny: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for case in ("vae", "exact"):
        monkeypatch.setitem(CASES, case, CASES[case] | {"adam_beta1": 0.5})
        made = trainer(tiny, tmp_path / case, 1, case, panels=False)
        assert {group["betas"] for group in made.optimizer.param_groups} == {(0.5, 0.999)}


def test_learning_rate_schedules() -> None:
    assert [decay("none", 0.5, 4)(epoch) for epoch in range(3)] == [1.0, 1.0, 1.0]
    assert [decay("exp", 0.5, 4)(epoch) for epoch in range(3)] == [1.0, 0.5, 0.25]
    cosine = [decay("cosine", 0.5, 4)(epoch) for epoch in (0, 2, 4, 9)]
    assert cosine == pytest.approx([1.0, 0.5, 0.0, 0.0])
