"""What holds for the depacketizer of every codec, against libavformat's packets of other software's frames."""

from collections.abc import Iterable

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer import codec_table
from streamer.media.codecs.depacketizer import MAX_UNIT_BYTES, Depacketizer, MalformedPayload
from streamer.media.codecs.depacketizer_choice import depacketizer_for
from streamer.tracks import Codec
from tests.support.examples import examples
from tests.support.senders import VIDEO_CODECS, content, decoded, encoded_as, packets_by_libavformat

KEYFRAME_EVERY = 3
SMALL = {codec: encoded_as(codec, 6, keyframe_every=KEYFRAME_EVERY) for codec in VIDEO_CODECS}
NOISE = {codec: encoded_as(codec, 5, keyframe_every=KEYFRAME_EVERY, noise=True) for codec in VIDEO_CODECS}


def depacketizer(codec: str) -> Depacketizer:
    return depacketizer_for(Codec(name=codec, clock_rate=90_000))


def payloads_of(codec: str, units: list[bytes], *, packet_size: int = 1200) -> list[list[bytes]]:
    packets = packets_by_libavformat(units, codec=codec, packet_size=packet_size, keyframe_every=KEYFRAME_EVERY)
    return [[packet[12:] for packet in made] for made in packets]


def finish(of: Depacketizer, payloads: Iterable[bytes]) -> tuple[bytes, bool]:
    for payload in payloads:
        of.add(payload)
    finished = of.finish()
    assert finished is not None
    assert of.is_empty
    return finished


def test_every_codec_that_is_offered_can_be_depacketized_and_no_other() -> None:
    assert set(codec_table.VIDEO_CODECS) == set(VIDEO_CODECS)
    for codec in codec_table.VIDEO_CODECS:
        assert depacketizer(codec).is_empty
    with pytest.raises(ValueError, match="no depacketizer for h263"):
        depacketizer("h263")


@pytest.mark.parametrize("packet_size", [60, 300, 1400])
@pytest.mark.parametrize("codec", VIDEO_CODECS)
def test_units_come_out_unchanged_and_keyframes_are_recognized(codec: str, packet_size: int) -> None:
    of = depacketizer(codec)
    finished = [finish(of, payloads) for payloads in payloads_of(codec, NOISE[codec], packet_size=packet_size)]
    assert [content(codec, data) for data, _ in finished] == [content(codec, unit) for unit in NOISE[codec]]
    assert [keyframe for _, keyframe in finished] == [number % KEYFRAME_EVERY == 0 for number in range(5)]


@pytest.mark.parametrize("codec", VIDEO_CODECS)
def test_the_output_decodes_to_the_same_frames_from_any_keyframe_on(codec: str) -> None:
    of = depacketizer(codec)
    finished = [finish(of, payloads)[0] for payloads in payloads_of(codec, NOISE[codec])]
    sent = decoded(codec, NOISE[codec])
    for start in (0, KEYFRAME_EVERY):
        for frame, known in zip(decoded(codec, finished[start:]), sent[start:], strict=True):
            assert np.array_equal(frame, known)


@pytest.mark.parametrize("codec", VIDEO_CODECS)
def test_only_the_first_payload_of_a_keyframe_is_recognized_as_its_start(codec: str) -> None:
    of = depacketizer(codec)
    units = payloads_of(codec, NOISE[codec], packet_size=300)
    assert all(of.starts_unit(payloads[0]) for payloads in units[::KEYFRAME_EVERY])
    assert not any(of.starts_unit(payload) for payloads in units for payload in payloads[1:])
    assert not of.starts_unit(b"")


@pytest.mark.parametrize("codec", VIDEO_CODECS)
def test_a_dropped_unit_leaves_nothing_behind(codec: str) -> None:
    of = depacketizer(codec)
    first, second, *_ = payloads_of(codec, NOISE[codec], packet_size=60)
    for payload in first[:-1]:
        of.add(payload)
    was_empty = of.is_empty
    of.reset()
    assert (was_empty, of.is_empty) == (False, True)
    assert of.finish() is None
    assert content(codec, finish(of, second)[0]) == content(codec, NOISE[codec][1])


