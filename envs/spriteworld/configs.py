"""The nine configurations of Spriteworld, each with scenes for training and scenes that training has never seen.

Numbers and splits are those of Spriteworld 1.0.2 (Watters et al. 2019, arXiv 1905.09275). A configuration is plain
data; ``dataclasses.replace`` makes another one of it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import combinations
from types import MappingProxyType
from typing import Any

from ..registry import UsageError, nearest
from .action_spaces import ActionSpace, Embodied, SelectMove
from .colours import colour_map
from .distributions import Continuous, Discrete, Distribution, Product, SetMinus
from .generators import Chain, Choice, GenerateSprites, Shuffle, SpriteGenerator
from .tasks import Clustering, FindGoalPosition, MetaAggregated, NoReward, Task

MODES = ("train", "test")


@dataclass(frozen=True)
class Config:
    """All that makes an environment.

    Attributes:
        train: Where episodes begin.
        test: Where they begin in the other mode.
        task: What is worth what.
        action_space: What the agent can do.
        max_episode_steps: When an episode is cut off.
        color_space: What the numbers of a colour mean, ``hsv`` or ``rgb``.
        keep_in_frame: Whether sprites stop at the edges of the arena; otherwise an episode ends when one leaves.
        description: What it is, in a line.

    Raises:
        UsageError: There is no such colour space, or an episode has no step.
    """

    train: SpriteGenerator
    test: SpriteGenerator
    task: Task
    action_space: ActionSpace
    max_episode_steps: int
    color_space: str = "hsv"
    keep_in_frame: bool = True
    description: str = ""

    def __post_init__(self) -> None:
        colour_map(self.color_space)
        if self.max_episode_steps < 1:
            raise UsageError(f"max_episode_steps must be 1 or more, got {self.max_episode_steps!r}")

    @property
    def slots(self) -> int:
        """The most sprites that a scene of either mode can have."""
        return max(self.train.slots, self.test.slots)

    def scenes(self, mode: str) -> SpriteGenerator:
        """Where episodes of a mode begin.

        Raises:
            UsageError: There is no such mode.
        """
        if mode not in MODES:
            raise UsageError(f"unknown mode {mode!r}; there are: {', '.join(MODES)}")
        return self.train if mode == "train" else self.test


def find_config(config: str | Config) -> Config:
    """The configuration of that name; a configuration stands for itself.

    Raises:
        UsageError: There is none of that name.
    """
    if isinstance(config, Config):
        return config
    if not isinstance(config, str) or config not in CONFIGS:
        known = list(CONFIGS)
        raise UsageError(f"unknown config {config!r}{nearest(str(config), known)}; there are: {', '.join(known)}")
    return CONFIGS[config]


def with_actions(config: Config, **changes: Any) -> Config:
    """The configuration with some options of its action space changed; those that are None stay as they are.

    Raises:
        UsageError: The action space has no such option, or refuses its value.
    """
    wanted = {name: value for name, value in changes.items() if value is not None}
    known = [field.name for field in fields(config.action_space)]
    for name in wanted:
        if name not in known:
            raise UsageError(f"{type(config.action_space).__name__} has no {name}; it has: {', '.join(known)}")
    return replace(config, action_space=replace(config.action_space, **wanted)) if wanted else config


def _place(low: float = 0.1, high: float = 0.9) -> Product:
    return Product([Continuous("x", low, high), Continuous("y", low, high)])


def _look(*shapes: str) -> Product:
    """Shape, size, saturation and value of most sprites."""
    return Product(
        [
            Discrete("shape", shapes or ("square", "triangle", "circle")),
            Discrete("scale", [0.13]),
            Continuous("c1", 0.3, 1.0),
            Continuous("c2", 0.9, 1.0),
        ]
    )


TARGET_HUE = Continuous("c0", 0.0, 0.4)
"""Of the sprites that are to be brought to the goal."""
DISTRACTOR_HUE = Continuous("c0", 0.5, 0.9)
"""Of those that are not."""
HELD_OUT_PLACES = _place(0.5, 0.9)
"""Upper right: where the target never begins in the training mode of ``goal_finding_new_position``."""
HUES = MappingProxyType(
    {
        "red": Continuous("c0", 0.9, 1.0),
        "blue": Continuous("c0", 0.55, 0.65),
        "green": Continuous("c0", 0.27, 0.37),
        "purple": Continuous("c0", 0.73, 0.83),
        "yellow": Continuous("c0", 0.1, 0.2),
    }
)
"""The hues of clusters and of sprites that are sorted."""
SORTING_GOALS = MappingProxyType(
    {"red": (0.75, 0.75), "blue": (0.75, 0.25), "green": (0.25, 0.75), "purple": (0.25, 0.25), "yellow": (0.5, 0.5)}
)
"""Where the sprites of each hue are to be brought."""
HELD_OUT_PAIR = ("red", "blue")
"""The hues that never meet in the training mode of ``sorting``."""


def _goal_finding(
    targets: int | tuple[int, int], distractors: int | tuple[int, int], places: Distribution | None = None
) -> Shuffle:
    """Scenes of targets, whose places may be restricted, and distractors."""
    return Shuffle(
        Chain(
            [
                GenerateSprites(Product([places or _place(), TARGET_HUE, _look()]), targets),
                GenerateSprites(Product([_place(), DISTRACTOR_HUE, _look()]), distractors),
            ]
        )
    )


def _to_centre(train: SpriteGenerator, test: SpriteGenerator, description: str) -> Config:
    task = FindGoalPosition(TARGET_HUE, terminate_distance=0.075)
    return Config(train, test, task, SelectMove(scale=0.25), 20, description=description)


def _exploration() -> Config:
    scenes = GenerateSprites(Product([_place(), Continuous("c0", 0.0, 1.0), _look()]), (1, 6))
    return Config(
        scenes, scenes, NoReward(), SelectMove(scale=0.25), 10, description="1 to 6 sprites, no task, no split"
    )


def _new_position() -> Config:
    return _to_centre(
        _goal_finding(1, 1, SetMinus(_place(), HELD_OUT_PLACES)),
        _goal_finding(1, 1, HELD_OUT_PLACES),
        "a target and a distractor; tested on targets that begin in the upper right",
    )


def _new_shape() -> Config:
    train, test = (
        GenerateSprites(Product([_place(), TARGET_HUE, _look(*shapes)]))
        for shapes in (("square",), ("triangle", "circle"))
    )
    task = FindGoalPosition(terminate_distance=0.075)
    return Config(
        train, test, task, SelectMove(scale=0.25), 20, description="one square; tested on a triangle or a circle"
    )


def _more_distractors() -> Config:
    return _to_centre(
        _goal_finding(2, 1), _goal_finding(2, 2), "two targets and a distractor; tested with two distractors"
    )


def _more_targets() -> Config:
    return _to_centre(_goal_finding(1, 2), _goal_finding(2, 2), "a target and two distractors; tested with two targets")


def _clustering() -> Config:
    def scenes(*names: str) -> Shuffle:
        return Shuffle(Chain([GenerateSprites(Product([_place(), HUES[name], _look()]), 2) for name in names]))

    return Config(
        scenes("blue", "green"),
        scenes("red", "yellow"),
        Clustering([HUES[name] for name in ("red", "blue", "green", "yellow")]),
        SelectMove(scale=0.25),
        50,
        description="two sprites each of blue and green, to be brought together by hue; tested on red and yellow",
    )


def _sorting() -> Config:
    def pair(*names: str) -> Chain:
        return Chain([GenerateSprites(Product([_place(), HUES[name], _look()])) for name in names])

    goals = [
        FindGoalPosition(HUES[name], goal, terminate_distance=0.075, raw_reward_multiplier=20)
        for name, goal in SORTING_GOALS.items()
    ]
    pairs = [names for names in combinations(HUES, 2) if names != HELD_OUT_PAIR]
    return Config(
        Shuffle(Choice([pair(*names) for names in pairs])),
        Shuffle(pair(*HELD_OUT_PAIR)),
        MetaAggregated(goals, "sum", "all"),
        SelectMove(scale=0.25),
        50,
        description="two sprites of five hues, each with a place of its own; tested on red with blue",
    )


def _goal_finding_clustering() -> Config:
    anywhere = Product([_place(), Continuous("angle", 0.0, 360.0)])
    medium = Continuous("scale", 0.08, 0.12)

    def color(*ends: tuple[float, float]) -> Product:
        return Product([Continuous(f"c{channel}", low, high) for channel, (low, high) in enumerate(ends)])

    kinds = [Discrete("shape", [shape]) for shape in ("triangle", "square", "pentagon")]
    carried = Discrete("shape", ["spoke_4", "star_4"])
    reddish = color((192, 256), (0, 128), (64, 128))
    greenish = color((0, 128), (192, 256), (64, 128))

    def scenes(red: tuple[float, float], carried_scale: Distribution) -> Shuffle:
        clustered = color(red, (64, 256), (64, 256))
        distractors = Product([anywhere, Discrete("shape", ["circle"]), color(*[(64, 256)] * 3), medium])
        return Shuffle(
            Chain(
                [
                    *(GenerateSprites(Product([anywhere, clustered, kind, medium]), 2) for kind in kinds),
                    *(
                        GenerateSprites(Product([anywhere, carried_scale, carried, group]), (1, 2))
                        for group in (reddish, greenish)
                    ),
                    GenerateSprites(distractors, (0, 2)),
                ]
            )
        )

    sides = [
        FindGoalPosition(
            Product([group, carried]),
            (side, 0.5),
            weights_dimensions=(1, 0),
            terminate_distance=0.15,
            raw_reward_multiplier=30,
        )
        for group, side in ((reddish, 0.0), (greenish, 1.0))
    ]
    return Config(
        scenes((128, 256), SetMinus(Continuous("scale", 0.05, 0.15), medium)),
        scenes((0, 128), medium),
        MetaAggregated([Clustering(kinds), *sides], "sum", "all"),
        SelectMove(scale=0.5),
        50,
        color_space="rgb",
        description="triangles, squares and pentagons to be clustered by shape, reddish and greenish stars and spokes"
        " to be brought to the sides; tested with less red in what is clustered and other sizes of what is brought",
    )


def _goal_finding_embodied() -> Config:
    body = Product(
        [_place()]
        + [
            Discrete(key, [value])
            for key, value in (("shape", "circle"), ("scale", 0.07), ("c0", 1.0), ("c1", 0.0), ("c2", 1.0))
        ]
    )
    scenes = Chain([_goal_finding((1, 3), (1, 3)), GenerateSprites(body)])
    task = FindGoalPosition(TARGET_HUE, terminate_distance=0.075)
    return Config(
        scenes,
        scenes,
        task,
        Embodied(step_size=0.05),
        50,
        description="1 to 3 targets and 1 to 3 distractors, carried by an agent with a body; no split",
    )


CONFIGS = MappingProxyType(
    {
        "exploration": _exploration(),
        "goal_finding_new_position": _new_position(),
        "goal_finding_new_shape": _new_shape(),
        "goal_finding_more_distractors": _more_distractors(),
        "goal_finding_more_targets": _more_targets(),
        "clustering": _clustering(),
        "sorting": _sorting(),
        "goal_finding_clustering": _goal_finding_clustering(),
        "goal_finding_embodied": _goal_finding_embodied(),
    }
)
"""The configurations by name."""
