"""Screenshots of the emulator: the frame that is on its screen, with and without other consumers."""

import asyncio
import itertools
import time

import pytest

import streamer
from streamer import emulator
from tests.support.everywhere import Connect

LIMIT_S = 30.0
WRAP_MS = 2**32  # the strip's clock counts modulo this


def shown(frame: streamer.VideoFrame) -> emulator.Barcode:
    barcode = emulator.read_barcode(frame.to_ndarray("gray"))
    assert barcode is not None
    return barcode


async def test_a_screenshot_shows_what_is_on_the_screen_now(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        seen = []
        for _ in range(4):
            frame = await session.screenshot()
            assert (frame.width, frame.height) == (360, 640)
            seen.append(shown(frame))
            age_ms = (time.time() * 1000 - seen[-1].clock_ms) % WRAP_MS
            assert age_ms < 2000
            await asyncio.sleep(0.3)
        assert session._frames.hub.is_watched is False
    assert all(earlier.counter < later.counter for earlier, later in itertools.pairwise(seen))


async def test_a_screenshot_of_a_still_screen_is_its_last_frame_with_a_consumer_and_without(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        await session.screenshot()
        phone.go_still()
        while not session._history.is_still(time.monotonic_ns()):
            await asyncio.sleep(0.02)
        phone.media.make_keyframe = lambda: None  # type: ignore[method-assign]  # nothing more comes, whoever asks
        alone = [shown(await session.screenshot()).counter for _ in range(2)]
        async with session.frames() as frames:
            await anext(frames)
            beside = shown(await session.screenshot()).counter
        together = await asyncio.gather(*(session.screenshot() for _ in range(3)))
    assert {*alone, beside, *(shown(frame).counter for frame in together)} == {phone.frames_sent - 1}


async def test_a_screenshot_takes_nothing_from_a_consumer(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        counters = []
        async with session.frames("every") as frames:
            async for frame in frames:
                counters.append(shown(frame).counter)
                if len(counters) % 5 == 0:
                    assert shown(await session.screenshot()).counter >= counters[-1]
                if len(counters) == 30:
                    break
    assert counters == list(range(counters[0], counters[0] + 30))


async def test_a_screenshot_follows_a_rotation(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        await session.screenshot()
        phone.rotate()
        while (await session.screenshot()).width != 640:
            await asyncio.sleep(0.05)


async def test_a_screenshot_that_times_out_says_what_arrived(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    phone.media._hand_out = lambda *_: None  # type: ignore[method-assign]
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        with pytest.raises(streamer.ConnectionFailedError, match=r"no frame came within 0\.3 s: .* 0 frames"):
            await session.screenshot(timeout_s=0.3)
        with pytest.raises(streamer.ConfigurationError, match="expected timeout_s above 0, got 0"):
            await session.screenshot(timeout_s=0)
        assert session._frames.hub.is_watched is False


async def test_a_screenshot_of_a_closed_session_is_an_error(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    async with connect(phone) as session:
        pass
    with pytest.raises(streamer.ConnectionLostError, match="the session is closed"):
        await session.screenshot()


async def test_a_pending_screenshot_raises_what_ends_the_session(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    phone.media._hand_out = lambda *_: None  # type: ignore[method-assign]
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        waiting = asyncio.create_task(session.screenshot(timeout_s=LIMIT_S))
        await asyncio.sleep(0)
        await phone.close_clients("1402")
        with pytest.raises(streamer.TakenOverError):
            await waiting


async def test_a_screenshot_of_an_interrupted_stream_waits_for_the_next_frame(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    reconnect = streamer.Reconnect(max_delay_s=0.2, give_up_after_s=LIMIT_S)
    async with connect(phone, reconnect=reconnect) as session, asyncio.timeout(LIMIT_S):
        async with session.frames() as frames:  # so that the last frame before is there
            before = await anext(frames)
            phone.faults.drop_at = "authorize"
            events = session.events()
            await phone.cut_signaling()
            async for event in events:
                if event.kind == "interrupted":
                    break
            with pytest.raises(streamer.ConnectionFailedError, match=r"within 0\.3 s: the stream is interrupted"):
                await session.screenshot(timeout_s=0.3)
            waiting = asyncio.create_task(session.screenshot())
            await asyncio.sleep(0)
            phone.faults.drop_at = ""
            after = await waiting
        assert session.state == "streaming"
        assert shown(after).counter > shown(before).counter
        assert after.received_at > event.at


async def test_a_screenshot_of_a_still_screen_after_an_interruption_is_its_last_frame(
    phone: emulator.EmulatedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamer.streams.STILL_AFTER_S", 0.5)
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        await session.screenshot()
        phone.go_still()
        while not session._history.is_still(time.monotonic_ns()):
            await asyncio.sleep(0.02)
        phone.media.make_keyframe = lambda: None  # type: ignore[method-assign]  # nothing more comes, whoever asks
        events = session.events()
        phone.cut_path()
        async for event in events:
            if event.kind == "interrupted":
                phone.mend_path()
            elif event.kind == "resumed":
                break
        asked = phone.keyframe_requests
        frame = await session.screenshot()
        assert shown(frame).counter == phone.frames_sent - 1
        assert frame.received_at < event.at
        assert phone.keyframe_requests > asked


async def test_a_screenshot_of_an_ended_session_raises_what_ended_it(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        async with session.frames() as frames:
            await anext(frames)
            await phone.close_clients("1402")
            with pytest.raises(streamer.TakenOverError):
                await session.wait_ended()
        with pytest.raises(streamer.TakenOverError):
            await session.screenshot()
