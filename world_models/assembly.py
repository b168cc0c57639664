"""From options to objects: the data set, its split, its transitions and the model of a run."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from ..datasets import DATASETS, build_dataset
from ..datasets.factors import FactorDataset
from ..datasets.loader import WindowLoader
from ..datasets.noise import NoiseOptions, background_files
from ..datasets.randomness import torch_generator
from ..datasets.recorded import RecordedDataset
from ..datasets.registry import is_path
from ..datasets.sequences import SequenceLoader
from ..datasets.splits import Split
from ..datasets.transitions import TransitionDataset, draw_uniform, record_trajectory, still_images
from ..envs.registry import UsageError, nearest
from ..envs.world import Action, World
from . import lie, runs  # noqa: F401 (lie enters its model)
from .actions.procrustes import Procrustes
from .dynamics.model import DynamicsModel, DynamicsOptions
from .group import GroupVAE
from .objectives import OBJECTIVES
from .vae import VAE
from .zoo import MODELS, PARTS, Context, GroupOptions, base_defaults

_BACKGROUNDS, _SPLIT, _BASE = "backgrounds", "split.npz", "base.json"
_STATIC_WINDOW = 3
_LARGEST, _MOST = 1e30, 2**31 - 1  # of numbers with and without a point; torch overflows beyond
_VALIDATED = 512  # windows of validation episodes, at most
_LOOKED_AT = 64  # images by which a likelihood is told whether it fits the data
_DYNAMICS = "dynamics"  # the model that is made over another
_WEIGHTS = 3  # keeps the stream of initial weights apart from the data's


@dataclass
class DataOptions(NoiseOptions):
    """Options of the data."""

    transitions: Literal["trajectory", "uniform"] = "trajectory"
    """One recorded trajectory of --steps actions, or --steps independent pairs."""
    steps: int = 10_000
    """Actions recorded (trajectory), or pairs drawn (uniform)."""
    offset: int = 1
    """Actions between the two images of a transition, the images between not shown; of sprites --stride instead."""
    validation_split: float = 0.1
    """Share of the states that is held out for validation."""
    test_split: float = 0.1
    """Share of the states that is held out for evaluation."""


@dataclass
class RunOptions:
    """Options of the run."""

    seed: int = 0
    """Source of everything random: data, split, weights, noise."""
    log_dir: str = "logs"
    """Where run directories are made, as version_0, version_1, ..."""
    device: Literal["cpu", "cuda", "mps", "auto"] = "cpu"
    """Where to train."""
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    """Arithmetic of the networks; matrices of the group always act in float32."""
    threads: int | None = None
    """Threads that torch computes with; None leaves it to torch."""
    evaluate: bool = True
    """Evaluate at the end of training (--no-evaluate skips it)."""


@dataclass
class Options:
    """Everything that a run depends on."""

    model_name: str
    dataset_name: str
    plugins: tuple[str, ...]
    run: Any
    data: Any
    dataset: Any
    model: Any
    parts: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind, registry in PARTS.items():
            if hasattr(self.model, kind):
                setattr(self.model, kind, registry.known_as(getattr(self.model, kind)))
        if isinstance(path := getattr(self.dataset, "data_path", None), str):
            self.dataset.data_path = os.path.abspath(path)  # so that the run finds it again from anywhere

    def flat(self) -> dict[str, Any]:
        """As in a configuration file."""
        config: dict[str, Any] = {"model": self.model_name, "dataset": self.dataset_name}
        if self.plugins:
            config["plugin"] = list(self.plugins)
        for part in (self.run, self.data, self.dataset, self.model, *self.parts.values()):
            for name, value in dataclasses.asdict(part).items():
                config[name] = list(value) if isinstance(value, tuple) else value
        return config


def make_options(model: str, dataset: str, plugins: tuple[str, ...], filled: dict[str, Any]) -> Options:
    """Options from option objects by what they are for."""
    parts = {kind: filled[kind] for kind in PARTS if kind in filled}
    return Options(
        model,
        dataset,
        plugins,
        run=filled["run"],
        data=filled["data"],
        dataset=filled["dataset"],
        model=filled["model"],
        parts=parts,
    )


def read_options(
    model: str, dataset: str, values: dict[str, Any], named: Mapping[str, str] | None = None
) -> tuple[dict[str, type[Any]], dict[str, Any]]:
    """The options that a run has, and those that have a value already.

    Args:
        model: A name in ``MODELS``.
        dataset: A name in ``DATASETS``.
        values: Options that are set, by name, as a configuration gives them.
        named: Of the options that say what others there are, those that are set elsewhere and go before.

    Returns:
        The option dataclasses by what they are for, and ``values`` with the model's own defaults.

    Raises:
        UsageError: An unknown name, or two options of one name.
    """
    spec, values = MODELS[model], _renamed(values)
    named = {kind: values[kind] for kind in (*PARTS, "base_model") if kind in values} | dict(named or {})
    for kind, name in named.items():
        if not isinstance(name, str):
            raise UsageError(f"{kind} must be a name, not {name!r}")
    own = dict(spec.defaults)
    if issubclass(spec.options, GroupOptions):
        own = base_defaults(named.get("base_model", spec.options.base_model)) | {"beta": 1.0} | own
    types: dict[str, type[Any]] = {
        "model": spec.options,
        "dataset": DATASETS[dataset].options,
        "data": DataOptions,
        "run": RunOptions,
    }
    kept = {field.name for field in dataclasses.fields(spec.options)}
    for kind, registry in PARTS.items():
        if not hasattr(spec.options, kind):
            continue
        usual = registry.known_as(own.get(kind, getattr(spec.options, kind)))
        chosen = registry.known_as(named.get(kind, usual))
        options = registry[chosen].options
        if dataclasses.fields(options):
            types[kind] = options
        if chosen == usual:
            kept |= {field.name for field in dataclasses.fields(options)}
    seen: dict[str, str] = {}
    for part, options in types.items():
        for field in dataclasses.fields(options):
            if field.name in seen:
                raise UsageError(f"the {part} and the {seen[field.name]} both have an option {field.name!r}")
            seen[field.name] = part
    return types, {name: value for name, value in own.items() if name in kept} | values


_OF_BOTH = {"gamma": (1000.0,), "C_max": (25.0,), "C_stop_iter": (100_000,), "beta": (1.0, 4.0)}


def _renamed(values: dict[str, Any]) -> dict[str, Any]:
    """Values by today's names: earlier runs name an objective H or B, and hold the options of both."""
    objective = values.get("objective")
    if not isinstance(objective, str) or objective not in OBJECTIVES.aliases:
        return dict(values)
    chosen = OBJECTIVES.aliases[objective]
    read = {field.name for field in dataclasses.fields(OBJECTIVES[chosen].options)}
    unread = {name for name, usual in _OF_BOTH.items() if name not in read and values.get(name) in usual}
    return {name: value for name, value in values.items() if name not in unread} | {"objective": chosen}


