"""The VP9 depacketizer: descriptors of every form, and superframes as libvpx and libavcodec make them.

libavformat's packets are in test_depacketizer_choice.
"""

import fractions
from dataclasses import dataclass, field

import av
import pytest
from av.bitstream import BitStreamFilterContext
from hypothesis import given
from hypothesis import strategies as st

from streamer.media.codecs.depacketizer import MalformedPayload
from streamer.media.codecs.vp9 import Vp9Depacketizer
from tests.support.senders import drawn, encoded_as


def finish(payloads: list[bytes]) -> tuple[bytes, bool] | None:
    depacketizer = Vp9Depacketizer()
    for payload in payloads:
        depacketizer.add(payload)
    return depacketizer.finish()


@dataclass(kw_only=True)
class Descriptor:
    """A payload descriptor, written down field by field as RFC 9628 section 4.2 draws it."""

    picture_id: int | None = None  # 7 bits, or 15
    inter: bool = False
    layer: tuple[int, bool, int, bool] | None = None  # TID, U, SID, D
    flexible: bool = False
    begins: bool = True
    ends: bool = False
    differences: list[int] = field(default_factory=list)  # P_DIFF, of flexible mode
    sizes: list[tuple[int, int]] | None = None  # of the spatial layers, in a scalability structure
    group: list[tuple[int, list[int]]] | None = None  # of the same: TID and P_DIFFs of each picture

    def __bytes__(self) -> bytes:
        has_structure = self.sizes is not None or self.group is not None
        flags = (self.picture_id is not None, self.inter, self.layer is not None, self.flexible, self.begins)
        data = bytearray((int("".join(str(int(flag)) for flag in (*flags, self.ends, has_structure, False)), 2),))
        if self.picture_id is not None:
            long = 0x8000 | self.picture_id
            data += bytes((self.picture_id,)) if self.picture_id < 128 else long.to_bytes(2)
        if self.layer is not None:
            temporal, switches, spatial, depends = self.layer
            data.append(temporal << 5 | switches << 4 | spatial << 1 | depends)
            if not self.flexible:
                data.append(0x55)  # TL0PICIDX
        if self.flexible and self.inter:
            for place, difference in enumerate(self.differences, start=1):
                data.append(difference << 1 | (place < len(self.differences)))
        if has_structure:
            data += self._structure()
        return bytes(data)

    def _structure(self) -> bytes:
        layers = len(self.sizes or [(0, 0)]) - 1
        data = bytearray((layers << 5 | (self.sizes is not None) << 4 | (self.group is not None) << 3,))
        for width, height in self.sizes or []:
            data += width.to_bytes(2) + height.to_bytes(2)
        if self.group is not None:
            data.append(len(self.group))
            for temporal, differences in self.group:
                data += bytes((temporal << 5 | len(differences) << 2, *differences))
        return bytes(data)


seven_bits = st.integers(0, 127)
eight_bits = st.integers(0, 255)
descriptors = st.builds(
    Descriptor,
    picture_id=st.none() | st.integers(0, 32_767),
    inter=st.booleans(),
    layer=st.none() | st.tuples(st.integers(0, 7), st.booleans(), st.integers(0, 7), st.booleans()),
    flexible=st.booleans(),
    begins=st.booleans(),
    ends=st.booleans(),
    differences=st.lists(seven_bits, min_size=1, max_size=3),
    sizes=st.none() | st.lists(st.tuples(st.integers(1, 65_535), st.integers(1, 65_535)), min_size=1, max_size=8),
    group=st.none() | st.lists(st.tuples(st.integers(0, 7), st.lists(eight_bits, max_size=3)), max_size=9),
)


@given(descriptors, st.binary(min_size=1, max_size=20))
def test_descriptors_of_any_form_are_removed(descriptor: Descriptor, data: bytes) -> None:
    """The law: whatever fields a descriptor has, what is given out is what followed it; and a picture begins where a
    frame of its lowest layer begins."""
    payload = bytes(descriptor) + data
    is_lowest = descriptor.layer is None or descriptor.layer[2] == 0
    assert Vp9Depacketizer.starts_unit(payload) == (descriptor.begins and is_lowest)
    if descriptor.begins:
        finished = finish([payload])
        assert finished is not None
        assert finished[0] == data
    else:
        with pytest.raises(MalformedPayload):
            finish([payload])
        begun = finish([bytes(Descriptor()) + b"begun ", payload])
        assert begun is not None
        assert begun[0] == b"begun " + data


