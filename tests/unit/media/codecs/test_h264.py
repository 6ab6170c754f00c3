"""The H.264 depacketizer, against packets that aiortc and libavformat made of libx264's pictures."""

import base64
import itertools
from collections.abc import Callable, Iterable

import av
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streamer.media.codecs.depacketizer import MAX_UNIT_BYTES, MalformedPayload
from streamer.media.codecs.h264 import H264Depacketizer
from tests.support.examples import examples
from tests.support.senders import (
    encoded,
    encoder,
    is_keyframe,
    nal_units,
    packets_by_aiortc,
    packets_by_libavformat,
    payloads,
)

PACKETIZERS: dict[str, Callable[[list[bytes]], Iterable[list[bytes]]]] = {
    "aiortc": packets_by_aiortc,
    "libavformat": packets_by_libavformat,
    "libavformat with small packets": lambda units: packets_by_libavformat(units, packet_size=100),
}
SPS, PPS, IDR = 7, 8, 5
SMALL = encoded(2)


def unit_of(depacketizer: H264Depacketizer, packets: Iterable[bytes]) -> tuple[bytes, bool] | None:
    for packet in packets:
        depacketizer.add(packet[12:])
    return depacketizer.finish()


def given_out(
    units: list[bytes], packetizer: Callable[[list[bytes]], Iterable[list[bytes]]]
) -> list[tuple[bytes, bool]]:
    depacketizer = H264Depacketizer()
    finished = [unit_of(depacketizer, packets) for packets in packetizer(units)]
    assert None not in finished
    return [unit for unit in finished if unit is not None]


def pictures(units: Iterable[bytes]) -> list[npt.NDArray[np.uint8]]:
    decoder = av.VideoCodecContext.create("h264", "r")
    decoder.thread_count = 1
    packets = [av.Packet(unit) for unit in units]
    return [
        frame.to_ndarray().astype(np.uint8)
        for frame in itertools.chain(*map(decoder.decode, packets), decoder.decode())
    ]


def types(annex_b: bytes) -> list[int]:
    return [unit[0] & 0x1F for unit in nal_units(annex_b)]


@pytest.mark.parametrize("slices", [1, 4])
@pytest.mark.parametrize("packetizer", PACKETIZERS)
def test_the_nal_units_come_out_bit_for_bit_and_the_keyframes_are_recognized(packetizer: str, slices: int) -> None:
    units = encoded(7, slices=slices, keyframe_every=3, noise=True)
    finished = given_out(units, PACKETIZERS[packetizer])
    assert [nal_units(data) for data, _ in finished] == [nal_units(unit) for unit in units]
    assert [keyframe for _, keyframe in finished] == [number % 3 == 0 for number in range(7)]


def test_single_nal_unit_mode_is_read_too() -> None:
    units = encoded(4, slices=8)
    finished = given_out(units, lambda made: packets_by_libavformat(made, packet_size=1400, mode=0))
    assert [nal_units(data) for data, _ in finished] == [nal_units(unit) for unit in units]


@pytest.mark.parametrize("packetizer", ["aiortc", "libavformat"])
def test_a_keyframe_of_more_than_400_packets_comes_out_whole(packetizer: str) -> None:
    units = encoded(1, size=(1280, 720), noise=True, x264=":qp=1")
    packets = next(iter(PACKETIZERS[packetizer](units)))
    assert len(packets) > 400
    finished = unit_of(H264Depacketizer(), packets)
    assert finished is not None
    assert nal_units(finished[0]) == nal_units(units[0])


def test_the_output_decodes_to_the_same_frames() -> None:
    units = encoded(6, slices=3, keyframe_every=4, noise=True)
    finished = given_out(units, packets_by_libavformat)
    for sent, received in zip(pictures(units), pictures(data for data, _ in finished), strict=True):
        assert np.array_equal(sent, received)


