"""Plans which samples are played when, although packets may be missing: one line of samples without gaps.

1. A packet is played at its RTP timestamp, for its own duration.
2. Between two packets, others were lost, or the phone paused and sent nothing (DTX). Both are concealed when the second
   packet comes: with as many samples as the RTP timestamps say, in pieces of at most 20 ms.
3. A gap of more than two seconds is not concealed: the line ends, and the packet begins another. So does a packet with
   another SSRC, and one whose timestamp goes back by as much.
4. If a packet begins before the last one ends, its beginning is skipped.

So a line has exactly as many samples as time has passed on the phone's clock. Left out: playout delay. The jitter
buffer has put the packets in order, and a player may delay them as it likes.
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
    unit: AccessUnit | None  # the packet to decode; None for a concealed piece
    skipped: int = 0  # samples at the packet's beginning that are not played
    is_lost: bool = False  # concealed because a packet is missing, not because of a pause
    discontinuity: bool = False  # a line begins here


class Continuity:
    """Plans what is played: `take` each packet in order."""

    def __init__(self) -> None:
        self.malformed = 0
        self._ssrc = -1
        self._next = -1  # the RTP time of the last packet's end; -1 before the first
        self._has_lost = False  # whether a packet was lost since

    def take(self, unit: AccessUnit) -> list[Step]:
        """Return the pieces from the end of the last packet to the end of this one."""
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
