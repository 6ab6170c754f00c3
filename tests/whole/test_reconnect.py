"""A session that stays up: what ends a connection, and how the frames go on."""

import asyncio
import itertools
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import streamer
from streamer import connection, emulator, handover
from streamer.connection import GENERATIONS_LIMIT
from streamer.emulator import Faults
from streamer.rtc import liveness
from streamer.rtc import peer as peer_module
from streamer.rtc._aiortc.path import local_address
from tests.support.emulated import barcodes, counter, recorded_counters
from tests.support.everywhere import Connect
from tests.support.waiting import LIMIT_S, QUICK, hear, until


async def break_signaling(phone: emulator.EmulatedPhone) -> None:
    await phone.cut_signaling()


async def restart(phone: emulator.EmulatedPhone) -> None:
    await phone.restart()


async def close(phone: emulator.EmulatedPhone) -> None:
    await phone.close_clients("3000")


async def refuse_the_token(phone: emulator.EmulatedPhone) -> None:
    await phone.close_clients("1415")


@pytest.mark.parametrize("end", [break_signaling, restart, close, refuse_the_token])
async def test_frames_and_recordings_go_on_after_the_connection_was_lost(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path, end: Callable[[emulator.EmulatedPhone], object]
) -> None:
    async with connect(phone, reconnect=QUICK) as session, asyncio.timeout(LIMIT_S):
        frames, events = session.frames("every", limit=1000), session.events()
        async with session.record(tmp_path / "a.mp4") as recording:
            first = await anext(frames)
            await until(lambda: recording.frames > 10)
            tokens, before = set(phone.device_tokens), session.stats()
            await end(phone)  # type: ignore[misc]
            heard = await hear(events, "streaming", "interrupted", "connecting", "authorized", "negotiating", "resumed")
            resumed_at = recording.frames
            await until(lambda: recording.frames > resumed_at + 10)
            seen = [first]
            while not (seen[-1].discontinuity and seen[-1] is not first):
                seen.append(await anext(frames))
        assert session.state == "streaming"
        after = session.stats()
    assert set(phone.device_tokens) - tokens  # a fresh one
    interrupted = next(event for event in heard if event.kind == "interrupted")
    assert isinstance(interrupted.error, streamer.StreamerError)
    assert interrupted.reason == str(interrupted.error)
    assert interrupted.retry_in_s is not None
    assert interrupted.retry_in_s <= 0.2
    assert after.packets_received > before.packets_received
    assert after.frames_received >= recording.frames
    sequences = [frame.sequence for frame in seen]
    assert sequences == list(range(sequences[0], sequences[0] + len(seen)))
    counters = recorded_counters(tmp_path / "a.mp4")
    assert len(counters) == recording.frames
    steps = [later - earlier for earlier, later in itertools.pairwise(counters)]
    assert min(steps) >= 1
    assert sum(step > 1 for step in steps) <= 1
    times = [seconds for seconds, _ in barcodes(tmp_path / "a.mp4")]
    assert times == sorted(times)


