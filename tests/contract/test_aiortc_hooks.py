"""What the guards of `streamer.rtc._aiortc` do, against the installed libraries."""

import asyncio
import gc
import inspect
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import aioice
import pylibsrtp
import pytest
from aioice import stun, turn
from aiortc import (
    RTCCertificate,
    RTCConfiguration,
    RTCDtlsTransport,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCSessionDescription,
)
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL.SSL import WantReadError

from streamer import library_hooks as hooks
from streamer.rtc._aiortc import gathering, hardening, path, srtp
from streamer.rtc._aiortc.srtp_transport import hook_receive
from streamer.rtc.udp import UdpTransport
from tests.support.examples import examples
from tests.support.open_sockets import open_sockets
from tests.support.webrtc_pair import LIMIT_S, Pair

FATAL_ALERT = bytes.fromhex("15fefd000000000000000000020228")  # not encrypted (RFC 6347)
CLOSE_NOTIFY = bytes.fromhex("15fefd000000000000000000020100")


async def test_packets_arrive_decrypted_and_aiortc_decodes_nothing() -> None:
    async with Pair() as pair, asyncio.timeout(LIMIT_S):
        await pair.connect()
        (media,) = pair.inputs
        await media.arrived.wait()
        assert {packet[0] >> 6 for packet in media.rtp} == {2}
        assert not [thread.name for thread in threading.enumerate() if thread.name.endswith("-decoder")]
        assert [track.kind for track in media.tracks] == ["video", "audio"]


async def test_a_connection_does_not_wait_for_the_pace_of_ice_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "CHECK_INTERVAL_S", 3600.0)

    def checking() -> list[asyncio.Task[Any]]:
        return [task for task in asyncio.all_tasks() if task.get_name() == "ICE checks"]

    async with Pair() as pair, asyncio.timeout(LIMIT_S):
        await pair.connect()
        assert len(checking()) == 1  # it sleeps, and nobody waits for it
    assert not checking()


async def test_consent_checks_measure_the_round_trip_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.1)
    async with Pair() as pair, asyncio.timeout(LIMIT_S):
        begin_ns = time.monotonic_ns()
        await pair.connect()
        (media,) = pair.inputs
        for _ in range(2):
            assert 0 < await media.round_trips.get() < time.monotonic_ns() - begin_ns


async def test_the_sender_receives_our_rtcp() -> None:
    from streamer.media.rtp.rtcp import picture_loss_indication  # noqa: PLC0415

    async with Pair(audio=False) as pair, asyncio.timeout(LIMIT_S):
        (sender,) = pair.sender.getSenders()
        asked = asyncio.Event()
        vars(sender)["_send_keyframe"] = asked.set
        await pair.connect()
        (media,) = pair.inputs
        media.send_rtcp(picture_loss_indication(1, sender._ssrc))
        await asked.wait()


async def test_a_peer_with_an_rsa_certificate_connects() -> None:
    from aiortc.rtcdtlstransport import generate_certificate  # noqa: PLC0415

    key: Any = rsa.generate_private_key(65537, 2048)
    async with Pair(audio=False) as pair:
        certificate = RTCCertificate(key=key, cert=generate_certificate(key))
        create = certificate._create_ssl_context

        def with_rsa(srtp_profiles: Any) -> Any:
            context = create(srtp_profiles)
            context.set_cipher_list(b"ECDHE-RSA-AES128-GCM-SHA256")
            return context

        vars(certificate)["_create_ssl_context"] = with_rsa
        for transceiver in pair.sender.getTransceivers():
            vars(transceiver.sender.transport)["_RTCDtlsTransport__local_certificate"] = certificate
        await pair.connect()


