"""Tells whether the RTP packets that libsrtp refuses are the phone's own, or a stranger's.

A source is an SSRC. A source fails from its first refused packet on, until one of its packets is accepted. If a known
source fails, the phone's own packets do not come through. A source is known if the phone's offer names it, or if SRTP
or SRTCP accepted a packet of it before. A stranger off the path does not know its SSRC.

Refused packets of other SSRCs prove nothing: a still screen sends no packets, and anybody who finds the port can send
some.
"""

from dataclasses import dataclass
from typing import Final

from streamer.bounded import BoundedMap

IN_A_ROW: Final = 8  # refused packets before a failure counts as lasting: single packets may be damaged
LASTS_NS: Final = 200_000_000  # and for so long: if each packet comes twice, many of a burst are refused
SOURCES_LIMIT: Final = 64  # failing sources; the oldest are forgotten
_FORGET_AFTER_NS: Final = 5_000_000_000


@dataclass(slots=True)
class _Failure:
    since_ns: int
    latest_ns: int
    is_known: bool
    count: int = 0  # refused packets in a row

    @property
    def lasts(self) -> bool:
        return self.count >= IN_A_ROW and self.latest_ns - self.since_ns >= LASTS_NS


class Refusals:
    """The failing sources of one path. While there are `any`, report `accepted` packets, too."""

    def __init__(self) -> None:
        self._failures: BoundedMap[int, _Failure] = BoundedMap(
            max_items=SOURCES_LIMIT, max_bytes=SOURCES_LIMIT, size_of=lambda _: 1
        )

    @property
    def any(self) -> bool:
        """Whether any source's latest packet was refused."""
        return len(self._failures) > 0

    def refused(self, ssrc: int, now_ns: int, *, is_known: bool) -> bool:
        """Note a refused packet; return whether the failure lasts. `is_known` says that the source is the phone's."""
        failure = self._failures.get(ssrc)
        if failure is None or now_ns - failure.latest_ns > _FORGET_AFTER_NS:
            failure = _Failure(now_ns, now_ns, is_known)
            self._failures.put(ssrc, failure)
        failure.latest_ns = now_ns
        failure.count += 1
        return failure.lasts

    def accepted(self, ssrcs: set[int]) -> None:
        """Note the sources of accepted packets: they no longer fail."""
        for ssrc in ssrcs:
            self._failures.pop(ssrc)

    def since_ns(self, now_ns: int) -> int | None:
        """Return since when all packets of a known source are refused; None if there is no such source."""
        for ssrc in list(self._failures):
            failure = self._failures.get(ssrc)
            if failure is not None and now_ns - failure.latest_ns > _FORGET_AFTER_NS:
                self._failures.pop(ssrc)
        return min(
            (failure.since_ns for failure in self._failures.values() if failure.lasts and failure.is_known),
            default=None,
        )
