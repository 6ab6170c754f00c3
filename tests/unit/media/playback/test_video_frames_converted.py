"""Consumers that ask for pixels: each frame that they get is converted once, and no other."""

import asyncio
import itertools
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import ConfigurationError
from streamer.media.playback.pixels import Conversion
from streamer.media.playback.video_frames import FrameHub, FrameIterator, VideoFrame
from tests.support.video_frames import FRAMES, video_frame

LIMIT_S = 20.0
BGR = Conversion("bgr24")


class Counted(Conversion):
    """A conversion that counts what it converts, and where."""

    threads: list[threading.Thread]

    def __call__(self, frame: Any, out: Any = None) -> Any:
        self.threads.append(threading.current_thread())
        return super().__call__(frame, out)


def counted(*arguments: Any) -> Counted:
    conversion = Counted(*arguments)
    object.__setattr__(conversion, "threads", [])
    return conversion


def make_hub() -> FrameHub:
    return FrameHub(lambda _: None)


def publish(hub: FrameHub, frame: VideoFrame) -> None:
    """Hand over a frame as the decoder's thread and the event loop do together."""
    hub.publish(frame, hub.convert(frame.av_frame))


async def started(iterator: FrameIterator) -> asyncio.Task[VideoFrame]:
    task = asyncio.ensure_future(iterator.__anext__())
    await asyncio.sleep(0)
    return task


def distinct() -> Iterator[VideoFrame]:
    """Yield frames that differ in their pixels."""
    for number in itertools.count():
        yield video_frame(number, luma=16 + number % 200)


def is_right(frame: VideoFrame, conversion: Conversion = BGR) -> bool:
    return frame.pixels is not None and np.array_equal(frame.pixels, conversion(frame.av_frame))


@given(st.sampled_from(["latest", "every"]), st.lists(st.sampled_from(["publish", "publish", "read"]), max_size=40))
async def test_each_frame_that_a_consumer_gets_is_converted_once_and_no_other(policy: Any, schedule: list[str]) -> None:
    hub, conversion, frames = make_hub(), counted("bgr24"), distinct()
    iterator = hub.iterate(policy, conversion=conversion)
    reading: asyncio.Task[VideoFrame] | None = None
    got: list[VideoFrame] = []
    async with asyncio.timeout(LIMIT_S):
        for action in schedule:
            if action == "publish":
                publish(hub, next(frames))
            elif reading is None:
                reading = await started(iterator)
            if reading is not None and (action == "publish" or iterator._subscription.waiter is None):
                got.append(await reading)
                reading = None
        if reading is not None:
            publish(hub, next(frames))
            got.append(await reading)
    assert all(is_right(frame) for frame in got)
    assert len(conversion.threads) == len(got)
    if policy == "every":
        assert [frame.sequence for frame in got] == list(range(len(got)))


async def test_a_frame_is_converted_before_it_is_published_to_a_consumer_that_waits() -> None:
    hub, conversion = make_hub(), counted("gray", (16, 8))
    iterator = hub.iterate("latest", conversion=conversion)
    reading = await started(iterator)
    publish(hub, FRAMES[0])
    frame = await reading
    assert conversion.threads == [threading.current_thread()]  # that called `convert`
    assert is_right(frame, Conversion("gray", (16, 8)))
    assert frame.pixels is not None
    assert frame.pixels.shape == (8, 16)


async def test_a_frame_that_has_waited_for_its_consumer_is_converted_in_a_thread() -> None:
    hub, conversion = make_hub(), counted("bgr24")
    iterator = hub.iterate("latest", conversion=conversion)
    for frame in FRAMES[:3]:
        publish(hub, frame)
    assert conversion.threads == []
    assert is_right(await anext(iterator))
    assert len(conversion.threads) == 1
    assert conversion.threads[0] is not threading.current_thread()


async def test_frames_that_come_before_the_consumer_has_run_are_not_all_converted() -> None:
    hub, conversion = make_hub(), counted("bgr24")
    iterator = hub.iterate("latest", conversion=conversion)
    reading = await started(iterator)
    converted = [hub.convert(frame.av_frame) for frame in FRAMES[:5]]
    assert len(conversion.threads) == 1
    for frame, pixels in zip(FRAMES, converted, strict=False):
        hub.publish(frame, pixels)
    frame = await reading
    assert frame.sequence == 4
    assert is_right(frame)
    assert len(conversion.threads) == 2


