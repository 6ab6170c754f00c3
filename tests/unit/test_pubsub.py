"""Iterators that a program drops, and the event loop that they belong to."""

import asyncio
import contextlib
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any, Final, TypeAlias

import numpy as np
import pytest

from streamer.errors import ConfigurationError
from streamer.events import Event, EventHub, EventIterator
from streamer.media.playback.audio_frames import IDLE_AFTER as AUDIO_IDLE_AFTER
from streamer.media.playback.audio_frames import AudioFrame, AudioHub, AudioIterator, Pcm
from streamer.media.playback.video_frames import IDLE_AFTER, FrameHub, FrameIterator, VideoFrame
from streamer.pubsub import Hub, HubIterator, Subscription
from tests.support.video_frames import FRAMES

LIMIT_S = 20.0
TIMES: Final = 1000
ALL: Final = ["latest", "every", "audio", "events"]
WATCHED: Final = ["latest", "every", "audio"]

AnyIterator: TypeAlias = FrameIterator | AudioIterator | EventIterator


def pcm() -> Pcm:
    return Pcm(
        samples=np.zeros((960, 2), np.int16),
        rtp_time=0,
        arrival_ns=0,
        received_at=0.0,
        captured_ns=None,
        is_concealed=False,
        discontinuity=False,
        audio_port=None,
    )


class Rig:
    """A hub of one kind, and the notifications of its owner."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.watched: list[bool] = []
        self.frames = FrameHub(self.watched.append)
        self.audio = AudioHub(self.watched.append)
        self.events = EventHub()
        hubs: dict[str, Hub[Any]] = {"audio": self.audio, "events": self.events}
        self.hub = hubs.get(kind, self.frames)

    def iterate(self) -> AnyIterator:
        if self.kind == "audio":
            return self.audio.iterate("s16", rate=48_000, layout="stereo")
        if self.kind == "events":
            return self.events.iterate()
        return self.frames.iterate("latest" if self.kind == "latest" else "every")

    def publish(self, times: int = 1) -> None:
        for _ in range(times):
            if self.kind == "audio":
                self.audio.publish(pcm())
            elif self.kind == "events":
                self.events.emit("problem", "x" * 1000)
            else:
                self.frames.publish(replace(FRAMES[0]))


@contextlib.contextmanager
def no_collector() -> Iterator[None]:
    """Switch the collector off."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def alive() -> int:
    """Return how many iterators and items there are."""
    kinds = (HubIterator, Subscription, VideoFrame, AudioFrame, Pcm, Event)
    return sum(isinstance(thing, kinds) for thing in gc.get_objects())


async def settle() -> None:
    """Let callbacks run, and the last exception go."""
    for _ in range(4):
        await asyncio.sleep(0)


async def one(iterator: AnyIterator) -> None:
    async for _ in iterator:
        break


# Dropped


@pytest.mark.edge
@pytest.mark.parametrize("kind", ALL)
async def test_a_thousand_loops_left_by_break_leave_nothing(kind: str) -> None:
    rig = Rig(kind)
    waiting: asyncio.Task[None] | None = None
    with no_collector():
        before = alive()
        for _ in range(TIMES):
            waiting = asyncio.create_task(one(rig.iterate()))
            await asyncio.sleep(0)
            rig.publish()
            await waiting
            assert len(rig.hub._subscriptions) <= 3
        waiting = None
        await settle()
        assert not rig.hub._subscriptions
        assert alive() <= before + 1  # the hub's own: the last frame, or event
    assert not rig.hub.is_watched
    assert rig.watched[-1:] == ([] if kind == "events" else [False])


@pytest.mark.edge
@pytest.mark.parametrize("kind", ALL)
async def test_a_thousand_loops_that_run_out_of_time_leave_nothing(kind: str) -> None:
    rig = Rig(kind)
    with no_collector():
        before = alive()
        for _ in range(TIMES):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0):
                    async for _ in rig.iterate():
                        pass
            assert len(rig.hub._subscriptions) <= 3
        await settle()
        assert not rig.hub._subscriptions
        assert alive() <= before
    assert not rig.hub.is_watched


@pytest.mark.edge
@pytest.mark.parametrize("kind", WATCHED)
async def test_loops_left_while_each_iterator_is_in_a_cycle_cost_no_more_than_one(kind: str) -> None:
    """The law: without the collector, however many iterators nobody reads any more, nobody watches in the end, and what
    all of them hold is what one may hold, or twice as much."""
    rig = Rig(kind)
    cycles = weakref.WeakSet[HubIterator[Any]]()
    enough = {"latest": IDLE_AFTER, "every": 61, "audio": AUDIO_IDLE_AFTER}[kind]
    with no_collector():
        for _ in range(10):
            iterator = rig.iterate()
            iterator.itself = iterator  # type: ignore[union-attr]
            cycles.add(iterator)
            del iterator
            rig.publish(enough)
            assert not rig.hub.is_watched
        assert len(cycles) == 10
        kept = {id(item) for each in cycles for item in held(each)}
        assert len(kept) <= {"latest": 1, "every": 120, "audio": 250}[kind]
    gc.collect()
    await asyncio.sleep(0)
    assert not cycles
    assert not rig.hub._subscriptions


