"""``--agent=dream-ppo``: collect, fit a world model, dream, and again, with the budget in real steps."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.utils import get_device, set_random_seed
from torch.utils.tensorboard import SummaryWriter

from ..datasets.randomness import numpy_generator, seed_sequence
from ..datasets.rollouts import RolloutWriter
from ..datasets.rollouts.command_line import key_values
from ..datasets.rollouts.copies import Copies
from ..datasets.rollouts.layout import flatten
from ..envs.policies import RandomPolicy
from ..envs.registry import UsageError
from ..world_models import runs
from ..world_models.assembly import (
    Base,
    assemble,
    keep_base,
    load_base,
    options_from_config,
    write_split,
)
from ..world_models.trainer import Trainer, decay
from ..world_models.vae import VAE
from .algorithms import DreamPPOOptions, check_actions
from .checkpoints import own_random_states, plain
from .dream import DREAM
from .observers import Latents, is_image
from .options import WORLD_MODEL, AgentOptions, RunOptions
from .rewards import Rewards
from .training import EPISODES, AgentTrainer, Listener, check_limit, keep_world_model, log_episodes, make_envs

ROLLOUTS, ROUNDS = "rollouts", "rounds"
"""Folders of a run: what was recorded, and what was fitted to it in each round."""
_LOOP = 74  # keeps the seeds of rounds apart from everything else of the seed
_LEAST = 3  # episodes that a recording needs, so that some can be held out
_SHARP = {"likelihood": "gaussian", "variance_rule": "optimal"}
"""Of the VAE: a ball of a pixel or two costs the cross-entropy fewer nats than telling where it is would."""

Act = Callable[[Any, dict[str, Any]], Any]


class DreamLoop:
    """Trains an agent in the dreams of a world model that is fitted to what the agent has seen.

    A round has four stages: a share of the real steps is made and recorded, at random in the first round and by the
    agent's policy (sampled) afterwards; a VAE is fitted to all pictures so far; dynamics are fitted to all steps so
    far; PPO is trained in their dreams, and evaluated in the real environment. Networks go on from where the round
    before left them. Everything of a round follows from the checkpoint at the end of the round before and the seed, so
    that a run that was stopped goes on from there exactly.

    Args:
        options: What to train, and on what.
        resume: The run to continue; None: a new one.

    Attributes:
        options: The same.
        round: Rounds that are complete.
        episodes: Those of all evaluations, with the number of real ``step`` s before.

    Raises:
        UsageError: The options do not go together.
        RunError: The run to continue is damaged.
    """

    def __init__(self, options: AgentOptions, resume: Path | None = None) -> None:
        options.check()
        assert isinstance(options.agent, DreamPPOOptions)
        self.options, self.agent, self.device = options, options.agent, get_device(options.run.device)
        self.arguments = key_values(options.run.env_options, "--env-options")
        if options.run.eval_episodes:
            check_limit(self.arguments)
        envs = make_envs(options.env_id, self.arguments, 1)
        self.space, self.actions = envs.single_observation_space, envs.single_action_space
        envs.close()
        check_actions(options.agent_name, options.env_id, self.actions)
        if not is_image(self.space):
            raise UsageError(f"--agent dream-ppo learns from images alone, and {options.env_id} shows {self.space}")
        if options.run.num_envs < _LEAST:
            raise UsageError(f"--agent dream-ppo holds out episodes: --num-envs must be {_LEAST} or more")
        self._dreaming(Path(), 0).check()
        shape: Any = self.space.shape
        Base({"model": "vae", "latents": self.agent.latents}, shape, 0, 1, False, 1).build()  # which may refuse it
        self.round = 0
        self.episodes: list[dict[str, Any]] = []
        self._policy: dict[str, torch.Tensor] | None = None
        self._rewards: dict[str, Any] | None = None
        if resume is not None and (resume / runs.CHECKPOINT).is_file():
            content = runs.load_checkpoint(resume)
            try:
                self.round, self.episodes = int(content["round"]), list(content["episodes"])
                self._rewards = content.get("rewards")  # older checkpoints are without
                if self._rewards is not None:
                    Rewards(1).set_spread(self._rewards)
            except (KeyError, TypeError, ValueError) as error:
                raise runs.RunError(f"{resume / runs.CHECKPOINT} cannot be continued: {error}") from error
            self._policy = content["model"]

    @property
    def steps(self) -> int:
        """Real steps that have been made, in the rounds that are complete."""
        return self.round * self._share

    @property
    def _share(self) -> int:
        return self.options.total // self.agent.rounds

    def close(self) -> None:
        """Nothing is held open between rounds."""

    def fit(self, run: Path, listener: Listener, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Makes the rounds that are left.

        Args:
            run: The run directory.
            listener: Told how it goes.
            stopped: Asked in between; what was done of the running round is lost.

        Returns:
            Whether all rounds are complete.

        Raises:
            NonFiniteLoss: A network is no longer made of numbers.
        """
        run = run.absolute()
        listener.start(self.options.total, self.steps)
        while self.round < self.agent.rounds:
            if stopped() or not self._round(run, listener, stopped):
                return False
        return True

    def _round(self, run: Path, listener: Listener, stopped: Callable[[], bool]) -> bool:
        number, seed = self.round, self._seed(self.round)
        folder, before = run / ROUNDS / str(number), run / ROUNDS / str(number - 1)
        shutil.rmtree(folder, ignore_errors=True)  # what an interruption left
        world = None if number == 0 else load_base(before / "dynamics")[1]
        mean = self._collect(run / ROLLOUTS / f"round-{number:03d}.h5", world, seed)
        listener.note(f"round {number + 1} of {self.agent.rounds}: {self._share} real steps, mean reward {mean:.4g}")
        agent = self.agent
        common = {"dataset": str(run / ROLLOUTS), "seed": seed, "device": self.options.run.device}
        vae = {"model": "vae", "latents": agent.latents, "epochs": agent.vae_epochs, **_SHARP, **common}
        if not fit_world_model(vae, folder / "vae", None if number == 0 else before / "vae", stopped, listener.note):
            return False
        dynamics = {"model": "dynamics", "dynamics": agent.dynamics, "epochs": agent.dynamics_epochs, **common}
        dynamics["base_model_path"] = str(folder / "vae")
        start = None if number == 0 else before / "dynamics"
        if not fit_world_model(dynamics, folder / "dynamics", start, stopped, listener.note):
            return False
        trainer = AgentTrainer(self._dreaming(folder / "dynamics", seed))
        if self._policy is not None:
            runs.load_weights(trainer.algorithm.policy, self._policy, run / runs.CHECKPOINT)
        if self._rewards is not None:
            trainer.envs.rewards.set_spread(self._rewards)
        place = folder / "agent"
        place.mkdir()
        runs.write_config(place, trainer.options.flat())
        try:
            # The round is worth more than the time of its evaluation, which is played to its end.
            last = trainer.options.total
            if not trainer.fit(place, _Within(listener, self.steps), lambda: trainer.steps < last and stopped()):
                return False
            self._policy = {name: value.clone() for name, value in trainer.algorithm.policy.state_dict().items()}
            self._rewards = plain(trainer.envs.rewards.get_state())
            made = [{**episode, "step": self.steps + self._share} for episode in trainer.counts.episodes or []]
        finally:
            trainer.close()
        self.round += 1
        self.episodes += made
        self._end_round(run, folder, made)
        returns = [episode["return"] for episode in made]
        listener.update(self.steps, float(np.mean(returns)) if returns else None, 0.0)
        return True

    def _end_round(self, run: Path, folder: Path, made: list[dict[str, Any]]) -> None:
        """Writes what the round led to; the checkpoint last, which says that it is complete."""
        keep_world_model(folder / "dynamics", run / WORLD_MODEL)
        if self.episodes:
            runs.write_json(run / EPISODES, self.episodes)
            with SummaryWriter(str(run)) as writer:
                log_episodes(writer, made, self.steps)
        content = {"model": self._policy, "round": self.round, "episodes": self.episodes, "rewards": self._rewards}
        runs.save_checkpoint(run, content)

    def _seed(self, number: int) -> int:
        """The seed of a round, below 2^31."""
        return int(seed_sequence(self.options.run.seed, _LOOP, number).generate_state(1)[0] >> 1)

    def _dreaming(self, world: Path, seed: int) -> AgentOptions:
        """How PPO is trained in the dreams of a round."""
        agent, run = self.agent, self.options.run
        own = {field.name: getattr(run, field.name) for field in dataclasses.fields(RunOptions)}
        own |= {
            "env_options": (f"horizon={agent.horizon}", f"temperature={agent.temperature}"),
            "world_model": str(world),
            "num_envs": agent.dreams,
            "steps": agent.dream_steps,
            "seed": seed,
            "eval_every": agent.dream_steps,
            "checkpoint_every": agent.dream_steps,
        }
        return AgentOptions("ppo", DREAM, self.options.plugins, RunOptions(**own), agent.ppo())

    def _collect(self, path: Path, world: VAE | None, seed: int) -> float:
        """Records the real steps of a round; their mean reward."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        copies = Copies(self.options.env_id, self.options.run.num_envs, self.arguments)
        try:
            with own_random_states(self.device):
                set_random_seed(seed)
                return record(path, copies, self._act(copies, world, seed), self._share, seed)
        finally:
            copies.close()

    def _act(self, copies: Copies, world: VAE | None, seed: int) -> Act:
        """What is done: at random, or what the policy of the round before draws."""
        if world is None or self._policy is None:
            random, rng = RandomPolicy(copies.envs), numpy_generator(seed, _LOOP)
            return lambda observations, infos: random(observations, infos, rng)
        observer = Latents(world, self.space, seed=seed, device=self.device)
        policy = actor(observer.space, self.actions, self.agent).to(self.device)
        runs.load_weights(policy, self._policy, runs.CHECKPOINT)
        return lambda observations, infos: policy.predict(observer(observations, infos), deterministic=False)[0]


class _Within:
    """Tells of what goes on within a round, where steps are dreamt ones and not counted."""

    def __init__(self, listener: Listener, steps: int) -> None:
        self.listener, self.steps = listener, steps

    def start(self, total: int, done: int) -> None: ...

    def update(self, done: int, mean_return: float | None, steps_per_second: float) -> None:
        self.listener.update(self.steps, mean_return, steps_per_second)

    def note(self, line: str) -> None:
        self.listener.note(f"dreaming, {line}")


class _Notes:
    """Of the training of world models, only what must be said."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self.note = note

    def start(self, epochs: int, batches: int, progress: Any) -> None: ...

    def update(self, progress: Any, loss: float, images_per_second: float, expected: int) -> None: ...


