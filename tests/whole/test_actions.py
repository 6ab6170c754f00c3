"""Acting on the phone, as a program does it, against the emulator."""

import asyncio
import functools
import logging
import time
from typing import Any

import pytest

from streamer import (
    ActionLostError,
    ConfigurationError,
    InputNotReadyError,
    SignalingClosedError,
    TypingError,
    emulator,
    input_driver,
)
from streamer.emulator import EmulatedPhone, Faults, Key, Point, Text, Touch
from tests.support.everywhere import Connect

pytestmark = pytest.mark.edge
LIMIT_S = 60.0
serve_small = functools.partial(emulator.serve, width=180, height=320, fps=10, audio=False)


def downs_and_ups(phone: EmulatedPhone) -> list[tuple[Any, ...]]:
    """Return the phone's DOWNs and UPs: which, and the finger or the key."""
    return [
        (read.action, read.points[0].finger if isinstance(read, Touch) else read.code)
        for read in phone.inputs
        if isinstance(read, Key) or (isinstance(read, Touch) and read.action != 2 and read.points)
    ]


def places(phone: EmulatedPhone, action: int) -> list[Point]:
    """Return where the first fingers were, of touches with one action."""
    return [read.points[0] for read in phone.inputs if isinstance(read, Touch) and read.action == action]


async def wait_for_inputs(phone: EmulatedPhone, count: int) -> list[tuple[Any, ...]]:
    """Return the DOWNs and UPs once there are so many."""
    while len(downs_and_ups(phone)) < count:
        await asyncio.sleep(0.01)
    return downs_and_ups(phone)


async def test_a_tap_is_one_down_and_one_up_at_its_place(connect: Connect) -> None:
    async with serve_small() as phone, connect(phone) as session, asyncio.timeout(LIMIT_S):
        before_ns = time.monotonic_ns()
        action = session.tap(0.5, 0.25)
        assert repr(action) == "<Action tap, not sent>"
        assert await action is action
        assert action.sent_ns is not None
        assert before_ns <= action.sent_ns <= time.monotonic_ns()
        assert await wait_for_inputs(phone, 2) == [(0, 0), (1, 0)]
        assert {places(phone, action)[0] for action in range(3)} == {(0, 0.5, 0.25)}


async def test_pixels_are_of_the_newest_frame_also_after_the_phone_has_turned(connect: Connect) -> None:
    async with serve_small() as phone, connect(phone) as session, asyncio.timeout(LIMIT_S):
        frame = await session.screenshot()
        await session.tap(179, 319, frame=frame)
        with pytest.raises(ConfigurationError, match="expected x from 0 to 179 on a screen of 180x320 pixels, got 180"):
            await session.tap(180, 0)
        phone.rotate()
        while (await session._screen_size(LIMIT_S)) == (180, 320):
            await asyncio.sleep(0.02)
        await session.tap(319, 179)
        with pytest.raises(ConfigurationError, match="the phone has turned; find the place again"):
            await session.tap(0.5, 0.5, frame=frame)
        await wait_for_inputs(phone, 4)
        assert [place[1:] for place in places(phone, 0)] == [
            pytest.approx((179.5 / 180, 319.5 / 320)),
            pytest.approx((319.5 / 320, 179.5 / 180)),
        ]


async def test_the_size_of_an_unwatched_screen_costs_one_keyframe(connect: Connect) -> None:
    async with serve_small() as phone, connect(phone) as session, asyncio.timeout(LIMIT_S):
        while not session.stats().frames_received:
            await asyncio.sleep(0.01)
        await session.tap(0, 0)
        assert await session._screen_size(LIMIT_S) == (180, 320)
        assert session.stats().frames_decoded == 0
        assert await wait_for_inputs(phone, 2) == [(0, 0), (1, 0)]


async def test_all_verbs_reach_the_phone(connect: Connect) -> None:
    async with serve_small() as phone, connect(phone) as session, asyncio.timeout(LIMIT_S):
        messages = session.messages()
        await session.double_tap(0.5, 0.5)
        await session.long_press(0.5, 0.5)
        await session.swipe("up", duration_s=0.05)
        await session.swipe((90, 300), (90, 20), duration_s=0.05, hold_s=0.1)
        await session.pinch((0.5, 0.5), scale=2, duration_s=0.1)
        await session.gesture([[(0.2, 0.5, 0.0), (0.4, 0.5, 0.1)], [(0.8, 0.5, 0.0), (0.6, 0.5, 0.1)]])
        async with session.finger() as finger:
            await finger.down(0.5, 0.5)
            await finger.move(0.6, 0.5)
            await finger.up()
        await session.press("BACK")
        await session.type("a@B")
        await session.send_message({"type": "my_app", "n": 1})
        await session.send_frame(205, bytes(7))
        pair = [(0, 0), (0, 1), (1, 0), (1, 1)]
        typed = [(0, 29), (1, 29), (0, 77), (1, 77), (0, 59), (0, 30), (1, 30), (1, 59)]
        expected = [(0, 0), (1, 0)] * 5 + pair * 2 + [(0, 0), (1, 0), (0, 4), (1, 4), *typed]
        empty = Touch(0, (), 0.0)
        while Text('{"type":"my_app","n":1}') not in phone.inputs or empty not in phone.inputs:
            await asyncio.sleep(0.01)
        assert downs_and_ups(phone) == expected
        phone.send_message({"type": "app_message", "data": "hello"})
        assert await anext(messages) == {"type": "app_message", "data": "hello"}


