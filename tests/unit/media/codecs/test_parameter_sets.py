"""SPS of H.264 and H.265: what encoders wrote and what chance writes, read and rewritten."""

from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import Any

import av
import pytest
from av.video.frame import PictureType
from hypothesis import given
from hypothesis import strategies as st

from streamer.media.codecs.bits import BitReader, BitWriter, SyntaxViolation, escaped, unescaped
from streamer.media.codecs.nal import annex_b
from streamer.media.codecs.parameter_sets import (
    MAX_SET_BYTES,
    PictureSet,
    SequenceSet,
    h264_picture_set,
    h264_sequence_set,
    h264_slice_order,
    h265_picture_set,
    h265_sequence_set,
    h265_slice_order,
)
from tests.support.senders import allowing_reordering, drawn, encoded, encoded_as, nal_units, without_vui

# Bits


@given(
    st.lists(st.one_of(st.tuples(st.just("u"), st.integers(0, 255)), st.tuples(st.just("ue"), st.integers(0, 70_000))))
)
def test_written_bits_are_read_back(codes: list[tuple[str, int]]) -> None:
    writer = BitWriter()
    for kind, value in codes:
        if kind == "u":
            writer.u(value, 8)
        else:
            writer.ue(value)
    payload = writer.payload()
    assert unescaped(escaped(payload)) == payload
    assert not any(pattern in escaped(payload) for pattern in (b"\0\0\0", b"\0\0\1", b"\0\0\2"))
    reader = BitReader(payload)
    for kind, value in codes:
        assert (reader.u(8) if kind == "u" else reader.ue()) == value
    assert reader.rest() == (0, 0)


@given(st.binary(max_size=40))
def test_emulation_prevention_is_undone(payload: bytes) -> None:
    assert unescaped(escaped(payload + b"\x80")) == payload + b"\x80"


def test_missing_bits_are_a_violation() -> None:
    with pytest.raises(SyntaxViolation):
        BitReader(b"\x00").u(9)
    with pytest.raises(SyntaxViolation):
        BitReader(b"\x00").ue()
    with pytest.raises(SyntaxViolation):
        BitReader(b"\x00").rest()


# What chance writes


