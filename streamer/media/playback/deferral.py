"""Holds access units until somebody wants a frame. Some of them then need not be decoded at all."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from streamer.bounded import Budget
from streamer.media.access_unit import AccessUnit
from streamer.media.codecs.disposable import is_needless

UNITS_LIMIT: Final = 600  # as many as in the history's last group
BYTES_LIMIT: Final = 64 * 1024 * 1024


class Deferral:
    """The units since the last one that was decoded, without those that nobody will see.

    A keyframe replaces all units before it. Another unit replaces the one before it if no later one refers to that.
    """

    def __init__(self) -> None:
        self.left_out = 0  # units that were replaced
        self.newest: AccessUnit | None = None  # as it came; None while none is held
        self._units: list[AccessUnit] = []
        self._budget = Budget(max_items=UNITS_LIMIT, max_bytes=BYTES_LIMIT)

    def __len__(self) -> int:
        return len(self._units)

    def put(self, unit: AccessUnit) -> bool:
        """Hold a unit; return whether there is room for another one of its size."""
        self.newest = unit
        if unit.is_keyframe and self._units:
            if self.has_gap and not unit.discontinuity:
                unit = replace(unit, discontinuity=True)
            self.left_out += len(self._units)
            self._forget()
        elif self._units and is_replaced(self._units[-1], unit):
            self._budget.remove(len(self._units.pop().data))
            self.left_out += 1
        self._units.append(unit)
        self._budget.add(len(unit.data))
        return self._budget.fits(len(unit.data))

    @property
    def has_gap(self) -> bool:
        """Whether units were lost before one of these."""
        return any(unit.discontinuity for unit in self._units)

    def take(self) -> list[AccessUnit]:
        """Return the units, in order, and hold none."""
        units = self._units
        self._forget()
        self.newest = None
        return units

    def _forget(self) -> None:
        self._units = []
        self._budget = Budget(max_items=UNITS_LIMIT, max_bytes=BYTES_LIMIT)


def is_replaced(unit: AccessUnit, following: AccessUnit) -> bool:
    """Whether a unit need not be decoded if only the frame of the unit after it, or a later one, is shown.

    A unit after a gap tells the decoder of it, and has to stay.
    """
    return not unit.discontinuity and is_needless(unit, following)


def needed(units: Sequence[AccessUnit]) -> list[AccessUnit]:
    """Return the units to decode for the last one's frame: all without those that no later one refers to."""
    return [unit for unit, following in pairwise(units) if not is_replaced(unit, following)] + list(units[-1:])