def options_from_config(config: dict[str, Any], source: str) -> Options:
    """Options from the flat keys of a configuration.

    Raises:
        UsageError: A key that neither model, data set nor run has.
    """
    model, dataset = config["model"], config.get("dataset", "flatland")
    values = {key: value for key, value in config.items() if key not in ("model", "dataset", "plugin")}
    types, values = read_options(model, dataset, values)
    filled = fill_options(types, values, source, f"for model {model!r} on {dataset!r}")
    return make_options(model, dataset, tuple(config.get("plugin", ())), filled)


def options_of_run(run: Path, config: dict[str, Any]) -> Options:
    """Options from the configuration that a run left.

    Raises:
        UsageError: Its model or data set is not known here.
        RunError: It holds a key that is not known, or a value that is not of its type.
    """
    try:
        return options_from_config(config, str(run / "config.yaml"))
    except UsageError as error:
        if config["model"] not in MODELS or config.get("dataset", "flatland") not in DATASETS:
            raise
        raise runs.RunError(str(error)) from error


def fill_options(types: dict[str, type[Any]], values: dict[str, Any], source: str, where: str) -> dict[str, Any]:
    """Option objects with some values set, each converted to its option's type.

    Args:
        types: The option dataclasses, by part.
        values: Option names and values, as YAML gives them.
        source: Where they come from, for error messages.
        where: What they are for, likewise.

    Raises:
        UsageError: An unknown option, or a value that is not of its type.
    """
    known = {field.name: part for part, kind in types.items() for field in dataclasses.fields(kind)}
    hints = {part: get_type_hints(kind) for part, kind in types.items()}
    filled: dict[str, dict[str, Any]] = {part: {} for part in types}
    for key, value in values.items():
        if key not in known:
            raise UsageError(f"{source}: unknown option {key!r} {where}{nearest(key, list(known))}")
        part = known[key]
        try:
            filled[part][key] = _converted(value, hints[part][key])
        except (TypeError, ValueError) as error:
            raise UsageError(f"{source}: option {key} cannot be {value!r}: {error}") from error
    return {part: kind(**filled[part]) for part, kind in types.items()}


