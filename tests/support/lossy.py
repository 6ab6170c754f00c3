"""A lossy path in virtual time: how a stream comes through it, to the millisecond and the same on every machine.

The receiver is the package's own; the sender answers NACKs from a history and PLIs with a keyframe, as WebRTC senders
do. Both directions lose packets and delay them unevenly, from a seed. Nothing here reads a clock.
"""

import heapq
import itertools
import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from streamer.media.access_unit import AccessUnit
from streamer.media.codecs.nal import START_CODE
from streamer.media.rtp.receiver import Receiver
from streamer.tracks import Codec, Track

MS: Final = 1_000_000
SSRC: Final = 0x1234
PAYLOAD_TYPE: Final = 96
RTX_SSRC: Final = 0x5678
RTX_PAYLOAD_TYPE: Final = 97
MTU: Final = 1200
SPS_PPS: Final = bytes.fromhex("6742c01fda02d0286840"), bytes.fromhex("68ce0fc8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """A network path, the same both ways."""

    loss: float
    delay_ms: float
    jitter_ms: float


@dataclass(slots=True)
class Outcome:
    """What came through."""

    sent: int = 0
    delivered: int = 0
    broken: int = 0  # access units that are not, bit for bit, one that was sent
    longest_freeze_ms: float = 0.0  # from one delivered frame to the next, less the frames' own spacing
    keyframe_requests: int = 0
    retransmissions: int = 0
    delays_ms: list[float] = field(default_factory=list)  # from sending to delivery


class Simulation:
    """Send frames over a path for a while. `run` it once."""

    def __init__(
        self, path: Path, *, fps: int = 30, seconds: float = 20.0, frame_bytes: int = 12_000, seed: int = 0
    ) -> None:
        self._path = path
        self._fps = fps
        self._frames = round(fps * seconds)
        self._frame_bytes = frame_bytes
        self._random = random.Random(seed)
        self._order = itertools.count()
        self._events: list[tuple[int, int, Callable[[int], None]]] = []
        self._history: dict[int, bytes] = {}
        self._sequence_number = 65_000  # wraps soon
        self._rtx_sequence_number = 7
        self._wants_keyframe = True
        self._sent: dict[bytes, tuple[int, int]] = {}  # an access unit → which frame, and when it was sent
        self._outcome = Outcome()
        self._last: tuple[int, int] | None = None  # the last delivered frame, and when
        track = Track(
            kind="video",
            mid="0",
            codecs={PAYLOAD_TYPE: Codec(name="h264", clock_rate=90_000)},
            rtx={RTX_PAYLOAD_TYPE: PAYLOAD_TYPE},
            feedback=frozenset({"nack", "nack pli"}),
            reduced_size_rtcp=True,
        )
        self._receiver = Receiver([track], own_ssrc=1, cname="lossy")

    def run(self) -> Outcome:
        """Return what came through."""
        for number in range(self._frames):
            self._at(number * 1_000_000_000 // self._fps, lambda now, number=number: self._send_frame(number, now))  # type: ignore[misc]
        while self._events:
            now, _, act = heapq.heappop(self._events)
            act(now)
        return self._outcome

    def _at(self, when: int, act: Callable[[int], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), act))

    def _transmit(self, now: int, arrive: Callable[[int], None]) -> None:
        if self._random.random() >= self._path.loss:
            spread = self._random.uniform(-self._path.jitter_ms, self._path.jitter_ms)
            self._at(now + round((self._path.delay_ms + spread) * MS), arrive)

    def _send_frame(self, number: int, now: int) -> None:
        is_keyframe, self._wants_keyframe = self._wants_keyframe, False
        size = self._frame_bytes * (8 if is_keyframe else 1)  # and no start code in what follows
        body = bytes((0x65 if is_keyframe else 0x41,)) + (0x0101_0101 + number).to_bytes(4) * (size // 4)
        nal_units = [*SPS_PPS, body] if is_keyframe else [body]
        self._sent[START_CODE + START_CODE.join(nal_units)] = (number, now)
        self._outcome.sent += 1
        payloads = list(nal_units[:-1])
        parts = [body[start : start + MTU] for start in range(1, len(body), MTU)]
        for index, part in enumerate(parts):
            flags = (0x80 if index == 0 else 0) | (0x40 if index == len(parts) - 1 else 0)
            payloads.append(bytes((body[0] & 0xE0 | 28, flags | body[0] & 0x1F)) + part)
        rtp_time = (number * 90_000 // self._fps + 0xFFFF0000) & 0xFFFFFFFF
        for index, payload in enumerate(payloads):
            marker = 0x80 if index == len(payloads) - 1 else 0
            header = struct.pack("!BBHII", 0x80, marker | PAYLOAD_TYPE, self._sequence_number, rtp_time, SSRC)
            self._history[self._sequence_number] = header + payload
            self._sequence_number = self._sequence_number + 1 & 0xFFFF
            # Packets leave some 0.2 ms apart, as over a link of 50 Mbit/s.
            self._transmit(now + index * MS // 5, lambda when, packet=header + payload: self._arrive(packet, when))  # type: ignore[misc]

    def _arrive(self, packet: bytes, now: int) -> None:
        self._deliver(self._receiver.receive([packet], now), now)
        self._settle(now)

    def _poll(self, now: int) -> None:
        self._deliver(self._receiver.poll(now), now)
        self._settle(now)

    def _settle(self, now: int) -> None:
        for message in self._receiver.take_rtcp():
            self._transmit(now, lambda when, message=message: self._hear(message, when))  # type: ignore[misc]
        deadline = self._receiver.deadline_ns
        last = (self._frames / self._fps + 2) * 1e9
        if deadline is not None and deadline < last:
            self._at(max(deadline, now + 1), self._poll_if_due)

    def _poll_if_due(self, now: int) -> None:
        if self._receiver.deadline_ns is not None and self._receiver.deadline_ns <= now:
            self._poll(now)

    def _hear(self, message: bytes, now: int) -> None:
        """Act on the receiver's feedback."""
        format_, packet_type = message[0] & 0x1F, message[1]
        if (packet_type, format_) == (206, 1):
            self._outcome.keyframe_requests += 1
            self._wants_keyframe = True
        elif (packet_type, format_) == (205, 1):
            for first, mask in struct.iter_unpack("!HH", message[12:]):
                for offset in range(17):
                    if offset == 0 or mask >> (offset - 1) & 1:
                        self._retransmit(first + offset & 0xFFFF, now)

    def _retransmit(self, sequence_number: int, now: int) -> None:
        original = self._history.get(sequence_number)
        if original is None:
            return
        # RFC 4588 section 4: a stream of its own, the original's sequence number before the payload.
        marker = original[1] & 0x80
        number, self._rtx_sequence_number = self._rtx_sequence_number, self._rtx_sequence_number + 1 & 0xFFFF
        header = (
            struct.pack("!BBH", 0x80, marker | RTX_PAYLOAD_TYPE, number) + original[4:8] + struct.pack("!I", RTX_SSRC)
        )
        packet = header + original[2:4] + original[12:]
        self._outcome.retransmissions += 1
        self._transmit(now, lambda when: self._arrive(packet, when))

    def _deliver(self, units: Sequence[AccessUnit], now: int) -> None:
        for unit in units:
            self._outcome.delivered += 1
            known = self._sent.get(unit.data)
            if known is None:
                self._outcome.broken += 1
                continue
            number, sent = known
            self._outcome.delays_ms.append((now - sent) / MS)
            if self._last is not None:
                freeze = (now - self._last[1]) / MS - 1000 / self._fps
                self._outcome.longest_freeze_ms = max(self._outcome.longest_freeze_ms, freeze)
            self._last = (number, now)
