"""What may come over the network, given to each parser that sees it.

The law of all targets: any bytes give events, units or the documented error, within the documented bounds. A target
takes bytes, and raises only if its parser breaks the law. Texts are cut at 0x1E, packets have their length before them.
"""

import asyncio
import base64
import contextlib
import hmac
import io
import json
import struct
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, Final, Never
from unittest.mock import patch

import av
from aioice import Candidate, ice
from aioice.stun import Class, Message, Method, TransactionError
from aiortc import RTCDataChannel, RTCDataChannelParameters, rtcsctptransport
from aiortc.sdp import candidate_from_sdp
from google_crc32c import value as crc32c

from streamer.cloud.encoding import UnreadableBodyError, decode_body
from streamer.cloud.http import BODY_LIMIT
from streamer.cloud.models import check_reply, parse_ticket
from streamer.emulator.faults import Faults
from streamer.emulator.media import EncodedTrack
from streamer.emulator.peer import PhonePeer
from streamer.errors import (
    CloudError,
    ConfigurationError,
    ConnectionFailedError,
    RecordingError,
    SignalingError,
    SignalingProtocolError,
)
from streamer.media.access_unit import AccessUnit
from streamer.media.codecs.depacketizer import MAX_UNIT_BYTES, MalformedPayload
from streamer.media.codecs.depacketizer_choice import depacketizer_for
from streamer.media.codecs.frame_reordering import Reordering
from streamer.media.codecs.nal import sprop
from streamer.media.codecs.parameter_sets import SequenceSet, h264_sequence_set, h265_sequence_set
from streamer.media.recording.containers import FRAGMENT_S, MATROSKA, MP4, MPEG_TS, WEBM
from streamer.media.recording.mp4 import video_sample
from streamer.media.recording.muxers import open_media
from streamer.media.rtp.feedback import RetransmissionRequests
from streamer.media.rtp.jitter_buffer import CAPACITY
from streamer.media.rtp.packet import find_extension, parse_rtp, unwrap_rtx
from streamer.media.rtp.receiver import Receiver
from streamer.media.rtp.rtcp import parse_rtcp
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
from streamer.rtc.ice import parse_ice_servers, usable_candidate
from streamer.rtc.peer import Peer
from streamer.rtc.sdp import Negotiation
from streamer.secret import Secret
from streamer.signaling import engineio, socketio
from streamer.signaling.conversation import EVENTS_LIMIT, Conversation
from streamer.signaling.messages import SignalingRequest, websocket_url
from streamer.tracks import Codec, Track
from streamer.untrusted_text import SHOWN_LIMIT, UntrustedText, without_secrets

SEPARATOR: Final = b"\x1e"
SECRET: Final = "a-secret-of-the-fuzzer"  # what no error may show, though the other side may say it
_ICE_PASSWORD: Final = "aPasswordOf22Characters"
_VIDEO_CODECS: Final = ("h264", "h265", "vp8", "vp9", "av1")
_FEEDBACK: Final = frozenset({"nack", "nack pli", "ccm fir", "transport-cc", "goog-remb"})


def engine_io(data: bytes) -> None:
    """Frames → packet types, the handshake, the heartbeat."""
    for text in _texts(data):
        with contextlib.suppress(SignalingProtocolError):
            packet_type, rest = engineio.split(text)
            assert packet_type + rest == text
            heartbeat = engineio.Heartbeat(engineio.parse_handshake(rest), now=0.0)
            assert 0 < heartbeat.deadline <= 3600
            assert heartbeat.poll(heartbeat.deadline) == "ping"
            assert heartbeat.poll(heartbeat.deadline) == "dead"


def socket_io(data: bytes) -> None:
    """Packets → their parts; binary attachments in the place of their placeholders."""
    for text in _texts(data):
        with contextlib.suppress(SignalingProtocolError):
            packet = socketio.decode(text)
            assert packet.attachments <= socketio.MAX_ATTACHMENTS
            if packet.type in {socketio.EVENT, socketio.BINARY_EVENT}:
                assert isinstance(packet.data[0], str)
            socketio.attach(packet.data, [b"attachment"] * packet.attachments)


def conversation(data: bytes) -> None:
    """Frames of a server, one after the other, and time that goes on between them."""
    request = SignalingRequest(
        signaling_url="http://host",
        device_id="box",
        device_token=Secret(SECRET),
        streaming_id="stream",
        client_uuid="uuid",
    )
    now = 0.0
    talking = Conversation(request, now)
    try:
        for frame in data.split(SEPARATOR):
            is_binary = frame[:1] == bytes((engineio.BINARY_MESSAGE,))
            talking.receive(frame if is_binary else frame.decode(errors="replace"), now)
            now += len(frame) % 8
            talking.poll(now)
            talking.frames_to_send()
            assert len(talking.events()) <= EVENTS_LIMIT
            assert talking.deadline is None or talking.deadline > now
    except SignalingError as error:
        assert SECRET not in str(error)


