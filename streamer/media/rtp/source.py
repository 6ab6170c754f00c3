"""One SSRC: its packets in, its access units out.

A frame ends with its marker bit, at once, once the sender has proved that its marker bits end frames: a packet of
another RTP time followed the only marker bit of a frame. Before that proof, which takes one frame, a marked frame
waits for the packet that follows, or for PROBATION_NS without one. A phone proves it once for all its connections.

- Some senders mark each slice. A packet after a marker bit that has the same RTP time and goes on with the frame shows
  it. From then on a frame ends with the next RTP time, with a packet that begins a frame, or after QUIET_NS of silence.
- Some senders mark nothing. A frame that ended without a marker bit shows it. The same rules hold, and every packet
  that completes a NAL unit begins the silence.
- A frame that left too early is a loss: the rest of it is skipped, and a keyframe is needed.

The silence does not end a frame while a packet is missing: the frame may go on with it.
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
_ONE_ON: Final = 1 << 64  # one sequence number, in a header read as a number; a wrap carries, and matches nothing
VIDEO_HOLD_NS: Final = 500 * _MS  # some five rounds of asking again over a path of 60 ms; then a keyframe is quicker
KEYFRAME_AFTER_NS: Final = 250 * _MS  # a gap that is not filled by then may never be: a keyframe is asked for beside it
AUDIO_HOLD_NS: Final = 60 * _MS  # not asked for again: only reordering is waited out
_LONG_PAUSE_NS: Final = 3600 * 1_000 * _MS  # a part of the 6 h 37 min within which the nearest time is the right one
PROBATION_NS: Final = 20 * _MS  # packets of one frame leave together, or each 5 ms where a sender paces them
QUIET_NS: Final = 100 * _MS  # a path may hold packets up for longer than a sender


class _Markers(Enum):
    """What a sender's marker bits mean."""

    UNPROVED = "nothing is known of them"
    FRAMES = "each ends a frame"
    SLICES = "each ends a slice"
    NONE = "there are none"


_UNPROVED, _FRAMES, _SLICES, _NONE = _Markers  # looking a member up in its class costs more


class MarkerBits:
    """Whether a phone has proved that its marker bits end frames, on the source that proved anything last."""

    def __init__(self) -> None:
        self.end_frames = False


@dataclass(slots=True)
class Counters:
    """What one receiver has counted."""

    packets: int = 0  # all of them, those that the next counters name too
    bytes: int = 0
    malformed: int = 0
    unknown_payload_type: int = 0
    refused: int = 0  # before they were counted as packets: SRTP does not authenticate them
    duplicated: int = 0  # the same: they came before, or too late for SRTP to know
    recovered: int = 0
    video_gaps: int = 0  # times that packets of video were found missing, whether they came in the end or not
    frames: int = 0
    frames_lost: int = 0  # incomplete; those of which nothing came are not known of
    frames_malformed: int = 0
    frames_awaiting_keyframe: int = 0  # whole, but of no use without what was lost
    audio_packets_received: int = 0
    nacks: int = 0
    retransmission_requests: int = 0  # sequence numbers asked for by NACK
    plis: int = 0
    firs: int = 0

    @classmethod
    def total(cls, counters: Iterable[Self]) -> Self:
        """Return the sums over several receivers."""
        return cls(*(sum(values) for values in zip(*map(astuple, counters), strict=True)))


