"""The feedback of a receiver: reports, retransmission requests, keyframe requests, congestion feedback.

Each class decides on one kind of feedback: what to send, and when. None reads a clock: the caller passes monotonic
nanoseconds.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import Final

from streamer.media.rtp.jitter_buffer import JitterBuffer, Missing
from streamer.media.rtp.packet import RtpPacket
from streamer.media.rtp.rtcp import ReportBlock
from streamer.media.wraparound import extend

_MS: Final = 1_000_000


class ReceptionStatistics:
    """Counts the packets of one SSRC for receiver reports (RFC 3550 appendices A.3 and A.8)."""

    def __init__(self, ssrc: int, clock_rate: int) -> None:
        self.ssrc = ssrc
        self.received = 0
        self.jitter = 0.0  # in ticks
        self._clock_rate = clock_rate
        self._first = -1
        self._highest = -1
        self._last_transit: float | None = None
        self._last_rtp_time = -1
        self._reported = (0, 0)  # expected and received, at the last report
        self._sender_report = (0, 0)  # the middle 32 bits of its NTP time, and its arrival

    def add(self, packet: RtpPacket) -> None:
        """Count a packet, but not a retransmission."""
        self.received += 1
        if packet.sequence_number == (self._highest + 1) & 0xFFFF and self._first >= 0:
            self._highest += 1
        elif self._first < 0:
            self._first = self._highest = packet.sequence_number + 0x10000
        else:
            self._highest = max(self._highest, extend(self._highest, packet.sequence_number, 16))
        if packet.rtp_time == self._last_rtp_time:
            return  # the packets of a frame share one time: their spacing is the sender's
        self._last_rtp_time = packet.rtp_time
        transit = packet.arrival_ns * self._clock_rate / 1e9 - packet.rtp_time
        if self._last_transit is not None:
            difference = abs(transit - self._last_transit)
            if difference < 10 * self._clock_rate:  # else the RTP timestamp wrapped or was reset
                self.jitter += (difference - self.jitter) / 16
        self._last_transit = transit

    def advance(self, count: int) -> None:
        """Count `count` more packets of the same frame, in order after the last one."""
        self.received += count
        self._highest += count

    def sender_report(self, ntp_time: int, now_ns: int) -> None:
        """Remember the sender's latest report: the next receiver report refers to it."""
        self._sender_report = (ntp_time >> 16 & 0xFFFFFFFF, now_ns)

    @property
    def expected(self) -> int:
        """How many packets the sender has sent, by their sequence numbers."""
        return self._highest - self._first + 1 if self._first >= 0 else 0

    def report(self, now_ns: int) -> ReportBlock:
        """Return the block for a receiver report. Its fraction lost is that since the last call."""
        expected, received = self.expected, self.received
        expected_since, received_since = expected - self._reported[0], received - self._reported[1]
        self._reported = (expected, received)
        lost_since = max(expected_since - received_since, 0)
        reference, came_ns = self._sender_report
        return ReportBlock(
            ssrc=self.ssrc,
            fraction_lost=min(lost_since * 256 // expected_since, 255) if expected_since > 0 else 0,
            packets_lost=expected - received,
            highest_sequence=self._highest - 0x10000,
            jitter=int(self.jitter),
            last_sender_report=reference,
            delay_since=(now_ns - came_ns) * 65536 // 1_000_000_000 if reference else 0,
        )


class RoundTripTime:
    """The round-trip time, measured by answered requests and smoothed as in TCP (RFC 6298 section 2)."""

    def __init__(self, initial_ns: int = 100 * _MS) -> None:
        self.smoothed_ns = initial_ns
        self.variation_ns = initial_ns // 4
        self.is_measured = False

    def measured(self, sample_ns: int) -> None:
        """Take one measurement."""
        if not self.is_measured:
            self.is_measured = True
            self.smoothed_ns, self.variation_ns = sample_ns, sample_ns // 2
            return
        self.variation_ns += (abs(sample_ns - self.smoothed_ns) - self.variation_ns) // 4
        self.smoothed_ns += (sample_ns - self.smoothed_ns) // 8

    @property
    def retry_after_ns(self) -> int:
        """After what time without an answer to repeat a request."""
        return min(max(self.smoothed_ns + 2 * self.variation_ns, 20 * _MS), 500 * _MS)


class RetransmissionRequests:
    """When to request a missing packet: at once, and again when an answer is overdue, until the buffer gives it up.

    If packets overtake each other, "at once" would request packets that are on their way. So the first request waits
    for as long as overtaken packets were late recently. On most paths that is not at all.
    """

    MAX_PER_MESSAGE: Final = 250  # sequence numbers; a NACK then stays well below one datagram

    def __init__(self, buffer: JitterBuffer, round_trip: RoundTripTime) -> None:
        self.deadline_ns: int | None = None
        self._buffer = buffer
        self._round_trip = round_trip
        self._patience_ns = 0

    def due(self, now_ns: int) -> list[int]:
        """Return the sequence numbers to request now, in order, and set the next `deadline_ns`."""
        again_ns = self._round_trip.retry_after_ns
        asked: list[int] = []
        deadline_ns: int | None = None
        for index, missing in self._buffer.missing.items():
            next_ns = missing.next_request_ns if missing.requests else missing.noticed_ns + self._patience_ns
            if next_ns <= now_ns and len(asked) < self.MAX_PER_MESSAGE:
                missing.requests += 1
                missing.requested_ns = now_ns
                next_ns = missing.next_request_ns = now_ns + again_ns
                asked.append(index & 0xFFFF)
            if deadline_ns is None or next_ns < deadline_ns:
                deadline_ns = next_ns
        self.deadline_ns = deadline_ns
        return asked

    def came(self, missing: Missing, now_ns: int, *, retransmitted: bool) -> None:
        """Learn from a missing packet that came: the round-trip time, or how late an overtaken packet is.

        A packet that was requested twice does not tell which request it answers, so it is ignored (RFC 6298 section 3).
        """
        if not retransmitted:
            self._patience_ns = min(max(now_ns - missing.noticed_ns, self._patience_ns), self._round_trip.smoothed_ns)
            return
        self._patience_ns -= self._patience_ns // 16
        if missing.requests == 1:
            self._round_trip.measured(now_ns - missing.requested_ns)


class KeyframeRequests:
    """When to request a keyframe: at once when one is needed, and again until one comes."""

    INTERVAL_NS: Final = 300 * _MS  # an encoder answers within a frame or two; more requests give more keyframes

    def __init__(self) -> None:
        self.needed = False
        self._last_ns: int | None = None

    def need(self) -> None:
        """Say that nothing can be decoded until a keyframe comes."""
        self.needed = True

    def satisfied(self) -> None:
        """Say that a keyframe has come."""
        self.needed = False

    @property
    def deadline_ns(self) -> int | None:
        """When `due` will next be true; None while no keyframe is needed."""
        if not self.needed:
            return None
        return 0 if self._last_ns is None else self._last_ns + self.INTERVAL_NS

    def due(self, now_ns: int) -> bool:
        """Whether to request one now. If true, it counts as requested."""
        deadline_ns = self.deadline_ns
        if deadline_ns is None or now_ns < deadline_ns:
            return False
        self._last_ns = now_ns
        return True


class TransportFeedback:
    """Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1).

    The sender estimates the bandwidth from it. Without it, Chromium's video stays at a tenth of its bitrate.
    """

    INTERVAL_NS: Final = 50 * _MS
    MAX_PACKETS: Final = 400  # arrivals in one message; with so many it is sent at once
    _MAX_SPAN: Final = 1024  # sequence numbers that one message spans

    def __init__(self) -> None:
        self.deadline_ns: int | None = None
        self._numbers: list[int] = []  # the transport-wide sequence numbers since the last message
        self._ticks: list[int] = []  # and their arrivals, in units of 250 µs
        self._highest = -1  # the highest number so far, extended
        self._count = 0

    def add(self, numbers: list[int], arrival_ns: int) -> bool:
        """Note transport-wide sequence numbers that came together; return whether `deadline_ns` changed."""
        before = len(self._numbers)
        self._numbers += numbers
        self._ticks += [arrival_ns // 250_000] * len(numbers)
        if before == 0:
            self.deadline_ns = arrival_ns + self.INTERVAL_NS
        if before < self.MAX_PACKETS <= len(self._numbers):
            self.deadline_ns = arrival_ns
            return True
        return before == 0

    def due(self, now_ns: int, own_ssrc: int, media_ssrc: int) -> list[bytes]:
        """Return the messages to send now: usually none or one."""
        if self.deadline_ns is None or now_ns < self.deadline_ns:
            return []
        self.deadline_ns = None
        messages = []
        numbers, ticks = self._take_arrivals()
        while numbers:
            count = self._fitting(numbers[: self.MAX_PACKETS], ticks[: self.MAX_PACKETS])
            messages.append(self._message(numbers[:count], ticks[:count], own_ssrc, media_ssrc))
            numbers, ticks = numbers[count:], ticks[count:]
        return messages

    def _take_arrivals(self) -> tuple[Sequence[int], list[int]]:
        """Return the extended numbers of the packets and their arrivals in ticks, in sending order."""
        numbers, ticks, highest = self._numbers, self._ticks, self._highest
        self._numbers, self._ticks = [], []
        first = extend(highest, numbers[0], 16) if highest >= 0 else numbers[0] + 0x10000
        if [number - first & 0xFFFF for number in numbers] == list(range(len(numbers))):
            self._highest = max(highest, first + len(numbers) - 1)
            return range(first, first + len(numbers)), ticks
        arrivals: dict[int, int] = {}
        for number, tick in zip(numbers, ticks, strict=True):
            index = extend(max(highest, first), number, 16)
            highest = max(highest, index)
            arrivals[index] = tick
        self._highest = highest
        indices = sorted(arrivals)
        return indices, [arrivals[index] for index in indices]

    def _fitting(self, numbers: Sequence[int], ticks: list[int]) -> int:
        """Return how many packets fit into one message: into a datagram, and deltas into 16 bits (section 3.1.5)."""
        if numbers[-1] - numbers[0] < self._MAX_SPAN and max(ticks) - min(ticks) <= 0x7FFF:
            return len(numbers)
        return next(
            position
            for position in range(1, len(numbers) + 1)
            if position == len(numbers)
            or numbers[position] - numbers[0] >= self._MAX_SPAN
            or abs(ticks[position] - ticks[position - 1]) > 0x7FFF
        )

    def _message(self, numbers: Sequence[int], ticks: list[int], own_ssrc: int, media_ssrc: int) -> bytes:
        base, last = numbers[0], numbers[-1]
        reference = ticks[0] // 256  # in 64 ms
        steps = [tick - before for tick, before in zip(ticks, (reference * 256, *ticks), strict=False)]
        symbols = [0] * (last - base + 1)
        if len(steps) == len(symbols) and min(steps) >= 0 and max(steps) <= 0xFF:  # almost always
            symbols, deltas = [1] * len(steps), bytes(steps)
        else:
            for number, step in zip(numbers, steps, strict=True):
                symbols[number - base] = 1 if 0 <= step <= 0xFF else 2
            deltas = b"".join(
                step.to_bytes(1) if 0 <= step <= 0xFF else step.to_bytes(2, signed=True) for step in steps
            )
        body = (
            struct.pack(
                "!IIHHI",
                own_ssrc,
                media_ssrc,
                base & 0xFFFF,
                len(symbols),
                (reference & 0xFFFFFF) << 8 | self._count & 0xFF,
            )
            + b"".join(struct.pack("!H", chunk) for chunk in _status_chunks(symbols))
            + deltas
        )
        self._count += 1
        padding = -len(body) % 4
        has_padding = 0x20 if padding else 0
        if padding:
            body += bytes(padding - 1) + bytes((padding,))
        return struct.pack("!BBH", 0x80 | has_padding | 15, 205, len(body) // 4) + body


def _status_chunks(symbols: list[int]) -> Iterable[int]:
    """Yield the packet chunks: run lengths if they save space, otherwise vectors of seven two-bit symbols."""
    position = 0
    while position < len(symbols):
        symbol, end = symbols[position], position + 1
        while end < len(symbols) and symbols[end] == symbol and end - position < 0x1FFF:
            end += 1
        if end - position > 7:
            yield symbol << 13 | (end - position)
            position = end
            continue
        chunk = 0xC000
        for offset, vector_symbol in enumerate(symbols[position : position + 7]):
            chunk |= vector_symbol << (12 - 2 * offset)
        yield chunk
        position += 7
