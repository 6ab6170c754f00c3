"""What the guards of `streamer.rtc._aiortc` do, against the installed libraries."""

import asyncio
import functools
import gc
import inspect
import ipaddress
import random
import socket
import struct
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Self, cast

import aioice
import pylibsrtp
import pytest
from aioice import stun, turn
from aiortc import (
    RTCCertificate,
    RTCConfiguration,
    RTCDataChannel,
    RTCDataChannelParameters,
    RTCDtlsTransport,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCSessionDescription,
)
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack
from aiortc.rtcsctptransport import SCTP_DATA_FIRST_FRAG, WEBRTC_BINARY, WEBRTC_DCEP, DataChunk, tsn_plus_one
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL.SSL import WantReadError

from streamer import hooks
from streamer.errors import ConnectionFailedError
from streamer.rtc._aiortc import gathering, hardening, path, srtp
from streamer.rtc._aiortc.srtp_transport import hook_receive
from streamer.rtc.ice import IceServer, parse_ice_servers, usable_candidate
from streamer.rtc.peer import INPUT_BYTES_LIMIT, Peer
from streamer.rtc.udp import UdpTransport
from streamer.tracks import Track
from tests.support.everywhere import HAS_IPV6
from tests.support.examples import examples

LIMIT_S = 60.0  # asyncio's debug mode on a busy machine takes its time
FATAL_ALERT = bytes.fromhex("15fefd000000000000000000020228")  # not encrypted (RFC 6347)
CLOSE_NOTIFY = bytes.fromhex("15fefd000000000000000000020100")


class Input:
    """Takes what arrives, and counts it."""

    def __init__(self, tracks: list[Track]) -> None:
        self.tracks = tracks
        self.rtp: list[bytes] = []
        self.rtcp: list[bytes] = []
        self.refused: list[bool] = []
        self.arrived = asyncio.Event()
        self.round_trips: asyncio.Queue[int] = asyncio.Queue()

    def open(self, send_rtcp: Any) -> None:
        self.send_rtcp = send_rtcp

    def set_tracks(self, tracks: list[Track]) -> None:
        self.tracks = tracks

    def on_rtp(self, packets: list[bytes], arrival_ns: int) -> None:
        self.rtp += [packet[:12] for packet in packets]
        if {data[1] & 0x7F for data in self.rtp} >= {96, 97} or len(self.rtp) > 20:
            self.arrived.set()

    def on_rtcp(self, packet: bytes, arrival_ns: int) -> None:
        self.rtcp.append(packet)

    def on_refused(self, *, is_duplicate: bool) -> None:
        self.refused.append(is_duplicate)

    def on_round_trip(self, round_trip_ns: int) -> None:
        self.round_trips.put_nowait(round_trip_ns)


class Pair:
    """A plain aiortc sender, and our peer that answers it."""

    def __init__(
        self, *, audio: bool = True, servers: list[IceServer] | None = None, loopback: Sequence[str] = ()
    ) -> None:
        self.sender = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.sender.addTrack(VideoStreamTrack())
        if audio:
            self.sender.addTrack(AudioStreamTrack())
        self.inputs: list[Input] = []
        self.answer: str | None = None
        self.candidates: asyncio.Queue[tuple[str, str, int]] = asyncio.Queue()
        self.input_opened = asyncio.Event()
        self.problems: asyncio.Queue[str] = asyncio.Queue()
        self.peer = Peer(
            ice_servers=servers or [],
            loopback=loopback,
            make_input=self._make_input,
            on_candidate=lambda *candidate: self.candidates.put_nowait(candidate),
            input_opened=self.input_opened,
            on_problem=self.problems.put_nowait,
        )

    def _make_input(self, tracks: list[Track]) -> Input:
        self.inputs.append(Input(tracks))
        return self.inputs[-1]

    async def offer(self) -> str:
        await self.sender.setLocalDescription(await self.sender.createOffer())
        return str(self.sender.localDescription.sdp)

    async def connect(self, offer: str | None = None) -> None:
        self.answer = await self.peer.answer(offer or await self.offer())
        await self.sender.setRemoteDescription(RTCSessionDescription(self.answer, "answer"))
        async with asyncio.timeout(LIMIT_S):
            await self.peer.connected.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.peer.aclose()
        await self.sender.close()


