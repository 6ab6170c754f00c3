"""A stream whose time is up is renewed; a renewal is distinguished from another device."""

import asyncio
import errno
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

import streamer
from streamer import connection, emulator, handover, reconnector
from streamer.aio import boot_time
from streamer.emulator.client import Client
from streamer.signaling import conversation
from tests.support.emulated import counter
from tests.support.everywhere import Connect
from tests.support.waiting import LIMIT_S, QUICK, hear, until

FPS = 10


@pytest.fixture
async def short_lived() -> AsyncIterator[emulator.EmulatedPhone]:
    """A phone whose streams may last for 4 s, and that serves several at once.

    Its frames are so far apart that a busy machine seldom reads one of two streams a frame later than the other.
    """
    async with emulator.serve(width=360, height=640, fps=FPS, expires_in_s=4, allow_many=True) as phone:
        yield phone


async def overlook(client: Client, reason: str) -> None:
    """Let a stream go on though its time is up."""


async def test_a_stream_is_renewed_without_a_gap_before_its_time_is_up(
    short_lived: emulator.EmulatedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Client, "end", overlook)  # a busy machine may need longer than the second that is left
    async with connect(short_lived, reconnect=QUICK) as session, asyncio.timeout(LIMIT_S):
        frames, events = session.frames("every", limit=1000), session.events()
        counters = [counter(await anext(frames)) for _ in range(10 * FPS)]  # through two renewals
        heard = await hear(events, "streaming", "renewed", "renewed")
        await until(lambda: len(short_lived.clients) == 1)  # the former ones are gone
    assert [event.kind for event in heard] == ["streaming", "renewed", "renewed"]
    # A phone on a busy machine may send the successor's keyframe after its former stream's next frame.
    assert {later - earlier for earlier, later in itertools.pairwise(counters)} <= {-1, 0, 1}


async def test_a_renewal_whose_keyframe_precedes_its_connection_is_reported_once(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with connect(phone, reconnect=QUICK) as session, asyncio.timeout(LIMIT_S):
        events = session.events()
        assert session._reconnector._handover.in_force is not None
        session._reconnector._advance(session._reconnector._handover.in_force, "connected")  # it has taken over already
        await phone.cut_signaling()
        heard = await hear(events, "resumed")
    assert [event.kind for event in heard].count("streaming") == 1


async def test_a_phone_for_one_client_is_renewed_with_a_short_gap(connect: Connect) -> None:
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
async def test_a_stream_that_expired_while_the_machine_slept_is_replaced(
    phone: emulator.EmulatedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    phone.expires_in_s = 3600
    async with connect(phone, reconnect=QUICK) as session, asyncio.timeout(LIMIT_S):
        events = session.events()
        for module in (
            reconnector,
            connection,
        ):  # an hour in which the event loop's clock and time.monotonic stood still
            monkeypatch.setattr(module, "boot_time", lambda: boot_time() + 3600)
        await phone.close_clients(code)
        heard = await hear(events, "streaming", "interrupted", "resumed")
    assert any("the stream reached its limit of 3600 s" in str(event.reason) for event in heard)


async def test_a_renewal_missed_while_the_machine_slept_is_made_late(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconnector, "CHECK_EVERY_S", 0.1)
    async with (
        emulator.serve(width=360, height=640, expires_in_s=3600, allow_many=True) as phone,
        connect(phone, reconnect=QUICK) as session,
        asyncio.timeout(LIMIT_S),
    ):
        events = session.events()
        for module in (reconnector, connection):
            monkeypatch.setattr(module, "boot_time", lambda: boot_time() + 3580)
        await hear(events, "streaming", "renewed")


async def test_an_unreadable_reply_does_not_end_a_session_that_has_streamed(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with connect(phone, reconnect=QUICK) as session, asyncio.timeout(LIMIT_S):
        events = session.events()
        phone.faults.auth_body, phone.faults.auth_times = "html", 2
        await phone.cut_signaling()
        heard = await hear(events, "streaming", "interrupted", "interrupted", "interrupted", "resumed")
    assert sum(isinstance(event.error, streamer.CloudReplyError) for event in heard) == 2


async def test_running_out_of_descriptors_is_tried_again(
    phone: emulator.EmulatedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connect(phone, reconnect=QUICK) as session, asyncio.timeout(LIMIT_S):
        events = session.events()
        monkeypatch.setattr(connection, "CONNECT_TIMEOUT_S", 3.0)  # the one without a socket may be the phone
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


async def test_a_stream_that_was_not_renewed_in_time_is_replaced(
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
    """Let current streams last longer than announced, and later ones for ever."""
    phone.expires_in_s = None
    for client in phone.clients:
        for ending in client._endings:
            ending.cancel()


@pytest.mark.parametrize("code", ["1300", "1403", "1415", "1401"])
async def test_a_close_at_expiry_starts_another_stream_unless_the_user_left(
    short_lived: emulator.EmulatedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    monkeypatch.setattr(reconnector, "SHORTEST_S", 100)  # it is not renewed before
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


async def test_a_take_over_before_the_phone_knows_of_a_renewal_is_by_another_device(
    strict: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with connect(strict, reconnect=QUICK) as session, asyncio.timeout(LIMIT_S):
        overstay(strict)
        strict.faults.auth_body, strict.faults.auth_times = "silence", 1
        await until(lambda: strict._auth_faults)  # the renewal waits for its ticket
        await give_way(session, strict, connect)


async def test_a_take_over_after_a_served_renewal_is_by_another_device(
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


async def test_a_take_over_during_an_unserved_renewal_is_by_another_device(
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


async def test_a_take_over_of_the_renewal_ends_the_session_while_the_old_stream_runs(
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


async def test_a_renewal_takes_over_a_still_screen_without_a_keyframe(connect: Connect) -> None:
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


async def test_a_silent_stream_yields_to_its_renewal_before_a_keyframe(
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
