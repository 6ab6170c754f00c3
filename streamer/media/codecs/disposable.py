"""Finds access units that no later unit refers to. Leaving them out changes no other frame.

Encoders make them as the highest of several temporal layers, and as B-frames. H.264 says it in each slice. VP8 and VP9
say it in each frame's header, by what the frame changes for later ones. Of the other codecs no unit counts as such.
"""

from typing import Final, NamedTuple

from streamer.media.access_unit import AccessUnit

_START: Final = b"\x00\x00\x01"
_SLICES: Final = range(1, 6)  # types of NAL units (H.264 section 7.4.1)
_REFERENCE: Final = 0x60  # nal_ref_idc
_LEADING_LIMIT: Final = 16  # NAL units before the first slice
_HEADER_BYTES: Final = 64  # of a VP8 frame's first partition: more than what is read
_VP9_KIND: Final = 0x0F  # show_existing_frame, frame_type, show_frame and error_resilient_mode
_VP9_SHOWN_RESILIENT: Final = 0b0111
_VP9_PROFILE_3: Final = 0x30


def is_needless(unit: AccessUnit, following: AccessUnit) -> bool:
    """Whether no unit from `following` on, the one right after, needs this one."""
    if unit.is_keyframe:
        return False
    match unit.codec.name:
        case "h264":
            return _is_h264_disposable(unit.data)
        case "vp8":
            header = _vp8_header(unit.data)
            # The unit after it has to set these again.
            return header.is_disposable and not header.deltas & ~_vp8_header(following.data).deltas
        case "vp9":
            # Motion vectors are otherwise predicted from those of the frame before, whatever it is.
            return unit.data[1:2] == b"\x00" and all(_is_resilient_vp9(each.data) for each in (unit, following))
        case _:
            return False


def _is_h264_disposable(data: bytes) -> bool:
    """Whether the slices of a picture are no reference: nal_ref_idc is 0 in all of them or in none (section 7.4.1)."""
    begin = data.find(_START) + 3
    for _ in range(_LEADING_LIMIT):
        if not 3 <= begin < len(data):
            return False
        if data[begin] & 0x1F in _SLICES:
            return not data[begin] & _REFERENCE
        begin = data.find(_START, begin) + 3
    return False


def _is_resilient_vp9(data: bytes) -> bool:
    """Whether this is one shown inter frame that uses nothing of the frame decoded before it but its references.

    In error resilient mode a frame begins with default probabilities, and predicts no motion vectors from the frame
    before (VP9 specification, sections 7.2 and 6.4.22). The order of the bits is that of profiles 0 to 2. A superframe
    ends with its marker (annex B).
    """
    if not data or data[0] & _VP9_PROFILE_3 == _VP9_PROFILE_3 or data[-1] & 0xE0 == 0xC0:
        return False
    return data[0] & _VP9_KIND == _VP9_SHOWN_RESILIENT


class _Vp8Header(NamedTuple):
    is_disposable: bool  # whether the frame changes nothing for later ones but loop filter deltas
    deltas: int  # a bit for each loop filter delta that it sets


def _vp8_header(data: bytes) -> _Vp8Header:
    """Return what a frame changes for later ones: buffers, probabilities, segments and loop filter deltas.

    The fields are those of RFC 6386 section 19.2, in their order. In a keyframe all are reset.
    """
    if data and not data[0] & 1:  # a keyframe
        return _Vp8Header(is_disposable=False, deltas=0xFF)
    bits = _BoolCoded(data[3 : 3 + _HEADER_BYTES])
    changes = _segments_change(bits)
    bits.number(1 + 6 + 3)  # filter_type, loop_filter_level, sharpness_level
    deltas = 0
    if bits.number(1) and bits.number(1):  # loop_filter_adj_enable, mode_ref_lf_delta_update
        for place in range(8):
            deltas |= bits.optional(6 + 1) << place
    bits.number(2 + 7)  # log2_nbr_of_dct_partitions, y_ac_qi
    for _ in range(5):
        bits.optional(4 + 1)  # the other quantizers
    buffers = bits.number(2)  # refresh_golden_frame, refresh_alternate_frame
    # copy_buffer_to_golden, copy_buffer_to_alternate; sign_bias_golden, sign_bias_alternate
    changes = changes or buffers > 0 or bits.number(4) > 0 or bits.number(2) < 0
    return _Vp8Header(not changes and not bits.number(2), deltas)  # refresh_entropy_probs, refresh_last


def _segments_change(bits: "_BoolCoded") -> bool:
    """Read the header's part on segments; return whether it changes them for later frames."""
    if not bits.number(1):  # segmentation_enabled
        return False
    map_changes, features_change = bits.number(1), bits.number(1)
    if features_change:
        bits.number(1)  # segment_feature_mode
        for width in (7 + 1, 6 + 1):  # a quantizer or a loop filter level, and its sign
            for _ in range(4):
                bits.optional(width)
    for _ in range(3 * map_changes):
        bits.optional(8)  # segment_prob
    return bool(map_changes or features_change)


class _BoolCoded:
    """Reads bits of probability one half from a boolean-coded partition (RFC 6386 section 7.3).

    After the end of the data it reads what zeros would be.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._value = int.from_bytes(data[:2].ljust(2, b"\x00"))
        self._position = 2
        self._range = 255
        self._shifts = 0

    def optional(self, width: int) -> bool:
        """Read a flag, and a number if it is set; return the flag."""
        return self.number(1) > 0 and self.number(width) >= 0

    def number(self, width: int) -> int:
        """Read a number of so many bits."""
        number = 0
        for _ in range(width):
            number = number << 1 | self._bit()
        return number

    def _bit(self) -> int:
        split = 1 + ((self._range - 1) * 128 >> 8)
        bit = self._value >= split << 8
        if bit:
            self._range -= split
            self._value -= split << 8
        else:
            self._range = split
        while self._range < 128:
            self._value <<= 1
            self._range <<= 1
            self._shifts += 1
            if self._shifts == 8:
                self._shifts = 0
                self._value |= self._data[self._position] if self._position < len(self._data) else 0
                self._position += 1
        return bit
