"""The conversation with the signaling server, from its first frame to its end, without sockets and clocks.

    (WebSocket) → open → connect → authorize → start → init → offer ⇄ answer, candidates … → close

Pass each frame to `receive`, and the time to `poll` no later than `deadline`. After each call, send what
`frames_to_send` returns and handle the `events`. Both calls raise the SignalingError that ends the conversation; then
close the WebSocket. Everything here is [seen], in public clients that have run against the service.
"""

import enum
import logging
from collections import deque
from dataclasses import replace
from typing import Any, Final

from streamer.bounded import RateLimit
from streamer.errors import (
    DeviceTokenError,
    SignalingClosedError,
    SignalingProtocolError,
    SignalingRefusedError,
    SignalingTimeoutError,
)
from streamer.protocol_constants import AUTHORIZE_INVALID_TOKEN, AUTHORIZE_OK, AUTHORIZE_TOKEN_EXPIRED
from streamer.signaling import engineio, socketio
from streamer.signaling.messages import (
    Authorized,
    Event,
    Offer,
    SignalingRequest,
    Started,
    close_error,
    init_message,
    parse_candidate,
    parse_payload,
)

_logger = logging.getLogger("streamer.signaling")

HANDSHAKE_TIMEOUT_S: Final = 5.0  # for the server's first frames, and for `authorize`
START_TIMEOUT_S: Final = 5.0  # [seen]
OFFER_TIMEOUT_S: Final = 15.0  # [seen]

MESSAGE_LIMIT: Final = 1024 * 1024  # bytes; the server's own limit, too
SDP_LIMIT: Final = 256 * 1024
OFFERS_PER_MINUTE: Final = 30  # each is a negotiation; a phone that turns often makes a few
CANDIDATE_LIMIT: Final = 4096
EVENTS_LIMIT: Final = 256  # events that wait to be taken; one more is a protocol error: no phone sends so many

MALFORMED_PER_MINUTE: Final = 60  # frames that cannot be understood
ECHO_LIMIT: Final = 128  # characters of a ping that are sent back


class _State(enum.Enum):
    """What the conversation waits for, as in `SignalingTimeoutError.step`."""

    OPEN = "open"
    CONNECT = "connect"
    AUTHORIZE = "authorize"
    START = "start"
    OFFER = "offer"
    CLOSE = "close"


_OVERDUE: Final = {
    _State.OPEN: "the Engine.IO open packet",
    _State.CONNECT: "the Socket.IO connect packet",
    _State.AUTHORIZE: "the authorize reply",
    _State.START: "the start reply",
    _State.OFFER: "the phone's offer",
}


