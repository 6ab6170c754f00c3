"""Finds out whether a stream shows its frames in another order than it sends them, and tells its decoder.

The parameter sets are no proof: many encoders allow reordering and reorder nothing. So a stream counts as ordered until
a picture order count goes back, which happens with a reordered frame only. Until then its SPS is replaced with one that
allows no reordering, and the decoder returns each frame at once. From then on the SPS stays, and the decoder holds back
as many frames as it must. A stream whose SPS excludes reordering is not examined.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from streamer.media.codecs.parameter_sets import (
    MAX_SET_BYTES,
    PictureSet,
    SequenceSet,
    SliceOrder,
    h264_picture_set,
    h264_sequence_set,
    h264_slice_order,
    h265_picture_set,
    h265_sequence_set,
    h265_slice_order,
)
from streamer.media.wraparound import extend

_START: Final = b"\x00\x00\x01"
_LEADING_LIMIT: Final = 64  # NAL units before the first slice
ORDERED_UNITS: Final = 60  # after so many units in order, a stream that reordered counts as ordered again


@dataclass(frozen=True, slots=True)
class _Syntax:
    """The differences between the two codecs."""

    header_shift: int
    type_mask: int
    first_slice: range
    idr: range  # types of slices that restart the picture order count
    sequence_type: int
    picture_type: int
    sequence_set: Callable[[bytes], SequenceSet | None]
    picture_set: Callable[[bytes], PictureSet | None]
    slice_order: Callable[[bytes, dict[int, SequenceSet], dict[int, PictureSet]], SliceOrder | None]

    def type_of(self, header: int) -> int:
        return header >> self.header_shift & self.type_mask


_SYNTAXES: Final = {
    "h264": _Syntax(0, 0x1F, range(1, 6), range(5, 6), 7, 8, h264_sequence_set, h264_picture_set, h264_slice_order),
    "h265": _Syntax(1, 0x3F, range(32), range(16, 21), 33, 34, h265_sequence_set, h265_picture_set, h265_slice_order),
}


class Reordering:
    """Follows a stream of one codec: `add` each access unit, and decode what `prepared` returns for it.

    It remembers parameter sets by their ids: at most 32 SPS of 4 KiB, and 256 PPS of a few numbers.
    """

    def __init__(self, codec_name: str) -> None:
        self.is_reordered = False
        self.goes_back = False  # whether the last unit is shown before an earlier one
        self.begins_sequence = False  # whether no later unit refers to units before the last one
        self._syntax = _SYNTAXES.get(codec_name)
        self._sequences: dict[int, SequenceSet] = {}
        self._pictures: dict[int, PictureSet] = {}
        self._highest: int | None = None  # the highest picture order count since it restarted
        self._ordered = 0  # units in order since then

    @property
    def is_allowed(self) -> bool:
        """Whether the parameter sets allow frames to be reordered."""
        return any(known.may_reorder for known in self._sequences.values())

    @property
    def can_delay(self) -> bool:
        """Whether a decoder of this codec can hold frames back at all."""
        return self._syntax is not None

    @property
    def gives_at_once(self) -> bool:
        """Whether a decoder returns a frame with every `prepared` unit, from the first frame on."""
        return (
            bool(self._sequences)
            and not self.is_reordered
            and not any(known.has_fields for known in self._sequences.values())
            and not any(known.has_output_flag for known in self._pictures.values())
        )

    def begin(self) -> None:
        """Begin again: the stream restarts, and so do its picture order counts."""
        self._highest = None
        self._ordered = 0

    def add(self, unit: bytes) -> bool:
        """Examine the next access unit; return whether `is_reordered` changed.

        If it became true, prepare and decode the units from the last keyframe on again, to get all frames. It becomes
        false only with a unit that `begins_sequence`.
        """
        self.goes_back = self.begins_sequence = False
        syntax = self._syntax
        start = None if syntax is None else self._read_sets(unit, syntax)
        if syntax is None or start is None:
            return False
        self.begins_sequence = syntax.type_of(unit[start]) in syntax.idr
        was_ordered = self._ordered >= ORDERED_UNITS
        if self.begins_sequence:
            self.begin()
        if not self.is_allowed:
            return self.begins_sequence and self._set_reordered(False)
        order = syntax.slice_order(unit[start : start + 96], self._sequences, self._pictures)
        if order is None:
            return False
        return self._follow(order) or (self.begins_sequence and was_ordered and self._set_reordered(False))

    def prepared(self, unit: bytes) -> bytes:
        """Return an access unit whose SPS tells what the stream does; the same object if it does already."""
        syntax = self._syntax
        if syntax is None or not self._sequences:
            return unit
        made: list[bytes] = []
        done = 0
        for begin, end in self._leading(unit, syntax):
            if syntax.type_of(unit[begin]) == syntax.sequence_type and end - begin <= MAX_SET_BYTES:
                nal_unit = unit[begin:end]
                known = next((known for known in self._sequences.values() if known.nal_unit == nal_unit), None)
                if known is not None and (written := self._written(known)) != nal_unit:
                    made += unit[done:begin], written
                    done = end
        return b"".join((*made, unit[done:])) if made else unit

    def _written(self, known: SequenceSet) -> bytes:
        if not known.may_reorder:
            return known.nal_unit
        if not self.is_reordered:
            return known.with_reordering(0)
        return known.with_reordering(known.reorder or max(known.references, 1))

    def _follow(self, order: SliceOrder) -> bool:
        """Compare a frame's place with those before it."""
        self._ordered += 1
        if order.poc_low is None:  # type 1 of H.264's counts: with it, only bidirectional slices are reordered
            goes_back = order.is_bidirectional
        else:
            highest = self._highest
            count = order.poc_low if highest is None else extend(highest, order.poc_low, order.sequence.poc_bits)
            goes_back = highest is not None and count < highest
            if highest is None or count > highest:
                self._highest = count
        self.goes_back = goes_back
        if goes_back:
            self._ordered = 0
        return goes_back and order.sequence.may_reorder and self._set_reordered(True)

    def _set_reordered(self, is_reordered: bool) -> bool:
        changed, self.is_reordered = self.is_reordered != is_reordered, is_reordered
        return changed

    def _read_sets(self, unit: bytes, syntax: _Syntax) -> int | None:
        """Remember the parameter sets before the first slice; return where that slice begins."""
        for begin, end in self._leading(unit, syntax):
            nal_type = syntax.type_of(unit[begin])
            if nal_type in syntax.first_slice:
                return begin
            if nal_type == syntax.sequence_type:
                self._read_sequence(unit[begin:end], syntax)
            elif nal_type == syntax.picture_type and (
                picture := syntax.picture_set(unit[begin : min(end, begin + 96)])
            ):
                self._pictures[picture.set_id] = picture
        return None

    def _read_sequence(self, nal_unit: bytes, syntax: _Syntax) -> None:
        if any(known.nal_unit == nal_unit for known in self._sequences.values()):
            return
        if (sequence := syntax.sequence_set(nal_unit)) is not None:
            self._sequences[sequence.set_id] = sequence

    @staticmethod
    def _leading(unit: bytes, syntax: _Syntax) -> list[tuple[int, int]]:
        """Return the begin and end of each NAL unit up to the first slice; the slice itself has no end."""
        found: list[tuple[int, int]] = []
        begin = unit.find(_START) + 3
        while 3 <= begin < len(unit) and len(found) < _LEADING_LIMIT:
            if syntax.type_of(unit[begin]) in syntax.first_slice:
                found.append((begin, begin))
                break
            following = unit.find(_START, begin)
            end = len(unit) if following < 0 else following
            while end > begin + 1 and unit[end - 1] == 0:  # zeros of a longer start code, or trailing ones
                end -= 1
            found.append((begin, end))
            begin = following + 3 if following >= 0 else 0
        return found
