"""Socket.IO 2 packets (protocol revision 4): what follows Engine.IO's message type."""

import re
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from streamer.errors import SignalingProtocolError
from streamer.untrusted_text import UnreadableJsonError, decode_json

CONNECT, DISCONNECT, EVENT, ACK, ERROR, BINARY_EVENT, BINARY_ACK = "0123456"

MAX_ATTACHMENTS: Final = 16
MAX_DEPTH: Final = 64  # lists and objects inside one another, in an event with attachments

# type, attachments and a dash (binary types only), namespace and a comma, ack id, JSON
_PACKET: Final = re.compile(
    r"(?P<type>[0-6])(?:(?P<attachments>\d{1,9})-)?(?:(?P<namespace>/[^,\[{\"]*)(?:,|$))?(?P<ack>\d{1,15})?(?P<data>.*)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketPacket:
    """One packet. `data` is the decoded JSON: a list for events, usually text for errors, None if there is none."""

    type: str
    namespace: str = "/"
    ack_id: int | None = None
    attachments: int = 0  # binary frames that follow
    data: Any = None


def decode(text: str) -> SocketPacket:
    """Parse the text of an Engine.IO message. Raises SignalingProtocolError."""
    match = _PACKET.fullmatch(text)
    if match is None:
        raise SignalingProtocolError(f"expected a Socket.IO packet, got {text[:1]!r}")
    packet_type = match["type"]
    is_binary = packet_type in {BINARY_EVENT, BINARY_ACK}
    attachments = int(match["attachments"] or 0)
    if (match["attachments"] is not None) != is_binary or attachments > MAX_ATTACHMENTS:
        raise SignalingProtocolError(
            f"expected at most {MAX_ATTACHMENTS} attachments, in binary packets only, got others"
        )
    try:
        data = decode_json(match["data"]) if match["data"] else None
    except UnreadableJsonError as error:
        raise SignalingProtocolError(str(error)) from error
    if packet_type in {EVENT, BINARY_EVENT} and not (isinstance(data, list) and data and isinstance(data[0], str)):
        raise SignalingProtocolError("expected an event as a list that begins with its name, got something else")
    return SocketPacket(
        type=packet_type,
        namespace=match["namespace"] or "/",
        ack_id=int(match["ack"]) if match["ack"] else None,
        attachments=attachments,
        data=data,
    )


def attach(data: Any, attachments: list[bytes]) -> Any:
    """Return an event's data with its placeholders replaced by the binary frames.

    Raises SignalingProtocolError if the data is nested more deeply than MAX_DEPTH.
    """
    return _attached(data, attachments, MAX_DEPTH)


def _attached(data: Any, attachments: list[bytes], depth: int) -> Any:
    match data:
        case {"_placeholder": True, "num": int(number)} if 0 <= number < len(attachments):
            return attachments[number]
        case dict() | list() if not depth:
            raise SignalingProtocolError(f"expected at most {MAX_DEPTH} levels of nesting in a binary event, got more")
        case dict():
            return {name: _attached(value, attachments, depth - 1) for name, value in data.items()}
        case list():
            return [_attached(value, attachments, depth - 1) for value in data]
        case _:
            return data


def encode_event(name: str, *arguments: Any) -> str:
    """Return the text frame of an event in the default namespace, Engine.IO's message type included."""
    return "42" + msgspec.json.encode([name, *arguments]).decode()
