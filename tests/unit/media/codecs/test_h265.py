"""The H.265 depacketizer: libx265's NAL units and parameter sets; for libavformat's see test_depacketizer_choice."""

import base64
import itertools

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.media.codecs.depacketizer import MAX_UNIT_BYTES, MalformedPayload
from streamer.media.codecs.h265 import H265Depacketizer
from tests.support.examples import examples
from tests.support.senders import ENCODERS, decoded, encoded_as, nal_units

VPS, SPS, PPS, DELIMITER, IDR, CRA, TRAIL = 32, 33, 34, 35, 19, 21, 1
UNITS = encoded_as("h265", 5, keyframe_every=2)
SETS = [unit for unit in nal_units(UNITS[0]) if unit[0] >> 1 in {VPS, SPS, PPS}]


def types(annex_b: bytes) -> list[int]:
    return [unit[0] >> 1 for unit in nal_units(annex_b)]


def finish(of: H265Depacketizer, payloads: list[bytes]) -> tuple[bytes, bool]:
    for payload in payloads:
        of.add(payload)
    finished = of.finish()
    assert finished is not None
    return finished


def bare(unit: bytes) -> list[bytes]:
    """Return the NAL units without parameter sets."""
    return [nal_unit for nal_unit in nal_units(unit) if nal_unit[0] >> 1 not in {VPS, SPS, PPS}]


def sprop(sets: list[bytes]) -> dict[str, str]:
    """Return the parameters of an SDP that has these sets."""
    found: dict[str, list[str]] = {}
    for nal_unit in sets:
        name = {VPS: "sprop-vps", SPS: "sprop-sps", PPS: "sprop-pps"}[nal_unit[0] >> 1]
        found.setdefault(name, []).append(base64.b64encode(nal_unit).decode())
    return {name: ",".join(texts) for name, texts in found.items()}


def test_parameter_sets_out_of_band_are_put_before_every_keyframe() -> None:
    of = H265Depacketizer(sprop(SETS))
    finished = [finish(of, bare(unit)) for unit in UNITS]
    assert [is_keyframe for _, is_keyframe in finished] == [True, False, True, False, True]
    for start in (0, 2, 4):  # a decoder may start at any of them
        data = [unit for unit, _ in finished[start:]]
        assert types(data[0])[:3] == [VPS, SPS, PPS]
        assert len(decoded("h265", data)) == 5 - start


def test_a_keyframe_with_unknown_parameter_sets_is_not_one() -> None:
    data, is_keyframe = finish(H265Depacketizer(), bare(UNITS[0]))
    assert nal_units(data) == bare(UNITS[0])
    assert not is_keyframe


@pytest.mark.parametrize("withheld", [VPS, SPS, PPS])
def test_a_keyframe_without_one_of_its_parameter_sets_is_completed_or_not_one(withheld: int) -> None:
    first, second = (
        [nal_unit for nal_unit in nal_units(UNITS[number]) if nal_unit[0] >> 1 != withheld] for number in (0, 2)
    )
    assert not finish(H265Depacketizer(), first)[1]
    knowing = H265Depacketizer()
    finish(knowing, nal_units(UNITS[0]))
    data, is_keyframe = finish(knowing, second)
    assert is_keyframe
    assert len(decoded("h265", [data])) == 1


def test_parameter_sets_in_their_own_unit_wait_for_the_next_keyframe() -> None:
    of = H265Depacketizer()
    for nal_unit in SETS:
        of.add(nal_unit)
    assert of.finish() is None
    data, is_keyframe = finish(of, bare(UNITS[0]))
    assert nal_units(data) == [*SETS, *bare(UNITS[0])]
    assert is_keyframe


def test_a_delimiter_stays_the_first_of_its_unit() -> None:
    delimiter = bytes((DELIMITER << 1, 1, 0x50))
    assert H265Depacketizer.starts_unit(delimiter)
    data, _ = finish(H265Depacketizer(sprop(SETS)), [delimiter, *bare(UNITS[0])])
    assert types(data)[:4] == [DELIMITER, VPS, SPS, PPS]
    assert len(decoded("h265", [data])) == 1


