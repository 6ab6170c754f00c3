"""What the depacketizers of all codecs share: what each of them does, when a payload is malformed, and the bound.

One for each codec: `h264`, `h265`, `vp8`, `vp9` and `av1`; `depacketizer_choice` has them by name.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Final, Protocol

MAX_UNIT_BYTES: Final = 16 * 1024 * 1024  # one picture; a peer that sends more is not believed
PAYLOAD_COST: Final = 64  # bytes that a payload takes besides its own: a picture of many tiny ones is large, too
MAX_NAL_UNITS: Final = 8192  # of one picture: slices of 1200 bytes in a keyframe of 10 MB
TOO_LARGE: Final = f"an access unit of more than {MAX_UNIT_BYTES} bytes"

TOO_MANY_NAL_UNITS: Final = f"an access unit of more than {MAX_NAL_UNITS} NAL units"


class MalformedPayload(Exception):  # noqa: N818 - a fact about the peer, counted by the caller, never an error of ours
    """A payload's length fields point outside it, or it cannot be what the payload format allows at its place."""


class Depacketizer(Protocol):
    """Collect one access unit at a time: `add` each payload in order, `finish` after the last.

    The caller sees to it that no packet is missing between the payloads of a unit.
    """

    has_slices: ClassVar[bool]  # whether a frame has parts that a sender may take for frames

    def reset(self) -> None:
        """Drop the access unit under way."""

    @property
    def is_empty(self) -> bool:
        """Whether no access unit is under way."""

    @property
    def may_be_whole(self) -> bool:
        """Whether what has come may be a whole picture: there is one, and nothing that is cut."""

    def starts_unit(self, payload: bytes) -> bool:
        """Whether a payload can only be the first of its access unit."""

    def goes_on(self, payload: bytes) -> bool:
        """Whether a payload can only go on with a picture that has begun."""

    def add(self, payload: bytes) -> None:
        """Take the next payload of the access unit under way; an empty one is padding, and passed over.

        Raises MalformedPayload; the access unit is then unusable: `reset` and look for the next.
        """

    def finish(self, *, may_recover: bool = False) -> tuple[bytes, bool] | None:
        """Return the access unit in the form of `AccessUnit.data` and whether it is a keyframe; None without a picture.

        With `may_recover`, a recovery point is a keyframe, too: a decoder may start there, and withholds what it
        decodes until that is right. A stream of periodic intra refresh has no other keyframes. Raises MalformedPayload
        if the unit is not complete; it is then gone.
        """


class FrameDepacketizer(ABC):
    """Join the payloads of one frame; see `Depacketizer`. This is what those of VP8 and VP9 share."""

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
        """Whether a picture is under way, and nothing of it is cut."""
        return bool(self._parts)

    @staticmethod
    @abstractmethod
    def starts_unit(payload: bytes) -> bool:
        """Whether a payload is the first of its frame: its descriptor says so."""

    def goes_on(self, payload: bytes) -> bool:
        """Whether a payload can only go on with a picture: it is not the first of its frame."""
        return bool(payload) and not self.starts_unit(payload)
