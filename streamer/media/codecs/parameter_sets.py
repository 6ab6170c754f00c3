"""Reads from the parameter sets of H.264 and H.265 how frames may be reordered, and changes an SPS to say otherwise.

A decoder holds back as many frames as the sequence parameter set (SPS) allows the sender to reorder. Hardware encoders
often allow reordering, or do not mention it, and then reorder nothing: every frame comes late, and the last one never
comes. `with_reordering` returns an SPS that allows exactly what the stream does and is otherwise the same. libwebrtc
does this, too.

An SPS that cannot be parsed to its end is ignored, and stays as it is.
"""

from dataclasses import dataclass, field
from typing import Final

from streamer.media.codecs.bits import BitReader, BitWriter, SyntaxViolation, escaped, unescaped

MAX_SET_BYTES: Final = 4096  # twice the longest that the standards allow
_HEADER_BYTES: Final = 64  # of a slice: its picture order count lies within these
_FRAMES_LIMIT: Final = 16  # in a decoder's buffer, in both standards
# H.264 profiles whose SPS has chroma format, bit depths and scaling lists (section 7.3.2.1.1).
_HIGH_PROFILES: Final = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244})
_EXTENDED_SAR: Final = 255


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """An SPS: what is needed to read a slice's picture order count, and to rewrite the SPS."""

    nal_unit: bytes
    set_id: int
    reorder: int | None  # how many frames may precede one that is shown earlier; None if it does not say
    references: int
    poc_bits: int  # of the low part of the picture order count in a slice; 0 if slices do not have it
    always_ordered: bool = False  # frames are shown in decoding order: the type of the picture order count says so
    frame_num_bits: int = 0
    has_fields: bool = False
    has_separate_planes: bool = False
    _before: tuple[int, int] = field(default=(0, 0), repr=False)  # the bits before and after the part that is rewritten
    _after: tuple[int, int] = field(default=(0, 0), repr=False)
    _kept: tuple[int, ...] = field(default=(), repr=False)  # codes in that part that stay
    _is_h265: bool = False

    @property
    def may_reorder(self) -> bool:
        """Whether a decoder must expect reordered frames."""
        return self.reorder != 0 and not self.always_ordered

    def with_reordering(self, frames: int) -> bytes:
        """Return an SPS that allows this many frames to be reordered; the same bytes if this one does."""
        if self.reorder == frames:
            return self.nal_unit
        written = BitWriter()
        written.u(*self._before)
        if self._is_h265:
            header = self.nal_unit[:2]
            for buffering in self._kept:
                written.ue(max(buffering, frames))
                written.ue(frames)
                written.ue(0)  # no limit of latency
            written.u(*self._after)
        else:
            header = self.nal_unit[:1]
            written.u(1, 1)  # bitstream_restriction_flag
            written.u(self._kept[0], 1)
            for code in (*self._kept[1:], frames, max(self.references, frames)):
                written.ue(code)
        return header + escaped(written.payload())


@dataclass(frozen=True, slots=True)
class PictureSet:
    """A PPS: what is needed to read a slice's header."""

    set_id: int
    sequence_id: int
    extra_header_bits: int = 0  # H.265
    has_output_flag: bool = False


@dataclass(frozen=True, slots=True)
class SliceOrder:
    """The place of a slice's frame in the display order, as the slice tells it."""

    sequence: SequenceSet
    poc_low: int | None  # picture order count: `sequence.poc_bits` bits; None if it is not in the slice
    is_bidirectional: bool


def h264_sequence_set(nal_unit: bytes) -> SequenceSet | None:
    """Parse an H.264 SPS (sections 7.3.2.1.1 and E.1.1); None if it is not a valid one."""
    if not 4 < len(nal_unit) <= MAX_SET_BYTES or nal_unit[0] & 0x1F != 7:
        return None
    try:
        return _h264_sequence_set(nal_unit, BitReader(unescaped(nal_unit[1:])))
    except SyntaxViolation:
        return None


