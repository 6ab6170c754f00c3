"""One transport's RTP and RTCP in, access units and RTCP out: the stages of the media path, put together.

    receive(datagrams) → parse → retransmissions unwrapped → JitterBuffer → depacketizer → AccessUnit
    poll(now)          → gaps given up, feedback that is due

Sans-I/O: call `receive` for the decrypted RTP datagrams that were taken from the socket together, `receive_rtcp` for
each RTCP datagram, and `poll` no later than `deadline_ns`; after each of them send what `take_rtcp` returns.
"""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Final, Self

from streamer.media.clock import SenderClock
from streamer.media.depacketize import depacketizer_for
from streamer.media.feedback import (
    KeyframeRequests,
    ReceptionStatistics,
    RetransmissionRequests,
    RoundTripTime,
    TransportFeedback,
)
from streamer.media.jitter import JitterBuffer
from streamer.media.payload import MalformedPayload
from streamer.media.remb import BandwidthEstimator
from streamer.media.rtcp import (
    Goodbye,
    ReportBlock,
    SenderReport,
    full_intra_request,
    negative_acknowledgement,
    parse_rtcp,
    picture_loss_indication,
    receiver_estimated_maximum_bitrate,
    receiver_report,
    source_description,
)
from streamer.media.rtp import RtpPacket, extend, find_extension, parse_rtp, unwrap_rtx
from streamer.media.units import AccessUnit
from streamer.tracks import Codec, Track

_MS: Final = 1_000_000
_NOTHING: Final = ()
_ONE_ON: Final = 1 << 64  # one sequence number, in a header read as a number; a wrap carries, and matches nothing
REPORT_INTERVAL_NS: Final = 1_000 * _MS
VIDEO_HOLD_NS: Final = 500 * _MS  # some five rounds of asking again over a path of 60 ms; then a keyframe is quicker
KEYFRAME_AFTER_NS: Final = 250 * _MS  # a gap that is not filled by then may never be: a keyframe is asked for beside it
AUDIO_HOLD_NS: Final = 60 * _MS  # not asked for again: only reordering is waited out


@dataclass(slots=True)
class Counters:
    """What one receiver has counted."""

    packets: int = 0  # all of them, those that the next counters name too
    bytes: int = 0
    malformed: int = 0
    unknown_payload_type: int = 0
    recovered: int = 0
    video_gaps: int = 0  # times that packets of video were found missing, whether they came in the end or not
    pictures: int = 0
    pictures_lost: int = 0  # incomplete; those of which nothing came are not known of
    pictures_malformed: int = 0
    pictures_awaiting_keyframe: int = 0  # whole, but of no use without what was lost
    audio_packets: int = 0
    nacks: int = 0
    retransmission_requests: int = 0  # sequence numbers asked for by NACK
    plis: int = 0
    firs: int = 0

    @classmethod
    def total(cls, counters: Iterable[Self]) -> Self:
        """Return the sums over several receivers."""
        return cls(*(sum(values) for values in zip(*map(astuple, counters), strict=True)))