@pytest.mark.parametrize(
    ("announce_input", "faults"),
    [
        pytest.param(True, Faults(), id="the phone's at once"),
        pytest.param(True, Faults(announce_input_after_s=1.0), id="ours first, then the phone's"),
        pytest.param(False, Faults(), id="the phone's never"),
        pytest.param(True, Faults(ignore_client_input=True), id="ours never read"),
    ],
)
async def test_taps_arrive_over_either_sides_channel(connect: Connect, announce_input: bool, faults: Faults) -> None:
    async with serve_small(announce_input=announce_input, faults=faults) as phone, connect(phone) as session:
        async with asyncio.timeout(LIMIT_S):
            for _ in range(10):
                await session.tap(0.5, 0.5)
            assert await wait_for_inputs(phone, 20) == [(0, 0), (1, 0)] * 10


async def test_a_phone_that_reads_no_channel_yet_refuses_an_action_in_time(connect: Connect) -> None:
    async with serve_small() as phone, connect(phone) as session, asyncio.timeout(LIMIT_S):
        await session.wait_input()
        phone.cut_path()
        async for event in session.events():
            if event.kind == "interrupted":
                break
        with pytest.raises(InputNotReadyError, match=r"the stream is interrupted; nothing was sent"):
            await session.tap(0.5, 0.5, timeout_s=0.1)


async def test_a_reconnection_in_mid_gesture_lifts_the_finger_first_and_raises(connect: Connect) -> None:
    async with serve_small() as phone, connect(phone) as session, asyncio.timeout(LIMIT_S):
        long_press = asyncio.create_task(session.long_press(0.5, 0.5, duration_s=50)._perform())
        await wait_for_inputs(phone, 1)
        await phone.restart()
        with pytest.raises(ActionLostError) as caught:
            await long_press
        assert caught.value.was_sent is not False
        assert not caught.value.retryable
        await session.tap(0.25, 0.25, timeout_s=LIMIT_S)
        assert await wait_for_inputs(phone, 4) == [(0, 0), (1, 0), (0, 0), (1, 0)]
        assert places(phone, 1)[0] == (0, 0.5, 0.5)


async def test_an_error_in_the_block_of_a_finger_lifts_it(connect: Connect) -> None:
    async with serve_small() as phone, connect(phone) as session, asyncio.timeout(LIMIT_S):
        with pytest.raises(ZeroDivisionError):
            async with session.finger() as finger:
                await finger.down(0.5, 0.5)
                assert finger.is_down
                raise ZeroDivisionError
        assert await wait_for_inputs(phone, 2) == [(0, 0), (1, 0)]


async def test_a_finger_goes_down_moves_and_goes_up_in_that_order_only(connect: Connect) -> None:
    async with serve_small() as phone, connect(phone) as session, session.finger() as finger:
        with pytest.raises(ConfigurationError, match="expected a finger that is down"):
            await finger.move(0.5, 0.5)
        with pytest.raises(ConfigurationError, match="expected a finger that is down"):
            await finger.up()
        await finger.down(0.5, 0.5)
        with pytest.raises(ConfigurationError, match="expected a finger that is up"):
            await finger.down(0.5, 0.5)


async def test_leaving_a_session_lifts_the_finger_of_an_action_under_way(connect: Connect) -> None:
    async with serve_small() as phone, asyncio.timeout(LIMIT_S):
        async with connect(phone) as session:
            long_press = asyncio.create_task(session.long_press(0.5, 0.5, duration_s=50)._perform())
            await wait_for_inputs(phone, 1)
        assert await wait_for_inputs(phone, 2) == [(0, 0), (1, 0)]
        with pytest.raises(ActionLostError):
            await long_press


async def test_cancelling_an_end_that_waits_for_the_phone_still_closes_the_session(connect: Connect) -> None:
    async with serve_small() as phone, asyncio.timeout(LIMIT_S):
        session = await connect(phone)
        await session.wait_input()
        phone.cut_path()
        await session.tap(0.5, 0.5)
        closing = asyncio.create_task(session.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert session.state == "closed"


async def test_a_tap_after_an_ice_restart_arrives_over_the_other_path(connect: Connect) -> None:
    async with serve_small() as phone, connect(phone) as session, asyncio.timeout(LIMIT_S):
        await session.tap(0.5, 0.5)
        former = session._reconnector.input_peer
        await phone.restart_ice()
        while session._reconnector.input_peer in {former, None}:
            await asyncio.sleep(0.05)
        await session.tap(0.25, 0.25)
        assert await wait_for_inputs(phone, 4) == [(0, 0), (1, 0)] * 2


async def test_text_that_keys_cannot_type_types_nothing_and_typed_text_reaches_no_log(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serve_small() as phone, connect(phone) as session, asyncio.timeout(LIMIT_S):
        with pytest.raises(TypingError) as caught:
            session.type("hunter2-geheim-ü")
        action = session.type("hunter2-geheim")
        assert "geheim" not in repr(action) + str(caught.value) + repr(caught.value)
        await action
        await wait_for_inputs(phone, 28)
        assert downs_and_ups(phone)[0] == (0, 36)
    assert "geheim" not in caplog.text


async def test_an_idle_phone_closes_the_stream_unless_it_is_kept_awake(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve_small(faults=Faults(idle_close_s=2.0)) as phone, asyncio.timeout(LIMIT_S):
        async with connect(phone, reconnect=None) as session:
            with pytest.raises(SignalingClosedError) as caught:
                await session.wait_ended()
            assert caught.value.code == 1403
        monkeypatch.setattr(input_driver, "KEEP_AWAKE_S", 0.1)
        phone.inputs.clear()
        async with connect(phone, reconnect=None, keep_awake=True) as session:
            await session.wait_input()
            while len(phone.inputs) < 5:
                await asyncio.sleep(0.01)
            assert places(phone, 2) == [(9, 0.0, 0.0)] * len(phone.inputs)
            assert session.state == "streaming"
