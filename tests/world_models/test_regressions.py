"""Defects that were found once and must not come back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from equiworld import evaluate, train
from equiworld.datasets import Batch
from equiworld.envs import UsageError
from equiworld.world_models import runs
from equiworld.world_models.actions.representations import GroupBank
from equiworld.world_models.actions.subspace import slow_subspace
from equiworld.world_models.assembly import load_run
from equiworld.world_models.runs import RunError
from equiworld.world_models.trainer import NonFiniteLoss, Trainer


def one_line(arguments: list[str], capsys: pytest.CaptureFixture[str], main: Callable[..., int] = train.main) -> int:
    status = main(arguments)
    assert capsys.readouterr().err.count("\n") == 1
    return status


@pytest.mark.parametrize("option", ["--threads=-1", "--device=mps"])
def test_threads_and_devices(
    option: str, tmp_path: Path, tiny_arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """torch.set_num_threads and Fabric are reached before anything looks at the value: RuntimeError, traceback."""
    if option == "--device=mps" and torch.backends.mps.is_available():
        pytest.skip("there is such a device")
    arguments = ["--model=vae", "--architecture=forward", *tiny_arguments, f"--log-dir={tmp_path / 'logs'}", option]
    assert one_line(arguments, capsys) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["--model=vae", "--learning-rate=inf"],
        ["--model=betavae", "--beta=nan"],
        ["--model=rgrvae", "--gvae-gamma=nan"],
        ["--model=rgrvae", "--slowness=inf"],
        ["--model=betavae", "--objective=B", "--C-max=inf"],
    ],
)
def test_options_that_are_no_finite_numbers(
    arguments: list[str], tmp_path: Path, tiny_arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """They are accepted, and leave a run directory before the loss is refused (nan >= 0 is false, and so nan < 0)."""
    logs = tmp_path / "logs"
    assert train.main([*arguments, "--architecture=forward", *tiny_arguments, f"--log-dir={logs}"]) == 2
    assert not logs.exists()


class Quiet:
    def start(self, *given: Any) -> None: ...

    def update(self, *given: Any) -> None: ...

    def note(self, line: str) -> None: ...


def test_a_gradient_that_is_no_number_is_not_saved(tiny: Callable[..., Any], tmp_path: Path) -> None:
    """The loss is finite, its gradient not: the update spoils all weights, and at an epoch's end they are saved."""
    assembly = tiny("vae", architecture="forward", latents=4)
    model, training = assembly.model, assembly.loader("training")
    terms = model.terms

    def spoilt(batch: Batch, step: int, generator: torch.Generator) -> Any:
        found = terms(batch, step, generator)
        if step == 2 * len(training) - 1:  # the last update of the second epoch
            zero = model.encoder.head.bias.sum() * 0.0
            found["loss"] = found["loss"] + torch.sqrt(zero)  # 0, with an infinite slope
        return found

    loop = Trainer(
        model, training, assembly.loader("validation"), tmp_path, epochs=2, seed=0, clip_norm=1.0, listener=Quiet()
    )
    model.terms = spoilt
    with pytest.raises(NonFiniteLoss):
        loop.fit()
    state = runs.load_checkpoint(tmp_path)["model"]
    assert all(bool(torch.isfinite(value).all()) for value in state.values())


@pytest.mark.parametrize("content", [{"format": "zip", "model": {}}, {"format": 1, "model": 3}])
def test_a_foreign_checkpoint_with_familiar_keys(
    content: dict[str, Any], trained: dict[str, Path], tmp_path: Path
) -> None:
    """TypeError: '>' between str and int; load_state_dict raises TypeError for what is no dictionary."""
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "config.yaml").write_bytes((trained["vae"] / "config.yaml").read_bytes())
    torch.save(content, tmp_path / "checkpoints" / "last.pt")
    with pytest.raises(RunError):
        load_run(tmp_path)


@pytest.mark.parametrize("change", ["model: [vae]", "model: vae\nlatents: many", "model: vae\nplugin: 3"])
def test_a_damaged_configuration_of_a_run(
    change: str, trained: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.pt").write_bytes((trained["vae"] / runs.CHECKPOINT).read_bytes())
    (tmp_path / "config.yaml").write_text(change)
    assert one_line([str(tmp_path)], capsys, evaluate.main) in (1, 2)


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
from equiworld import train
sys.exit(train.main(sys.argv[1:]))
"""


def test_a_disk_that_fills_up_within_a_checkpoint(tmp_path: Path, tiny_arguments: list[str]) -> None:
    """For real: no file may be longer than 200 kB. torch.save may turn the OSError into a RuntimeError."""
    arguments = ["--model=vae", "--architecture=forward", *tiny_arguments, f"--log-dir={tmp_path}"]
    done = subprocess.run([sys.executable, "-c", LIMITED, *arguments], capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr
    assert done.returncode == 1
    left = [path.name for path in (tmp_path / "version_0" / "checkpoints").iterdir()]
    assert left == []


def test_the_message_for_forward_names_what_forward_takes() -> None:
    """It says that rotations alone are taken (m is too) and tells to use an option that forward does not have."""
    from equiworld.world_models.command_line import read_request

    options = read_request(["--model=forward", "--group-structure", "m3"]).options
    from equiworld.world_models.assembly import assemble

    with pytest.raises(UsageError) as refusal:
        assemble(options)
    assert "--estimator" not in str(refusal.value)


def test_a_run_with_a_base_model_continues_without_it(
    trained: dict[str, Path], tmp_path: Path, tiny_arguments: list[str]
) -> None:
    """Its weights are in the checkpoint, but --resume asks for the base run again."""
    import shutil

    base = shutil.copytree(trained["vae"], tmp_path / "base")
    arguments = ["--model=rgrvae", "--estimator=reinforce", *tiny_arguments, f"--log-dir={tmp_path / 'logs'}"]
    assert train.main([*arguments, f"--base-model-path={base}"]) == 0
    shutil.rmtree(base)
    assert train.main([f"--resume={tmp_path / 'logs' / 'version_0'}", "--epochs=2"]) == 0


def test_a_direction_that_carries_nothing_is_not_slow() -> None:
    """Below the floor of the whitening, variance is near 0, and so is the change: it is sorted before all that move."""
    generator = torch.Generator().manual_seed(0)
    phase = 6.2832 * torch.rand(4000, generator=generator)

    def view(turned: torch.Tensor) -> torch.Tensor:
        dead = 1e-5 * torch.randn(4000, 2, generator=generator)
        return torch.cat([torch.cos(turned)[:, None], torch.sin(turned)[:, None], dead], 1)

    space = slow_subspace(view(phase), view(phase + 0.6))
    assert float(space.directions[:2, :2].abs().max()) > 1.0
    assert float(space.directions[:2, 2:].abs().max()) < 10.0


def test_the_fixed_reflection_keeps_the_type_of_numbers() -> None:
    bank = GroupBank(["ddn"], 4, False, torch.Generator()).double()
    assert bank.matrix(0, 2).dtype == torch.float64
