"""The video output: the decoder with its consumers; when it decodes, and which frames a consumer gets."""

import asyncio
import threading
from dataclasses import replace
from typing import Self

import av
import numpy as np
import pytest

from streamer.audio_ports import AudioPort
from streamer.media.access_unit import AccessUnit
from streamer.media.history import GROUP_LIMIT, History
from streamer.media.playback.pixels import Conversion, Pixels
from streamer.media.playback.video import VideoOutput
from streamer.media.playback.video_frames import FrameIterator
from tests.support.access_units import STREAM, coded_units, units
from tests.support.senders import OPUS, access_unit, drawn, encoded_as, number_in

LIMIT_S = 20.0


class Phone:
    """Stands where the session does."""

    def __init__(self) -> None:
        self.asked = 0
        self.wanted = asyncio.Event()
        self.port: AudioPort | None = None
        self.history = History(ask_keyframe=self._ask)
        self.frames = VideoOutput("test", self.history, request_keyframe=self._ask, audio_port=lambda: self.port)

    def put(self, unit: AccessUnit) -> None:
        self.history.put(unit)
        self.frames.put(unit)

    def _ask(self) -> None:
        self.asked += 1
        self.wanted.set()

    def watch(self, policy: str = "every") -> FrameIterator:
        return self.frames.hub.iterate(policy, max_fps=None, limit=60)  # type: ignore[arg-type]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.frames.aclose()


async def test_frames_describe_themselves() -> None:
    async with Phone() as phone, asyncio.timeout(LIMIT_S):
        phone.port = AudioPort(address="192.0.2.1", port=5, type=1, address_ipv6=None)
        frames = phone.watch()
        for unit in units():
            phone.put(unit)
        seen = [await anext(frames) for _ in STREAM]
    assert [frame.sequence for frame in seen] == list(range(12))
    assert [frame.rtp_time for frame in seen] == [3000 * number for number in range(12)]
    assert [frame.is_keyframe for frame in seen] == [number % 6 == 0 for number in range(12)]
    assert {(frame.width, frame.height, frame.audio_port) for frame in seen} == {(160, 128, phone.port)}
    for number, frame in enumerate(seen):
        assert frame.arrival_ns <= frame.decoded_ns
        drawing = drawn(number, (160, 128), noise=False).to_ndarray(format="gray").astype(int)
        assert abs(frame.to_ndarray("gray").astype(int) - drawing).mean() < 8


@pytest.mark.parametrize(
    ("codec", "pix_fmt"),
    [("h265", "yuv420p10le"), ("h265", "yuv444p"), ("vp9", "yuv444p"), ("vp9", "gbrp"), ("av1", "yuv420p10le")],
)
async def test_frames_of_any_chroma_and_depth_become_the_same_arrays(codec: str, pix_fmt: str) -> None:
    """Only profiles of eight bits are accepted, but AV1's main profile has ten bits too."""
    async with Phone() as phone, asyncio.timeout(LIMIT_S):
        frames = phone.watch()
        for unit in coded_units(codec, encoded_as(codec, 2, pix_fmt=pix_fmt)):
            phone.frames.put(unit)
        for number in range(2):
            frame = await anext(frames)
            assert frame.av_frame.format.name == pix_fmt
            drawing = drawn(number, (160, 128), noise=False).to_ndarray(format="gray").astype(int)
            assert abs(frame.to_ndarray("gray").astype(int) - drawing).mean() < 8
            for form in ("rgb24", "bgr24"):
                assert abs(frame.to_ndarray(form).astype(int) - drawing[..., None]).mean() < 8
            assert frame.to_ndarray("yuv420p").shape == (192, 160)


async def test_nothing_is_decoded_without_consumers() -> None:
    async with Phone() as phone:
        for unit in units():
            phone.put(unit)
        await asyncio.sleep(0.05)
        assert (phone.asked, phone.frames.hub.published) == (0, 0)


async def test_a_consumer_before_the_first_keyframe_requests_one() -> None:
    async with Phone() as phone, asyncio.timeout(LIMIT_S):
        for unit in units()[1:3]:
            phone.put(unit)
        assert phone.asked == 0
        frames = phone.watch()
        assert phone.asked == 1
        for unit in units()[3:8]:
            phone.put(unit)
        assert (await anext(frames)).rtp_time == units()[6].rtp_time


