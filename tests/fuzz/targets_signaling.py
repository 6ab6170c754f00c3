"""Targets of signaling: what a server says."""

import contextlib

from streamer.errors import SignalingError, SignalingProtocolError
from streamer.secret import Secret
from streamer.signaling import engineio, socketio
from streamer.signaling.conversation import EVENTS_LIMIT, Conversation
from streamer.signaling.messages import SignalingRequest
from tests.fuzz.inputs import SECRET, SEPARATOR, texts


def engine_io(data: bytes) -> None:
    """Frames → packet types, the handshake, the heartbeat."""
    for text in texts(data):
        with contextlib.suppress(SignalingProtocolError):
            packet_type, rest = engineio.split(text)
            assert packet_type + rest == text
            heartbeat = engineio.Heartbeat(engineio.parse_handshake(rest), now=0.0)
            assert 0 < heartbeat.deadline <= 3600
            assert heartbeat.poll(heartbeat.deadline) == "ping"
            assert heartbeat.poll(heartbeat.deadline) == "dead"


def socket_io(data: bytes) -> None:
    """Packets → their parts; binary attachments in the place of their placeholders."""
    for text in texts(data):
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