def test_parameter_sets_out_of_band_are_put_before_every_keyframe() -> None:
    context = encoder(in_band=False)
    units = encoded(5, keyframe_every=2, in_band=False)
    context.open()
    extradata = context.extradata or b""
    sprop = ",".join(base64.b64encode(unit).decode() for unit in nal_units(extradata))
    depacketizer = H264Depacketizer({"sprop-parameter-sets": sprop})
    finished = [unit_of(depacketizer, packets) for packets in packets_by_aiortc(units)]
    assert [unit is not None and unit[1] for unit in finished] == [True, False, True, False, True]
    for start in (0, 2, 4):  # a decoder may start at any of them
        data = [unit[0] for unit in finished[start:] if unit is not None]
        assert types(data[0])[:2] == [SPS, PPS]
        assert len(pictures(data)) == 5 - start


def test_a_keyframe_with_unknown_parameter_sets_is_not_one() -> None:
    (keyframe,) = encoded(1, in_band=False)
    finished = unit_of(H264Depacketizer(), next(packets_by_aiortc([keyframe])))
    assert finished is not None
    assert types(finished[0]).count(SPS) == 0
    assert not finished[1]


@pytest.mark.parametrize("withheld", [SPS, PPS])
def test_a_keyframe_with_half_of_its_parameter_sets_is_completed_or_not_one(withheld: int) -> None:
    first, second = encoded(2, keyframe_every=1)
    halved = [[unit for unit in nal_units(keyframe) if unit[0] & 0x1F != withheld] for keyframe in (first, second)]

    def finish(depacketizer: H264Depacketizer, units: list[bytes]) -> tuple[bytes, bool]:
        for unit in units:
            depacketizer.add(unit)
        finished = depacketizer.finish()
        assert finished is not None
        return finished

    assert not finish(H264Depacketizer(), halved[0])[1]
    knowing = H264Depacketizer()
    finish(knowing, nal_units(first))
    data, keyframe = finish(knowing, halved[1])
    assert keyframe
    assert len(pictures([data])) == 1


def test_parameter_sets_in_their_own_unit_wait_for_the_next_keyframe() -> None:
    depacketizer = H264Depacketizer()
    sps, pps, *rest = nal_units(SMALL[0])
    for unit in (sps, pps):
        depacketizer.add(unit)
    assert depacketizer.finish() is None
    for unit in rest:
        depacketizer.add(unit)
    finished = depacketizer.finish()
    assert finished is not None
    assert nal_units(finished[0]) == [sps, pps, *rest]
    assert finished[1]


def test_parameter_sets_are_distinguished_by_their_ids() -> None:
    """libx264 numbers both sets as configured; with ids 0, 1, 7, 30 and 31 each stays known, and each is replaced."""
    depacketizer = H264Depacketizer()
    newest: dict[int, list[bytes]] = {}
    for size, number in itertools.product([(160, 128), (128, 160)], [0, 1, 7, 30, 31]):
        units = nal_units(encoded(1, size=size, x264=f":sps-id={number}")[0])
        newest[number] = units[:2]
        for unit in units:
            depacketizer.add(unit)
        depacketizer.finish()
    depacketizer.add(nal_units(encoded(1, in_band=False)[0])[-1])
    finished = depacketizer.finish()
    assert finished is not None
    sets = nal_units(finished[0])[:-1]
    assert [unit for unit in sets if unit[0] & 0x1F == SPS] == [sps for sps, _ in newest.values()]
    assert [unit for unit in sets if unit[0] & 0x1F == PPS] == [pps for _, pps in newest.values()]


@pytest.mark.parametrize("text", ["", ",", "?", "Z0", "Zw==", "aA==,Zw==", "Z\u00e9==", "Z0LADdoFB+g=,"])
def test_invalid_parameter_sets_in_the_sdp_are_ignored(text: str) -> None:
    depacketizer = H264Depacketizer({"sprop-parameter-sets": text})
    assert unit_of(depacketizer, next(packets_by_aiortc(SMALL))) is not None


