"""VP8 from RTP payloads to access units (RFC 7741): one frame each, unchanged."""

from typing import Final

from streamer.media.codecs.depacketizer import (
    MAX_UNIT_BYTES,
    PAYLOAD_COST,
    TOO_LARGE,
    FrameDepacketizer,
    MalformedPayload,
)

_EXTENDED: Final = 0x80
_PLACE: Final = 0x17  # start of partition, and its index
_FIRST: Final = 0x10  # the start of the first partition
_PICTURE_ID, _TL0_INDEX, _TEMPORAL_ID, _KEY_INDEX = 0x80, 0x40, 0x20, 0x10
_INTERFRAME: Final = 0x01  # of the payload header (section 4.3)


class Vp8Depacketizer(FrameDepacketizer):
    """Joins the payloads of one frame."""

    @staticmethod
    def starts_unit(payload: bytes) -> bool:
        """Whether a payload is the first of its frame, by its descriptor."""
        return bool(payload) and payload[0] & _PLACE == _FIRST

    def add(self, payload: bytes) -> None:
        """Add the next payload of the frame under way. Raises MalformedPayload."""
        if not payload:
            return
        self._size += len(payload) + PAYLOAD_COST
        if self._size > MAX_UNIT_BYTES:
            raise MalformedPayload(TOO_LARGE)
        if (payload[0] & _PLACE == _FIRST) != self.is_empty:
            raise MalformedPayload("a VP8 frame that begins inside another, or without its beginning")
        start = _descriptor_size(payload)
        if start >= len(payload):
            raise MalformedPayload("a VP8 payload that ends within its descriptor")
        self._parts.append(payload[start:])

    def finish(self, *, may_recover: bool = False) -> tuple[bytes, bool] | None:
        """Return the frame and whether it is a keyframe; None if there is none."""
        if not self._parts:
            return None
        data = b"".join(self._parts)
        self.reset()
        return data, not data[0] & _INTERFRAME


def _descriptor_size(payload: bytes) -> int:
    """Return the size of a payload's descriptor (section 4.2). It may be larger than the payload."""
    if not payload[0] & _EXTENDED:
        return 1
    fields = payload[1] if len(payload) > 1 else 0
    size = 2
    if fields & _PICTURE_ID:
        size += 2 if len(payload) > 2 and payload[2] & 0x80 else 1
    if fields & _TL0_INDEX:
        size += 1
    if fields & (_TEMPORAL_ID | _KEY_INDEX):
        size += 1
    return size
