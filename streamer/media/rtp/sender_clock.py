"""The sender's clock: it maps RTP timestamps to Unix time (RFC 3550 section 6.4.1)."""

from typing import Final

_NTP_TO_UNIX_S: Final = 2_208_988_800  # from 1900 to 1970


class SenderClock:
    """Maps RTP timestamps to the sender's wall clock by its latest report. Unknown before the first report."""

    def __init__(self, clock_rate: int) -> None:
        self._clock_rate = clock_rate
        self._reported: tuple[int, int] | None = None  # wall_ns, and its RTP timestamp

    def report(self, ntp_time: int, rtp_time: int) -> None:
        """Take a sender report: `rtp_time` (extended) was `ntp_time` (32.32 fixed point). An empty one is ignored."""
        if ntp_time:
            unix_s, fraction = (ntp_time >> 32) - _NTP_TO_UNIX_S, ntp_time & 0xFFFFFFFF
            self._reported = (unix_s * 1_000_000_000 + (fraction * 1_000_000_000 >> 32), rtp_time)

    def wall_ns(self, rtp_time: int) -> int | None:
        """Return the Unix time in ns of an extended RTP timestamp, by the sender's clock; None if unknown."""
        if self._reported is None:
            return None
        wall_ns, reported = self._reported
        return wall_ns + (rtp_time - reported) * 1_000_000_000 // self._clock_rate
