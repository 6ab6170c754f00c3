"""Turns the packets of one SSRC into access units.

A frame ends with its marker bit, as soon as the sender has proved that its marker bits end frames: a packet with
another RTP time followed the only marker bit of a frame. The proof takes one frame. Until then a marked frame waits for
the next packet, or for PROBATION_NS without one. A phone proves this once for all its connections.

- Some senders mark each slice. A packet after a marker bit with the same RTP time that continues the frame shows this.
  From then on a frame ends with the next RTP time, with a packet that begins a frame, or after QUIET_NS of silence.
- Some senders mark nothing. A frame that ends without a marker bit shows this. The same rules apply, and the silence is
  counted from each packet that completes a NAL unit.
- A frame that was returned too early counts as lost: the rest of it is skipped, and a keyframe is needed.

Silence does not end a frame while a packet is missing: the missing packet may belong to it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from enum import Enum
from typing import Final, Self

from streamer.media.access_unit import AccessUnit
from streamer.media.codecs.depacketizer import MalformedPayload
from streamer.media.codecs.depacketizer_choice import depacketizer_for
from streamer.media.rtp.feedback import KeyframeRequests, ReceptionStatistics, RetransmissionRequests, RoundTripTime
from streamer.media.rtp.jitter_buffer import JitterBuffer
from streamer.media.rtp.packet import RtpPacket
from streamer.media.rtp.rtcp import ReportBlock
from streamer.media.rtp.sender_clock import SenderClock
from streamer.media.wraparound import extend
from streamer.tracks import Codec, Track

_MS: Final = 1_000_000
_NOTHING: Final = ()
_ONE_ON: Final = 1 << 64  # the next sequence number, in a header read as an integer; a wrap matches no packet
VIDEO_HOLD_NS: Final = 500 * _MS  # some five requests over a path of 60 ms; after that a keyframe is quicker
KEYFRAME_AFTER_NS: Final = 250 * _MS  # a gap that is still open may stay so: a keyframe is requested as well
AUDIO_HOLD_NS: Final = 60 * _MS  # for reordered packets; lost audio is not requested again
_LONG_PAUSE_NS: Final = 3600 * 1_000 * _MS  # well below the 6 h 37 min within which the nearest time is the right one
PROBATION_NS: Final = 20 * _MS  # a sender sends the packets of a frame together, or paces them every 5 ms
QUIET_NS: Final = 100 * _MS  # a network may delay packets for longer than a sender paces them


class _Markers(Enum):
    """What a sender's marker bits mean."""

    UNPROVED = "nothing is known yet"
    FRAMES = "each ends a frame"
    SLICES = "each ends a slice"
    NONE = "there are none"


_UNPROVED, _FRAMES, _SLICES, _NONE = _Markers  # looking up a member in its class is slower


class MarkerBits:
    """Whether a phone has proved that its marker bits end frames, by the latest proof of any source."""

    def __init__(self) -> None:
        self.end_frames = False


@dataclass(slots=True)
class Counters:
    """The counters of one receiver."""

    packets: int = 0  # all, including those of the next two counters
    bytes: int = 0
    malformed: int = 0
    unknown_payload_type: int = 0
    refused: int = 0  # not counted in `packets`: SRTP does not authenticate them
    duplicated: int = 0  # packets that came before, or too late for SRTP to tell
    recovered: int = 0
    video_gaps: int = 0  # how often packets of video were missing, even if they came later
    frames: int = 0
    frames_lost: int = 0  # incomplete; a frame without any packet is not known
    frames_malformed: int = 0
    frames_awaiting_keyframe: int = 0  # complete, but they refer to a lost frame
    audio_packets_received: int = 0
    nacks: int = 0
    retransmission_requests: int = 0  # sequence numbers in NACKs
    plis: int = 0
    firs: int = 0

    @classmethod
    def total(cls, counters: Iterable[Self]) -> Self:
        """Return the sums over several receivers."""
        return cls(*(sum(values) for values in zip(*map(astuple, counters), strict=True)))