async def test_packets_arrive_decrypted_and_aiortc_decodes_nothing() -> None:
    async with Pair() as pair, asyncio.timeout(LIMIT_S):
        await pair.connect()
        (media,) = pair.inputs
        await media.arrived.wait()
        assert {packet[0] >> 6 for packet in media.rtp} == {2}
        assert not [thread.name for thread in threading.enumerate() if thread.name.endswith("-decoder")]
        assert [track.kind for track in media.tracks] == ["video", "audio"]


async def test_a_connection_does_not_wait_out_the_pace_of_its_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "CHECK_INTERVAL_S", 3600.0)

    def checking() -> list[asyncio.Task[Any]]:
        return [task for task in asyncio.all_tasks() if task.get_name() == "ICE checks"]

    async with Pair() as pair, asyncio.timeout(LIMIT_S):
        await pair.connect()
        assert len(checking()) == 1  # it sleeps, and nobody waits for it
    assert not checking()


async def test_checks_of_consent_tell_the_round_trip_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.1)
    async with Pair() as pair, asyncio.timeout(LIMIT_S):
        begin_ns = time.monotonic_ns()
        await pair.connect()
        (media,) = pair.inputs
        for _ in range(2):
            assert 0 < await media.round_trips.get() < time.monotonic_ns() - begin_ns


async def test_the_sender_hears_our_rtcp() -> None:
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


async def test_the_answer_is_there_before_a_server_that_never_answers_is_given_up() -> None:
    servers, _ = parse_ice_servers(
        ["stun:127.0.0.1:9", {"urls": "turn:127.0.0.1:9", "username": "u", "credential": "p"}]
    )
    async with Pair(servers=servers) as pair:
        answer = await pair.peer.answer(await pair.offer())
        assert "a=candidate:" in answer
        assert "a=end-of-candidates" not in answer
        assert not pair.peer.ice_problems


async def test_loopback_alone_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda use_ipv4, use_ipv6: [])
    async with Pair(audio=False) as pair:
        answer = await pair.peer.answer(await pair.offer())
    addresses = {line.split()[4] for line in answer.splitlines() if line.startswith("a=candidate:")}
    assert addresses == {"127.0.0.1"}


async def test_an_offer_without_mids_is_answered_without_them() -> None:
    async with Pair(audio=False) as pair:
        offer = "\r\n".join(
            line for line in (await pair.offer()).splitlines() if not line.startswith(("a=mid:", "a=group:BUNDLE"))
        )
        answer = await pair.peer.answer(offer + "\r\n")
    assert "a=mid" not in answer
    assert "BUNDLE" not in answer
    assert "m=video" in answer


@pytest.mark.parametrize("profile", ["4d001f", "640c1f", "42001f"])
async def test_any_profile_of_h264_is_accepted_as_it_was_offered(profile: str) -> None:
    async with Pair(audio=False) as pair:
        lines = []
        for line in (await pair.offer()).splitlines():
            if line.startswith("a=fmtp") and "profile-level-id" in line:
                head = line.split("profile-level-id=")[0]
                line = f"{head}profile-level-id={profile}"  # noqa: PLW2901
            lines.append(line)
        answer = await pair.peer.answer("\r\n".join(lines) + "\r\n")
    assert f"profile-level-id={profile}" in answer
    assert "nack pli" in answer


async def test_a_section_that_nobody_can_decode_is_refused_and_the_rest_goes_on() -> None:
    async with Pair() as pair:
        offer = (await pair.offer()).replace("opus/48000/2", "speex/16000")
        offer = "\r\n".join(line for line in offer.splitlines() if "PCM" not in line and "G722" not in line) + "\r\n"
        answer = await pair.peer.answer(offer)
    media = [line for line in answer.splitlines() if line.startswith("m=")]
    assert media[0].split()[1] != "0"
    assert media[1].startswith("m=audio 0 ")


@pytest.mark.parametrize(
    "offer", ["", "v=0", "nonsense", "v=0\r\nm=video\r\n", "v=0\r\ns=-\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n"]
)
async def test_an_offer_that_is_none_is_a_failed_negotiation(offer: str) -> None:
    async with Pair() as pair:
        with pytest.raises(ConnectionFailedError) as caught:
            await pair.peer.answer(offer)
    assert caught.value.stage == "negotiation"


