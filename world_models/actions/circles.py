"""Finding factors one after another in codes: what moves in some pairs and rests in those that are explained already.

Codes of any auto-encoder hold the factors, but bent and mixed. Here they are read by small networks, trained on pairs
of consecutive codes and on nothing else:

1. **Slow features.** A network's outputs z are to move little and vary much: ``log det E[w dz dz'] - log det Cov(z)``,
   nonlinear slow-feature analysis (Wiskott and Sejnowski 2002) that no rescaling of z changes. Pairs that are explained
   have a large weight w, so that their factors cannot be what z says; and what the circles found so far predict of z is
   taken off its covariance.
2. **Which pairs move together.** Commuting rotations are fitted to the features: all remaining pairs by one action, or
   two planes each turned by its own, or one that turns and one that rests.
3. **A circle for each factor.** Features are trained again with the pairs of that factor alone free to move. Their
   planes are powers u^k of one circle u: of all products of their phases, the one that turns least is the factor's.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .commuting import Fit, fit_commuting_rotations, possible_words, predict, random_fit
from .subspace import SlowSubspace, slow_subspace

_FEATURES = 4  # of the networks that tell which pairs move together: room for two planes
_READ = 6  # of those that read a circle: several of its powers
_HEAVY = 30.0  # weight of a pair that is explained
_LARGEST_POWER = 3  # of a plane's phase in a product of phases
_FITTED = 2000  # pairs that rotations are fitted to
_RESTARTS = 64
_UNEXPLAINED = 0.02  # share of pairs that may stay so


@dataclass(frozen=True)
class Effort:
    """How much is spent on a factor.

    Attributes:
        hidden: Units in each hidden layer of a feature network.
        batch: Pairs in an update.
        rate: Adam's learning rate.
        updates: Between two looks at the features.
        looks: After which a network is given up.
    """

    hidden: int = 256
    batch: int = 1024
    rate: float = 2e-3
    updates: int = 500
    looks: int = 8


class CircleReader(nn.Module):
    """Reads one factor's circle off codes.

    Args:
        size: Numbers in a code, K.
        hidden: Units in each hidden layer.
        features: What the network gives, an even number D: a plane for each two of them.
    """

    def __init__(self, size: int, hidden: int, features: int = _READ) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Linear(size, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, features),
        )
        self.centre: Tensor
        self.planes: Tensor
        self.powers: Tensor
        self.angle: Tensor
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("planes", torch.eye(features))
        self.register_buffer("powers", torch.zeros(features // 2, dtype=torch.long))
        self.register_buffer("angle", torch.zeros(()))

    def forward(self, codes: Tensor) -> Tensor:
        """Codes ``[n, K]`` to places on the unit circle, ``[n, 2]``."""
        return torch.view_as_real(self.phases(self.features(codes)))

    def phases(self, features: Tensor) -> Tensor:
        """Features ``[n, D]`` to the circle, as complex numbers ``[n]``."""
        planes = _complex((features - self.centre) @ self.planes.T)
        units = planes / planes.abs().clamp_min(1e-6)
        powers = self.powers.tolist()
        circle = torch.ones_like(units[:, 0])
        for plane, power in enumerate(powers):
            circle = circle * _power(units[:, plane], power)
        return circle


@dataclass(frozen=True)
class Peeled:
    """The factors that were found.

    Attributes:
        readers: One for each, in the order in which they were found.
        unexplained: Share of the pairs in which none of them moves.
        report: A line for the log.
    """

    readers: list[CircleReader]
    unexplained: float
    report: str

    @property
    def accepted(self) -> bool:
        """Whether they explain all pairs but a few."""
        return bool(self.readers) and self.unexplained <= _UNEXPLAINED


def peel(before: Tensor, after: Tensor, most: int, generator: torch.Generator, effort: Effort = Effort()) -> Peeled:
    """Finds the factors that actions move, one or two at a time.

    Args:
        before: Codes ``[n, K]`` of mean 0 and variance 1.
        after: Codes one action later.
        most: Factors to look for at most.
        generator: Source of initial weights, batches and starts.
        effort: How much is spent on a factor.
    """
    explained = torch.zeros(len(before), dtype=torch.bool)
    readers: list[CircleReader] = []
    circles: list[Tensor] = []
    notes: list[str] = []
    while len(readers) < most and float((~explained).float().mean()) > _UNEXPLAINED:
        classes = _movers(before, after, explained, circles, most - len(readers), generator, effort)
        found = 0
        for members in classes:
            reader = _read(before, after, members, circles, generator, effort)
            if reader is None:
                continue
            with torch.no_grad():
                circles.append(reader.phases(reader.features(before)))
            readers.append(reader)
            explained |= members
            found += 1
            notes.append(f", {float(reader.angle):.3f} rad in {float(members.float().mean()):.1%}")
        if not found:
            break
    unexplained = float((~explained).float().mean())
    report = f"factors found: {len(readers)}{''.join(notes)}; {unexplained:.1%} of pairs unexplained"
    return Peeled(readers, unexplained, report)


def _movers(
    before: Tensor,
    after: Tensor,
    explained: Tensor,
    circles: list[Tensor],
    most: int,
    generator: torch.Generator,
    effort: Effort,
) -> list[Tensor]:
    """The pairs that each of one or two further factors moves, as masks ``[n]``; none if features never tell."""
    reader = _fresh(before.shape[1], effort.hidden, _FEATURES, generator)
    weight = torch.where(explained, _HEAVY, 1.0)
    training = _Training(reader.features, generator, effort)
    free = ~explained
    for _ in range(effort.looks):
        training.train(before, after, weight, circles)
        with torch.no_grad():
            first, second = reader.features(before), reader.features(after)
        for generators, idle in ((1, False), (2, False), (2, True), (1, True)):
            if generators > most:
                continue
            classes = _classes(first, second, free, generators, idle, generator)
            if classes:
                return classes
    return []


def _classes(
    first: Tensor, second: Tensor, free: Tensor, generators: int, idle: bool, generator: torch.Generator
) -> list[Tensor]:
    """The free pairs that each generator moves, if rotations explain them; else none."""
    subspace = slow_subspace(first, second, at_least=first.shape[1])
    here, there = _whitened(first, subspace), _whitened(second, subspace)
    fit = _fit(here, there, free, generators + idle, generator)
    words = possible_words(generators + idle, 1, True)
    predicted, word = predict(here, there, words, fit)
    moved = (there - here)[free].square().sum(1).mean()
    error = float((there - predicted)[free].square().sum(1).mean() / moved)
    sizes = fit.angles[0].abs()
    order = sizes.max(1).values.argsort(descending=True)
    movers, resting = order[:generators], order[generators:]
    if idle and float(sizes[resting].max()) > 0.1:
        return []
    if float(sizes[movers].max(1).values.min()) < 0.2:
        return []
    own = len(set(sizes[movers].argmax(1).tolist())) == generators
    single = bool((sizes[movers].sort(1).values[:, -2] < 0.25 * sizes[movers].max(1).values).all())
    if generators > 1 and not (own and single):
        return []
    if error > 0.2:
        return []
    classes = [free & (words.counts[word][:, mover] != 0) for mover in movers.tolist()]
    shares = [float(members[free].float().mean()) for members in classes]
    return classes if min(shares) > 0.05 else []


def _read(
    before: Tensor, after: Tensor, members: Tensor, circles: list[Tensor], generator: torch.Generator, effort: Effort
) -> CircleReader | None:
    """The circle of the factor that moves in the given pairs and in no other."""
    reader = _fresh(before.shape[1], effort.hidden, _READ, generator)
    weight = torch.where(members, 1.0, _HEAVY)
    training = _Training(reader.features, generator, effort)
    best: dict[str, Tensor] | None = None
    for look in range(effort.looks):
        training.train(before, after, weight, circles)
        planes = _place(reader, before, after, members, generator) if look else 0
        if planes > 1:
            return reader
        if planes:
            # A single plane may show a power of the circle only; a second one would tell.
            best = copy.deepcopy(reader.state_dict())
    if best is None:
        return None
    reader.load_state_dict(best)
    return reader


@torch.no_grad()
def _place(reader: CircleReader, before: Tensor, after: Tensor, members: Tensor, generator: torch.Generator) -> int:
    """Sets the reader's planes, powers and angle; how many planes turn with the factor, 0 if pairs are not told."""
    first, second = reader.features(before), reader.features(after)
    subspace = slow_subspace(first, second, at_least=first.shape[1])
    here, there = _whitened(first, subspace), _whitened(second, subspace)
    fit = _fit(here, there, members, 1, generator)
    words = possible_words(1, 1, True)
    _, word = predict(here, there, words, fit)
    basis, angles = fit.basis[0], fit.angles[0, 0]
    start, end = _complex(here @ basis.T), _complex(there @ basis.T)
    turned = start * torch.polar(torch.ones_like(angles), words.counts[word] * angles)
    energy = start[members].abs().square().mean(0).clamp_min(1e-9)
    unexplained = (end - turned)[members].abs().square().mean(0) / (2 * energy)
    usable = [float(share) < 0.25 for share in unexplained]
    powers = _fundamental(angles.tolist(), usable)
    if powers is None:
        return 0
    reader.centre.copy_(subspace.centre)
    reader.planes.copy_(basis @ subspace.directions)
    reader.powers.copy_(torch.tensor(powers))
    circle, later = reader.phases(first), reader.phases(second)
    turn = (later * circle.conj()).angle()
    reader.angle.copy_(turn[members].abs().median())
    moves = turn.abs() > 0.5 * reader.angle
    steady = (turn[members].abs() - reader.angle).abs() < 0.5 * reader.angle
    told = float((moves == members).float().mean()) > 0.97 and float(steady.float().mean()) > 0.95
    return sum(usable) if told else 0