async def test_a_returning_consumer_gets_the_newest_frame_and_those_that_follow() -> None:
    sent = units()
    async with Phone() as phone, asyncio.timeout(LIMIT_S):
        for unit in sent[:4]:
            phone.put(unit)
        async with phone.watch() as frames:
            assert (await anext(frames)).rtp_time == sent[3].rtp_time
        for unit in sent[4:9]:
            phone.put(unit)
        async with phone.watch() as frames:
            assert (await anext(frames)).rtp_time == sent[8].rtp_time
            phone.put(sent[9])
            assert (await anext(frames)).rtp_time == sent[9].rtp_time
    assert phone.asked == 0


async def test_a_group_too_long_to_catch_up_with_is_not_kept_and_a_keyframe_is_requested() -> None:
    keyframe, following = units()[:2]
    async with Phone() as phone, asyncio.timeout(LIMIT_S):
        phone.put(keyframe)
        for _ in range(GROUP_LIMIT):
            phone.put(following)
        assert phone.asked == 1
        frames = phone.watch()
        assert phone.asked == 2
        phone.put(units(start=12)[0])
        assert (await anext(frames)).is_keyframe


async def test_a_consumer_that_returns_after_a_too_long_group_waits_for_a_keyframe() -> None:
    sent = units()
    async with Phone() as phone, asyncio.timeout(LIMIT_S):
        async with phone.watch() as frames:
            phone.put(sent[0])
            await anext(frames)
        for _ in range(GROUP_LIMIT):
            phone.put(sent[1])
        frames = phone.watch()
        phone.put(sent[3])  # of what it is made from nothing was decoded
        phone.put(sent[6])
        assert (await anext(frames)).rtp_time == sent[6].rtp_time
        assert phone.frames.counters.awaiting_keyframe == 1


async def test_a_returning_consumer_decodes_only_what_arrived_between() -> None:
    sent = units()
    async with Phone() as phone, asyncio.timeout(LIMIT_S):
        for number, unit in enumerate(sent):
            phone.put(unit)
            if number in {3, 5, 8}:
                async with phone.watch() as frames:
                    frame = await anext(frames)
                image = drawn(number, (160, 128), noise=False).to_ndarray(format="gray").astype(int)
                assert abs(frame.to_ndarray("gray").astype(int) - image).mean() < 8
        assert phone.frames.counters.decoded == 4 + 2 + 3  # the last are a new group's


@pytest.mark.parametrize("has_gap", [False, True])
async def test_an_unread_iterator_stops_the_decoder_until_it_is_read_again(
    monkeypatch: pytest.MonkeyPatch, has_gap: bool
) -> None:
    """It then gets the newest frame, marked for a gap even if nothing of that time was decoded."""
    monkeypatch.setattr("streamer.media.playback.video_frames.IDLE_AFTER", 3)
    sent = units()
    async with Phone() as phone, asyncio.timeout(LIMIT_S):
        frames = phone.watch("latest")
        phone.put(sent[0])
        await anext(frames)
        for unit in sent[1:4]:
            phone.put(unit)
        while phone.frames.hub.is_watched:
            await asyncio.sleep(0.01)
        phone.put(replace(sent[4], discontinuity=has_gap))
        for unit in sent[5:9]:
            phone.put(unit)
        await asyncio.sleep(0.05)
        assert phone.frames.counters.decoded == 4
        frame = await anext(frames)
        assert (number_in(frame.av_frame), frame.rtp_time, frame.discontinuity) == (8, sent[8].rtp_time, has_gap)
        phone.put(sent[9])
        assert (await anext(frames)).rtp_time == sent[9].rtp_time


async def test_a_consumer_that_returns_after_a_decode_error_gets_the_whole_group() -> None:
    sent = units()
    async with Phone() as phone, asyncio.timeout(LIMIT_S):
        async with phone.watch() as frames:
            phone.put(sent[0])
            await anext(frames)
            phone.wanted.clear()
            phone.frames.put(access_unit(b"\x00\x00\x00\x01\x41", 3000))
            await phone.wanted.wait()
        for unit in sent[1:3]:
            phone.put(unit)
        async with phone.watch() as frames:
            assert (await anext(frames)).rtp_time == sent[2].rtp_time
        assert phone.frames.counters.decoded == 1 + 3