class Source:
    """One SSRC: its jitter buffer, its depacketizer, and the requests to its sender."""

    def __init__(
        self,
        ssrc: int,
        payload_type: int,
        track: Track,
        *,
        round_trip: RoundTripTime,
        keyframes: KeyframeRequests,
        marker_bits: MarkerBits,
    ) -> None:
        self.ssrc = ssrc
        self.payload_type = payload_type
        self.track = track
        self.codec: Codec = track.codecs[payload_type]
        self.is_video = track.kind == "video"
        self.statistics = ReceptionStatistics(ssrc, self.codec.clock_rate)
        self.buffer = JitterBuffer(hold_ns=VIDEO_HOLD_NS if self.is_video else AUDIO_HOLD_NS)
        self.requests = RetransmissionRequests(self.buffer, round_trip)
        self.keyframes = keyframes
        self._clock = SenderClock(self.codec.clock_rate)
        self._expected = -1  # the index after the last packet
        self._rtp_time = -1  # extended
        self._rtp_time_ns = 0  # the arrival of a packet with that time
        self._packet_time = -1  # the same in 32 bits; -1 if another frame may begin with the same time
        self._markers = _FRAMES
        self._marker_bits = marker_bits
        self._is_marked = False  # whether the last packet had the marker bit and may have ended its frame
        self.quiet_since_ns: int | None = None  # the arrival of the last packet, if the frame may end with it
        self._skipping = False  # until the next access unit begins
        self._next_header = -1  # the header, as an integer, of a packet that simply continues the frame under way
        self._run = 0  # how many packets did so since the last `settle`
        self._discontinuity = True
        if self.is_video:
            self._depacketizer = depacketizer_for(self.codec)
            if self._depacketizer.has_slices:
                self._markers = _FRAMES if marker_bits.end_frames else _UNPROVED
            self.keyframes.need()

    @property
    def keyframe_deadline_ns(self) -> int | None:
        """When to request a keyframe because of an open gap; None without one, or if a keyframe is needed already."""
        deadline_ns = self.buffer.deadline_ns
        if deadline_ns is None or not self.is_video or self.keyframes.needed:
            return None
        return deadline_ns - VIDEO_HOLD_NS + KEYFRAME_AFTER_NS

    @property
    def deadlines(self) -> tuple[int | None, ...]:
        """The times at which this source has something to do."""
        return (
            self.buffer.deadline_ns,
            self.keyframe_deadline_ns,
            self.end_ns,
            self.requests.deadline_ns,
            self.keyframes.deadline_ns,
        )

    @property
    def end_ns(self) -> int | None:
        """When silence ends the frame under way; None if it does not."""
        if self.quiet_since_ns is None or self.buffer.missing:
            return None
        return self.quiet_since_ns + (PROBATION_NS if self._markers is _UNPROVED else QUIET_NS)

    def following(self, count: int) -> list[int]:
        """Return the sequence numbers of so many packets after the newest one."""
        self.settle()
        return self.buffer.following(count)

    @property
    def is_incomplete(self) -> bool:
        """Whether something is known to be missing: packets, the rest of a frame, or a keyframe after a loss."""
        return bool(self.buffer.missing) or self._discontinuity or not self._depacketizer.is_empty

    def is_quiet(self, now_ns: int) -> bool:
        """Whether silence ends the frame under way now."""
        return (end_ns := self.end_ns) is not None and end_ns <= now_ns

    def end_quiet(self, counters: Counters) -> Sequence[AccessUnit]:
        """End the frame under way because of silence."""
        arrival_ns, self.quiet_since_ns = self.quiet_since_ns, None
        if arrival_ns is None or not self._depacketizer.may_be_whole:
            return _NOTHING
        self.settle()
        self._packet_time = -1
        return self._finish(arrival_ns, counters)

    def completes_keyframe(self, packet: RtpPacket) -> bool:
        """Whether a packet that waits behind a gap has completed a keyframe there."""
        if not self.is_video or self._markers is _SLICES:
            return False
        frame = self.buffer.held_frame(packet)
        depacketizer = depacketizer_for(self.codec)
        if not frame or not depacketizer.starts_unit(frame[0].payload):
            return False
        try:
            for part in frame:
                depacketizer.add(part.payload)
            finished = depacketizer.finish(may_recover=True)
        except MalformedPayload:
            return False
        return finished is not None and finished[1]

    def take_report(self, ntp_time: int, rtp_time: int, arrival_ns: int) -> None:
        """Take a sender report on this source."""
        self.statistics.sender_report(ntp_time, arrival_ns)
        self._clock.report(ntp_time, self._extend_time(rtp_time, arrival_ns))

    def expect_more(self, datagram: bytes) -> None:
        """Note the header of a packet that was just taken, so that `take_run` recognizes the ones after it."""
        if self._markers is _NONE:
            return  # the arrival of each packet counts
        if not (self._skipping or datagram[0] & 0x2F or datagram[1] & 0x80):  # no padding, no CSRC, no marker bit
            self._next_header = int.from_bytes(datagram[:12]) + _ONE_ON

    def take_run(self, datagrams: Sequence[bytes], position: int, counters: Counters) -> int:
        """Take the datagrams from `position` on that simply continue the frame under way; return where they end.

        No packet is missing between them, and their headers (RFC 3550 section 5.1) differ in the sequence number only.
        Most packets are of that kind: neither the first nor the last of their frame.
        """
        header, begin, end, add = self._next_header, position, len(datagrams), self._depacketizer.add
        try:
            while position < end:
                datagram = datagrams[position]
                if int.from_bytes(datagram[:12]) != header or len(datagram) < 16:
                    break
                start = 16 + 4 * (datagram[14] << 8 | datagram[15]) if datagram[0] & 0x10 else 12
                if start > len(datagram):
                    break
                header += _ONE_ON
                position += 1
                add(datagram[start:])
        except MalformedPayload:
            self._refuse(counters)
            header = -1
        self._next_header = header
        self._run += position - begin
        return position

    def settle(self) -> None:
        """Count the packets that `take_run` took. Call it before anything else is done with the source."""
        self._next_header = -1
        if self._run:
            self.statistics.advance(self._run)
            self.buffer.advance(self._run)
            self._expected += self._run
            self._run = 0

    def report(self, now_ns: int) -> ReportBlock:
        """Return the block for a receiver report."""
        self.settle()
        return self.statistics.report(now_ns)

    def release(self, packets: list[RtpPacket], counters: Counters) -> list[AccessUnit]:
        """Take packets in order; return the access units that they complete."""
        return [unit for packet in packets for unit in self.take(packet, counters)]

    def take(self, packet: RtpPacket, counters: Counters) -> Sequence[AccessUnit]:
        """Take the next packet; return the access units that it completes."""
        if not self.is_video:
            return self._take_audio(packet, counters)
        if packet.index == self._expected and packet.rtp_time == self._packet_time:  # continues the same frame
            self._expected += 1
            return self._add(packet, counters)
        return self._begin(packet, counters)

    def _take_audio(self, packet: RtpPacket, counters: Counters) -> Sequence[AccessUnit]:
        if packet.index != self._expected:
            self._discontinuity = True
        self._expected = packet.index + 1
        if not packet.payload:
            return _NOTHING
        self._rtp_time = self._extend_time(packet.rtp_time, packet.arrival_ns)
        self._rtp_time_ns = packet.arrival_ns
        counters.audio_packets_received += 1
        return (self._unit(packet.payload, True, packet.arrival_ns),)

    def _begin(self, packet: RtpPacket, counters: Counters) -> Sequence[AccessUnit]:
        """Take a packet that does not simply continue the frame under way."""
        units: Sequence[AccessUnit] = _NOTHING
        is_same_time = packet.rtp_time == self._rtp_time & 0xFFFFFFFF
        if packet.index != self._expected:
            counters.frames_lost += not self._depacketizer.is_empty
            self._lose()
            # After a gap, the beginning of a frame may be missing, unless the packet can only be a beginning.
            self._skipping = not self._depacketizer.starts_unit(packet.payload)
            if self._skipping and packet.payload and not is_same_time:
                counters.frames_lost += 1  # another frame than the one under way
        elif is_same_time and self._depacketizer.goes_on(packet.payload):
            if self._is_marked:
                self._learn(_SLICES)
            if self._depacketizer.is_empty and not self._skipping:  # the frame was returned without this part
                self._lose()
                self._skipping = True
        else:
            if not (self._is_marked and self._markers is _FRAMES):  # else it was returned
                units = self._end(packet, counters)
            self._skipping = False
        self._is_marked = False
        self.quiet_since_ns = None
        self._expected = packet.index + 1
        self._rtp_time = self._extend_time(packet.rtp_time, packet.arrival_ns)
        self._rtp_time_ns = packet.arrival_ns
        self._packet_time = packet.rtp_time
        return (*units, *self._add(packet, counters))

    def _end(self, following: RtpPacket, counters: Counters) -> Sequence[AccessUnit]:
        """End the frame before a packet that begins another, and learn what the sender's marker bits mean."""
        if self._markers is not _SLICES:
            if self._is_marked:
                self._learn(_FRAMES)
            elif self._depacketizer.may_be_whole:
                self._learn(_NONE)
        if self._depacketizer.is_empty:
            return _NOTHING
        return self._finish(
            following.arrival_ns if self.quiet_since_ns is None else self.quiet_since_ns,
            counters,
        )

    def _learn(self, markers: _Markers) -> None:
        if self._markers is not markers:
            self._markers = markers
            self._marker_bits.end_frames = markers is _FRAMES

    def _add(self, packet: RtpPacket, counters: Counters) -> Sequence[AccessUnit]:
        """Add a packet's payload to the frame under way; return the frame if it is complete."""
        if not self._skipping:
            self._add_payload(packet.payload, counters)
        if not packet.marker:
            if self._markers is _NONE:
                self.quiet_since_ns = packet.arrival_ns
            return _NOTHING
        if not (self._skipping or self._depacketizer.may_be_whole):
            return _NOTHING  # parameter sets, or a part of a slice
        self._is_marked = True
        self._packet_time = -1
        if self._markers is _FRAMES:
            return self._finish(packet.arrival_ns, counters)
        self.quiet_since_ns = packet.arrival_ns
        return _NOTHING

    def _add_payload(self, payload: bytes, counters: Counters) -> None:
        try:
            self._depacketizer.add(payload)
        except MalformedPayload:
            self._refuse(counters)

    def _refuse(self, counters: Counters) -> None:
        """Give up the frame under way: one of its payloads is malformed."""
        counters.malformed += 1
        counters.frames_malformed += 1
        self._lose()
        self._skipping = True

    def _finish(self, arrival_ns: int, counters: Counters) -> Sequence[AccessUnit]:
        try:
            finished = self._depacketizer.finish(may_recover=self.keyframes.needed)
        except MalformedPayload:
            counters.malformed += 1
            counters.frames_malformed += 1
            self._lose()
            return _NOTHING
        if finished is None:
            return _NOTHING
        data, is_keyframe = finished
        if is_keyframe:
            self.keyframes.satisfied()
        elif self._discontinuity:
            counters.frames_awaiting_keyframe += 1
            self.keyframes.need()
            return _NOTHING
        counters.frames += 1
        return (self._unit(data, is_keyframe, arrival_ns),)

    def _lose(self) -> None:
        self._depacketizer.reset()
        self._discontinuity = True
        self.keyframes.need()

    def _extend_time(self, rtp_time: int, arrival_ns: int) -> int:
        """Return the RTP time without its wrap: the candidate that is nearest to what the arrival suggests.

        32 bits wrap after 13 hours at 90 kHz, and a still screen may send nothing for longer than that.
        """
        previous = self._rtp_time
        if previous < 0:
            return rtp_time + (1 << 32)
        elapsed_ns = arrival_ns - self._rtp_time_ns
        if elapsed_ns > _LONG_PAUSE_NS:
            previous += elapsed_ns * self.codec.clock_rate // 1_000_000_000
        return extend(previous, rtp_time, 32)

    def _unit(self, data: bytes, is_keyframe: bool, arrival_ns: int) -> AccessUnit:
        discontinuity, self._discontinuity = self._discontinuity, False
        return AccessUnit(
            kind=self.track.kind,
            codec=self.codec,
            data=data,
            rtp_time=self._rtp_time,
            ssrc=self.ssrc,
            is_keyframe=is_keyframe,
            discontinuity=discontinuity,
            arrival_ns=arrival_ns,
            captured_ns=self._clock.wall_ns(self._rtp_time),
        )
