"""VP9 from RTP payloads to access units (RFC 9628): a frame, or a superframe of several spatial layers.

Flexible and non-flexible mode are read alike. The descriptor tells which frames refer to which, but that matters only
to a receiver that skips frames. With spatial layers, the RFC's *picture* is one frame per layer, all with the same
time. They are joined, lowest layer first, with the superframe index by which a decoder finds them (VP9 bitstream
specification, annex B). The decoder then returns a frame for each layer. The last one has all layers.
"""

from typing import Final

from streamer.media.codecs.depacketizer import (
    MAX_UNIT_BYTES,
    PAYLOAD_COST,
    TOO_LARGE,
    FrameDepacketizer,
    MalformedPayload,
)

_PICTURE_ID, _INTER_PICTURE, _LAYERS, _FLEXIBLE = 0x80, 0x40, 0x20, 0x10
_BEGINS, _STRUCTURE = 0x08, 0x02
_LONG_ID: Final = 0x80
_SPATIAL_ID: Final = 0x0E
_MAX_REFERENCES: Final = 3
_MAX_FRAMES: Final = 8  # in a superframe
_SHOWN_AGAIN_OR_INTER: Final = 0x0C  # of the uncompressed header: show_existing_frame and frame_type


class Vp9Depacketizer(FrameDepacketizer):
    """Joins the payloads of one picture. `_parts` has a list of payloads for each of its frames."""

    @staticmethod
    def starts_unit(payload: bytes) -> bool:
        """Whether a payload is the first of its picture: it begins a frame of the lowest layer."""
        if not payload or not payload[0] & _BEGINS:
            return False
        if not payload[0] & _LAYERS:
            return True
        layers = 1 + _id_size(payload)
        return len(payload) > layers and not payload[layers] & _SPATIAL_ID

    def add(self, payload: bytes) -> None:
        """Add the next payload of the picture under way. Raises MalformedPayload."""
        if not payload:
            return
        self._size += len(payload) + PAYLOAD_COST
        if self._size > MAX_UNIT_BYTES:
            raise MalformedPayload(TOO_LARGE)
        start = _descriptor_size(payload)
        if start >= len(payload):
            raise MalformedPayload("a VP9 payload that ends within its descriptor")
        if payload[0] & _BEGINS:
            if len(self._parts) == _MAX_FRAMES:
                raise MalformedPayload(f"a VP9 picture of more than {_MAX_FRAMES} frames")
            self._parts.append([])
        elif not self._parts:
            raise MalformedPayload("a VP9 frame without its beginning")
        self._parts[-1].append(payload[start:])

    def finish(self, *, may_recover: bool = False) -> tuple[bytes, bool] | None:
        """Return the picture's frames and whether it is a keyframe; None if there is none."""
        frames = [b"".join(parts) for parts in self._parts]
        self.reset()
        if not frames:
            return None
        data = frames[0] if len(frames) == 1 else b"".join(frames) + _superframe_index(frames)
        return data, _is_key(frames[0])


def _id_size(payload: bytes) -> int:
    if not payload[0] & _PICTURE_ID:
        return 0
    return 2 if len(payload) > 1 and payload[1] & _LONG_ID else 1


def _descriptor_size(payload: bytes) -> int:
    """Return the size of a payload's descriptor (section 4.2). It may be larger than the payload."""
    flags = payload[0]
    size = 1 + _id_size(payload)
    if flags & _LAYERS:
        size += 1 if flags & _FLEXIBLE else 2
    if flags & _FLEXIBLE and flags & _INTER_PICTURE:
        for _ in range(_MAX_REFERENCES):
            size += 1
            if not _byte(payload, size - 1) & 0x01:
                break
    if flags & _STRUCTURE:
        size += _structure_size(payload, size)
    return size


def _structure_size(payload: bytes, start: int) -> int:
    """Return the size of the scalability structure at `start` (section 4.2.1)."""
    head = _byte(payload, start)
    size = 1
    if head & 0x10:  # each layer's width and height
        size += 4 * ((head >> 5) + 1)
    if head & 0x08:  # the pictures of a group, and what each refers to
        pictures = _byte(payload, start + size)
        size += 1
        for _ in range(pictures):
            size += 1 + (_byte(payload, start + size) >> 2 & 0x03)
    return size


def _byte(payload: bytes, position: int) -> int:
    return payload[position] if position < len(payload) else 0


def _is_key(frame: bytes) -> bool:
    header = frame[0]
    if header & 0x30 == 0x30:  # profile 3 has one bit more before these
        header <<= 1
    return not header & _SHOWN_AGAIN_OR_INTER


def _superframe_index(frames: list[bytes]) -> bytes:
    width = (max(map(len, frames)).bit_length() + 7) // 8
    marker = bytes((0xC0 | (width - 1) << 3 | len(frames) - 1,))
    return marker + b"".join(len(frame).to_bytes(width, "little") for frame in frames) + marker
