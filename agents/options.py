"""The options of an agent's run, and how they are read from a command line."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..datasets.rollouts.command_line import key_values
from ..envs.registration import registered
from ..envs.registry import UsageError
from ..world_models import runs
from ..world_models.assembly import check_device, check_numbers, check_threads, fill_options
from ..world_models.command_line import (
    Usage,
    check_continuation,
    check_names,
    front_parser,
    import_plugins,
    listed,
    parse_flags,
    read_file,
)
from .algorithms import AGENTS, DreamPPOOptions, check_options
from .dream import DREAM

CHANGEABLE = ("steps", "device", "threads")
"""What a continued run may have otherwise."""
WORLD_MODEL = "world_model"
"""The folder of a run in which it keeps the world model that it sees through."""
_NAMES = ("agent", "env", "plugin")


@dataclass
class RunOptions:
    """Options of every agent."""

    env_options: tuple[str, ...] = ()
    """Keyword arguments of the environment, KEY=VALUE each; values as in JSON."""
    world_model: str = "pixels"
    """What the agent is shown: the latents of a run (its directory), pixels (NatureCNN), or factors (the true ones)."""
    encoder: Literal["frozen", "finetuned"] = "frozen"
    """Whether the world model's encoder stays as it is, or learns along with the policy."""
    latent_sample: bool = False
    """Show samples of the posteriors instead of their means."""
    stack: int = 1
    """Observations that are shown together, the oldest first."""
    num_envs: int = 8
    """Copies of the environment that are played at once."""
    steps: int = 100_000
    """Steps in the environment, of all copies together; whole rollouts of these are made."""
    seed: int = 0
    """Source of everything random: environments, weights, exploration."""
    eval_every: int = 10_000
    """Steps between two evaluations; there is one at the end, too."""
    eval_episodes: int = 10
    """Episodes of an evaluation, on seeds that are always the same; 0: no evaluations."""
    eval_sample: bool = False
    """Draw the actions of evaluations from the policy instead of taking the likeliest ones."""
    checkpoint_every: int = 50_000
    """Steps between two checkpoints; there is one at the end, too."""
    log_dir: str = "logs"
    """Where run directories are made, as version_0, version_1, ..."""
    device: Literal["cpu", "cuda", "auto"] = "cpu"
    """Where networks compute."""
    threads: int | None = None
    """Threads that torch computes with; None leaves it to torch."""


@dataclass
class AgentOptions:
    """Everything that an agent's run depends on.

    Attributes:
        agent_name: A name in ``AGENTS``.
        env_id: The environment's id, with ``module:`` before it where a module registers it.
        plugins: Modules that were imported for it.
        run: ``RunOptions``.
        agent: The algorithm's own options.
    """

    agent_name: str
    env_id: str
    plugins: tuple[str, ...]
    run: RunOptions
    agent: Any

    def __post_init__(self) -> None:
        if not self.run.world_model:
            raise UsageError("--world-model is empty; pixels, factors and runs are accepted")
        if self.run.world_model not in ("pixels", "factors"):
            self.run.world_model = os.path.abspath(self.run.world_model)  # so that the run finds it from anywhere

    def flat(self) -> dict[str, Any]:
        """As in a configuration file."""
        config: dict[str, Any] = {"agent": self.agent_name, "env": self.env_id}
        if self.plugins:
            config["plugin"] = list(self.plugins)
        for part in (self.run, self.agent):
            for name, value in dataclasses.asdict(part).items():
                config[name] = list(value) if isinstance(value, tuple) else value
        return config

    @property
    def rollout(self) -> int:
        """Steps, of all copies together, between two points at which a run can stop."""
        if isinstance(self.agent, DreamPPOOptions):
            return self.agent.rounds * self.run.num_envs  # a step of each copy in each round
        per_copy = self.agent.n_steps if AGENTS[self.agent_name].on_policy else self.agent.train_freq
        return int(per_copy * self.run.num_envs)

    @property
    def total(self) -> int:
        """Steps of the run: the whole rollouts that ``--steps`` has room for."""
        return self.run.steps - self.run.steps % self.rollout

    def check(self) -> None:
        """Refuses options that cannot be used, as far as they are known without the environment.

        Raises:
            UsageError: As the message says.
        """
        run = self.run
        check_numbers(run, self.agent)
        check_device(run.device)
        check_threads(run.threads)
        check_options(self.agent)
        for name in ("num_envs", "steps", "stack", "eval_every", "checkpoint_every"):
            if getattr(run, name) < 1:
                raise UsageError(f"--{name.replace('_', '-')} must be 1 or more, not {getattr(run, name)}")
        for name in ("seed", "eval_episodes"):
            if getattr(run, name) < 0:
                raise UsageError(f"--{name.replace('_', '-')} must be 0 or more, not {getattr(run, name)}")
        if not run.log_dir:
            raise UsageError("--log-dir is empty; logs is the default")
        if isinstance(self.agent, DreamPPOOptions):
            self._check_loop()
        elif run.steps < self.rollout:
            per_copy = "n-steps" if AGENTS[self.agent_name].on_policy else "train-freq"
            raise UsageError(
                f"--steps {run.steps} is less than one rollout of {self.rollout} steps"
                f" (--{per_copy} {self.rollout // run.num_envs} in each of --num-envs {run.num_envs})"
            )
        if not AGENTS[self.agent_name].on_policy and self.agent.learning_starts >= self.total:
            raise UsageError(
                f"--learning-starts {self.agent.learning_starts} leaves nothing of {self.total} steps to learn from"
            )
        if run.world_model in ("pixels", "factors"):
            for name, usual in (("encoder", "frozen"), ("latent_sample", False)):
                if getattr(run, name) != usual:
                    flag = f"--{name.replace('_', '-')}"
                    raise UsageError(f"{flag} needs the run of a world model, not --world-model {run.world_model}")
        if self.env_id == DREAM and isinstance(self.agent, DreamPPOOptions):
            raise UsageError(f"--agent {self.agent_name} acts in a real environment, not in --env dream")
        if self.env_id == DREAM:
            if run.world_model in ("pixels", "factors"):
                raise UsageError("--env dream needs a run of train.py --model=dynamics: --world-model RUN is missing")
            for name, usual in (("encoder", "frozen"), ("latent_sample", False)):
                if getattr(run, name) != usual:
                    raise UsageError(f"--{name.replace('_', '-')} is not read with --env dream, which shows latents")
        elif run.encoder == "finetuned" and run.latent_sample:
            raise UsageError("--latent-sample needs --encoder frozen: an encoder that learns along gives means")

    def _check_loop(self) -> None:
        run, agent = self.run, self.agent
        if run.steps < self.rollout:
            raise UsageError(
                f"--steps {run.steps} is less than one real step in each of --rounds {agent.rounds} for each of"
                f" --num-envs {run.num_envs}"
            )
        if run.world_model != "pixels" or run.stack != 1:
            flag = "world-model" if run.world_model != "pixels" else "stack"
            raise UsageError(f"--{flag} is not read by --agent {self.agent_name}, which fits a world model of its own")
        if agent.dream_steps < agent.n_steps * agent.dreams:
            raise UsageError(
                f"--dream-steps {agent.dream_steps} is less than one rollout of {agent.n_steps * agent.dreams} steps"
                f" (--n-steps {agent.n_steps} in each of --dreams {agent.dreams})"
            )