def test_only_a_delimiter_or_a_parameter_set_always_starts_a_unit() -> None:
    units = encoded(2, x264=":aud=1")
    for packetizer in PACKETIZERS.values():
        keyframe, other = packetizer(units)
        assert H264Depacketizer.starts_unit(keyframe[0][12:])
        assert H264Depacketizer.starts_unit(other[0][12:])
        assert not any(H264Depacketizer.starts_unit(packet[12:]) for packet in keyframe[1:] if packet[12] & 0x1F == 28)
    assert not H264Depacketizer.starts_unit(b"")
    assert not H264Depacketizer.starts_unit(nal_units(SMALL[1])[-1])


def fragmented(nal_unit: bytes, size: int) -> list[bytes]:
    """Return the FU-A payloads of what a packetizer takes for one NAL unit."""
    pieces = [nal_unit[start : start + size] for start in range(1, len(nal_unit), size)]
    flags = [0x80, *[0] * (len(pieces) - 2), 0x40]
    head = nal_unit[0] & 0xE0 | 28
    return [bytes((head, flag | nal_unit[0] & 0x1F)) + piece for flag, piece in zip(flags, pieces, strict=True)]


@given(st.data())
@examples(60)
def test_several_nal_units_sent_as_one_are_split_at_their_start_codes(data: st.DataObject) -> None:
    """The law: start codes of three or four bytes, before the first or not, in fragments or whole: the same frames."""
    depacketizer = H264Depacketizer()
    for unit in encoded(4, slices=data.draw(st.sampled_from([1, 3])), keyframe_every=3):
        units = nal_units(unit)
        codes = [data.draw(st.sampled_from([b"\x00\x00\x01", b"\x00\x00\x00\x01"])) for _ in units]
        if data.draw(st.booleans()):
            codes[0] = b""
        as_one = b"".join(itertools.chain.from_iterable(zip(codes, units, strict=True)))
        size = data.draw(st.sampled_from([20, 300, 0]))
        sent = fragmented(as_one, size) if 0 < size < len(as_one) - 1 else [as_one]
        for payload in sent:
            depacketizer.add(payload)
        assert depacketizer.starts_unit(sent[0]) == (units[0][0] & 0x1F == SPS)
        assert not depacketizer.goes_on(sent[0])
        finished = depacketizer.finish()
        assert finished is not None
        assert nal_units(finished[0]) == units
        assert finished[1] == is_keyframe(unit)


def hoarded(nal_type: int, number: int, size: int) -> bytes:
    """Return a parameter set that is no use, with an id of its own."""
    bits = f"{number + 1:b}"
    code = int(("0" * (len(bits) - 1) + bits).ljust(32, "1"), 2).to_bytes(4)
    return bytes((0x60 | nal_type,)) + (b"\x42\xc0\x0d" if nal_type == SPS else b"") + code + b"\x55" * size


@pytest.mark.parametrize("size", [10, 100, 1_000, 7_000, 60_000])
def test_hoarded_parameter_sets_cannot_make_small_keyframes_large(size: int) -> None:
    """The law: what is put before a keyframe has 64 NAL units and 8 KiB at the most; the sets in use stay known."""
    depacketizer = H264Depacketizer()
    for nal_type, count in ((SPS, 32), (PPS, 256)):
        for number in range(count):
            depacketizer.add(hoarded(nal_type, number, size))
            assert depacketizer.finish() is None
    sets, slices = nal_units(SMALL[0])[:2], nal_units(SMALL[0])[-1]
    for payload in sets:
        depacketizer.add(payload)
    assert depacketizer.finish() is None
    depacketizer.add(slices)
    finished = depacketizer.finish()
    assert finished is not None
    assert finished[1]
    assert len(finished[0]) <= 8192 + 64 * 4 + 4 + len(slices)
    assert set(sets) < set(nal_units(finished[0]))


