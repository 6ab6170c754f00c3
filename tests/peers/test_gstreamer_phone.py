"""GStreamer as the phone: a stack that shares no code with ours takes our input, and its encoders our stillness."""

import asyncio
import time

import pytest

from streamer.control import frames
from streamer.control.frames import Key, Motion, Point, Touch
from tests.support.everywhere import Connect
from tests.support.peers.gstreamer_phone import VP8, X264, GStreamerPhone, find_gstreamer, serve_gstreamer
from tests.support.peers.presence import LIMIT_S, require_peer


@pytest.mark.parametrize(("encoder", "announces_input"), [(X264, True), (VP8, False)], ids=["x264", "VP8"])
async def test_input_arrives_byte_for_byte_and_what_an_encoder_does_later_is_still(
    connect: Connect, encoder: str, announces_input: bool
) -> None:
    python = require_peer("gstreamer with webrtcbin and its bindings", find_gstreamer())
    async with (
        serve_gstreamer(python, encoder, announces_input=announces_input) as (phone, gstreamer),
        asyncio.timeout(LIMIT_S),
        connect(phone) as session,
    ):
        messages = session.messages()
        await session.tap(0.5, 0.25)
        await session.press("BACK")
        await session.send_message({"type": "my_app", "n": 1})
        await session.send_frame(214, b"pad")
        got = await all_of(gstreamer, last=frames.encode_frame(214, b"pad"))
        point = (Point(0, 0.5, 0.25),)
        expected = [
            *(Touch(motion, point).encode(0) for motion in (Motion.DOWN, Motion.UP)),
            *(Key(motion, 4).encode(0) for motion in (Motion.DOWN, Motion.UP)),
            frames.encode_message({"type": "my_app", "n": 1}),
            frames.encode_frame(214, b"pad"),
        ]
        reliable = [frame for frame in got if frame[4] not in {205, 207} or frame[10] != Motion.MOVE]
        assert [without_time(frame) for frame in reliable] == [without_time(frame) for frame in expected]
        gstreamer.send(frames.encode_message({"type": "app_message", "data": "hello"}))
        assert await anext(messages) == {"type": "app_message", "data": "hello"}

        await session.wait_until_still(quiet_s=0.3, timeout_s=30)
        async with asyncio.TaskGroup() as group:
            scrolls = group.create_task(gstreamer.scroll())
            await session.wait_for_change(timeout_s=30)
            await session.wait_until_still(quiet_s=0.3, timeout_s=30)
            still_s = time.monotonic()
        assert still_s > scrolls.result() + 0.2


async def all_of(gstreamer: GStreamerPhone, *, last: bytes) -> list[bytes]:
    """Return what has arrived, once `last` has."""
    while last not in (got := await gstreamer.messages()):
        await asyncio.sleep(0.05)
    return got


def without_time(frame: bytes) -> bytes:
    """Return a frame without the moment at which it was sent."""
    return frame[:5] + frame[9:]