@dataclass
class AgentRequest:
    """What the command line asks for: options, and the run to continue if there is one."""

    options: AgentOptions
    resume: Path | None


def read_agent_request(arguments: list[str]) -> AgentRequest:
    """Reads the command line of an agent.

    Configuration files are read in order, later ones over earlier ones, and the command line over all.

    Raises:
        UsageError: What was given cannot be used.
        HelpAsked: ``--help`` was given.
        RunError: The run to continue is damaged.
    """
    named, rest = front_parser("agent", "env").parse_known_args(arguments)
    help_asked = any(argument in ("-h", "--help") for argument in rest)
    resume = None if named.resume is None else Path(named.resume)
    config: dict[str, Any] = {} if resume is None else runs.read_config(resume, "agent")
    for name in ("agent", "env"):
        asked, kept = getattr(named, name), config.get(name)
        if resume is not None and asked not in (None, kept):
            raise UsageError(f"--resume {resume} continues {name} {kept!r}; --{name} {asked} cannot change that")
    for file in named.config:
        config |= read_file(Path(file))
    source = "--config " + " ".join(named.config) if resume is None else str(resume / "config.yaml")
    plugins = import_plugins(config, named)
    check_names(config, "agent", "env")
    agent, env_id = named.agent or config.get("agent"), named.env or config.get("env")
    if agent is None:
        raise UsageError(f"--agent is missing; there are: {', '.join(AGENTS.names())}")
    spec = AGENTS[agent]
    if env_id is None and not help_asked:
        raise UsageError(f"--env is missing; of equiworld there are: {', '.join(registered())}")
    types = {"agent": spec.options, "run": RunOptions}
    values = {key: value for key, value in config.items() if key not in _NAMES}
    try:
        defaults = fill_options(types, values, source, f"for agent {agent!r}")
    except UsageError as error:
        if resume is None or named.config:
            raise
        raise runs.RunError(str(error)) from error
    usage = Usage(
        named=f"train.py --agent={agent}",
        program=f"train.py --agent={agent} --env={env_id or 'ID'}",
        where=f"for agent {agent!r}",
        description=f"{spec.summary}. Also: --config FILE, --plugin MODULE, --resume RUN.",
    )
    filled = parse_flags(types, defaults, rest, usage)
    assert env_id is not None  # where it is, help was asked for, and given
    options = AgentOptions(agent, env_id, plugins, filled["run"], filled["agent"])
    if resume is not None:
        kept = AgentOptions(agent, env_id, plugins, defaults["run"], defaults["agent"]).flat()
        # How many steps a round makes follows from all of them.
        changeable = [name for name in CHANGEABLE if name != "steps" or not isinstance(options.agent, DreamPPOOptions)]
        check_continuation(resume, kept | runs.read_config(resume, "agent"), options.flat(), changeable)
    options.check()
    key_values(options.run.env_options, "--env-options")
    return AgentRequest(options, resume)


def options_of_agent(run: Path) -> AgentOptions:
    """The options of a run that exists.

    Raises:
        UsageError: There is no such run, or it is none of an agent.
        RunError: Its configuration is damaged.
    """
    config = runs.read_config(run, "agent")
    if config["agent"] not in AGENTS or not isinstance(config.get("env"), str):
        raise runs.RunError(f"{run / 'config.yaml'} is damaged, or of an agent that is not known here")
    spec = AGENTS[config["agent"]]
    values = {key: value for key, value in config.items() if key not in _NAMES}
    types = {"agent": spec.options, "run": RunOptions}
    try:
        filled = fill_options(types, values, str(run / "config.yaml"), f"for agent {config['agent']!r}")
    except UsageError as error:
        raise runs.RunError(str(error)) from error
    plugins = tuple(listed(config.get("plugin", ())))
    return AgentOptions(config["agent"], config["env"], plugins, filled["run"], filled["agent"])