async def test_a_later_offer_is_answered_while_media_goes_on() -> None:
    async with Pair() as pair, asyncio.timeout(LIMIT_S):
        await pair.connect()
        answer = await pair.peer.answer(await pair.offer())
        await pair.sender.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        (media,) = pair.inputs
        media.arrived.clear()
        await media.arrived.wait()


def test_ice_servers_come_in_three_shapes_and_with_faults() -> None:
    servers, problems = parse_ice_servers(
        [
            "stun:one.example?transport=udp",
            {"uri": "turn:two.example:99?transport=tcp", "usr": "u", "pwd": "p"},
            {"urls": ["turns:[2001:db8::1]", "stun:one.example"], "username": "v", "credential": "q"},
            None,
            7,
            {},
            "http://nobody:secret@three.example",
        ]
    )
    assert [str(server) for server in servers] == [
        "stun:one.example:3478?transport=udp",
        "turn:two.example:99?transport=tcp",
        "turns:[2001:db8::1]:5349?transport=tcp",
        "stun:one.example:3478?transport=udp",
    ]
    assert servers[1].password is not None
    assert servers[1].password.reveal() == "p"
    assert len(problems) == 4
    assert "secret" not in " ".join(problems)


def test_only_candidates_that_can_be_paired_are_used() -> None:
    assert usable_candidate("1 1 UDP 2 192.0.2.1 5 typ host")
    assert not usable_candidate("1 1 tcp 2 192.0.2.1 9 typ host tcptype active")
    assert not usable_candidate("1 1 udp 2 4b9f.local 5 typ host")
    assert not usable_candidate("nonsense")


# What each shadowed method does in a live connection


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


def open_sockets() -> int:
    descriptors = Path("/proc/self/fd")
    return sum(str(path.readlink()).startswith("socket:") for path in descriptors.iterdir() if path.is_symlink())


async def test_nothing_is_left_of_a_connection_that_was_closed() -> None:
    sockets = open_sockets()
    async with Pair() as pair, asyncio.timeout(LIMIT_S):
        await pair.connect()  # once, for what aiortc makes and keeps
    async with asyncio.timeout(LIMIT_S):
        while open_sockets() > sockets:
            await asyncio.sleep(0.01)
    tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
    async with Pair() as pair, asyncio.timeout(LIMIT_S):
        await pair.connect()
        await pair.inputs[0].arrived.wait()
        assert open_sockets() > sockets
    if left := asyncio.all_tasks() - tasks:
        assert not (await asyncio.wait(left, timeout=LIMIT_S))[1]
    deadline = time.monotonic() + LIMIT_S
    while open_sockets() > sockets and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    assert open_sockets() <= sockets
    assert set(threading.enumerate()) <= threads


@pytest.mark.parametrize("rounds", [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144])
async def test_a_connection_that_comes_up_may_be_closed_at_any_moment(rounds: int) -> None:
    """Whatever it leaves running, or lets fall into the loop, is found by the fixture that watches every test."""
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


async def test_other_connections_of_the_process_are_as_aiortc_made_them() -> None:
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


async def test_a_stranger_s_datagrams_neither_stop_the_media_nor_are_kept_nor_answered() -> None:
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


async def test_many_dtls_records_in_a_datagram_are_all_read() -> None:
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


async def test_what_does_not_authenticate_is_dropped_and_the_stream_goes_on() -> None:
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
def test_decrypting_in_one_call_is_as_decrypting_by_the_library(payloads: list[bytes]) -> None:
    """The law: what was protected comes out as `Session.unprotect` gives it, once; all else is None."""
    key = bytes(range(30))
    policy = {"key": key, "srtp_profile": pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80}
    sender, theirs, ours = (
        pylibsrtp.Session(pylibsrtp.Policy(ssrc_type=kind, **policy))
        for kind in (pylibsrtp.Policy.SSRC_ANY_OUTBOUND, *[pylibsrtp.Policy.SSRC_ANY_INBOUND] * 2)
    )
    unprotect = srtp.decrypter(ours, lambda *_: None)
    del ours  # what unprotects keeps alive what it needs
    gc.collect()
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


# Negotiation, live


