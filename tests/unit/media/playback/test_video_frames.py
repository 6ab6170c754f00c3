"""Consumers of frames: the hub, the iterators, and the frames themselves."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import ConfigurationError, FramesOverflowError
from streamer.media.playback.video_frames import FrameHub, FrameIterator, VideoFrame
from tests.support.video_frames import FRAMES

LIMIT_S = 20.0


def make_hub(watched: list[bool] | None = None) -> FrameHub:
    return FrameHub((watched if watched is not None else []).append)


def latest(hub: FrameHub, *, max_fps: float | None = None) -> FrameIterator:
    return hub.iterate("latest", max_fps=max_fps, limit=1)


def every(hub: FrameHub, limit: int = 60) -> FrameIterator:
    return hub.iterate("every", max_fps=None, limit=limit)


async def started(iterator: FrameIterator) -> asyncio.Task[VideoFrame]:
    """Return a task that waits in `__anext__`."""
    task = asyncio.ensure_future(iterator.__anext__())
    await asyncio.sleep(0)
    assert not task.done()
    return task


async def read_all(iterator: FrameIterator) -> list[int]:
    async with asyncio.timeout(LIMIT_S):
        return [frame.sequence async for frame in iterator]


# Every schedule of one consumer


@given(st.lists(st.sampled_from(["publish", "read"]), max_size=64), st.sampled_from([1, 2, 5, 60]))
async def test_a_consumer_of_every_frame_gets_each_one_or_an_error(schedule: list[str], limit: int) -> None:
    """The law: for any schedule of frames and reads, what "every" reads has no gap, and the first frame that would
    be missing is an error that names the limit. Unread while 60 more come, the kept ones are missing too."""
    hub = make_hub()
    iterator = every(hub, limit)
    published, read, unread = 0, 0, 0
    overflowed = given_up = False
    for action in schedule:
        if action == "publish":
            hub.publish(FRAMES[published])
            overflowed = overflowed or published - read >= limit
            published += 1
            unread += 1
            given_up = given_up or unread > limit + 60
            assert hub.is_watched is not overflowed
        elif read < published and not overflowed:
            assert (await anext(iterator)).sequence == read
            read += 1
            unread = 0
    for number in range(read, read if given_up else read + limit if overflowed else published):
        assert (await anext(iterator)).sequence == number
    if overflowed:
        with pytest.raises(FramesOverflowError, match=f"by more than {limit} frames") as caught:
            await anext(iterator)
        assert caught.value.limit == limit
        assert not hub.is_watched
        assert hub.skipped > 0
    iterator.close()


@given(st.lists(st.sampled_from(["publish", "read"]), max_size=50))
async def test_a_consumer_of_the_latest_frame_gets_the_newest_and_counts_the_others(schedule: list[str]) -> None:
    """The law: for any schedule, a read gives the frame published last, and read + skipped + held = published."""
    hub = make_hub()
    iterator = latest(hub)
    published, read, newest = 0, 0, -1
    for action in schedule:
        if action == "publish":
            hub.publish(FRAMES[published])
            published += 1
        elif newest != published - 1:
            newest = (await anext(iterator)).sequence
            assert newest == published - 1
            read += 1
    held = newest != published - 1
    assert read + iterator.skipped + held == published
    iterator.close()
    assert hub.skipped == published - read - held


# Gaps

AFTER_GAP = [replace(frame, discontinuity=True) for frame in FRAMES]


@given(
    schedule=st.lists(st.sampled_from(["publish", "publish after a gap", "read", "read", "begin"]), max_size=60),
    policies=st.lists(st.sampled_from(["latest", "every"]), min_size=1, max_size=3),
    who=st.randoms(use_true_random=False),
)
async def test_the_first_frame_after_a_gap_is_marked_for_each_consumer_whatever_it_skips(
    schedule: list[str], policies: list[Any], who: Any
) -> None:
    """The law: a frame is marked for a consumer if it is the consumer's first, or a gap lies between it and the one
    that this consumer got before, and only then; whatever others read, the pixels are the decoder's own."""
    hub = make_hub()
    consumers = [hub.iterate(policy, max_fps=None, limit=60) for policy in policies]
    got: dict[FrameIterator, int | None] = dict.fromkeys(consumers)
    gaps: list[int] = []
    for action in schedule:
        if action == "read":
            consumer = who.choice(consumers)
            if (got[consumer] if got[consumer] is not None else -1) == hub.published - 1:
                continue
            former, frame = got[consumer], await anext(consumer)
            is_marked = former is None or any(former < gap <= frame.sequence for gap in gaps)
            assert frame.discontinuity == is_marked
            assert frame.av_frame is FRAMES[frame.sequence].av_frame
            got[consumer] = frame.sequence
        elif action == "begin":
            consumers.append(hub.iterate(who.choice(policies), max_fps=None, limit=60))
            got[consumers[-1]] = None
        else:
            has_gap = action != "publish"
            if has_gap:
                gaps.append(hub.published)
            hub.publish((AFTER_GAP if has_gap else FRAMES)[hub.published])
    assert hub.last is None or hub.last.discontinuity == (hub.published - 1 in gaps)
    for consumer in consumers:
        consumer.close()