class Chance:
    """Writes what hypothesis draws."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.writer = BitWriter()
        self.said: dict[str, Any] = {"has_separate_planes": False}

    def bits(self, count: int) -> None:
        self.writer.u(self.draw(st.integers(0, (1 << count) - 1)), count)

    def codes(self, *limits: int) -> None:
        for limit in limits:
            self.writer.ue(self.draw(st.integers(0, limit)))

    def flag(self) -> bool:
        value: bool = self.draw(st.booleans())
        self.writer.u(value, 1)
        return value

    def say(self, name: str, least: int, most: int) -> int:
        value: int = self.draw(st.integers(least, most))
        self.said[name] = value
        self.writer.ue(value - (4 if name.endswith("_bits") else 0))
        return value


@st.composite
def h264_sets(draw: Any) -> tuple[bytes, dict[str, Any]]:
    """Return an SPS as section 7.3.2.1.1 has it, of any contents, and what it says."""
    chance = Chance(draw)
    profile = draw(st.sampled_from([66, 77, 88, 100, 110, 122, 244]))
    chance.writer.u(profile, 8)
    chance.bits(16)
    chance.say("set_id", 0, 31)
    if profile >= 100:
        _formats(chance)
    chance.say("frame_num_bits", 4, 16)
    kind = draw(st.integers(0, 2))
    chance.writer.ue(kind)
    chance.said["always_ordered"], chance.said["poc_bits"] = kind == 2, 0
    if kind == 0:
        chance.say("poc_bits", 4, 16)
    elif kind == 1:
        chance.bits(1)
        chance.codes(60_000, 60_000)
        count = draw(st.integers(0, 5))
        chance.writer.ue(count)
        chance.codes(*[500] * count)
    chance.say("references", 0, 16)
    chance.bits(1)
    chance.codes(300, 300)
    chance.said["has_fields"] = not chance.flag()
    chance.bits(1 + chance.said["has_fields"])
    if chance.flag():
        chance.codes(15, 15, 15, 15)
    chance.said["reorder"] = None
    if chance.flag():
        _vui(chance)
    return b"\x67" + escaped(chance.writer.payload()), chance.said


def _formats(chance: Chance) -> None:
    chroma = chance.draw(st.integers(0, 3))
    chance.writer.ue(chroma)
    if chroma == 3:
        chance.said["has_separate_planes"] = chance.flag()
    chance.codes(6, 6)
    chance.bits(1)
    if not chance.flag():
        return
    for number in range(12 if chroma == 3 else 8):
        last = 8
        for _ in range((16 if number < 6 else 64) if chance.flag() else 0):
            delta = chance.draw(st.integers(-8, 8))
            chance.writer.ue(2 * delta - 1 if delta > 0 else -2 * delta)
            last = (last + delta) % 256
            if last == 0:
                break


def _vui(chance: Chance) -> None:
    if chance.flag():
        ratio = chance.draw(st.sampled_from([0, 1, 16, 255]))
        chance.writer.u(ratio, 8)
        chance.bits(32 if ratio == 255 else 0)
    chance.bits(chance.flag())
    if chance.flag():
        chance.bits(4)
        chance.bits(24 * chance.flag())
    if chance.flag():
        chance.codes(5, 5)
    chance.bits(65 * chance.flag())
    hrd = [_hrd(chance), _hrd(chance)]
    chance.bits(1 + any(hrd))
    if chance.flag():
        chance.bits(1)
        chance.codes(16, 16, 16, 16)
        chance.say("reorder", 0, 16)
        chance.codes(16)


def _hrd(chance: Chance) -> bool:
    is_there = chance.flag()
    if is_there:
        count = chance.draw(st.integers(1, 4))
        chance.writer.ue(count - 1)
        chance.bits(8)
        for _ in range(count):
            chance.codes((1 << 32) - 2, (1 << 32) - 2)
            chance.bits(1)
        chance.bits(20)
    return is_there


@st.composite
def h265_sets(draw: Any) -> tuple[bytes, dict[str, Any]]:
    """Return an SPS as section 7.3.2.2 has it, up to what is of interest, then bits of chance."""
    chance = Chance(draw)
    chance.bits(4)
    layers = draw(st.integers(0, 6))
    chance.writer.u(layers, 3)
    chance.bits(97)
    present = [(chance.flag(), chance.flag()) for _ in range(layers)]
    chance.writer.u(0, 2 * (8 - layers) if layers else 0)
    for has_profile, has_level in present:
        chance.bits(88 * has_profile + 8 * has_level)
    chance.say("set_id", 0, 15)
    chroma = draw(st.integers(0, 3))
    chance.writer.ue(chroma)
    if chroma == 3:
        chance.said["has_separate_planes"] = chance.flag()
    chance.codes(5000, 5000)
    if chance.flag():
        chance.codes(15, 15, 15, 15)
    chance.codes(8, 8)
    chance.say("poc_bits", 4, 16)
    for _ in range(layers + 1 if chance.flag() else 1):
        buffering = chance.say("references", 0, 15)
        chance.say("reorder", 0, buffering)
        chance.codes(60_000)
    chance.bits(40)
    return b"\x42\x01" + escaped(chance.writer.payload()), chance.said


PARSERS = {"h264": h264_sequence_set, "h265": h265_sequence_set}


def is_rewritten(known: SequenceSet, frames: int) -> None:
    """Assert that a rewritten SPS differs only in how much reordering it allows."""
    written = known.with_reordering(frames)
    if known.reorder == frames:
        assert written is known.nal_unit
        return
    parse = PARSERS["h265" if known._is_h265 else "h264"]
    again = parse(written)
    assert again is not None
    assert again.reorder == frames
    kept = again._kept if not known._is_h265 else known._kept
    assert replace(again, nal_unit=b"", reorder=0, references=0, _kept=kept) == replace(
        known, nal_unit=b"", reorder=0, references=0
    )
    assert again.references == (max(known.references, frames) if known._is_h265 else known.references)
    assert again.with_reordering(frames) == written
    assert not any(pattern in written for pattern in (b"\0\0\0", b"\0\0\1", b"\0\0\2"))


@given(h264_sets(), st.integers(0, 16))
def test_an_h264_sps_of_any_contents_is_read_and_rewritten(made: tuple[bytes, dict[str, Any]], frames: int) -> None:
    nal_unit, said = made
    known = h264_sequence_set(nal_unit)
    assert known is not None
    assert {name: getattr(known, name) for name in said} == said
    assert known.may_reorder == (said["reorder"] != 0 and not said["always_ordered"])
    is_rewritten(known, frames)


@given(h265_sets(), st.integers(0, 15))
def test_an_h265_sps_of_any_contents_is_read_and_rewritten(made: tuple[bytes, dict[str, Any]], frames: int) -> None:
    nal_unit, said = made
    known = h265_sequence_set(nal_unit)
    assert known is not None
    assert {name: getattr(known, name) for name in said} == said
    is_rewritten(known, frames)


@given(st.one_of(h264_sets(), h265_sets()), st.data())
def test_any_bytes_are_no_sps_or_give_a_valid_one(made: tuple[bytes, dict[str, Any]], data: Any) -> None:
    """The law: whatever is changed in an SPS, it is left alone, or what is written is read as the same but for that."""
    changed = bytearray(made[0])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(changed) - 1))
        changed[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
        if not changed:
            break
    for parse in PARSERS.values():
        known = parse(bytes(changed))
        if known is not None:
            is_rewritten(known, 0)


def test_a_too_long_sps_is_not_read() -> None:
    for codec, parse in PARSERS.items():
        (sps,) = (unit for unit in nal_units(encoded_as(codec, 1)[0]) if parse(unit) is not None)
        assert parse(sps + bytes(MAX_SET_BYTES)) is None
        assert parse(b"") is None


# What encoders wrote


def made_by(name: str, **settings: Any) -> bytes:
    """Return the keyframe of an encoder that allows reordering."""
    context = av.CodecContext.create(name, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height = settings.get("size", (166, 130))
    context.pix_fmt = settings.get("pix_fmt", "yuv420p")
    context.framerate, context.time_base = Fraction(30), Fraction(1, 30)
    context.color_range, context.colorspace = settings.get("range", 1), settings.get("colours", 2)
    context.color_primaries = context.color_trc = 1
    context.sample_aspect_ratio = settings.get("ratio", Fraction(1))
    more = settings.get("more", "")
    context.options = {
        "libx264": {"x264-params": f"bframes=2:annexb=1:repeat-headers=1:threads=1{more}"},
        "libx265": {"x265-params": f"bframes=2:repeat-headers=1:pools=none:frame-threads=1:log-level=none{more}"},
    }[name] | {"preset": "ultrafast"}
    frame = drawn(0, (context.width, context.height), noise=True).reformat(format=context.pix_fmt)
    frame.pts, frame.pict_type = 0, PictureType.I
    (packet,) = [*context.encode(frame), *context.encode(None)]
    return bytes(packet)


MADE: dict[str, tuple[str, dict[str, Any]]] = {
    "x264": ("libx264", {}),
    "full range": ("libx264", {"range": 2, "colours": 5, "ratio": Fraction(4, 3)}),
    "an odd ratio": ("libx264", {"ratio": Fraction(17, 13)}),
    "high 10": ("libx264", {"pix_fmt": "yuv420p10le"}),
    "high 4:2:2": ("libx264", {"pix_fmt": "yuv422p"}),
    "high 4:4:4": ("libx264", {"pix_fmt": "yuv444p"}),
    "scaling lists": ("libx264", {"more": ":cqm=jvt:8x8dct=1"}),
    "hypothetical decoder": ("libx264", {"more": ":nal-hrd=vbr:vbv-maxrate=900:vbv-bufsize=900:bitrate=800"}),
    "fields": ("libx264", {"more": ":tff=1", "size": (160, 128)}),
    "pyramid": ("libx264", {"more": ":b-pyramid=normal:ref=5"}),
    "x265": ("libx265", {}),
    "x265, ten bits": ("libx265", {"pix_fmt": "yuv420p10le", "range": 2, "colours": 9}),
    "x265, 4:4:4": ("libx265", {"pix_fmt": "yuv444p"}),
    "x265, two layers": ("libx265", {"more": ":temporal-layers=2"}),
    "x265, hypothetical decoder": ("libx265", {"more": ":hrd=1:vbv-maxrate=900:vbv-bufsize=900:bitrate=800"}),
}


def shown(codec: str, nal_units_: list[bytes]) -> tuple[Any, ...]:
    """Return what libavcodec makes of a keyframe."""
    context = av.CodecContext.create({"h265": "hevc"}.get(codec, codec), "r")
    assert isinstance(context, av.VideoCodecContext)
    context.thread_count = 1
    pictures = [*context.decode(av.Packet(annex_b(nal_units_))), *context.decode(None)]
    (picture,) = pictures
    assert not picture.is_corrupt
    return (
        (picture.width, picture.height, context.coded_width, context.coded_height, picture.format.name),
        (picture.color_range, picture.colorspace, picture.color_primaries, picture.color_trc),
        (context.sample_aspect_ratio, context.profile, getattr(context, "level", None)),  # av 18.0 has no `level`
        picture.to_ndarray().tobytes(),
    )


@pytest.mark.parametrize("case", MADE)
def test_a_rewritten_sps_is_otherwise_equal(case: str) -> None:
    name, settings = MADE[case]
    codec = {"libx264": "h264", "libx265": "h265"}[name]
    units = nal_units(made_by(name, **settings))
    known = [sequence for unit in units if (sequence := PARSERS[codec](unit)) is not None]
    assert len(known) == 1
    assert known[0].may_reorder
    assert known[0].reorder
    is_rewritten(known[0], 0)
    for frames in (0, 3):
        written = [known[0].with_reordering(frames) if unit == known[0].nal_unit else unit for unit in units]
        assert written != units or known[0].reorder == frames
        assert shown(codec, written) == shown(codec, units)


def test_an_sps_that_does_not_mention_reordering_gets_a_limit() -> None:
    units = [data for _, data in allowing_reordering("h264", 4)]
    (known,) = [sequence for unit in nal_units(units[0]) if (sequence := h264_sequence_set(unit)) is not None]
    bare = h264_sequence_set(without_vui(known.nal_unit))
    assert bare is not None
    assert (bare.reorder, bare.references, bare.may_reorder) == (None, known.references, True)
    is_rewritten(bare, 0)
    keyframe = nal_units(units[0])
    changed = [bare.with_reordering(0) if unit == known.nal_unit else unit for unit in keyframe]
    assert shown("h264", changed)[3] == shown("h264", keyframe)[3]


def test_the_emulators_baseline_profile_cannot_reorder() -> None:
    (known,) = [sequence for unit in nal_units(encoded(1)[0]) if (sequence := h264_sequence_set(unit)) is not None]
    assert not known.may_reorder
    assert known.with_reordering(0) == known.nal_unit or known.reorder is None


# Slices


@cache
def reordered(codec: str) -> list[tuple[int, bytes]]:
    return allowing_reordering(codec, 12, keyframe_every=6, bidirectional=2)


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_a_slice_gives_the_output_order_of_its_frame(codec: str) -> None:
    sequences: dict[int, SequenceSet] = {}
    pictures: dict[int, PictureSet] = {}
    slice_order = {"h264": h264_slice_order, "h265": h265_slice_order}[codec]
    shown_at = []
    for number, unit in reordered(codec):
        for nal_unit in nal_units(unit):
            if (sequence := PARSERS[codec](nal_unit)) is not None:
                sequences[sequence.set_id] = sequence
            if (picture := {"h264": h264_picture_set, "h265": h265_picture_set}[codec](nal_unit)) is not None:
                pictures[picture.set_id] = picture
            kind = nal_unit[0] & 0x1F if codec == "h264" else nal_unit[0] >> 1
            if kind in ({1, 5} if codec == "h264" else range(32)):
                order = slice_order(nal_unit, sequences, pictures)
                assert order is not None
                shown_at.append((number % 6, order.poc_low))
    assert shown_at == [(number, (2 if codec == "h264" else 1) * number) for number, _ in shown_at]
    assert sorted(number for number, _ in shown_at) == sorted([*range(6), *range(6)])


@given(st.binary(min_size=1, max_size=90), st.one_of(h264_sets(), h265_sets()))
def test_any_bytes_give_a_slice_or_none(data: bytes, made: tuple[bytes, dict[str, Any]]) -> None:
    sequence = h264_sequence_set(made[0]) or h265_sequence_set(made[0])
    assert sequence is not None
    pictures = {number: PictureSet(number, sequence.set_id, number % 4, bool(number % 2)) for number in range(8)}
    for slice_order in (h264_slice_order, h265_slice_order):
        order = slice_order(data, {sequence.set_id: sequence}, pictures)
        assert order is None or order.poc_low is None or order.poc_low < 1 << max(sequence.poc_bits, 1)
    for picture in (h264_picture_set(data), h265_picture_set(data)):
        assert picture is None or picture.set_id < 256
