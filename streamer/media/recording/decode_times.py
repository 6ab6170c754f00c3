"""When each frame of a file is decoded, for streams that send frames in another order than they are shown."""

from collections.abc import Sequence
from typing import Final

DECODE_AHEAD: Final = 99_000  # ticks of video: the timeline lets a frame go back by less (TRUSTED_NS)
DECODE_STEP: Final = 90  # ticks; a smaller step makes libavformat see a discontinuity at the next group of frames


class DecodeTimes:
    """Decoding times for frames in decoding order: they rise, and no frame is decoded later than it is shown.

    A frame is decoded when it is shown, unless the stream reorders. Then it is decoded right after the frame that was
    the newest so far is shown: the frames that follow may be shown soon after that one. This needs no knowledge of
    later frames. A frame is decoded at most DECODE_AHEAD early, since a still screen may last for minutes between the
    two. If a frame is shown before it can be decoded, its decoding time is later than its presentation.
    """

    def __init__(self, *, is_reordered: bool = False) -> None:
        self.is_reordered = is_reordered
        self.newest = self._last = -1

    def of(self, ticks: int) -> int:
        """Return the decoding time of the next frame, which is shown at `ticks`."""
        if ticks < self.newest:
            after = self._last
        elif self.is_reordered:
            after = max(self._last, self.newest, ticks - DECODE_AHEAD)
        else:
            return ticks
        return max(self._last + 1, min(after + DECODE_STEP, ticks))

    def take(self, ticks: int) -> int:
        """Return the same as `of`, and move on to the frame after it."""
        self.is_reordered |= ticks < self.newest
        self._last, self.newest = self.of(ticks), max(self.newest, ticks)
        return self._last

    def take_all(self, shown: Sequence[int], following: int | None = None) -> list[int]:
        """Return the times of a frame and of those sent after it that are shown before it, and move on.

        They are moved apart, with equal steps until the frame that is shown at `following` is decoded, or until the
        first one is shown: players take the step to the next decoding for how long a frame is shown, and seek by that.
        """
        earliest = [self.take(ticks) for ticks in shown]
        end = self.newest if following is None else self.of(following)
        latest = list(shown)
        for i in range(len(shown) - 2, -1, -1):
            latest[i] = min(latest[i], latest[i + 1] - DECODE_STEP)
        step = (end - earliest[0]) / len(shown)
        times = [max(at, min(int(earliest[0] + i * step), latest[i])) for i, at in enumerate(earliest)]
        self._last = times[-1]
        return times