def _converted(value: Any, hint: Any) -> Any:
    """``value`` as the type ``hint``: YAML reads 1e-3 as text, and lists where there are tuples.

    Raises:
        ValueError: It is not of that type; the message says what is accepted.
    """
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value in inner:
            return value
        raise ValueError(f"accepted: {', '.join(map(str, inner))}")
    if origin in (Union, UnionType):
        if value is None and NoneType in inner:
            return None
        *others, last = (each for each in inner if each is not NoneType)
        for each in others:
            with contextlib.suppress(TypeError, ValueError):
                return _converted(value, each)
        return _converted(value, last)
    if origin is tuple:
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list | tuple):
            raise ValueError("it must be a list")
        return tuple(_converted(item, inner[0]) for item in items)
    if hint is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError as error:
            raise ValueError("it is too large") from error
    if type(value) is not hint:
        raise ValueError(f"it must be of type {getattr(hint, '__name__', hint)}")
    return value


@dataclass(frozen=True)
class Base:
    """What a world model was built for, so that it can be built again where its data are not at hand.

    Attributes:
        config: Its options, as in a configuration file.
        image_shape: Height, width, channels.
        actions: Actions of its world.
        images: How many images it was trained on.
        static_content: Whether scenes differ in something that no action moves.
        offset: Steps between the two images of a transition.
    """

    config: dict[str, Any]
    image_shape: tuple[int, int, int]
    actions: int
    images: int
    static_content: bool
    offset: int

    def build(self) -> VAE:
        """The model, with weights that are yet to be loaded."""
        options = options_from_config(self.config, _BASE)
        world = _Remembered(self.image_shape, self.actions)
        generator = torch_generator(0, _WEIGHTS)
        context = Context(world, self.static_content, self.offset, generator, self.images, options.parts)
        return _built(options, context)


def _built(options: Options, context: Context) -> VAE:
    """A model; its layers' first weights, which are then drawn anew, come from the global state, which is put back."""
    with torch.random.fork_rng(devices=[]):
        return MODELS[options.model_name].build(options.model, context)


class _Remembered(World):
    """A world of which nothing is left but the shape of its pictures and the number of its actions."""

    def __init__(self, image_shape: tuple[int, int, int], actions: int) -> None:
        self.image_shape = image_shape
        self.actions = tuple(Action(str(code), 0, 0, 0.0, None) for code in range(actions))

    def render(self, factors: NDArray[Any]) -> NDArray[np.uint8]:
        """Refused: its pictures are gone."""
        raise UsageError("this world cannot be drawn")


@dataclass
class Assembly:
    """What a run is made of.

    Attributes:
        options: What it was made from.
        data: The states and their images.
        split: Training, validation and test states.
        transitions: What is trained on.
        model: The world model.
        base: What the world model underneath was built for, where there is one.
    """

    options: Options
    data: FactorDataset
    split: Split
    transitions: TransitionDataset
    model: VAE
    base: Base | None = None

    def loader(self, part: Literal["training", "validation"]) -> WindowLoader | SequenceLoader:
        """Windows of training states only, or of validation and training states but not of the latter alone.

        Dynamics have windows of training or validation episodes, and take from the former what they do not learn.

        Raises:
            UsageError: There are none.
        """
        if isinstance(self.model, DynamicsModel):
            return self._sequences(self.model, part)
        role = self.split.role(len(self.data))
        allowed: NDArray[np.bool_] = role == 0 if part == "training" else role <= 1
        length = self.model.window
        starts = self.transitions.windows(length, allowed)
        if part == "validation":
            states, _ = self.transitions.gather(starts, length)
            starts = starts[(role[states] == 1).any(1)]
            # From all over: the first ones may be of one class.
            starts = starts[np.linspace(0, len(starts) - 1, min(512, len(starts))).astype(np.int64)]
        if not len(starts):
            raise UsageError(
                f"no {part} window of {length} transitions: raise --steps, or lower --window or the held-out shares"
            )
        return WindowLoader(
            self.transitions, starts, length, self.options.model.batch_size, self.options.run.seed, allowed
        )

    def _sequences(self, model: DynamicsModel, part: Literal["training", "validation"]) -> SequenceLoader:
        split = self.episodes
        model.to(Fabric(accelerator=self.options.run.device, devices=1).device)  # pictures are encoded where it trains
        recording = model.recording(self.recorded, split.train if part == "training" else split.validation)
        if part == "training":
            model.prepare(recording)
        return model.loader(recording, self.options.run.seed, None if part == "training" else _VALIDATED)

    @property
    def recorded(self) -> RecordedDataset:
        """The data, where these are recorded rollouts.

        Raises:
            UsageError: They are others.
        """
        if not isinstance(self.data, RecordedDataset):
            raise _no_rollouts(self.options)
        return self.data

    @property
    def episodes(self) -> Split:
        """The recorded episodes that dynamics are trained on, and those that are held out."""
        data = self.options.data
        return self.recorded.split_episodes(data.validation_split, data.test_split, self.options.run.seed)


