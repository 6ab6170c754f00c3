"""A session with the emulator, over real sockets, from the instance id to frames."""

import asyncio
import contextlib
import gc
import itertools
import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aioice
import av
import numpy as np
import pytest

import streamer
from streamer import emulator
from streamer.emulator import Faults
from streamer.media.rtp.driver import ReceiverDriver
from tests.support.emulated import counter
from tests.support.everywhere import HAS_IPV6, Connect

LIMIT_S = 20.0


def recorded(path: Path) -> Iterator[emulator.Barcode]:
    with av.open(path) as container:
        for frame in container.decode(video=0):
            barcode = emulator.read_barcode(np.asarray(frame.to_ndarray(format="gray"), dtype=np.uint8))
            assert barcode is not None
            yield barcode


def recorded_counters(path: Path) -> list[int]:
    return [barcode.counter for barcode in recorded(path)]


async def take(frames: streamer.FrameIterator, count: int) -> list[streamer.VideoFrame]:
    async with asyncio.timeout(LIMIT_S):
        return [await anext(frames) for _ in range(count)]


@pytest.mark.skipif(not HAS_IPV6, reason="this machine has no loopback by IPv6 (::1)")
async def test_frames_come_by_ipv6_from_a_phone_on_its_loopback(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: [])  # as without any network
    async with emulator.serve(host="::1", width=360, height=640) as phone, connect(phone) as session:
        assert phone.endpoint.startswith("http://[::1]:")
        await take(aiter(session), 10)
        assert session._connection.peer is not None
        (dtls,) = session._connection.peer._gatherings
        (pair,) = dtls.transport._connection._nominated.values()
        assert (pair.remote_candidate.host, pair.local_candidate.host) == ("::1", "::1")