async def test_a_late_consumer_gets_the_last_frame_of_a_still_screen_at_once() -> None:
    async with Phone() as phone, asyncio.timeout(LIMIT_S):
        async with phone.watch() as frames:
            phone.put(units()[0])
            await anext(frames)
        assert (await anext(phone.watch())).rtp_time == 0


@pytest.mark.parametrize("is_decoded_before", [True, False])
async def test_a_late_consumer_gets_no_frame_that_has_left_the_screen(
    is_decoded_before: bool,
) -> None:
    async with Phone() as phone, asyncio.timeout(LIMIT_S):
        first = phone.watch()
        phone.put(units()[0])
        if is_decoded_before:
            await anext(first)
        first.close()
        phone.put(units()[1])  # the screen changes, and nobody looks
        assert (await anext(phone.watch())).rtp_time == units()[1].rtp_time


async def test_lost_frames_show_as_a_discontinuity_of_the_next() -> None:
    async with Phone() as phone, asyncio.timeout(LIMIT_S):
        frames = phone.watch()
        sent = units()
        phone.put(sent[0])
        await anext(frames)
        phone.wanted.clear()
        phone.put(access_unit(b"\x00\x00\x00\x01\x41", 3000))
        await phone.wanted.wait()
        for unit in sent[6:8]:
            phone.put(unit)
        assert [(await anext(frames)).discontinuity for _ in range(2)] == [True, False]


async def test_a_gap_before_a_unit_that_gave_no_frame_shows_at_the_next_frame() -> None:
    async with Phone() as phone, asyncio.timeout(LIMIT_S):
        frames = phone.watch()
        first, hidden, *others = coded_units("vp8", encoded_as("vp8", 4))
        phone.put(first)
        await anext(frames)
        shown = hidden.data
        assert shown[0] & 0x10  # show_frame (RFC 6386 section 9.1)
        phone.put(replace(hidden, data=bytes([shown[0] & ~0x10]) + shown[1:], discontinuity=True))
        for unit in others:
            phone.put(unit)
        assert [(await anext(frames)).discontinuity for _ in range(2)] == [True, False]
        assert phone.frames.counters.errors == 0


async def test_audio_gives_no_frame() -> None:
    async with Phone() as phone, asyncio.timeout(LIMIT_S):
        frames = phone.watch()
        phone.put(units()[0])
        phone.put(access_unit(b"audio", 0, codec=OPUS))
        await anext(frames)
        assert phone.frames.counters.errors == 0


async def test_closing_ends_the_iterators_with_their_error_and_the_thread() -> None:
    phone = Phone()
    frames, waiting = phone.watch(), asyncio.ensure_future(anext(phone.watch()))
    await phone.frames.aclose(ZeroDivisionError("lost"))
    async with asyncio.timeout(LIMIT_S):
        for broken in (waiting, anext(frames)):
            with pytest.raises(ZeroDivisionError):
                await broken


async def test_pixels_are_converted_in_the_decoders_thread_while_the_consumer_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads: list[str] = []
    convert = Conversion.__call__

    def noted(self: Conversion, frame: av.VideoFrame, out: Pixels | None = None) -> Pixels:
        threads.append(threading.current_thread().name)
        return convert(self, frame, out)

    monkeypatch.setattr(Conversion, "__call__", noted)
    async with Phone() as phone, asyncio.timeout(LIMIT_S):
        frames = phone.frames.hub.iterate("every", conversion=Conversion("bgr24"))
        for number, unit in enumerate(units()):
            reading = asyncio.ensure_future(anext(frames))
            await asyncio.sleep(0)
            phone.put(unit)
            frame = await reading
            assert frame.sequence == number
            assert np.array_equal(frame.pixels, frame.to_ndarray("bgr24"))  # type: ignore[arg-type]
    assert threads.count("decode test") == len(STREAM)