def sets_of(size: tuple[int, int], *, x265: str = "") -> list[bytes]:
    name, options = ENCODERS["h265"]
    context = av.CodecContext.create(name, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = *size, "yuv420p"
    context.options = {**options, "x265-params": options["x265-params"].replace("repeat-headers=1", "") + x265}
    context.flags |= 1 << 22  # global header
    context.open()
    return [unit for unit in nal_units(context.extradata or b"") if unit[0] >> 1 in {VPS, SPS, PPS}]


def numbered(nal_unit: bytes, number: int) -> bytes:
    """Return a PPS or a VPS with another id than 0."""
    bits = "".join(f"{byte:08b}" for byte in nal_unit[2:])
    if nal_unit[0] >> 1 == VPS:
        bits = f"{number:04b}" + bits[4:]
    else:
        code = f"{number + 1:b}"
        bits = "0" * (len(code) - 1) + code + bits[1:]
    bits += "0" * (-len(bits) % 8)
    return nal_unit[:2] + bytes(int(bits[start : start + 8], 2) for start in range(0, len(bits), 8))


def sps_with_profiles(filler: int) -> bytes:
    """Return a set that no installed encoder makes; its id is 5 (H.265 sections 7.3.2.2.1 and 7.3.3).

    Of three sub-layers the first has a profile and a level of its own, the second a level.
    """
    return bytes((SPS << 1, 1, 0x05, *[0x11] * 12, 0b11_01_0000, 0, *[filler] * 13, 0b00110_100))


def test_a_parameter_set_replaces_only_the_one_with_its_id() -> None:
    plain, with_sub_layers = sets_of((128, 160)), sets_of((160, 128), x265=":temporal-layers=2")
    assert b"\x00\x00\x03" in plain[1]
    others = [numbered(plain[0], 15), sps_with_profiles(0x90), numbered(plain[2], 1), numbered(plain[2], 63)]
    for first, last in itertools.permutations([plain, with_sub_layers]):
        of = H265Depacketizer()
        for nal_unit in (*first, sps_with_profiles(0x22), *others, *last):
            of.add(nal_unit)
        of.finish()
        data, _ = finish(of, bare(UNITS[0]))
        sets = [last[0], *others[:1], last[1], *others[1:2], last[2], *others[2:]]
        assert nal_units(data) == [*sets, *bare(UNITS[0])]


@pytest.mark.parametrize("text", ["", ",", "?", "Qg==", "QgE=", "Z\u00e9==", "QgEB", "RAHA,", "QgEO/w=="])
def test_invalid_parameter_sets_in_the_sdp_are_ignored(text: str) -> None:
    of = H265Depacketizer({"sprop-vps": text, "sprop-sps": text, "sprop-pps": text})
    data, is_keyframe = finish(of, nal_units(UNITS[0]))
    assert nal_units(data) == nal_units(UNITS[0])
    assert is_keyframe


@pytest.mark.parametrize("nal_type", range(32))
def test_keyframes_are_the_frames_at_which_a_decoder_may_start(nal_type: int) -> None:
    of = H265Depacketizer(sprop(SETS))
    assert finish(of, [bytes((nal_type << 1, 1, 0x80))])[1] == (nal_type in range(16, 22))


@given(st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=9), st.data())
def test_nal_units_cut_and_collected_in_any_way_come_out_unchanged(bodies: list[bytes], data: st.DataObject) -> None:
    """The law: single NAL unit packets, aggregation packets and fragmentation units, made as RFC 7798 sections 4.4.1 to
    4.4.3 say, of any NAL units, joined are those NAL units."""
    units = [bytes((TRAIL << 1, 1)) + body for body in bodies]
    payloads: list[bytes] = []
    for nal_unit in units:
        form = data.draw(st.sampled_from(["single", "aggregated", "cut"])) if len(nal_unit) > 3 else "single"
        if form == "cut":
            size = data.draw(st.integers(1, len(nal_unit) - 3))
            pieces = [nal_unit[start : start + size] for start in range(2, len(nal_unit), size)]
            flags = [0x80, *[0] * (len(pieces) - 2), 0x40]
            payloads += [bytes((49 << 1, 1, flag | TRAIL)) + piece for flag, piece in zip(flags, pieces, strict=True)]
        elif form == "aggregated" and payloads and payloads[-1][0] >> 1 in {48, TRAIL}:
            first = payloads.pop()
            head = first if first[0] >> 1 == 48 else bytes((48 << 1, 1)) + len(first).to_bytes(2) + first
            payloads.append(head + len(nal_unit).to_bytes(2) + nal_unit)
        else:
            payloads.append(nal_unit)
    joined, _ = finish(H265Depacketizer(), payloads)
    assert joined == b"".join(b"\x00\x00\x00\x01" + unit for unit in units)