async def test_reception_begins_once_for_each_receiver_with_encryption_in_place() -> None:
    sender, receiver = (RTCPeerConnection(RTCConfiguration(iceServers=[])) for _ in range(2))
    ready: list[tuple[RTCDtlsTransport, str, bool]] = []
    both = asyncio.Event()

    def on_ready(transport: RTCDtlsTransport) -> None:
        ready.append((transport, transport.state, vars(transport).get("_rx_srtp") is not None))
        if len(ready) == 2:
            both.set()

    try:
        sender.addTrack(VideoStreamTrack())
        sender.addTrack(AudioStreamTrack())
        await sender.setLocalDescription(await sender.createOffer())
        await receiver.setRemoteDescription(sender.localDescription)
        for transceiver in receiver.getTransceivers():
            hook_receive(transceiver.receiver, on_ready)
        await receiver.setLocalDescription(await receiver.createAnswer())
        await sender.setRemoteDescription(receiver.localDescription)
        async with asyncio.timeout(LIMIT_S):
            await both.wait()
    finally:
        await receiver.close()
        await sender.close()
    (first, *state), second = ready
    assert state == ["connected", True]
    assert second == (first, "connected", True)  # BUNDLE: one transport


async def test_a_closed_connection_leaves_nothing() -> None:
    # The loop's own pool has one thread from the first connection on: a larger one grows on a busy machine.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    before = open_sockets()
    async with Pair() as pair, asyncio.timeout(LIMIT_S):
        await pair.connect()  # once, for what aiortc makes and keeps
    async with asyncio.timeout(LIMIT_S):
        while open_sockets() - before:
            await asyncio.sleep(0.01)
    tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
    async with Pair() as pair, asyncio.timeout(LIMIT_S):
        await pair.connect()
        await pair.inputs[0].arrived.wait()
        assert open_sockets() - before
    if left := asyncio.all_tasks() - tasks:
        assert not (await asyncio.wait(left, timeout=LIMIT_S))[1]
    deadline = time.monotonic() + LIMIT_S
    while open_sockets() - before and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    assert not open_sockets() - before
    assert set(threading.enumerate()) <= threads


@pytest.mark.parametrize("rounds", [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144])
async def test_a_connection_may_be_closed_at_any_moment_of_its_setup(rounds: int) -> None:
    """The fixture that watches every test finds what is left running, and exceptions that reach the loop."""
    async with Pair() as pair:
        answer = await pair.peer.answer(await pair.offer())
        await pair.sender.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        for transceiver in pair.sender.getTransceivers():
            hardening.end_quietly(transceiver.sender.transport)  # what it mends in ours would be found in the plain one
        for _ in range(rounds):
            await asyncio.sleep(0)
        await pair.peer.aclose()
        assert pair.peer.state == "closed"
        assert pair.peer.ended.is_set()


async def test_other_connections_of_the_process_stay_as_aiortc_made_them() -> None:
    def methods() -> list[object]:
        return [inspect.getattr_static(RTCRtpReceiver, "receive"), *map(_found, CALLABLES)]

    before = methods()
    theirs = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    sender = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    tracks: asyncio.Queue[Any] = asyncio.Queue()
    theirs.on("track", tracks.put_nowait)
    try:
        async with Pair() as pair, asyncio.timeout(LIMIT_S):
            await pair.connect()
            sender.addTrack(VideoStreamTrack())
            await sender.setLocalDescription(await sender.createOffer())
            await theirs.setRemoteDescription(sender.localDescription)
            await theirs.setLocalDescription(await theirs.createAnswer())
            await sender.setRemoteDescription(theirs.localDescription)
            frame = await (await tracks.get()).recv()
            assert (frame.width, frame.height) == (640, 480)
            await pair.inputs[0].arrived.wait()
            assert methods() == before
    finally:
        await theirs.close()
        await sender.close()


CALLABLES = [name.partition("(")[0] for hook in hooks.HOOKS for name in hook.names if name.endswith(")")]


def _found(name: str) -> object:
    module, _, path = name.partition(":")
    found: Any = __import__(module, fromlist=["_"])
    for part in path.split("."):
        found = inspect.getattr_static(found, part)
    return found


