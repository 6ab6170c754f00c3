"""A part of the screen."""

import numbers
from dataclasses import dataclass
from typing import ClassVar, Self

from streamer.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the screen: an `int` is a pixel, a `float` a fraction of the width or height from 0.0 to 1.0.

    `Region(0, 0, 1.0, 0.1)` is the top tenth of the screen. What lies outside the screen is cut off.

    Attributes:
        x: The left edge.
        y: The upper edge.
        width: The width; above 0.
        height: The height; above 0.
        STATUS_BAR: The top twentieth, in which Android shows the time [assumed: 24 density-independent pixels].

    Raises:
        ConfigurationError: A value is no number, a float is outside 0.0 to 1.0, or an int is negative.
    """

    STATUS_BAR: ClassVar[Self]

    x: int | float
    y: int | float
    width: int | float
    height: int | float

    def __post_init__(self) -> None:
        for name in ("x", "y", "width", "height"):
            object.__setattr__(self, name, _checked(name, getattr(self, name)))
        for name in ("width", "height"):
            if not getattr(self, name):
                raise ConfigurationError(f"expected a {name} above 0, got {getattr(self, name)}")

    def pixels(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Return the region on a screen of this width and height: left, top, right and bottom, in pixels.

        Right and bottom are the first pixels outside. A region outside the screen is empty: right equals left.
        """
        left, top = _pixels(self.x, width), _pixels(self.y, height)
        right, bottom = left + _pixels(self.width, width), top + _pixels(self.height, height)
        left, top, right, bottom = min(left, width), min(top, height), min(right, width), min(bottom, height)
        return left, top, right, bottom

    def union(self, other: Self, size: tuple[int, int]) -> "Region":
        """Return the smallest region with both in it, in pixels of a screen of this width and height."""
        boxes = self.pixels(*size), other.pixels(*size)
        left, top = (min(box[edge] for box in boxes) for edge in (0, 1))
        right, bottom = (max(box[edge] for box in boxes) for edge in (2, 3))
        return Region(left, top, right - left, bottom - top)

    def __str__(self) -> str:
        return f"{self.width}x{self.height} at ({self.x}, {self.y})"


def _checked(name: str, value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ConfigurationError(
            f"expected {name} as pixels (int) or a fraction from 0.0 to 1.0 (float), got {type(value).__name__}"
        )
    number = int(value) if isinstance(value, numbers.Integral) else float(value)
    if number < 0 or (isinstance(number, float) and not number <= 1.0):
        raise ConfigurationError(
            f"expected {name} as pixels (int) or a fraction from 0.0 to 1.0 (float), got {number:g}"
        )
    return number


def _pixels(value: float, length: int) -> int:
    return value if isinstance(value, int) else round(value * length)


Region.STATUS_BAR = Region(0.0, 0.0, 1.0, 0.05)
