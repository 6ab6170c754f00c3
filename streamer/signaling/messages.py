"""The contents of a conversation [seen]: the request, the URL, the events, and the messages."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
from urllib.parse import quote, urlencode

import msgspec

from streamer.errors import ConfigurationError, DeviceTokenError, SignalingClosedError, TakenOverError
from streamer.protocol_constants import (
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
from streamer.secret import Secret
from streamer.untrusted_text import UnreadableJsonError, UntrustedText, decode_json, parse_url, without_secrets

_SCHEMES: Final = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_PROFILE: Final = 2  # a quality level [seen]
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
    """The parameters of a conversation. `times` counts reconnects; `volume` is 0 to 100."""

    signaling_url: str = field(repr=False)  # may hold a user, a password or a token
    device_id: str
    device_token: Secret
    streaming_id: str
    client_uuid: str
    times: int = 0
    volume: int = 100

    def shown(self, value: Any) -> str:
        """Return a short, printable form of a peer's text or number, without the token; empty for other types."""
        if not isinstance(value, str | int | float):
            return ""
        token = self.device_token.reveal()
        text = str(value)
        for form in (token, quote(token, safe="")):  # a server may echo its request line
            text = text.replace(form, "***")
        return str(UntrustedText(text))


@dataclass(frozen=True, slots=True)
class Authorized:
    """The server accepted the device token."""


@dataclass(frozen=True, slots=True)
class Started:
    """The server started the stream."""


@dataclass(frozen=True, slots=True)
class Offer:
    """The phone's offer: the first, or a later one."""

    sdp: str


@dataclass(frozen=True, slots=True)
class RemoteCandidate:
    """A candidate of the phone, without a prefix; empty after its last one. It may come before the offer."""

    candidate: str
    sdp_mid: str | None
    sdp_mline_index: int | None


Event: TypeAlias = Authorized | Started | Offer | RemoteCandidate


def websocket_url(request: SignalingRequest) -> Secret:
    """Return the WebSocket's URL. It has the device token, so never log it.

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


def init_message(request: SignalingRequest, stream_id: str | int, vcodec: Any) -> dict[str, Any]:
    """Return the `init` message, which requests an offer from the phone; `vcodec` is the server's name of the codec."""
    init = {
        "sole": True,
        "mode": "app",
        "role": "master",
        "profile_name": "master",
        "network_type": "wifi",
        "profile": _PROFILE,
        "volume": request.volume,
        "vcodec": vcodec if isinstance(vcodec, str | int) else None,
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
    return {"to": stream_id, "type": "init", "data": base64.b64encode(msgspec.json.encode(init)).decode()}


def parse_payload(message: Any) -> Any:
    """Return a message's `payload`, or the JSON in its base64 `data` [seen]; None if neither is usable."""
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


def parse_candidate(payload: Mapping[str, Any], limit: int) -> RemoteCandidate | None:
    """Return the candidate of a `candidate` message; None if it is not one, or longer than `limit`."""
    candidate, mid, index = payload.get("candidate"), payload.get("id"), payload.get("label")
    if candidate is None:
        candidate = ""
    if not isinstance(candidate, str) or len(candidate) > limit:
        return None
    return RemoteCandidate(
        candidate.strip().removeprefix("a=").removeprefix("candidate:"),
        str(mid) if isinstance(mid, str | int) and not isinstance(mid, bool) else None,
        index if isinstance(index, int) and not isinstance(index, bool) else None,
    )


def close_error(payload: Any, request: SignalingRequest) -> SignalingClosedError | DeviceTokenError:
    """Return the error for a close event. Its reason is a code; text may follow after a separator [seen]."""
    reasons = [payload.get("reason"), payload.get("code")] if isinstance(payload, dict) else [payload]
    code = next((code for code in map(_code, reasons) if code is not None), None)
    if code == CLOSE_TAKEN_OVER:
        return TakenOverError(
            "another device or program took the phone over (close code 1402): a phone serves one connection at a time, "
            "so end the other one, then connect again"
        )
    if code == CLOSE_WRONG_TOKEN:
        return DeviceTokenError("the instance id is wrong or the device token has expired (close code 1415)", code=code)
    if code is not None and code in _CLOSE_REASONS:
        text, retryable = _CLOSE_REASONS[code]
        return SignalingClosedError(
            f"the phone ended the stream: {text} (close code {code})",
            code=code,
            retryable=retryable,
            by_phone=True,
        )
    said = next(filter(None, map(request.shown, reasons)), "no reason given")
    return SignalingClosedError(f"the phone ended the stream: {said}", code=code, by_phone=True)


def _code(value: Any) -> int | None:
    """Return the number at the beginning of a close reason."""
    match = re.match(r"\s*(\d{1,9})(?!\d)", str(value)) if isinstance(value, str | int | float) else None
    return int(match[1]) if match else None