def actor(observations: spaces.Space[Any], actions: spaces.Space[Any], options: DreamPPOOptions) -> ActorCriticPolicy:
    """The policy of PPO on latents, with weights that are yet to be loaded."""
    units = None if options.net_arch is None else list(options.net_arch)
    return ActorCriticPolicy(observations, actions, lambda _: 0.0, net_arch=units)


def fit_world_model(
    config: dict[str, Any], run: Path, start: Path | None, stopped: Callable[[], bool], note: Callable[[str], None]
) -> bool:
    """Fits a world model, or the dynamics of one, as ``train.py`` does.

    Args:
        config: Its options, as in a configuration file.
        run: Its run directory, which is made.
        start: A run like it, from whose weights it begins; of dynamics these alone, on the codes that there are now.
        stopped: Asked between updates.
        note: Told what must be said.

    Returns:
        Whether it was not stopped.

    Raises:
        UsageError: An option that cannot be used.
        NonFiniteLoss: The loss is no longer a number.
    """
    options = options_from_config(config, "--agent dream-ppo")
    assembly = assemble(options)
    if start is not None:
        weights = runs.load_checkpoint(start)["model"]
        part: Any = assembly.model
        if options.model_name == "dynamics":
            part, prefix = part.dynamics, "dynamics."
            weights = {name.removeprefix(prefix): each for name, each in weights.items() if name.startswith(prefix)}
        runs.load_weights(part, weights, start / runs.CHECKPOINT)
    model = options.model
    run.mkdir(parents=True)
    trainer = Trainer(
        assembly.model,
        assembly.loader("training"),
        assembly.loader("validation"),
        run,
        epochs=model.epochs,
        seed=options.run.seed,
        clip_norm=model.clip_norm,
        decay=decay(model.lr_scheduler, model.lr_scheduler_gamma, model.epochs),
        accelerator=options.run.device,
        listener=_Notes(note),
    )
    write_split(run, assembly.split, assembly.data)
    keep_base(assembly.base, run)
    runs.write_config(run, options.flat())
    return trainer.fit(stopped)


