"""The receiving path from RTP bytes to access units, against packets that other software made, and against models."""

import base64
import fractions
import itertools
import random
import socket
import struct
from collections.abc import Iterator

import av
import numpy as np
import pytest
from aiortc.codecs.h264 import H264Encoder
from aiortc.rtp import RtcpPacket, RtcpPsfbPacket, RtcpRrPacket, RtcpRtpfbPacket, RtcpSdesPacket
from av.video.frame import PictureType
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.media import rtcp
from streamer.media.feedback import ReceptionStatistics, TransportFeedback
from streamer.media.h264 import H264Depacketizer, MalformedPayload, parameter_sets
from streamer.media.jitter import JitterBuffer
from streamer.media.receiver import Receiver
from streamer.media.rtp import RtpPacket, extend, find_extension, parse_rtp
from streamer.media.units import AccessUnit
from streamer.tracks import Codec, Track

MS = 1_000_000
H264 = Codec(name="h264", clock_rate=90_000)
OPUS = Codec(name="opus", clock_rate=48_000, channels=2)
VIDEO = Track(kind="video", mid="0", codecs={96: H264}, rtx={97: 96}, feedback=frozenset({"nack", "nack pli"}))
AUDIO = Track(kind="audio", mid="1", codecs={111: OPUS})


def rtp(
    payload: bytes, sequence_number: int, rtp_time: int, *, marker: bool = False, pt: int = 96, ssrc: int = 1
) -> bytes:
    return (
        struct.pack("!BBHII", 0x80, marker << 7 | pt, sequence_number & 0xFFFF, rtp_time & 0xFFFFFFFF, ssrc) + payload
    )


def packet(sequence_number: int, arrival_ns: int = 0, rtp_time: int = 0) -> RtpPacket:
    return RtpPacket(96, False, sequence_number & 0xFFFF, rtp_time, 1, b"x", arrival_ns)


def encoded(pictures: int, *, size: tuple[int, int] = (320, 240), slices: int = 1, noise: bool = False) -> list[bytes]:
    """Return access units that libx264 made: a keyframe first, then pictures that move."""
    encoder = av.VideoCodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = *size, "yuv420p"
    encoder.framerate = fractions.Fraction(30)
    encoder.options = {
        "tune": "zerolatency",
        "preset": "ultrafast",
        "x264-params": f"annexb=1:repeat-headers=1:slices={slices}:scenecut=0:qp={1 if noise else 30}",
    }
    generator = np.random.default_rng(1)
    units = []
    for number in range(pictures):
        image = np.full((size[1], size[0]), 40 + 10 * number % 200, dtype=np.uint8)
        if noise:
            image = generator.integers(0, 256, (size[1], size[0]), dtype=np.uint8)
        frame = av.VideoFrame.from_ndarray(image, format="gray").reformat(format="yuv420p")
        frame.pict_type = PictureType.I if number == 0 else PictureType.NONE
        units += [bytes(made) for made in encoder.encode(frame)]
    return units


def nal_units(annex_b: bytes) -> list[bytes]:
    return [bytes(unit) for unit in H264Encoder._split_bitstream(annex_b)]


def packetized(units: list[bytes]) -> Iterator[bytes]:
    """Yield the RTP packets that aiortc's own packetiser makes of access units."""
    sequence_number = 65_500
    for number, unit in enumerate(units):
        payloads = H264Encoder._packetize(H264Encoder._split_bitstream(unit))
        for index, payload in enumerate(payloads):
            yield rtp(payload, sequence_number, 4_294_900_000 + 3000 * number, marker=index == len(payloads) - 1)
            sequence_number += 1


def receive(packets: list[bytes], *, interval_ns: int = MS, receiver: Receiver | None = None) -> list[AccessUnit]:
    receiver = receiver or Receiver([VIDEO, AUDIO], own_ssrc=9, cname="t")
    units = []
    for number, data in enumerate(packets):
        units += receiver.receive(data, number * interval_ns)
    return units


# RTP


@given(st.binary(max_size=64))
def test_any_bytes_are_a_packet_or_none(data: bytes) -> None:
    """The law: parsing never raises, and a payload lies inside the datagram."""
    parsed = parse_rtp(data, 0)
    assert parsed is None or parsed.payload in data
    for wanted in range(1, 15):
        element = find_extension(data, wanted)
        assert element is None or element in data