def sdp(data: bytes) -> None:
    """An offer → what aiortc gets, the tracks, and an answer made of anything, here of the offer itself."""
    text = data.decode(errors="replace")
    with contextlib.suppress(ConnectionFailedError):
        negotiation = Negotiation(text)
        assert any(track.kind == "video" for track in negotiation.tracks)
        for track in negotiation.tracks:
            for payload_type in track.codecs:
                Receiver([track], own_ssrc=1, cname="fuzz").receive([_rtp(payload_type, 0, 0, b"")], 0)
        negotiation.finish_answer(negotiation.offer)


def offer(data: bytes) -> None:
    """An offer and candidates → a real connection's answer."""
    asyncio.run(_answer(*_texts(data)))


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


def stun(data: bytes) -> None:
    """Datagrams that are not media, from anybody or signed as the phone signs: nothing is raised, and little kept."""
    asyncio.run(_check([*_packets(data)]))


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
    asyncio.run(_hear([content for _, content in _packets(data)]))


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
    asyncio.run(_associate(is_server=bool(data[:1] != b"\x00"), packets=[content for _, content in _packets(data[1:])]))


class _Wire:
    """What an SCTP association needs of a DTLS transport: here nobody hears what it says."""

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
    with patch.object(rtcsctptransport, "random32", return_value=1):
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
    asyncio.run(_take(*_texts(data)))


async def _take(sdp: str, *candidates: str) -> None:
    media: Any = SimpleNamespace(has_audio=True, request_keyframe=lambda: None, leave=lambda _: None)
    media.join = lambda kind: EncodedTrack(kind, media)
    phone = PhonePeer(
        media, faults=Faults(), host="127.0.0.1", announce_input=False, send=_unsent, on_input=lambda _: None
    )
    try:
        await phone.offer()
        await phone.take_answer(sdp)
        for candidate in candidates:
            await phone.take_candidate({"candidate": candidate, "id": "0", "label": 0})
    finally:
        await phone.close()


async def _unsent(*_: object) -> None:
    raise AssertionError("a peer's answer makes the phone send nothing by signaling")


def ice_candidate(data: bytes) -> None:
    """A candidate that is found usable is one that aiortc can read."""
    for line in _texts(data):
        if usable_candidate(line):
            assert candidate_from_sdp(line).port > 0


def ice_servers(data: bytes) -> None:
    """JSON that an auth reply might have → servers, and sentences without a password."""
    with contextlib.suppress(ValueError, RecursionError):
        entries = json.loads(data)
        if isinstance(entries, list):
            servers, problems = parse_ice_servers(entries)
            assert all(0 < server.port < 65536 and server.host for server in servers)
            assert all(problem.isprintable() and len(problem) < 1000 for problem in problems)
            assert SECRET not in "".join(map(repr, servers))


def http_body(data: bytes) -> None:
    """The Content-Encoding, the charset and the body, cut at 0x1E → at most so many bytes, or the documented error."""
    encodings, charset, body = ([*data.split(b"\x1e", 2), b"", b""])[:3]
    with contextlib.suppress(UnreadableBodyError):
        decoded = decode_body(
            body, encodings=encodings.decode("latin-1"), charset=charset.decode("latin-1") or None, limit=BODY_LIMIT
        )
        assert len(decoded) <= max(BODY_LIMIT, 3 * len(body))


def auth_reply(data: bytes) -> None:
    """The HTTP status in two bytes, then the body → a ticket that can be used, or an error without secrets."""
    status, body = 200 + int.from_bytes(data[:2]) % 400, data[2:]
    try:
        check_reply(body, status=status, request_id="1", hidden=SECRET)
        ticket = parse_ticket(body, "instance", status=status)
    except CloudError as error:
        assert SECRET not in str(error)
        return
    parse_ice_servers(ticket.ice_servers)
    request = SignalingRequest(
        signaling_url=ticket.signaling_url,
        device_id=ticket.device_id,
        device_token=ticket.device_token,
        streaming_id=ticket.streaming_id or "",
        client_uuid="uuid",
    )
    with contextlib.suppress(ConfigurationError):
        websocket_url(request)