async def test_a_rate_limit_does_not_hide_a_gap() -> None:
    hub = make_hub()
    async with latest(hub, max_fps=50) as iterator, asyncio.timeout(LIMIT_S):
        hub.publish(FRAMES[0])
        await anext(iterator)
        for frame in (FRAMES[1], AFTER_GAP[2], FRAMES[3], FRAMES[4]):
            hub.publish(frame)
        frame = await anext(iterator)
        assert (frame.sequence, frame.discontinuity) == (4, True)
        hub.publish(FRAMES[5])
        assert not (await anext(iterator)).discontinuity


async def test_consumers_share_a_frame_that_needs_no_other_mark() -> None:
    hub = make_hub()
    one, two = latest(hub), every(hub)
    for frame in (AFTER_GAP[0], FRAMES[1]):
        hub.publish(frame)
        assert await anext(one) is await anext(two) is frame


# Late, several, and gone consumers


async def test_a_late_consumer_gets_the_last_frame_at_once_unless_it_was_forgotten() -> None:
    hub = make_hub()
    hub.publish(FRAMES[0])
    hub.publish(FRAMES[1])
    for iterator in (latest(hub), every(hub)):
        assert (await anext(iterator)).sequence == 1
    hub.forget_last()
    waiting = await started(latest(hub))
    hub.publish(FRAMES[2])
    assert (await waiting).sequence == 2


async def test_consumers_do_not_wait_for_each_other() -> None:
    hub = make_hub()
    slow, quick, idle = latest(hub), every(hub), latest(hub)
    seen = []
    for number in range(10):
        hub.publish(FRAMES[number])
        seen.append((await anext(quick)).sequence)
        if number % 4 == 0:
            seen.append((await anext(slow)).sequence)
    assert seen == [0, 0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 8, 9]
    assert (slow.skipped, quick.skipped, idle.skipped) == (6, 0, 9)
    assert hub.skipped == 15
    assert hub.published == 10


async def test_the_hub_is_watched_from_the_first_consumer_to_the_last() -> None:
    watched: list[bool] = []
    hub = make_hub(watched)
    one, two = latest(hub), every(hub)
    one.close()
    one.close()
    assert watched == [True]
    async with two:
        assert hub.is_watched
    assert watched == [True, False]
    async with contextlib.aclosing(latest(hub)):
        assert watched == [True, False, True]
    assert watched == [True, False, True, False]
    hub.end(None)
    latest(hub).close()
    assert watched == [True, False, True, False]


# How it ends


@pytest.mark.parametrize("error", [None, ZeroDivisionError("the session's")])
@pytest.mark.parametrize("make", [latest, every])
async def test_an_iterator_gives_what_it_holds_and_then_ends_as_the_session_did(
    make: Callable[[FrameHub], FrameIterator], error: Exception | None
) -> None:
    hub = make_hub()
    hub.publish(FRAMES[0])
    full, drained = make(hub), make(hub)
    await anext(drained)
    waiting = await started(drained)
    hub.end(error)
    late = make(hub)
    for iterator in (full, late):
        assert (await anext(iterator)).sequence == 0
    for ended in (anext(full), waiting, anext(late)):
        with pytest.raises(StopAsyncIteration if error is None else ZeroDivisionError):
            await ended
    for iterator in (full, late):  # the error is told once
        assert await read_all(iterator) == []


async def test_a_reader_that_waits_ends_when_its_iterator_is_closed() -> None:
    hub = make_hub()
    iterator = latest(hub)
    waiting = asyncio.ensure_future(read_all(iterator))
    await asyncio.sleep(0)
    await iterator.aclose()
    assert await waiting == []
    hub.publish(FRAMES[0])
    assert await read_all(iterator) == []


async def test_a_second_reading_task_gets_an_error_instead_of_hanging() -> None:
    hub = make_hub()
    iterator = latest(hub)
    first = asyncio.ensure_future(anext(iterator))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="expected one task to read this iterator, got two"):
        await anext(iterator)
    hub.publish(FRAMES[0])
    assert (await first).sequence == 0


async def test_a_cancelled_read_takes_no_frame_with_it() -> None:
    hub = make_hub()
    iterator = every(hub)
    waiting = await started(iterator)
    hub.publish(FRAMES[0])  # it is there, and the reader has been woken, when the cancellation comes
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    hub.publish(FRAMES[1])
    assert [(await anext(iterator)).sequence for _ in range(2)] == [0, 1]


async def test_a_reader_reads_on_after_its_own_time_out() -> None:
    hub = make_hub()
    iterator = every(hub)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await anext(iterator)
    hub.publish(FRAMES[0])
    assert (await anext(iterator)).sequence == 0


# Rates