def test_the_parameter_sets_before_a_keyframe_count_towards_its_size() -> None:
    depacketizer = H264Depacketizer()
    for payload in (*nal_units(SMALL[0])[:2], hoarded(PPS, 7, 7_000)):
        depacketizer.add(payload)
    assert depacketizer.finish() is None
    depacketizer.add(b"\x7c\x85" + bytes(60_000))
    while depacketizer._size + 66_000 < MAX_UNIT_BYTES:
        depacketizer.add(b"\x7c\x05" + bytes(60_000))
    rest = MAX_UNIT_BYTES - depacketizer._size - 1_000
    depacketizer.add(b"\x7c\x45" + bytes(rest))
    with pytest.raises(MalformedPayload, match="more than"):
        depacketizer.finish()
    assert depacketizer.is_empty


@pytest.mark.parametrize(
    "payload",
    [b"\x78" + b"\x00\x01\x09" * 20_000, b"\x09" + b"\x00\x00\x01\x09" * 16_000],
    ids=["an aggregate", "start codes"],
)
def test_a_frame_has_a_bounded_number_of_nal_units(payload: bytes) -> None:
    depacketizer = H264Depacketizer()
    with pytest.raises(MalformedPayload, match="8192 NAL units"):
        depacketizer.add(payload)


def test_a_frame_of_tiny_payloads_is_refused_before_they_fill_the_memory() -> None:
    depacketizer = H264Depacketizer()
    depacketizer.add(b"\x7c\x85x")
    with pytest.raises(MalformedPayload, match="more than"):
        for _ in range(260_000):
            depacketizer.add(b"\x7c\x05y")


REFRESHED = encoded(40, x264=":intra-refresh=1:keyint=20")


def recovers(unit: bytes) -> bool | None:
    """Whether a unit is a keyframe where a recovery point counts as one."""
    depacketizer = H264Depacketizer()
    for payload in payloads(unit):
        depacketizer.add(payload)
    finished = depacketizer.finish(may_recover=True)
    return finished and finished[1]


def test_a_recovery_point_is_a_keyframe_only_where_it_may_serve_as_one() -> None:
    assert [number for number, unit in enumerate(REFRESHED) if is_keyframe(unit)] == [0]
    assert [number for number, unit in enumerate(REFRESHED) if recovers(unit)] == [0, 20]
    finished = unit_of(H264Depacketizer(), list(packets_by_aiortc(REFRESHED))[20])
    assert finished is not None
    assert not finished[1]


def test_a_recovery_point_without_parameter_sets_gets_them_or_is_not_one() -> None:
    bare = [unit for unit in nal_units(REFRESHED[20]) if unit[0] & 0x1F not in {SPS, PPS}]
    assert not recovers(b"".join(b"\x00\x00\x01" + unit for unit in bare))
    depacketizer = H264Depacketizer()
    unit_of(depacketizer, next(packets_by_aiortc(REFRESHED)))
    for payload in bare:
        depacketizer.add(payload)
    finished = depacketizer.finish(may_recover=True)
    assert finished is not None
    assert finished[1]
    assert types(finished[0]) == [SPS, PPS, 6, 1]


def test_a_slice_continues_its_frame_unless_it_is_the_first() -> None:
    slices = [unit for unit in nal_units(encoded(1, slices=4)[0]) if unit[0] & 0x1F == IDR]
    for wrap in (
        lambda unit: unit,
        lambda unit: b"\x78" + len(unit).to_bytes(2) + unit,
        lambda unit: fragmented(unit, 20)[0],
        lambda unit: b"\x00\x00\x01" + unit,
    ):
        assert [H264Depacketizer.goes_on(wrap(unit)) for unit in slices] == [False, True, True, True]
    assert all(H264Depacketizer.goes_on(payload) for payload in fragmented(slices[0], 20)[1:])
    assert not any(map(H264Depacketizer.goes_on, [b"", b"\x67\x00", b"\x06\x00", b"\x65"]))


MALFORMED = {
    "a type that is of the interleaved mode": [b"\x79\x00\x00\x01\x65"],
    "a type that is undefined": [b"\x60abc"],
    "an FU-A without its header": [b"\x7c"],
    "an FU-A without its start": [b"\x7c\x05abc"],
    "an FU-A that starts inside another": [b"\x7c\x85abc", b"\x7c\x85abc"],
    "a STAP-A that ends inside a length": [b"\x78\x00\x01\x65\x00"],
    "a STAP-A whose unit does not fit": [b"\x78\x00\x05\x65"],
    "a STAP-A with an empty unit": [b"\x78\x00\x00"],
}


