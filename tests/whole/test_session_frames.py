"""Frames of a session with the emulator: which ones a consumer gets, and what they say."""

import asyncio
import contextlib
import itertools
import time

import aioice
import av
import pytest

import streamer
from streamer import emulator
from tests.support.emulated import counter, take
from tests.support.everywhere import HAS_IPV6, Connect
from tests.support.waiting import LIMIT_S


@pytest.mark.skipif(not HAS_IPV6, reason="this machine has no loopback by IPv6 (::1)")
async def test_frames_arrive_from_a_phone_on_ipv6_loopback(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: [])  # as without any network
    async with emulator.serve(host="::1", width=360, height=640) as phone, connect(phone) as session:
        assert phone.endpoint.startswith("http://[::1]:")
        await take(aiter(session), 10)
        assert session._connection.peer is not None
        (dtls,) = session._connection.peer._gatherings
        (pair,) = dtls.transport._connection._nominated.values()
        assert (pair.remote_candidate.host, pair.local_candidate.host) == ("::1", "::1")


async def test_frames_arrive_decoded_in_order_and_describe_themselves(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with connect(phone) as session:
        frames = await take(aiter(session), 10)
        assert session.state == "streaming"
    assert [frame.sequence for frame in frames] == sorted({frame.sequence for frame in frames})
    assert [counter(frame) for frame in frames] == sorted({counter(frame) for frame in frames})
    for frame in frames:  # the newest each time, so the first one need not be a keyframe
        assert (frame.width, frame.height) == (360, 640)
        assert frame.to_ndarray("bgr24").shape == (640, 360, 3)
        assert frame.to_ndarray("gray", size=(90, 160)).shape == (160, 90)
        assert abs(frame.received_at - time.time()) < LIMIT_S
        assert frame.arrival_ns <= frame.decoded_ns <= time.monotonic_ns()
    assert session.state == "closed"


async def test_a_requested_keyframe_arrives(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    async with connect(phone) as session, session.frames("every") as frames, asyncio.timeout(LIMIT_S):
        while (await anext(frames)).is_keyframe:
            pass
        session.request_keyframe()
        while not (await anext(frames)).is_keyframe:
            pass


async def test_every_frame_carries_the_audio_port_in_force(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    async with connect(phone) as session:
        (frame,) = await take(aiter(session), 1)
    assert session.audio_ports.internal == streamer.AudioPort(address="192.168.0.12", port=10030, type=1)
    assert (
        frame.audio_port
        == session.audio_ports.external
        == streamer.AudioPort(address="10.83.71.187", port=10030, type=1)
    )


async def test_nothing_is_decoded_after_loops_that_ended_by_break_or_time_out(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        for _ in range(10):
            async for _ in session:
                break
            async for _ in session.frames("every"):
                break
            async for _ in session.audio():
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.01):
                    async for _ in session.frames(max_fps=1, repeat=True):
                        pass
        while session._frames.hub.is_watched or session._audio.hub.is_watched:
            await asyncio.sleep(0)
        before = session.stats()
        while (after := session.stats()).frames_received < before.frames_received + 30:
            await asyncio.sleep(0.02)
    assert after.frames_decoded < before.frames_decoded + 15  # no more than was in the decoder's inbox
    assert after.audio_packets_decoded < before.audio_packets_decoded + 25


async def test_every_gives_each_frame_once_and_latest_the_newest(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with connect(phone) as session:
        every, latest = session.frames("every"), session.frames("latest")
        counters = [counter(frame) for frame in await take(every, 20)]
        (newest,) = await take(latest, 1)
        assert session.stats().frames_decoded < 40  # two consumers, one decode
    assert [after - before for before, after in itertools.pairwise(counters)] == [1] * 19
    assert counter(newest) >= counters[-1]
    assert latest.skipped > 0


async def test_a_slow_consumer_of_every_frame_gets_an_overflow_error(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with connect(phone) as session:
        slow, other = session.frames("every", limit=3), session.frames()
        (first,) = await take(slow, 1)
        async with asyncio.timeout(LIMIT_S):
            async for frame in other:
                if frame.sequence > first.sequence + 6:
                    break
        assert len(await take(slow, 3)) == 3
        with pytest.raises(streamer.FramesOverflowError) as caught:
            await anext(slow)
        assert caught.value.limit == 3


async def test_a_late_consumer_gets_the_last_frame_of_a_still_screen_at_once(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with connect(phone) as session:
        first = session.frames()
        (frame,) = await take(first, 1)
        phone.go_still()
        last = counter(frame)
        async with asyncio.timeout(LIMIT_S):
            while last < phone.frames_sent - 1:
                last = counter(await anext(first))
        (late,) = await take(session.frames(), 1)
        assert counter(late) == last == phone.frames_sent - 1
        first.close()
        (later,) = await take(session.frames(), 1)  # nobody looked meanwhile, and the screen has not changed
        assert counter(later) == last


async def test_rotation_is_followed(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    async with connect(phone) as session:
        frames = session.frames()
        await take(frames, 2)
        phone.rotate()
        async with asyncio.timeout(LIMIT_S):
            async for frame in frames:
                if frame.width > frame.height:
                    break
        assert (frame.width, frame.height) == (640, 360)
        assert counter(frame) > 0


async def test_a_second_offer_keeps_the_stream_going(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    async with connect(phone) as session:
        frames = session.frames("every")
        await take(frames, 5)
        await phone.push_offer()
        counters = [counter(frame) for frame in await take(frames, 30)]
    assert [after - before for before, after in itertools.pairwise(counters)] == [1] * 29


async def test_an_iterator_that_outlives_its_session_ends(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    async with connect(phone) as session:
        frames = session.frames()
        await take(frames, 1)
    async with asyncio.timeout(LIMIT_S):
        assert len([frame async for frame in frames]) <= 1  # what was still in its mailbox


async def test_access_units_decode_to_what_the_phone_shows_also_on_a_still_screen(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with connect(phone) as session:
        await take(aiter(session), 3)
        phone.go_still()
        await asyncio.sleep(0)
        decoder = av.CodecContext.create("h264", "r")
        assert isinstance(decoder, av.VideoCodecContext)
        decoder.thread_type = "SLICE"  # threads that decode a frame each hold frames back
        kinds, shown = set[str](), 0
        async with asyncio.timeout(LIMIT_S), session.access_units() as units:
            async for unit in units:
                kinds.add(unit.kind)
                if unit.kind == "video":
                    assert shown or unit.is_keyframe
                    (frame,) = decoder.decode(av.Packet(unit.data))
                    assert (frame.width, frame.height) == (360, 640)
                    shown += 1
                if shown == 1:
                    phone.wake()
                if shown > 20 and kinds == {"video", "audio"}:
                    break
        assert units.skipped == 0
