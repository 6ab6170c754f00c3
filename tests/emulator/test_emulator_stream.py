"""The emulator's frames, audio and data channel, received by a plain aiortc peer."""

import asyncio
import functools
import itertools
import struct
import threading

import av
import numpy as np
import pytest

from streamer import emulator
from streamer.emulator import EmulatedPhone, Faults, Key
from streamer.emulator.media import KEYFRAME_EVERY_S
from tests.support.phone_client import LIMIT_S, Viewer, viewing

# What is tested does not depend on the size, and a shared machine is slow.
serve_small = functools.partial(emulator.serve, width=360, height=640)


async def counters(viewer: Viewer, count: int) -> list[int]:
    return [(await viewer.frame())[1].counter for _ in range(count)]


async def hear(viewer: Viewer, packets: int) -> None:
    """Wait for so many packets of audio, 20 ms each: it goes on whatever the screen does."""
    async with asyncio.timeout(LIMIT_S):
        for _ in range(packets):
            await viewer.tracks["audio"].recv()


async def video_packets(viewer: Viewer) -> int:
    """Count the RTP packets of the video: aiortc keeps the last frame of a still screen to itself (aiortc 1.16)."""
    report = await viewer.connection.getStats()
    counts = [item.packetsReceived for item in report.values() if item.type == "inbound-rtp" and item.kind == "video"]
    return sum(counts)


async def go_still(phone: EmulatedPhone, viewer: Viewer) -> None:
    """Make the phone still, and wait until what was on its way has come."""
    phone.go_still()
    async with asyncio.timeout(LIMIT_S):
        before = -1
        while before != (before := await video_packets(viewer)):
            await hear(viewer, 25)


async def ask_for_keyframe(viewer: Viewer) -> None:
    """Send a picture loss indication (RFC 4585 section 6.3.1)."""
    receiver = next(item for item in viewer.connection.getReceivers() if item.track.kind == "video")
    ssrc = next(iter(receiver._RTCRtpReceiver__remote_streams))  # type: ignore[attr-defined]
    await receiver._send_rtcp_pli(ssrc)


async def test_frames_arrive_in_order_without_a_gap() -> None:
    async with serve_small() as phone, viewing(phone) as viewer:
        seen = await counters(viewer, 60)
        assert [later - earlier for earlier, later in itertools.pairwise(seen)] == [1] * 59
        assert phone.frames_sent > seen[-1]


async def test_the_first_frame_of_a_late_client_is_a_keyframe() -> None:
    async with serve_small(allow_many=True) as phone, viewing(phone) as first:
        await counters(first, 20)
        async with viewing(phone) as second:
            assert (await second.frame())[0].key_frame
            await counters(second, 10)
        await counters(first, 10)


async def test_audio_is_stereo_at_48_khz() -> None:
    async with serve_small() as phone, viewing(phone) as viewer:
        async with asyncio.timeout(LIMIT_S):
            loud = False
            while not loud:
                frame = await viewer.tracks["audio"].recv()
                assert isinstance(frame, av.AudioFrame)
                assert (frame.sample_rate, frame.layout.nb_channels) == (48_000, 2)
                loud = bool(np.abs(frame.to_ndarray().astype(int)).max() > 500)


async def test_a_phone_without_audio_offers_none() -> None:
    async with serve_small(audio=False) as phone, viewing(phone) as viewer:
        await counters(viewer, 5)
        assert set(viewer.tracks) == {"video"}


async def test_a_frame_loss_indication_is_answered_by_a_keyframe() -> None:
    async with serve_small() as phone, viewing(phone) as viewer:
        first = (await viewer.frame())[1].counter
        await counters(viewer, 10)
        before = phone.keyframe_requests
        await ask_for_keyframe(viewer)
        async with asyncio.timeout(LIMIT_S):
            while not (frame := await viewer.frame())[0].key_frame:
                pass
        assert frame[1].counter - first < KEYFRAME_EVERY_S * 30  # then one comes unasked
        assert phone.keyframe_requests == before + 1


async def test_a_still_phone_answers_a_keyframe_request_with_its_frame() -> None:
    async with serve_small() as phone, viewing(phone) as viewer:
        await counters(viewer, 10)
        await go_still(phone, viewer)
        still = await video_packets(viewer)
        await ask_for_keyframe(viewer)
        async with asyncio.timeout(LIMIT_S):
            while await video_packets(viewer) == still:
                await hear(viewer, 1)


async def test_a_still_phone_shows_its_frame_to_a_late_client() -> None:
    async with serve_small(allow_many=True) as phone, viewing(phone) as first:
        await counters(first, 10)
        await go_still(phone, first)
        async with viewing(phone) as second, asyncio.timeout(LIMIT_S):
            while not await video_packets(second):
                await hear(second, 1)


