"""Units that no later one needs: without them every other frame is the same, bit by bit."""

from collections.abc import Iterable
from dataclasses import replace

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.media.access_unit import AccessUnit
from streamer.media.codecs.disposable import is_needless
from streamer.tracks import Codec
from tests.support.examples import examples
from tests.support.layered import FRAMES, STREAMS, stream
from tests.support.senders import access_unit


def frames_of(units: Iterable[AccessUnit], codec: str) -> dict[int, bytes]:
    """Return the pixels of each frame, by the unit's RTP time."""
    context = av.CodecContext.create(codec, "r")
    assert isinstance(context, av.VideoCodecContext)
    context.thread_count = 1
    frames = []
    for unit in units:
        packet = av.Packet(unit.data)
        packet.pts = unit.rtp_time
        frames += context.decode(packet)
    frames += context.decode(None)
    return {frame.pts: np.asarray(frame.to_ndarray()).tobytes() for frame in frames if frame.pts is not None}


def needless_in(units: tuple[AccessUnit, ...]) -> list[int]:
    return [number for number in range(len(units) - 1) if is_needless(units[number], units[number + 1])]


@pytest.mark.parametrize("name", STREAMS)
def test_without_needless_units_all_other_frames_are_the_same(name: str) -> None:
    units, needless = stream(name), needless_in(stream(name))
    assert len(needless) in {STREAMS[name][3], STREAMS[name][3] - 1}  # of the last unit nobody can tell
    whole = frames_of(units, STREAMS[name][0])
    assert len(whole) == FRAMES
    left = frames_of((unit for number, unit in enumerate(units) if number not in needless), STREAMS[name][0])
    assert left == {time: whole[time] for time in left}
    assert len(left) == FRAMES - len(needless)


@given(st.data())
@examples(10)
@pytest.mark.parametrize("name", ["B-frames", "VP8 layers", "VP9 layers"])
def test_any_of_the_needless_units_may_be_left_out(name: str, data: st.DataObject) -> None:
    units = stream(name)
    left_out = data.draw(st.sets(st.sampled_from(needless_in(units))))
    whole = frames_of(units, STREAMS[name][0])
    left = frames_of((unit for number, unit in enumerate(units) if number not in left_out), STREAMS[name][0])
    assert left == {time: whole[time] for time in left}


def test_a_keyframe_is_never_needless() -> None:
    first, second = stream("VP9 layers")[:2]
    assert not is_needless(first, second)
    assert not is_needless(replace(second, is_keyframe=True), second)


@given(st.binary(max_size=80), st.binary(max_size=80), st.sampled_from(["h264", "h265", "vp8", "vp9", "av1"]))
@examples(200)
def test_any_bytes_are_needless_or_not(one: bytes, other: bytes, codec: str) -> None:
    as_codec = Codec(name=codec, clock_rate=90_000)
    units = [access_unit(data, 0, codec=as_codec, keyframe=False) for data in (one, other)]
    assert is_needless(*units) in {True, False}
    if codec in {"h265", "av1"}:
        assert not is_needless(*units)
