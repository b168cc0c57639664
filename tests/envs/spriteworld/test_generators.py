"""Generators of scenes: numbers, order, and empty slots."""

from __future__ import annotations

import numpy as np
import pytest

from equiworld.envs import UsageError
from equiworld.envs.spriteworld.distributions import Continuous, Discrete, Product
from equiworld.envs.spriteworld.generators import Chain, Choice, GenerateSprites, Shuffle, SpriteGenerator
from equiworld.envs.spriteworld.sprites import DEFAULTS, SHAPE, count, sprite

RED, BLUE = (Product([Continuous("x", 0, 1), Discrete("c0", [hue])]) for hue in (0.0, 0.6))


def draw(generator: SpriteGenerator, n: int, seed: int = 0) -> np.ndarray:
    scenes = generator.sample(np.random.default_rng(seed), n)
    assert scenes.shape == (n, generator.slots, 10)
    present = scenes[..., SHAPE] != 0
    assert (present[:, :-1] >= present[:, 1:]).all()  # those without a sprite come last
    assert (scenes[~present] == 0).all()
    return scenes


def test_what_a_distribution_leaves_out_is_the_default() -> None:
    scenes = draw(GenerateSprites(Discrete("angle", [30.0]), 2), 3)
    expected = np.array(DEFAULTS)
    expected[3] = 30.0
    assert (scenes == expected).all()
    assert (sprite(angle=30) == expected).all()


def test_numbers_are_as_likely_as_each_other_and_both_ends_occur() -> None:
    numbers = count(draw(GenerateSprites(RED, (0, 3)), 40_000))
    assert np.bincount(numbers) / 40_000 == pytest.approx(np.full(4, 0.25), abs=0.01)


def test_a_chain_puts_later_sprites_in_front() -> None:
    scenes = draw(Chain([GenerateSprites(RED, (1, 2)), GenerateSprites(BLUE, 1)]), 1000)
    numbers = count(scenes)
    assert set(numbers) == {2, 3}
    assert (scenes[np.arange(1000), numbers - 1, 5] == 0.6).all()
    assert (scenes[:, 0, 5] == 0.0).all()
    assert (scenes[numbers == 3, 1, 5] == 0.0).all()


def test_a_choice_takes_one_of_them() -> None:
    either = Choice([GenerateSprites(RED, 1), GenerateSprites(BLUE, 3)], [0.8, 0.2])
    scenes = draw(either, 20_000)
    blue = scenes[:, 0, 5] == 0.6
    assert blue.mean() == pytest.approx(0.2, abs=0.01)
    assert (count(scenes) == np.where(blue, 3, 1)).all()


def test_shuffle_makes_every_order_as_likely_and_changes_nothing_else() -> None:
    ordered = Chain([GenerateSprites(Discrete("c0", [hue]), 1) for hue in (0.0, 0.5, 1.0)])
    scenes = draw(Shuffle(ordered), 30_000)
    orders, numbers = np.unique(scenes[..., 5], axis=0, return_counts=True)
    assert len(orders) == 6
    assert numbers / 30_000 == pytest.approx(np.full(6, 1 / 6), abs=0.01)
    assert (np.sort(scenes[..., 5], axis=1) == [0.0, 0.5, 1.0]).all()


def test_shuffle_keeps_empty_slots_behind() -> None:
    scenes = draw(Shuffle(Chain([GenerateSprites(RED, (0, 2)), GenerateSprites(BLUE, (0, 2))])), 500)
    assert set(count(scenes)) == {0, 1, 2, 3, 4}


def test_the_same_seed_gives_the_same_scenes() -> None:
    generator = Shuffle(Chain([GenerateSprites(RED, (1, 2)), GenerateSprites(BLUE, 1)]))
    assert (draw(generator, 50, 3) == draw(generator, 50, 3)).all()
    assert (draw(generator, 50, 3) != draw(generator, 50, 4)).any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GenerateSprites(RED, 0), "number must be 1 or more"),
        (lambda: GenerateSprites(RED, (3, 2)), r"number must be 1 or more sprites, or \(least, most\)"),
        (lambda: GenerateSprites(RED, (-1, 2)), "number must be"),
        (lambda: GenerateSprites(RED, 1.5), "number must be"),
        (lambda: Chain([]), "Chain needs one generator"),
        (lambda: Choice([]), "Choice needs one generator"),
        (lambda: Choice([GenerateSprites(RED)], [0.5]), "1 probabilities that sum to 1"),
    ],
)
def test_what_cannot_be_made_is_refused(make: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()  # type: ignore[operator]