def check_numbers(*parts: Any) -> None:
    """Refuses numbers among options that are not finite, or too large to be computed with.

    Args:
        *parts: Option objects.

    Raises:
        UsageError: As the message says.
    """
    for part in parts:
        for field in dataclasses.fields(part):
            value = getattr(part, field.name)
            flag = f"--{field.name.replace('_', '-')}"
            if isinstance(value, float) and not math.isfinite(value):
                raise UsageError(f"{flag} must be a finite number, not {value}")
            if isinstance(value, float) and abs(value) > _LARGEST:
                raise UsageError(f"{flag} must be at most {_LARGEST:g} in size, not {value}")
            if type(value) is int and not -_MOST <= value <= _MOST:
                raise UsageError(f"{flag} must be at most {_MOST} in size, not {value}")


def check_device(device: str) -> None:
    """Refuses a device that is not there.

    Raises:
        UsageError: As the message says.
    """
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not here.get(device, True):
        raise UsageError(f"--device {device}: torch sees no such device here; cpu is accepted")


def check_threads(number: int | None) -> None:
    """Refuses a number of threads that cannot be had.

    Raises:
        UsageError: As the message says.
    """
    most = max(os.cpu_count() or 1, 64)
    if number is not None and not 1 <= number <= most:
        raise UsageError(f"--threads must be between 1 and {most}, not {number}")


def check_actions(options: Options) -> None:
    """Refuses models that learn from actions where the data are known to have none, before any are made.

    Raises:
        UsageError: As the message says.
    """
    if isinstance(options.model, GroupOptions) and not DATASETS[options.dataset_name].acts:
        raise _no_actions(options)
    if isinstance(options.model, DynamicsOptions):
        if not is_path(options.dataset_name):
            raise _no_rollouts(options)
        if options.model.base_model_path is None:
            raise UsageError("--model dynamics moves the codes of another run: --base-model-path RUN is needed")


def _no_rollouts(options: Options) -> UsageError:
    return UsageError(
        f"--model {options.model_name} learns from recorded actions and rewards, of which --dataset"
        f" {options.dataset_name} has none; the path of recorded rollouts (FILE.h5) is accepted"
    )


def _no_actions(options: Options) -> UsageError:
    return UsageError(
        f"--model {options.model_name} learns from actions, of which --dataset {options.dataset_name} has none;"
        " models of single images are accepted, such as vae"
    )


