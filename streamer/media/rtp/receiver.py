"""Turns one transport's RTP and RTCP into access units and RTCP: it connects the stages of the media path.

    receive(datagrams) → parse → retransmissions unwrapped → JitterBuffer → depacketizer → AccessUnit
    poll(now)          → gaps given up, feedback that is due

Sans-I/O: call `receive` with the decrypted RTP datagrams that were read from the socket together, `receive_rtcp` with
each RTCP datagram, and `poll` no later than `deadline_ns`. After each call send what `take_rtcp` returns.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from streamer.media.access_unit import AccessUnit
from streamer.media.rtp.bandwidth import BandwidthEstimator
from streamer.media.rtp.feedback import KeyframeRequests, RoundTripTime, TransportFeedback
from streamer.media.rtp.packet import RtpPacket, find_extension, parse_rtp, unwrap_rtx
from streamer.media.rtp.rtcp import (
    Goodbye,
    SenderReport,
    full_intra_request,
    negative_acknowledgement,
    parse_rtcp,
    picture_loss_indication,
    receiver_estimated_maximum_bitrate,
    receiver_report,
    source_description,
)
from streamer.media.rtp.source import Counters, MarkerBits, Source
from streamer.media.wraparound import extend
from streamer.tracks import Track

_MS: Final = 1_000_000
_NOTHING: Final = ()
REPORT_INTERVAL_NS: Final = 1_000 * _MS
FOLLOWING: Final = 8  # packets that `request_following` asks for: more than are lost in a row


class Receiver:
    """Receives the tracks that share one transport.

    `marker_bits` is what the phone's other connections have learned about its marker bits.
    """

    def __init__(
        self, tracks: Iterable[Track], *, own_ssrc: int, cname: str, marker_bits: MarkerBits | None = None
    ) -> None:
        self.counters = Counters()
        self.round_trip = RoundTripTime()
        self.own_ssrc = own_ssrc
        self.deadline_ns: int | None = None  # call `poll` no later; None before the first packet
        self.has_rtcp = False  # whether `take_rtcp` has something to send
        self._description = source_description(own_ssrc, cname)
        self._outgoing: list[bytes] = []
        self._sources: dict[int, Source] = {}
        self._report_ns: int | None = None
        self._transport_feedback = TransportFeedback()
        self._bandwidth = BandwidthEstimator(self.round_trip)
        self._media_ssrc = 0
        self._closed_lost = 0
        self._marker_bits = marker_bits or MarkerBits()
        self._latest: Source | None = None  # the video source whose packet came last
        self.set_tracks(tracks)

    def set_tracks(self, tracks: Iterable[Track]) -> None:
        """Take the tracks of a new negotiation. Sources whose payload types are still negotiated stay."""
        self._tracks = {payload_type: track for track in tracks for payload_type in (*track.codecs, *track.rtx)}
        # Either extension tells how a packet was sent. The two differ in length.
        transport_cc_id = max((track.transport_cc_id for track in self._tracks.values()), default=0)
        abs_send_time_id = max((track.abs_send_time_id for track in self._tracks.values()), default=0)
        self._arrival_id = transport_cc_id or abs_send_time_id
        self._reduced_size = all(track.reduced_size_rtcp for track in self._tracks.values())
        for source in [source for source in self._sources.values() if source.payload_type not in self._tracks]:
            self._close_source(source.ssrc)

    def receive(self, datagrams: Sequence[bytes], arrival_ns: int) -> list[AccessUnit]:
        """Take decrypted RTP datagrams in order of arrival; return the access units that they complete."""
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
        if source.keyframes.needed or source.quiet_since_ns is not None:
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
        """Do what is due; return the access units that this completes."""
        units: list[AccessUnit] = []
        for source in self._sources.values():
            deadline_ns = source.buffer.deadline_ns
            if deadline_ns is not None and deadline_ns <= now_ns:
                units += source.release(source.buffer.give_up(now_ns), self.counters)
            if source.quiet_since_ns is not None and source.is_quiet(now_ns):
                units += source.end_quiet(self.counters)
            if source.keyframe_deadline_ns is not None and source.keyframe_deadline_ns <= now_ns:
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
        """Return the RTCP messages to send, each once."""
        outgoing, self._outgoing, self.has_rtcp = self._outgoing, [], False
        return outgoing

    def request_keyframe(self, now_ns: int) -> None:
        """Request a keyframe from every video source, now and again until one comes."""
        for source in self._sources.values():
            if source.track.kind == "video":
                source.keyframes.need()
                self._feedback_of(source, now_ns)

    def request_following(self) -> None:
        """Ask for the packets of video after the newest one, by NACK, in case they were sent and lost.

        No gap shows that they are missing, as long as nothing follows them. A sender sends again what it has sent, and
        passes over numbers that it has not used yet: aiortc does [seen], phones do [assumed].
        """
        for source in self._sources.values():
            if source.is_video and "nack" in source.track.feedback and not source.buffer.missing:
                self.counters.nacks += 1
                self._send(negative_acknowledgement(self.own_ssrc, source.ssrc, source.following(FOLLOWING)))

    @property
    def packets_lost(self) -> int:
        """How many packets were given up: neither they nor a retransmission came in time."""
        return self._closed_lost + sum(source.buffer.lost for source in self._sources.values())

    @property
    def is_video_incomplete(self) -> bool:
        """Whether something of the video is known to be missing; it may still come."""
        return any(source.is_video and source.is_incomplete for source in self._sources.values())

    @property
    def jitter_s(self) -> float:
        """The interarrival jitter of video, in seconds."""
        return max(
            (s.statistics.jitter / s.codec.clock_rate for s in self._sources.values() if s.is_video), default=0.0
        )

    def _open_source(self, packet: RtpPacket, track: Track) -> Source:
        # A track has one source: a sender that restarts uses a new SSRC, and no longer the old one.
        keyframes = KeyframeRequests()
        for former in [source for source in self._sources.values() if source.track.mid == track.mid]:
            keyframes = former.keyframes  # so that new SSRCs do not make the requests more frequent
            self._close_source(former.ssrc)
        source = Source(
            packet.ssrc,
            packet.payload_type,
            track,
            round_trip=self.round_trip,
            keyframes=keyframes,
            marker_bits=self._marker_bits,
        )
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

    def _insert(self, source: Source, packet: RtpPacket, *, by_rtx: bool = False) -> list[AccessUnit]:
        source.settle()
        buffer = source.buffer
        if buffer.missing:
            missing = buffer.missing.get(extend(next(iter(buffer.missing)), packet.sequence_number, 16))
            if missing is not None:
                # Without RTX, a retransmission looks like any packet: a packet that was requested counts as one.
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

    def _feedback_of(self, source: Source, now_ns: int) -> None:
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
