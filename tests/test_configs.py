"""The published settings in ``configs/``: each can be read, and says what its name says."""

from __future__ import annotations

from pathlib import Path

import pytest

import equiworld
from equiworld.envs import UsageError
from equiworld.world_models.command_line import read_request

CONFIGS = sorted((Path(equiworld.__file__).parent / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_it_is_read(path: Path) -> None:
    options = read_request([f"--config={path}", "--seed=1"]).options
    assert path.stem.startswith(options.model_name)
    assert options.run.seed == 1
    assert path.read_text(encoding="utf-8").startswith("# ")


def test_there_is_one_for_each_published_run() -> None:
    names = {path.stem for path in CONFIGS}
    assert names >= {
        *(f"gmvae-{data}" for data in ("breakout", "cub", "food101", "oxford102")),
        *("betavae-celeba", "betavae-chairs3d", "annealedvae-dsprites", "infovae-mnist", "lagvae-mnist"),
        *(f"imavae-{data}" for data in ("moebius", "mlp", "ar-flow", "sprites")),
        "rgrvae-original",
    }


def test_later_files_win_and_unknown_keys_are_refused(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("latents: 4\n")
    published = next(path for path in CONFIGS if path.stem == "gmvae-breakout")
    assert read_request([f"--config={published}", f"--config={own}"]).options.model.latents == 4
    assert read_request([f"--config={own}", f"--config={published}", "--latents=2"]).options.model.latents == 2
    own.write_text("curvatur: -2.0\n")
    with pytest.raises(UsageError, match=r"unknown option 'curvatur' .*did you mean 'curvature'"):
        read_request([f"--config={published}", f"--config={own}"])


def test_a_number_may_stand_for_an_option_of_text(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("bandwidth: 10\n")
    assert read_request(["--model=infovae", f"--config={own}"]).options.parts["objective"].bandwidth == 10.0