async def test_a_stray_frame_costs_nothing(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    async with connect(phone, reconnect=None) as session, asyncio.timeout(LIMIT_S):
        frames = session.frames("every", limit=1000)
        for client in phone.clients:
            for frame in ("", "4", "42", "42[5,{}]", '42["x"', b"\x04\x00\x01", "9", "0"):
                await client.socket._websocket.send(frame)
            await client.socket.emit("providerUpdate", 1)
        first = await anext(frames)
        while (await anext(frames)).sequence < first.sequence + 30:
            pass
        assert session.state == "streaming"


@pytest.mark.parametrize("outlives_signaling_s", [0.0, LIMIT_S])
async def test_a_session_without_reconnection_ends_with_the_first_error(
    phone: emulator.EmulatedPhone, connect: Connect, outlives_signaling_s: float
) -> None:
    async with connect(phone, reconnect=None) as session, asyncio.timeout(LIMIT_S):
        phone.faults.outlives_signaling_s = outlives_signaling_s
        events = session.events()
        await anext(aiter(session))
        await phone.cut_signaling()
        with pytest.raises(streamer.SignalingClosedError) as caught:
            async for _ in session:
                pass
        heard = await hear(events, "closed")
        assert [event.kind for event in heard] == ["streaming", "closed"]
        assert heard[-1].error is caught.value
        assert [event.kind async for event in session.events()] == ["closed"]  # for who comes late
    assert session.state == "closed"
    assert len(phone.device_tokens) == 1


async def test_media_goes_on_without_a_gap_when_signaling_is_lost(connect: Connect) -> None:
    async with (
        emulator.serve(width=360, height=640, allow_many=True, faults=Faults(outlives_signaling_s=LIMIT_S)) as phone,
        connect(phone, reconnect=QUICK) as session,
        asyncio.timeout(LIMIT_S),
    ):
        frames, events = session.frames("every", limit=1000), session.events()
        counters = [counter(await anext(frames)) for _ in range(10)]
        phone.faults.drop_at = "authorize"  # the first attempts fail
        await phone.cut_signaling()
        heard = await hear(events, "problem", "problem")
        phone.faults.drop_at = ""
        heard += await hear(events, "renewed")
        counters += [counter(await anext(frames)) for _ in range(phone.frames_sent - counters[0] + 30)]
        assert session.stats().interruptions == 0
    assert {event.kind for event in heard} == {"streaming", "problem", "renewed"}
    assert str(heard[1].reason).startswith("the connection to the signaling server was reset; reconnecting in ")
    assert "cannot renew the stream: " in str(heard[2].reason)
    # A phone on a busy machine may send the successor's keyframe after its former stream's next frame.
    assert {later - earlier for earlier, later in itertools.pairwise(counters)} <= {-1, 0, 1}


async def test_a_phone_for_one_client_reconnects_with_a_short_gap_when_signaling_is_lost(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with connect(phone, reconnect=QUICK) as session, asyncio.timeout(LIMIT_S):
        events, frames = session.events(), session.frames()
        phone.faults.outlives_signaling_s = LIMIT_S
        await anext(frames)
        await phone.cut_signaling()
        heard = await hear(events, "problem", "interrupted", "resumed")
        errors = [event.error for event in heard if event.kind == "interrupted"]
        assert [type(error) for error in errors] == [streamer.SignalingClosedError]
        assert "the connection to the signaling server was reset" in str(errors[0])
        last = counter(await anext(frames))
        async for frame in frames:
            if counter(frame) > last + 30:
                break
    assert len(phone.device_tokens) == 2


async def test_a_stream_is_replaced_within_seconds_when_its_local_address_goes(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        emulator.serve(width=360, height=640, allow_many=True) as phone,
        connect(phone, reconnect=QUICK) as session,
        asyncio.timeout(LIMIT_S),
    ):
        events, peer = session.events(), session._connection.peer
        assert peer is not None
        assert peer.lost_address is None
        gone = {local_address(transport) for transport in peer._alive_ns}
        monkeypatch.setattr(peer_module, "has_address", lambda address: address not in gone)
        heard = await hear(events, "problem")
        monkeypatch.undo()
        heard += await hear(events, "renewed")
    assert [event.kind for event in heard] == ["streaming", "problem", "renewed"]
    assert f"lost the local address {gone.pop()}" in str(heard[1].reason)


async def test_a_still_screen_goes_on_when_signaling_is_lost(connect: Connect) -> None:
    faults = Faults(outlives_signaling_s=LIMIT_S)
    async with (
        emulator.serve(width=360, height=640, audio=False, allow_many=True, faults=faults) as phone,
        connect(phone, reconnect=QUICK) as session,
        asyncio.timeout(LIMIT_S),
    ):
        await anext(aiter(session))
        events = session.events()
        phone.go_still()
        await phone.cut_signaling()
        heard = await hear(events, "problem", "renewed")
    assert [event.kind for event in heard] == ["streaming", "problem", "renewed"]


@pytest.mark.parametrize(
    ("reason", "error"), [("1402", streamer.TakenOverError), ("1401", streamer.SignalingClosedError)]
)
async def test_a_final_error_is_not_tried_again(
    phone: emulator.EmulatedPhone, connect: Connect, reason: str, error: type[Exception]
) -> None:
    async with connect(phone, reconnect=QUICK) as session, asyncio.timeout(LIMIT_S):
        await phone.close_clients(reason)
        with pytest.raises(error):
            await session.wait_ended()
    assert len(phone.device_tokens) == 1


async def test_a_final_refusal_ends_the_attempts(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    async with connect(phone, reconnect=QUICK) as session, asyncio.timeout(LIMIT_S):
        phone.faults.auth_code = "KOOPHONE.API.1001"
        await phone.cut_signaling()
        with pytest.raises(streamer.CloudRefusalError, match="no permission"):
            await session.wait_ended()


@pytest.mark.parametrize("policy", [{"attempts": 2}, {"give_up_after_s": 1.0}])
async def test_attempts_end_at_their_limits(
    phone: emulator.EmulatedPhone, connect: Connect, policy: dict[str, float]
) -> None:
    policy |= {"max_delay_s": 0.2}
    async with connect(phone, reconnect=streamer.Reconnect(**policy)) as session, asyncio.timeout(LIMIT_S):  # type: ignore[arg-type]
        events = session.events()
        phone.faults.drop_at = "authorize"
        await phone.cut_signaling()
        with pytest.raises(streamer.SignalingClosedError):
            await session.wait_ended()
        heard = await hear(events, "closed")
    tried = [event for event in heard if event.kind == "interrupted"]
    assert len(tried) == 2 if "attempts" in policy else len(tried) > 2
    assert isinstance(heard[-1].error, streamer.SignalingClosedError)


async def test_a_hanging_attempt_ends_at_the_time_to_give_up(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    policy = streamer.Reconnect(max_delay_s=0.1, give_up_after_s=1)
    async with connect(phone, reconnect=policy) as session, asyncio.timeout(LIMIT_S):
        phone.faults.silent_at = "offer"
        await phone.cut_signaling()
        with pytest.raises(streamer.SignalingClosedError):  # not the time-out of the step, which is 15 s
            await session.wait_ended()


async def test_an_expired_device_token_is_replaced_once(connect: Connect) -> None:
    async with emulator.serve(width=360, height=640, faults=Faults(token="expired", token_times=1)) as phone:
        async with connect(phone, reconnect=QUICK) as session, asyncio.timeout(LIMIT_S):
            await anext(aiter(session))
        assert len(phone.device_tokens) == 2
        phone.faults.token_times = 0
        with pytest.raises(streamer.DeviceTokenError):
            async with connect(phone, reconnect=QUICK):
                pass
        assert len(phone.device_tokens) == 4


async def test_the_first_connection_raises_at_once_if_it_fails(connect: Connect) -> None:
    async with emulator.serve(width=360, height=640, faults=Faults(refuse="go away")) as phone:
        connecting = connect(phone, reconnect=QUICK)
        events = connecting.events()
        with pytest.raises(streamer.SignalingRefusedError):
            async with connecting:
                pass
        assert [event.kind async for event in events] == ["connecting", "closed"]
        assert len(phone.device_tokens) == 1


async def test_a_short_cut_of_the_path_is_reported_and_needs_no_new_connection(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with connect(phone, reconnect=QUICK) as session, asyncio.timeout(LIMIT_S):
        events, frames = session.events(), session.frames()
        await anext(frames)
        phone.cut_path()
        cut_at = time.monotonic()
        heard = await hear(events, "streaming", "interrupted")
        assert time.monotonic() - cut_at < 5
        assert session.state == "interrupted"
        assert heard[-1].retry_in_s is None
        await asyncio.sleep(max(cut_at + 3 - time.monotonic(), 0))
        phone.mend_path()
        assert [event.kind for event in await hear(events, "resumed")] == ["resumed"]
        await anext(frames)
        assert session.state == "streaming"
    assert len(phone.device_tokens) == 1


@pytest.mark.parametrize("is_still", [False, True])
async def test_a_lost_path_is_dead_after_its_limit_and_the_session_reconnects(
    connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_still: bool
) -> None:
    monkeypatch.setattr(liveness, "DEAD_AFTER_NS", 4_000_000_000)  # the fault matrix waits for the 10 s
    async with (
        emulator.serve(width=360, height=640, audio=not is_still) as phone,
        connect(phone, reconnect=QUICK) as session,
        asyncio.timeout(LIMIT_S),
    ):
        events, frames = session.events(), session.frames()
        await anext(frames)
        if is_still:
            phone.go_still()
        async with session.record(tmp_path / "a.mp4") as recording:
            await until(lambda: recording.frames > 0)
            phone.cut_path()
            cut_at = time.monotonic()
            heard = await hear(events, "streaming", "interrupted", "interrupted")
            assert time.monotonic() - cut_at < 20
            assert isinstance(heard[-1].error, streamer.ConnectionLostError)
            await hear(events, "resumed")
            count = recording.frames
            phone.wake()
            await until(lambda: recording.frames > count + 5)
    assert len(phone.device_tokens) == 2
    counters = recorded_counters(tmp_path / "a.mp4")
    assert counters == sorted(counters)


async def test_a_still_screen_without_audio_is_no_interruption(connect: Connect) -> None:
    async with (
        emulator.serve(width=360, height=640, audio=False) as phone,
        connect(phone, reconnect=QUICK) as session,
        asyncio.timeout(LIMIT_S),
    ):
        await anext(aiter(session))
        phone.go_still()
        for client in phone.clients:  # nor do its reports come
            assert client.peer is not None
            client.peer._connection.getSenders()[0]._RTCRtpSender__rtcp_task.cancel()  # type: ignore[attr-defined]
        await asyncio.sleep(5)
        events = session.events()
        assert (await anext(events)).kind == "streaming"
        assert session.state == "streaming"


@pytest.mark.alone
@pytest.mark.parametrize("is_dead", [False, True])
async def test_an_offer_that_restarts_ice_moves_the_stream_to_another_path(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path, is_dead: bool
) -> None:
    async with connect(phone, reconnect=QUICK) as session, asyncio.timeout(LIMIT_S):
        frames = session.frames("every", limit=1000)
        counters = [counter(await anext(frames)) for _ in range(10)]
        async with session.record(tmp_path / "a.mp4") as recording:
            await until(lambda: recording.frames > 5)
            if is_dead:
                phone.cut_path()
            before = session._connection.peer
            await phone.restart_ice()
            await until(lambda: session._connection.peer is not before)
            count = recording.frames
            await until(lambda: recording.frames > count + 20)
        while counters[-1] < phone.frames_sent - 30:
            counters.append(counter(await anext(frames)))
        await until(lambda: not any(client._former for client in phone.clients))
        stats = session.stats()
    assert len(phone.device_tokens) == 1
    assert stats.frames_received > 30
    steps = {later - earlier for earlier, later in itertools.pairwise(counters)}
    assert min(steps) >= 0
    if not is_dead:
        assert steps <= {0, 1}
    assert len(list(barcodes(tmp_path / "a.mp4"))) == recording.frames


@pytest.mark.parametrize("lingers_s", [0.0, 30.0])
async def test_another_path_takes_over_a_still_screen_without_a_keyframe(
    phone: emulator.EmulatedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch, lingers_s: float
) -> None:
    """At once when the former path ends, else after some seconds; audio comes over it, and then frames."""
    if not lingers_s:
        monkeypatch.setattr(handover, "KEYFRAME_LIMIT_S", 2 * LIMIT_S)
    async with connect(phone, reconnect=QUICK) as session, asyncio.timeout(LIMIT_S):
        frames, events = session.frames(), session.events()
        await anext(frames)
        phone.go_still()
        phone.faults.no_keyframes, phone.faults.former_lingers_s = True, lingers_s
        former = session._connection.peer
        await phone.restart_ice()
        restarted_at = time.monotonic()
        await until(lambda: session._connection.peer is not former)
        packets = session.stats().audio_packets_received
        assert not lingers_s or time.monotonic() - restarted_at > handover.KEYFRAME_LIMIT_S
        await until(lambda: session.stats().audio_packets_received > packets + 10)
        phone.faults.no_keyframes = False
        phone.wake()
        phone.media.make_keyframe()
        while not (await anext(frames)).discontinuity:
            pass
        assert [event.kind for event in await hear(events, "streaming")] == ["streaming"]
        assert session.state == "streaming"
    assert len(phone.device_tokens) == 1


async def test_the_phone_may_restart_ice_many_times(
    phone: emulator.EmulatedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT_S", 5.0)  # of the paths that do not come up
    async with connect(phone, reconnect=QUICK) as session, asyncio.timeout(LIMIT_S):
        frames = session.frames()
        await anext(frames)
        most = 0
        for _ in range(8):  # some of them before the last one is up
            await phone.restart_ice()
            most = max(most, len(session._connection._generations))
        assert most <= GENERATIONS_LIMIT
        last = counter(await anext(frames))
        async for frame in frames:
            if counter(frame) > last + 60:
                break
        await until(lambda: len(session._connection._generations) == 1)
        assert session.state == "streaming"
    assert len(phone.device_tokens) == 1


async def test_closing_while_interrupted_leaves_nothing(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    async with connect(phone, reconnect=streamer.Reconnect(max_delay_s=30)) as session, asyncio.timeout(LIMIT_S):
        events = session.events()
        phone.faults.drop_at = "authorize"
        await phone.cut_signaling()
        await hear(events, "streaming", "interrupted", "interrupted")
        assert session.state == session.stats().state == "interrupted"
        assert session.status.kind == "interrupted"
    assert session.state == "closed"
