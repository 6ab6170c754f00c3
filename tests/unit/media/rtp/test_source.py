"""Where a frame ends: senders that mark frames, slices, NAL units or nothing, in virtual time."""

import itertools
import struct
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.media.access_unit import AccessUnit
from streamer.media.rtp.receiver import Receiver
from streamer.media.rtp.source import PROBATION_NS, QUIET_NS, MarkerBits
from tests.support.examples import examples
from tests.support.senders import H264, MS, VIDEO, encoded, encoded_as, is_keyframe, nal_units, rtp

FRAME_NS = 33 * MS


def sliced(unit: bytes) -> bytes:
    """Return an H.265 access unit with three slices more, which say that they are not their frame's first."""
    last = nal_units(unit)[-1]
    return unit + b"".join(b"\x00\x00\x01" + last[:2] + bytes((place << 3,)) + last[3:] for place in (1, 2, 3))


H265 = encoded_as("h265", 9, keyframe_every=4, noise=True)
STREAMS = {
    "h264": {slices: encoded(9, slices=slices, keyframe_every=4, noise=True) for slices in (1, 4)},
    "h265": {1: H265, 4: [*map(sliced, H265)]},
}
STYLES = ("frames", "slices", "NAL units", "nothing")
Packets = list[list[tuple[int, bytes]]]  # of each frame: when each leaves, and the packet


def receiver(codec: str = "h264", *, marker_bits: MarkerBits | None = None) -> Receiver:
    track = replace(VIDEO, codecs={96: replace(H264, name=codec)}, feedback=frozenset({"nack pli"}))
    return Receiver([track], own_ssrc=9, cname="name", marker_bits=marker_bits)


def payloads_of(codec: str, nal_unit: bytes, size: int) -> list[bytes]:
    """Return the payloads of a NAL unit: it alone, or its fragments."""
    if len(nal_unit) <= size:
        return [nal_unit]
    header = 1 if codec == "h264" else 2
    pieces = [nal_unit[start : start + size] for start in range(header, len(nal_unit), size)]
    flags = [0x80, *[0] * (len(pieces) - 2), 0x40] if len(pieces) > 1 else [0xC0]
    if codec == "h264":
        return [
            bytes((nal_unit[0] & 0xE0 | 28, f | nal_unit[0] & 0x1F)) + p for f, p in zip(flags, pieces, strict=True)
        ]
    head = bytes((nal_unit[0] & 0x81 | 49 << 1, nal_unit[1]))
    return [head + bytes((f | nal_unit[0] >> 1 & 0x3F,)) + p for f, p in zip(flags, pieces, strict=True)]


def is_slice(codec: str, nal_unit: bytes) -> bool:
    return nal_unit[0] & 0x1F in {1, 5} if codec == "h264" else nal_unit[0] >> 1 & 0x3F < 32


def packets(
    codec: str, units: Iterable[bytes], style: str, *, size: int = 300, step_ns: int = 0, number: int = 0
) -> Packets:
    """Return a sender's packets; `number` is the first frame's. Its frames are FRAME_NS apart."""
    sequence_numbers = itertools.count(65_000 + 1_000 * number)
    made: Packets = []
    for frame, unit in enumerate(units, start=number):
        whole = nal_units(unit)
        sent: list[tuple[int, bytes]] = []
        for place, nal_unit in enumerate(whole, start=1):
            parts = payloads_of(codec, nal_unit, size)
            for part, payload in enumerate(parts, start=1):
                ends = part == len(parts)
                marker = (
                    ends
                    and {
                        "frames": place == len(whole),
                        "slices": is_slice(codec, nal_unit),
                        "NAL units": True,
                        "nothing": False,
                    }[style]
                )
                at_ns = frame * FRAME_NS + len(sent) * step_ns
                sent.append((at_ns, rtp(payload, next(sequence_numbers), 3000 * frame, marker=marker)))
        made.append(sent)
    return made


def play(to: Receiver, made: Packets, *, until_ns: int | None = None) -> list[tuple[int, AccessUnit]]:
    """Hand packets over at their times, do what is due between them, and return each unit with the time it left."""
    left: list[tuple[int, AccessUnit]] = []

    def poll(until: int) -> None:
        while (now_ns := to.deadline_ns) is not None and now_ns <= until:
            left.extend((now_ns, unit) for unit in to.poll(now_ns))
            to.take_rtcp()
            assert to.deadline_ns is None or to.deadline_ns > now_ns

    for at_ns, packet in itertools.chain.from_iterable(made):
        poll(at_ns)
        left += [(at_ns, unit) for unit in to.receive([packet], at_ns)]
    poll(made[-1][-1][0] + 1_000 * MS if until_ns is None else until_ns)
    return left