class Conversation:
    """One conversation. Call `poll` no later than `deadline`, in seconds of the clock of `now`."""

    def __init__(self, request: SignalingRequest, now: float) -> None:
        self._request = request
        self._state = _State.OPEN
        self._state_deadline: float | None = now + HANDSHAKE_TIMEOUT_S
        self._heartbeat: engineio.Heartbeat | None = None
        self._stream_id = ""
        self._outgoing: list[str] = []
        self._events: list[Event] = []
        self._offered: deque[float] = deque(maxlen=OFFERS_PER_MINUTE)  # when the latest offers came
        self._binary: tuple[socketio.SocketPacket, list[bytes]] | None = None
        self._malformed = RateLimit(items_per_s=MALFORMED_PER_MINUTE / 60, bytes_per_s=0, burst_s=60)

    @property
    def deadline(self) -> float | None:
        """When `poll` is due; None if it is not."""
        deadlines = (self._state_deadline, self._heartbeat.deadline if self._heartbeat else None)
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def frames_to_send(self) -> list[str]:
        """Return the text frames to send, each once."""
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def events(self) -> list[Event]:
        """Return the events since the last call."""
        happened, self._events = self._events, []
        return happened

    def receive(self, frame: str | bytes, now: float) -> None:
        """Take a frame from the server. Raises the SignalingError that ends the conversation.

        Malformed frames are ignored, up to MALFORMED_PER_MINUTE. Before the handshake one ends the conversation: the
        server may speak another protocol.
        """
        if len(frame) > MESSAGE_LIMIT:
            raise SignalingProtocolError(f"expected messages of at most {MESSAGE_LIMIT} bytes, got {len(frame)}")
        try:
            packet = self._parse(frame, now)
        except SignalingProtocolError as error:
            if self._state is _State.OPEN:
                raise
            self._skip(str(error))
            if not self._malformed.take(0, now):
                raise SignalingProtocolError(
                    f"expected at most {MALFORMED_PER_MINUTE} malformed frames a minute, got more: {error}"
                ) from error
        else:
            if packet is not None:
                self._receive_packet(packet, now)

    def _parse(self, frame: str | bytes, now: float) -> socketio.SocketPacket | None:
        """Return the Socket.IO packet that a frame completes, if any. Raises SignalingProtocolError."""
        if isinstance(frame, bytes):
            return self._parse_attachment(frame)
        packet_type, rest = engineio.split(frame)
        match packet_type:
            case engineio.OPEN:
                self._heartbeat = engineio.Heartbeat(engineio.parse_handshake(rest), now)
                if self._state is _State.OPEN:
                    self._wait_for(_State.CONNECT, now + HANDSHAKE_TIMEOUT_S)
            case engineio.CLOSE:
                raise SignalingClosedError("the signaling server closed the conversation (Engine.IO close)")
            case engineio.PING:
                self._outgoing.append(engineio.PONG + rest[:ECHO_LIMIT])
            case engineio.PONG:
                if self._heartbeat:
                    self._heartbeat.pong(now)
            case engineio.MESSAGE:
                return self._parse_message(rest)
            case _:
                pass  # noop, or an upgrade, which has no meaning on a WebSocket
        return None

    def _parse_message(self, text: str) -> socketio.SocketPacket | None:
        packet = socketio.decode(text)
        if self._binary is not None:
            self._binary = None
            self._skip("a binary event without its attachments")
        if packet.attachments:  # of any type: its binary frames follow
            self._binary = (packet, [])
            return None
        return packet

    def poll(self, now: float) -> None:
        """Do what is due. Raises SignalingTimeoutError if an answer is overdue."""
        if self._heartbeat:
            match self._heartbeat.poll(now):
                case "ping":
                    self._outgoing.append(engineio.PING)
                case "dead":
                    raise SignalingTimeoutError("the signaling server stopped answering pings", step="pong")
        if self._state_deadline is not None and now >= self._state_deadline:
            raise SignalingTimeoutError(f"timed out waiting for {_OVERDUE[self._state]}", step=self._state.value)

    def send_answer(self, sdp: str) -> None:
        """Answer the phone's offer."""
        self._send_message("answer", {"type": "answer", "sdp": sdp})

    def send_candidate(self, candidate: str, sdp_mid: str, sdp_mline_index: int) -> None:
        """Send the phone one of our candidates; it is passed without a prefix."""
        payload = {"label": sdp_mline_index, "id": sdp_mid, "candidate": f"candidate:{candidate}"}
        self._send_message("candidate", payload)

    def _wait_for(self, state: _State, deadline: float | None) -> None:
        self._state, self._state_deadline = state, deadline

    def _happened(self, event: Event) -> None:
        if len(self._events) >= EVENTS_LIMIT:
            raise SignalingProtocolError(f"the signaling server sent more than {EVENTS_LIMIT} events at once")
        self._events.append(event)

    def _parse_attachment(self, frame: bytes) -> socketio.SocketPacket | None:
        if self._binary is None or frame[:1] != bytes((engineio.BINARY_MESSAGE,)):
            raise SignalingProtocolError("expected a binary frame only after a binary event, got one without")
        packet, attachments = self._binary
        attachments.append(frame[1:])
        if len(attachments) < packet.attachments and sum(map(len, attachments)) <= MESSAGE_LIMIT:
            return None
        self._binary = None
        if sum(map(len, attachments)) > MESSAGE_LIMIT:
            raise SignalingProtocolError(
                f"expected an event of at most {MESSAGE_LIMIT} bytes with attachments, got more"
            )
        return replace(packet, attachments=0, data=socketio.attach(packet.data, attachments))

    def _receive_packet(self, packet: socketio.SocketPacket, now: float) -> None:
        if packet.namespace != "/":
            self._skip("a packet of another namespace")
            return
        match packet.type:
            case socketio.CONNECT:
                if self._state is _State.CONNECT:
                    self._wait_for(_State.AUTHORIZE, now + HANDSHAKE_TIMEOUT_S)
            case socketio.DISCONNECT:
                raise SignalingClosedError("the signaling server closed the conversation (Socket.IO disconnect)")
            case socketio.ERROR:
                said = self._request.shown(packet.data) or "no reason given"
                # Before the connection it is a refusal by the server's middleware.
                is_later = self._state not in {_State.OPEN, _State.CONNECT}
                raise SignalingRefusedError(f"the signaling server refused the connection: {said}", retryable=is_later)
            case socketio.EVENT | socketio.BINARY_EVENT:
                self._receive_event(packet.data, now)
            case _:
                self._skip("an acknowledgement of nothing")

    def _receive_event(self, data: list[Any], now: float) -> None:
        name, payload = data[0], data[1] if len(data) > 1 else None
        _logger.debug("< %s", self._request.shown(name))
        match name:
            case "authorize":
                self._on_authorize(payload, now)
            case "start":
                self._on_start(payload, now)
            case "message":
                self._on_message(payload, now)
            case "close":
                raise close_error(payload, self._request)

    def _on_authorize(self, payload: Any, now: float) -> None:
        if self._state is not _State.AUTHORIZE:
            self._skip("authorize, out of turn")
            return
        reply = payload if isinstance(payload, dict) else {}
        code = reply.get("code")
        if reply.get("authorized") is not True or code not in (AUTHORIZE_OK, None):
            meaning = {AUTHORIZE_INVALID_TOKEN: "it is invalid", AUTHORIZE_TOKEN_EXPIRED: "it has expired"}
            reason = meaning.get(code, "no reason given") if isinstance(code, int) else "no reason given"
            raise DeviceTokenError(
                f"the signaling server did not accept the device token: {reason} (code {self._request.shown(code)})",
                code=code if isinstance(code, int) else None,
            )
        self._happened(Authorized())
        self._outgoing.append(
            socketio.encode_event("start", {"room": self._request.device_id, "times": self._request.times})
        )
        self._wait_for(_State.START, now + START_TIMEOUT_S)

    def _on_start(self, payload: Any, now: float) -> None:
        if self._state is not _State.START:
            self._skip("start, out of turn")
            return
        reply = payload if isinstance(payload, dict) else {}
        stream_id, code = reply.get("streamId"), reply.get("code")
        if not isinstance(stream_id, str | int) or stream_id == "":
            said = self._request.shown(reply.get("message")) or "no reason given"
            raise SignalingRefusedError(
                f"the signaling server did not start the stream: {said} (code {self._request.shown(code)})",
                code=code if isinstance(code, int) else None,
                retryable=True,
            )
        self._stream_id = str(stream_id)
        self._happened(Started())
        init = init_message(self._request, stream_id, reply.get("vcodec"))
        self._outgoing.append(socketio.encode_event("message", init))
        self._wait_for(_State.OFFER, now + OFFER_TIMEOUT_S)

    def _on_message(self, message: Any, now: float) -> None:
        payload = parse_payload(message)
        match message.get("type") if isinstance(message, dict) else None:
            case "offer" if isinstance(payload, dict) and isinstance(payload.get("sdp"), str):
                self._on_offer(payload["sdp"], now)
            case "candidate" if isinstance(payload, dict):
                self._on_candidate(payload)
            case "close" | "bye":
                raise close_error(payload, self._request)
            case _:
                self._skip("a message of an unknown type, or without a payload")

    def _on_offer(self, sdp: str, now: float) -> None:
        if len(sdp) > SDP_LIMIT:
            raise SignalingProtocolError(f"expected an offer of at most {SDP_LIMIT} bytes, got {len(sdp)}")
        if len(self._offered) == OFFERS_PER_MINUTE and now - self._offered[0] < 60:
            raise SignalingProtocolError(f"expected at most {OFFERS_PER_MINUTE} offers a minute, got more")
        self._offered.append(now)
        if self._state is _State.OFFER:
            self._wait_for(_State.CLOSE, None)
        self._happened(Offer(sdp))

    def _on_candidate(self, payload: dict[str, Any]) -> None:
        candidate = parse_candidate(payload, CANDIDATE_LIMIT)
        if candidate is None:
            self._skip("a malformed candidate")
        else:
            self._happened(candidate)

    def _send_message(self, kind: str, payload: dict[str, Any]) -> None:
        _logger.debug("> message %s", kind)
        message = {"to": self._stream_id, "type": kind, "payload": payload}
        self._outgoing.append(socketio.encode_event("message", message))

    def _skip(self, what: str) -> None:
        _logger.debug("< skipped %s", what)
