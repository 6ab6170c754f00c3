"""Engine.IO protocol 3 over WebSocket: the first character of a frame, the handshake, and the heartbeat."""

from typing import Final, Literal, NamedTuple

import msgspec

from streamer.errors import SignalingProtocolError
from streamer.untrusted_text import UnreadableJsonError, decode_json

OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP = "0123456"
BINARY_MESSAGE: Final = 4  # the first byte of a binary frame that carries a message

_MAX_INTERVAL_S: Final = 3600.0


class Handshake(NamedTuple):
    """The server's first packet: its session id, and the intervals of the heartbeat."""

    sid: str
    ping_interval_s: float
    ping_timeout_s: float


class _Open(msgspec.Struct, rename="camel"):
    sid: str
    ping_interval: float
    ping_timeout: float


def split(frame: str) -> tuple[str, str]:
    """Return a text frame's packet type and the rest. Raises SignalingProtocolError for an unknown type."""
    if not frame or frame[0] not in "0123456":
        raise SignalingProtocolError(f"expected an Engine.IO packet type of 0 to 6, got {frame[:1]!r}")
    return frame[0], frame[1:]


def parse_handshake(text: str) -> Handshake:
    """Parse an open packet, whose times are milliseconds. Raises SignalingProtocolError."""
    try:
        opened: _Open = decode_json(text, _Open)
    except UnreadableJsonError as error:
        raise SignalingProtocolError(f"cannot parse the Engine.IO handshake: {error}") from error
    interval_s, timeout_s = opened.ping_interval / 1000, opened.ping_timeout / 1000
    if not (0 < interval_s <= _MAX_INTERVAL_S and 0 < timeout_s <= _MAX_INTERVAL_S):
        raise SignalingProtocolError(
            f"expected ping times of up to an hour, got {opened.ping_interval:g} and {opened.ping_timeout:g} ms"
        )
    return Handshake(opened.sid, interval_s, timeout_s)


class Heartbeat:
    """In protocol 3 the client pings every `ping_interval`, and the server answers within `ping_timeout`.

    The server drops a client that only answers pings.
    """

    def __init__(self, handshake: Handshake, now: float) -> None:
        self._interval_s = handshake.ping_interval_s
        self._timeout_s = handshake.ping_timeout_s
        self._waiting = False
        self.deadline = now + self._interval_s

    def poll(self, now: float) -> Literal["ping", "dead"] | None:
        """Return what is due. Call it again no later than `deadline`."""
        if now < self.deadline:
            return None
        if self._waiting:
            return "dead"
        self._waiting, self.deadline = True, now + self._timeout_s
        return "ping"

    def pong(self, now: float) -> None:
        """Note the server's answer: the next ping is due an interval from now."""
        if self._waiting:
            self._waiting, self.deadline = False, now + self._interval_s