async def test_a_rotated_phone_goes_on_in_its_new_size() -> None:
    async with serve_small() as phone, viewing(phone) as viewer:
        await counters(viewer, 5)
        phone.rotate()
        async with asyncio.timeout(LIMIT_S):
            while (await viewer.frame())[0].width != 640:
                pass
        frame, _ = await viewer.frame()
        assert (frame.width, frame.height) == (640, 360)


async def test_a_still_phone_sends_audio_alone_until_it_wakes() -> None:
    async with serve_small() as phone, viewing(phone) as viewer:
        await counters(viewer, 10)
        await go_still(phone, viewer)
        sent, drawn = await video_packets(viewer), phone.frames_sent
        await hear(viewer, 25)
        assert (await video_packets(viewer), phone.frames_sent) == (sent, drawn)
        phone.wake()
        async with asyncio.timeout(LIMIT_S):
            while (await viewer.frame())[1].counter < drawn:
                pass


async def test_a_second_offer_changes_nothing_for_the_stream() -> None:
    async with serve_small() as phone, viewing(phone) as viewer:
        await counters(viewer, 5)
        await phone.push_offer()
        offer = await viewer.signaling.event("message", "offer")
        await viewer.answer(offer["payload"])
        seen = await counters(viewer, 30)
        assert [later - earlier for earlier, later in itertools.pairwise(seen)] == [1] * 29


async def test_another_device_takes_the_phone_over_with_1402() -> None:
    async with serve_small() as phone, viewing(phone) as first:
        await counters(first, 5)
        async with viewing(phone) as second:
            assert await first.signaling.event("close") == {"reason": "1402"}
            await counters(second, 10)


async def test_clients_are_closed_with_the_reason_given() -> None:
    async with serve_small() as phone, viewing(phone) as viewer:
        await counters(viewer, 5)
        await phone.close_clients("1403")
        assert await viewer.signaling.event("close") == {"reason": "1403"}


async def test_the_stream_may_be_closed_after_a_while() -> None:
    faults = Faults(close_after_s=0.2, close_reason="1406")
    async with serve_small(faults=faults) as phone, viewing(phone) as viewer:
        assert await viewer.signaling.event("close") == {"reason": "1406"}


async def test_an_ignored_answer_never_connects() -> None:
    async with serve_small(faults=Faults(no_media=True)) as phone, viewing(phone) as viewer:
        await viewer.signaling.websocket.send("2")  # answered only once the answer before it has been dealt with
        while await viewer.signaling.frame() != "3":
            pass
        assert viewer.connection.connectionState != "connected"


async def open_input(viewer: Viewer, phone_opens: bool) -> None:
    if phone_opens:
        async with asyncio.timeout(LIMIT_S):
            while not any(channel.label == "input" for channel in viewer.channels):
                await viewer.frame()
        viewer.input = next(channel for channel in viewer.channels if channel.label == "input")
    assert viewer.input is not None
    opened = asyncio.Event()
    viewer.input.on("open", opened.set)
    if viewer.input.readyState != "open":
        async with asyncio.timeout(LIMIT_S):
            await opened.wait()


@pytest.mark.parametrize("phone_opens", [False, True], ids=["opened by the client", "announced by the phone"])
async def test_an_input_frame_arrives_over_either_sides_channel(phone_opens: bool) -> None:
    async with (
        serve_small(announce_input=phone_opens) as phone,
        viewing(phone, opens_input=not phone_opens) as viewer,
    ):
        await counters(viewer, 3)
        await open_input(viewer, phone_opens)
        assert viewer.input is not None
        assert (viewer.input.ordered, viewer.input.maxRetransmits) == (False, 0)
        viewer.input.send(struct.pack(">IBfHHH", 15, 207, 1.0, 0, 4, 0))
        async with asyncio.timeout(LIMIT_S):
            while not phone.inputs:
                await viewer.frame()
        assert phone.inputs[0] == Key(0, 4, 0, 1.0)


async def test_nothing_of_the_phone_runs_after_its_block() -> None:
    async with serve_small() as phone, viewing(phone) as viewer:
        await counters(viewer, 5)
    names = {thread.name for thread in threading.enumerate()}
    assert not {name for name in names if name.startswith("phone")}
    # aiortc's own tasks end in the turns after `close`, so they are given the time.
    running = asyncio.all_tasks() - {asyncio.current_task()}
    _, left = await asyncio.wait(running, timeout=LIMIT_S) if running else (set(), set())
    assert not left