def held(iterator: HubIterator[Any]) -> list[Any]:
    mailbox: Any = iterator._mailbox
    return [mailbox._item] if hasattr(mailbox, "_item") else list(mailbox._items)


async def test_items_that_a_freed_iterator_skipped_stay_counted() -> None:
    rig = Rig("latest")
    iterator, other = rig.iterate(), rig.iterate()
    rig.publish(4)
    assert (iterator.skipped, rig.hub.skipped) == (3, 6)
    del iterator
    await asyncio.sleep(0)
    assert rig.hub.skipped == 6
    other.close()
    assert rig.hub.skipped == 6


@pytest.mark.parametrize("kind", ALL)
async def test_a_task_that_waits_keeps_its_iterator(kind: str) -> None:
    rig = Rig(kind)
    got: list[Any] = []

    async def read() -> None:
        async for item in rig.iterate():
            got.append(item)
            return

    reading = weakref.ref(asyncio.create_task(read()))
    await asyncio.sleep(0)
    gc.collect()
    rig.publish()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(got) == 1
    assert reading() is None


@pytest.mark.parametrize("kind", WATCHED)
async def test_an_iterator_freed_in_any_thread_notifies_its_owner_in_the_loop(kind: str) -> None:
    rig = Rig(kind)
    told: list[int] = []
    rig.hub._on_watch = lambda _: told.append(threading.get_ident())
    iterators = [rig.iterate()]
    await asyncio.to_thread(iterators.clear)
    async with asyncio.timeout(LIMIT_S):
        while rig.hub.is_watched:
            await asyncio.sleep(0)
    assert told == [threading.get_ident()] * 2


def test_an_iterator_may_outlive_its_loop() -> None:
    kept: list[AnyIterator] = []

    async def main() -> None:
        kept.append(Rig("latest").iterate())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0):
                await anext(kept[0])

    asyncio.run(main())
    kept.clear()


# Idle


async def test_a_reader_that_returns_after_a_long_pause_gets_the_newest_frame() -> None:
    watched: list[bool] = []
    hub = FrameHub(watched.append)
    iterator = hub.iterate("latest")
    for _ in range(IDLE_AFTER):
        hub.publish(FRAMES[0])
    assert watched == [True, False]
    hub.forget_last()  # as the owner does when the screen changes unseen
    waiting = asyncio.ensure_future(anext(iterator))
    await asyncio.sleep(0)
    assert watched == [True, False, True]
    hub.publish(FRAMES[1])
    assert (await waiting).sequence == 1


async def test_neither_a_still_screen_nor_a_waiting_task_makes_a_consumer_idle() -> None:
    hub = FrameHub(lambda _: None)
    iterator = hub.iterate("latest", max_fps=0.001)
    hub.publish(FRAMES[0])
    await anext(iterator)
    waiting = asyncio.ensure_future(anext(iterator))
    await asyncio.sleep(0)
    for _ in range(2 * IDLE_AFTER):
        hub.publish(FRAMES[1])
    assert hub.is_watched
    iterator.close()
    await waiting


# Another loop


def in_a_loop(make: Callable[[], Any]) -> None:
    async def call() -> None:
        made = make()
        if hasattr(made, "__await__"):
            await made

    asyncio.run(call())


@pytest.mark.parametrize("is_full", [False, True])
@pytest.mark.parametrize("kind", ALL)
async def test_an_iterator_read_in_another_loop_names_the_bridge(kind: str, is_full: bool) -> None:
    rig = Rig(kind)
    iterator = rig.iterate()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0):
            await anext(iterator)
    if is_full:
        rig.publish()
    with pytest.raises(ConfigurationError, match=r"another event loop: use asyncio\.run_coroutine_threadsafe"):
        await asyncio.to_thread(in_a_loop, lambda: anext(iterator))


@pytest.mark.parametrize("kind", ALL)
async def test_an_iterator_closed_in_another_loop_names_the_bridge(kind: str) -> None:
    iterator = Rig(kind).iterate()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0):
            await anext(iterator)
    with pytest.raises(ConfigurationError, match=r"another event loop: use asyncio\.run_coroutine_threadsafe"):
        await asyncio.to_thread(in_a_loop, iterator.close)
    iterator.close()


async def items(hub: EventHub) -> AsyncIterator[str]:
    async for event in hub.iterate():
        yield event.kind


async def test_events_may_be_asked_for_before_there_is_a_loop_and_end_with_the_session() -> None:
    hub = EventHub()
    early = await asyncio.to_thread(hub.iterate)
    hub.emit("connecting")
    hub.emit("closed")
    assert [event.kind async for event in early] == ["connecting", "closed"]
    assert [kind async for kind in items(hub)] == ["closed"]


async def test_an_events_iterator_can_be_closed() -> None:
    hub = EventHub()
    async with hub.iterate() as events:
        hub.emit("connecting")
    hub.emit("closed")
    assert [event.kind async for event in events] == ["connecting"]
    assert not hub._subscriptions
