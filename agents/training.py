"""Training an agent: environments, what it is shown of them, evaluation episodes, TensorBoard, checkpoints."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, Logger
from stable_baselines3.common.utils import get_device, safe_mean, set_random_seed
from torch.utils.tensorboard import SummaryWriter

from ..datasets.rollouts.command_line import key_values
from ..datasets.rollouts.copies import find_spec
from ..envs.registry import UsageError, nearest
from ..world_models import runs
from ..world_models.assembly import Base, keep_base, load_base
from ..world_models.trainer import NonFiniteLoss
from ..world_models.vae import VAE
from .algorithms import AGENTS, DreamPPOOptions, build_agent, check_actions
from .checkpoints import (
    States,
    capture,
    check_finite,
    load_replay,
    own_random_states,
    remove_old_replays,
    restore,
    save_replay,
)
from .dream import DREAM, Dreams, DreamVectorEnv, check_dream_options, open_dreams
from .networks import policy_for
from .observers import Factors, Latents, Observer, Pixels, load_world_model
from .options import WORLD_MODEL, AgentOptions, options_of_agent
from .rewards import Rewards
from .vec_env import SB3VecEnv, success

EPISODES = "episodes.json"
"""The file of a run that holds the episodes of its evaluations."""
EVALUATION_SEED = 1_000_000
"""Episode i of every evaluation is seeded with this number plus i, whatever the run's own seed."""
LOG_EVERY = 1000
"""Steps between two entries in TensorBoard, if rollouts are not longer."""
LIBRARIES = ("gymnasium", "sb3-contrib", "stable-baselines3")
"""What numbers of agents depend on besides what those of world models do."""
_RECORDED = "recorded.json"
"""The file beside the world model of an agent that learns in dreams which says in which environment these were made."""
_COPIED = ("config.yaml", "split.npz", "base.json", str(runs.CHECKPOINT), "backgrounds/*")


class Stopped(Exception):
    """Something was asked to stop, and did."""


class Listener(Protocol):
    """What is told how training goes; a progress bar, say."""

    def start(self, total: int, done: int) -> None:
        """Training begins: of so many steps, of which so many are done."""
        ...

    def update(self, done: int, mean_return: float | None, steps_per_second: float) -> None:
        """So many steps are done; the mean return is that of the last episodes, None where none has ended."""
        ...

    def note(self, line: str) -> None:
        """Something is to be said."""
        ...


def make_envs(env_id: str, options: Mapping[str, Any], number: int) -> VectorEnv[Any, Any, Any]:
    """Copies of an environment that are reset in the step that ends an episode.

    Args:
        env_id: Its id; ``module:id`` imports a module first.
        options: Its keyword arguments.
        number: Copies.

    Raises:
        UsageError: There is no such environment, it does not take the options, or its state cannot be saved.
    """
    spec, accepted = find_spec(env_id), "the environments of equiworld are accepted"
    if spec.vector_entry_point is None:
        raise UsageError(f"{env_id} has no vector environment whose state can be saved; {accepted}")
    try:
        envs = gymnasium.make_vec(
            spec,
            num_envs=number,
            vectorization_mode="vector_entry_point",
            autoreset_mode=AutoresetMode.SAME_STEP,
            **options,
        )
    except UsageError:
        raise
    except (TypeError, ValueError, AssertionError, ImportError, gymnasium.error.Error) as error:
        reason = " ".join(str(error).split())
        if "'autoreset_mode'" in reason:  # which all environments take whose state can be saved
            raise UsageError(f"the state of {env_id} cannot be saved; {accepted}") from error
        raise UsageError(f"the environment {env_id} cannot be made: {reason}; {accepted}") from error
    if not hasattr(envs.unwrapped, "get_state"):
        envs.close()
        raise UsageError(f"the state of {env_id} cannot be saved; {accepted}")
    return envs


