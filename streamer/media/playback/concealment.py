"""What is to be heard when, given packets that may be missing: an unbroken line of samples, as RTP timestamps have it.

1. A packet is heard at its RTP timestamp, as long as it lasts.
2. Between two packets lies what was lost, or a pause, in which the phone sends nothing (DTX). Both are made up: so
   many samples as RTP timestamps say, in pieces of at most 20 ms, as soon as the second packet comes.
3. A gap of more than two seconds is none: the line ends, and another begins with the packet. So it does with another
   SSRC, and with a timestamp that goes back as far.
4. Of a packet that begins before the last one ends, only what comes after that is heard.

So within one line the samples are exactly as many as the time that has passed on the phone's clock. Left out: playout
delay. Who plays the audio holds back as much as he likes; the jitter buffer has put the packets in order.
"""

from dataclasses import dataclass
from typing import Final

from streamer.media.access_unit import AccessUnit
from streamer.media.codecs import opus

FILL_LIMIT: Final = 2 * opus.CLOCK_RATE


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A piece of the line."""

    rtp_time: int  # of its first sample
    samples: int
    unit: AccessUnit | None  # what is decoded; None where it is made up
    skipped: int = 0  # samples at the beginning of what is decoded that are not heard
    is_lost: bool = False  # made up because a packet is missing; in a pause none is
    discontinuity: bool = False  # another line begins here


class Continuity:
    """Plan what is heard: `take` each packet in order."""

    def __init__(self) -> None:
        self.malformed = 0
        self._ssrc = -1
        self._next = -1  # the RTP time at which the last packet ends; -1 before the first
        self._has_lost = False  # whether a packet was lost since

    def take(self, unit: AccessUnit) -> list[Step]:
        """Return what is heard up to the end of this packet, from the end of the one before."""
        samples = opus.duration(unit.data)
        self._has_lost |= unit.discontinuity
        if samples is None:
            self.malformed += 1
            self._has_lost = True
            return []
        gap = unit.rtp_time - self._next
        is_new = self._next < 0 or unit.ssrc != self._ssrc or abs(gap) > FILL_LIMIT
        if is_new:
            gap = 0
        elif gap + samples <= 0:
            return []
        steps = [
            Step(
                rtp_time=unit.rtp_time - left,
                samples=min(left, opus.LONGEST_CONCEALMENT),
                unit=None,
                is_lost=self._has_lost,
            )
            for left in range(gap, 0, -opus.LONGEST_CONCEALMENT)
        ]
        skipped = max(-gap, 0)
        heard = Step(
            rtp_time=unit.rtp_time + skipped,
            samples=samples - skipped,
            unit=unit,
            skipped=skipped,
            discontinuity=is_new,
        )
        self._ssrc, self._next, self._has_lost = unit.ssrc, unit.rtp_time + samples, False
        return [*steps, heard]
