"""A constant frame rate: which frame each of its steps shows."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Generic, TypeVar

T = TypeVar("T")

_S = 1_000_000_000


class Pace(Generic[T]):
    """Give each step of a rate, from 0 on, the frame whose time is the nearest, or the last one that came.

    A frame is settled when a later one came, or time went on without one. Of several at one step the last is shown; a
    frame that comes too late for its step is shown from the next one on. The first is shown from step 0, whenever it
    comes; so are those with a time before zero, until another comes.
    """

    def __init__(self, rate: Fraction) -> None:
        self.next = 0  # the first step that is not settled
        self._rate = rate
        self._shown: T | None = None

    @property
    def has_begun(self) -> bool:
        """Whether any frame has come."""
        return self._shown is not None

    def time_ns(self, step: int) -> int:
        """Return when a step begins."""
        return step * _S * self._rate.denominator // self._rate.numerator

    def put(self, frame: T, time_ns: int) -> Iterator[tuple[int, T]]:
        """Take a frame; give the steps before its own, with what they show."""
        yield from self.advance(time_ns)
        self._shown = frame

    def advance(self, time_ns: int) -> Iterator[tuple[int, T]]:
        """Give the steps that end before a moment, rounded to the nearest step."""
        numerator, denominator = self._rate.numerator, self._rate.denominator * _S
        until = (2 * time_ns * numerator + denominator) // (2 * denominator)
        while self.next < until and self._shown is not None:
            self.next += 1
            yield self.next - 1, self._shown