def endless(options: Mapping[str, Any]) -> bool:
    """Whether the options of an environment take its limit of time away."""
    return options.get("max_episode_steps", 1) in (None, -1)


def check_limit(options: Mapping[str, Any]) -> None:
    """Refuses evaluations that need not end, as an environment's options take its limit of time away.

    Raises:
        UsageError: As the message says.
    """
    if endless(options):
        raise UsageError(
            "evaluation episodes need a limit of time: --env-options max_episode_steps=N, or --eval-episodes 0"
        )


def find_world_model(named: str, kept: Path | None, action_space: spaces.Space[Any]) -> tuple[Base | None, VAE | None]:
    """The world model that an agent is to see through.

    Args:
        named: ``pixels``, ``factors``, or a run.
        kept: Where a run that is continued keeps its copy.
        action_space: Of one copy of the environment.

    Returns:
        What the model was built for, and the model; None where there is none.

    Raises:
        UsageError: There is no such run, or its model is one for other actions.
        RunError: It is damaged.
    """
    return (None, None) if named in ("pixels", "factors") else load_world_model(_place(named, kept), action_space)


def _place(named: str, kept: Path | None) -> Path:
    """Where the run of a world model lies: its copy, if there is one."""
    place = kept if kept is not None and kept.is_dir() else Path(named)
    if not place.exists():
        hint = nearest(place.name, ["pixels", "factors"])
        raise UsageError(f"--world-model {named}: there is no such run{hint}; pixels, factors and runs are accepted")
    return place


def find_dreams(options: AgentOptions, kept: Path | None) -> Dreams | None:
    """What an agent dreams with (``--env dream``); None where it acts in an environment.

    Args:
        options: The agent's.
        kept: Where a run that is continued keeps its copy of the world model.

    Raises:
        UsageError: There is no such run, or it has no dynamics.
        RunError: It is damaged.
    """
    if options.env_id != DREAM:
        return None
    return open_dreams(_place(options.run.world_model, kept), get_device(options.run.device))


def acts_in(options: AgentOptions, kept: Path) -> tuple[str, dict[str, Any]]:
    """Where the agent of a run acts: of one that learnt in dreams, the environment in which these were recorded.

    Args:
        options: The agent's.
        kept: Where its run keeps its copy of the world model.

    Returns:
        The environment's id and keyword arguments.

    Raises:
        UsageError: It learnt in dreams of which the recording is gone, in a run that does not say where it was made.
        RunError: The run is damaged.
    """
    if options.env_id != DREAM:
        return options.env_id, key_values(options.run.env_options, "--env-options")
    note = kept / _RECORDED
    if note.is_file():
        try:
            content = json.loads(note.read_text(encoding="utf-8"))
            return str(content["env"]), dict(content["env_options"])
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise runs.RunError(f"{note} is damaged: {error}") from error
    try:
        dreams = open_dreams(_place(options.run.world_model, kept), get_device(options.run.device))
    except UsageError as error:
        raise UsageError(
            f"{kept.parent} does not say where its dreams were recorded, and needs the recording: {error}"
        ) from error
    return dreams.env_id, dreams.env_options


def make_observer(options: AgentOptions, envs: VectorEnv[Any, Any, Any], model: VAE | None) -> Observer:
    """What the agent of a run is shown.

    Raises:
        UsageError: The environment shows or tells no such thing.
    """
    run, space = options.run, envs.single_observation_space
    if isinstance(envs.unwrapped, DreamVectorEnv):
        return Pixels(space)  # which are latents already
    if run.world_model == "factors":
        return Factors(envs)
    if model is None or run.encoder == "finetuned":
        return Pixels(space)
    device = get_device(run.device)
    return Latents(model, space, sample=run.latent_sample, seed=run.seed, device=device)