def _h264_sequence_set(nal_unit: bytes, bits: BitReader) -> SequenceSet:
    profile = bits.u(8)
    bits.u(16)  # constraints, level
    set_id = bits.ue(31)
    has_separate_planes = profile in _HIGH_PROFILES and _skip_h264_formats(bits)
    frame_num_bits = bits.ue(12) + 4
    poc_type = bits.ue(2)
    poc_bits = bits.ue(12) + 4 if poc_type == 0 else 0
    if poc_type == 1:
        bits.u(1)
        bits.se()
        bits.se()
        for _ in range(bits.ue(255)):
            bits.se()
    references = bits.ue(_FRAMES_LIMIT)
    bits.u(1)
    bits.ue(0xFFFF)  # width and height in macroblocks
    bits.ue(0xFFFF)
    has_fields = not bits.u(1)
    bits.u(1 + has_fields)
    if bits.u(1):
        for _ in range(4):
            bits.ue(0x3FFFF)  # cropping
    reorder, kept = None, (1, 2, 1, 15, 15)  # the defaults of fields that are absent (section E.2.1)
    if bits.u(1):
        _skip_h264_vui(bits)
        before = bits.since(0)
        if bits.u(1):
            kept = (bits.u(1), bits.ue(16), bits.ue(16), bits.ue(16), bits.ue(16))
            reorder = bits.ue(_FRAMES_LIMIT)
            bits.ue(_FRAMES_LIMIT)
    else:
        value, count = bits.since(0)
        before = ((value | 1) << 8, count + 8)  # vui_parameters_present_flag, and eight flags for absent fields
    if bits.rest()[1]:
        raise SyntaxViolation("the SPS goes on after its end")
    return SequenceSet(
        nal_unit=nal_unit,
        set_id=set_id,
        reorder=reorder,
        references=references,
        poc_bits=poc_bits,
        always_ordered=poc_type == 2,
        frame_num_bits=frame_num_bits,
        has_fields=has_fields,
        has_separate_planes=has_separate_planes,
        _before=before,
        _kept=kept,
    )


def _skip_h264_formats(bits: BitReader) -> bool:
    """Skip chroma format, bit depths and scaling lists; return whether the color planes are separate."""
    chroma_format = bits.ue(3)
    has_separate_planes = chroma_format == 3 and bool(bits.u(1))
    bits.ue(6)
    bits.ue(6)
    bits.u(1)
    if bits.u(1):
        for number in range(12 if chroma_format == 3 else 8):
            if bits.u(1):
                _skip_scaling_list(bits, 16 if number < 6 else 64)
    return has_separate_planes


def _skip_scaling_list(bits: BitReader, size: int) -> None:
    last, following = 8, 8
    for _ in range(size):
        if following:
            following = (last + bits.se()) % 256
        last = following or last


def _skip_h264_vui(bits: BitReader) -> None:
    """Skip the VUI up to its bitstream restriction."""
    if bits.u(1) and bits.u(8) == _EXTENDED_SAR:
        bits.u(32)
    if bits.u(1):
        bits.u(1)  # overscan
    if bits.u(1):
        bits.u(4)  # video format, range
        if bits.u(1):
            bits.u(24)  # colors
    if bits.u(1):
        bits.ue(5)  # chroma sample location
        bits.ue(5)
    if bits.u(1):
        bits.u(65)  # timing
    if _skip_h264_hrd(bits) | _skip_h264_hrd(bits):
        bits.u(1)
    bits.u(1)  # pic_struct_present_flag


def _skip_h264_hrd(bits: BitReader) -> int:
    """Skip the parameters of the hypothetical reference decoder; return 1 if there are any."""
    is_present = bits.u(1)
    if is_present:
        count = bits.ue(31) + 1
        bits.u(8)
        for _ in range(count):
            bits.ue()
            bits.ue()
            bits.u(1)
        bits.u(20)
    return is_present


def h264_picture_set(nal_unit: bytes) -> PictureSet | None:
    """Parse the beginning of an H.264 PPS (section 7.3.2.2); None if it is not a valid one."""
    if len(nal_unit) < 2 or nal_unit[0] & 0x1F != 8:
        return None
    bits = BitReader(unescaped(nal_unit[1:_HEADER_BYTES]))
    try:
        return PictureSet(bits.ue(255), bits.ue(31))
    except SyntaxViolation:
        return None