class Receiver:
    """Receive the tracks that share one transport."""

    def __init__(self, tracks: Iterable[Track], *, own_ssrc: int, cname: str) -> None:
        self.counters = Counters()
        self.round_trip = RoundTripTime()
        self.own_ssrc = own_ssrc
        self.deadline_ns: int | None = None  # when `poll` wants to be called next; None before the first packet
        self.has_rtcp = False  # whether `take_rtcp` has something to send
        self._description = source_description(own_ssrc, cname)
        self._outgoing: list[bytes] = []
        self._sources: dict[int, _Source] = {}
        self._report_ns: int | None = None
        self._transport_feedback = TransportFeedback()
        self._bandwidth = BandwidthEstimator(self.round_trip)
        self._media_ssrc = 0
        self._closed_lost = 0
        self._latest: _Source | None = None  # the video source whose packet came last
        self.set_tracks(tracks)

    def set_tracks(self, tracks: Iterable[Track]) -> None:
        """Take the tracks of a new negotiation; sources whose payload types go on are kept."""
        self._tracks = {payload_type: track for track in tracks for payload_type in (*track.codecs, *track.rtx)}
        # One of the two that tell a packet's place on the way: they differ in length.
        transport_cc_id = max((track.transport_cc_id for track in self._tracks.values()), default=0)
        abs_send_time_id = max((track.abs_send_time_id for track in self._tracks.values()), default=0)
        self._arrival_id = transport_cc_id or abs_send_time_id
        self._reduced_size = all(track.reduced_size_rtcp for track in self._tracks.values())
        for source in [source for source in self._sources.values() if source.payload_type not in self._tracks]:
            self._close_source(source.ssrc)

    def receive(self, datagrams: Sequence[bytes], arrival_ns: int) -> list[AccessUnit]:
        """Take decrypted RTP datagrams, in the order in which they came; return the access units that they complete."""
        counters = self.counters
        counters.packets += len(datagrams)
        counters.bytes += sum(map(len, datagrams))
        if self._arrival_id:
            self._note_arrivals(datagrams, arrival_ns)
        units: list[AccessUnit] = []
        position, end = 0, len(datagrams)
        while position < end:
            if self._latest is not None:
                position = self._latest.take_run(datagrams, position, counters)
                if position == end:
                    break
            units += self._receive_one(datagrams[position], arrival_ns)
            position += 1
        return units

    def _receive_one(self, datagram: bytes, arrival_ns: int) -> Sequence[AccessUnit]:
        counters = self.counters
        packet = parse_rtp(datagram, arrival_ns)
        if packet is None:
            counters.malformed += 1
            return _NOTHING
        source = self._sources.get(packet.ssrc)
        if source is None or source.payload_type != packet.payload_type:
            track = self._tracks.get(packet.payload_type)
            if track is None:
                counters.unknown_payload_type += 1
                return _NOTHING
            if packet.payload_type in track.rtx:
                return self._receive_retransmission(packet, track)
            source = self._open_source(packet, track)
        source.settle()
        source.statistics.add(packet)
        if not source.buffer.passes(packet):
            return self._insert(source, packet)
        units = source.take(packet, counters)
        if source.is_video:
            source.expect_more(datagram)
            self._latest = source
        if source.keyframes.needed:
            self._feedback_of(source, arrival_ns)
        return units

    def receive_rtcp(self, datagram: bytes, arrival_ns: int) -> None:
        """Take a decrypted RTCP datagram."""
        for item in parse_rtcp(datagram):
            match item:
                case SenderReport(ssrc, ntp_time, rtp_time):
                    if source := self._sources.get(ssrc):
                        source.take_report(ntp_time, rtp_time, arrival_ns)
                case Goodbye(ssrcs):
                    for ssrc in ssrcs:
                        self._close_source(ssrc)

    def poll(self, now_ns: int) -> list[AccessUnit]:
        """Do what is due; return the access units that leave because a gap was given up."""
        units: list[AccessUnit] = []
        for source in self._sources.values():
            deadline_ns = source.buffer.deadline_ns
            if deadline_ns is not None and deadline_ns <= now_ns:
                units += source.release(source.buffer.give_up(now_ns), self.counters)
            if source.hurry_ns is not None and source.hurry_ns <= now_ns:
                source.keyframes.need()
            self._feedback_of(source, now_ns)
        if self._report_ns is not None and self._report_ns <= now_ns:
            self._report_ns = now_ns + REPORT_INTERVAL_NS
            blocks = [source.report(now_ns) for source in list(self._sources.values())[-31:]]
            self._outgoing.append(receiver_report(self.own_ssrc, blocks) + self._description)
            self.has_rtcp = True
        for message in self._transport_feedback.due(now_ns, self.own_ssrc, self._media_ssrc):
            self._send(message)
        if (bitrate_bps := self._bandwidth.due(now_ns)) is not None:
            ssrcs = [source.ssrc for source in self._sources.values() if source.is_video]
            self._send(receiver_estimated_maximum_bitrate(self.own_ssrc, bitrate_bps, ssrcs[-255:]))
        self._set_deadline()
        return units

    def _set_deadline(self) -> None:
        deadlines = [self._report_ns, self._transport_feedback.deadline_ns, self._bandwidth.deadline_ns]
        for source in self._sources.values():
            deadlines += source.deadlines
        self.deadline_ns = min((deadline for deadline in deadlines if deadline is not None), default=None)

    def _note_arrivals(self, datagrams: Sequence[bytes], arrival_ns: int) -> None:
        numbers: list[int] = []
        send_times: list[tuple[int, int]] = []
        for datagram in datagrams:
            element = find_extension(datagram, self._arrival_id)
            if element is None:
                continue
            if len(element) == 2:
                numbers.append(int.from_bytes(element))
            elif len(element) == 3:
                send_times.append((int.from_bytes(element), len(datagram)))
        if numbers and self._transport_feedback.add(numbers, arrival_ns):
            self._wake_at(self._transport_feedback.deadline_ns)
        if send_times and self._bandwidth.add(send_times, arrival_ns):
            self._wake_at(self._bandwidth.deadline_ns)

    def _wake_at(self, deadline_ns: int | None) -> None:
        if deadline_ns is not None and (self.deadline_ns is None or deadline_ns < self.deadline_ns):
            self.deadline_ns = deadline_ns

    def take_rtcp(self) -> list[bytes]:
        """Return the RTCP to send, and forget it."""
        outgoing, self._outgoing, self.has_rtcp = self._outgoing, [], False
        return outgoing

    def request_keyframe(self, now_ns: int) -> None:
        """Ask every video source for a keyframe, now and until one comes."""
        for source in self._sources.values():
            if source.track.kind == "video":
                source.keyframes.need()
                self._feedback_of(source, now_ns)

    @property
    def packets_lost(self) -> int:
        """Packets given up: neither they nor a retransmission came in time."""
        return self._closed_lost + sum(source.buffer.lost for source in self._sources.values())

    @property
    def jitter_s(self) -> float:
        """The interarrival jitter of video."""
        return max(
            (s.statistics.jitter / s.codec.clock_rate for s in self._sources.values() if s.is_video), default=0.0
        )

    def _open_source(self, packet: RtpPacket, track: Track) -> "_Source":
        # One source a track: a sender that restarts takes a new SSRC, and the old one is over.
        keyframes = KeyframeRequests()
        for former in [source for source in self._sources.values() if source.track.mid == track.mid]:
            keyframes = former.keyframes  # so that no number of new SSRCs makes us ask more often
            self._close_source(former.ssrc)
        source = _Source(packet.ssrc, packet.payload_type, track, self.round_trip, keyframes)
        self._sources[packet.ssrc] = source
        if source.is_video:
            self._media_ssrc = packet.ssrc
        if self._report_ns is None:
            self._report_ns = packet.arrival_ns + REPORT_INTERVAL_NS
            self._wake_at(self._report_ns)
        return source

    def _close_source(self, ssrc: int) -> None:
        if source := self._sources.pop(ssrc, None):
            self._closed_lost += source.buffer.lost
            self._latest = None

    def _receive_retransmission(self, packet: RtpPacket, track: Track) -> list[AccessUnit]:
        payload_type = track.rtx[packet.payload_type]
        for source in self._sources.values():
            if source.track.mid == track.mid and source.payload_type == payload_type:
                original = unwrap_rtx(packet, payload_type=payload_type, ssrc=source.ssrc)
                return self._insert(source, original, by_rtx=True) if original is not None else []
        return []

    def _insert(self, source: "_Source", packet: RtpPacket, *, by_rtx: bool = False) -> list[AccessUnit]:
        source.settle()
        buffer = source.buffer
        if buffer.missing:
            missing = buffer.missing.get(extend(next(iter(buffer.missing)), packet.sequence_number, 16))
            if missing is not None:
                # Without a stream for them, retransmissions look like any packet: what was asked for is taken for one.
                retransmitted = by_rtx or (missing.requests > 0 and not source.track.rtx)
                self.counters.recovered += retransmitted
                source.requests.came(missing, packet.arrival_ns, retransmitted=retransmitted)
        missing_before = len(buffer.missing)
        units = source.release(buffer.insert(packet, packet.arrival_ns, is_retransmission=by_rtx), self.counters)
        if buffer.missing and source.keyframes.needed and source.completes_keyframe(packet):
            units += source.release(buffer.give_up_before(packet.index), self.counters)
        self.counters.video_gaps += source.is_video and len(buffer.missing) > missing_before
        self._feedback_of(source, packet.arrival_ns)
        return units

    def _feedback_of(self, source: "_Source", now_ns: int) -> None:
        feedback = source.track.feedback
        if "nack" in feedback and (sequence_numbers := source.requests.due(now_ns)):
            self.counters.nacks += 1
            self.counters.retransmission_requests += len(sequence_numbers)
            self._send(negative_acknowledgement(self.own_ssrc, source.ssrc, sequence_numbers))
        if source.keyframes.due(now_ns):
            if "nack pli" in feedback:
                self.counters.plis += 1
                self._send(picture_loss_indication(self.own_ssrc, source.ssrc))
            elif "ccm fir" in feedback:
                self.counters.firs += 1
                self._send(full_intra_request(self.own_ssrc, source.ssrc, self.counters.firs))
        for deadline_ns in source.deadlines:
            self._wake_at(deadline_ns)

    def _send(self, message: bytes) -> None:
        if not self._reduced_size:
            message = receiver_report(self.own_ssrc, []) + self._description + message
        self._outgoing.append(message)
        self.has_rtcp = True


