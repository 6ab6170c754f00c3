"""The VP8 depacketizer, against aiortc's encoder and descriptors; for libavformat's see test_depacketizer_choice."""

import fractions

import pytest
from aiortc.codecs.vpx import Vp8Encoder, VpxPayloadDescriptor
from hypothesis import given
from hypothesis import strategies as st

from streamer.media.codecs.depacketizer import MalformedPayload
from streamer.media.codecs.vp8 import Vp8Depacketizer
from tests.support.senders import decoded, drawn


def finish(payloads: list[bytes]) -> tuple[bytes, bool] | None:
    depacketizer = Vp8Depacketizer()
    for payload in payloads:
        depacketizer.add(payload)
    return depacketizer.finish()


def test_frames_that_aiortc_encodes_and_packetizes_decode() -> None:
    encoder = Vp8Encoder()
    size, units = (640, 480), []
    for number in range(6):
        frame = drawn(number, size, noise=number > 3)
        frame.pts, frame.time_base = 3000 * number, fractions.Fraction(1, 90_000)
        payloads, _ = encoder.encode(frame, force_keyframe=number % 3 == 0)
        assert [Vp8Depacketizer.starts_unit(payload) for payload in payloads] == [True] + [False] * (len(payloads) - 1)
        finished = finish(payloads)
        assert finished is not None
        assert finished[1] == (number % 3 == 0)
        units.append(finished[0])
    assert max(map(len, units)) > 1300  # more than a packet
    for number, picture in enumerate(decoded("vp8", units)[:3]):
        assert abs(picture[: size[1]].astype(int) - drawn(number, size, noise=False).to_ndarray()[: size[1]]).mean() < 8


def descriptors(*places: tuple[int, int]) -> st.SearchStrategy[VpxPayloadDescriptor]:
    """Return descriptors with any fields, at one of these places: start of partition, and its index."""
    return st.builds(
        lambda place, *fields: VpxPayloadDescriptor(*place, *fields),
        st.sampled_from(places),
        st.none() | st.integers(0, 32_767),  # picture id
        st.none() | st.integers(0, 255),  # TL0PICIDX
        st.none() | st.tuples(st.integers(0, 3), st.integers(0, 1)),  # TID and Y
        st.none() | st.integers(0, 31),  # KEYIDX
    )


FIRST = (1, 0)
LATER = (0, 0), (0, 1), (1, 1), (0, 7), (1, 7)


@given(descriptors(FIRST), descriptors(*LATER), st.binary(min_size=1, max_size=20), st.binary(min_size=1, max_size=20))
def test_descriptors_of_any_form_are_removed(
    first: VpxPayloadDescriptor, second: VpxPayloadDescriptor, one: bytes, other: bytes
) -> None:
    """The law: whatever fields a descriptor has, what is given out is what followed it; and a frame begins with the
    start of partition 0, and nowhere else."""
    beginning, going_on = bytes(first) + one, bytes(second) + other
    assert Vp8Depacketizer.starts_unit(beginning)
    assert not Vp8Depacketizer.starts_unit(going_on)
    assert finish([beginning, going_on]) == (one + other, not one[0] & 1)
    for wrong in ([going_on], [beginning, beginning], [going_on, beginning]):
        with pytest.raises(MalformedPayload):
            finish(wrong)


@pytest.mark.parametrize("size", range(1, 7))
def test_a_payload_that_ends_within_its_descriptor_is_malformed(size: int) -> None:
    whole = bytes(VpxPayloadDescriptor(1, 0, picture_id=30_000, tl0picidx=1, tid=(1, 0), keyidx=3))
    assert len(whole) == 6
    with pytest.raises(MalformedPayload):
        finish([whole[:size]])