async def test_an_offer_whose_audio_is_refused_connects_with_its_video() -> None:
    async with Pair(audio=False) as pair, asyncio.timeout(LIMIT_S):
        offer = await pair.offer()
        video = offer[offer.index("m=video") :]
        transport = [line for line in video.splitlines() if line.startswith(("c=", "a=ice-", "a=finger", "a=setup:"))]
        audio = ["m=audio 9 UDP/TLS/RTP/SAVPF 97", "a=mid:audio", "a=rtpmap:97 speex/16000", "a=rtcp-mux", *transport]
        answer = await pair.peer.answer(offer + "\r\n".join([*audio, ""]))
        # aiortc 1.16, as the offerer, takes no answer that refuses a section: it gets the one without.
        taken, refused = answer[: answer.index("m=audio")], answer[answer.index("m=audio") :]
        assert refused.startswith("m=audio 0 ")
        await pair.sender.setRemoteDescription(RTCSessionDescription(taken, "answer"))
        await pair.peer.connected.wait()
        (media,) = pair.inputs
        await media.arrived.wait()
        assert [track.kind for track in media.tracks] == ["video"]


async def test_the_phone_hears_of_our_input_channel_and_gets_what_is_sent() -> None:
    async with Pair(audio=False) as pair, asyncio.timeout(LIMIT_S):
        pair.sender.createDataChannel("status")
        announced: asyncio.Queue[RTCDataChannel] = asyncio.Queue()
        messages: asyncio.Queue[bytes] = asyncio.Queue()

        def on_channel(channel: RTCDataChannel) -> None:
            channel.on("message", messages.put_nowait)
            announced.put_nowait(channel)

        pair.sender.on("datachannel", on_channel)
        assert not pair.peer.send_input(b"too early")
        await pair.connect()
        channel = await announced.get()
        assert (channel.label, channel.ordered, channel.maxRetransmits) == ("input", False, 0)
        await pair.input_opened.wait()
        assert pair.peer.send_input(b"touch")
        assert await messages.get() == b"touch"


def open_many(sctp: Any) -> None:
    for number in range(hardening.DATA_CHANNELS_LIMIT + 1):
        parameters = RTCDataChannelParameters(label=f"channel {number}")
        RTCDataChannel(sctp, parameters)


async def send_pieces(sctp: Any, count: int, size: int, *, streams: int = 1, gap: int = 0) -> None:
    """Send pieces of messages without an end, past aiortc's own care for the other side's window."""
    for number in range(count):
        chunk = DataChunk()
        chunk.flags = SCTP_DATA_FIRST_FRAG if number < streams else 0
        chunk.tsn = tsn_plus_one((sctp._local_tsn + gap + number) % 2**32)
        chunk.stream_id, chunk.stream_seq, chunk.protocol = 2 + number % streams, 0, WEBRTC_BINARY
        chunk.user_data = bytes(size)
        await sctp._send_chunk(chunk)


async def open_nonsense(sctp: Any) -> None:
    await sctp._send(9, WEBRTC_DCEP, b"\x03\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\xff\xfe")


@pytest.mark.parametrize(
    ("exceed", "problem"),
    [
        (open_many, "expected at most 64 channels, got 65"),
        (functools.partial(send_pieces, count=300, size=2, streams=300), "expected at most 256 streams, got 257"),
        (functools.partial(send_pieces, count=600, size=1000), "expected at most 524288 bytes that make no whole mess"),
        (functools.partial(send_pieces, count=2100, size=1), "expected at most 2048 pieces that make no whole message"),
        (functools.partial(send_pieces, count=2100, size=0, gap=9), "expected at most 2048 pieces that make no whole "),
        (open_nonsense, "the phone sent something on them that makes no sense"),
    ],
)
async def test_data_channels_have_bounds_and_beyond_them_the_media_goes_on(
    exceed: Callable[[Any], Awaitable[None] | None], problem: str
) -> None:
    async with Pair(audio=False) as pair, asyncio.timeout(LIMIT_S):
        pair.sender.createDataChannel("status")
        await pair.connect()
        await pair.input_opened.wait()
        if doing := exceed(pair.sender.sctp):
            await doing
        assert (await pair.problems.get()).startswith(f"data channels closed: {problem}")
        assert not pair.peer.send_input(b"touch")
        (media,) = pair.inputs
        media.rtp.clear()
        media.arrived.clear()
        await media.arrived.wait()
        assert pair.problems.empty()
        assert pair.peer.state == "connected"