def _fundamental(angles: Sequence[float], usable: Sequence[bool]) -> tuple[int, ...] | None:
    """Powers of the planes' phases whose product turns least, yet turns; simpler products win where turns are alike."""
    best: tuple[float, tuple[int, ...]] | None = None
    reach = range(-_LARGEST_POWER, _LARGEST_POWER + 1)
    for powers in itertools.product(*(reach if good else (0,) for good in usable)):
        turn = abs(math.remainder(sum(power * angle for power, angle in zip(powers, angles, strict=True)), 2 * math.pi))
        cost = turn + 0.1 * sum(abs(power) for power in powers)
        if turn > 0.15 and (best is None or cost < best[0]):
            best = cost, powers
    return None if best is None else best[1]


class _Training:
    """Updates of a feature network that can be taken up again."""

    def __init__(self, features: nn.Module, generator: torch.Generator, effort: Effort) -> None:
        self.features, self.generator, self.effort, self.step = features, generator, effort, 0
        self.optimiser = torch.optim.AdamW(features.parameters(), lr=effort.rate, weight_decay=1e-3)

    def train(self, before: Tensor, after: Tensor, weight: Tensor, circles: list[Tensor]) -> None:
        known = characters(circles) if circles else before.new_zeros(len(before), 0)
        updates = self.effort.updates
        for place in range(updates):
            chosen = torch.randint(len(before), (min(self.effort.batch, len(before)),), generator=self.generator)
            first, second = self.features(before[chosen]), self.features(after[chosen])
            loss = slowness(first, second, weight[chosen], known[chosen])
            self.step += 1
            # Each stretch ends at a low rate: what is looked at has settled.
            settle = min(1.0, self.step / 100, max(0.02, (updates - place) / (0.3 * updates)))
            self.optimiser.param_groups[0]["lr"] = self.effort.rate * settle
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.features.parameters(), 10.0)
            self.optimiser.step()


