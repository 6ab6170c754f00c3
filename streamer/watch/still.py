"""When the screen is still, on the phone's clock.

    frames ── change ── no change ─────────────── still
              quiet begins        quiet_s later

The quiet begins with a frame that differs from the reference, and becomes the next one (see `change`); it begins again
with each further one, and with the first frame after a loss. It is over once `quiet_s` have passed on the phone's
clock:

1. A frame that does not differ came `quiet_s` after the reference, by its RTP time. It proves that by itself: the
   frames between them have all been compared.
2. Or no frame came: then the time since the newest frame came counts, by our clock, with the RTP time from the
   reference to that frame. Silence alone proves nothing: a phone that is cut off is silent, too. So the phone is asked
   once the quiet is over. Its answer shows that everything it sent before has come. Nothing may be known to be missing.

A phone that was asked in vain was cut off. What it sent meanwhile may be lost without a trace. So once it answers, it
is asked for a keyframe, and the quiet counts from there.

A quiet from before `now_ns` does not count: what the program did just now has not had its effect. An action that takes
its time, such as a long press, moves that moment to its end.
"""

from collections import deque
from enum import Enum
from typing import Final

import numpy as np

from streamer.watch.change import Look, Mask, regions_of
from streamer.watch.region import Region

_MS: Final = 1_000_000
TICK_NS: Final = 1e9 / 90_000  # of the RTP clock of video
LOOK_AGAIN_NS: Final = 20 * _MS  # while something is missing, or being decoded
ASK_AGAIN_NS: Final = 500 * _MS
MOVING_NS: Final = 1_000 * _MS  # what changed within this time before the end of a wait had not come to rest
MOVING_LIMIT: Final = 120  # changes kept for that; the oldest are forgotten


class Need(Enum):
    """What `Stillness.poll` asks of its driver."""

    ANSWER = "ask the phone for an answer, and call `answer`"
    KEYFRAME = "ask for a keyframe: something is missing, and nothing may follow it"


class Stillness:
    """Find out when nothing has moved for `quiet_ns`, from `now_ns` (monotonic) on.

    Call `receive` for each frame, `poll` no later than `deadline_ns`, and `answer` when its
    driver knows whether the phone has answered.
    """

    def __init__(self, quiet_ns: int, now_ns: int) -> None:
        self.is_still = False
        self.deadline_ns: int | None = None  # when `poll` wants to be called; None before the first frame
        self.newest: Look | None = None  # the newest frame
        self._quiet_ns = quiet_ns
        self._since_ns = now_ns
        self._began = 0.0  # when the quiet began: RTP time
        self._due_ns = 0  # when the quiet is over on our clock, if no frame comes
        self._heard_ns = -1  # everything that the phone sent before this moment has come
        self._was_cut_off = False
        self._is_keyframe_asked = False
        self._changes: deque[tuple[int, Mask]] = deque(maxlen=MOVING_LIMIT)

    def receive(self, look: Look) -> None:
        """Take the comparison of the next frame."""
        if look.changed is not None:
            self._changes.append((look.arrival_ns, look.changed))
        if look.changed is not None or look.follows_loss or look.is_first or self.newest is None:
            self._begin(look)
        else:
            self._count(look)

    def _begin(self, look: Look) -> None:
        """The quiet begins with a frame, or later if that came before quiet counts."""
        self._began = look.rtp_time + max(self._since_ns - look.arrival_ns, 0) / TICK_NS
        self._is_keyframe_asked = False
        self._count(look)

    def _count(self, look: Look) -> None:
        """Count the quiet up to a frame."""
        self.newest = look
        passed_ns = round((look.rtp_time - self._began) * TICK_NS)
        self.is_still = passed_ns >= self._quiet_ns
        self.deadline_ns = self._due_ns = look.arrival_ns + self._quiet_ns - passed_ns

    def begin_again(self, now_ns: int) -> None:
        """Let no quiet from before `now_ns` count: an action has just ended."""
        self._since_ns = now_ns
        if self.newest is not None:
            self._begin(self.newest)

    def answer(self, asked_ns: int, now_ns: int, *, came: bool) -> None:
        """Take note whether the phone answered what was asked at `asked_ns`."""
        if came:
            self._heard_ns = asked_ns
            self.deadline_ns = now_ns + LOOK_AGAIN_NS  # what came with the answer may be on its way to the decoder
        else:
            self._was_cut_off = True

    def poll(self, now_ns: int, *, is_compared: bool, is_missing: bool) -> Need | None:
        """Say what is needed.

        Args:
            now_ns: Monotonic.
            is_compared: Whether the stream is up, and each frame that came was decoded and compared.
            is_missing: Whether packets are known to be missing.
        """
        if self.deadline_ns is None or now_ns < self.deadline_ns or self.is_still:
            return None
        if is_compared and not is_missing:
            if self._heard_ns < self._due_ns:
                self.deadline_ns = now_ns + ASK_AGAIN_NS
                return Need.ANSWER
            if self._was_cut_off:
                self._was_cut_off = False
                self.deadline_ns = self._due_ns = now_ns + self._quiet_ns
                return Need.KEYFRAME
            self.is_still = True
            return None
        self.deadline_ns = now_ns + LOOK_AGAIN_NS
        if not is_compared or self._is_keyframe_asked:
            return None
        self._is_keyframe_asked = True
        return Need.KEYFRAME

    def moving(self, now_ns: int) -> tuple[Region, ...]:
        """Return the regions that have moved within the last second or `quiet_s`, whichever is longer."""
        since_ns = now_ns - max(self._quiet_ns, MOVING_NS)
        newest = self.newest
        masks = [mask for at_ns, mask in self._changes if at_ns >= since_ns]
        if newest is None or not masks:
            return ()
        masks = [mask for mask in masks if mask.shape == masks[-1].shape]
        return regions_of(np.logical_or.reduce(masks), newest.size)
