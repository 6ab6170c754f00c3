"""The decoder's thread, and the frames that leave it: libx264's streams in, frames in the loop out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import av
import numpy as np
import pytest

from streamer.codec_table import CODECS
from streamer.media import libav
from streamer.media.access_unit import AccessUnit
from streamer.media.codecs.nal import annex_b
from streamer.media.codecs.vp9 import Vp9Depacketizer
from streamer.media.frame_decoder import DecodedFrame, FrameDecoder
from streamer.media.playback.video_decoder import INBOX_LIMIT, Decoder
from streamer.tracks import Codec
from tests.support.access_units import STREAM, coded_units, units
from tests.support.senders import (
    VIDEO_CODECS,
    access_unit,
    allowing_reordering,
    decoded,
    encoded,
    encoded_as,
    nal_units,
    number_in,
)

LIMIT_S = 20.0


class Screen:
    """Takes what the decoder says, in the loop."""

    def __init__(self) -> None:
        self.frames: list[tuple[AccessUnit, av.VideoFrame]] = []
        self.decode_ns = 0
        self.troubles = 0
        self.failures: list[Exception] = []
        self._changed = asyncio.Event()

    def show(self, decoded: DecodedFrame, _: None) -> None:
        asyncio.get_running_loop()  # raises outside of it
        self.decode_ns += decoded.decode_ns
        self.frames.append((decoded.unit, decoded.av_frame))
        self._changed.set()

    def worry(self) -> None:
        self.troubles += 1
        self._changed.set()

    def fail(self, error: Exception) -> None:
        self.failures.append(error)
        self._changed.set()

    async def until(self, *, frames: int = 0, troubles: int = 0, failures: int = 0) -> None:
        async with asyncio.timeout(LIMIT_S):
            while len(self.frames) < frames or self.troubles < troubles or len(self.failures) < failures:
                self._changed.clear()
                await self._changed.wait()

    @property
    def numbers(self) -> list[int]:
        return [unit.rtp_time // 3000 for unit, _ in self.frames]


@asynccontextmanager
async def decoding() -> AsyncIterator[tuple[Decoder[None], Screen]]:
    screen = Screen()
    decoder = Decoder("decode test", screen.show, screen.worry, screen.fail, inspect=lambda _: None)
    try:
        yield decoder, screen
    finally:
        await decoder.aclose()


async def test_a_missing_decoder_is_named_and_other_codecs_still_decode(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(CODECS, "av1", replace(CODECS["av1"], decoder="libnone"))
    async with decoding() as (decoder, screen):
        for _ in range(2):
            decoder.put(coded_units("av1", [b"\x12\x00"])[0])
        await screen.until(failures=2)
        assert "the decoder libnone" in str(screen.failures[0])
        for unit in units(encoded(2)):
            decoder.put(unit)
        await screen.until(frames=2)
        assert screen.troubles == 0


async def test_a_failure_of_the_decoder_is_reported_and_later_frames_are_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with decoding() as (decoder, screen):
        with monkeypatch.context() as patch:
            patch.setattr(FrameDecoder, "decode", lambda *_: 1 // 0)
            decoder.put(units()[0])
            await screen.until(failures=1)
        assert isinstance(screen.failures[0], ZeroDivisionError)
        decoder.put(units()[0])
        await screen.until(frames=1)


@pytest.mark.parametrize("codec", VIDEO_CODECS)
async def test_each_frame_leaves_with_its_own_unit_and_not_with_the_next(codec: str) -> None:
    stream = encoded_as(codec, 12, keyframe_every=6)
    async with decoding() as (decoder, screen):
        for number, unit in enumerate(coded_units(codec, stream)):
            decoder.put(unit)
            await screen.until(frames=number + 1)
            assert screen.frames[-1][0] is unit
    for (_, frame), known in zip(screen.frames, decoded(codec, stream), strict=True):
        assert np.array_equal(frame.to_ndarray(), known)


async def test_the_frame_of_the_highest_layer_is_handed_on() -> None:
    layers = Vp9Depacketizer()
    for size in ((80, 64), (160, 128)):
        layers.add(b"\x08" + encoded_as("vp9", 1, size=size)[0])
    finished = layers.finish()
    assert finished is not None
    assert [frame.shape for frame in decoded("vp9", [finished[0]])] == [(96, 80), (192, 160)]
    async with decoding() as (decoder, screen):
        for unit in coded_units("vp9", [finished[0]] * 3, keyframe_every=1):
            decoder.put(unit)
    await screen.until(frames=3)
    assert [(number, p.width) for number, (_, p) in zip(screen.numbers, screen.frames, strict=True)] == [
        (0, 160), (1, 160), (2, 160),
    ]  # fmt: skip


async def test_the_codec_may_change_in_the_stream() -> None:
    async with decoding() as (decoder, screen):
        for codec in ("h264", "av1", "vp8", "h264"):
            for unit in coded_units(codec, encoded_as(codec, 2)):
                decoder.put(unit)
    await screen.until(frames=8)
    assert screen.numbers == [0, 1] * 4
    assert decoder.counters.errors == 0


async def test_decoding_begins_with_a_keyframe() -> None:
    async with decoding() as (decoder, screen):
        for unit in units()[3:]:
            decoder.put(unit)
    await screen.until(frames=6)
    assert screen.numbers == list(range(6, 12))


async def test_catching_up_gives_the_frame_of_the_last_unit() -> None:
    async with decoding() as (decoder, screen):
        sent = units()
        decoder.catch_up(sent[:4])
        for unit in sent[4:]:
            decoder.put(unit)
    await screen.until(frames=9)
    assert screen.numbers == list(range(3, 12))


BROKEN = {
    "h264": b"\x00\x00\x00\x01\x41",
    "h265": b"\x00\x00\x00\x01\x02\x01",
    "vp8": b"\x10\x02\x00broken",
    "vp9": b"\x00broken",
    "av1": b"\x12\x00\x32\x02\x10\xff",
}


@pytest.mark.parametrize("codec", BROKEN)
async def test_an_undecodable_unit_is_counted_and_a_keyframe_is_requested(codec: str) -> None:
    async with decoding() as (decoder, screen):
        sent = coded_units(codec, encoded_as(codec, 12, keyframe_every=6))
        decoder.put(sent[0])
        decoder.put(access_unit(BROKEN[codec], 3000, codec=sent[0].codec, keyframe=False))
        await screen.until(frames=1, troubles=1)
        for unit in sent[2:]:
            decoder.put(unit)
        await screen.until(frames=7)
    assert decoder.counters.errors == 1
    assert decoder.counters.passed_over == 4
    assert decoder.counters.decoded == 7
    assert screen.numbers == [0, *range(6, 12)]


@pytest.mark.parametrize("codec", VIDEO_CODECS)
async def test_a_too_large_frame_is_counted_as_such_and_smaller_ones_go_on(
    codec: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(libav, "PIXELS_LIMIT", 192 * 128)  # decoders count whole blocks of 64 pixels
    async with decoding() as (decoder, screen):
        sizes = ((160, 128), (256, 144), (160, 128))
        for number, size in enumerate(sizes):
            (unit,) = coded_units(codec, encoded_as(codec, 1, size=size))
            decoder.put(unit)
            await screen.until(frames=(number + 2) // 2, troubles=(number + 1) // 2)
    assert (decoder.counters.too_large, decoder.counters.errors, decoder.counters.decoded) == (1, 0, 2)
    assert "the decoder drops frames of more than" in caplog.text


async def test_a_keyframe_that_claims_12288_by_12288_pixels_is_not_decoded() -> None:
    """It has 700 bytes, and its decoder would take 400 MB."""
    sps = bytes.fromhex("67 42 c0 3e da 00 30 00 06 01 10")  # level 6.2; 768 by 768 macroblocks
    made = [sps if nal_unit[0] & 0x1F == 7 else nal_unit for nal_unit in nal_units(STREAM[0])]
    async with decoding() as (decoder, screen):
        decoder.put(access_unit(annex_b(made), 0, keyframe=True))
        await screen.until(troubles=1)
    assert (decoder.counters.too_large, decoder.counters.decoded) == (1, 0)


async def test_a_flood_is_decoded_again_from_the_next_keyframe_and_the_rest_is_counted() -> None:
    stream = encoded(30, size=(1280, 720), noise=True, keyframe_every=10)
    async with decoding() as (decoder, screen):
        flood = [*units(stream), *units(stream, start=30), *units(stream, start=60)]
        for unit in flood:
            decoder.put(unit)
        assert screen.troubles > 0
        assert decoder.counters.overflows >= INBOX_LIMIT
    await asyncio.sleep(0)
    assert len(screen.frames) < len(flood)
    counted = decoder.counters
    assert counted.decoded == len(screen.frames)
    assert counted.decoded + counted.overflows + counted.awaiting_keyframe == len(flood)
    assert counted.decode_ns == screen.decode_ns > 0
    for previous, number in zip(screen.numbers, screen.numbers[1:], strict=False):
        assert number == previous + 1 or number % 10 == 0


async def test_the_size_may_change_in_the_stream() -> None:
    upright, lying = encoded(3, size=(128, 160)), encoded(3, size=(160, 128))
    async with decoding() as (decoder, screen):
        for unit in units([*upright, *lying]):
            decoder.put(unit)
    await screen.until(frames=6)
    assert [(p.width, p.height) for _, p in screen.frames] == [(128, 160)] * 3 + [(160, 128)] * 3


async def test_the_inbox_is_decoded_before_the_end() -> None:
    async with decoding() as (decoder, screen):
        for unit in units():
            decoder.put(unit)
    await screen.until(frames=len(STREAM))


@pytest.mark.parametrize("codec", ["h264", "h265"])
@pytest.mark.parametrize("last", [0, 1, 5, 11])
async def test_the_last_frame_before_a_still_screen_needs_no_further_unit(codec: str, last: int) -> None:
    """This holds for a stream that may reorder, and for one that does: held frames come once the screen is still."""
    for bidirectional in (0, 2):
        made = allowing_reordering(codec, 12, bidirectional=bidirectional)
        sent = [
            access_unit(data, 3000 * number, codec=Codec(name=codec, clock_rate=90_000), keyframe=number == 0)
            for number, data in made
        ]
        async with decoding() as (decoder, screen):
            for unit in sent[: last + 1]:
                decoder.put(unit)
            await screen.until(frames=last + 1)
            for unit in sent[last + 1 :]:
                decoder.put(unit)
        await screen.until(frames=12)
        assert sorted(screen.numbers) == list(range(12))
        assert all(number_in(frame) == unit.rtp_time // 3000 for unit, frame in screen.frames)
        assert screen.troubles == 0


async def test_catching_up_gives_the_frame_that_is_shown_last() -> None:
    made = allowing_reordering("h264", 12, bidirectional=2)
    sent = [access_unit(data, 3000 * number, keyframe=number == 0) for number, data in made]
    for count in range(2, 13):
        async with decoding() as (decoder, screen):
            decoder.catch_up(sent[:count])
            await screen.until(frames=1)
            shown_last = max(unit.rtp_time for unit in sent[:count])
            assert [unit.rtp_time for unit, _ in screen.frames] == [shown_last]
            assert number_in(screen.frames[0][1]) == shown_last // 3000


@pytest.mark.parametrize("before", [0, 5])
def test_frames_after_a_recovery_point_are_withheld_until_they_are_right(before: int) -> None:
    """A stream of periodic intra refresh begins there, or goes on there after a loss."""
    stream = encoded(60, x264=":intra-refresh=1:keyint=20")
    right = decoded("h264", stream)
    decoder = FrameDecoder(on_damage=lambda: None)
    sent = units(stream[:before])
    sent += [
        replace(unit, is_keyframe=number == 20, discontinuity=number == 20)
        for number, unit in enumerate(units(stream[20:], start=20), start=20)
    ]
    frames = [frame for unit in sent for frame in decoder.decode(unit)]
    numbers = [frame.unit.rtp_time // 3000 for frame in frames]
    assert numbers[:before] == [*range(before)]
    assert numbers[before:] == [*range(numbers[before], 60)]
    assert 21 < numbers[before] < 40
    assert frames[before].unit.discontinuity
    for number, frame in zip(numbers, frames, strict=True):
        assert np.array_equal(frame.av_frame.to_ndarray(), right[number])


async def test_a_corrupt_frame_is_counted_and_a_keyframe_is_requested() -> None:
    sent = units(encoded(12, keyframe_every=6, noise=True))
    async with decoding() as (decoder, screen):
        decoder.put(sent[0])
        decoder.put(replace(sent[1], data=sent[1].data[: len(sent[1].data) // 2]))
        await screen.until(frames=1, troubles=1)
        for unit in sent[2:]:
            decoder.put(unit)
        await screen.until(frames=7)
    assert (decoder.counters.corrupt, decoder.counters.errors, decoder.counters.passed_over) == (1, 0, 4)
    assert screen.numbers == [0, *range(6, 12)]
