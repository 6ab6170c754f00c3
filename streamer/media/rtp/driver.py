"""The edge of the media path: it feeds packets and the clock to the receiver, and hands on access units and RTCP."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from streamer.media.fanout import Sink
from streamer.media.rtp.receiver import Receiver
from streamer.tracks import Track

_NEVER: Final = 1 << 63


class ReceiverDriver:
    """Drives one transport's receiver by the socket's callbacks and one timer. It belongs to one event loop."""

    def __init__(self, receiver: Receiver, fanout: Sink) -> None:
        self.receiver = receiver
        self._fanout = fanout
        self._loop = asyncio.get_running_loop()
        self._send_rtcp: Callable[[bytes], None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ns = _NEVER
        self._closed = False

    def open(self, send_rtcp: Callable[[bytes], None]) -> None:
        """Send RTCP by `send_rtcp` from now on."""
        self._send_rtcp = send_rtcp

    def set_tracks(self, tracks: list[Track]) -> None:
        """Take the tracks of a new negotiation."""
        self.receiver.set_tracks(tracks)

    def on_rtp(self, packets: list[bytes], arrival_ns: int) -> None:
        """Take a burst of RTP packets."""
        for unit in self.receiver.receive(packets, arrival_ns):
            self._fanout.put(unit)
        self._settle()

    def on_rtcp(self, packet: bytes, arrival_ns: int) -> None:
        """Take an RTCP packet."""
        self.receiver.receive_rtcp(packet, arrival_ns)
        self._settle()

    def on_refused(self, *, is_duplicate: bool) -> None:
        """Count a packet that SRTP refused: a duplicate, or one that it does not authenticate."""
        self.receiver.counters.duplicated += is_duplicate
        self.receiver.counters.refused += not is_duplicate

    def on_round_trip(self, round_trip_ns: int) -> None:
        """Take a measurement of the round-trip time."""
        self.receiver.round_trip.measured(round_trip_ns)

    def request_keyframe(self) -> None:
        """Request a keyframe now, and again until one comes."""
        self.receiver.request_keyframe(time.monotonic_ns())
        self._settle()

    def request_following(self) -> None:
        """Ask for what may have been lost behind the newest packet."""
        self.receiver.request_following()
        self._settle()

    def close(self) -> None:
        """Stop the timer. Later packets are ignored."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _poll(self) -> None:
        self._timer, self._timer_ns = None, _NEVER
        for unit in self.receiver.poll(time.monotonic_ns()):
            self._fanout.put(unit)
        self._settle()

    def _settle(self) -> None:
        """Send what is due, and set the timer if the next deadline is earlier."""
        receiver = self.receiver
        if receiver.has_rtcp and self._send_rtcp is not None:
            for packet in receiver.take_rtcp():
                self._send_rtcp(packet)
        deadline_ns = receiver.deadline_ns
        if deadline_ns is None or deadline_ns >= self._timer_ns or self._closed:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ns = deadline_ns
        # A loop's clock runs as the monotonic one, but uvloop's has another origin: use the difference.
        self._timer = self._loop.call_later(max(deadline_ns - time.monotonic_ns(), 0) / 1e9, self._poll)
