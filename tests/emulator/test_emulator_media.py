"""The emulator's encoders and the packets it holds for a client, without a network."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from typing import Any

import av
import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError

from streamer.emulator import Faults
from streamer.emulator.barcode import read_barcode
from streamer.emulator.media import TRACK_LIMIT, EncodedTrack, PhoneMedia
from tests.support.phone_client import LIMIT_S


@contextlib.asynccontextmanager
async def filming(fps: int = 30, faults: Faults | None = None) -> AsyncIterator[PhoneMedia]:
    media = PhoneMedia(width=360, height=640, fps=fps, bitrate_bps=1_000_000, audio=False, faults=faults)
    try:
        async with asyncio.timeout(LIMIT_S):
            yield media
    finally:
        await media.close()


class Reader:
    """Decodes a client's packets."""

    def __init__(self, track: EncodedTrack) -> None:
        decoder = av.CodecContext.create("h264", "r")
        assert isinstance(decoder, av.VideoCodecContext)
        decoder.flags |= av.codec.context.Flags.low_delay
        self._decoder, self._track = decoder, track

    async def next(self) -> tuple[av.VideoFrame, int]:
        """Return the next frame and its counter."""
        while True:
            packet: av.Packet[Any] = await self._track.recv()
            for frame in self._decoder.decode(packet):
                barcode = read_barcode(np.asarray(frame.to_ndarray(format="gray"), dtype=np.uint8))
                assert barcode is not None
                return frame, barcode.counter


async def test_frames_decode_in_order_from_a_keyframe_on() -> None:
    async with filming() as media:
        reader = Reader(media.join("video"))
        frames = [await reader.next() for _ in range(20)]
    assert frames[0][0].key_frame
    counters = [counter for _, counter in frames]
    assert [later - earlier for earlier, later in itertools.pairwise(counters)] == [1] * 19


async def test_a_still_screen_answers_a_keyframe_request_with_its_frame() -> None:
    async with filming() as media:
        reader = Reader(media.join("video"))
        await reader.next()
        media.is_still = True
        media.request_keyframe()
        while not (frame := await reader.next())[0].key_frame:
            pass
        first = frame[1]
        media.request_keyframe()
        again, counter = await reader.next()
        assert again.key_frame
        assert counter == first == media.frames_sent - 1


async def test_the_rate_can_be_raised_while_it_runs() -> None:
    async with filming(fps=1) as media:
        reader = Reader(media.join("video"))
        await reader.next()
        media.fps = 60
        for _ in range(60):  # at the first rate this would outlast the limit
            await reader.next()


async def test_a_client_that_does_not_read_costs_a_bounded_number_of_packets() -> None:
    async with filming(fps=120) as media:
        track = media.join("video")
        assert (await track.recv()).is_keyframe  # and no more: what nobody reads before is not kept
        read = media.frames_sent
        while media.frames_sent < read + 2 * TRACK_LIMIT:
            await asyncio.sleep(0.01)
        assert media.keyframe_requests == 0  # the overflow is the phone's own affair
        track.stop()
        held = []
        with contextlib.suppress(MediaStreamError):
            while True:
                held.append(await track.recv())
        assert len(held) <= TRACK_LIMIT
        assert not held or held[0].is_keyframe


async def test_nothing_is_drawn_without_readers_and_time_goes_on() -> None:
    async with filming() as media:
        assert media.frames_sent == 0
        waits = media.join("video")  # of a client that is not connected yet
        track = media.join("video")
        first = await track.recv()
        track.stop()
        drawn = await settled(media)
        began = time.monotonic()
        await asyncio.sleep(0.5)  # of 15 frames, had anybody watched
        assert media.frames_sent == drawn
        later = await waits.recv()
        assert later.is_keyframe
        assert media.frames_sent > drawn
        assert first.pts is not None
        assert later.pts is not None
        assert later.pts - first.pts >= (time.monotonic() - began - 1) * 90_000
        assert (
            abs(later.pts / 90_000 + media.origin - time.monotonic()) < 1
        )  # it shows the moment at which it was drawn


@pytest.mark.parametrize(("fault", "is_reordered"), [("reordering_sps", False), ("b_frames", True)])
async def test_a_reordering_encoder_sends_every_frame_even_the_last_of_a_still_screen(
    fault: str, is_reordered: bool
) -> None:
    async with filming(faults=Faults.parse([fault])) as media:
        track = media.join("video")
        decoder = av.CodecContext.create("h264", "r")
        assert isinstance(decoder, av.VideoCodecContext)
        times, seen = list[int](), dict[int, int]()

        async def read() -> None:
            packet = await track.recv()
            times.append(packet.pts or 0)
            for frame in decoder.decode(packet):
                assert isinstance(frame, av.VideoFrame)
                barcode = read_barcode(np.asarray(frame.to_ndarray(format="gray"), dtype=np.uint8))
                assert barcode is not None
                seen[frame.pts or 0] = barcode.counter

        for _ in range(20):
            await read()
        media.is_still = True
        drawn = await settled(media)
        while max(seen.values()) < drawn - 2:  # the decoder, not the phone, may keep the last ones
            await read()
        assert (times == sorted(times)) != is_reordered
        assert [seen[time] for time in sorted(seen)] == list(range(min(seen.values()), max(seen.values()) + 1))


async def settled(media: PhoneMedia) -> int:
    """Return how many frames are drawn, once the pending one is finished."""
    drawn = -1
    while drawn != (drawn := media.frames_sent):
        await asyncio.sleep(0.2)
    return drawn


async def test_audio_keeps_its_own_time_while_nobody_listens() -> None:
    media = PhoneMedia(width=360, height=640, fps=30, bitrate_bps=1_000_000, audio=True)
    try:
        async with asyncio.timeout(LIMIT_S):
            for _ in range(2):
                track = media.join("audio")
                moments = []
                for _ in range(5):
                    packet = await track.recv()
                    moments.append(media.origin + packet.pts / 48_000)
                assert abs(moments[-1] - time.monotonic()) < 1
                steps = [later - earlier for earlier, later in itertools.pairwise(moments)]
                assert steps == pytest.approx([0.02] * 4)
                track.stop()
                await asyncio.sleep(1.2)
    finally:
        await media.close()
