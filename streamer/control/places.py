"""Places on the screen: an `int` is a pixel of the newest frame, a `float` a fraction of it."""

import numbers
from typing import Final, TypeAlias

from streamer.errors import ConfigurationError

Coordinate: TypeAlias = int | float
Place: TypeAlias = tuple[Coordinate, Coordinate]

DIRECTIONS: Final[dict[str, tuple[Place, Place]]] = {  # from the middle, half the screen
    "up": ((0.5, 0.75), (0.5, 0.25)),
    "down": ((0.5, 0.25), (0.5, 0.75)),
    "left": ((0.75, 0.5), (0.25, 0.5)),
    "right": ((0.25, 0.5), (0.75, 0.5)),
}


def check_place(place: tuple[object, ...]) -> Place:
    """Return x and y as int or float. Raises ConfigurationError for anything else, and for a fraction outside 0 to 1.

    Integers and floats of NumPy are such, too.
    """
    if len(place) != 2:
        raise ConfigurationError(f"expected a place as x and y, got {len(place)} values")
    x, y = (_checked(axis, value) for axis, value in zip("xy", place, strict=True))
    return x, y


def needs_size(*places: Place) -> bool:
    """Whether any of the places has a pixel in it."""
    return any(isinstance(value, int) for place in places for value in place)


def resolve(place: Place, size: tuple[int, int]) -> tuple[float, float]:
    """Return a place as fractions of a frame of this width and height; a pixel stands for its middle.

    Raises ConfigurationError if a pixel is outside.
    """
    x, y = (_fraction(axis, value, length, size) for axis, value, length in zip("xy", place, size, strict=True))
    return x, y


def _checked(axis: str, value: object) -> Coordinate:
    wanted = f"expected {axis} as a pixel (int) or a fraction from 0.0 to 1.0 (float)"
    if type(value) is bool or not isinstance(value, numbers.Real):
        raise ConfigurationError(f"{wanted}, got {type(value).__name__}")
    if isinstance(value, numbers.Integral):
        return int(value)
    fraction = float(value)
    if not 0.0 <= fraction <= 1.0:
        raise ConfigurationError(f"{wanted}, got {fraction:g}: write int({fraction:g}) for a pixel")
    return fraction


def _fraction(axis: str, value: Coordinate, length: int, size: tuple[int, int]) -> float:
    if isinstance(value, float):
        return value
    if not 0 <= value < length:
        raise ConfigurationError(
            f"expected {axis} from 0 to {length - 1} on a screen of {size[0]}x{size[1]} pixels, got {value}"
        )
    return (value + 0.5) / length