def h264_slice_order(
    header: bytes, sequences: dict[int, SequenceSet], pictures: dict[int, PictureSet]
) -> SliceOrder | None:
    """Parse the beginning of an H.264 slice (section 7.3.3); None if its parameter sets are not known."""
    bits = BitReader(unescaped(header[1:_HEADER_BYTES]))
    try:
        bits.ue()
        slice_type = bits.ue(9)
        picture = pictures.get(bits.ue(255))
        sequence = None if picture is None else sequences.get(picture.sequence_id)
        if sequence is None:
            return None
        poc_low = None
        if sequence.poc_bits:
            bits.u(2 * sequence.has_separate_planes + sequence.frame_num_bits)
            if sequence.has_fields and bits.u(1):
                bits.u(1)
            if header[0] & 0x1F == 5:
                bits.ue(0xFFFF)
            poc_low = bits.u(sequence.poc_bits)
        return SliceOrder(sequence, poc_low, slice_type % 5 == 1)
    except SyntaxViolation:
        return None


def h265_sequence_set(nal_unit: bytes) -> SequenceSet | None:
    """Parse an H.265 SPS up to its reordering (section 7.3.2.2); None if it is not a valid one."""
    if not 16 < len(nal_unit) <= MAX_SET_BYTES or nal_unit[0] >> 1 != 33 or not 0 < nal_unit[1] < 8:
        return None  # the last condition: another layer, or none
    try:
        return _h265_sequence_set(nal_unit, BitReader(unescaped(nal_unit[2:])))
    except SyntaxViolation:
        return None


def _h265_sequence_set(nal_unit: bytes, bits: BitReader) -> SequenceSet:
    bits.u(4)
    sub_layers = bits.u(3)
    if sub_layers > 6:
        raise SyntaxViolation("more than seven sub-layers")
    bits.u(1)
    bits.u(96)  # profile and level
    present = [(bits.u(1), bits.u(1)) for _ in range(8 if sub_layers else 0)][:sub_layers]
    for has_profile, has_level in present:
        bits.u(88 * has_profile + 8 * has_level)
    set_id = bits.ue(15)
    chroma_format = bits.ue(3)
    has_separate_planes = chroma_format == 3 and bool(bits.u(1))
    bits.ue(0xFFFF)  # width and height
    bits.ue(0xFFFF)
    if bits.u(1):
        for _ in range(4):
            bits.ue(0xFFFF)
    bits.ue(8)  # bit depths
    bits.ue(8)
    poc_bits = bits.ue(12) + 4
    told = sub_layers + 1 if bits.u(1) else 1
    before = bits.since(0)
    bufferings, reorders = [], []
    for _ in range(told):
        bufferings.append(bits.ue(_FRAMES_LIMIT - 1))
        reorders.append(bits.ue(bufferings[-1]))
        bits.ue()
    return SequenceSet(
        nal_unit=nal_unit,
        set_id=set_id,
        reorder=reorders[-1],
        references=bufferings[-1],
        poc_bits=poc_bits,
        has_separate_planes=has_separate_planes,
        _before=before,
        _after=bits.rest(),
        _kept=tuple(bufferings),
        _is_h265=True,
    )


def h265_picture_set(nal_unit: bytes) -> PictureSet | None:
    """Parse the beginning of an H.265 PPS (section 7.3.2.3); None if it is not a valid one."""
    if len(nal_unit) < 3 or nal_unit[0] >> 1 != 34:
        return None
    bits = BitReader(unescaped(nal_unit[2:_HEADER_BYTES]))
    try:
        set_id, sequence_id = bits.ue(63), bits.ue(15)
        bits.u(1)
        has_output_flag = bool(bits.u(1))
        return PictureSet(set_id, sequence_id, bits.u(3), has_output_flag)
    except SyntaxViolation:
        return None


def h265_slice_order(
    header: bytes, sequences: dict[int, SequenceSet], pictures: dict[int, PictureSet]
) -> SliceOrder | None:
    """Parse the beginning of a frame's first slice (section 7.3.6.1); None if its parameter sets are not known."""
    nal_type = header[0] >> 1 & 0x3F
    bits = BitReader(unescaped(header[2:_HEADER_BYTES]))
    try:
        if not bits.u(1):
            return None  # not the first slice
        if 16 <= nal_type <= 23:
            bits.u(1)
        picture = pictures.get(bits.ue(63))
        sequence = None if picture is None else sequences.get(picture.sequence_id)
        if picture is None or sequence is None:
            return None
        bits.u(picture.extra_header_bits)
        slice_type = bits.ue(2)
        bits.u(picture.has_output_flag + 2 * sequence.has_separate_planes)
        is_idr = nal_type in {19, 20}
        return SliceOrder(sequence, 0 if is_idr else bits.u(sequence.poc_bits), slice_type == 0)
    except SyntaxViolation:
        return None
