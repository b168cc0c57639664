"""Runs of agents measured: episodes over fixed seeds, against random play and the shortest way, and their videos."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv, VectorWrapper
from numpy.typing import NDArray

from .. import __version__
from ..agents.algorithms import DreamPPOOptions
from ..agents.dream import DREAM
from ..agents.options import WORLD_MODEL, AgentOptions, RunOptions, options_of_agent
from ..agents.training import EPISODES, EVALUATION_SEED, acts_in, endless, load_agent, make_envs, play_episodes
from ..agents.vec_env import SB3VecEnv
from ..datasets.rollouts.command_line import key_values
from ..envs.registry import UsageError
from ..envs.tasks import GoalTask, shortest_steps
from ..envs.world_simulation import WorldSimulation
from ..metrics import MetricResult, report
from ..metrics.aggregates import interquartile_mean, normalised
from ..world_models import runs
from .evaluation import Measured, digest, evaluate_run, run_directory, silent, write_results
from .events import write_scores
from .figures import Pixels, gif
from .gather import view_of_agent

Values = dict[str, float | None]

MEASURED = ("mig", "independence", "lsbd", "reconstruction")
"""What is measured of the world models that agents see through, unless something else is asked for."""
PICTURE = frozenset(
    {
        "size",
        "image_size",
        "channels",
        "grayscale",
        "max_pool",
        "crop",
        "frame_stack",
        "observation",
        "shown",
        "num_workers",
        "render_mode",
    }
)
"""Options of environments that change what is seen, and not what is to be done."""
FRAMES = 500
"""Pictures of an episode that a video has at most."""
_TALL = 128  # pixels that a video is high at least
_RANDOM = 83  # keeps the actions of random play apart from everything else of a seed
_APART = {field.name for field in dataclasses.fields(RunOptions)} - {"num_envs", "eval_sample"} | {
    "agent",
    "env",
    "plugin",
}
"""Options in which runs of one kind may differ, or that its name tells already."""
_MODELS_APART = {"model", "plugin", "seed", "device", "threads", "log_dir", "evaluate", "base_model_path"}
"""The same of the world models that they see through."""


@dataclass(frozen=True)
class Reference:
    """Published returns between which scores are normalised.

    Attributes:
        random: Of random play.
        reference: Of whom 1 stands for.
        source: Who that is, and where it is from.
    """

    random: float
    reference: float
    source: str


REFERENCES: Mapping[str, Reference] = {
    "equiworld/Breakout-v0": Reference(1.7, 30.5, "human, Wang et al. 2016 (arXiv 1511.06581)"),
}
"""By environment, as it is by default."""


@dataclass(frozen=True)
class Asked:
    """How agents are measured.

    Attributes:
        episodes: Each is played with a seed of its own.
        first_seed: Episode i is seeded with this number plus i.
        videos: Of so many of the first episodes.
    """

    episodes: int = 100
    first_seed: int = EVALUATION_SEED
    videos: int = 0

    def __post_init__(self) -> None:
        if self.episodes < 1:
            raise UsageError(f"--episodes must be 1 or more, not {self.episodes}")
        if self.first_seed < 0:
            raise UsageError(f"--episode-seed must be 0 or more, not {self.first_seed}")
        if not 0 <= self.videos <= self.episodes:
            raise UsageError(f"--videos must be from 0 to the number of --episodes, {self.episodes}, not {self.videos}")


@dataclass(frozen=True)
class Baseline:
    """What an agent's episodes are compared with, on the same seeds.

    Attributes:
        random: Episodes of random actions.
        shortest: The fewest steps to the goal of each episode, int64 [N] (-1: none); None where they are not known.
        best: The return of whoever takes them; None where it is not known.
        reference: Between what returns are normalised; None: nothing is known.
    """

    random: list[dict[str, Any]]
    shortest: NDArray[np.int64] | None
    best: float | None
    reference: Reference | None


@dataclass
class MeasuredAgent:
    """What was measured of an agent's run.

    Attributes:
        measured: Its results, as of any run; ``kind`` is what the agent is and what it sees.
        agent: Its algorithm.
        observation: What it sees.
        steps: That it was trained for.
        options: In which kinds of agents may differ, by name.
        episodes: Those that were played.
        reference: Between what its return is normalised.
        evaluations: Steps and mean returns of the evaluations while it was trained.
        world: Scores of the world model that it sees through; None where there is none.
        world_sha256: Of that model's checkpoint, which tells it from others.
        videos: Files of the videos.
    """

    measured: Measured
    agent: str
    observation: str
    steps: int
    options: dict[str, Any]
    episodes: list[dict[str, Any]]
    reference: Reference | None
    evaluations: tuple[list[int], list[float]]
    world: Values | None = None
    world_sha256: str | None = None
    videos: list[Path] = field(default_factory=list)

    @property
    def score(self) -> float:
        """The mean return."""
        return float(np.mean([episode["return"] for episode in self.episodes]))


class Film(VectorWrapper):
    """Keeps the pictures of the first episode of some copies.

    The last picture of an episode is that of its end where a state can be drawn from what was observed; elsewhere, that
    before the last step.

    Args:
        env: Environments of this library, which are reset in the step that ends an episode.
        copies: The first so many are filmed.

    Attributes:
        reels: Pictures uint8 [H, W, 3] of each of these.

    Raises:
        UsageError: They cannot be drawn.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], copies: int) -> None:
        super().__init__(env)
        self.simulation = getattr(env.unwrapped, "simulation", None)
        if self.simulation is None:
            raise UsageError("--videos needs an environment of equiworld")
        self.reels: list[list[Pixels]] = [[] for _ in range(copies)]
        self._over = [False] * copies

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        """Begins the episodes that are filmed."""
        observations, infos = self.env.reset(**options)
        self.reels, self._over = [[] for _ in self.reels], [False] * len(self.reels)
        for row in range(len(self.reels)):
            self._take(row, _row(observations, row))
        return observations, infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Makes one step in every copy, and takes its picture."""
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        for row, over in enumerate(self._over):
            if over:
                continue
            if not (terminated[row] or truncated[row]):
                self._take(row, _row(observations, row))
                continue
            self._over[row] = True
            if isinstance(self.simulation, WorldSimulation):
                self._take(row, infos["final_obs"][row])
        return observations, rewards, terminated, truncated, infos

    def _take(self, row: int, observation: Any) -> None:
        if len(self.reels[row]) < FRAMES:
            assert self.simulation is not None
            self.reels[row].append(np.array(self.simulation.frame(row, observation)))


def _row(batch: Any, row: int) -> Any:
    return {name: part[row] for name, part in batch.items()} if isinstance(batch, dict) else batch[row]


class _RandomPlay:
    """Actions drawn evenly."""

    def __init__(self, envs: SB3VecEnv, seed: int) -> None:
        self.space = spaces.Tuple([envs.action_space] * envs.num_envs)
        self.space.seed(np.random.SeedSequence((_RANDOM, seed)).generate_state(envs.num_envs).tolist())

    def predict(self, observations: Any, deterministic: bool = True) -> tuple[NDArray[Any], None]:
        return np.stack(self.space.sample()), None


def baseline(options: AgentOptions, asked: Asked) -> Baseline:
    """What the episodes of an environment are compared with.

    Args:
        options: Of a run in that environment.
        asked: Which episodes.
    """
    arguments = key_values(options.run.env_options, "--env-options")
    inner = make_envs(options.env_id, arguments, asked.episodes)
    envs = SB3VecEnv(inner)
    player: Any = _RandomPlay(envs, asked.first_seed)
    random = play_episodes(player, envs, asked.first_seed)
    shortest, best = _shortest(inner, asked.first_seed)
    envs.close()
    return Baseline(random, shortest, best, find_reference(options, _mean(random, "return"), best))


def find_reference(options: AgentOptions, chance: float, best: float | None) -> Reference | None:
    """Between what returns are normalised; None where nothing is known.

    Published returns hold for an environment as it is by default, whatever its pictures look like.

    Args:
        options: Of a run.
        chance: The return of random play.
        best: That of the shortest paths; None: not known.
    """
    name, changed = _environment(options)
    if name in REFERENCES and not changed:
        return REFERENCES[name]
    if best is None or best <= chance:
        return None
    return Reference(chance, best, "shortest path, and random play on the same seeds")


def _shortest(envs: VectorEnv[Any, Any, Any], first_seed: int) -> tuple[NDArray[np.int64] | None, float | None]:
    """The fewest steps to the goals of episodes [N], and the return of whoever takes them; None: not known."""
    simulation: Any = getattr(envs.unwrapped, "simulation", None)
    task = getattr(simulation, "task", None)
    if not isinstance(simulation, WorldSimulation) or not isinstance(task, GoalTask):
        return None, None
    resettable: Any = envs  # gymnasium's own signature knows of one seed alone
    _, infos = resettable.reset(seed=[first_seed + row for row in range(envs.num_envs)])
    try:
        steps = shortest_steps(simulation.world, task, infos["factors"], infos["goal"])
    except UsageError:  # factors or actions cannot be counted
        return None, None
    if task.reward != "sparse":
        return steps, None
    spec: Any = envs.spec
    limit = spec.kwargs.get("max_episode_steps") or spec.max_episode_steps or np.inf
    return steps, float(((steps >= 0) & (steps <= limit)).mean())


def check_agents(paths: Sequence[Path]) -> list[AgentOptions]:
    """The options of runs that are to be measured together, with the environments that they are measured in.

    Args:
        paths: Run directories.

    Raises:
        UsageError: One is no run of an agent, has no checkpoint, or plays another environment than the first.
        RunError: One is damaged.
    """
    found = [options_of_agent(path) for path in paths]
    for path in paths:
        if not (path / runs.CHECKPOINT).is_file():
            raise UsageError(f"{path} holds no checkpoint: {path / runs.CHECKPOINT} does not exist")
        if not os.access(path, os.W_OK):
            raise runs.RunError(f"{path} cannot be written to: copy the run to where its results may lie")
    found = [_awake(path, options) for path, options in zip(paths, found, strict=True)]
    for path, options in zip(paths, found, strict=True):
        if endless(key_values(options.run.env_options, "--env-options")):
            raise UsageError(
                f"{path} plays without a limit of time, and its episodes need not end:"
                " agents of environments with a limit (--env-options max_episode_steps=N, or their own) are accepted"
            )
        first, other = _environment(found[0]), _environment(options)
        if first != other:
            raise UsageError(
                f"{paths[0]} plays {_played(first)} and {path} plays {_played(other)}:"
                " returns in different environments cannot be put together"
            )
    return found


def _awake(path: Path, options: AgentOptions) -> AgentOptions:
    """The options of a run; of an agent that learnt in dreams, with the environment that these were recorded in."""
    if options.env_id != DREAM:
        return options
    env_id, arguments = acts_in(options, path / WORLD_MODEL)
    pairs = tuple(f"{name}={json.dumps(value)}" for name, value in arguments.items())
    return dataclasses.replace(options, env_id=env_id, run=dataclasses.replace(options.run, env_options=pairs))


def _environment(options: AgentOptions) -> tuple[str, dict[str, Any]]:
    """The id of an environment, and the options that change what is to be done in it."""
    arguments = key_values(options.run.env_options, "--env-options")
    changed = {name: value for name, value in sorted(arguments.items()) if name not in PICTURE}
    return options.env_id.rpartition(":")[2], changed


def _played(environment: tuple[str, dict[str, Any]]) -> str:
    name, changed = environment
    return name + (f" with {' '.join(f'{key}={value}' for key, value in changed.items())}" if changed else "")


def evaluate_agents(
    paths: Sequence[Path],
    asked: Asked | None = None,
    names: Sequence[str] = (),
    *,
    paged: bool = False,
    told: Callable[[str], object] = silent,
) -> list[MeasuredAgent]:
    """Measures the runs of agents, and writes ``metrics.json`` into each, and videos.

    Args:
        paths: Run directories.
        asked: How they are measured.
        names: What is to be known of the world models that they see through; none: ``MEASURED``.
        paged: Whether to gather what the page shows.
        told: Called with lines on what takes long.

    Raises:
        UsageError: They cannot be measured together; see ``check_agents``.
        RunError: One is damaged.
    """
    asked = Asked() if asked is None else asked
    every = check_agents(paths)
    seeing = [path for path in paths if (path / WORLD_MODEL).is_dir()]
    if names and not seeing:
        raise UsageError("--metrics measures the world models of agents, and none of these sees through one")
    against: dict[str, Baseline] = {}
    found = []
    for path, options in zip(paths, every, strict=True):
        known = json.dumps(_environment(options))
        if known not in against:
            against[known] = baseline(options, asked)
        found.append(_evaluate_agent(path, options, against[known], asked, paged, told))
    worlds: dict[str, Values] = {}  # several agents may see through one
    for each in found:
        if (model := each.measured.path / WORLD_MODEL).is_dir():
            source, same = Path(str(each.measured.options["world_model"])), digest(model / runs.CHECKPOINT)
            if same not in worlds:
                worlds[same] = world_scores(model, source, names or MEASURED, told)
            each.world, each.world_sha256 = worlds[same], same
    return found


def _evaluate_agent(
    place: Path, awake: AgentOptions, against: Baseline, asked: Asked, paged: bool, told: Callable[[str], object]
) -> MeasuredAgent:
    agent = load_agent(place, asked.episodes)
    options = agent.options
    film: Film | None = None
    if asked.videos:
        film = Film(agent.envs.envs.env, asked.videos)
        agent.envs.envs.env = film
    episodes = play_episodes(agent.algorithm, agent.envs, asked.first_seed, agent.options.run.eval_sample)
    agent.envs.close()
    evaluations, reason = read_evaluations(place / EPISODES)
    results = results_of(episodes, against, evaluations, reason)
    steps = _steps(place, options)
    observation, about = seen(place, options)
    content = {
        "equiworld": __version__,
        "agent": options.agent_name,
        "observation": observation,
        "env": awake.env_id,
        "env_options": list(awake.run.env_options),
        "seed": options.run.seed,
        "steps": steps,
        "episodes": asked.episodes,
        "first_seed": asked.first_seed,
        "sha256": digest(place / runs.CHECKPOINT),
    }
    written = place / "metrics.json"
    known = write_results(written, content, results, told)
    write_scores(place, options.flat(), report.flatten(known))
    videos = []
    for reel, episode in zip(film.reels if film is not None else [], episodes, strict=False):
        path = place / "videos" / f"episode_{episode['seed']}.gif"
        runs.write_bytes(path, video(reel))
        videos.append(path)
    kind = f"{options.agent_name} on {observation}"
    own = {name: value for name, value in options.flat().items() if name not in _APART}
    view = view_of_agent(str(place), place, options.flat(), known) if paged else None
    measured = Measured(place, kind, options.run.seed, results, written, view, (), None, awake.flat())
    return MeasuredAgent(
        measured,
        options.agent_name,
        observation,
        steps,
        {"steps": steps, **own, **about},
        episodes,
        against.reference,
        evaluations,
        videos=videos,
    )


def _steps(place: Path, options: AgentOptions) -> int:
    """Steps that were made in the environment that the agent learnt in."""
    content = runs.load_checkpoint(place)
    if isinstance(options.agent, DreamPPOOptions):  # whose checkpoints stand between rounds
        return int(content.get("round", 0)) * (options.total // options.agent.rounds)
    return int(content.get("counters", {}).get("num_timesteps", 0))


def seen(place: Path, options: AgentOptions) -> tuple[str, dict[str, Any]]:
    """What the agent of a run sees, in words, and the options of the world model in which kinds may differ."""
    run, named, about = options.run, options.run.world_model, {}
    if (place / WORLD_MODEL).is_dir():
        config = runs.read_config(place / WORLD_MODEL)
        config["dataset"] = Path(str(config.get("dataset"))).name  # wherever a recording lies, one for each seed
        named = f"latents of {config['model']}"
        if not isinstance(
            options.agent, DreamPPOOptions
        ):  # whose own options say all, and whose recordings are its own
            about = {f"world model's {name}": value for name, value in config.items() if name not in _MODELS_APART}
    if options.env_id == DREAM:
        about |= {f"dreams' {name}": value for name, value in key_values(run.env_options, "--env-options").items()}
    more = [
        *(["in dreams"] if options.env_id == DREAM else []),
        *(["finetuned"] if run.encoder == "finetuned" else []),
        *(["sampled"] if run.latent_sample else []),
        *([f"{run.stack} stacked"] if run.stack > 1 else []),
    ]
    return ", ".join([named, *more]), about


def results_of(
    episodes: Sequence[Mapping[str, Any]],
    against: Baseline,
    evaluations: tuple[list[int], list[float]] = ([], []),
    reason: str | None = None,
) -> list[MetricResult]:
    """What episodes come to.

    Args:
        episodes: As ``agents.training.play_episodes`` gives them.
        against: What they are compared with; chance is random play on the same seeds.
        evaluations: Steps and mean returns of the evaluations while the agent was trained.
        reason: Why there are none.
    """
    returns, random = (np.array([each["return"] for each in played]) for played in (episodes, against.random))
    listed = {name: [each[name] for each in episodes] for name in ("seed", "return", "length", "success")}
    count = len(episodes)
    found = [
        MetricResult(
            "return",
            _over_episodes(returns),
            {"episodes": listed},
            chance={name: value for name, value in _over_episodes(random).items() if name != "std"},
            ceiling={} if against.best is None else {"mean": against.best},
            n=count,
        )
    ]
    known = against.reference
    if known is None:
        reason_of = "there are no returns to normalise by: neither published ones nor those of shortest paths"
        found.append(MetricResult("normalised", {"return": None}, reason=reason_of))
    else:
        value = float(normalised([returns.mean()], known.random, known.reference)[0])
        told = {"random": known.random, "reference": known.reference, "source": known.source}
        found.append(MetricResult("normalised", {"return": value}, told, n=count))
    if listed["success"][0] is None:
        found.append(MetricResult("success", {"rate": None}, reason="the environment does not tell"))
    else:
        rate: Values = {"rate": float(np.mean(listed["success"]))}
        chance: Values = {"rate": _mean(against.random, "success")}
        best: Values = {} if against.best is None else {"rate": against.best}
        found.append(MetricResult("success", rate, chance=chance, ceiling=best, n=count))
    length: Values = {"mean": float(np.mean(listed["length"]))}
    fewest: Values = {}
    if against.shortest is not None:
        reached = np.array(listed["success"], dtype=bool) & (against.shortest > 0)
        if (against.shortest >= 0).all():
            fewest["mean"] = float(against.shortest.mean())
        if reached.any():
            taken, least = np.array(listed["length"])[reached].sum(), against.shortest[reached].sum()
            length["over_shortest"], fewest["over_shortest"] = float(taken / least) - 1, 0.0
    chance = {"mean": _mean(against.random, "length")}
    found.append(MetricResult("length", length, chance=chance, ceiling=fewest, n=count))
    steps, means = evaluations
    learning: Values = {"mean": None}
    if means:
        learning = {"mean": float(np.mean(means)), "best": max(means), "last": means[-1]}
    curve = {"steps": steps, "returns": means}
    found.append(MetricResult("learning", learning, curve, reason=reason, n=len(means) or None))
    return found


def _over_episodes(returns: NDArray[Any]) -> Values:
    middle = float(interquartile_mean(returns[:, None]))
    values: Values = {"mean": float(returns.mean()), "median": float(np.median(returns)), "iqm": middle}
    return values if len(returns) < 2 else {**values, "std": float(returns.std(ddof=1))}


def _mean(episodes: Sequence[Mapping[str, Any]], name: str) -> float:
    return float(np.mean([each[name] for each in episodes]))


def read_evaluations(path: Path) -> tuple[tuple[list[int], list[float]], str | None]:
    """Steps and mean returns of the evaluations of a run, and why there are none.

    Args:
        path: The run's ``episodes.json``.

    Raises:
        RunError: It cannot be read.
    """
    if not path.is_file():
        return ([], []), "the run was not evaluated while it was trained (--eval-episodes 0)"
    try:
        held: dict[int, list[float]] = {}
        for each in json.loads(path.read_text(encoding="utf-8")):
            held.setdefault(int(each["step"]), []).append(float(each["return"]))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise runs.RunError(f"{path} is damaged: {' '.join(str(error).split())[:200]}") from error
    steps = sorted(held)
    return (steps, [float(np.mean(held[step])) for step in steps]), None if steps else "there were no evaluations"


def video(reel: Sequence[Pixels]) -> bytes:
    """An episode as GIF; small pictures are enlarged."""
    times = max(1, -(-_TALL // reel[0].shape[0]))
    return gif([picture.repeat(times, 0).repeat(times, 1) for picture in reel], 100)


def world_scores(model: Path, source: Path, names: Sequence[str], told: Callable[[str], object] = silent) -> Values:
    """The main scores of a world model by the name of their metric, as far as they are known, and all of ``names``.

    What an evaluation of the run that it was copied from has found is taken; what is missing is measured of the copy.
    Where its data are gone, that is told, and is left out.

    Args:
        model: The copy that an agent's run keeps.
        source: The run that it was copied from, which need not be there any more.
        names: What must be known.
        told: Called with the name of each metric before it is computed, and with why some cannot be.
    """
    same = digest(model / runs.CHECKPOINT)
    found: Values = {}
    for place in (run_directory(source), model):
        found |= _main_scores(place / "metrics.json", same)
    if missing := [name for name in names if name not in found]:
        try:
            found |= {each.name: _main(each) for each in evaluate_run(model, missing, told=told).results}
        except UsageError as error:  # its data are gone, which the agent can do without
            told(f"{', '.join(missing)} of {model} cannot be measured: {error}")
    return found


def _main(result: MetricResult) -> float | None:
    return next(iter(result.values.values()), None)


def _main_scores(path: Path, sha256: str) -> Values:
    """The main scores in a ``metrics.json``; none where it is of other weights, damaged or not there."""
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        if held["sha256"] != sha256:
            return {}
        return {each["name"]: _main(MetricResult.from_dict(each)) for each in held["results"]}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
