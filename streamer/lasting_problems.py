"""Finds error counters that keep rising: a lasting problem deserves an event, a single error does not."""

from collections.abc import Mapping
from typing import Final

LOOK_EVERY_S: Final = 1.0
LASTING: Final = 2  # looks in a row at which a counter has risen
OVER: Final = 10  # looks in a row at which it has not, after which the problem is over


class LastingProblems:
    """Feed `look` with the counters about every LOOK_EVERY_S seconds; it returns the names of those that keep rising.

    A name is returned once; again only after its counter has not risen for OVER looks.
    """

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._risen: dict[str, int] = {}  # looks in a row at which it has risen; below 0, at which it has not
        self._lasting: set[str] = set()

    def look(self, counts: Mapping[str, int]) -> list[str]:
        """Compare the counters with those of the last look; the first look compares with 0."""
        begun = []
        for name, count in counts.items():
            has_risen = count > self._counts.get(name, 0)
            row = self._risen.get(name, 0)
            self._risen[name] = row = max(row, 0) + 1 if has_risen else min(row, 0) - 1
            if row >= LASTING and name not in self._lasting:
                self._lasting.add(name)
                begun.append(name)
            elif row <= -OVER:
                self._lasting.discard(name)
        self._counts = dict(counts)
        return begun