async def test_input_that_the_path_does_not_take_is_refused_and_not_queued() -> None:
    async with Pair(audio=False) as pair, asyncio.timeout(LIMIT_S):
        pair.sender.createDataChannel("status")
        await pair.connect()
        await pair.input_opened.wait()
        frame = bytes(1000)
        taken = 0
        while pair.peer.send_input(frame):  # the loop never runs in between
            taken += 1
        assert taken == INPUT_BYTES_LIMIT // len(frame)


async def test_no_candidate_is_an_error_whatever_it_says_before_the_offer_or_after() -> None:
    odd = [
        "",
        "nonsense",
        "candidate:1 1 udp 1 phone.example 5000 typ host",
        "candidate:1 1 udp 1 192.0.2.256 5000 typ host",
        "candidate:1 1 udp 1 192.0.2.2 99999 typ host",
        "candidate:1 9 udp 1 192.0.2.2 5000 typ host",
        "candidate:1 1 udp x 192.0.2.2 5000 typ host",
        "candidate:1 1 udp 1 192.0.2.2 5000 typ prflx",
        "candidate:1 1 udp 1 192.0.2.2 5000 typ srflx raddr x rport x",
        "candidate:1 1 tcp 1 192.0.2.2 9 typ host tcptype active",
        "candidate:1 1 udp 1 4b9f.local 5000 typ host",
    ]
    places = [("0", 0), (None, None), ("nowhere", 99), (None, 99), ("0", None)]
    async with Pair() as pair:
        for where in places:
            for candidate in odd:
                await pair.peer.add_candidate(candidate, *where)
        await pair.connect()
        for where in places:
            for candidate in odd:
                await pair.peer.add_candidate(candidate, *where)


async def test_an_offer_with_any_lines_missing_repeated_or_broken_is_answered_or_a_failed_negotiation() -> None:
    """The law: whatever was done to a few lines of an offer, nothing but ConnectionFailedError is raised."""
    async with Pair() as pair:
        pair.sender.createDataChannel("status")
        lines = (await pair.offer()).splitlines()
    answered = 0
    for seed in range(200):
        chance = random.Random(seed)
        changed = list(lines)
        for _ in range(chance.randint(1, 3)):
            place = chance.randrange(len(changed))
            line = changed[place]
            cut = chance.randint(0, len(line))
            changed[place : place + 1] = chance.choice(
                [[], [line, line], [line[:cut]], [line[:cut] + "x" + line[cut:]]]
            )
        async with Pair() as pair:
            try:
                answer = await pair.peer.answer("\r\n".join(changed) + "\r\n")
            except ConnectionFailedError as error:
                assert error.stage == "negotiation"  # noqa: PT017 - one of two outcomes
            else:
                answered += 1
                assert answer.startswith("v=0")
    assert 40 < answered < 200


# Servers