async def test_a_consumer_that_waits_for_its_rate_has_nothing_converted() -> None:
    hub, conversion = make_hub(), counted("bgr24")
    iterator = hub.iterate("latest", max_fps=20, conversion=conversion)
    publish(hub, FRAMES[0])
    await anext(iterator)
    reading = await started(iterator)
    for frame in FRAMES[1:10]:
        publish(hub, frame)
    assert len(conversion.threads) == 1
    frame = await reading
    assert frame.sequence == 9
    assert is_right(frame)
    assert len(conversion.threads) == 2


async def test_each_consumer_has_an_array_of_its_own() -> None:
    hub = make_hub()
    iterators = [hub.iterate("every", conversion=BGR) for _ in range(2)] + [hub.iterate("every")]
    readings = [await started(iterator) for iterator in iterators]
    publish(hub, FRAMES[0])
    first, second, plain = [await reading for reading in readings]
    assert plain.pixels is None
    assert first.pixels is not None
    assert second.pixels is not None
    first.pixels[...] = 0
    assert is_right(second)


async def test_repeated_frames_have_arrays_of_their_own() -> None:
    hub = make_hub()
    iterator = hub.iterate("latest", max_fps=1000, repeat=True, conversion=BGR)
    publish(hub, FRAMES[0])
    async with asyncio.timeout(LIMIT_S):
        frames = [await anext(iterator) for _ in range(3)]
    assert [frame.is_repeat for frame in frames] == [False, True, True]
    assert all(is_right(frame) for frame in frames)
    assert len({frame.pixels.ctypes.data for frame in frames if frame.pixels is not None}) == 3


@pytest.mark.parametrize(("policy", "sequence", "skipped"), [("every", 0, 0), ("latest", 2, 2)])
async def test_no_frame_is_lost_when_its_conversion_is_cancelled(policy: Any, sequence: int, skipped: int) -> None:
    hub = make_hub()
    iterator = hub.iterate(policy, conversion=BGR)
    publish(hub, replace(FRAMES[0], discontinuity=True))
    reading = await started(iterator)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    for frame in FRAMES[1:3]:
        publish(hub, frame)
    frame = await anext(iterator)
    assert (frame.sequence, iterator.skipped) == (sequence, skipped)
    assert frame.discontinuity
    assert is_right(frame)
    if policy == "every":
        assert [(await anext(iterator)).sequence for _ in range(2)] == [1, 2]


async def test_a_cancelled_conversion_is_taken_up_again_when_nothing_new_has_come() -> None:
    hub = make_hub()
    iterator = hub.iterate("latest", conversion=BGR)
    publish(hub, FRAMES[0])
    reading = await started(iterator)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    frame = await anext(iterator)
    assert (frame.sequence, iterator.skipped) == (0, 0)
    assert is_right(frame)


@pytest.mark.parametrize("is_waiting", [True, False])
async def test_a_frame_that_cannot_be_converted_is_an_error_of_its_consumer_alone(*, is_waiting: bool) -> None:
    hub, odd = make_hub(), video_frame(1, width=63, height=32)
    iterator, other = hub.iterate("every", conversion=Conversion("yuv420p")), hub.iterate("every")
    publish(hub, FRAMES[0])
    assert (await anext(iterator)).sequence == 0
    reading = await started(iterator) if is_waiting else None
    publish(hub, odd)
    with pytest.raises(ConfigurationError, match='expected an even size for "yuv420p", got 63x32'):
        await (reading or anext(iterator))
    publish(hub, FRAMES[2])
    assert is_right(await anext(iterator), Conversion("yuv420p"))
    assert [(await anext(other)).sequence for _ in range(3)] == [0, 1, 2]


async def test_a_second_reader_is_refused_while_a_frame_is_converted() -> None:
    hub = make_hub()
    iterator = hub.iterate("every", conversion=BGR)
    for frame in FRAMES[:2]:
        publish(hub, frame)
    reading = await started(iterator)
    assert not reading.done()
    with pytest.raises(RuntimeError, match="expected one task to read this iterator, got two"):
        await anext(iterator)
    assert (await reading).sequence == 0
    assert (await anext(iterator)).sequence == 1


async def test_a_consumer_that_leaves_is_forgotten() -> None:
    hub, conversion = make_hub(), counted("bgr24")
    iterator = hub.iterate("latest", conversion=conversion)
    reading = await started(iterator)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    iterator.close()
    publish(hub, FRAMES[0])
    assert conversion.threads == []
    with pytest.raises(StopAsyncIteration):
        await anext(iterator)