@pytest.mark.parametrize("codec", VIDEO_CODECS)
def test_padding_is_ignored(codec: str) -> None:
    of = depacketizer(codec)
    of.add(b"")
    assert of.finish() is None
    (payloads, *_) = payloads_of(codec, SMALL[codec])
    assert content(codec, finish(of, [b"", *payloads, b""])[0]) == content(codec, SMALL[codec][0])


SIZES = (0, 1, 2, 4, 12, 60)
MIDDLES = {
    "h264": (b"\x7c\x85", b"\x7c\x05"),
    "h265": (b"\x62\x01\x93", b"\x62\x01\x13"),
    "vp8": (b"\x10", b"\x00"),
    "vp9": (b"\x08", b"\x00"),
    "av1": (b"\x50\x30", b"\xd0"),
}


@pytest.mark.parametrize("codec", VIDEO_CODECS)
def test_an_endless_unit_is_refused_before_it_fills_the_memory(codec: str) -> None:
    first, middle = MIDDLES[codec]
    of = depacketizer(codec)
    of.add(first + bytes(60_000))
    with pytest.raises(MalformedPayload, match="more than"):
        for _ in range(MAX_UNIT_BYTES // 60_000 + 1):
            of.add(middle + bytes(60_000))


WHOLE = {codec: payloads_of(codec, SMALL[codec])[0] for codec in VIDEO_CODECS}
CUT = {codec: payloads_of(codec, SMALL[codec], packet_size=60) for codec in VIDEO_CODECS}

# Beginnings of payloads as they are: whatever follows is then often taken for what it is not.
HEADS = {
    codec: sorted(
        {payload[:size] for payloads in CUT[codec] for payload in payloads for size in SIZES} | {*MIDDLES[codec]}
    )
    for codec in VIDEO_CODECS
}


@pytest.mark.parametrize("codec", VIDEO_CODECS)
@given(st.data())
@examples(150)
def test_any_payloads_give_a_unit_or_the_documented_exception(codec: str, data: st.DataObject) -> None:
    """The law: nothing but MalformedPayload is raised, and a frame that follows comes out whole."""
    of = depacketizer(codec)
    payload = st.tuples(st.sampled_from(HEADS[codec]), st.binary(max_size=30)).map(b"".join) | st.binary(max_size=30)
    try:
        for drawn in data.draw(st.lists(payload, max_size=12)):
            of.starts_unit(drawn)
            of.add(drawn)
        finished = of.finish()
    except MalformedPayload:
        of.reset()
    else:
        assert finished is None or finished[0]
    assert of.is_empty
    unit, is_keyframe = finish(of, WHOLE[codec])
    assert content(codec, unit) == content(codec, SMALL[codec][0])
    assert is_keyframe


@pytest.mark.parametrize("codec", VIDEO_CODECS)
@given(st.data())
@examples(60)
def test_a_damaged_unit_gives_what_a_decoder_can_be_given_or_the_documented_exception(
    codec: str, data: st.DataObject
) -> None:
    """The law: the same for payloads of real frames with some bytes changed; the decoder takes or refuses what comes
    out, and nothing worse."""
    of = depacketizer(codec)
    context = av.CodecContext.create({"h265": "hevc", "av1": "libdav1d"}.get(codec, codec), "r")
    assert isinstance(context, av.VideoCodecContext)
    context.thread_count = 1
    for payloads in CUT[codec]:
        changed = [bytearray(payload) for payload in payloads]
        for payload in data.draw(st.lists(st.sampled_from(changed), max_size=2)):
            payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
        try:
            for payload in changed:
                of.add(bytes(payload))
            finished = of.finish()
        except MalformedPayload:
            of.reset()
            continue
        if finished is not None:
            try:
                context.decode(av.Packet(finished[0]))
            except av.FFmpegError:
                context.flush_buffers()