@given(st.integers(0, 1 << 40), st.integers(-30_000, 30_000))
def test_a_counter_is_extended_to_the_nearest_value(previous: int, step: int) -> None:
    assert extend(previous, (previous + step) & 0xFFFF, 16) == previous + step


def test_header_extensions_contributing_sources_and_padding_are_left_out_of_the_payload() -> None:
    extension = b"\xbe\xde\x00\x02" + b"\x31\xab\xcd" + b"\x00" + b"\x10a" + b"\x00\x00"
    head = struct.pack("!BBHII", 0x80 | 0x20 | 0x10 | 2, 0x80 | 96, 7, 90, 5) + bytes(8)
    datagram = head + extension + b"payload" + b"\x00\x00\x03"
    parsed = parse_rtp(datagram, 0)
    assert parsed is not None
    assert (parsed.payload, parsed.marker, parsed.sequence_number) == (b"payload", True, 7)
    assert find_extension(datagram, 3) == b"\xab\xcd"
    assert find_extension(datagram, 1) == b"a"
    assert find_extension(datagram, 2) is None


# The jitter buffer


@given(st.data(), st.integers(0, 65_535), st.integers(1, 200))
def test_packets_leave_once_in_order_and_all_that_came_leave(data: st.DataObject, first: int, count: int) -> None:
    """The law: for any loss, duplication and reordering, indices leave in rising order, each once.

    After the hold time, everything has left that came before its successors did; without loss, everything.
    """
    numbers = list(range(first, first + count))
    kept = [number for number in numbers if data.draw(st.integers(0, 9)) or number == first]
    order = sorted(kept[1:], key=lambda number: number + data.draw(st.integers(0, 20)))
    arrivals = [first, *itertools.chain.from_iterable([n] * data.draw(st.integers(1, 2)) for n in order)]
    buffer = JitterBuffer(hold_ns=100)
    left: list[int] = []
    for number in arrivals:
        left += [released.sequence_number for released in buffer.insert(packet(number), 0)]
    left += [released.sequence_number for released in buffer.give_up(100)]
    assert left == [number & 0xFFFF for number in kept]
    assert buffer.deadline_ns is None
    assert buffer.lost == (kept[-1] - first + 1) - len(kept)


def test_a_gap_holds_back_what_follows_until_its_time_is_over() -> None:
    buffer = JitterBuffer(hold_ns=50)
    assert len(buffer.insert(packet(1), 0)) == 1
    assert buffer.insert(packet(3), 10) == []
    assert buffer.insert(packet(5), 20) == []
    assert buffer.deadline_ns == 60
    assert buffer.give_up(59) == []
    assert [released.sequence_number for released in buffer.give_up(60)] == [3]
    assert [released.sequence_number for released in buffer.insert(packet(4), 65)] == [4, 5]
    assert buffer.insert(packet(2), 66) == []
    assert (buffer.lost, buffer.late) == (1, 1)


def test_a_jump_wider_than_the_buffer_starts_anew() -> None:
    buffer = JitterBuffer(hold_ns=50, capacity=100)
    buffer.insert(packet(1), 0)
    buffer.insert(packet(3), 0)
    (restarted,) = buffer.insert(packet(20_000), 0)
    assert restarted.sequence_number == 20_000
    assert buffer.restarts == 1
    assert not buffer.missing
    assert len(buffer.insert(packet(20_001), 0)) == 1


# H.264


@pytest.mark.parametrize("slices", [1, 4])
def test_what_another_packetiser_made_comes_out_bit_for_bit(slices: int) -> None:
    units = encoded(8, slices=slices)
    received = receive(list(packetized(units)))
    assert [nal_units(unit.data) for unit in received] == [nal_units(unit) for unit in units]
    assert [unit.is_keyframe for unit in received] == [True] + [False] * 7
    assert [unit.rtp_time - received[0].rtp_time for unit in received] == [3000 * number for number in range(8)]


def test_a_keyframe_of_more_than_400_packets_is_routine() -> None:
    units = encoded(2, size=(1280, 720), noise=True)
    packets = list(packetized(units))
    assert len(packets) > 400
    assert len(receive(packets)) == 2


