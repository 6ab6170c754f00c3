"""A session that stays up: what ends a connection, and how the frames go on."""

import asyncio
import errno
import itertools
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

import streamer
from streamer import connection, emulator, handover, reconnect
from streamer.aio import boot_time
from streamer.connection import GENERATIONS_LIMIT
from streamer.emulator import Faults
from streamer.emulator.client import Client
from streamer.rtc import peer as peer_module
from streamer.rtc._aiortc.path import local_address
from streamer.signaling import conversation
from tests.support.emulated import barcodes, counter
from tests.support.everywhere import Connect
from tests.support.waiting import LIMIT_S, hear, until

QUICK = streamer.Reconnect(max_delay_s=0.2, give_up_after_s=30)


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
    counters = [barcode.counter for _, barcode in barcodes(tmp_path / "a.mp4")]
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
async def test_a_session_that_is_not_to_reconnect_ends_with_the_first_error(
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


async def test_media_that_still_flows_outlives_its_signaling_without_a_gap(connect: Connect) -> None:
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
    assert str(heard[1].reason).startswith(
        "the connection to the signaling server was reset; another connection is made"
    )
    assert "cannot renew the stream: " in str(heard[2].reason)
    # A phone on a busy machine may send the successor's keyframe after its former stream's next frame.
    assert {later - earlier for earlier, later in itertools.pairwise(counters)} <= {-1, 0, 1}


async def test_a_phone_that_serves_one_client_at_a_time_and_lost_its_signaling_is_reconnected_with_a_short_gap(
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


async def test_a_stream_whose_local_address_goes_is_followed_by_another_within_seconds(
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


async def test_a_still_screen_outlives_its_signaling(connect: Connect) -> None:
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
async def test_what_another_try_cannot_mend_is_not_tried_again(
    phone: emulator.EmulatedPhone, connect: Connect, reason: str, error: type[Exception]
) -> None:
    async with connect(phone, reconnect=QUICK) as session, asyncio.timeout(LIMIT_S):
        await phone.close_clients(reason)
        with pytest.raises(error):
            await session.wait_ended()
    assert len(phone.device_tokens) == 1


async def test_a_refusal_that_cannot_heal_ends_the_attempts(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    async with connect(phone, reconnect=QUICK) as session, asyncio.timeout(LIMIT_S):
        phone.faults.auth_code = "KOOPHONE.API.1001"
        await phone.cut_signaling()
        with pytest.raises(streamer.CloudRefusalError, match="no permission"):
            await session.wait_ended()


@pytest.mark.parametrize("policy", [{"attempts": 2}, {"give_up_after_s": 1.0}])
async def test_attempts_end_at_the_limits_that_were_set(
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


async def test_an_attempt_that_hangs_is_ended_when_it_is_time_to_give_up(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    policy = streamer.Reconnect(max_delay_s=0.1, give_up_after_s=1)
    async with connect(phone, reconnect=policy) as session, asyncio.timeout(LIMIT_S):
        phone.faults.silent_at = "offer"
        await phone.cut_signaling()
        with pytest.raises(streamer.SignalingClosedError):  # not the time-out of the step, which is 15 s
            await session.wait_ended()


async def test_a_device_token_that_expired_on_the_way_is_replaced_once(connect: Connect) -> None:
    async with emulator.serve(width=360, height=640, faults=Faults(token="expired", token_times=1)) as phone:
        async with connect(phone, reconnect=QUICK) as session, asyncio.timeout(LIMIT_S):
            await anext(aiter(session))
        assert len(phone.device_tokens) == 2
        phone.faults.token_times = 0
        with pytest.raises(streamer.DeviceTokenError):
            async with connect(phone, reconnect=QUICK):
                pass
        assert len(phone.device_tokens) == 4


async def test_who_connects_is_told_at_once_that_it_failed(connect: Connect) -> None:
    async with emulator.serve(width=360, height=640, faults=Faults(refuse="go away")) as phone:
        connecting = connect(phone, reconnect=QUICK)
        events = connecting.events()
        with pytest.raises(streamer.SignalingRefusedError):
            async with connecting:
                pass
        assert [event.kind async for event in events] == ["connecting", "closed"]
        assert len(phone.device_tokens) == 1


@pytest.fixture
async def short_lived() -> AsyncIterator[emulator.EmulatedPhone]:
    """A phone whose streams may last for 4 s, and that serves several at once."""
    async with emulator.serve(width=360, height=640, expires_in_s=4, allow_many=True) as phone:
        yield phone


async def overlook(client: Client, reason: str) -> None:
    """Let a stream go on though its time is up."""


async def test_a_stream_whose_time_is_almost_up_is_renewed_without_a_gap(
    short_lived: emulator.EmulatedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Client, "end", overlook)  # a busy machine may need longer than the second that is left
    async with connect(short_lived, reconnect=QUICK) as session, asyncio.timeout(LIMIT_S):
        frames, events = session.frames("every", limit=1000), session.events()
        counters = [counter(await anext(frames)) for _ in range(10 * 30)]  # through two renewals
        heard = await hear(events, "streaming", "renewed", "renewed")
        await until(lambda: len(short_lived.clients) == 1)  # the former ones are gone
    assert [event.kind for event in heard] == ["streaming", "renewed", "renewed"]
    # A phone on a busy machine may send the successor's keyframe after its former stream's next frame.
    assert {later - earlier for earlier, later in itertools.pairwise(counters)} <= {-1, 0, 1}


async def test_a_renewal_whose_keyframe_is_quicker_than_its_connection_is_told_once(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with connect(phone, reconnect=QUICK) as session, asyncio.timeout(LIMIT_S):
        events = session.events()
        assert session._reconnector._handover.in_force is not None
        session._reconnector._advance(session._reconnector._handover.in_force, "connected")  # it has taken over already
        await phone.cut_signaling()
        heard = await hear(events, "resumed")
    assert [event.kind for event in heard].count("streaming") == 1


async def test_a_phone_that_serves_one_client_at_a_time_is_renewed_with_a_short_gap(connect: Connect) -> None:
    """There the renewal itself ends the former stream, with the code of a take-over: it is our own."""
    async with (
        emulator.serve(width=360, height=640, expires_in_s=4) as phone,
        connect(phone, reconnect=QUICK) as session,
        asyncio.timeout(LIMIT_S),
    ):
        events, frames = session.events(), session.frames()
        heard = await hear(events, "streaming", "interrupted", "resumed")
        assert {type(event.error) for event in heard if event.error} == {streamer.SignalingClosedError}
        last = counter(await anext(frames))
        await hear(events, "interrupted", "resumed")
        async for frame in frames:
            if counter(frame) > last + 30:
                break


async def test_a_renewal_that_fails_is_tried_again_and_the_stream_goes_on(
    short_lived: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with connect(short_lived, reconnect=QUICK) as session, asyncio.timeout(LIMIT_S):
        events = session.events()
        overstay(short_lived)  # a busy machine may need longer than the second that is left
        short_lived.faults.token, short_lived.faults.token_times = "invalid", 1
        heard = await hear(events, "streaming", "problem", "renewed")
    assert [event.kind for event in heard] == ["streaming", "problem", "renewed"]
    assert "cannot renew the stream: " in str(heard[1].reason)
    assert len(short_lived.device_tokens) == 3


async def test_a_renewal_that_is_refused_is_tried_again_while_the_stream_still_runs(
    short_lived: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with connect(short_lived, reconnect=QUICK) as session, asyncio.timeout(LIMIT_S):
        events = session.events()
        overstay(short_lived)
        short_lived.faults.auth_code, short_lived.faults.auth_times = "KOOPHONE.API.1001", 1
        heard = await hear(events, "streaming", "problem", "renewed")
    assert [event.kind for event in heard] == ["streaming", "problem", "renewed"]
    assert "no permission" in str(heard[1].reason)


async def test_a_session_that_outlives_its_token_warns_of_it(
    phone: emulator.EmulatedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamer.Token, "lasts_s", 3600.5)
    connecting = connect(phone, reconnect=QUICK)
    events = connecting.events()
    async with connecting, asyncio.timeout(LIMIT_S):
        heard = await hear(events, "problem")
    assert "a Token is never replaced" in str(heard[-1].reason)


@pytest.mark.parametrize("code", ["1400", "1403"])
async def test_a_stream_whose_time_ran_out_while_the_machine_slept_is_followed_by_another(
    phone: emulator.EmulatedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    phone.expires_in_s = 3600
    async with connect(phone, reconnect=QUICK) as session, asyncio.timeout(LIMIT_S):
        events = session.events()
        for module in (reconnect, connection):  # an hour in which the event loop's clock and time.monotonic stood still
            monkeypatch.setattr(module, "boot_time", lambda: boot_time() + 3600)
        await phone.close_clients(code)
        heard = await hear(events, "streaming", "interrupted", "resumed")
    assert any("the stream reached its limit of 3600 s" in str(event.reason) for event in heard)


async def test_a_renewal_that_came_due_while_the_machine_slept_is_made_up_for(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconnect, "CHECK_EVERY_S", 0.1)
    async with (
        emulator.serve(width=360, height=640, expires_in_s=3600, allow_many=True) as phone,
        connect(phone, reconnect=QUICK) as session,
        asyncio.timeout(LIMIT_S),
    ):
        events = session.events()
        for module in (reconnect, connection):
            monkeypatch.setattr(module, "boot_time", lambda: boot_time() + 3580)
        await hear(events, "streaming", "renewed")


async def test_a_reply_that_cannot_be_understood_does_not_end_a_session_that_has_streamed(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with connect(phone, reconnect=QUICK) as session, asyncio.timeout(LIMIT_S):
        events = session.events()
        phone.faults.auth_body, phone.faults.auth_times = "html", 2
        await phone.cut_signaling()
        heard = await hear(events, "streaming", "interrupted", "interrupted", "interrupted", "resumed")
    assert sum(isinstance(event.error, streamer.CloudReplyError) for event in heard) == 2


async def test_a_machine_without_descriptors_is_tried_again(
    phone: emulator.EmulatedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connect(phone, reconnect=QUICK) as session, asyncio.timeout(LIMIT_S):
        events = session.events()
        loop = asyncio.get_running_loop()
        refused: list[bool] = []
        bind = loop.create_datagram_endpoint

        async def refuse(*arguments: Any, **options: Any) -> Any:
            if refused:
                return await bind(*arguments, **options)
            refused.append(True)
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(loop, "create_datagram_endpoint", refuse)
        await phone.cut_signaling()
        heard = await hear(events, "streaming", "interrupted", "resumed")
    assert refused
    assert all(isinstance(event.error, streamer.StreamerError | None) for event in heard)


async def test_a_stream_that_was_not_renewed_in_time_is_followed_by_another(
    short_lived: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with connect(short_lived, reconnect=QUICK) as session, asyncio.timeout(LIMIT_S):
        events = session.events()
        short_lived.faults.drop_at = "authorize"
        heard = await hear(events, "streaming", "interrupted")
        assert "1400" in str(heard[-1].reason) or "was reset" in str(heard[-1].reason)
        short_lived.faults.drop_at = ""
        await hear(events, "resumed")
        await anext(aiter(session))


@pytest.fixture
async def strict() -> AsyncIterator[emulator.EmulatedPhone]:
    """A phone whose streams may last for 4 s, and that serves one client at a time."""
    async with emulator.serve(width=360, height=640, expires_in_s=4) as phone:
        yield phone


def overstay(phone: emulator.EmulatedPhone) -> None:
    """Let the streams of now last longer than was told, and those that come for ever."""
    phone.expires_in_s = None
    for client in phone.clients:
        for ending in client._endings:
            ending.cancel()


@pytest.mark.parametrize("code", ["1300", "1403", "1415", "1401"])
async def test_whatever_a_phone_closes_with_when_the_time_is_up_is_followed_by_another_stream_unless_the_user_left(
    short_lived: emulator.EmulatedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    monkeypatch.setattr(reconnect, "SHORTEST_S", 100)  # it is not renewed before
    async with connect(short_lived, reconnect=QUICK) as session, asyncio.timeout(LIMIT_S):
        overstay(short_lived)
        events, made_at = session.events(), session._connection.made_at
        await until(lambda: boot_time() > made_at + 3.2)
        await short_lived.close_clients(code)
        if code == "1401":
            with pytest.raises(streamer.SignalingClosedError, match="the user left"):
                await session.wait_ended()
        else:
            heard = await hear(events, "streaming", "interrupted", "resumed")
            reason = next(event.reason for event in heard if event.kind == "interrupted")
            assert str(reason).startswith("the stream reached its limit of 4 s: ")
            assert f"close code {code}" in str(reason)
    assert len(short_lived.device_tokens) == (1 if code == "1401" else 2)


async def give_way(session: streamer.Session, phone: emulator.EmulatedPhone, connect: Connect) -> None:
    """Let another device take the phone over, and see that it keeps it."""
    async with connect(phone, reconnect=None) as other:
        with pytest.raises(streamer.TakenOverError):
            await session.wait_ended()
        tokens = len(phone.device_tokens)
        frames = other.frames()
        last = counter(await anext(frames))
        async for frame in frames:
            if counter(frame) > last + 30:
                break
        assert len(phone.device_tokens) == tokens


async def test_a_take_over_before_the_phone_knows_of_a_renewal_is_another_devices(
    strict: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with connect(strict, reconnect=QUICK) as session, asyncio.timeout(LIMIT_S):
        overstay(strict)
        strict.faults.auth_body, strict.faults.auth_times = "silence", 1
        await until(lambda: strict._auth_faults)  # the renewal waits for its ticket
        await give_way(session, strict, connect)


async def test_a_take_over_after_a_renewal_is_served_is_another_devices(
    strict: emulator.EmulatedPhone, connect: Connect
) -> None:
    """The phone closes the former link for the renewal, and the renewal for the other device."""
    async with connect(strict, reconnect=QUICK) as session, asyncio.timeout(LIMIT_S):
        overstay(strict)
        events = session.events()
        strict.faults.silent_at = "answer"
        await hear(events, "streaming", "interrupted")
        assert "offered" in session._reconnector._handover._steps
        strict.faults.silent_at = ""
        await give_way(session, strict, connect)


async def test_a_take_over_while_a_renewal_is_not_served_is_another_devices(
    strict: emulator.EmulatedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The close may be the renewal's doing, so that it is given its time; then it was not."""
    monkeypatch.setattr(conversation, "OFFER_TIMEOUT_S", 5.0)
    async with connect(strict, reconnect=QUICK) as session, asyncio.timeout(LIMIT_S):
        overstay(strict)
        strict.faults.silent_at = "offer"
        await until(lambda: "started" in session._reconnector._handover._steps)
        strict.faults.silent_at = ""
        await give_way(session, strict, connect)


async def test_a_renewal_that_is_taken_over_ends_the_session_also_while_the_former_link_streams(
    short_lived: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with connect(short_lived, reconnect=QUICK) as session, asyncio.timeout(LIMIT_S):
        overstay(short_lived)
        short_lived.faults.silent_at = "answer"
        await until(lambda: "offered" in session._reconnector._handover._steps)
        await max(short_lived.clients, key=lambda client: client.began_at).end("1402")
        with pytest.raises(streamer.TakenOverError):
            await session.wait_ended()
    assert len(short_lived.device_tokens) == 2


async def test_a_path_that_is_cut_for_a_moment_is_told_of_and_needs_no_new_connection(
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
async def test_a_path_that_is_gone_is_dead_after_some_10_s_and_the_session_reconnects(
    connect: Connect, tmp_path: Path, is_still: bool
) -> None:
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
    counters = [barcode.counter for _, barcode in barcodes(tmp_path / "a.mp4")]
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
async def test_another_path_takes_over_from_a_still_screen_that_sends_no_keyframe(
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


async def test_a_renewal_takes_over_from_a_still_screen_that_sends_no_keyframe(connect: Connect) -> None:
    async with (
        emulator.serve(width=360, height=640, expires_in_s=4, allow_many=True) as phone,
        connect(phone, reconnect=QUICK) as session,
        asyncio.timeout(LIMIT_S),
    ):
        overstay(phone)
        frames, events = session.frames(), session.events()
        await anext(frames)
        phone.go_still()
        phone.faults.no_keyframes = True
        assert [event.kind for event in await hear(events, "streaming", "renewed")] == ["streaming", "renewed"]
        phone.faults.no_keyframes = False
        phone.wake()
        phone.media.make_keyframe()
        while not (await anext(frames)).discontinuity:
            pass
    assert len(phone.device_tokens) == 2


async def test_a_stream_that_falls_silent_gives_way_to_its_renewal_before_a_keyframe(
    short_lived: emulator.EmulatedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handover, "KEYFRAME_LIMIT_S", 2 * LIMIT_S)
    async with connect(short_lived, reconnect=QUICK) as session, asyncio.timeout(LIMIT_S):
        overstay(short_lived)
        events = session.events()
        await anext(aiter(session))
        short_lived.go_still()
        short_lived.faults.no_keyframes = True
        (former,) = short_lived.clients
        await until(lambda: session._reconnector._handover.deadline is not None)  # the renewal is connected, and waits
        assert former.peer is not None
        former.peer.path.is_cut = True
        heard = await hear(events, "resumed")
        assert [event.kind for event in heard] == ["streaming", "interrupted", "resumed"]
        packets = session.stats().audio_packets_received
        await until(lambda: session.stats().audio_packets_received > packets + 10)
    assert len(short_lived.device_tokens) == 2


async def test_the_phone_may_restart_ice_many_times(phone: emulator.EmulatedPhone, connect: Connect) -> None:
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


async def test_leaving_while_interrupted_leaves_nothing(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    async with connect(phone, reconnect=streamer.Reconnect(max_delay_s=30)) as session, asyncio.timeout(LIMIT_S):
        events = session.events()
        phone.faults.drop_at = "authorize"
        await phone.cut_signaling()
        await hear(events, "streaming", "interrupted", "interrupted")
        assert session.state == session.stats().state == "interrupted"
        assert session.status.kind == "interrupted"
    assert session.state == "closed"