def fragmented(nal_unit: bytes, size: int) -> list[bytes]:
    """Return the fragmentation units of what a packetizer takes for one NAL unit."""
    pieces = [nal_unit[start : start + size] for start in range(2, len(nal_unit), size)]
    flags = [0x80, *[0] * (len(pieces) - 2), 0x40]
    head = bytes((nal_unit[0] & 0x81 | 49 << 1, nal_unit[1]))
    return [head + bytes((flag | nal_unit[0] >> 1 & 0x3F,)) + part for flag, part in zip(flags, pieces, strict=True)]


@given(st.data())
@examples(60)
def test_several_nal_units_sent_as_one_are_split_at_their_start_codes(data: st.DataObject) -> None:
    """The law: start codes of three or four bytes, before the first or not, in fragments or whole: the same frames."""
    of = H265Depacketizer()
    for number, unit in enumerate(UNITS):
        units = nal_units(unit)
        codes = [data.draw(st.sampled_from([b"\x00\x00\x01", b"\x00\x00\x00\x01"])) for _ in units]
        if data.draw(st.booleans()):
            codes[0] = b""
        as_one = b"".join(itertools.chain.from_iterable(zip(codes, units, strict=True)))
        size = data.draw(st.sampled_from([20, 300, 0]))
        sent = fragmented(as_one, size) if 0 < size < len(as_one) - 2 else [as_one]
        assert of.starts_unit(sent[0]) == (units[0][0] >> 1 == VPS)
        assert not of.goes_on(sent[0])
        joined, is_keyframe = finish(of, sent)
        assert nal_units(joined) == units
        assert is_keyframe == (number % 2 == 0)


@pytest.mark.parametrize("size", [10, 1_000, 60_000])
def test_hoarded_parameter_sets_cannot_make_small_keyframes_large(size: int) -> None:
    """The law: what is put before a keyframe has 64 NAL units and 8 KiB at the most; the sets in use stay known."""
    of = H265Depacketizer()
    for number in range(64):
        of.add(
            bytes((PPS << 1, 1))
            + int(f"{1:0{number.bit_length()}b}{number:b}".ljust(24, "1"), 2).to_bytes(3)
            + bytes(size)
        )
        assert of.finish() is None
    for nal_unit in SETS:
        of.add(nal_unit)
    assert of.finish() is None
    joined, is_keyframe = finish(of, bare(UNITS[0]))
    assert is_keyframe
    assert set(SETS) < set(nal_units(joined))
    assert len(joined) <= 8192 + 66 * 4 + sum(map(len, bare(UNITS[0])))


def test_the_parameter_sets_before_a_keyframe_count_towards_its_size() -> None:
    of = H265Depacketizer()
    for nal_unit in (*SETS, bytes((PPS << 1, 1, 0x40)) + bytes(7_000)):
        of.add(nal_unit)
    assert of.finish() is None
    of.add(bytes((49 << 1, 1, 0x80 | IDR)) + bytes(60_000))
    while of._size + 66_000 < MAX_UNIT_BYTES:
        of.add(bytes((49 << 1, 1, IDR)) + bytes(60_000))
    of.add(bytes((49 << 1, 1, 0x40 | IDR)) + bytes(MAX_UNIT_BYTES - of._size - 1_000))
    with pytest.raises(MalformedPayload, match="more than"):
        of.finish()
    assert of.is_empty