async def test_datagrams_of_a_stranger_are_dropped_unanswered_and_media_goes_on() -> None:
    unreadable = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, attributes={"PRIORITY": 1})
    no_number = bytes(unreadable).replace(b"\x00\x24\x00\x04", b"\x00\x24\x00\x03")
    unsigned = bytes(stun.Message(stun.Method.BINDING, stun.Class.REQUEST))
    signed = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, attributes={"USERNAME": "who:knows"})
    signed.add_message_integrity(b"a guess")
    elsewhere = bytes(stun.Message(stun.Method.ALLOCATE, stun.Class.REQUEST))
    async with Pair(audio=False) as pair, asyncio.timeout(LIMIT_S):
        offer = await pair.offer()
        answer = await pair.peer.answer(offer)
        connection: Any = pair.peer._connection.getTransceivers()[0].receiver.transport.transport._connection
        candidates = [protocol.local_candidate for protocol in connection._protocols]
        places = [(local.host, local.port) for local in candidates if ":" not in local.host]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.setblocking(False)
            connecting = asyncio.create_task(pair.sender.setRemoteDescription(RTCSessionDescription(answer, "answer")))
            while not pair.peer.connected.is_set():
                for place in places:
                    for datagram in (FATAL_ALERT, CLOSE_NOTIFY, b"\x16\xfe\xfd not for you", b"\x80" * 40):
                        stranger.sendto(datagram, place)
                await asyncio.sleep(0)
            await connecting
            assert connection._queue.qsize() <= 1
            (media,) = pair.inputs
            for _ in range(5):
                media.rtp.clear()
                media.arrived.clear()
                for place in places:
                    for datagram in (no_number, b"", b"\x80", b"\x80\xc8", b"\x16", b"\x00", FATAL_ALERT, CLOSE_NOTIFY):
                        stranger.sendto(datagram, place)
                    for request in (unsigned, bytes(signed), elsewhere):
                        stranger.sendto(request, place)
                await media.arrived.wait()
            assert pair.peer.state == "connected"
            with pytest.raises(BlockingIOError):
                stranger.recv(2048)


async def test_every_dtls_record_of_a_datagram_is_read() -> None:
    """aiortc 1.16 reads one of each datagram, and keeps the others."""
    async with Pair(audio=False) as pair, asyncio.timeout(LIMIT_S):
        pair.sender.createDataChannel("any")
        await pair.connect()
        theirs, ours = (cast("Any", peer.sctp).transport for peer in (pair.sender, pair.peer._connection))
        read: asyncio.Queue[bytes] = asyncio.Queue()

        async def note(data: bytes) -> None:
            if data.startswith(b"record "):
                read.put_nowait(data)

        hooks.shadow(pair.peer._connection.sctp, "_handle_data", note)
        for datagram in range(20):
            records = b""
            for record in range(30):
                theirs._ssl.send(b"record %d" % (30 * datagram + record))
                records += theirs._ssl.bio_read(1500)
            await theirs.transport._send(records)
            await asyncio.sleep(0)
        assert [await read.get() for _ in range(600)] == [b"record %d" % number for number in range(600)]
        with pytest.raises(WantReadError):
            ours._ssl.recv(1500)


async def test_packets_that_fail_authentication_are_dropped_and_the_stream_goes_on() -> None:
    async with Pair() as pair, asyncio.timeout(LIMIT_S):
        await pair.connect()
        (media,) = pair.inputs
        assert pair.answer is not None
        candidates = [line.split() for line in pair.answer.splitlines() if line.startswith("a=candidate:")]
        forged = [b"\x80", b"\x80\x60", b"\x80\x60" + bytes(60), b"\x80\xc8" + bytes(60), b"\xbf" * 1400, bytes(60_000)]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outsider:
            for _, _, _, _, address, port, *_ in candidates:
                for datagram in forged if ":" not in address else []:
                    outsider.sendto(datagram, (address, int(port)))
        media.rtp.clear()
        media.rtcp.clear()
        media.arrived.clear()
        await media.arrived.wait()
        sources = {struct.unpack_from("!I", packet, 8)[0] for packet in media.rtp}
        assert 0 not in sources
        assert 0xBFBFBFBF not in sources
        assert all(packet[1] == 200 for packet in media.rtcp)


