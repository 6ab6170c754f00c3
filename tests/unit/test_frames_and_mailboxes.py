"""What consumers hold: mailboxes, the hub, iterators and frames."""

import asyncio

import av
import numpy as np
import pytest

from streamer.errors import ConfigurationError, FramesOverflowError
from streamer.media.frames import FrameHub, FrameIterator, VideoFrame
from streamer.media.mailbox import Every, Latest, OverflowedError
from streamer.stats import RateMeter


def frame(sequence: int, *, format: str = "yuv420p", luma: int = 128) -> VideoFrame:  # noqa: A002
    picture = av.VideoFrame(64, 32, format)
    for number, plane in enumerate(picture.planes):
        plane.update(bytes([luma if number == 0 else 128]) * plane.buffer_size)
    return VideoFrame(
        width=64,
        height=32,
        sequence=sequence,
        rtp_time=0,
        arrival_ns=0,
        received_at=0.0,
        decoded_ns=0,
        captured_at=None,
        is_keyframe=False,
        discontinuity=False,
        picture=picture,
    )


def hub() -> tuple[FrameHub, list[bool]]:
    watched: list[bool] = []
    return FrameHub(watched.append), watched


def subscribe(to: FrameHub, policy: str = "latest", limit: int = 2) -> FrameIterator:
    return to.subscribe(policy, max_fps=None, limit=limit)  # type: ignore[arg-type]


def test_the_latest_item_replaces_the_one_before_and_that_is_counted() -> None:
    box: Latest[int] = Latest()
    for item in range(5):
        box.put(item)
    assert (box.take(), box.take(), box.dropped) == (4, None, 4)


def test_every_item_is_kept_up_to_the_limit_and_then_the_consumer_is_told() -> None:
    box: Every[int] = Every(2)
    for item in range(5):
        box.put(item)
    assert (box.take(), box.take(), box.dropped) == (0, 1, 3)
    with pytest.raises(OverflowedError):
        box.take()


async def test_the_hub_is_watched_from_the_first_consumer_to_the_last() -> None:
    frames, watched = hub()
    one, two = subscribe(frames), subscribe(frames)
    one.close()
    assert watched == [True]
    two.close()
    assert watched == [True, False]


async def test_the_last_picture_waits_for_who_comes_late() -> None:
    frames, _ = hub()
    frames.publish(frame(1))
    frames.publish(frame(2))
    assert (await anext(subscribe(frames))).sequence == 2
    frames.forget_last()
    waiting = asyncio.ensure_future(anext(subscribe(frames)))
    await asyncio.sleep(0)
    assert not waiting.done()
    frames.publish(frame(3))
    assert (await waiting).sequence == 3


async def test_an_iterator_gives_what_it_holds_and_then_ends_as_the_session_did() -> None:
    frames, _ = hub()
    clean, broken = subscribe(frames), subscribe(frames)
    frames.publish(frame(1))
    frames.end(ZeroDivisionError("lost"))
    assert (await anext(broken)).sequence == 1
    with pytest.raises(ZeroDivisionError):
        await anext(broken)
    with pytest.raises(StopAsyncIteration):
        await anext(broken)
    assert (await anext(clean)).sequence == 1
    other, _ = hub()
    waiting = asyncio.ensure_future(anext(subscribe(other)))
    await asyncio.sleep(0)
    other.end(None)
    with pytest.raises(StopAsyncIteration):
        await waiting
    with pytest.raises(StopAsyncIteration):
        await anext(subscribe(other))


async def test_falling_behind_every_picture_is_an_error_after_those_kept() -> None:
    frames, watched = hub()
    slow = subscribe(frames, "every", limit=2)
    for number in range(4):
        frames.publish(frame(number))
    assert [(await anext(slow)).sequence, (await anext(slow)).sequence] == [0, 1]
    with pytest.raises(FramesOverflowError) as caught:
        await anext(slow)
    assert caught.value.limit == 2
    assert watched == [True, False]
    assert frames.skipped == 2


async def test_waiting_for_a_picture_may_be_cancelled_and_begun_again() -> None:
    frames, _ = hub()
    iterator = subscribe(frames)
    waiting = asyncio.ensure_future(anext(iterator))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    frames.publish(frame(7))
    assert (await anext(iterator)).sequence == 7


async def test_closing_wakes_who_waits() -> None:
    frames, _ = hub()
    iterator = subscribe(frames)
    waiting = asyncio.ensure_future(anext(iterator))
    await asyncio.sleep(0)
    iterator.close()
    with pytest.raises(StopAsyncIteration):
        await waiting


@pytest.mark.parametrize(
    ("policy", "max_fps"), [("newest", None), ("latest", 0), ("latest", -1), ("latest", float("nan"))]
)
async def test_a_wrong_policy_or_rate_is_refused(policy: str, max_fps: float | None) -> None:
    frames, _ = hub()
    with pytest.raises(ConfigurationError):
        frames.subscribe(policy, max_fps=max_fps, limit=1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("format", "luma", "grey"),
    [("yuv420p", 16, 0), ("yuv420p", 235, 255), ("yuvj420p", 0, 0), ("yuvj420p", 255, 255), ("yuvj420p", 235, 235)],
)
def test_a_picture_is_converted_by_its_own_range(format: str, luma: int, grey: int) -> None:  # noqa: A002
    picture = frame(0, format=format, luma=luma)
    assert picture.to_ndarray("rgb24")[3, 3].tolist() == [grey] * 3
    assert picture.to_ndarray("gray")[3, 3] == grey


def test_shapes_are_as_documented() -> None:
    picture = frame(0)
    assert picture.to_ndarray().shape == (32, 64, 3)
    assert picture.to_ndarray("bgr24", size=(16, 8)).shape == (8, 16, 3)
    assert picture.to_ndarray("gray").shape == (32, 64)
    assert picture.to_ndarray("yuv420p").shape == (48, 64)
    assert picture.to_ndarray().dtype == np.uint8
    assert picture.to_ndarray("rgb24", size=(15, 9)).flags.c_contiguous
    assert picture.to_image(size=(10, 20)).size == (10, 20)
    for wrong in ((0, 1), (1, 99_999)):
        with pytest.raises(ConfigurationError):
            picture.to_ndarray(size=wrong)
    with pytest.raises(ConfigurationError, match="expected a pixel format of"):
        picture.to_ndarray("cmyk")  # type: ignore[arg-type]


def test_a_rate_is_counted_over_the_last_second() -> None:
    meter = RateMeter()
    for number in range(50):
        meter.add(number * 100_000_000, weight=3)
    assert meter.per_second(4_900_000_000) == pytest.approx(33, abs=3)
    assert meter.per_second(9_000_000_000) == 0