def assemble(options: Options) -> Assembly:
    """Builds everything that a run is made of.

    Raises:
        UsageError: An option that cannot be used.
    """
    run, data_options = options.run, options.data
    check_numbers(run, data_options, options.dataset, options.model, *options.parts.values())
    if run.seed < 0:
        raise UsageError(f"--seed must be 0 or more, not {run.seed}")
    check_threads(run.threads)
    check_actions(options)
    noise = NoiseOptions(
        **{field.name: getattr(data_options, field.name) for field in dataclasses.fields(NoiseOptions)}
    )
    if data_options.noise_name != "background" and data_options.background_count != NoiseOptions.background_count:
        raise UsageError("--background-count needs --noise-name background")
    if data_options.offset < 1:
        raise UsageError(f"--offset must be 1 or more, not {data_options.offset}")
    dataset, offset = _read_offset(options)
    data = build_dataset(options.dataset_name, dataset, noise, run.seed)
    split = data.split(data_options.validation_split, data_options.test_split, run.seed)
    kept = base = None
    if isinstance(options.model, DynamicsOptions):
        assert options.model.base_model_path is not None
        kept, base = load_base(Path(options.model.base_model_path))
    context = Context(
        data.world,
        data_options.noise_name == "background",
        offset,
        torch_generator(run.seed, _WEIGHTS),
        len(split.train),
        options.parts,
        data,
        base,
    )
    model = _built(options, context)
    model.likelihood.check(data.images(split.train[:: -(-len(split.train) // _LOOKED_AT)]))
    if type(model).terms is VAE.terms and offset != 1:
        raise UsageError(f"--offset is not read by --model {options.model_name}, which looks at single images")
    record = record_trajectory if data_options.transitions == "trajectory" else draw_uniform
    if data_options.transitions == "uniform" and model.window > 1:
        if getattr(options.model, "window", None) is not None:
            raise UsageError(f"--transitions uniform has pairs only: --window 1 is accepted, not {model.window}")
        model.window = 1
    estimator = model.estimator if isinstance(model, GroupVAE) else None
    if isinstance(estimator, Procrustes) and estimator.problem.static_latents and model.window < _STATIC_WINDOW:
        raise UsageError(
            "--static-latents (4 with backgrounds) tells what stays by long windows: "
            f"--window {_STATIC_WINDOW} or more and --transitions trajectory are accepted"
        )
    if isinstance(data, RecordedDataset):
        for name in ("steps", "transitions"):
            if getattr(data_options, name) != getattr(DataOptions, name):
                raise UsageError(f"--{name} is not read with rollouts, which are recorded already")
        transitions: TransitionDataset = data.transitions(offset)
    elif data.world.actions:
        transitions = record(data, data_options.steps, offset, run.seed)
    elif model.window:
        raise _no_actions(options)
    else:
        transitions = still_images(data)
    start = getattr(options.model, "base_model_path", None)
    if start is not None and kept is None:
        start_from(model, Path(start))
    return Assembly(options, data, split, transitions, model, kept)


def _read_offset(options: Options) -> tuple[Any, int]:
    """The options of the data set, and the actions between two images: ``--offset`` may be for either.

    Raises:
        UsageError: The data set has another option for it, and they do not agree.
    """
    name, offset = DATASETS[options.dataset_name].offset, options.data.offset
    if name is None or offset == 1:
        return options.dataset, offset
    given = getattr(options.dataset, name)
    if given not in (offset, getattr(type(options.dataset)(), name)):
        raise UsageError(
            f"--offset {offset} and --{name} {given} are the same option of {options.dataset_name}: give one"
        )
    return dataclasses.replace(options.dataset, **{name: offset}), 1


def self_contained(options: Options, run: Path) -> Options:
    """The options of a run that exists, read from its own directory where they named something outside."""
    if isinstance(options.model, DynamicsOptions):
        options.model.base_model_path = str(run)  # which holds the world model underneath
    elif getattr(options.model, "base_model_path", None) is not None:
        options.model.base_model_path = None  # its weights are in the checkpoint
    if (run / _BACKGROUNDS).is_dir():
        options.data.backgrounds = str(run / _BACKGROUNDS)
    return options


def keep_backgrounds(options: Options, run: Path) -> None:
    """Copies the backgrounds that a run uses into its directory, so that it can be moved."""
    if options.data.backgrounds is None:
        return
    for file in background_files(Path(options.data.backgrounds))[: options.data.background_count]:
        runs.write_bytes(run / _BACKGROUNDS / file.name, file.read_bytes())


def load_base(path: Path) -> tuple[Base, VAE]:
    """The world model of a run, to be moved by dynamics; of a run of dynamics the one underneath.

    A run that holds what ``keep_base`` wrote is read without its data.

    Args:
        path: A run directory, or a checkpoint in one.

    Raises:
        UsageError: There is no such run.
        RunError: It is damaged, or of something else.
    """
    run = path if path.is_dir() or not path.exists() else path.parent.parent
    dynamics = runs.read_config(run)["model"] == _DYNAMICS
    if dynamics or (run / _BASE).exists():
        kept, prefix = _read_base(run), "base." if dynamics else ""
        state = runs.load_checkpoint(path)["model"]
        weights = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    else:
        found = load_run(path)
        options, world = found.options, found.data.world
        kept = Base(
            options.flat(),
            world.image_shape,
            len(world.actions),
            len(found.split.train),
            options.data.noise_name == "background",
            _read_offset(options)[1],
        )
        weights = found.model.state_dict()
    model = kept.build()
    runs.load_weights(model, weights, path)
    return kept, model.eval()


def _read_base(run: Path) -> Base:
    """What the world model under a run of dynamics was built for.

    Raises:
        RunError: It cannot be read.
    """
    path = run / _BASE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Base(**content | {"image_shape": tuple(content["image_shape"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise runs.RunError(f"{path} is missing or damaged: {' '.join(str(error).split())[:200]}") from error


def keep_base(base: Base | None, run: Path) -> None:
    """Writes what is needed, beside the weights in the checkpoint, to build the world model under a run again."""
    if base is not None:
        runs.write_json(run / _BASE, dataclasses.asdict(base))


def write_split(run: Path, split: Split, data: FactorDataset) -> None:
    """Writes which states of the data are held out."""
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    if data.fingerprint is not None:
        parts["fingerprint"] = np.array(data.fingerprint)
    runs.write_whole(run / _SPLIT, lambda stream: np.savez(stream, **parts))  # type: ignore[arg-type]


def read_split(run: Path, otherwise: Split, data: FactorDataset) -> Split:
    """The split that a run was trained with.

    Args:
        run: The run.
        otherwise: The split where the run has none.
        data: What is split.

    Raises:
        RunError: It cannot be read, or the data are not those that the run was trained on.
    """
    path = run / _SPLIT
    if not path.is_file():
        return otherwise
    try:
        with np.load(path) as parts:
            found = Split(*(parts[name] for name in ("train", "validation", "test")))
            known = int(parts["fingerprint"]) if "fingerprint" in parts else None
        if not all(part.ndim == 1 and part.dtype.kind == "i" for part in (found.train, found.validation, found.test)):
            raise ValueError("its parts must be lists of states")
        found.role(sum(len(part) for part in (otherwise.train, otherwise.validation, otherwise.test)))
    except (OSError, EOFError, ValueError, KeyError, IndexError, zipfile.BadZipFile) as error:
        raise runs.RunError(f"{path} is damaged or of another run, or the data have changed: {error}") from error
    if known not in (None, data.fingerprint):
        raise runs.RunError(
            f"{run} was trained on other images than its data set has now: put these back in their place"
        )
    return found


def start_from(model: VAE, path: Path) -> None:
    """Takes the encoder and decoder of another run.

    Raises:
        UsageError: There is no such run, or its networks are of another size.
        RunError: Its checkpoint is damaged.
    """
    state = runs.load_checkpoint(path)["model"]
    for name in ("encoder", "decoder"):
        prefix = f"{name}."
        part = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        try:
            runs.load_weights(getattr(model, name), part, path)
        except runs.RunError as error:
            raise UsageError(f"--base-model-path: {error}") from error
    if isinstance(model, GroupVAE):
        model.estimator.start_from(model)


def load_run(path: Path) -> Assembly:
    """A run as it was trained.

    Args:
        path: A run directory, or a checkpoint in one.

    Raises:
        UsageError: There is no such run.
        RunError: It is damaged, or of something else.
    """
    run = path if path.is_dir() or not path.exists() else path.parent.parent
    config = runs.read_config(run)
    plugins = config.get("plugin", ())
    if config["model"] not in MODELS or config.get("dataset", "flatland") not in DATASETS:
        hint = f"; it was made with --plugin {' '.join(plugins)}: give it again" if plugins else ""
        raise UsageError(
            f"{run} has model {config['model']!r} on data set {config.get('dataset')!r}, which are not known here{hint}"
        )
    options = self_contained(options_of_run(run, config), run)
    assembly = assemble(options)
    assembly.split = read_split(run, assembly.split, assembly.data)
    content = runs.load_checkpoint(path)
    runs.load_weights(assembly.model, content["model"], path)
    assembly.model.eval()
    return assembly