@given(st.lists(st.binary(min_size=12, max_size=1600), max_size=6))
@examples(100)
def test_decrypting_in_one_call_gives_what_the_library_gives(payloads: list[bytes]) -> None:
    """The law: what was protected comes out as `Session.unprotect` gives it, once; all else is None."""
    key = bytes(range(30))
    policy = {"key": key, "srtp_profile": pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80}
    sender, theirs, ours = (
        pylibsrtp.Session(pylibsrtp.Policy(ssrc_type=kind, **policy))
        for kind in (pylibsrtp.Policy.SSRC_ANY_OUTBOUND, *[pylibsrtp.Policy.SSRC_ANY_INBOUND] * 2)
    )
    unprotect = srtp.decrypter(ours, lambda *_: None)
    del ours  # what unprotects keeps alive what it needs
    gc.collect(0)
    for number, payload in enumerate(payloads):
        packet = struct.pack("!BBHII", 0x80, 96, number, 0, 1) + payload
        protected = sender.protect(packet) if len(packet) < 1300 else packet + bytes(200)
        try:
            expected: bytes | None = theirs.unprotect(protected)
        except (pylibsrtp.Error, ValueError):
            expected = None
        assert unprotect(protected) == expected
        assert unprotect(protected) is None  # replayed
        assert unprotect(payload) is None  # never protected


async def test_a_path_is_probed_and_every_datagram_on_it_is_a_sign_of_life() -> None:
    async with Pair() as pair, asyncio.timeout(LIMIT_S):
        await pair.connect()
        peer = pair.peer
        (transport,) = peer._alive_ns
        assert await path.probe(transport)
        peer._alive_ns[transport] = 0
        await peer.probe()
        assert 0 < peer.alive_ns <= time.monotonic_ns()
        protocol = transport.transport._connection._nominated[1].protocol
        vars(protocol)["send_stun"] = lambda message, addr: None
        assert not await path.probe(transport)
    assert not await path.probe(transport)  # closed


async def test_a_jump_of_sequence_numbers_is_recovered_and_logged() -> None:
    """The same over a connection: the key of the phone's packets is the one that DTLS agreed on."""
    async with Pair(audio=False) as pair, asyncio.timeout(LIMIT_S):
        await pair.connect()
        (media,) = pair.inputs
        await media.arrived.wait()
        transport = pair.sender.getSenders()[0].transport
        send, jump = transport._send_rtp, 100_000

        async def send_shifted(data: bytes) -> None:
            if not 192 <= data[1] <= 223:
                data = data[:2] + ((int.from_bytes(data[2:4]) + jump) & 0xFFFF).to_bytes(2) + data[4:]
            await send(data)

        number = int.from_bytes(media.rtp[-1][2:4])
        for step in range(500, jump, 20_000):  # packets of which none arrives
            lost = struct.pack("!BBHI", 0x80, 96, (number + step) & 0xFFFF, 0) + media.rtp[-1][8:12]
            transport._tx_srtp.protect(lost + b"lost")
        hooks.shadow(transport, "_send_rtp", send_shifted)
        assert "accepted again" in await pair.problems.get()
        media.rtp.clear()
        media.arrived.clear()
        await media.arrived.wait()
        assert media.refused
        assert pair.peer.refused_since_ns(time.monotonic_ns()) is None


async def test_a_loop_that_cannot_watch_sockets_connects_and_ignores_strangers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Windows' default loop."""

    def cannot(*_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(asyncio.get_running_loop(), "add_reader", cannot)
    async with Pair() as pair, asyncio.timeout(LIMIT_S):
        await pair.connect()
        connection: Any = pair.peer._connection.getTransceivers()[0].receiver.transport.transport._connection
        assert connection._protocols
        for protocol in connection._protocols:
            assert isinstance(protocol, hardening.StunProtocol)
            assert not isinstance(protocol.transport, UdpTransport)
            protocol.datagram_received(CLOSE_NOTIFY, ("192.0.2.1", 9))
        await pair.inputs[0].arrived.wait()


def test_a_turn_transport_keeps_its_socket_under_the_expected_name() -> None:
    client: Any = object()
    assert turn.TurnTransport(client)._TurnTransport__inner_protocol is client  # type: ignore[attr-defined]
