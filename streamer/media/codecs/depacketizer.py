"""What the depacketizers of all codecs share: their protocol, their limits, and the error for a malformed payload.

Each codec has one: `h264`, `h265`, `vp8`, `vp9` and `av1`. `depacketizer_choice` returns them by name.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Final, Protocol

MAX_UNIT_BYTES: Final = 16 * 1024 * 1024  # of one frame: no encoder makes a larger one
PAYLOAD_COST: Final = 64  # bytes counted for each payload besides its own: many tiny ones take memory, too
MAX_NAL_UNITS: Final = 8192  # of one frame: slices of 1200 bytes in a keyframe of 10 MB
TOO_LARGE: Final = f"an access unit of more than {MAX_UNIT_BYTES} bytes"

TOO_MANY_NAL_UNITS: Final = f"an access unit of more than {MAX_NAL_UNITS} NAL units"


class MalformedPayload(Exception):  # noqa: N818 - the peer's fault, which the caller counts
    """A length field points outside the payload, or the payload format does not allow the payload here."""


class Depacketizer(Protocol):
    """Collects one access unit at a time: `add` each payload in order, and `finish` after the last.

    The caller guarantees that no packet is missing between the payloads of a unit.
    """

    has_slices: ClassVar[bool]  # whether a frame has slices: some senders mark each of them

    def reset(self) -> None:
        """Drop the access unit under way."""

    @property
    def is_empty(self) -> bool:
        """Whether no access unit is under way."""

    @property
    def may_be_whole(self) -> bool:
        """Whether the payloads so far may be a complete frame: there is one, and no part of it is cut."""

    def starts_unit(self, payload: bytes) -> bool:
        """Whether a payload can only be the first of its access unit."""

    def goes_on(self, payload: bytes) -> bool:
        """Whether a payload can only continue a frame that has begun."""

    def add(self, payload: bytes) -> None:
        """Add the next payload of the access unit under way. An empty payload is padding, and is ignored.

        Raises MalformedPayload. The access unit is then unusable: call `reset`, and wait for the next one.
        """

    def finish(self, *, may_recover: bool = False) -> tuple[bytes, bool] | None:
        """Return the access unit in the form of `AccessUnit.data`, and whether it is a keyframe; None without a frame.

        With `may_recover`, a recovery point counts as a keyframe: a decoder can start there, and withholds frames until
        the refresh is complete. A stream with periodic intra refresh has no other keyframes. Raises MalformedPayload if
        the unit is incomplete, and drops it.
        """


class FrameDepacketizer(ABC):
    """Joins the payloads of one frame: what the depacketizers of VP8 and VP9 share. See `Depacketizer`."""

    has_slices: ClassVar = False

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Drop the access unit under way."""
        self._parts: list[Any] = []
        self._size = 0

    @property
    def is_empty(self) -> bool:
        """Whether no access unit is under way."""
        return not self._parts

    @property
    def may_be_whole(self) -> bool:
        """Whether a frame is under way."""
        return bool(self._parts)

    @staticmethod
    @abstractmethod
    def starts_unit(payload: bytes) -> bool:
        """Whether a payload is the first of its frame, by its descriptor."""

    def goes_on(self, payload: bytes) -> bool:
        """Whether a payload can only continue a frame: it is not the first of its frame."""
        return bool(payload) and not self.starts_unit(payload)
