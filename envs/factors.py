"""The factors that describe a world's states: their names and sizes, and the way between factors and state indices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .registry import UsageError

Kind = Literal["cyclic", "ordinal", "categorical", "continuous"]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Factor:
    """One factor of variation.

    Attributes:
        name: What varies ("x", "scale").
        size: The number of values, which are ``0 .. size - 1``; ``None`` for a continuous factor.
        kind: ``cyclic`` (the last value is next to the first), ``ordinal`` (ordered, with ends),
            ``categorical`` (without order) or ``continuous`` (a number in ``[low, high]``).
        low: The least value of a continuous factor.
        high: The largest value of a continuous factor.
        circular: Whether a continuous factor runs around a circle, on which ``high`` is ``low`` again.

    Raises:
        UsageError: The kind is unknown, the size is missing, not positive or not wanted, the interval is empty, or a
            factor that is not continuous is called circular (``cyclic`` says so of a discrete one).
    """

    name: str
    size: int | None
    kind: Kind
    low: float = 0.0
    high: float = 1.0
    circular: bool = False

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise UsageError(
                f"factor {self.name!r}: unknown kind {self.kind!r}; there are: {', '.join(get_args(Kind))}"
            )
        if self.kind == "continuous":
            if self.size is not None:
                raise UsageError(f"factor {self.name!r}: a continuous factor has no size, got {self.size}")
            if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
                raise UsageError(f"factor {self.name!r}: low must be below high, got [{self.low}, {self.high}]")
        elif not isinstance(self.size, int | np.integer) or isinstance(self.size, bool) or self.size < 1:
            raise UsageError(f"factor {self.name!r}: the size must be a positive whole number, got {self.size!r}")
        elif self.circular:
            raise UsageError(f"factor {self.name!r}: only continuous factors are called circular; see cyclic")


class FactorSpace:
    """The product of some factors, which is a world's set of states.

    States are numbered row by row: the last factor changes fastest.

    Args:
        factors: The factors, in the order of the columns.

    Raises:
        UsageError: There is no factor, or two have one name.

    Example:
        >>> space = FactorSpace([Factor("x", 3, "cyclic"), Factor("colour", 2, "categorical")])
        >>> space.size
        6
        >>> space.from_index([0, 1, 5]).tolist()
        [[0, 0], [0, 1], [2, 1]]
    """

    def __init__(self, factors: Sequence[Factor]) -> None:
        self.factors = tuple(factors)
        self.names = tuple(factor.name for factor in self.factors)
        if not self.factors:
            raise UsageError("a factor space needs at least one factor")
        if len(set(self.names)) < len(self.names):
            raise UsageError(f"the names of factors must differ, got: {', '.join(self.names)}")

    def __len__(self) -> int:
        """The number of factors K (the number of states is ``size``)."""
        return len(self.factors)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FactorSpace) and other.factors == self.factors

    def __hash__(self) -> int:
        return hash(self.factors)

    def __repr__(self) -> str:
        return f"FactorSpace({list(self.factors)!r})"

    @cached_property
    def sizes(self) -> IntArray:
        """The number of values of each factor, int64 [K].

        Raises:
            UsageError: A factor is continuous.
        """
        for factor in self.factors:
            if factor.size is None:
                raise UsageError(f"factor {factor.name!r} is continuous: its values cannot be counted")
        sizes = np.array([factor.size for factor in self.factors], dtype=np.int64)
        sizes.setflags(write=False)
        return sizes

    @cached_property
    def size(self) -> int:
        """The number of states.

        Raises:
            UsageError: A factor is continuous, or the states are more than an int64 can number.
        """
        size = math.prod(int(s) for s in self.sizes)
        if size > np.iinfo(np.int64).max:
            raise UsageError(f"{size} states are too many to be numbered")
        return size

    @cached_property
    def _strides(self) -> IntArray:
        """How far apart two neighbours along each factor are numbered, int64 [K]."""
        return self.size // np.cumprod(self.sizes)

    def to_index(self, factors: ArrayLike) -> Any:
        """The number of each state.

        Args:
            factors: Whole numbers [N, K], or one row [K].

        Returns:
            int64 [N], or one int64.

        Raises:
            UsageError: The shape is wrong, or a value is out of its factor's range.
        """
        return self.check(factors) @ self._strides

    def from_index(self, index: ArrayLike) -> IntArray:
        """The factors of the states with these numbers.

        Args:
            index: Whole numbers [N], or one.

        Returns:
            int64 [N, K], or one row [K].

        Raises:
            UsageError: A number is negative, or not below the number of states.
        """
        numbers = self.check_index(index)
        return numbers[..., None] // self._strides % self.sizes

    def check_index(self, index: ArrayLike) -> IntArray:
        """``index`` as int64 in its own shape, refused (UsageError) where it numbers no state."""
        numbers = whole(index, "state index")
        wrong = (numbers < 0) | (numbers >= self.size)
        if wrong.any():
            raise UsageError(f"there is no state {numbers[wrong].flat[0]}; states are numbered 0 to {self.size - 1}")
        return numbers

    def check(self, factors: ArrayLike) -> Any:
        """``factors`` as int64 (float64 if one is continuous), refused (UsageError) where they describe no state.

        Args:
            factors: Numbers [N, K] or [K].
        """
        rows = self._as_rows(factors)
        outside = ~self._inside(rows)
        if outside.any():
            column = int(np.argwhere(outside)[0][-1])
            factor, value = self.factors[column], rows[outside].flat[0]
            accepted = f"0 to {factor.size - 1}" if factor.size is not None else f"{factor.low} to {factor.high}"
            raise UsageError(f"factor {factor.name!r} cannot be {value}; accepted: {accepted}")
        return rows

    def contains(self, factors: ArrayLike) -> Any:
        """Whether each row lies in the space.

        Args:
            factors: Numbers [N, K], or one row [K].

        Returns:
            bool [N], or one bool.

        Raises:
            UsageError: The shape is wrong.
        """
        return self._inside(self._as_rows(factors)).all(axis=-1)

    def sample(self, rng: np.random.Generator, n: int) -> Any:
        """``n`` states drawn uniformly, int64 [n, K] (float64 if a factor is continuous)."""
        if self.discrete:
            return rng.integers(0, self.sizes, size=(n, len(self)))
        columns = [
            rng.uniform(factor.low, factor.high, n) if factor.size is None else rng.integers(0, factor.size, n)
            for factor in self.factors
        ]
        return np.stack(columns, axis=1).astype(np.float64)

    def grid(self) -> IntArray:
        """Every state in the order of its number, int64 [size, K]."""
        return self.from_index(np.arange(self.size))

    @cached_property
    def discrete(self) -> bool:
        """Whether no factor is continuous."""
        return all(factor.size is not None for factor in self.factors)

    @cached_property
    def extents(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """How far around each factor it is (infinitely, if it is no circle), and the largest distance, [K] each."""
        around, largest = np.full(len(self), np.inf), np.ones(len(self))
        for column, factor in enumerate(self.factors):
            if factor.size is None:
                length = factor.high - factor.low
                around[column], largest[column] = (length, length / 2) if factor.circular else (np.inf, length)
            elif factor.kind == "cyclic":
                around[column], largest[column] = factor.size, max(1, factor.size // 2)
            elif factor.kind == "ordinal":
                largest[column] = max(1, factor.size - 1)
        return around, largest

    @cached_property
    def _bounds(self) -> tuple[Any, Any]:
        """The least and the largest value of each factor, in the type of the factors, [K] each."""
        kind = np.int64 if self.discrete else np.float64
        low = [0 if factor.size is not None else factor.low for factor in self.factors]
        high = [factor.size - 1 if factor.size is not None else factor.high for factor in self.factors]
        return np.array(low, dtype=kind), np.array(high, dtype=kind)

    def _as_rows(self, factors: ArrayLike) -> Any:
        rows = whole(factors, "factors") if self.discrete else np.asarray(factors, dtype=np.float64)
        if rows.ndim not in (1, 2) or rows.shape[-1] != len(self):
            raise UsageError(
                f"factors need the shape [N, {len(self)}] ({', '.join(self.names)}), got {list(rows.shape)}"
            )
        return rows

    def _inside(self, rows: Any) -> NDArray[np.bool_]:
        low, high = self._bounds
        inside: NDArray[np.bool_] = (rows >= low) & (rows <= high)
        return inside


def whole(values: ArrayLike, what: str) -> IntArray:
    """``values`` as int64; UsageError when they are not whole numbers."""
    array = np.asarray(values)
    fine = array.dtype.kind in "iu" or (array.dtype.kind == "f" and np.array_equal(array, np.floor(array)))
    if array.size and not fine:
        raise UsageError(f"{what}: whole numbers are accepted, got {array.dtype} values")
    return array.astype(np.int64)