def untrusted_text(data: bytes) -> None:
    """A text from outside → one bounded line; a URL → no user, password, query or fragment of it."""
    for text in (data.decode(errors="replace"), data.decode("utf-16-le", errors="replace")):
        shown = str(UntrustedText(text))
        assert shown.isprintable()
        assert len(shown) <= 10 * SHOWN_LIMIT + 1
        shown.encode()  # holds no lone surrogate
        url = without_secrets(f"https://user:{SECRET}@{text}?token={SECRET}#{SECRET}")
        assert url.isprintable()
        assert SECRET not in url


def rtp(data: bytes) -> None:
    """A datagram → a packet, its header extensions, and what it retransmits."""
    for wanted in range(16):
        element = find_extension(data, wanted)
        assert element is None or (1 <= len(element) <= 16 and element in data)
    packet = parse_rtp(data, 0)
    if packet is not None:
        assert len(packet.payload) <= len(data) - 12
        original = unwrap_rtx(packet, payload_type=96, ssrc=1)
        assert original is None or len(original.payload) == len(packet.payload) - 2


def rtcp(data: bytes) -> None:
    """A datagram → sender reports and goodbyes, not more than fit into it."""
    assert len(list(parse_rtcp(data))) <= len(data) / 4


def _depacketizer(codec: str) -> Callable[[bytes], None]:
    def depacketize(data: bytes) -> None:
        depacketizer = depacketizer_for(Codec(name=codec, clock_rate=90_000, parameters=_parameters(data)))
        taken = 0
        for length, payload in _packets(data):
            depacketizer.starts_unit(payload)
            depacketizer.goes_on(payload)
            try:
                depacketizer.add(payload)
                taken += len(payload)
                if length & 0x80:
                    taken = 0
                    finished = depacketizer.finish(may_recover=bool(length & 0x40))
                    assert depacketizer.is_empty
                    assert not depacketizer.may_be_whole
                    if finished is not None:
                        assert 0 < len(finished[0]) <= MAX_UNIT_BYTES + 65536
            except MalformedPayload:
                depacketizer.reset()
                assert depacketizer.is_empty

    return depacketize