def slowness(first: Tensor, second: Tensor, weight: Tensor, known: Tensor) -> Tensor:
    """``log det`` of how features move less ``log det`` of how they vary beyond what is known; a scalar.

    Args:
        first: Features ``[n, D]``.
        second: Features one action later.
        weight: Weight of each pair, ``[n]``.
        known: Functions of the state that are known, of mean 0 and variance 1, uncorrelated, ``[n, C]``.
    """
    number, size = first.shape
    first, second = first - first.mean(0), second - second.mean(0)
    identity = 1e-6 * torch.eye(size, device=first.device)
    steps = first - second
    moving = (steps * weight[:, None]).T @ steps / number
    spread = first.T @ first / number
    beyond = spread
    if known.shape[1]:
        shared = known.T @ first / number
        # As much would be shared by chance.
        beyond = spread - shared.T @ shared + known.shape[1] / number * spread
    varying = torch.linalg.eigvalsh(beyond + identity).clamp_min(1e-6).log().sum()
    return torch.logdet(moving + identity) - varying + 0.01 * (spread.diagonal().mean() - 1).square()


def characters(circles: list[Tensor]) -> Tensor:
    """Products of powers of circles: real functions of mean 0 and variance 1 where circles are even and independent.

    Args:
        circles: Complex numbers of modulus 1, ``[n]`` each; one or more.

    Returns:
        ``[n, C]``.
    """
    most = {1: 4, 2: 3}.get(len(circles), 2)
    columns = []
    for powers in itertools.product(range(-most, most + 1), repeat=len(circles)):
        # Of a function and its conjugate one is enough.
        if powers <= (0,) * len(circles) or sum(abs(power) for power in powers) > 4:
            continue
        value = torch.ones_like(circles[0])
        for circle, power in zip(circles, powers, strict=True):
            value = value * _power(circle, power)
        columns += [value.real, value.imag]
    return torch.stack(columns, 1) * math.sqrt(2.0)


def _fit(here: Tensor, there: Tensor, pairs: Tensor, generators: int, generator: torch.Generator) -> Fit:
    places = pairs.nonzero()[:, 0]
    places = places[torch.randperm(len(places), generator=generator)[:_FITTED]]
    here, there = here[places], there[places]
    # Hotter than the motion itself, an action and its inverse could not be told apart, and both would come to rest.
    motion = float((there - here).square().sum(1).mean())
    words = possible_words(generators, 1, True)
    start = random_fit(_RESTARTS, here.shape[1], generators, generator)
    return fit_commuting_rotations(here, there, words, start, temperatures=(0.5 * motion, 0.03 * motion)).best()


def _whitened(features: Tensor, subspace: SlowSubspace) -> Tensor:
    return (features - subspace.centre) @ subspace.directions.T


def _complex(coordinates: Tensor) -> Tensor:
    return torch.view_as_complex(coordinates.reshape(len(coordinates), -1, 2).contiguous())


def _power(circle: Tensor, power: int) -> Tensor:
    return circle**power if power >= 0 else circle.conj() ** -power


def _fresh(size: int, hidden: int, features: int, generator: torch.Generator) -> CircleReader:
    reader = CircleReader(size, hidden, features)
    with torch.no_grad():
        for layer in reader.features:
            if isinstance(layer, nn.Linear):
                scale = math.sqrt(1.5 / layer.in_features)
                layer.weight.copy_(scale * torch.randn(layer.weight.shape, generator=generator))
                layer.bias.zero_()
    return reader