def record(path: Path, copies: Copies, act: Act, steps: int, seed: int) -> float:
    """Plays and records episodes, the last of which are cut where the steps are made.

    Args:
        path: The file.
        copies: What is played.
        act: Actions for observations and infos.
        steps: Steps of all copies together; each makes the same number of them, rounded down.
        seed: Source of the seeds of episodes.

    Returns:
        The mean reward of a step.
    """
    rng = numpy_generator(seed, _LOOP, 1)
    seeds = {row: int(rng.integers(2**31)) for row in range(copies.number)}
    observations = copies.reset(seeds)
    factors = copies.infos.get("factors")
    header = copies.header({"name": "dream-ppo", "options": {}}, seed, (0, 1))
    seen_space, done_space, total = copies.envs.single_observation_space, copies.envs.single_action_space, 0.0
    rows: list[list[dict[str, Any]]] = [[] for _ in range(copies.number)]

    def see(only: Any) -> None:
        seen = flatten(seen_space, observations, "observation")
        if factors is not None:
            seen["factors"] = copies.infos["factors"]
        for row in only:
            rows[row].append({name: np.array(values[row]) for name, values in seen.items()})

    def end(row: int, writer: RolloutWriter) -> None:
        last = rows[row].pop()
        columns = {name: np.stack([*(each[name] for each in rows[row]), last[name]]) for name in last}
        own = rows[row][0].keys() - last.keys()
        columns |= {name: np.stack([each[name] for each in rows[row]]) for name in own}
        writer.append(columns, seeds[row])
        rows[row] = []

    with RolloutWriter(path, header, factor_dtype=None if factors is None else factors.dtype) as writer:
        see(range(copies.number))
        per_copy = steps // copies.number
        for made in range(1, per_copy + 1):
            actions = act(observations, copies.infos)
            observations, rewards, terminated, truncated = copies.step(actions)
            total += float(np.sum(rewards))
            cut = (truncated | (made == per_copy)) & ~terminated
            done = flatten(done_space, actions, "action")
            done |= {"reward": rewards, "terminated": terminated, "truncated": cut}
            for row in range(copies.number):
                rows[row][-1] |= {name: np.array(values[row]) for name, values in done.items()}
            see(range(copies.number))
            over = np.flatnonzero(terminated | cut).tolist()
            for row in over:
                end(row, writer)
            if over and made < per_copy:
                for row in over:
                    seeds[row] = int(rng.integers(2**31))
                observations = copies.reset({row: seeds[row] for row in over})
                see(over)
        writer.commit()
    return total / max(1, per_copy * copies.number)
