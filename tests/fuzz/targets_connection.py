"""Targets of the connection: offers, answers and candidates; STUN, TURN and SCTP."""

import asyncio
import contextlib
import hmac
import struct
from types import SimpleNamespace
from typing import Any, Final, Never
from unittest.mock import patch

from aioice import Candidate, ice
from aioice.stun import Class, Message, Method, TransactionError
from aiortc import RTCDataChannel, RTCDataChannelParameters, rtcsctptransport
from aiortc.sdp import candidate_from_sdp
from google_crc32c import value as crc32c

from streamer.control.frames import parse_messages
from streamer.emulator.faults import Faults
from streamer.emulator.media import EncodedTrack
from streamer.emulator.peer import PhonePeer
from streamer.errors import ConnectionFailedError
from streamer.media.rtp.receiver import Receiver
from streamer.rtc._aiortc.gathering import TurnOverTcp, TurnOverUdp
from streamer.rtc._aiortc.hardening import (
    DATA_CHANNELS_LIMIT,
    DATA_PIECES_LIMIT,
    DATAGRAM_BYTES_LIMIT,
    DATAGRAMS_LIMIT,
    REMOTE_CANDIDATES_LIMIT,
    StunProtocol,
    guard_data,
    guard_ice,
)
from streamer.rtc.datagrams import is_dtls, is_srtp
from streamer.rtc.ice import usable_candidate
from streamer.rtc.peer import Peer
from streamer.rtc.sdp import Negotiation
from streamer.tracks import Track
from tests.fuzz.inputs import packets, rtp_packet, run, texts

_ICE_PASSWORD: Final = "aPasswordOf22Characters"


def sdp(data: bytes) -> None:
    """An offer → what aiortc gets, the tracks, and an answer made of anything, here of the offer itself."""
    text = data.decode(errors="replace")
    with contextlib.suppress(ConnectionFailedError):
        negotiation = Negotiation(text)
        assert any(track.kind == "video" for track in negotiation.tracks)
        for track in negotiation.tracks:
            for payload_type in track.codecs:
                Receiver([track], own_ssrc=1, cname="fuzz").receive([rtp_packet(payload_type, 0, 0, b"")], 0)
        negotiation.finish_answer(negotiation.offer)


def offer(data: bytes) -> None:
    """An offer and candidates → a real connection's answer."""
    run(_answer(*texts(data)))


async def _answer(text: str, *candidates: str) -> None:
    peer = Peer(
        ice_servers=(),
        loopback=["127.0.0.1"],
        make_input=_unused,
        on_candidate=lambda *_: None,
    )
    try:
        for candidate in candidates:
            await peer.add_candidate(candidate, None, 0)
        with contextlib.suppress(ConnectionFailedError):
            assert await peer.answer(text)
        for candidate in candidates:
            await peer.add_candidate(candidate, "0", None)
    finally:
        await peer.aclose()


def _unused(_: list[Track]) -> Never:
    raise AssertionError("no transport comes up without a peer")


def phone_messages(data: bytes) -> None:
    """A message on the data channel `input`: objects come out, and no more than frames fit in."""
    messages = list(parse_messages(data))
    assert all(isinstance(message, dict) for message in messages)
    assert len(messages) <= len(data) // 7


def stun(data: bytes) -> None:
    """Datagrams that are not media, from anybody or signed as the phone signs: nothing is raised, and little kept."""
    run(_check([*packets(data)]))


async def _check(datagrams: list[tuple[int, bytes]]) -> None:
    connection: Any = ice.Connection(ice_controlling=False, local_username="ours", local_password=_ICE_PASSWORD)
    connection.remote_username, connection.remote_password = "theirs", _ICE_PASSWORD
    connection._early_checks_done = True
    guard_ice(SimpleNamespace(transport=SimpleNamespace(_connection=connection)))  # type: ignore[arg-type]
    protocol = StunProtocol(connection)
    protocol.connection_made(_Nowhere(protocol))
    protocol.local_candidate = Candidate("1", 1, "udp", 1, "127.0.0.1", 9, "host")
    connection._protocols.append(protocol)
    connection._local_candidates.append(protocol.local_candidate)
    connection._local_candidates_end = True
    try:
        for kind, content in datagrams:
            signed = bytearray(content)
            if kind & 1 and len(content) >= 20:  # username and signature, with the lengths that they need
                user = b"ours:theirs"
                signed += struct.pack("!HH", 6, len(user)) + user + bytes(-len(user) % 4)
                signed[2:4] = struct.pack("!H", (len(signed) - 20 + 24) & 0xFFFF)
                mac = hmac.digest(_ICE_PASSWORD.encode(), bytes(signed), "sha1")
                signed += struct.pack("!HH", 8, 20) + mac
            protocol.datagram_received(bytes(signed), ("127.0.0.1", 1024 + (kind >> 1)))
            await asyncio.sleep(0)
            assert len(connection._remote_candidates) <= REMOTE_CANDIDATES_LIMIT
            assert connection._queue.qsize() <= DATAGRAMS_LIMIT
            waiting = [datagram for datagram, _ in connection._queue._queue]
            assert all((is_dtls(one) or is_srtp(one)) and len(one) <= DATAGRAM_BYTES_LIMIT for one in waiting)
    finally:
        await connection.close()


