"""The command line: what wins over what, what is refused and with which hint, and what --help lists."""

from __future__ import annotations

import dataclasses
import re
import sys
from pathlib import Path

import pytest

from equiworld.envs import UsageError
from equiworld.world_models import runs
from equiworld.world_models.assembly import read_options
from equiworld.world_models.command_line import HelpAsked, Request, import_plugin, read_file, read_request
from equiworld.world_models.zoo import MODELS


def write(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def refusal(arguments: list[str]) -> str:
    with pytest.raises(UsageError) as refused:
        read_request(arguments)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def help_of(arguments: list[str]) -> str:
    with pytest.raises(HelpAsked) as asked:
        read_request(arguments)
    return str(asked.value)


def test_options_reach_their_part() -> None:
    request = read_request(
        [
            "--model=rgrvae",
            "--dataset",
            "flatland",
            "--latents",
            "6",
            "--period=9",
            "--offset=2",
            "--seed=7",
            "--group-structure",
            "c+",
            "m",
            "--no-evaluate",
            "--use-cob",
            "--noise-name=salt",
            "--gvae-gamma",
            "None",
        ]
    )
    options = request.options
    assert (options.model_name, options.dataset_name, request.resume) == ("rgrvae", "flatland", None)
    assert (options.model.latents, options.model.group_structure, options.model.use_cob) == (6, ("c+", "m"), True)
    assert (options.model.gvae_gamma, options.dataset.period, options.data.offset) == (None, 9, 2)
    assert (options.data.noise_name, options.run.seed, options.run.evaluate) == ("salt", 7, False)


def test_later_files_win_over_earlier_ones_and_the_command_line_over_all(tmp_path: Path) -> None:
    one = write(
        tmp_path, "one.yaml", "model: betavae\nlatents: 3\nbeta: 2.5\nbatch-size: 9\nepochs: 4\nevaluate: false\n"
    )
    two = write(tmp_path, "two.yaml", "beta: 3.5\nbatch_size: 8\n")
    options = read_request([f"--config={one}", "--config", two, "--batch-size=7"]).options
    assert options.model_name == "betavae"
    assert (options.model.latents, options.parts["objective"].beta, options.model.batch_size) == (3, 3.5, 7)
    assert (options.model.epochs, options.run.evaluate) == (4, False)
    assert read_request([f"--config={two}", f"--config={one}"]).options.parts["objective"].beta == 2.5
    assert read_request([f"--config={one}", "--evaluate", "--model=betavae"]).options.run.evaluate


def test_lists_in_files_are_several_values(tmp_path: Path) -> None:
    file = write(tmp_path, "one.yaml", "model: rgrvae\ngroup_structure: [c+, '0']\n")
    assert read_request([f"--config={file}"]).options.model.group_structure == ("c+", "0")
    assert read_file(Path(write(tmp_path, "empty.yaml", "# nothing\n"))) == {}


def test_a_runs_own_configuration_gives_the_same_options(tmp_path: Path) -> None:
    arguments = [
        "--model=rgrvae",
        "--learning-rate=1e-5",
        "--group-structure",
        "c+",
        "--period=9",
        "--noise-level=0.25",
    ]
    options = read_request(arguments).options
    runs.write_config(tmp_path, options.flat())
    assert read_request([f"--config={tmp_path / 'config.yaml'}"]).options == options
    resumed = read_request([f"--resume={tmp_path}", "--epochs=99"])
    assert resumed == Request(
        dataclasses.replace(options, model=dataclasses.replace(options.model, epochs=99)), tmp_path
    )


def test_a_run_that_is_continued_stays_what_it_is(tmp_path: Path) -> None:
    runs.write_config(tmp_path, read_request(["--model=vae"]).options.flat())
    assert refusal([f"--resume={tmp_path}", "--model=rgrvae"]).endswith(
        "continues model 'vae'; --model rgrvae cannot change that"
    )
    assert refusal([f"--resume={tmp_path}", "--objective=info"]).endswith(
        "continues objective 'beta'; --objective info cannot change that"
    )
    assert read_request([f"--resume={tmp_path}", "--objective=H"]).options.model.objective == "beta"
    assert "is not a run directory" in refusal([f"--resume={tmp_path / 'nowhere'}"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], r"^--model is missing; there are: annealedvae, .*vae$"),
        (["--model"], "argument --model: expected one argument"),
        (["--model=rgrvea"], r"unknown model 'rgrvea' \(did you mean 'rgrvae'\?\); there are: annealedvae, betatcvae"),
        (["--model=vae", "--dataset=flatlnd"], r"unknown data set 'flatlnd' \(did you mean 'flatland'\?\)"),
        (["--model=vae", "--latnts=3"], r"unknown option --latnts for model 'vae'.*did you mean latents\?"),
        (["--model=vae", "--batchsize", "3"], r"unknown option --batchsize .*did you mean batch-size\?"),
        (["--model=vae", "--gamma=3"], "unknown option --gamma for model 'vae' on 'flatland'"),
        (["--model=betavae", "--group-structure", "c"], "unknown option --group-structure for model 'betavae'"),
        (["--model=forward", "--estimator=exact"], "unknown option --estimator for model 'forward'"),
        (["--model=vae", "--latents=many"], "--latents.*'many'"),
        (["--model=vae", "--epochs=1.5"], "--epochs.*'1.5'"),
        (["--model=vae", "--noise-name=fog"], r"'fog'.*none.*gaussian.*uniform.*salt.*background"),
        (["--mode=vae"], r"--model is missing \(was --mode meant\?\)"),
        (["--model=vae", "stray"], "stray"),
        (["--model=vae", "--plugin=no_such_module_here"], "--plugin no_such_module_here: .*No module named"),
        (["--model=vae", "--plugin=nowhere/mine.py"], "--plugin nowhere/mine.py: there is no such file"),
        (["--model=vae", "--config=nowhere.yaml"], "--config nowhere.yaml: No such file or directory"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(arguments: list[str], message: str) -> None:
    assert re.search(message, refusal(arguments))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lattents: 3", r"--config .*one.yaml: unknown option 'lattents' for model 'vae' .*did you mean 'latents'"),
        ("gamma: 3", "--config .*one.yaml: unknown option 'gamma' for model 'vae'"),
        ("a: [1", "is not YAML"),
        ("just text", "must hold 'option: value' lines"),
        ("!!python/object/apply:os.getcwd []", "is not YAML"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, text: str, message: str) -> None:
    assert re.search(message, refusal(["--model=vae", f"--config={write(tmp_path, 'one.yaml', text)}"]))


def test_help_without_a_model_lists_the_models() -> None:
    text = help_of(["--help"])
    for name in MODELS:
        assert re.search(rf"^  {name} +{re.escape(MODELS[name].summary)}$", text, re.M)
    assert "flatland" in text and "--resume" in text


def flags(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--([A-Za-z][\w-]*)", text))


@pytest.mark.parametrize("model", MODELS.names())
def test_help_lists_the_options_of_the_model_and_of_no_other(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")

    def options(name: str) -> set[str]:
        return {
            field.name for kind in read_options(name, "flatland", {})[0].values() for field in dataclasses.fields(kind)
        }

    text = help_of([f"--model={model}", "--help"])
    own = options(model)
    others = set().union(*(options(name) for name in MODELS)) - own
    listed = {flag.replace("-", "_").removeprefix("no_") for flag in flags(text)}
    assert own <= listed
    assert not others & listed
    assert MODELS[model].summary in text
    assert not re.search(r"/\w+/\w+/|object at 0x", text)


def test_a_plugin_is_imported_before_names_are_looked_up(tmp_path: Path) -> None:
    source = """
from equiworld.world_models.zoo import VAEOptions, model, vae
@model("plugged", VAEOptions, "from outside")
def plugged(options, context):
    return vae(options, context)
"""
    plugin = write(tmp_path, "plugged_models.py", source)
    try:
        options = read_request(["--model=plugged", f"--plugin={plugin}", "--latents=3"]).options
        assert (options.model_name, options.plugins, options.model.latents) == ("plugged", (plugin,), 3)
        assert options.flat()["plugin"] == [plugin]
    finally:
        MODELS._entries.pop("plugged", None)
        sys.modules.pop("equiworld_plugin_plugged_models", None)


def test_a_count_in_a_file_that_is_no_whole_number(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("epochs: 2.5")
    with pytest.raises(UsageError):
        read_request(["--model=vae", f"--config={tmp_path / 'one.yaml'}"])


def test_a_flag_in_a_file_that_is_no_flag_says_so(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("evaluate: maybe")
    with pytest.raises(UsageError, match="evaluate"):
        read_request(["--model=vae", f"--config={tmp_path / 'one.yaml'}"])


def test_a_rate_in_a_file_may_be_written_1e_3(tmp_path: Path) -> None:
    """YAML 1.1 takes what has no point for text, and rates are commonly written so."""
    (tmp_path / "one.yaml").write_text("learning_rate: 1e-3")
    assert read_request(["--model=vae", f"--config={tmp_path / 'one.yaml'}"]).options.model.learning_rate == 1e-3


def test_two_plugins_of_one_file_name(tmp_path: Path) -> None:
    """Each is imported: the second is not taken for the first."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same_name.py").write_text(
            f"from pathlib import Path\nPath({str(tmp_path / (folder + '.done'))!r}).touch()\n"
        )
        import_plugin(str(tmp_path / folder / "same_name.py"))
    assert (tmp_path / "two.done").exists()


def test_options_of_what_is_replaced_are_left_out_and_named(tmp_path: Path) -> None:
    one = write(tmp_path, "one.yaml", "model: gmvae\nlayers: raw\ncurvature: -0.5\nlatents: 6\nperiod: 40\n")
    kept = read_request([f"--config={one}"])
    assert (kept.options.parts["latent"].layers, kept.left_out) == ("raw", ())
    found = read_request([f"--config={one}", "--latent=hyperboloid"])
    assert (found.options.parts["latent"].curvature, found.left_out) == (-0.5, ("layers",))
    found = read_request([f"--config={one}", "--latent=euclidean", "--dataset=moebius"])
    assert (found.options.model.latents, found.left_out) == (6, ("layers", "curvature", "period"))
    two = write(tmp_path, "two.yaml", "latent: euclidean\nobjective: tc\nalpha: 2\n")
    found = read_request([f"--config={one}", f"--config={two}", "--objective=beta"])
    assert found.left_out == ("layers", "curvature", "alpha")
    with pytest.raises(UsageError, match="unknown option 'layer'"):
        wrong = write(tmp_path, "wrong.yaml", "model: gmvae\nlayer: raw\n")
        read_request([f"--config={wrong}", "--latent=euclidean"])
    with pytest.raises(UsageError, match="unknown option 'layers'"):
        both = write(tmp_path, "both.yaml", "latent: euclidean\nlayers: raw\n")
        read_request([f"--config={both}", "--model=gmvae"])