class _Source:
    """One SSRC: its order, its depacketizer, and what is asked of its sender."""

    def __init__(
        self, ssrc: int, payload_type: int, track: Track, round_trip: RoundTripTime, keyframes: KeyframeRequests
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
        self._packet_time = -1  # the same as the packets bear it
        self._skipping = False  # until the next access unit begins
        self._next_header = -1  # the header of a packet that plainly goes on with the picture under way, as a number
        self._run = 0  # packets that did so and are not accounted for
        self._discontinuity = True
        if self.is_video:
            self._depacketizer = depacketizer_for(self.codec)
            self.keyframes.need()

    @property
    def hurry_ns(self) -> int | None:
        """When a keyframe is to be asked for because a gap has lasted; None if there is none, or it is asked for."""
        deadline_ns = self.buffer.deadline_ns
        if deadline_ns is None or not self.is_video or self.keyframes.needed:
            return None
        return deadline_ns - VIDEO_HOLD_NS + KEYFRAME_AFTER_NS

    @property
    def deadlines(self) -> tuple[int | None, ...]:
        """When something is to be done about this source."""
        return self.buffer.deadline_ns, self.hurry_ns, self.requests.deadline_ns, self.keyframes.deadline_ns

    def completes_keyframe(self, packet: RtpPacket) -> bool:
        """Whether a packet that was just held behind a gap has made a keyframe whole there."""
        if not self.is_video:
            return False
        picture = self.buffer.held_picture(packet)
        depacketizer = depacketizer_for(self.codec)
        if not picture or not depacketizer.starts_unit(picture[0].payload):
            return False
        try:
            for part in picture:
                depacketizer.add(part.payload)
            finished = depacketizer.finish()
        except MalformedPayload:
            return False
        return finished is not None and finished[1]

    def take_report(self, ntp_time: int, rtp_time: int, arrival_ns: int) -> None:
        """Take the sender's report on this source."""
        self.statistics.sender_report(ntp_time, arrival_ns)
        self._clock.report(ntp_time, self._extend_time(rtp_time, arrival_ns))

    def expect_more(self, datagram: bytes) -> None:
        """Take note of a packet that was just taken: `take_run` will know those that follow it."""
        if not (self._skipping or datagram[0] & 0x2F or datagram[1] & 0x80):  # no padding, no CSRC, no marker bit
            self._next_header = int.from_bytes(datagram[:12]) + _ONE_ON

    def take_run(self, datagrams: Sequence[bytes], position: int, counters: Counters) -> int:
        """Take the datagrams from `position` on that plainly go on with the picture under way; return where they end.

        Plainly: nothing is missing, and the header (RFC 3550 section 5.1) is the one before but for the sequence
        number. Most packets are of that kind, neither the first nor the last of their picture.
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
        if packet.index == self._expected and packet.rtp_time == self._packet_time:  # goes on with the same picture
            self._expected += 1
            return self._add(packet, counters)
        return self._begin(packet, counters)

    def _take_audio(self, packet: RtpPacket, counters: Counters) -> Sequence[AccessUnit]:
        if packet.index != self._expected:
            self._discontinuity = True
        self._expected = packet.index + 1
        if not packet.payload:
            return _NOTHING
        self._take_time(packet)
        counters.audio_packets += 1
        return (self._unit(packet.payload, True, packet.arrival_ns),)

    def _begin(self, packet: RtpPacket, counters: Counters) -> Sequence[AccessUnit]:
        """Take a packet with which another picture begins, or which follows a gap."""
        units: Sequence[AccessUnit] = _NOTHING
        if packet.index != self._expected:
            counters.pictures_lost += not self._depacketizer.is_empty
            self._lose()
            # What follows a gap may lack its beginning, unless it can only be a beginning.
            self._skipping = not self._depacketizer.starts_unit(packet.payload)
            if self._skipping and packet.payload and packet.rtp_time != self._packet_time:
                counters.pictures_lost += 1  # another one than the one under way
        else:  # nothing was lost: a beginning, also where no marker bit was before it
            if not self._depacketizer.is_empty:
                units = self._finish(packet.arrival_ns, counters)
            self._skipping = False
        self._expected = packet.index + 1
        self._take_time(packet)
        self._packet_time = packet.rtp_time
        return (*units, *self._add(packet, counters))

    def _add(self, packet: RtpPacket, counters: Counters) -> Sequence[AccessUnit]:
        """Add a packet's payload to the picture under way; return the picture if it was its last."""
        if not self._skipping:
            self._add_payload(packet.payload, counters)
        if not packet.marker:
            return _NOTHING
        self._skipping = False
        return self._finish(packet.arrival_ns, counters)

    def _add_payload(self, payload: bytes, counters: Counters) -> None:
        try:
            self._depacketizer.add(payload)
        except MalformedPayload:
            self._refuse(counters)

    def _refuse(self, counters: Counters) -> None:
        """Give up the picture under way: one of its payloads is malformed."""
        counters.malformed += 1
        counters.pictures_malformed += 1
        self._lose()
        self._skipping = True

    def _finish(self, arrival_ns: int, counters: Counters) -> Sequence[AccessUnit]:
        try:
            finished = self._depacketizer.finish()
        except MalformedPayload:
            counters.malformed += 1
            counters.pictures_malformed += 1
            self._lose()
            return _NOTHING
        if finished is None:
            return _NOTHING
        data, is_keyframe = finished
        if is_keyframe:
            self.keyframes.satisfied()
        elif self._discontinuity:
            counters.pictures_awaiting_keyframe += 1
            self.keyframes.need()
            return _NOTHING
        counters.pictures += 1
        return (self._unit(data, is_keyframe, arrival_ns),)

    def _lose(self) -> None:
        self._depacketizer.reset()
        self._discontinuity = True
        self.keyframes.need()

    def _take_time(self, packet: RtpPacket) -> None:
        self._rtp_time = self._extend_time(packet.rtp_time, packet.arrival_ns)
        self._rtp_time_ns = packet.arrival_ns

    def _extend_time(self, rtp_time: int, arrival_ns: int) -> int:
        """Return the RTP time without its wrap: of all that it can be, the one nearest to what the arrival suggests.

        32 bits wrap after 13 hours at 90 kHz, and a still screen may send nothing for longer than that.
        """
        previous = self._rtp_time
        if previous < 0:
            return rtp_time + (1 << 32)
        elapsed = max(arrival_ns - self._rtp_time_ns, 0) * self.codec.clock_rate // 1_000_000_000
        return extend(previous + elapsed, rtp_time, 32)

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
