"""Targets of media: RTP and RTCP, what each codec's packets hold, and what a recording is made of."""

import base64
import contextlib
import io
from collections.abc import Callable
from typing import Final

import av

from streamer.errors import RecordingError
from streamer.media.access_unit import AccessUnit
from streamer.media.codecs.depacketizer import MAX_UNIT_BYTES, MalformedPayload
from streamer.media.codecs.depacketizer_choice import depacketizer_for
from streamer.media.codecs.frame_reordering import Reordering
from streamer.media.codecs.nal import sprop
from streamer.media.codecs.parameter_sets import SequenceSet, h264_sequence_set, h265_sequence_set
from streamer.media.recording.containers import FRAGMENT_S, MATROSKA, MP4, MPEG_TS, WEBM
from streamer.media.recording.mp4 import video_sample
from streamer.media.recording.muxers import open_media
from streamer.media.rtp.feedback import RetransmissionRequests
from streamer.media.rtp.jitter_buffer import CAPACITY
from streamer.media.rtp.packet import find_extension, parse_rtp, unwrap_rtx
from streamer.media.rtp.receiver import Receiver
from streamer.media.rtp.rtcp import parse_rtcp
from streamer.tracks import Codec, Track
from tests.fuzz.inputs import VIDEO_CODECS, packets, rtp_packet

_FEEDBACK: Final = frozenset({"nack", "nack pli", "ccm fir", "transport-cc", "goog-remb"})


def rtp(data: bytes) -> None:
    """A datagram → a packet, its header extensions, and what it retransmits."""
    for wanted in range(16):
        element = find_extension(data, wanted)
        assert element is None or (1 <= len(element) <= 16 and element in data)
    packet = parse_rtp(data, 0)
    if packet is not None:
        assert len(packet.payload) <= len(data) - 12
        original = unwrap_rtx(packet, payload_type=96, ssrc=1)
        assert original is None or len(original.payload) == len(packet.payload) - 2


def rtcp(data: bytes) -> None:
    """A datagram → sender reports and goodbyes, not more than fit into it."""
    assert len(list(parse_rtcp(data))) <= len(data) / 4


def depacketizer_of(codec: str) -> Callable[[bytes], None]:
    def depacketize(data: bytes) -> None:
        depacketizer = depacketizer_for(Codec(name=codec, clock_rate=90_000, parameters=_parameters(data)))
        taken = 0
        for length, payload in packets(data):
            depacketizer.starts_unit(payload)
            depacketizer.goes_on(payload)
            try:
                depacketizer.add(payload)
                taken += len(payload)
                if length & 0x80:
                    taken = 0
                    finished = depacketizer.finish(may_recover=bool(length & 0x40))
                    assert depacketizer.is_empty
                    assert not depacketizer.may_be_whole
                    if finished is not None:
                        assert 0 < len(finished[0]) <= MAX_UNIT_BYTES + 65536
            except MalformedPayload:
                depacketizer.reset()
                assert depacketizer.is_empty

    return depacketize