@given(descriptors, st.data())
def test_a_payload_that_ends_within_its_descriptor_is_malformed(descriptor: Descriptor, data: st.DataObject) -> None:
    """The law: a descriptor alone, or less than one, is no payload."""
    whole = bytes(descriptor)
    part = whole[: data.draw(st.integers(1, len(whole)))]
    Vp9Depacketizer.starts_unit(part)
    with pytest.raises(MalformedPayload):
        finish([bytes(Descriptor()) + b"begun ", part])


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p"])
def test_keyframes_are_recognized_in_both_profiles_of_eight_bits(pix_fmt: str) -> None:
    units = encoded_as("vp9", 4, keyframe_every=2, pix_fmt=pix_fmt)
    finished = [finish([bytes(Descriptor(inter=number % 2 == 1)) + unit]) for number, unit in enumerate(units)]
    assert finished == [(unit, number % 2 == 0) for number, unit in enumerate(units)]


@pytest.mark.parametrize(
    ("header", "is_keyframe"),
    [(0b10000010, True), (0b10000110, False), (0b10001000, False), (0b10110001, True), (0b10110011, False)],
    ids=["a key frame", "another", "one shown again", "a key frame of profile 3", "another of profile 3"],
)
def test_keyframes_are_recognized_by_the_uncompressed_header(header: int, is_keyframe: bool) -> None:
    """VP9 bitstream specification, section 6.2."""
    assert finish([bytes(Descriptor()) + bytes((header, 0))]) == (bytes((header, 0)), is_keyframe)


# Several frames of the same time


def hidden_and_shown() -> list[tuple[bytes, list[bytes]]]:
    """Return libvpx's superframes of a hidden and a shown frame, each with those frames as libavcodec finds them."""
    context = av.CodecContext.create("libvpx-vp9", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = 160, 128, "yuv420p"
    context.time_base, context.bit_rate = fractions.Fraction(1, 30), 200_000
    context.options = {"auto-alt-ref": "1", "lag-in-frames": "25", "deadline": "realtime", "cpu-used": "5"}
    packets = []
    for number in range(60):
        frame = drawn(number, (160, 128), noise=False)
        frame.pts = number
        packets += context.encode(frame)
    found = []
    splitting = BitStreamFilterContext("vp9_superframe_split", "vp9")
    for packet in [*packets, *context.encode(None)]:
        data = bytes(packet)
        frames = [bytes(frame) for frame in splitting.filter(packet)]
        if len(frames) > 1:
            found.append((data, frames))
    return found


def test_frames_of_one_picture_become_the_superframe_that_libvpx_makes_of_them() -> None:
    superframes = hidden_and_shown()
    assert superframes
    for superframe, frames in superframes:
        payloads = [
            bytes(Descriptor(begins=start == 0, inter=True)) + frame[start : start + 10]
            for frame in frames
            for start in range(0, len(frame), 10)
        ]
        assert finish(payloads) == (superframe, False)
        assert finish([bytes(Descriptor(inter=True)) + superframe]) == (superframe, False)


@given(st.lists(st.sampled_from([1, 2, 255, 256, 65_535, 65_536, 70_000]), min_size=2, max_size=8))
def test_a_superframe_has_the_frames_that_it_was_made_of(sizes: list[int]) -> None:
    """The law: libavcodec finds in the superframe each layer's frame, for any sizes, up to the eight it can have."""
    keyframe, *_ = encoded_as("vp9", 1)
    frames = [(keyframe + bytes(size))[: max(size, 10)] for size in sizes]  # the header alone is looked at
    payloads = [
        bytes(Descriptor(layer=(0, False, layer, layer > 0), flexible=True)) + frame
        for layer, frame in enumerate(frames)
    ]
    assert [Vp9Depacketizer.starts_unit(payload) for payload in payloads] == [True] + [False] * (len(frames) - 1)
    finished = finish(payloads)
    assert finished is not None
    assert finished[1]
    splitting = BitStreamFilterContext("vp9_superframe_split", "vp9")
    assert [bytes(frame) for frame in splitting.filter(av.Packet(finished[0]))] == frames


def test_more_frames_than_a_superframe_can_have_are_malformed_and_dropped() -> None:
    depacketizer = Vp9Depacketizer()
    for _ in range(8):
        depacketizer.add(bytes(Descriptor()) + b"\x82")
    with pytest.raises(MalformedPayload, match="more than 8 frames"):
        depacketizer.add(bytes(Descriptor()) + b"\x82")
    depacketizer.reset()
    assert depacketizer.is_empty