class Source:
    """One SSRC: its order, its depacketizer, and what is asked of its sender."""

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
        self._expected = -1  # the index that follows the last packet taken
        self._rtp_time = -1  # extended
        self._rtp_time_ns = 0  # when a packet of that time arrived
        self._packet_time = -1  # the same as the packets bear it; -1 if another frame may begin with the same time
        self._markers = _FRAMES
        self._marker_bits = marker_bits
        self._is_marked = False  # whether the last packet bore the marker bit and may have ended its frame
        self.quiet_since_ns: int | None = None  # when the last packet came, if the frame may end with it
        self._skipping = False  # until the next access unit begins
        self._next_header = -1  # the header of a packet that plainly goes on with the frame under way, as a number
        self._run = 0  # packets that did so and are not accounted for
        self._discontinuity = True
        if self.is_video:
            self._depacketizer = depacketizer_for(self.codec)
            if self._depacketizer.has_slices:
                self._markers = _FRAMES if marker_bits.end_frames else _UNPROVED
            self.keyframes.need()

    @property
    def keyframe_deadline_ns(self) -> int | None:
        """When a keyframe is to be asked for because a gap has lasted; None if there is none, or it is asked for."""
        deadline_ns = self.buffer.deadline_ns
        if deadline_ns is None or not self.is_video or self.keyframes.needed:
            return None
        return deadline_ns - VIDEO_HOLD_NS + KEYFRAME_AFTER_NS

    @property
    def deadlines(self) -> tuple[int | None, ...]:
        """When something is to be done about this source."""
        return (
            self.buffer.deadline_ns,
            self.keyframe_deadline_ns,
            self.end_ns,
            self.requests.deadline_ns,
            self.keyframes.deadline_ns,
        )

    @property
    def end_ns(self) -> int | None:
        """When the frame under way ends though nothing follows it; None if that is not to be."""
        if self.quiet_since_ns is None or self.buffer.missing:
            return None
        return self.quiet_since_ns + (PROBATION_NS if self._markers is _UNPROVED else QUIET_NS)

    def is_quiet(self, now_ns: int) -> bool:
        """Whether the frame under way is to end."""
        return (end_ns := self.end_ns) is not None and end_ns <= now_ns

    def end_quiet(self, counters: Counters) -> Sequence[AccessUnit]:
        """End the frame under way, since nothing has followed it."""
        arrival_ns, self.quiet_since_ns = self.quiet_since_ns, None
        if arrival_ns is None or not self._depacketizer.may_be_whole:
            return _NOTHING
        self.settle()
        self._packet_time = -1
        return self._finish(arrival_ns, counters)

    def completes_keyframe(self, packet: RtpPacket) -> bool:
        """Whether a packet that was just held behind a gap has made a keyframe whole there."""
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
        """Take the sender's report on this source."""
        self.statistics.sender_report(ntp_time, arrival_ns)
        self._clock.report(ntp_time, self._extend_time(rtp_time, arrival_ns))

    def expect_more(self, datagram: bytes) -> None:
        """Take note of a packet that was just taken: `take_run` will know those that follow it."""
        if self._markers is _NONE:
            return  # when each packet came is of interest
        if not (self._skipping or datagram[0] & 0x2F or datagram[1] & 0x80):  # no padding, no CSRC, no marker bit
            self._next_header = int.from_bytes(datagram[:12]) + _ONE_ON

    def take_run(self, datagrams: Sequence[bytes], position: int, counters: Counters) -> int:
        """Take the datagrams from `position` on that plainly go on with the frame under way; return where they end.

        Plainly: nothing is missing, and the header (RFC 3550 section 5.1) is the one before but for the sequence
        number. Most packets are of that kind, neither the first nor the last of their frame.
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
        """Account for the packets that `take_run` took, before anything else is done with the source."""
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
        """Turn packets in order into the access units that they complete."""
        return [unit for packet in packets for unit in self.take(packet, counters)]

    def take(self, packet: RtpPacket, counters: Counters) -> Sequence[AccessUnit]:
        """Take the next packet; return the access units that it completes."""
        if not self.is_video:
            return self._take_audio(packet, counters)
        if packet.index == self._expected and packet.rtp_time == self._packet_time:  # goes on with the same frame
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
        """Take a packet that does not plainly go on with the frame under way."""
        units: Sequence[AccessUnit] = _NOTHING
        is_same_time = packet.rtp_time == self._rtp_time & 0xFFFFFFFF
        if packet.index != self._expected:
            counters.frames_lost += not self._depacketizer.is_empty
            self._lose()
            # What follows a gap may lack its beginning, unless it can only be a beginning.
            self._skipping = not self._depacketizer.starts_unit(packet.payload)
            if self._skipping and packet.payload and not is_same_time:
                counters.frames_lost += 1  # another one than the one under way
        elif is_same_time and self._depacketizer.goes_on(packet.payload):
            if self._is_marked:
                self._learn(_SLICES)
            if self._depacketizer.is_empty and not self._skipping:  # the frame has left without this part
                self._lose()
                self._skipping = True
        else:
            if not (self._is_marked and self._markers is _FRAMES):  # else it has left
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
        """End the frame before a packet that begins another; learn what the sender's marker bits mean."""
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
        """Add a packet's payload to the frame under way; return the frame if it was its last."""
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
        """Return the RTP time without its wrap: of all that it can be, the one nearest to what the arrival suggests.

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