def test_what_libavformat_sends_comes_out_decodable() -> None:
    """Its RTP muxer writes to a UDP socket of the test's own, on loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(5)
        units = encoded(5)
        with av.open(f"rtp://127.0.0.1:{listener.getsockname()[1]}?pkt_size=600", "w", format="rtp") as muxer:
            stream = muxer.add_stream("libx264", rate=30)
            stream.width, stream.height, stream.time_base = 320, 240, fractions.Fraction(1, 30)
            for number, unit in enumerate(units):
                made = av.Packet(unit)
                made.stream, made.pts, made.dts = stream, number, number
                made.time_base = fractions.Fraction(1, 30)
                muxer.mux(made)
            packets: list[bytes] = []
            while sum(data[1] >> 7 for data in packets) < 5:
                data = listener.recv(2000)
                if not 192 <= data[1] <= 223:
                    packets.append(data[:1] + bytes((data[1] & 0x80 | 96,)) + data[2:])
    decoder = av.VideoCodecContext.create("h264", "r")
    received = receive(packets)
    pictures = [picture for unit in received for picture in decoder.decode(av.Packet(unit.data))]
    assert len(received) == 5
    assert len(pictures) == 5


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_any_payloads_give_units_or_the_documented_exception(payloads: list[bytes]) -> None:
    """The law: nothing but MalformedPayload is raised, and after `reset` the depacketizer is as new."""
    depacketizer = H264Depacketizer()
    try:
        for payload in payloads:
            depacketizer.starts_unit(payload)
            depacketizer.add(payload)
        depacketizer.finish()
    except MalformedPayload:
        depacketizer.reset()
        assert depacketizer.is_empty


def test_parameter_sets_from_the_sdp_are_put_before_a_keyframe_without_them() -> None:
    units = encoded(1)
    sps, pps, *rest = nal_units(units[0])
    sprop = ",".join(base64.b64encode(unit).decode() for unit in (sps, pps))
    depacketizer = H264Depacketizer({"sprop-parameter-sets": sprop})
    for unit in rest:
        depacketizer.add(unit)
    finished = depacketizer.finish()
    assert finished is not None
    data, is_keyframe = finished
    assert is_keyframe
    assert nal_units(data)[:2] == [sps, pps]
    assert nal_units(parameter_sets(data)) == [sps, pps]


def test_a_keyframe_whose_parameter_sets_nobody_knows_is_none() -> None:
    depacketizer = H264Depacketizer()
    depacketizer.add(nal_units(encoded(1)[0])[-1])
    finished = depacketizer.finish()
    assert finished is not None
    assert not finished[1]


# The receiver


@given(st.integers(0, 2**32), st.floats(0, 0.5))
@settings(max_examples=40, deadline=None)
def test_whatever_is_lost_only_whole_pictures_that_can_be_decoded_come_out(seed: int, loss: float) -> None:
    """The law: every unit given out was sent, in order; after a loss the next is a keyframe."""
    chance = random.Random(seed)
    units = [unit for _ in range(3) for unit in SOME_UNITS]
    packets = [data for data in packetized(units) if chance.random() >= loss]
    receiver = Receiver([VIDEO], own_ssrc=9, cname="t")
    received = receive(packets, interval_ns=200 * MS, receiver=receiver)
    received += receiver.poll(1 << 60)
    position = -1
    for unit in received:
        number = (unit.rtp_time - (1 << 32) - 4_294_900_000) // 3000
        assert nal_units(unit.data) == nal_units(units[number])
        assert number > position
        assert number == position + 1 or unit.is_keyframe
        position = number


@given(st.lists(st.binary(min_size=1, max_size=80), max_size=30))
def test_any_datagrams_are_survived(datagrams: list[bytes]) -> None:
    """The law: no bytes raise, whether they are taken for RTP or for RTCP."""
    receiver = Receiver([VIDEO, AUDIO], own_ssrc=9, cname="t")
    for number, data in enumerate(datagrams):
        receiver.receive(data, number * MS)
        receiver.receive(bytes((0x90, 0x80 | 96)) + data, number * MS)
        receiver.receive_rtcp(data, number * MS)
        receiver.receive_rtcp(bytes((0x80, 200)) + data, number * MS)
        receiver.poll(number * MS)
    for message in receiver.take_rtcp():
        RtcpPacket.parse(message)


def test_a_picture_leaves_on_its_marker_bit() -> None:
    packets = list(packetized(encoded(2)))
    receiver = Receiver([VIDEO], own_ssrc=9, cname="t")
    counts = [len(receiver.receive(data, 0)) for data in packets]
    assert counts == [data[1] >> 7 for data in packets]


def test_a_sender_without_marker_bits_gives_its_pictures_one_later() -> None:
    units = encoded(4)
    packets = [data[:1] + bytes((data[1] & 0x7F,)) + data[2:] for data in packetized(units)]
    assert [nal_units(unit.data) for unit in receive(packets)] == [nal_units(unit) for unit in units[:3]]


def test_a_lost_packet_that_is_sent_again_completes_its_picture() -> None:
    packets = list(packetized(encoded(3, size=(640, 480), noise=True)))
    receiver = Receiver([VIDEO], own_ssrc=9, cname="t")
    lost = packets.pop(20)
    received = receive(packets, receiver=receiver)
    assert len(received) == 0
    asked = [message for message in parsed(receiver) if isinstance(message, RtcpRtpfbPacket)]
    assert asked[0].lost == [struct.unpack_from("!H", lost, 2)[0]]
    again = rtp(
        lost[2:4] + lost[12:], 500, struct.unpack_from("!I", lost, 4)[0], marker=bool(lost[1] >> 7), pt=97, ssrc=2
    )
    assert len(receiver.receive(again, 100 * MS)) == 3
    assert receiver.counters.recovered == 1
    assert receiver.packets_lost == 0


def test_a_keyframe_is_asked_for_at_the_start_and_again_until_it_comes() -> None:
    packets = list(packetized(encoded(3)))
    receiver = Receiver([VIDEO], own_ssrc=9, cname="t")
    receiver.receive(rtp(b"\x41no keyframe", 65_499, 0, marker=True), 0)

    def asked() -> int:
        return sum(isinstance(message, RtcpPsfbPacket) and message.fmt == 1 for message in parsed(receiver))

    assert asked() == 1
    receiver.poll(299 * MS)
    assert asked() == 0
    receiver.poll(300 * MS)
    assert asked() == 1
    assert receive(packets, receiver=receiver)[0].is_keyframe
    receiver.poll(900 * MS)
    assert asked() == 0


def test_sound_is_given_out_packet_by_packet_and_reordering_is_waited_for() -> None:
    receiver = Receiver([VIDEO, AUDIO], own_ssrc=9, cname="t")
    sent = [rtp(bytes((number,)), number, 960 * number, pt=111) for number in range(1, 6)]
    received = [unit for index in (0, 2, 1, 3, 4) for unit in receiver.receive(sent[index], 0)]
    assert [unit.data for unit in received] == [bytes((number,)) for number in range(1, 6)]
    assert {(unit.kind, unit.codec.name, unit.is_keyframe) for unit in received} == {("audio", "opus", True)}


def test_a_sender_report_tells_when_pictures_were_captured() -> None:
    receiver = Receiver([VIDEO], own_ssrc=9, cname="t")
    units = encoded(2)
    packets = list(packetized(units))
    first = receiver.receive(packets[0], 0) + [u for data in packets[1:] for u in receiver.receive(data, 0)]
    assert first[0].captured_ns is None
    ntp = (2_208_988_800 + 1_000_000_000) << 32
    receiver.receive_rtcp(struct.pack("!BBHIQIII", 0x80, 200, 6, 1, ntp, 4_294_900_000, 0, 0), 0)
    more = receiver.receive(rtp(nal_units(units[1])[-1], 65_500 + len(packets), 4_294_900_000 + 90_000, marker=True), 0)
    assert more[0].captured_ns == 1_000_000_001_000_000_000


# Feedback, read by parsers that others wrote


def parsed(receiver: Receiver) -> list[object]:
    return [message for data in receiver.take_rtcp() for message in RtcpPacket.parse(data)]


@given(st.sets(st.integers(0, 200), min_size=1))
def test_a_nack_names_exactly_what_is_missing(offsets: set[int]) -> None:
    numbers = [(65_400 + offset) & 0xFFFF for offset in sorted(offsets)]
    (message,) = RtcpPacket.parse(rtcp.negative_acknowledgement(1, 2, numbers))
    assert isinstance(message, RtcpRtpfbPacket)
    assert [number & 0xFFFF for number in message.lost] == numbers  # aiortc 1.16 does not wrap them


def test_reports_are_what_rfc_3550_says() -> None:
    statistics = ReceptionStatistics(5, 90_000)
    for number in (65_530, 65_531, 65_533, 2, 3):  # of ten, five came
        statistics.add(packet(number, arrival_ns=number))
    statistics.sender_report(0x0123456789ABCDEF, 1_000_000_000)
    block = statistics.report(1_500_000_000)
    data = rtcp.receiver_report(7, [block]) + rtcp.source_description(7, "me@here")
    report, description = RtcpPacket.parse(data)
    assert isinstance(report, RtcpRrPacket)
    (info,) = report.reports
    assert (info.ssrc, info.packets_lost, info.fraction_lost) == (5, 5, 128)
    assert info.highest_sequence == 65_536 + 3
    assert (info.lsr, info.dlsr) == (0x456789AB, 32_768)
    assert isinstance(description, RtcpSdesPacket)
    assert description.chunks[0].items == [(1, b"me@here")]


def test_jitter_follows_the_formula_of_rfc_3550() -> None:
    statistics = ReceptionStatistics(5, 90_000)
    expected, last = 0.0, None
    for number, arrival_ms in enumerate((0, 33, 70, 99, 140, 166)):
        statistics.add(packet(number, arrival_ns=arrival_ms * MS, rtp_time=number * 3000))
        transit = arrival_ms * 90 - number * 3000
        if last is not None:
            expected += (abs(transit - last) - expected) / 16
        last = transit
    assert statistics.jitter == pytest.approx(expected)


def decoded_feedback(data: bytes) -> dict[int, int | None]:
    """Return arrival times in µs by sequence number, read as draft-holmer-rmcat-transport-wide-cc section 3.1 says."""
    _, _, _, _, _, base, count, reference = struct.unpack_from("!BBHIIHHI", data)
    time_us = (reference >> 8) * 64_000
    position = 20
    symbols: list[int] = []
    while len(symbols) < count:
        (chunk,) = struct.unpack_from("!H", data, position)
        position += 2
        if chunk >> 15 == 0:
            symbols += [chunk >> 13 & 3] * (chunk & 0x1FFF)
        elif chunk >> 14 & 1:
            symbols += [chunk >> shift & 3 for shift in range(12, -1, -2)]
        else:
            symbols += [chunk >> shift & 1 for shift in range(13, -1, -1)]
    times: dict[int, int | None] = {}
    for offset, symbol in enumerate(symbols[:count]):
        number = (base + offset) & 0xFFFF
        if symbol == 0:
            times[number] = None
            continue
        (delta,) = struct.unpack_from("!B" if symbol == 1 else "!h", data, position)
        position += symbol
        time_us += delta * 250
        times[number] = time_us
    return times


@given(
    st.integers(0, 65_535), st.lists(st.tuples(st.integers(1, 30), st.integers(0, 90_000)), min_size=1, max_size=300)
)
def test_congestion_feedback_tells_what_came_and_when(first: int, steps: list[tuple[int, int]]) -> None:
    """The law: read back, the messages name every packet that came, at its time to 250 µs, and none that did not."""
    feedback = TransportFeedback()
    number, time_us, sent = first, 1_000_000, {}
    for step, wait_us in steps:
        number, time_us = number + step, time_us + wait_us
        sent[number & 0xFFFF] = time_us
        feedback.add(number & 0xFFFF, time_us * 1000)
    messages = feedback.due(1 << 62, 1, 2)
    told = {n: time for message in messages for n, time in decoded_feedback(message).items() if time is not None}
    assert told.keys() == sent.keys()
    for n, time in told.items():
        assert 0 <= sent[n] - time < 250
    for message in messages:
        assert len(message) % 4 == 0
        assert struct.unpack_from("!H", message, 2)[0] == len(message) // 4 - 1


SOME_UNITS = encoded(4)
