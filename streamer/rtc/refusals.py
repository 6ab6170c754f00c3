"""RTP packets that libsrtp refuses: told apart from a stranger's junk, and from a phone that has nothing to send.

A source is an SSRC. A source that only brings refused packets is in trouble until a packet of it is accepted. That a
known source is in trouble says that the phone's own packets do not come through. A source is known if the phone's offer
names it, or if it brought an accepted packet before, RTP or RTCP. A stranger off the path does not know its SSRC.

Junk with other SSRCs says nothing, whether or not anything was accepted before: a screen at rest sends no packets, and
whoever finds the port may send some.
"""

from dataclasses import dataclass
from typing import Final

from streamer.bounded import BoundedMap

IN_A_ROW: Final = 8  # refused packets of a source that make a trouble: single ones are damaged on the way
LASTS_NS: Final = 200_000_000  # and how long it takes: where each packet comes twice, many of a burst are refused
SOURCES_LIMIT: Final = 64  # sources in trouble; the oldest ones are forgotten
_FORGET_AFTER_NS: Final = 5_000_000_000


@dataclass(slots=True)
class _Trouble:
    since_ns: int
    latest_ns: int
    is_known: bool
    count: int = 0  # refused packets in a row

    @property
    def lasts(self) -> bool:
        return self.count >= IN_A_ROW and self.latest_ns - self.since_ns >= LASTS_NS


class Refusals:
    """The sources of one path that are in trouble. While there are `any`, report what is `accepted`, too."""

    def __init__(self) -> None:
        self._troubles: BoundedMap[int, _Trouble] = BoundedMap(
            max_items=SOURCES_LIMIT, max_bytes=SOURCES_LIMIT, size_of=lambda _: 1
        )

    @property
    def any(self) -> bool:
        """Whether any source's latest packet was refused."""
        return len(self._troubles) > 0

    def refused(self, ssrc: int, now_ns: int, *, is_known: bool) -> bool:
        """Take a refused packet; return whether its source's trouble lasts. `is_known`: the source is the phone's."""
        trouble = self._troubles.get(ssrc)
        if trouble is None or now_ns - trouble.latest_ns > _FORGET_AFTER_NS:
            trouble = _Trouble(now_ns, now_ns, is_known)
            self._troubles.put(ssrc, trouble)
        trouble.latest_ns = now_ns
        trouble.count += 1
        return trouble.lasts

    def accepted(self, ssrcs: set[int]) -> None:
        """Take the sources of accepted packets: their trouble is over."""
        for ssrc in ssrcs:
            self._troubles.pop(ssrc)

    def since_ns(self, now_ns: int) -> int | None:
        """Return since when the phone's packets are only refused; None if they are not."""
        for ssrc in list(self._troubles):
            trouble = self._troubles.get(ssrc)
            if trouble is not None and now_ns - trouble.latest_ns > _FORGET_AFTER_NS:
                self._troubles.pop(ssrc)
        return min(
            (trouble.since_ns for trouble in self._troubles.values() if trouble.lasts and trouble.is_known),
            default=None,
        )
