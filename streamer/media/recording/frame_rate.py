"""A constant frame rate: which frame each step shows."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Generic, TypeVar

T = TypeVar("T")

_S = 1_000_000_000


class Pace(Generic[T]):
    """Assigns to each step of a constant rate, from 0 on, the frame with the nearest time, or the last one before it.

    A step is settled when a later frame comes, or when time passes without one. If several frames belong to one step,
    it shows the last. A frame that comes too late for its step is shown from the next one on. The first frame is shown
    from step 0, whatever its time is; so is a frame with a negative time.
    """

    def __init__(self, rate: Fraction) -> None:
        self.next = 0  # the first step that is not settled
        self._numerator, self._denominator = rate.numerator, rate.denominator * _S  # steps in nanoseconds
        self._shown: T | None = None

    @property
    def has_begun(self) -> bool:
        """Whether any frame has come."""
        return self._shown is not None

    def time_ns(self, step: int) -> int:
        """Return the time at which a step begins."""
        return step * self._denominator // self._numerator

    def put(self, frame: T, time_ns: int) -> Iterator[tuple[int, T]]:
        """Add a frame; yield the steps before its own, each with its frame."""
        yield from self.advance(time_ns)
        self._shown = frame

    def advance(self, time_ns: int) -> Iterator[tuple[int, T]]:
        """Yield the steps before a time, rounded to the nearest step, each with its frame."""
        until = (2 * time_ns * self._numerator + self._denominator) // (2 * self._denominator)
        while self.next < until and self._shown is not None:
            self.next += 1
            yield self.next - 1, self._shown
