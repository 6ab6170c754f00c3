"""Units that are held until somebody wants a frame: which are decoded, when, and what the consumers get."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.media.access_unit import AccessUnit
from streamer.media.history import History
from streamer.media.playback import deferral
from streamer.media.playback.deferral import Deferral, needed
from streamer.media.playback.video import VideoOutput
from streamer.media.playback.video_frames import FrameIterator, VideoFrame
from streamer.pubsub import Subscription
from tests.support.access_units import units
from tests.support.examples import examples
from tests.support.layered import stream
from tests.support.senders import access_unit, encoded

LIMIT_S = 20.0
SLOW_FPS = 0.2  # a frame in five seconds: no test lasts so long
LAYERED = stream("VP9 layers")


class Output:
    """A video output with its history, as a session has it."""

    def __init__(self) -> None:
        self.asked = 0
        self.history = History(ask_keyframe=self._ask)
        self.kept: FrameIterator | None = None  # one that is dropped is closed
        self.frames = VideoOutput("test", self.history, request_keyframe=self._ask, audio_port=lambda: None)

    def put(self, *sent: AccessUnit) -> None:
        for unit in sent:
            self.history.put(unit)
            self.frames.put(unit)

    def _ask(self) -> None:
        self.asked += 1

    async def slow(self, first: AccessUnit, *, max_fps: float = SLOW_FPS) -> FrameIterator:
        """Return a consumer that has taken this frame, and wants the next one later."""
        frames = self.frames.hub.iterate("latest", max_fps=max_fps)
        self.put(first)
        while (last := self.frames.hub.last) is None or last.rtp_time != first.rtp_time:
            await asyncio.sleep(0.001)
        assert (await anext(frames)).rtp_time == first.rtp_time
        return frames

    @property
    def decoded(self) -> int:
        return self.frames.counters.decoded


@asynccontextmanager
async def an_output() -> AsyncIterator[Output]:
    output = Output()
    try:
        async with asyncio.timeout(LIMIT_S):
            yield output
    finally:
        await output.frames.aclose()


def gray(number: int) -> AccessUnit:
    return access_unit(b"%d" % number, 3000 * number, keyframe=False)


async def test_units_before_a_keyframe_are_not_decoded_if_nobody_wants_them() -> None:
    sent = units(encoded(18, keyframe_every=6))
    async with an_output() as output:
        slow = await output.slow(sent[0])
        output.put(*sent[1:14])
        newest = output.frames.hub.iterate("latest")
        assert (await anext(newest)).rtp_time == sent[13].rtp_time
        assert (output.decoded, output.frames.not_decoded) == (1 + 2, 5 + 6)
        assert slow.skipped == 0


async def test_of_temporal_layers_only_the_lowest_and_the_newest_unit_are_decoded() -> None:
    async with an_output() as output:
        output.kept = await output.slow(LAYERED[0])
        output.put(*LAYERED[1:10])  # the odd ones are the upper layer's
        frame = await anext(output.frames.hub.iterate("latest"))
        assert frame.rtp_time == LAYERED[9].rtp_time
        assert (output.decoded, output.frames.not_decoded) == (1 + 4 + 1, 4)


async def test_a_consumer_gets_the_newest_frame_at_its_time() -> None:
    """It is decoded shortly before, so that the consumer need not wait for it."""
    sent = units()
    async with an_output() as output:
        frames = await output.slow(sent[0], max_fps=4)
        began = asyncio.get_running_loop().time()
        output.put(*sent[1:6])
        await asyncio.sleep(0.05)
        assert output.decoded == 1
        assert (await anext(frames)).rtp_time == sent[5].rtp_time
        assert asyncio.get_running_loop().time() - began >= 0.2
        assert output.decoded == 6


async def test_a_still_screen_shows_its_last_frame_although_no_unit_follows() -> None:
    async with an_output() as output:
        frames = await output.slow(LAYERED[0], max_fps=10)
        output.put(LAYERED[1])  # of the upper layer: another unit would replace it
        assert (await anext(frames)).rtp_time == LAYERED[1].rtp_time


@pytest.mark.parametrize("policy", ["latest", "every"])
async def test_a_new_consumer_gets_what_is_on_the_screen_and_then_all(policy: str) -> None:
    sent = units()
    async with an_output() as output:
        output.kept = await output.slow(sent[0])
        output.put(*sent[1:4])
        assert output.frames.hub.last is None
        assert not output.frames.is_up_to_date
        frames = output.frames.hub.iterate(policy)  # type: ignore[arg-type]
        assert (await anext(frames)).rtp_time == sent[3].rtp_time
        for unit in sent[4:7]:
            output.put(unit)
            assert (await anext(frames)).rtp_time == unit.rtp_time
        assert output.decoded == 7


async def test_a_watch_begins_with_the_frame_that_is_on_the_screen() -> None:
    """A wait for a change takes the last frame for what it was, so this must not be an older one."""
    sent = units()
    seen: list[VideoFrame] = []

    class Noted:
        dropped, is_idle = 0, False

        def put(self, item: VideoFrame) -> None:
            seen.append(item)

        def take(self) -> None:
            return None

    async with an_output() as output:
        output.kept = await output.slow(sent[0])
        output.put(*sent[1:4])
        assert output.frames.hub.last is None
        output.frames.hub.add(Subscription(Noted()))
        while not seen:
            await asyncio.sleep(0.001)
        assert [frame.rtp_time for frame in seen] == [sent[3].rtp_time]


async def test_what_is_held_when_the_last_consumer_leaves_is_decoded_for_the_next() -> None:
    sent = units()
    async with an_output() as output:
        (await output.slow(sent[0])).close()
        async with await output.slow(sent[6]):
            output.put(*sent[7:10])
        assert (await anext(output.frames.hub.iterate("latest"))).rtp_time == sent[9].rtp_time
        assert output.asked == 1  # for the first frame of all
        assert output.frames.not_decoded == 0


async def test_frames_that_nobody_looked_at_count_as_not_decoded_once_a_keyframe_comes() -> None:
    sent = units()
    async with an_output() as output:
        output.put(*sent[:5])
        assert output.frames.not_decoded == 0  # a consumer that comes now has them decoded
        output.put(*sent[5:8])
        assert output.frames.not_decoded == 6
        async with output.frames.hub.iterate("latest") as frames:
            assert (await anext(frames)).rtp_time == sent[7].rtp_time
        assert (output.decoded, output.frames.not_decoded) == (2, 6)


async def test_a_look_now_and_then_leaves_out_the_upper_layer() -> None:
    async with an_output() as output:
        output.put(*LAYERED[:10])
        async with output.frames.hub.iterate("latest") as frames:
            assert (await anext(frames)).rtp_time == LAYERED[9].rtp_time
        output.put(*LAYERED[10:20])
        async with output.frames.hub.iterate("latest") as frames:
            frame = await anext(frames)
        assert frame.rtp_time == LAYERED[19].rtp_time
        assert (output.decoded, output.frames.not_decoded) == (6 + 6, 4 + 4)


async def test_a_gap_among_the_held_units_shows_at_the_next_frame() -> None:
    sent = units()
    async with an_output() as output:
        output.kept = await output.slow(sent[0])
        output.put(sent[1], replace(sent[6], discontinuity=True), sent[7])
        async with output.frames.hub.iterate("every") as frames:
            assert (await anext(frames)).discontinuity
        slow = await output.slow(sent[8], max_fps=20)
        keyframe, following = units(start=12)[:2]
        output.put(replace(keyframe, discontinuity=True), following)
        assert (await anext(slow)).discontinuity


async def test_a_consumer_that_repeats_has_every_frame_decoded() -> None:
    sent = units()
    async with an_output() as output:
        frames = output.frames.hub.iterate("latest", max_fps=SLOW_FPS, repeat=True)
        output.put(sent[0])
        await anext(frames)
        output.put(*sent[1:4])
        while output.decoded < 4:
            await asyncio.sleep(0.001)
        assert output.frames.not_decoded == 0


async def test_a_stream_that_reorders_is_decoded_as_it_comes() -> None:
    reordered = [replace(unit, rtp_time=unit.rtp_time) for unit in stream("B-frames")]
    async with an_output() as output:
        frames = output.frames.hub.iterate("latest", max_fps=SLOW_FPS)
        output.put(*reordered[:8])
        await anext(frames)
        while output.frames._decoder is None or not output.frames._decoder.reorders:
            await asyncio.sleep(0.001)
        output.put(*reordered[8:12])
        assert not output.frames._deferral


async def test_units_after_a_loss_wait_for_a_keyframe() -> None:
    sent = units()
    async with an_output() as output:
        output.kept = await output.slow(sent[0])
        output.frames.put(access_unit(b"\x00\x00\x00\x01\x41", 3000))
        newest = output.frames.hub.iterate("latest")
        while output.frames.counters.errors == 0:
            await asyncio.sleep(0.001)
        output.put(*sent[2:4])
        output.put(sent[6])
        assert (await anext(newest)).rtp_time == sent[6].rtp_time


async def test_what_is_held_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deferral, "UNITS_LIMIT", 3)
    sent = units()
    async with an_output() as output:
        output.kept = await output.slow(sent[0])
        output.put(*sent[1:3])
        assert len(output.frames._deferral) == 2
        output.put(sent[3])
        assert not output.frames._deferral
        while output.decoded < 4:
            await asyncio.sleep(0.001)


async def test_an_unread_frame_passes_its_gap_on_to_the_newer_one() -> None:
    sent = units()
    async with an_output() as output:
        slow = await output.slow(sent[0], max_fps=5)
        other = output.frames.hub.iterate("every")
        output.put(replace(sent[6], discontinuity=True))
        assert (await anext(other)).rtp_time == 0
        assert (await anext(other)).rtp_time == sent[6].rtp_time  # now the slow one has it, too, unread
        other.close()
        output.put(sent[7])
        frame = await anext(slow)
        assert (frame.rtp_time, frame.discontinuity) == (sent[7].rtp_time, True)


# What is held, without a decoder


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=30))
@examples(60)
def test_every_unit_is_held_or_counted_and_a_keyframe_is_the_first(kinds: list[tuple[bool, bool]]) -> None:
    held = Deferral()
    for number, (is_keyframe, discontinuity) in enumerate(kinds):
        unit = access_unit(b"\x00\x00\x01\x01\x88", 3000 * number, keyframe=is_keyframe)
        unit = replace(unit, discontinuity=discontinuity)
        gap = discontinuity or held.has_gap
        held.put(unit)
        assert held.newest is unit
        assert held.has_gap or not gap
        assert len(held) + held.left_out == number + 1
    taken = held.take()
    assert not any(unit.is_keyframe for unit in taken[1:])
    assert not held
    assert held.newest is None


def test_the_newest_unit_is_always_needed() -> None:
    for count in range(1, len(LAYERED) + 1):
        left = needed(LAYERED[:count])
        assert left[-1] is LAYERED[count - 1]
        assert [unit for unit in left[:-1] if unit in LAYERED[1::2]] == []
    assert needed([]) == []
