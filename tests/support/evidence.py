"""Whether a recording holds what the phone sent: packet by packet, by digests, and by the counter in each frame."""

import contextlib
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import av
import numpy as np
import numpy.typing as npt
from aiortc.codecs.h264 import H264Encoder

from streamer.emulator import read_barcode

_START_CODE: Final = b"\x00\x00\x00\x01"
_ABOUT_S: Final = 1.0
_DELIMITER: Final = 9  # MPEG-TS wants one before each frame; the phone's encoder makes none


class Packet(NamedTuple):
    """One that was sent or is in a file."""

    seconds: float
    digest: str
    is_keyframe: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a file holds of what was sent, from its first packet on."""

    packets: int
    places: Sequence[int]  # of them among the sent; fewer, if one was never sent, or not in this order
    worst_step_s: float  # the most by which a packet's time, counted from the first one's, is not what the phone said
    longest_s: float  # between two packets
    bare_gaps: int  # after which the file does not go on with a keyframe

    @property
    def is_exact(self) -> bool:
        """Whether each packet in the file was sent, in this order."""
        return len(self.places) == self.packets

    @property
    def missing(self) -> int:
        """How many were sent between the first and the last packet in the file, and are not in it."""
        return self.places[-1] - self.places[0] + 1 - len(self.places) if self.places else 0


def digest(kind: str, data: bytes) -> str:
    """Return what two packets of H.264 or Opus have in common only if every NAL unit, or every byte, is the same."""
    parts = _nal_units(data) if kind == "video" else [data]
    return hashlib.sha256(b"".join(len(part).to_bytes(4) + part for part in parts)).hexdigest()


def packets(path: Path, kind: str) -> list[Packet]:
    """Return what a file holds of a kind, up to where it ends; nothing if it ends before its first frame."""
    found = []
    with contextlib.suppress(av.InvalidDataError, av.EOFError), av.open(path) as container:
        for packet in container.demux([stream for stream in container.streams if stream.type == kind]):
            if packet.pts is not None and packet.time_base is not None:
                seconds = float(packet.pts * packet.time_base)
                found.append(Packet(seconds, digest(kind, bytes(packet)), packet.is_keyframe))
    return found


def compare(path: Path, kind: str, sent: Sequence[Sequence[Any]]) -> Comparison:
    """Set a file beside what was sent: (when it was sent, the phone's time, digest) of each packet."""
    found = packets(path, kind)
    begins = [place for place, item in enumerate(sent) if found and item[2] == found[0].digest]
    places = max((_places(found, sent, begin) for begin in begins), key=len, default=[])
    known = list(zip(found, places, strict=False))
    return Comparison(
        packets=len(found),
        places=places,
        worst_step_s=max(
            (abs(item.seconds - found[0].seconds - sent[place][1] + sent[places[0]][1]) for item, place in known),
            default=0.0,
        ),
        longest_s=max((b.seconds - a.seconds for a, b in itertools.pairwise(found)), default=0.0),
        bare_gaps=sum(
            after - before > 1 and not item.is_keyframe
            for before, (item, after) in zip(places, known[1:], strict=False)
        ),
    )


def counters(path: Path) -> Iterator[int | None]:
    """Yield the phone's counter in each frame of a file, decoded; None where it cannot be read."""
    with av.open(path) as container:
        for frame in container.decode(video=0):
            yield read_counter(frame)


def _places(found: Sequence[Packet], sent: Sequence[Sequence[Any]], begin: int) -> list[int]:
    """Return where among the sent each packet is, up to the first that is not there, about when it should be.

    The time matters for audio: the phone's tune begins anew every four seconds, and so do its packets.
    """
    places: list[int] = []
    start_s, place = sent[begin][1] - found[0].seconds, begin
    for item in found:
        while place < len(sent) and (
            sent[place][2] != item.digest or abs(sent[place][1] - start_s - item.seconds) > _ABOUT_S
        ):
            place += 1
        if place == len(sent):
            break
        places.append(place)
        place += 1
    return places


def _nal_units(data: bytes) -> list[bytes]:
    """Return the NAL units of an access unit, in Annex B form or with lengths, without a delimiter."""
    units = []
    if data.startswith(_START_CODE):
        units = [bytes(unit) for unit in H264Encoder._split_bitstream(data)]
    else:
        position = 0
        while position < len(data):
            size = int.from_bytes(data[position : position + 4])
            units.append(data[position + 4 : position + 4 + size])
            position += 4 + size
    return [unit for unit in units if unit and unit[0] & 0x1F != _DELIMITER]


def luma(frame: av.VideoFrame) -> npt.NDArray[np.uint8]:
    """Return the frame's luma, of shape (height, width), without converting or copying anything."""
    plane = frame.planes[0]
    rows: npt.NDArray[np.uint8] = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: frame.height, : frame.width]


def read_counter(frame: av.VideoFrame) -> int | None:
    """Return the number in a frame's barcode."""
    barcode = read_barcode(luma(frame))
    return None if barcode is None else barcode.counter
