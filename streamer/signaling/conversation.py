"""The conversation with the signaling server, from its first frame to its end, without sockets and clocks.

    (WebSocket) → open → connect → authorize → start → init → offer ⇄ answer, candidates … → close

Feed each frame to `receive` and the time to `poll`, no later than `deadline`; after each, send what `frames_to_send`
returns and look at `events`. Both raise the SignalingError that ends the conversation; afterwards there is nothing more
to do but close the WebSocket. Everything here is [seen], in public clients that have run against the service.
"""

import base64
import binascii
import logging
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias
from urllib.parse import quote, urlencode

import msgspec

from streamer.bounded import RateLimit
from streamer.errors import (
    ConfigurationError,
    DeviceTokenError,
    SignalingClosedError,
    SignalingProtocolError,
    SignalingRefusedError,
    SignalingTimeoutError,
    TakenOverError,
)
from streamer.foreign import ForeignText, UnreadableJsonError, decode_json, parse_url, without_secrets
from streamer.secret import Secret
from streamer.signaling import engineio, socketio
from streamer.wire import (
    AUTHORIZE_INVALID_TOKEN,
    AUTHORIZE_OK,
    AUTHORIZE_TOKEN_EXPIRED,
    CLOSE_BROWSER_FAILED,
    CLOSE_BROWSER_UNSUPPORTED,
    CLOSE_CONNECT_TIMEOUT,
    CLOSE_IDLE,
    CLOSE_NO_MEDIA,
    CLOSE_TAKEN_OVER,
    CLOSE_TRIAL_OVER,
    CLOSE_UNKNOWN,
    CLOSE_USER_LEFT,
    CLOSE_USER_MOVED,
    CLOSE_WRONG_TOKEN,
    SOCKETIO_PATH,
)

_logger = logging.getLogger("streamer.signaling")

HANDSHAKE_TIMEOUT_S: Final = 5.0  # for the server's first frames, and for `authorize`
START_TIMEOUT_S: Final = 5.0  # [seen]
OFFER_TIMEOUT_S: Final = 15.0  # [seen]

MESSAGE_LIMIT: Final = 1024 * 1024  # bytes; the server's own limit, too
SDP_LIMIT: Final = 256 * 1024
OFFERS_PER_MINUTE: Final = 30  # each is a negotiation; a phone that turns often makes a few
CANDIDATE_LIMIT: Final = 4096
EVENTS_LIMIT: Final = 256  # events that nobody took; one more is a protocol error: no phone sends so many

MALFORMED_PER_MINUTE: Final = 60  # frames that cannot be understood
ECHO_LIMIT: Final = 128  # characters of a ping's that are sent back