def receiver(data: bytes) -> None:
    """Datagrams and times of any kind, and new negotiations in between: nothing is raised, and the bounds hold."""
    tracks = _tracks(data[0] if data else 0)
    made = Receiver(tracks, own_ssrc=1, cname="fuzz")
    now_ns, sequence_number, rtp_time = 10**12, 65_530, 4_294_960_000
    for kind, content in packets(data[1:]):
        step = content[0] if content else 0
        now_ns += (step & 0x3F) << (step >> 6) * 10  # up to 63 ns, µs, ms or s
        match kind & 0x07:
            case 0:
                made.receive([content], now_ns)
            case 1 | 2 | 3:  # a packet that belongs to a stream, and may jump in it
                jump = content[1] if len(content) > 1 else 1
                sequence_number += 1 if jump < 128 else jump - 192
                rtp_time += 3000 if jump & 1 else 0
                marker, payload_type = kind & 0x80, (96, 97, 111, 98)[kind >> 3 & 0x03]
                packet = rtp_packet(marker | payload_type, sequence_number, rtp_time, content[2:], jump & 3 == 3)
                made.receive([packet], now_ns)
            case 4:
                made.receive_rtcp(content, now_ns)
            case 5:
                made.poll(now_ns)
            case 6:
                made.request_keyframe(now_ns)
            case _:
                made.set_tracks(_tracks(step))
        for _ in range(1 + CAPACITY // RetransmissionRequests.MAX_PER_MESSAGE):  # so many messages may be due at once
            if made.deadline_ns is None or made.deadline_ns > now_ns:
                break
            made.poll(now_ns)
        assert made.deadline_ns is None or made.deadline_ns > now_ns, "the event loop would be kept busy"
        assert all(len(message) <= 9000 for message in made.take_rtcp())
        assert len(made._sources) <= 2
        for source in made._sources.values():
            assert len(source.buffer._held) + len(source.buffer.missing) <= CAPACITY
            assert source.buffer._budget.bytes == sum(len(packet.payload) for packet in source.buffer._held.values())
            source.report(now_ns)
    assert made.packets_lost >= 0
    assert made.jitter_s >= 0


def recording(data: bytes) -> None:
    """Any bytes as a keyframe → a file that can be written, or the error that says what cannot."""
    if not data:
        return
    codec, container = VIDEO_CODECS[data[0] % 5], (MP4, MATROSKA, WEBM, MPEG_TS)[data[0] // 5 % 4]
    unit = AccessUnit(
        kind="video",
        codec=Codec(name=codec, clock_rate=90_000),
        data=data[1:],
        rtp_time=0,
        ssrc=1,
        is_keyframe=True,
        discontinuity=False,
        arrival_ns=0,
    )
    assert sum(map(len, video_sample(codec, unit.data))) <= 2 * len(unit.data) + 4
    if codec not in container.codecs:
        return
    with contextlib.suppress(RecordingError, OSError, av.FFmpegError):
        made = open_media(io.BytesIO(), container, unit, has_audio=False)
        try:
            made.write(unit, 0)
            made.flush(int(2e9 * FRAGMENT_S))
        finally:
            made.abandon()


def parameter_sets(data: bytes) -> None:
    """Access units of H.264 and H.265 → the same for a decoder: an SPS stays as it is, or one that differs in order."""
    for codec, parse in (("h264", h264_sequence_set), ("h265", h265_sequence_set)):
        reordering = Reordering(codec)
        for kind, content in packets(data):
            if kind & 1 and (known := parse(content)) is not None:
                for frames in (0, kind >> 4 if codec == "h264" else min(kind >> 4, 15)):
                    _check_sequence_set(known, parse, frames)
            reordering.add(content)
            prepared = reordering.prepared(content)
            assert len(prepared) <= len(content) + 64 * 64
            if reordering.can_delay and kind & 2:
                reordering.begin()


def _check_sequence_set(known: SequenceSet, parse: Callable[[bytes], SequenceSet | None], frames: int) -> None:
    written = known.with_reordering(frames)
    again = parse(written)
    assert again is not None
    assert again.reorder == frames
    assert (again.set_id, again.poc_bits, again.frame_num_bits) == (known.set_id, known.poc_bits, known.frame_num_bits)
    assert (again.has_fields, again.has_separate_planes) == (known.has_fields, known.has_separate_planes)
    assert (again._before, again._after) == (known._before, known._after)
    assert again.with_reordering(frames) == written
    if written != known.nal_unit:
        assert not any(pattern in written for pattern in (b"\0\0\0", b"\0\0\1", b"\0\0\2"))


def _parameters(data: bytes) -> dict[str, str]:
    """Return parameters of an SDP whose parameter sets are the first packet's bytes."""
    first = base64.b64encode(next(packets(data), (0, b""))[1]).decode()
    assert all(isinstance(nal_unit, bytes) for nal_unit in sprop(first))
    return dict.fromkeys(("sprop-parameter-sets", "sprop-vps", "sprop-sps", "sprop-pps"), first)


def _tracks(choice: int) -> list[Track]:
    codec, other = VIDEO_CODECS[choice % 5], VIDEO_CODECS[choice // 5 % 5]
    video = Track(
        kind="video",
        mid="0",
        codecs={96: Codec(name=codec, clock_rate=90_000), 98: Codec(name=other, clock_rate=90_000)},
        rtx={97: 96} if choice & 1 else {},
        feedback=_FEEDBACK if choice & 2 else frozenset(),
        transport_cc_id=3 if choice & 4 else 0,
        abs_send_time_id=0 if choice & 4 else 3,
        reduced_size_rtcp=bool(choice & 8),
    )
    audio = Track(kind="audio", mid="1", codecs={111: Codec(name="opus", clock_rate=48_000, channels=2)})
    return [video, audio]
