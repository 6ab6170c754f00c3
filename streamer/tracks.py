"""The result of a negotiation: the tracks that the phone sends, and the codecs of their packets."""

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["video", "audio"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """The codec of a payload type, as negotiated (RFC 8866 section 6.6)."""

    name: str  # "h264", "opus", … in small letters
    clock_rate: int
    channels: int = 1
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One media section that the phone sends on: its payload types, and the feedback that it accepts."""

    kind: Kind
    mid: str
    codecs: dict[int, Codec]  # by payload type
    rtx: dict[int, int] = field(default_factory=dict)  # retransmission payload type → the payload type it carries
    feedback: frozenset[str] = frozenset()  # accepted by both sides: "nack", "nack pli", "ccm fir", "transport-cc" …
    transport_cc_id: int = 0  # header extension of the transport-wide sequence number; 0 if there is none
    abs_send_time_id: int = 0  # header extension of the send time; 0 if there is none, or the former is used
    reduced_size_rtcp: bool = False  # RFC 5506