def test_a_recovery_point_is_a_keyframe_only_where_it_may_serve_as_one() -> None:
    sei = bytes.fromhex("4e01 0602 0514 80")  # recovery_poc_cnt 20
    of = H265Depacketizer(sprop(SETS))
    for may_recover in (True, False):
        for payload in (sei, *bare(UNITS[1])):
            of.add(payload)
        finished = of.finish(may_recover=may_recover)
        assert finished is not None
        assert finished[1] == may_recover
        assert types(finished[0])[:3] == ([VPS, SPS, PPS] if may_recover else [39, TRAIL])


def test_a_slice_continues_its_frame_unless_it_is_the_first() -> None:
    first, later = bytes((IDR << 1, 1, 0x80)) + bytes(40), bytes((IDR << 1, 1, 0x40)) + bytes(40)
    for wrap in (
        lambda unit: unit,
        lambda unit: b"\x60\x01" + len(unit).to_bytes(2) + unit,
        lambda unit: fragmented(unit, 20)[0],
        lambda unit: b"\x00\x00\x01" + unit,
    ):
        assert [H265Depacketizer.goes_on(wrap(unit)) for unit in (first, later)] == [False, True]
    assert all(map(H265Depacketizer.goes_on, fragmented(first, 20)[1:]))
    assert not any(map(H265Depacketizer.goes_on, [b"", SETS[0], b"\x28\x01"]))


def test_the_end_of_a_sequence_is_a_header_alone() -> None:
    joined, _ = finish(H265Depacketizer(), [*nal_units(UNITS[0]), b"\x48\x01"])
    assert nal_units(joined) == [*nal_units(UNITS[0]), b"\x48\x01"]


MALFORMED = {
    "a type that carries control information": [b"\x64\x01abc"],
    "a type that is undefined": [b"\x7e\x01abc"],
    "a NAL unit without its header": [b"\x02"],
    "a NAL unit without content": [b"\x02\x01"],
    "a fragmentation unit without its header": [b"\x62\x01"],
    "a fragmentation unit without content": [b"\x62\x01\x81"],
    "a fragmentation unit without its start": [b"\x62\x01\x01abc"],
    "a fragmentation unit that starts inside another": [b"\x62\x01\x81abc", b"\x62\x01\x81abc"],
    "an aggregation packet that ends inside a length": [b"\x60\x01\x00\x03\x02\x01a\x00"],
    "an aggregation packet whose unit does not fit": [b"\x60\x01\x00\x05\x02\x01a"],
    "an aggregation packet with an empty unit": [b"\x60\x01\x00\x00"],
}


@pytest.mark.parametrize("fault", MALFORMED)
def test_a_malformed_payload_raises_and_the_next_unit_is_whole_again(fault: str) -> None:
    of = H265Depacketizer()
    *before, last = MALFORMED[fault]
    for payload in before:
        of.add(payload)
    with pytest.raises(MalformedPayload):
        of.add(last)
    of.reset()
    assert nal_units(finish(of, nal_units(UNITS[0]))[0]) == nal_units(UNITS[0])


def test_a_unit_that_ends_inside_a_fragmented_nal_unit_is_malformed_and_dropped() -> None:
    of = H265Depacketizer()
    of.add(b"\x62\x01\x81abc")
    with pytest.raises(MalformedPayload, match="without an end"):
        of.finish()
    assert of.is_empty
    assert of.finish() is None


def test_an_aggregation_packet_starts_a_unit_if_its_first_nal_unit_does() -> None:
    for nal_unit, first in itertools.product([SETS[0], SETS[1], bare(UNITS[1])[0]], [True, False]):
        second = SETS[0] if not first else nal_unit
        one = nal_unit if first else bare(UNITS[1])[0]
        aggregate = b"\x60\x01" + b"".join(len(unit).to_bytes(2) + unit for unit in (one, second))
        assert H265Depacketizer.starts_unit(aggregate) == (one == SETS[0])
