"""Which fingers are down on the phone's screen."""

from streamer.control.frames import Motion, Point, Touch
from streamer.control.gestures import FINGERS_LIMIT
from streamer.errors import ConfigurationError


class Fingers:
    """The numbers of fingers in use, and where each that is down was last."""

    def __init__(self) -> None:
        self._taken: set[int] = set()
        self._down: dict[int, Point] = {}

    def take(self, count: int) -> tuple[int, ...]:
        """Return the lowest free numbers. Raises ConfigurationError if fewer are free."""
        free = [number for number in range(FINGERS_LIMIT) if number not in self._taken and number not in self._down]
        if len(free) < count:
            raise ConfigurationError(
                f"expected at most {FINGERS_LIMIT} fingers at once, got {FINGERS_LIMIT - len(free) + count}: "
                "lift some first"
            )
        self._taken.update(free[:count])
        return tuple(free[:count])

    def release(self, numbers: tuple[int, ...]) -> None:
        """Give numbers back; those still down are free once they are lifted."""
        self._taken.difference_update(numbers)

    def note(self, touch: Touch) -> None:
        """Remember what a touch that was sent has changed."""
        for point in touch.points:
            if touch.motion is Motion.UP:
                self._down.pop(point.finger, None)
            elif touch.motion is Motion.DOWN or point.finger in self._down:
                self._down[point.finger] = point

    def lifts(self, numbers: tuple[int, ...] | None = None) -> list[Touch]:
        """Return an UP for each of these fingers that is down, for all if none are named."""
        return [
            Touch(Motion.UP, (point,)) for point in self._down.values() if numbers is None or point.finger in numbers
        ]