def frame_of(unit: AccessUnit) -> int:
    return (unit.rtp_time - (1 << 32)) // 3000


def check(units: list[bytes], left: list[tuple[int, AccessUnit]]) -> list[int]:
    """Hold what left against what was sent; return the frames' numbers."""
    for _, unit in left:
        slices = [nal_unit for nal_unit in nal_units(units[frame_of(unit)]) if is_slice(unit.codec.name, nal_unit)]
        assert [nal_unit for nal_unit in nal_units(unit.data) if is_slice(unit.codec.name, nal_unit)] == slices
    return [frame_of(unit) for _, unit in left]


@pytest.mark.parametrize("codec", STREAMS)
@given(st.sampled_from([1, 4]), st.sampled_from(STYLES), st.sampled_from([60, 300, 5_000]), st.integers(0, MS // 2))
@examples(80)
def test_the_same_frames_come_out_however_a_sender_cuts_and_marks_them(
    codec: str, slices: int, style: str, size: int, step_ns: int
) -> None:
    """The law: any number of slices, in packets of any size, each, the last or none with a marker bit: every frame
    comes out once, whole and in order, the last one too, though nothing follows it."""
    units = STREAMS[codec][slices]
    made = packets(codec, units, style, size=size, step_ns=step_ns)
    by = receiver(codec)
    left = play(by, made)
    assert check(units, left) == [*range(len(units))]
    assert [unit.is_keyframe for _, unit in left] == [number % 4 == 0 for number in range(9)]
    assert not any(unit.discontinuity for _, unit in left[1:])
    counted = by.counters
    assert (counted.frames_lost, counted.frames_malformed, counted.malformed) == (0, 0, 0)
    last_ns = made[-1][-1][0]
    assert left[-1][0] <= last_ns + QUIET_NS
    assert left[-1][1].arrival_ns == last_ns


@pytest.mark.parametrize("codec", STREAMS)
@pytest.mark.parametrize("slices", [1, 4])
def test_marked_frames_leave_at_once_except_the_first(codec: str, slices: int) -> None:
    made = packets(codec, STREAMS[codec][slices], "frames")
    left = play(receiver(codec), made)
    assert [at_ns for at_ns, _ in left[1:]] == [sent[-1][0] for sent in made[1:]]
    assert left[0][0] == PROBATION_NS
    assert left[0][1].arrival_ns == 0


def test_a_phones_next_connection_begins_with_what_its_marker_bits_proved() -> None:
    marker_bits = MarkerBits()
    by, successor = receiver(marker_bits=marker_bits), receiver(marker_bits=marker_bits)
    units = STREAMS["h264"][1]
    play(by, packets("h264", units[:2], "frames"))
    made = packets("h264", units, "frames")
    assert [at_ns for at_ns, _ in play(successor, made)] == [sent[-1][0] for sent in made]


def test_a_next_connection_whose_marker_bits_mean_something_else_adapts() -> None:
    """The law: what another connection has proved costs at most the frames up to the next keyframe."""
    for proved, style in itertools.product(STYLES, STYLES):
        marker_bits = MarkerBits()
        units = STREAMS["h264"][4]
        play(receiver(marker_bits=marker_bits), packets("h264", units, proved))
        left = play(receiver(marker_bits=marker_bits), packets("h264", units, style))
        whole = [unit for unit in left if frame_of(unit[1]) >= 4]
        assert check(units, whole) == [4, 5, 6, 7, 8]


def test_the_first_frame_leaves_with_the_packet_after_it_if_that_arrives_soon() -> None:
    first, second = packets("h264", STREAMS["h264"][1][:2], "frames")
    by = receiver()
    assert play(by, [first], until_ns=MS) == []
    (unit,) = by.receive([second[0][1]], 2 * MS)
    assert nal_units(unit.data) == nal_units(STREAMS["h264"][1][0])
    assert unit.arrival_ns == 0


@pytest.mark.parametrize("style", ["slices", "NAL units", "nothing"])
def test_each_frame_of_a_moving_screen_leaves_with_the_next_one(style: str) -> None:
    made = packets("h264", STREAMS["h264"][4], style)
    left = play(receiver(), made)
    assert [at_ns for at_ns, _ in left[1:-1]] == [sent[0][0] for sent in made[2:]]
    assert left[-1][0] == made[-1][-1][0] + QUIET_NS


def test_a_sender_that_begins_to_mark_slices_costs_one_frame_and_a_keyframe_is_needed() -> None:
    units = STREAMS["h264"][4]
    by = receiver()
    made = packets("h264", units[:2], "frames") + packets("h264", units[2:], "slices", number=2)
    first = struct.unpack_from("!H", made[0][0][1], 2)[0]
    flat = [(at_ns, data) for sent in made for at_ns, data in sent]
    renumbered = [[(at_ns, data[:2] + struct.pack("!H", first + n) + data[4:])] for n, (at_ns, data) in enumerate(flat)]
    left = play(by, renumbered)
    assert [frame_of(unit) for _, unit in left] == [0, 1, 2, 4, 5, 6, 7, 8]  # the third is cut; the fifth is a keyframe
    assert check(units, left[:2] + left[3:]) == [0, 1, 4, 5, 6, 7, 8]
    assert left[3][1].discontinuity
    assert by.counters.frames_awaiting_keyframe == 1


@pytest.mark.parametrize("codec", STREAMS)
@given(st.data())
@examples(60)
def test_no_part_of_a_frame_comes_out_whatever_is_lost(codec: str, data: st.DataObject) -> None:
    """The law: of a sender that marks slices, once that is known, every unit given out is a frame that was sent."""
    units = STREAMS[codec][4]
    made = packets(codec, units, data.draw(st.sampled_from(["slices", "NAL units", "nothing"])), step_ns=MS // 10)
    count = sum(map(len, made))
    chances = iter(data.draw(st.binary(min_size=count, max_size=count)))  # one draw for each packet takes far longer
    for sent in made[1:]:
        for packet in list(sent[:-1] if sent is made[-1] else sent):
            if next(chances) > 238:  # one of fifteen
                sent.remove(packet)
    made = [sent for sent in made if sent]
    left = play(receiver(codec), made)
    numbers = check(units, left)
    for number, previous, (_, unit) in zip(numbers[1:], numbers, left[1:], strict=False):
        assert number == previous + 1 or (number > previous and unit.is_keyframe and unit.discontinuity)


def test_a_frame_does_not_end_in_silence_while_a_packet_is_missing() -> None:
    first, second = packets("h264", STREAMS["h264"][4][:2], "slices")
    by = receiver()
    play(by, [first], until_ns=QUIET_NS)
    by.receive([second[0][1]], FRAME_NS)
    begun_ns = 200 * MS
    assert not play(by, [[(begun_ns + number, packet) for number, (_, packet) in enumerate(second) if number != 1]],
                    until_ns=begun_ns + 2 * QUIET_NS)  # fmt: skip
    (unit,) = [*by.receive([second[1][1]], begun_ns + 2 * QUIET_NS), *by.poll(begun_ns + 4 * QUIET_NS)]
    assert nal_units(unit.data) == nal_units(STREAMS["h264"][4][1])


REFRESHED = encoded(70, size=(160, 128), x264=":intra-refresh=1:keyint=20")


def test_a_stream_without_keyframes_begins_at_a_recovery_point() -> None:
    by = receiver()
    made = packets("h264", REFRESHED, "frames")
    left = play(by, made[5:])
    assert [frame_of(unit) for _, unit in left] == [*range(20, 70)]
    assert left[0][1].is_keyframe
    assert not any(unit.is_keyframe for _, unit in left[1:])
    assert not any(map(is_keyframe, (unit.data for _, unit in left)))


def test_after_a_loss_a_stream_without_keyframes_goes_on_at_a_recovery_point() -> None:
    made = packets("h264", REFRESHED, "frames")
    made[30] = made[30][:-1]
    left = play(receiver(), made)
    assert [frame_of(unit) for _, unit in left] == [*range(30), *range(40, 70)]
    assert [frame_of(unit) for _, unit in left if unit.is_keyframe] == [0, 40]
    assert left[30][1].discontinuity


def test_a_recovery_point_answers_a_keyframe_request_and_otherwise_is_no_keyframe() -> None:
    by = receiver()
    made = packets("h264", REFRESHED, "frames")
    left = play(by, made[:45])
    by.request_keyframe(made[44][-1][0])
    left += play(by, made[45:])
    assert [frame_of(unit) for _, unit in left if unit.is_keyframe] == [0, 60]
    assert not left[60][1].discontinuity


def test_a_new_ssrc_with_every_packet_costs_no_more_than_the_first() -> None:
    """The law: neither sources nor anything else is kept of an SSRC that another has followed."""
    by = receiver()
    for number in range(3_000):
        by.receive([rtp(b"\x41\x80", number, 0, marker=True, ssrc=number)], number * MS)
        assert len(by._sources) == 1
    assert by.counters.plis == 10