def turn(data: bytes) -> None:
    """What a TURN server says, over UDP and over TCP: nothing is raised, and no more kept than one message."""
    run(_hear([content for _, content in packets(data)]))


async def _hear(said: list[bytes]) -> None:
    for kind in (TurnOverUdp, TurnOverTcp):
        client: Any = kind(("127.0.0.1", 3478), username="u", password="p", lifetime=600, channel_refresh_time=500)
        client.connection_made(_Nowhere(client))
        client.receiver = asyncio.DatagramProtocol()
        client.channel_to_peer[0x4000] = peer = ("127.0.0.1", 9)
        client.peer_to_channel[peer] = 0x4000
        request = Message(Method.ALLOCATE, Class.REQUEST, transaction_id=bytes(12))
        asking = asyncio.create_task(client.request_with_retry(request))
        await asyncio.sleep(0)
        for piece in said:
            if kind is TurnOverTcp:
                client.data_received(piece)
                assert len(client.buffer) < 20 + 65_536
            else:
                client.datagram_received(piece, ("127.0.0.1", 3478))
            await asyncio.sleep(0)
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError, TransactionError):
            await asking


class _Nowhere(asyncio.DatagramTransport):
    """A socket to nobody."""

    def __init__(self, protocol: asyncio.DatagramProtocol) -> None:
        super().__init__()
        self._protocol = protocol

    def sendto(self, data: Any, addr: Any = None) -> None:
        pass

    def write(self, data: Any) -> None:
        pass

    def close(self) -> None:
        self._protocol.connection_lost(None)


def data_channels(data: bytes) -> None:
    """Our role in one byte, then SCTP packets from their first chunk on: channels within bounds, or closed for good."""
    run(_associate(is_server=bool(data[:1] != b"\x00"), packets=[content for _, content in packets(data[1:])]))


class _Wire:
    """What an SCTP association needs of a DTLS transport: here, what it sends goes nowhere."""

    state = "connected"

    def __init__(self, *, is_server: bool) -> None:
        self._role = "server" if is_server else "client"

    def _register_data_receiver(self, _: object) -> None:
        pass

    _unregister_data_receiver = _register_data_receiver

    async def _send_data(self, _: bytes) -> None:
        pass


async def _associate(*, is_server: bool, packets: list[bytes]) -> None:
    faults: list[str] = []
    # The same input does the same again: nothing is drawn by chance.
    with patch.object(rtcsctptransport, "random32", lambda: 1):
        sctp: Any = rtcsctptransport.RTCSctpTransport(_Wire(is_server=is_server))  # type: ignore[arg-type]
    guard_data(SimpleNamespace(sctp=sctp), faults.append)  # type: ignore[arg-type]
    RTCDataChannel(sctp, RTCDataChannelParameters(label="input", ordered=False, maxRetransmits=0))
    try:
        await sctp.start(None, 5000)
        for chunks in packets:
            tag = 0 if chunks[:1] == b"\x01" else sctp._local_verification_tag  # an INIT has none
            head = struct.pack("!HHL", 5000, 5000, tag)
            checksum = struct.pack("<L", crc32c(head + bytes(4) + chunks))
            await sctp._handle_data(head + checksum + chunks)
            assert len(faults) <= 1
            if faults:
                assert sctp.state == "closed"
                assert not sctp._data_channels
            else:
                assert len(sctp._data_channels) <= DATA_CHANNELS_LIMIT
                assert sum(len(stream.reassembly) for stream in sctp._inbound_streams.values()) <= DATA_PIECES_LIMIT
    finally:
        await sctp.stop()


def phone_answer(data: bytes) -> None:
    """A client's answer and candidates → the emulator's connection: nothing is raised."""
    run(_take(*texts(data)))


async def _take(sdp: str, *candidates: str) -> None:
    media: Any = SimpleNamespace(has_audio=True, request_keyframe=lambda: None, leave=lambda _: None)
    media.join = lambda kind: EncodedTrack(kind, media)
    phone = PhonePeer(media, faults=Faults(), host="127.0.0.1", announce_input=False, on_input=lambda _: None)
    try:
        await phone.offer()
        await phone.take_answer(sdp)
        for candidate in candidates:
            await phone.take_candidate({"candidate": candidate, "id": "0", "label": 0})
    finally:
        await phone.close()


def ice_candidate(data: bytes) -> None:
    """A candidate that is found usable is one that aiortc can read."""
    for line in texts(data):
        if usable_candidate(line):
            assert candidate_from_sdp(line).port > 0