async def test_frames_come_decoded_in_order_and_say_what_they_are(
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


async def test_a_keyframe_comes_when_it_is_asked_for(phone: emulator.EmulatedPhone, connect: Connect) -> None:
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


async def test_nothing_is_decoded_after_loops_that_were_left_by_break_or_ran_out_of_time(
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


async def test_a_consumer_of_every_frame_that_falls_behind_is_told(
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


async def test_the_last_frame_of_a_still_screen_is_there_at_once_for_who_comes_late(
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


async def test_the_statistics_tell_of_every_stage(
    phone: emulator.EmulatedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.2)  # each check of consent is a measurement
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        before = session.stats()
        assert (before.frames_decoded, before.mean_decode_s, before.frame_width) == (0, None, None)
        frames = session.frames()
        frame, stats = await anext(frames), session.stats()
        while frame.sequence < 20 or stats.mean_latency_s is None or stats.round_trip_time_s is None:
            frame, stats = await anext(frames), session.stats()
        assert stats.state == "streaming"
        assert 0 < stats.duration_s < LIMIT_S
        assert stats.packets_received >= stats.frames_received + stats.audio_packets_received
        assert stats.bytes_received > stats.packets_received * 12
        assert stats.bitrate_bps > 0
        assert stats.frames_per_second > 0
        assert stats.frames_received >= stats.frames_decoded > frame.sequence
        assert stats.audio_packets_received > 0
        assert stats.pli_count > 0
        assert (stats.packets_lost, stats.nack_count, stats.fir_count, stats.freeze_count) == (0, 0, 0, 0)
        assert (stats.frames_lost, stats.frames_malformed, stats.frames_awaiting_keyframe) == (0, 0, 0)
        assert (stats.decode_errors, stats.decoder_overflows) == (0, 0)
        assert 0 < stats.total_decode_time_s < stats.duration_s
        assert stats.mean_decode_s is not None
        assert stats.mean_delay_s is not None
        assert 0 < stats.mean_decode_s < stats.mean_delay_s
        assert 0 < stats.round_trip_time_s < stats.duration_s
        assert (stats.frame_width, stats.frame_height) == (360, 640)
    assert session.stats().state == "closed"
    assert session.stats().frames_decoded >= stats.frames_decoded


async def test_the_statistics_tell_of_losses_and_of_what_was_done_about_them(
    phone: emulator.EmulatedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance, receive = random.Random(1), ReceiverDriver.on_rtp

    def lose(driver: ReceiverDriver, packets: list[bytes], arrival_ns: int) -> None:
        receive(driver, [packet for packet in packets if chance.random() > 0.1], arrival_ns)

    monkeypatch.setattr(ReceiverDriver, "on_rtp", lose)
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        frames, stats = session.frames(), session.stats()
        while stats.retransmitted_packets_received < 5:
            await anext(frames)
            stats = session.stats()
    assert stats.retransmission_requests >= stats.retransmitted_packets_received
    assert stats.retransmission_requests >= stats.nack_count > 0
    assert stats.round_trip_time_s is not None


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


async def test_a_recording_holds_every_frame_and_the_audio_and_decodes_nothing(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path
) -> None:
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        async with session.record(tmp_path / "a.mp4") as one, session.record(tmp_path / "b.mp4") as two:
            while min(one.frames, two.frames) < 60:
                await asyncio.sleep(0.05)
        assert session.stats().frames_decoded == 0
    for recording in (one, two):
        shown = list(recorded(recording.path))
        counters = [barcode.counter for barcode in shown]
        assert counters == list(range(counters[0], counters[0] + len(counters)))
        assert len(counters) == recording.frames
        with av.open(recording.path) as container:
            assert [stream.codec_context.name for stream in container.streams] == ["h264", "opus"]
            duration_s = float(container.duration or 0) / av.time_base
            audio = sum(packet.size > 0 for packet in container.demux(audio=0))
        drawn_s = (shown[-1].clock_ms - shown[0].clock_ms) % 2**32 / 1000  # a busy phone draws fewer than 30 a second
        assert duration_s == pytest.approx(drawn_s, abs=0.3)
        assert audio > 40 * duration_s


async def test_a_session_that_is_left_finishes_its_recordings(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path
) -> None:
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        recording = session.record(tmp_path / "a.mp4")
        while recording.frames < 10:
            await asyncio.sleep(0.05)
    assert len(recorded_counters(recording.path)) == recording.frames


async def test_a_session_that_was_left_records_no_more_and_is_not_entered_again(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path
) -> None:
    connecting = connect(phone)
    async with connecting as session, asyncio.timeout(LIMIT_S):
        await session.screenshot()
    with pytest.raises(streamer.ConnectionLostError, match="cannot record: the session is closed"):
        session.record(tmp_path / "a.mp4")
    assert not any(tmp_path.iterdir())
    with pytest.raises(streamer.ConfigurationError, match=r"call connect\(\) again"):
        async with connecting:
            pass


async def test_a_session_that_has_ended_says_why_it_records_no_more(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path
) -> None:
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        await session.screenshot()
        await phone.close_clients("1402")
        with pytest.raises(streamer.TakenOverError):
            await session.wait_ended()
        with pytest.raises(streamer.TakenOverError):
            session.record(tmp_path / "a.mp4")


@pytest.mark.parametrize("announce", [False, True])
async def test_the_input_channel_opens_whoever_announces_it(connect: Connect, announce: bool) -> None:
    async with emulator.serve(width=360, height=640, announce_input=announce) as phone, connect(phone) as session:
        async with asyncio.timeout(LIMIT_S):
            await session.wait_input()


async def test_a_second_offer_keeps_the_stream_going(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    async with connect(phone) as session:
        frames = session.frames("every")
        await take(frames, 5)
        await phone.push_offer()
        counters = [counter(frame) for frame in await take(frames, 30)]
    assert [after - before for before, after in itertools.pairwise(counters)] == [1] * 29


async def test_a_second_device_takes_the_phone_over(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    async with connect(phone) as first:
        frames = first.frames()
        await take(frames, 1)
        async with connect(phone) as second:
            with pytest.raises(streamer.TakenOverError):
                async with asyncio.timeout(LIMIT_S):
                    async for _ in frames:
                        pass
            await take(second.frames(), 1)


async def test_a_recording_that_the_phone_ends_is_whole_and_says_why(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path
) -> None:
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        recording = session.record(tmp_path / "a.mp4")
        while recording.frames < 10:
            await asyncio.sleep(0.05)
        await phone.close_clients("1401")
        with pytest.raises(streamer.SignalingClosedError, match="the user left"):
            await session.wait_ended()
        with pytest.raises(streamer.SignalingClosedError):
            await recording.stop()
    assert len(recorded_counters(recording.path)) >= 10


async def test_an_error_in_the_block_passes_through_and_leaves_nothing(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with connect(phone) as session:
            await take(session.frames(), 1)
            raise ZeroDivisionError
    assert session.state == "closed"


async def test_connecting_may_be_cancelled_at_every_step(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    """At each turn of the loop on the way to a session, cancelled there: nothing may be left (`nothing_is_left`)."""

    async def session() -> None:
        async with connect(phone):
            pass

    for turns in itertools.chain(range(0, 60, 6), range(60, 400, 48)):
        task = asyncio.create_task(session())
        for _ in range(turns):
            await asyncio.sleep(0.001 if turns > 60 else 0)
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()


async def test_a_server_that_never_answers_does_not_hold_the_stream_up(connect: Connect) -> None:
    unreachable: list[Any] = ["stun:127.0.0.1:9", {"uri": "turn:127.0.0.1:9?transport=udp", "usr": "u", "pwd": "p"}]
    async with emulator.serve(width=360, height=640, ice_servers=unreachable) as phone, connect(phone) as session:
        await take(session.frames(), 1)
        assert session.state == "streaming"  # and the servers are still being asked


async def test_a_phone_that_was_never_connected_to_needs_no_closing(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    connecting = connect(phone)
    assert not phone.device_tokens
    del connecting
    gc.collect()  # a warning would be an error


async def test_the_whole_way_to_the_phone_is_bounded(connect: Connect) -> None:
    async with emulator.serve(width=360, height=640, faults=Faults(silent_at="offer")) as phone:
        async with asyncio.timeout(LIMIT_S):
            with pytest.raises(streamer.ConnectionFailedError, match=r"after 0\.5 s waiting for the phone") as caught:
                async with connect(phone, timeout_s=0.5):
                    pass
    assert caught.value.stage == "media"
    assert caught.value.retryable


async def test_an_api_that_says_nothing_is_named_when_the_time_is_up() -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    with silent:
        async with asyncio.timeout(LIMIT_S):
            with pytest.raises(streamer.ConnectionFailedError, match="the API"):
                async with streamer.connect(
                    "phone",
                    endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}",
                    credentials=streamer.Token("token"),
                    timeout_s=0.5,
                ):
                    pass


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts sockets as Linux shows them")
async def test_sessions_leave_no_socket_open(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    before = open_sockets()
    for _ in range(3):
        async with connect(phone) as session:
            await take(session.frames(), 1)
    async with asyncio.timeout(LIMIT_S):
        while open_sockets() - before:  # the phone's ends close when it has noticed
            await asyncio.sleep(0.05)


def open_sockets() -> set[str]:
    names = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the one that lists this directory
            names.add(str(entry.readlink()))
    return {name for name in names if name.startswith("socket:")}


async def test_an_iterator_that_outlives_its_session_ends(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    async with connect(phone) as session:
        frames = session.frames()
        await take(frames, 1)
    async with asyncio.timeout(LIMIT_S):
        assert len([frame async for frame in frames]) <= 1  # what was still in its mailbox


@pytest.mark.parametrize("seed", range(4))
async def test_a_session_may_be_cancelled_at_any_moment_while_it_is_used(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path, seed: int
) -> None:
    """Readers, a recording and the wait for input under way: nothing may be left (`nothing_is_left`)."""
    recordings: list[streamer.Recording] = []

    async def use() -> None:
        async with connect(phone) as session, asyncio.TaskGroup() as tasks:
            recordings.append(session.record(tmp_path / "a.mp4"))
            tasks.create_task(session.wait_input())
            tasks.create_task(session.wait_ended())
            async for frame in session.frames("every"):
                await asyncio.to_thread(frame.to_ndarray)

    task = asyncio.create_task(use())
    until_s = random.Random(seed).uniform(0.3, 1.5)
    await asyncio.wait({task}, timeout=until_s)
    task.cancel()
    async with asyncio.timeout(LIMIT_S):
        await asyncio.wait({task})
    assert task.cancelled()
    for recording in recordings:
        assert recording.error is None
        assert len(recorded_counters(recording.path) if recording.frames else []) == recording.frames