@pytest.mark.parametrize("fault", MALFORMED)
def test_a_malformed_payload_raises_and_the_next_unit_is_whole_again(fault: str) -> None:
    depacketizer = H264Depacketizer()
    *before, last = MALFORMED[fault]
    for payload in before:
        depacketizer.add(payload)
    with pytest.raises(MalformedPayload):
        depacketizer.add(last)
    depacketizer.reset()
    assert depacketizer.is_empty
    finished = unit_of(depacketizer, next(packets_by_aiortc(SMALL)))
    assert finished is not None
    assert nal_units(finished[0]) == nal_units(SMALL[0])


def test_a_unit_that_ends_inside_a_fragmented_nal_unit_is_malformed_and_dropped() -> None:
    depacketizer = H264Depacketizer()
    depacketizer.add(b"\x7c\x85abc")
    with pytest.raises(MalformedPayload):
        depacketizer.finish()
    assert depacketizer.is_empty
    assert depacketizer.finish() is None


def test_an_endless_unit_is_refused_before_it_fills_the_memory() -> None:
    depacketizer = H264Depacketizer()
    payload = b"\x7c\x05" + bytes(60_000)
    depacketizer.add(b"\x7c\x85" + bytes(60_000))
    with pytest.raises(MalformedPayload):
        for _ in range(16 * 1024 * 1024 // 60_000 + 1):
            depacketizer.add(payload)


headers = st.sampled_from(
    [b"\x7c\x85", b"\x7c\x05", b"\x7c\x45", b"\x78\x00\x03", b"\x67", b"\x68", b"\x65", b"\x41", b""]
)
any_payloads = st.lists(st.tuples(headers, st.binary(max_size=30)).map(b"".join), max_size=12)


@given(any_payloads)
@example([b"\x67\x42\x00\x0d\xff", b"\x68\x00\x00\x00", b"\x65"])
@examples(300)
def test_any_payloads_give_a_unit_or_the_documented_exception(payloads: list[bytes]) -> None:
    """The law: nothing but MalformedPayload is raised, and a picture that follows comes out whole."""
    depacketizer = H264Depacketizer()
    try:
        for payload in payloads:
            depacketizer.starts_unit(payload)
            depacketizer.add(payload)
        finished = depacketizer.finish()
    except MalformedPayload:
        depacketizer.reset()
    else:
        assert finished is None or finished[0].startswith(b"\x00\x00\x00\x01")
    assert depacketizer.is_empty
    after = unit_of(depacketizer, next(packets_by_aiortc(SMALL)))
    assert after is not None
    assert nal_units(after[0]) == nal_units(SMALL[0])
    assert after[1] is is_keyframe(SMALL[0])


@given(st.lists(st.binary(min_size=1, max_size=50).map(lambda data: bytes((0x41,)) + data), min_size=1, max_size=9))
def test_fragments_of_any_size_are_joined_to_what_was_cut(nal_bodies: list[bytes]) -> None:
    """The law: cutting NAL units into fragments as RFC 6184 section 5.8 says, at any place, and joining is identity."""
    depacketizer = H264Depacketizer()
    for body in nal_bodies:
        pieces = [body[1:][position : position + 7] for position in range(0, len(body) - 1, 7)]
        for number, piece in enumerate(pieces):
            flags = 0x80 * (number == 0) | 0x40 * (number == len(pieces) - 1)
            if len(pieces) == 1:
                depacketizer.add(body)  # a fragmented NAL unit has two fragments at least
            else:
                depacketizer.add(bytes((body[0] & 0xE0 | 28, flags | body[0] & 0x1F)) + piece)
    finished = depacketizer.finish()
    assert finished is not None
    assert finished[0] == b"".join(b"\x00\x00\x00\x01" + body for body in nal_bodies)