def play_episodes(
    algorithm: BaseAlgorithm,
    envs: SB3VecEnv,
    first_seed: int = EVALUATION_SEED,
    sample: bool = False,
    stopped: Callable[[], bool] = lambda: False,
) -> list[dict[str, Any]]:
    """One episode in each copy, played by the policy.

    Args:
        algorithm: Whose policy plays.
        envs: The copies; copy i is seeded with ``first_seed + i``.
        first_seed: The first copy's seed, and that of the actions.
        sample: Whether actions are drawn, or the likeliest are taken.
        stopped: Asked between steps.

    Returns:
        For each copy its ``seed``, ``return`` (not discounted), ``length`` in steps, and ``success`` (None where the
        environment does not tell).

    Raises:
        Stopped: ``stopped`` said so.
    """
    if not sample:
        return _play_episodes(algorithm, envs, first_seed, True, stopped)
    actions = algorithm.action_space
    before = actions.np_random.bit_generator.state
    with own_random_states(algorithm.device):
        set_random_seed(first_seed)
        actions.seed(first_seed)  # from which agents explore that draw none of the likeliest actions
        try:
            return _play_episodes(algorithm, envs, first_seed, False, stopped)
        finally:
            actions.np_random.bit_generator.state = before


def _play_episodes(
    algorithm: BaseAlgorithm, envs: SB3VecEnv, first_seed: int, deterministic: bool, stopped: Callable[[], bool]
) -> list[dict[str, Any]]:
    envs.seed(first_seed)
    found: dict[int, dict[str, Any]] = {}
    observations = envs.reset()
    while len(found) < envs.num_envs:
        if stopped():
            raise Stopped
        actions, _ = algorithm.predict(observations, deterministic=deterministic)
        observations, _, dones, infos = envs.step(actions)
        for row in np.flatnonzero(dones).tolist():
            if row not in found:
                ended = infos[row]["episode"]
                terminated = not infos[row]["TimeLimit.truncated"]
                found[row] = {
                    "seed": first_seed + row,
                    "return": ended["r"],
                    "length": ended["l"],
                    "success": success(infos[row], terminated),
                }
    return [found[row] for row in range(envs.num_envs)]


class _Events(KVWriter):
    """stable-baselines3's log as scalars in TensorBoard."""

    def __init__(self, writer: SummaryWriter) -> None:
        self.writer = writer

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0) -> None:
        for name, value in sorted(key_values.items()):
            excluded = key_excluded.get(name) or ()
            if isinstance(value, int | float | np.number) and "tensorboard" not in excluded:
                self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def close(self) -> None:
        """The writer is closed by whoever opened it."""


@dataclass
class Counts:
    """What has been done of what is done every so many steps, and the evaluations so far.

    Attributes:
        evaluated: Evaluations that were due.
        saved: Checkpoints that were due.
        logged: Entries in the log that were due.
        episodes: Those of all evaluations, with the ``step`` at which each was played.
    """

    evaluated: int = 0
    saved: int = 0
    logged: int = 0
    episodes: list[dict[str, Any]] | None = None