@asynccontextmanager
async def stun_server(
    reply: Callable[[bytes, tuple[str, int]], bytes], host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[str]:
    """Run a server that answers each request with `reply`; give its address and port, as in a URL."""

    class Server(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            self.transport.sendto(reply(data, addr), addr)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Server, local_addr=(host, port))
    try:
        yield f"{f'[{host}]' if ':' in host else host}:{transport.get_extra_info('sockname')[1]}"
    finally:
        transport.close()


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def message(kind: int, request: bytes, *attributes: bytes) -> bytes:
    """Return a STUN message (RFC 8489 section 5) with the transaction of `request`."""
    body = b"".join(attributes)
    return struct.pack("!HH", kind, len(body)) + request[4:20] + body


def tell_address(request: bytes, client: tuple[str, int]) -> bytes:
    """Answer that the client's address is 198.51.100.7 or 2001:db8::7, port 4242 (RFC 8489 section 14.2)."""
    family, seen = (2, "2001:db8::7") if ":" in client[0] else (1, "198.51.100.7")
    address = bytes(a ^ b for a, b in zip(ipaddress.ip_address(seen).packed, request[4:], strict=False))
    return message(0x0101, request, attribute(0x0020, struct.pack("!BBH", 0, family, 4242 ^ 0x2112) + address))


LOOPBACKS: Final = ("127.0.0.1", "::1")
needs_ipv6 = pytest.mark.skipif(not HAS_IPV6, reason="this machine has no loopback by IPv6 (::1)")


@pytest.mark.parametrize(
    ("host", "seen"), [("127.0.0.1", "198.51.100.7"), pytest.param("::1", "2001:db8::7", marks=needs_ipv6)]
)
async def test_what_a_stun_server_says_is_trickled(host: str, seen: str) -> None:
    async with stun_server(tell_address, host) as address, asyncio.timeout(LIMIT_S):
        servers, _ = parse_ice_servers([f"stun:{address}"])
        async with Pair(servers=servers, loopback=LOOPBACKS) as pair:
            answer = await pair.peer.answer(await pair.offer())
            assert seen not in answer
            line, mid, index = await pair.candidates.get()
            assert line.split()[4:8] == [seen, "4242", "typ", "srflx"]
            assert (mid, index) == ("0", 0)


def both_families_of(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a name resolve to both loopback addresses."""
    resolve = socket.getaddrinfo

    def resolve_both(host: Any, *arguments: Any, **options: Any) -> Any:
        return [
            found for one in (LOOPBACKS if host == name else [host]) for found in resolve(one, *arguments, **options)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve_both)


@needs_ipv6
async def test_a_stun_server_whose_name_has_both_families_is_asked_by_both(monkeypatch: pytest.MonkeyPatch) -> None:
    both_families_of("stun.example", monkeypatch)
    async with stun_server(tell_address) as address, asyncio.timeout(LIMIT_S):
        port = int(address.rpartition(":")[2])
        async with stun_server(tell_address, "::1", port):
            servers, _ = parse_ice_servers([f"stun:stun.example:{port}"])
            async with Pair(servers=servers, loopback=LOOPBACKS) as pair:
                await pair.peer.answer(await pair.offer())
                seen = {(await pair.candidates.get())[0].split()[4] for _ in range(2)}
                assert seen == {"198.51.100.7", "2001:db8::7"}
                assert not pair.peer.ice_problems


@needs_ipv6
async def test_a_stun_server_that_answers_by_one_family_alone_is_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "SERVER_TIMEOUT_S", 0.5)
    both_families_of("stun.example", monkeypatch)
    async with stun_server(tell_address) as address, asyncio.timeout(LIMIT_S):
        servers, _ = parse_ice_servers([f"stun:stun.example:{address.rpartition(':')[2]}"])
        async with Pair(servers=servers, loopback=LOOPBACKS) as pair:
            await pair.peer.answer(await pair.offer())
            (made,) = pair.peer._gatherings.values()
            await asyncio.wait([task for task in made._tasks if task.get_name().startswith("ask ")])
            assert (await pair.candidates.get())[0].split()[4] == "198.51.100.7"
            assert not pair.peer.ice_problems


async def test_a_server_of_a_family_that_this_machine_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: [])
    servers, _ = parse_ice_servers(["stun:[2001:db8::1]:3478"])
    async with Pair(servers=servers, loopback=["127.0.0.1"]) as pair, asyncio.timeout(LIMIT_S):
        await pair.peer.answer(await pair.offer())
        while not pair.peer.ice_problems:
            await asyncio.sleep(0.01)
        assert pair.peer.ice_problems == [
            "stun:[2001:db8::1]:3478?transport=udp: this machine has no address that could reach 2001:db8::1"
        ]


@needs_ipv6
async def test_a_server_that_refuses_by_one_family_and_is_silent_by_the_other_refuses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gathering, "SERVER_TIMEOUT_S", 1.0)
    both_families_of("turn.example", monkeypatch)

    def refuse(request: bytes, _: tuple[str, int]) -> bytes:
        return message(0x0113, request, attribute(0x0009, b"\x00\x00\x04\x03Forbidden"))

    async with stun_server(refuse) as address, asyncio.timeout(LIMIT_S):
        port = int(address.rpartition(":")[2])
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as silent:
            silent.bind(("::1", port))
            servers, _ = parse_ice_servers([f"turn:turn.example:{port}"])
            async with Pair(servers=servers, loopback=LOOPBACKS) as pair:
                await pair.peer.answer(await pair.offer())
                assert (await pair.problems.get()).endswith(": refused: STUN transaction failed (403 - Forbidden)")


@pytest.mark.parametrize("url", ["stun:{}", "turn:{}"])
async def test_a_server_that_refuses_is_told_in_a_sentence_without_its_password(url: str) -> None:
    def refuse(request: bytes, _: tuple[str, int]) -> bytes:
        kind = 0x0110 | int.from_bytes(request[:2])
        code = attribute(0x0009, b"\x00\x00\x04\x01Unauthorized")
        return message(kind, request, code, attribute(0x0014, b"realm"), attribute(0x0015, b"nonce"))

    async with stun_server(refuse) as address, asyncio.timeout(LIMIT_S):
        for credentials in ({}, {"username": "u", "credential": "hunter2"}):
            servers, _ = parse_ice_servers([{"urls": url.format(address)} | credentials])
            async with Pair(servers=servers, loopback=["127.0.0.1"]) as pair:
                await pair.peer.answer(await pair.offer())
                while not pair.peer.ice_problems:
                    await asyncio.sleep(0.01)
                (problem,) = pair.peer.ice_problems
                assert problem.startswith(f"{url.format(address)}?transport=udp: ")
                assert "hunter2" not in problem


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_what_a_turn_server_says_without_sense_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, transport: str
) -> None:
    def say(request: bytes, _: tuple[str, int]) -> bytes:
        return message(0x0113, request, attribute(0x0024, b"\x01"))  # a number of one byte

    async def say_over_tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.read(1000):
            writer.write(2 * say(request, ("", 0)))
        writer.close()

    monkeypatch.setattr(gathering, "SERVER_TIMEOUT_S", 0.7)
    async with (
        asyncio.timeout(LIMIT_S),
        stun_server(say) as by_udp,
        await asyncio.start_server(say_over_tcp, "127.0.0.1", 0) as server,
    ):
        by_tcp = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        url = f"turn:{by_udp if transport == 'udp' else by_tcp}?transport={transport}"
        servers, _ = parse_ice_servers([{"urls": url, "username": "u", "credential": "p"}])
        async with Pair(servers=servers, loopback=["127.0.0.1"]) as pair:
            await pair.peer.answer(await pair.offer())
            assert await pair.problems.get() == f"{url}: no answer"


async def test_a_server_that_never_answers_is_told_after_the_answer_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "SERVER_TIMEOUT_S", 0.3)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        servers, _ = parse_ice_servers([f"stun:127.0.0.1:{silent.getsockname()[1]}"])
        async with Pair(servers=servers, loopback=["127.0.0.1"]) as pair, asyncio.timeout(LIMIT_S):
            await pair.peer.answer(await pair.offer())
            assert not pair.peer.ice_problems
            while not pair.peer.ice_problems:
                await asyncio.sleep(0.01)
            assert "no answer" in pair.peer.ice_problems[0]


async def test_a_path_is_probed_and_what_comes_over_it_is_a_sign_of_life() -> None:
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


async def test_a_second_video_section_of_a_later_offer_is_refused_and_named() -> None:
    """Its packets would be told apart from the first one's by nothing but their SSRC."""
    async with Pair() as pair, asyncio.timeout(LIMIT_S):
        await pair.connect()
        (media,) = pair.inputs
        await media.arrived.wait()
        pair.sender.addTrack(VideoStreamTrack())
        offer = await pair.offer()
        answer = await pair.peer.answer(offer)  # aiortc takes no answer that refuses a section
        assert [section.split()[1] != "0" for section in answer.split("m=")[1:]] == [True, True, False]
        assert [track.kind for track in media.tracks] == ["video", "audio"]
        assert "more than one video or audio section" in await pair.problems.get()
        assert await pair.peer.answer(offer)
        assert pair.problems.empty()  # named once


async def test_offers_cannot_make_aiortc_keep_ever_more_sections() -> None:
    async with Pair() as pair, asyncio.timeout(LIMIT_S):
        offer = await pair.offer()
        await pair.connect(offer)
        with pytest.raises(ConnectionFailedError, match="at most 64 different media sections"):
            for number in range(64):
                await pair.peer.answer(offer.replace("a=mid:1", f"a=mid:x{number}"))


async def test_a_jump_of_packet_numbers_is_healed_and_named() -> None:
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


async def test_a_loop_that_cannot_watch_sockets_connects_and_hears_no_strangers(
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


def test_a_relay_keeps_the_socket_that_it_is_reached_by_under_a_known_name() -> None:
    client: Any = object()
    assert turn.TurnTransport(client)._TurnTransport__inner_protocol is client  # type: ignore[attr-defined]
