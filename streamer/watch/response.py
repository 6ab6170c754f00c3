"""What came of an action: the frames that changed after it, and when."""

import itertools
import math
from collections import deque
from typing import Final

from streamer.watch.change import Look
from streamer.watch.region import Region
from streamer.watch.still import TICK_NS

CHANGES_LIMIT: Final = 36_000  # changed frames whose times are kept: ten minutes at 60 a second


class Response:
    """Collect the frames that changed after an action, which was handed to the network at `sent_ns` (monotonic).

    Call `receive` for each frame. Those whose last datagram came before the action was sent do not count.
    """

    def __init__(self, sent_ns: int) -> None:
        self.sent_ns = sent_ns
        self.first: Look | None = None  # the first change
        self.last: Look | None = None  # the last one
        self.count = 0
        self.region: Region | None = None  # the smallest one with everything that changed, in pixels
        self._rtp_times: deque[int] = deque(maxlen=CHANGES_LIMIT)  # of changed frames; the oldest are forgotten

    def receive(self, look: Look) -> bool:
        """Take the comparison of the next frame; return whether it is a change that counts."""
        if look.changed is None or look.arrival_ns < self.sent_ns:
            return False
        self.first = self.first or look
        self.last = look
        self.count += 1
        self.region = look.region if self.region is None else self.region.union(look.region, look.size)
        self._rtp_times.append(look.rtp_time)
        return True

    def after_s(self, look: Look) -> float:
        """Return the seconds from the action to the arrival of a frame."""
        return (look.arrival_ns - self.sent_ns) / 1e9

    @property
    def gaps_s(self) -> tuple[float, ...]:
        """The times between changed frames, in seconds of the phone's clock."""
        return tuple((later - earlier) * TICK_NS / 1e9 for earlier, later in itertools.pairwise(self._rtp_times))


def percentile(values: tuple[float, ...], share: float) -> float:
    """Return the least value that a share of all values, from 0 to 1, does not exceed; 0.0 if there is none."""
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)] if values else 0.0