async def test_a_rate_limit_gives_the_newest_frame_and_no_more_than_its_rate() -> None:
    hub = make_hub()
    loop = asyncio.get_running_loop()
    times = []
    async with latest(hub, max_fps=50) as iterator, asyncio.timeout(LIMIT_S):
        hub.publish(FRAMES[0])
        await anext(iterator)
        began = loop.time()
        for number in range(1, 40, 8):
            for burst in range(8):
                hub.publish(FRAMES[number + burst])
            assert (await anext(iterator)).sequence == number + 7
            times.append(loop.time() - began)
        assert iterator.skipped == 5 * 7
    assert times[-1] >= 4 / 50 - 0.01  # five frames after the first, the timer's resolution aside


@pytest.mark.parametrize("end", [lambda hub, _: hub.end(None), lambda _, iterator: iterator.close()])
async def test_a_rate_limit_does_not_delay_the_end(end: Callable[[FrameHub, FrameIterator], Any]) -> None:
    hub = make_hub()
    iterator = latest(hub, max_fps=0.001)
    hub.publish(FRAMES[0])
    await anext(iterator)
    waiting = asyncio.ensure_future(read_all(iterator))
    await asyncio.sleep(0)
    end(hub, iterator)
    assert await waiting == []


async def test_a_rate_limit_does_not_keep_a_reader_from_being_cancelled() -> None:
    hub = make_hub()
    iterator = latest(hub, max_fps=0.001)
    hub.publish(FRAMES[0])
    await anext(iterator)
    waiting = await started(iterator)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


class VirtualTime(asyncio.SelectorEventLoop):
    """A loop whose time goes on only while all tasks wait, and then at once."""

    now_s = 1000.0

    def time(self) -> float:
        return self.now_s

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self.now_s = max(self.now_s, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


def in_virtual_time(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        runner.run(main)


def publish_at(hub: FrameHub, *times_s: float) -> None:
    loop = asyncio.get_running_loop()
    for number, time_s in enumerate(times_s):
        loop.call_later(time_s, hub.publish, (AFTER_GAP if number == 2 else FRAMES)[number])


def test_a_repeating_iterator_gives_the_last_frame_again_at_a_steady_rate() -> None:
    async def main() -> None:
        hub, loop, begin = make_hub(), asyncio.get_running_loop(), asyncio.get_running_loop().time()
        got = []
        publish_at(hub, 0.25, 1.0, 1.1, 3.0)
        async with hub.iterate("latest", max_fps=2, repeat=True) as frames:
            async for frame in frames:
                got.append((loop.time() - begin, frame.sequence, frame.is_repeat, frame.discontinuity))
                if len(got) == 7:
                    break
        assert got == [
            (0.25, 0, False, True),
            (0.75, 0, True, False),
            (1.25, 2, False, True),
            (1.75, 2, True, False),
            (2.25, 2, True, False),
            (2.75, 2, True, False),
            (3.25, 3, False, False),
        ]

    in_virtual_time(main())


def test_a_slowly_read_repeating_iterator_skips_beats_and_never_bursts() -> None:
    async def main() -> None:
        hub, loop, begin = make_hub(), asyncio.get_running_loop(), asyncio.get_running_loop().time()
        hub.publish(FRAMES[0])
        times = []
        async with hub.iterate("latest", max_fps=1, repeat=True) as frames:
            for pause_s in (0, 0.5, 3.5, 0, 0):
                await asyncio.sleep(pause_s)
                await anext(frames)
                times.append(loop.time() - begin)
        assert times == [0, 1, 4.5, 5.5, 6.5]

    in_virtual_time(main())


@pytest.mark.parametrize("error", [None, ZeroDivisionError("the session's")])
def test_a_repeating_iterator_ends_with_the_session(error: Exception | None) -> None:
    async def main() -> None:
        hub = make_hub()
        iterator = hub.iterate("latest", max_fps=1, repeat=True)
        hub.publish(FRAMES[0])
        asyncio.get_running_loop().call_later(2.5, hub.end, error)
        got = []
        with pytest.raises(StopAsyncIteration if error is None else ZeroDivisionError):
            while True:
                got.append(await anext(iterator))
        assert [frame.is_repeat for frame in got] == [False, True, True]

    in_virtual_time(main())


@pytest.mark.parametrize(("policy", "max_fps"), [("latest", None), ("every", 2)])
async def test_a_repeating_iterator_needs_a_rate_and_the_latest_frame(policy: Any, max_fps: float | None) -> None:
    with pytest.raises(ConfigurationError, match="expected max_fps and the policy"):
        make_hub().iterate(policy, max_fps=max_fps, repeat=True)


@pytest.mark.parametrize(
    ("policy", "max_fps", "limit"),
    [
        ("newest", None, 1),
        ("", None, 1),
        ("latest", 0, 1),
        ("latest", -1.0, 1),
        ("every", float("nan"), 1),
        ("every", None, 0),
        ("every", None, -1),
    ],
)
async def test_an_invalid_policy_rate_or_limit_is_refused(policy: Any, max_fps: float | None, limit: int) -> None:
    hub = make_hub()
    with pytest.raises(ConfigurationError, match="expected"):
        hub.iterate(policy, max_fps=max_fps, limit=limit)
    assert not hub.is_watched