def receiver(data: bytes) -> None:
    """Datagrams and times of any kind, and new negotiations in between: nothing is raised, and the bounds hold."""
    tracks = _tracks(data[0] if data else 0)
    made = Receiver(tracks, own_ssrc=1, cname="fuzz")
    now_ns, sequence_number, rtp_time = 10**12, 65_530, 4_294_960_000
    for kind, content in _packets(data[1:]):
        step = content[0] if content else 0
        now_ns += (step & 0x3F) << (step >> 6) * 10  # up to 63 ns, µs, ms or s
        match kind & 0x07:
            case 0:
                made.receive([content], now_ns)
            case 1 | 2 | 3:  # a packet that belongs to a stream, and may jump in it
                jump = content[1] if len(content) > 1 else 1
                sequence_number += 1 if jump < 128 else jump - 192
                rtp_time += 3000 if jump & 1 else 0
                marker, payload_type = kind & 0x80, (96, 97, 111, 98)[kind >> 3 & 0x03]
                packet = _rtp(marker | payload_type, sequence_number, rtp_time, content[2:], jump & 3 == 3)
                made.receive([packet], now_ns)
            case 4:
                made.receive_rtcp(content, now_ns)
            case 5:
                made.poll(now_ns)
            case 6:
                made.request_keyframe(now_ns)
            case _:
                made.set_tracks(_tracks(step))
        for _ in range(1 + CAPACITY // RetransmissionRequests.MAX_PER_MESSAGE):  # so many messages may be due at once
            if made.deadline_ns is not None and made.deadline_ns <= now_ns:
                made.poll(now_ns)
        assert made.deadline_ns is None or made.deadline_ns > now_ns, "the event loop would be kept busy"
        assert all(len(message) <= 9000 for message in made.take_rtcp())
        assert len(made._sources) <= 2
        for source in made._sources.values():
            assert len(source.buffer._held) + len(source.buffer.missing) <= CAPACITY
            assert source.buffer._budget.bytes == sum(len(packet.payload) for packet in source.buffer._held.values())
            source.report(now_ns)
    assert made.packets_lost >= 0
    assert made.jitter_s >= 0


def recording(data: bytes) -> None:
    """A keyframe that comes as anything → a file that can be written, or the error that says what cannot."""
    if not data:
        return
    codec, container = _VIDEO_CODECS[data[0] % 5], (MP4, MATROSKA, WEBM, MPEG_TS)[data[0] // 5 % 4]
    unit = AccessUnit(
        kind="video",
        codec=Codec(name=codec, clock_rate=90_000),
        data=data[1:],
        rtp_time=0,
        ssrc=1,
        is_keyframe=True,
        discontinuity=False,
        arrival_ns=0,
    )
    assert sum(map(len, video_sample(codec, unit.data))) <= 2 * len(unit.data) + 4
    if codec not in container.codecs:
        return
    with contextlib.suppress(RecordingError, OSError, av.FFmpegError):
        made = open_media(io.BytesIO(), container, unit, has_audio=False)
        try:
            made.write(unit, 0)
            made.flush(int(2e9 * FRAGMENT_S))
        finally:
            made.abandon()


def _texts(data: bytes) -> list[str]:
    return data.decode(errors="replace").split(SEPARATOR.decode())


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield each packet with the byte before it; then comes its length, of two bytes."""
    position = 0
    while position + 3 <= len(data):
        length = int.from_bytes(data[position + 1 : position + 3])
        yield data[position], data[position + 3 : position + 3 + length]
        position += 3 + length


def _parameters(data: bytes) -> dict[str, str]:
    """Return parameters of an SDP whose parameter sets are the first packet's bytes."""
    first = base64.b64encode(next(_packets(data), (0, b""))[1]).decode()
    assert all(isinstance(nal_unit, bytes) for nal_unit in sprop(first))
    return dict.fromkeys(("sprop-parameter-sets", "sprop-vps", "sprop-sps", "sprop-pps"), first)


def _rtp(second: int, sequence_number: int, rtp_time: int, payload: bytes, extended: bool = False) -> bytes:
    head = bytes((0x90 if extended else 0x80, second)) + (sequence_number & 0xFFFF).to_bytes(2)
    head += (rtp_time & 0xFFFFFFFF).to_bytes(4) + (0x1234).to_bytes(4)
    return head + (b"\xbe\xde\x00\x01\x31" + payload[:3] if extended and len(payload) > 2 else b"") + payload


def _tracks(choice: int) -> list[Track]:
    codec, other = _VIDEO_CODECS[choice % 5], _VIDEO_CODECS[choice // 5 % 5]
    video = Track(
        kind="video",
        mid="0",
        codecs={96: Codec(name=codec, clock_rate=90_000), 98: Codec(name=other, clock_rate=90_000)},
        rtx={97: 96} if choice & 1 else {},
        feedback=_FEEDBACK if choice & 2 else frozenset(),
        transport_cc_id=3 if choice & 4 else 0,
        abs_send_time_id=0 if choice & 4 else 3,
        reduced_size_rtcp=bool(choice & 8),
    )
    audio = Track(kind="audio", mid="1", codecs={111: Codec(name="opus", clock_rate=48_000, channels=2)})
    return [video, audio]


def parameter_sets(data: bytes) -> None:
    """Access units of H.264 and H.265 → the same for a decoder: an SPS stays as it is, or one that differs in order."""
    for codec, parse in (("h264", h264_sequence_set), ("h265", h265_sequence_set)):
        reordering = Reordering(codec)
        for kind, content in _packets(data):
            if kind & 1 and (known := parse(content)) is not None:
                for frames in (0, kind >> 4 if codec == "h264" else min(kind >> 4, 15)):
                    _check_sequence_set(known, parse, frames)
            reordering.add(content)
            prepared = reordering.prepared(content)
            assert len(prepared) <= len(content) + 64 * 64
            if reordering.can_delay and kind & 2:
                reordering.begin()


def _check_sequence_set(known: SequenceSet, parse: Callable[[bytes], SequenceSet | None], frames: int) -> None:
    written = known.with_reordering(frames)
    again = parse(written)
    assert again is not None
    assert again.reorder == frames
    assert (again.set_id, again.poc_bits, again.frame_num_bits) == (known.set_id, known.poc_bits, known.frame_num_bits)
    assert (again.has_fields, again.has_separate_planes) == (known.has_fields, known.has_separate_planes)
    assert (again._before, again._after) == (known._before, known._after)
    assert again.with_reordering(frames) == written
    if written != known.nal_unit:
        assert not any(pattern in written for pattern in (b"\0\0\0", b"\0\0\1", b"\0\0\2"))


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "engineio": engine_io,
    "socketio": socket_io,
    "conversation": conversation,
    "sdp": sdp,
    "offer": offer,
    "stun": stun,
    "turn": turn,
    "data_channels": data_channels,
    "candidate": ice_candidate,
    "ice_servers": ice_servers,
    "http_body": http_body,
    "auth_reply": auth_reply,
    "untrusted_text": untrusted_text,
    "phone_answer": phone_answer,
    "rtp": rtp,
    "rtcp": rtcp,
    **{codec: _depacketizer(codec) for codec in _VIDEO_CODECS},
    "parameter_sets": parameter_sets,
    "receiver": receiver,
    "recording": recording,
}