_SCHEMES: Final = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_CLOSE_REASONS: Final[Mapping[int, tuple[str, bool]]] = {  # the vendor's JavaScript SDK codes [doc] → worth another try
    CLOSE_CONNECT_TIMEOUT: ("connecting took too long", True),
    CLOSE_BROWSER_UNSUPPORTED: ("the client is not supported", False),
    CLOSE_BROWSER_FAILED: ("the client is not supported", False),
    CLOSE_TRIAL_OVER: ("the trial time is over", False),
    CLOSE_USER_LEFT: ("the user left", False),
    CLOSE_IDLE: ("nothing was done on the phone for too long", False),
    CLOSE_NO_MEDIA: ("no media arrived in time", True),
    CLOSE_USER_MOVED: ("the user moved to another phone", False),
    CLOSE_UNKNOWN: ("an unknown error", True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalingRequest:
    """What a conversation needs to know. `times` counts reconnects; `volume` is 0 to 100; `profile` a quality level."""

    signaling_url: str = field(repr=False)  # may hold a user, a password or a token
    device_id: str
    device_token: Secret
    streaming_id: str
    client_uuid: str
    times: int = 0
    volume: int = 100
    profile: int = 2


@dataclass(frozen=True, slots=True)
class Authorized:
    """The server accepted the device token."""


@dataclass(frozen=True, slots=True)
class Started:
    """The server started the stream; `vcodec` is its word for the codec, if it said one."""

    stream_id: str
    vcodec: str | int | None


@dataclass(frozen=True, slots=True)
class Offer:
    """The phone's offer: the first, or a later one."""

    sdp: str


@dataclass(frozen=True, slots=True)
class RemoteCandidate:
    """A candidate of the phone's, without any prefix; empty at the end of its candidates. May come before the offer."""

    candidate: str
    sdp_mid: str | None
    sdp_mline_index: int | None


@dataclass(frozen=True, slots=True)
class Notice:
    """An event that asks for nothing: `providerUpdate`, or one that is not known here."""

    name: str
    data: Any


Event: TypeAlias = Authorized | Started | Offer | RemoteCandidate | Notice


def websocket_url(request: SignalingRequest) -> Secret:
    """Return the WebSocket's URL. It carries the device token: it must not be logged.

    Raises ConfigurationError if the signaling URL is not one of http, https, ws or wss.
    """
    parts = parse_url(request.signaling_url, _SCHEMES)
    if parts is None:
        raise ConfigurationError(
            f"expected a signaling URL with http or https, got '{without_secrets(request.signaling_url)}'"
        )
    scheme = _SCHEMES[parts.scheme]
    token = request.device_token.reveal()
    query = urlencode(
        {
            "EIO": "3",
            "transport": "websocket",
            "authtype": "token",
            "boxid": request.device_id,
            "token": token,
            "sessionid": token,
            "streamingid": request.streaming_id,
        },
        quote_via=quote,
        safe="",
    )
    return Secret(f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}{SOCKETIO_PATH}?{query}")


class Conversation:
    """One conversation. `deadline` is when `poll` wants to be called next, in the clock of `now` (seconds)."""

    def __init__(self, request: SignalingRequest, now: float) -> None:
        self.skipped = 0  # messages that made no sense, inside an otherwise fine conversation
        self._request = request
        self._step = "open"  # what is waited for
        self._step_deadline: float | None = now + HANDSHAKE_TIMEOUT_S
        self._heartbeat: engineio.Heartbeat | None = None
        self._stream_id = ""
        self._outgoing: list[str] = []
        self._events: deque[Event] = deque()
        self._offered: deque[float] = deque(maxlen=OFFERS_PER_MINUTE)  # when the latest offers came
        self._binary: tuple[socketio.SocketPacket, list[bytes]] | None = None
        self._malformed = RateLimit(items_per_s=MALFORMED_PER_MINUTE / 60, bytes_per_s=0, burst_s=60)

    @property
    def deadline(self) -> float | None:
        """When `poll` is due; None if nothing is waited for."""
        deadlines = (self._step_deadline, self._heartbeat.deadline if self._heartbeat else None)
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def frames_to_send(self) -> list[str]:
        """Return the text frames to send, and forget them."""
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def events(self) -> list[Event]:
        """Return what happened since the last call."""
        happened = list(self._events)
        self._events.clear()
        return happened

    def receive(self, frame: str | bytes, now: float) -> None:
        """Take a frame from the server. Raises the SignalingError that ends the conversation.

        A frame that cannot be understood changes nothing and is counted, up to MALFORMED_PER_MINUTE. Before the
        handshake it ends the conversation, because the server may speak something else.
        """
        if len(frame) > MESSAGE_LIMIT:
            raise SignalingProtocolError(f"expected messages of at most {MESSAGE_LIMIT} bytes, got {len(frame)}")
        try:
            packet = self._parse(frame, now)
        except SignalingProtocolError as error:
            if self._step == "open":
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
        """Return the Socket.IO packet that a frame completes, if it does. Raises SignalingProtocolError."""
        if isinstance(frame, bytes):
            return self._parse_attachment(frame)
        packet_type, rest = engineio.split(frame)
        match packet_type:
            case engineio.OPEN:
                self._heartbeat = engineio.Heartbeat(engineio.parse_handshake(rest), now)
                if self._step == "open":
                    self._wait_for("connect", now + HANDSHAKE_TIMEOUT_S)
            case engineio.CLOSE:
                raise SignalingClosedError("the server closed the conversation (Engine.IO close)")
            case engineio.PING:
                self._outgoing.append(engineio.PONG + rest[:ECHO_LIMIT])
            case engineio.PONG:
                if self._heartbeat:
                    self._heartbeat.pong(now)
            case engineio.MESSAGE:
                return self._parse_message(rest)
            case _:
                pass  # noop; an upgrade makes no sense on a WebSocket
        return None

    def _parse_message(self, text: str) -> socketio.SocketPacket | None:
        packet = socketio.decode(text)
        if self._binary is not None:
            self._binary = None
            self._skip("a binary event without its attachments")
        if packet.attachments:  # whatever it is for: its binary frames follow
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
                    raise SignalingTimeoutError("the signaling server no longer answers pings", step="pong")
        if self._step_deadline is not None and now >= self._step_deadline:
            waited_for = {
                "open": "greet (Engine.IO open)",
                "connect": "connect (Socket.IO connect)",
                "authorize": "say whether the device token is good",
                "start": "start the stream",
                "offer": "pass on an offer of the phone's",
            }[self._step]
            raise SignalingTimeoutError(f"the signaling server did not {waited_for} in time", step=self._step)

    def send_answer(self, sdp: str) -> None:
        """Answer the phone's offer."""
        self._send_message("answer", {"type": "answer", "sdp": sdp})

    def send_candidate(self, candidate: str, sdp_mid: str, sdp_mline_index: int) -> None:
        """Tell the phone one of our candidates, without any prefix."""
        payload = {"label": sdp_mline_index, "id": sdp_mid, "candidate": f"candidate:{candidate}"}
        self._send_message("candidate", payload)

    def _wait_for(self, step: str, deadline: float | None) -> None:
        self._step, self._step_deadline = step, deadline

    def _happened(self, event: Event) -> None:
        if len(self._events) >= EVENTS_LIMIT:
            raise SignalingProtocolError(f"the signaling server sent more than {EVENTS_LIMIT} events at once")
        self._events.append(event)

    def _parse_attachment(self, frame: bytes) -> socketio.SocketPacket | None:
        if self._binary is None or frame[:1] != bytes((engineio.BINARY_MESSAGE,)):
            raise SignalingProtocolError("expected no binary frame, or one that a binary event announced")
        packet, attachments = self._binary
        attachments.append(frame[1:])
        if len(attachments) < packet.attachments and sum(map(len, attachments)) <= MESSAGE_LIMIT:
            return None
        self._binary = None
        if sum(map(len, attachments)) > MESSAGE_LIMIT:
            raise SignalingProtocolError(f"expected an event of at most {MESSAGE_LIMIT} bytes with its attachments")
        return replace(packet, attachments=0, data=socketio.attach(packet.data, attachments))

    def _receive_packet(self, packet: socketio.SocketPacket, now: float) -> None:
        if packet.namespace != "/":
            self._skip("a packet of another namespace")
            return
        match packet.type:
            case socketio.CONNECT:
                if self._step == "connect":
                    self._wait_for("authorize", now + HANDSHAKE_TIMEOUT_S)
            case socketio.DISCONNECT:
                raise SignalingClosedError("the server closed the conversation (Socket.IO disconnect)")
            case socketio.ERROR:
                said = self._shown(packet.data) or "no reason given"
                # Before the connection is there, it is a refusal by the server's middleware.
                is_later = self._step not in {"open", "connect"}
                raise SignalingRefusedError(f"the signaling server refused: {said}", retryable=is_later)
            case socketio.EVENT | socketio.BINARY_EVENT:
                self._receive_event(packet.data, now)
            case _:
                self._skip("an acknowledgement of nothing")

    def _receive_event(self, data: list[Any], now: float) -> None:
        name, payload = data[0], data[1] if len(data) > 1 else None
        _logger.debug("< %s", self._shown(name))
        match name:
            case "authorize":
                self._on_authorize(payload, now)
            case "start":
                self._on_start(payload, now)
            case "message":
                self._on_message(payload, now)
            case "close":
                raise self._closed(payload)
            case _:
                self._happened(Notice(name, payload))

    def _on_authorize(self, payload: Any, now: float) -> None:
        if self._step != "authorize":
            self._skip("authorize, out of turn")
            return
        code = payload.get("code") if isinstance(payload, dict) else None
        accepted = payload.get("authorized") if isinstance(payload, dict) else None
        if accepted is not True or code not in (AUTHORIZE_OK, None):
            meaning = {AUTHORIZE_INVALID_TOKEN: "it is invalid", AUTHORIZE_TOKEN_EXPIRED: "it has expired"}
            reason = meaning.get(code, "no reason given") if isinstance(code, int) else "no reason given"
            raise DeviceTokenError(
                f"the signaling server did not accept the device token: {reason} (code {self._shown(code)})",
                code=code if isinstance(code, int) else None,
            )
        self._happened(Authorized())
        self._outgoing.append(
            socketio.encode_event("start", {"room": self._request.device_id, "times": self._request.times})
        )
        self._wait_for("start", now + START_TIMEOUT_S)

    def _on_start(self, payload: Any, now: float) -> None:
        if self._step != "start":
            self._skip("start, out of turn")
            return
        stream_id = payload.get("streamId") if isinstance(payload, dict) else None
        if not isinstance(stream_id, str | int) or stream_id == "":
            code = payload.get("code") if isinstance(payload, dict) else None
            said = payload.get("message") if isinstance(payload, dict) else None
            raise SignalingRefusedError(
                f"the signaling server did not start the stream: {self._shown(said) or 'no reason given'} "
                f"(code {self._shown(code)})",
                code=code if isinstance(code, int) else None,
                retryable=True,
            )
        self._stream_id = str(stream_id)
        vcodec = payload.get("vcodec")
        vcodec = vcodec if isinstance(vcodec, str | int) else None
        self._happened(Started(self._stream_id, vcodec))
        encoded = base64.b64encode(msgspec.json.encode(self._init(vcodec))).decode()
        self._outgoing.append(socketio.encode_event("message", {"to": stream_id, "type": "init", "data": encoded}))
        self._wait_for("offer", now + OFFER_TIMEOUT_S)

    def _init(self, vcodec: str | int | None) -> dict[str, Any]:
        request = self._request
        return {
            "sole": True,
            "mode": "app",
            "role": "master",
            "profile_name": "master",
            "network_type": "wifi",
            "profile": request.profile,
            "volume": request.volume,
            "vcodec": vcodec,
            "venctype": 0,
            "frame_aspect": "16:9",
            "keeping_time": 60,
            "user_agent": "koophone-streamer",
            "client_version": "1.0.0",
            "uuid": request.client_uuid,
            "sessionid": request.device_token.reveal(),
            "streamingid": request.streaming_id,
            "room_session": "",
        }

    def _on_message(self, message: Any, now: float) -> None:
        payload = _payload(message)
        match message.get("type") if isinstance(message, dict) else None:
            case "offer" if isinstance(payload, dict) and isinstance(payload.get("sdp"), str):
                self._on_offer(payload["sdp"], now)
            case "candidate" if isinstance(payload, dict):
                self._on_candidate(payload)
            case "close" | "bye":
                raise self._closed(payload)
            case _:
                self._skip("a message of an unknown type, or without a payload")

    def _on_offer(self, sdp: str, now: float) -> None:
        if len(sdp) > SDP_LIMIT:
            raise SignalingProtocolError(f"expected an offer of at most {SDP_LIMIT} bytes, got {len(sdp)}")
        if len(self._offered) == OFFERS_PER_MINUTE and now - self._offered[0] < 60:
            raise SignalingProtocolError(f"expected at most {OFFERS_PER_MINUTE} offers a minute, got more")
        self._offered.append(now)
        if self._step == "offer":
            self._wait_for("close", None)
        self._happened(Offer(sdp))

    def _on_candidate(self, payload: dict[str, Any]) -> None:
        candidate, mid, index = payload.get("candidate"), payload.get("id"), payload.get("label")
        if candidate is None:
            candidate = ""
        if not isinstance(candidate, str) or len(candidate) > CANDIDATE_LIMIT:
            self._skip("a candidate that is none")
            return
        text = candidate.strip().removeprefix("a=").removeprefix("candidate:")
        self._happened(
            RemoteCandidate(
                text,
                str(mid) if isinstance(mid, str | int) and not isinstance(mid, bool) else None,
                index if isinstance(index, int) and not isinstance(index, bool) else None,
            )
        )

    def _send_message(self, kind: str, payload: dict[str, Any]) -> None:
        _logger.debug("> message %s", kind)
        message = {"to": self._stream_id, "type": kind, "payload": payload}
        self._outgoing.append(socketio.encode_event("message", message))

    def _skip(self, what: str) -> None:
        self.skipped += 1
        _logger.debug("< skipped %s", what)

    def _closed(self, payload: Any) -> SignalingClosedError | DeviceTokenError:
        """Return the error for a close event; its reason is a code, maybe with more text behind a separator [seen]."""
        reasons = [payload.get("reason"), payload.get("code")] if isinstance(payload, dict) else [payload]
        code = next((code for code in map(_code, reasons) if code is not None), None)
        reason = next((reason for reason in reasons if self._shown(reason)), None)
        if code == CLOSE_TAKEN_OVER:
            return TakenOverError("another device took the phone over (close code 1402)")
        if code == CLOSE_WRONG_TOKEN:
            return DeviceTokenError(
                "the instance id is wrong or the device token has expired (close code 1415)", code=code
            )
        if code is not None and code in _CLOSE_REASONS:
            text, retryable = _CLOSE_REASONS[code]
            return SignalingClosedError(
                f"the phone ended the stream: {text} (close code {code})",
                code=code,
                retryable=retryable,
                by_phone=True,
            )
        return SignalingClosedError(
            f"the phone ended the stream: {self._shown(reason) or 'no reason given'}", code=code, by_phone=True
        )

    def _shown(self, value: Any) -> str:
        """Return a short, printable form of what a peer sent, never with our token in it; only of text and numbers."""
        if not isinstance(value, str | int | float):
            return ""
        token = self._request.device_token.reveal()
        text = str(value)
        for form in (token, quote(token, safe="")):  # a server may echo its request line
            text = text.replace(form, "***")
        return str(ForeignText(text))


def _code(value: Any) -> int | None:
    """Return the number that a close reason is, or begins with; maybe more text follows behind a separator [seen]."""
    match = re.match(r"\s*(\d{1,9})(?!\d)", str(value)) if isinstance(value, str | int | float) else None
    return int(match[1]) if match else None


def _payload(message: Any) -> Any:
    """Return a message's `payload`, or the JSON that its `data` holds in base64 [seen]; None if neither is usable."""
    if not isinstance(message, dict):
        return None
    if message.get("payload") is not None:
        return message["payload"]
    data = message.get("data")
    if isinstance(data, str):
        data = data.encode("ascii", "replace")
    if not isinstance(data, bytes):
        return data
    try:
        return decode_json(base64.b64decode(data, validate=True))
    except (binascii.Error, UnreadableJsonError):
        return None
