"""How far audio is from its frame in a recording of the flashing phone: each beep's beginning beside its flash's."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import numpy as np

from streamer.emulator import read_barcode

GOAL_MS: Final = 20.0
_WHITE: Final = 200  # mean of the luma above the strip; nothing else that the phone shows is so bright
_LOUD: Final = 0.1  # of full scale; the beep is at 0.37
_QUIET_S: Final = 0.2  # of silence before a beep begins
_GAP_S: Final = 0.005  # in the audio's timestamps: a packet is missing
_TAKEN_S: Final = 0.12  # a gap so shortly before a beep: its beginning is lost, and the decoder is quiet for longer


@dataclass(frozen=True, slots=True)
class Onset:
    """The beginning of a flash or a beep, in seconds of the file; whole if nothing of it can be lost."""

    seconds: float
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Offsets:
    """How much later each beep began than its flash; how many pairs were not compared since a beginning was lost."""

    milliseconds: list[float]
    seconds: list[float]  # when in the file each flash began
    lost: int
    alone: int  # flashes without a beep

    @property
    def worst(self) -> float:
        """The largest, whether audio is early or late."""
        return max(map(abs, self.milliseconds))

    @property
    def worst_at(self) -> float:
        """The second of the file at which it is."""
        return max(zip(map(abs, self.milliseconds), self.seconds, strict=True))[1]


def offsets(path: Path) -> Offsets:
    """Decode a recording of the flashing phone and compare."""
    beeps = list(beep_onsets(path))
    found: list[float] = []
    seconds: list[float] = []
    lost = alone = 0
    for flash in flash_onsets(path):
        beep = min(beeps, key=lambda beep: abs(beep.seconds - flash.seconds), default=None)
        if beep is None or abs(beep.seconds - flash.seconds) > 0.5:
            alone += 1
        elif flash.is_whole and beep.is_whole:
            found.append(1000 * (beep.seconds - flash.seconds))
            seconds.append(flash.seconds)
        else:
            lost += 1
    return Offsets(found, seconds, lost, alone)


def flash_onsets(path: Path) -> Iterator[Onset]:
    """Return when the frame becomes white; whole if the frame before it is there."""
    was_white, counter = True, -1
    with av.open(path) as container:
        for frame in container.decode(video=0):
            luma = np.asarray(frame.to_ndarray(format="gray"), dtype=np.uint8)
            barcode = read_barcode(luma)
            before, counter = counter, -2 if barcode is None else barcode.counter
            is_white = bool(luma[: frame.height * 9 // 10].mean() > _WHITE)
            if is_white and not was_white and frame.time is not None:
                yield Onset(frame.time, counter == before + 1)
            was_white = is_white


def beep_onsets(path: Path) -> Iterator[Onset]:
    """Return when it becomes loud after silence; whole if no packet is missing shortly before."""
    found: list[float] = []
    gaps: list[float] = []
    expected: float | None = None
    loud_until = _QUIET_S  # one that the recording begins in is none
    with av.open(path) as container:
        for frame in container.decode(audio=0):
            assert frame.time is not None
            if expected is not None and frame.time - expected > _GAP_S:
                gaps += [expected, frame.time]
            expected = frame.time + frame.samples / frame.sample_rate
            loud = np.flatnonzero(np.abs(frame.to_ndarray()).max(axis=0) > _LOUD)  # floats, a row for each channel
            if len(loud):
                first = frame.time + float(loud[0]) / frame.sample_rate
                if first > loud_until:
                    found.append(first)
                loud_until = frame.time + float(loud[-1]) / frame.sample_rate + _QUIET_S
    for seconds in found:
        yield Onset(seconds, not any(-_GAP_S < seconds - gap < _TAKEN_S for gap in gaps))