class AgentTrainer:
    """Trains the agent of a run, exactly: an interruption at any checkpoint changes nothing of what follows.

    Building one checks everything; nothing is written before ``fit``.

    Args:
        options: What to train, and on what.
        resume: The run to continue; None: a new one.

    Attributes:
        options: The same.
        algorithm: What is trained.
        envs: The environments that it learns in.

    Raises:
        UsageError: The options do not go together.
        RunError: The run to continue is damaged.
    """

    def __init__(self, options: AgentOptions, resume: Path | None = None) -> None:
        options.check()
        self.options, run = options, options.run
        self.device = get_device(run.device)
        arguments = key_values(run.env_options, "--env-options")
        content = None if resume is None else runs.load_checkpoint(resume)
        kept = None if resume is None else resume / WORLD_MODEL
        dreams = find_dreams(options, kept)
        self._dreams = dreams
        real = (options.env_id, arguments) if dreams is None else (dreams.env_id, dreams.env_options)
        if run.eval_episodes:
            check_limit(real[1])
        if dreams is None:
            inner = make_envs(*real, run.num_envs)
        else:
            inner = dreams.envs(run.num_envs, seed=run.seed, **check_dream_options(arguments))
        check_actions(options.agent_name, options.env_id, inner.single_action_space)
        if dreams is None:
            self._base, self.world_model = find_world_model(run.world_model, kept, inner.single_action_space)
        else:
            self._base, self.world_model = None, dreams.model
        gamma = options.agent.gamma if getattr(options.agent, "normalize_reward", False) else None
        self.envs = self._wrapped(inner, Rewards(inner.num_envs, options.agent.reward_scale, gamma))
        policy, policy_options = policy_for(
            self.envs.observation_space, self.world_model if run.encoder == "finetuned" else None
        )
        self.evaluation = None
        if run.eval_episodes:
            self.evaluation = self._wrapped(make_envs(*real, run.eval_episodes))
            if self.evaluation.observation_space.shape != self.envs.observation_space.shape:
                raise UsageError(
                    f"{real[0]} shows more than the images that dreams are made of; --eval-episodes 0 is accepted"
                )
        self.counts = Counts()
        self.logger = Logger(None, [])
        with own_random_states(self.device) as (read, _):
            self.algorithm = build_agent(
                options.agent_name, options.agent, self.envs, policy, policy_options, run.seed, str(self.device)
            )
            self.algorithm.set_logger(self.logger)
            self.states = read()
        if resume is not None and content is not None:
            source = resume / runs.CHECKPOINT
            self.states = restore(self.algorithm, self.envs, content, source)
            load_replay(resume, content.get("replay"), self.algorithm)
            try:
                self.counts = Counts(**content["counts"])
            except (KeyError, TypeError) as error:
                raise runs.RunError(f"{source} cannot be continued: it does not say what was done") from error

    def _wrapped(self, envs: VectorEnv[Any, Any, Any], rewards: Rewards | None = None) -> SB3VecEnv:
        return SB3VecEnv(envs, make_observer(self.options, envs, self.world_model), self.options.run.stack, rewards)

    @property
    def steps(self) -> int:
        """Steps that have been made, of all copies together."""
        return int(self.algorithm.num_timesteps)

    def fit(self, run: Path, listener: Listener, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Trains until all steps are made, or ``stopped`` says so.

        Args:
            run: The run directory; checkpoints, TensorBoard events and the episodes of evaluations go there.
            listener: Told how it goes.
            stopped: Asked between two rollouts, and between steps of evaluations.

        Returns:
            Whether training is complete; if not, the checkpoint holds where it stopped.

        Raises:
            NonFiniteLoss: The policy is no longer made of numbers.
        """
        begun = self.algorithm._last_obs is not None
        left = self.options.total - self.steps
        if self.world_model is not None and not (run / WORLD_MODEL).is_dir():
            keep_world_model(Path(self.options.run.world_model), run / WORLD_MODEL, self._base)
        if self._dreams is not None and not (run / WORLD_MODEL / _RECORDED).is_file():
            content = {"env": self._dreams.env_id, "env_options": self._dreams.env_options}
            runs.write_json(run / WORLD_MODEL / _RECORDED, content)
        listener.start(self.options.total, self.steps)
        with (
            SummaryWriter(str(run), purge_step=self.steps + 1 if self.steps else None) as writer,
            own_random_states(self.device) as (read, write),
        ):
            self.logger.output_formats = [_Events(writer)]
            write(self.states)
            hooks = _Hooks(self, run, writer, read, listener, stopped)
            try:
                if left > 0 or not begun:
                    learn: Any = self.algorithm.learn  # without an interval nothing is logged but by the hooks
                    learn(left, callback=hooks, log_interval=None, reset_num_timesteps=not begun)
                elif hooks.unfinished:
                    hooks.init_callback(self.algorithm)
                    hooks.on_training_end()
            except Stopped:
                return False
            except ValueError as error:
                # Distributions refuse what is no number before anybody else does.
                hooks.check(error)
                raise
            finally:
                self.states = read()
        return True

    def close(self) -> None:
        """Lets go of the environments."""
        self.envs.close()
        if self.evaluation is not None:
            self.evaluation.close()


class _Hooks(BaseCallback):
    """What happens between two rollouts, at a point where nothing is under way."""

    def __init__(
        self,
        trainer: AgentTrainer,
        run: Path,
        writer: SummaryWriter,
        read: Callable[[], States],
        listener: Listener,
        stopped: Callable[[], bool],
    ) -> None:
        super().__init__()
        self.trainer, self.run, self.writer, self.read = trainer, run, writer, read
        self.listener, self.stopped = listener, stopped
        self.began, self.before = time.perf_counter(), trainer.steps

    def _on_rollout_start(self) -> None:
        counts, asked, steps = self.trainer.counts, self.trainer.options.run, self.trainer.steps
        if self.stopped():
            self.save()
            raise Stopped
        if steps // asked.eval_every > counts.evaluated:
            self.evaluate()
        if not steps or steps // asked.checkpoint_every > counts.saved:
            self.save()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        counts, steps = self.trainer.counts, self.trainer.steps
        infos = self.model.ep_info_buffer
        mean = float(safe_mean([info["r"] for info in infos])) if infos else None
        self.listener.update(steps, mean, (steps - self.before) / (time.perf_counter() - self.began))
        if steps // LOG_EVERY > counts.logged:
            counts.logged = steps // LOG_EVERY
            self.check()
            log: Any = self.model
            log.dump_logs()

    def _on_training_end(self) -> None:
        if self.unfinished:
            self.evaluate()
        self.save()
        self._write_episodes()

    @property
    def unfinished(self) -> bool:
        """Whether the evaluation is missing that belongs to the steps made so far."""
        episodes = self.trainer.counts.episodes
        last = episodes[-1]["step"] if episodes else -1
        return self.trainer.evaluation is not None and last != self.trainer.steps

    def evaluate(self) -> None:
        """Plays the episodes of an evaluation and writes them down.

        Raises:
            Stopped: In between; the checkpoint is written, and the evaluation is played when the run goes on.
        """
        envs, counts, steps = self.trainer.evaluation, self.trainer.counts, self.trainer.steps
        if envs is None:
            return
        asked = self.trainer.options.run
        try:
            episodes = play_episodes(self.model, envs, sample=asked.eval_sample, stopped=self.stopped)
        except Stopped:
            self.save()
            raise
        counts.evaluated = steps // asked.eval_every
        counts.episodes = [*(counts.episodes or []), *({"step": steps, **episode} for episode in episodes)]
        self._write_episodes()
        means = log_episodes(self.writer, episodes, steps)
        told = f"step {steps}: mean return {means['eval/mean_reward']:.4g} over {len(episodes)} episodes"
        if "eval/success_rate" in means:
            told += f", success {means['eval/success_rate']:.0%}"
        self.listener.note(told)

    def _write_episodes(self) -> None:
        if self.trainer.counts.episodes is not None:
            runs.write_json(self.run / EPISODES, self.trainer.counts.episodes)

    def save(self) -> None:
        """Writes the checkpoint: the replay buffer first, then what names it."""
        self.check()
        trainer = self.trainer
        trainer.counts.saved = trainer.steps // trainer.options.run.checkpoint_every
        content = capture(self.model, trainer.envs, self.read())
        content |= {"counts": vars(trainer.counts), "replay": save_replay(self.run, self.model)}
        runs.save_checkpoint(self.run, content)
        remove_old_replays(self.run, content["replay"])

    def check(self, cause: Exception | None = None) -> None:
        """Stops where the policy is no longer made of numbers.

        Raises:
            NonFiniteLoss: It is not; the message names the last good checkpoint.
        """
        if (spoiled := check_finite(self.model)) is not None:
            kept = self.run / runs.CHECKPOINT
            last = f"the last good checkpoint is {kept}" if kept.exists() else "no checkpoint had been written yet"
            raise NonFiniteLoss(
                f"the policy is not finite after {self.trainer.steps} steps: {spoiled!r}; {last}"
            ) from cause


def log_episodes(writer: SummaryWriter, episodes: list[dict[str, Any]], steps: int) -> dict[str, float]:
    """Writes the means of an evaluation, after so many steps, to TensorBoard, and gives them by their tags."""
    tags = {"return": "eval/mean_reward", "length": "eval/mean_ep_length", "success": "eval/success_rate"}
    told = {name: [episode[name] for episode in episodes] for name in tags}
    means = {tags[name]: float(np.mean(values)) for name, values in told.items() if None not in values}
    for tag, mean in means.items():
        writer.add_scalar(tag, mean, steps)
    writer.flush()
    return means


def keep_world_model(source: Path, place: Path, base: Base | None = None) -> None:
    """Copies what a world model's run needs to be loaded, so that an agent's run stands by itself.

    Args:
        source: A run directory, or a checkpoint in one.
        place: Where the copy goes.
        base: What the model was built for, so that its data are not needed; None: the run says that, or must.
    """
    run = source if source.is_dir() else source.parent.parent
    for pattern in _COPIED:
        for file in run.glob(pattern):
            kept = source if file.name == runs.CHECKPOINT.name and not source.is_dir() else file
            runs.write_bytes(place / file.relative_to(run), kept.read_bytes())
    keep_base(base, place)


@dataclass
class TrainedAgent:
    """The agent of a run, ready to play.

    Attributes:
        options: The run's.
        algorithm: Holds the policy: ``algorithm.predict(observations, deterministic=True)``.
        envs: Environments as it learnt in them; ``play_episodes(algorithm, envs)`` plays one episode in each.
        world_model: What it sees through; None: nothing.
    """

    options: AgentOptions
    algorithm: BaseAlgorithm
    envs: SB3VecEnv
    world_model: VAE | None


def load_agent(run: str | Path, episodes: int | None = None) -> TrainedAgent:
    """The agent of a run directory.

    Args:
        run: The run directory.
        episodes: Copies of the environment; None: as many as an evaluation of the run has.

    Raises:
        UsageError: There is no such run, or it is none of an agent.
        RunError: It is damaged.
    """
    place = Path(run)
    options = options_of_agent(place)
    content = runs.load_checkpoint(place)
    inner = make_envs(*acts_in(options, place / WORLD_MODEL), episodes or options.run.eval_episodes or 1)
    model: VAE | None
    if isinstance(options.agent, DreamPPOOptions) or options.env_id == DREAM:
        model = load_base(place / WORLD_MODEL)[1]
    else:
        model = find_world_model(options.run.world_model, place / WORLD_MODEL, inner.single_action_space)[1]
    envs = SB3VecEnv(inner, make_observer(options, inner, model), options.run.stack)
    policy, policy_options = policy_for(envs.observation_space, model if options.run.encoder == "finetuned" else None)
    agent, device = options.agent, get_device(options.run.device)
    if not AGENTS[options.agent_name].on_policy:
        agent.buffer_size = 1  # nothing is learnt from here on
    with own_random_states(device), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about sizes of rollouts, of which there will be none
        algorithm = build_agent(options.agent_name, agent, envs, policy, policy_options, options.run.seed, str(device))
    runs.load_weights(algorithm.policy, content["model"], place / runs.CHECKPOINT)
    if (rate := content.get("counters", {}).get("exploration_rate")) is not None:
        algorithm.exploration_rate = float(rate)  # type: ignore[attr-defined]
    return TrainedAgent(options, algorithm, envs, model)
