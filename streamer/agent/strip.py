"""A strip of frames that shows, in one picture, how the screen moved in a video file."""

import heapq
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer

from streamer.errors import RecordingError
from streamer.media.playback.images import encode_image
from streamer.watch.change import Reference
from streamer.watcher import BlockMeans

FRAMES_LIMIT: Final = 6
REST_S: Final = 0.15  # what is shown for so long is worth a place; frames of an animation are not
_HEIGHT: Final = 384  # pixels
_GAP: Final = 6  # pixels between two frames
_QUALITY: Final = 80

_Pixels = npt.NDArray[np.uint8]


class _Shown(NamedTuple):
    """A frame of the strip."""

    for_s: float  # how long it was on the screen
    at_s: float
    pixels: _Pixels


def strip_of(path: Path) -> tuple[bytes, list[float]]:
    """Return a JPEG with up to six frames side by side, and their times in seconds before the end of the file.

    First come the frames that were on the screen for longest, then frames from between, evenly spread. It decodes the
    whole file: call it in a thread. Raises RecordingError if the file has no frame.
    """
    try:
        with av.open(path) as container:
            length_s = (container.duration or 0) / av.time_base
            chosen = _chosen(container, length_s)
    except (OSError, av.FFmpegError, IndexError) as error:
        raise RecordingError(f"cannot read a frame of {path}", reason="read") from error
    if not chosen:
        raise RecordingError(f"{path} has no frame", reason="empty")
    strip = encode_image(_joined([shown.pixels for shown in chosen]), "jpeg", quality=_QUALITY)
    return strip, [round(length_s - shown.at_s, 2) for shown in chosen]


def _chosen(container: InputContainer, length_s: float) -> list[_Shown]:
    rests: list[_Shown] = []  # a heap: the shortest is first
    spread: dict[int, _Shown] = {}  # one for each sixth of the file
    for at_s, for_s, frame in _looks(container, length_s):
        slot = min(int(at_s / length_s * FRAMES_LIMIT), FRAMES_LIMIT - 1) if length_s else 0
        is_rest = for_s >= REST_S and (len(rests) < FRAMES_LIMIT or for_s > rests[0].for_s)
        if not is_rest and slot in spread:
            continue
        shown = _Shown(for_s, at_s, _small(frame))
        if not is_rest:
            spread[slot] = shown
        elif len(rests) < FRAMES_LIMIT:
            heapq.heappush(rests, shown)
        else:
            heapq.heapreplace(rests, shown)
    return sorted([*rests, *spread.values()][:FRAMES_LIMIT], key=lambda shown: shown.at_s)


def _looks(container: InputContainer, length_s: float) -> Iterator[tuple[float, float, av.VideoFrame]]:
    """Yield each frame that differs from the one before it: its time, how long nothing changed, the frame."""
    means, reference = BlockMeans(), Reference()
    last: tuple[float, av.VideoFrame] | None = None
    for frame in container.decode(video=0):
        look = reference.compare(means(frame), (frame.width, frame.height), rtp_time=0, arrival_ns=0)
        if look.is_first or look.changed is not None:
            at_s = max(frame.time or 0.0, 0.0)
            if last is not None:
                yield last[0], at_s - last[0], last[1]
            last = at_s, frame
    if last is not None:
        yield last[0], max(length_s - last[0], 0.0), last[1]


def _small(frame: av.VideoFrame) -> _Pixels:
    height = min(_HEIGHT, frame.height)
    width = max(round(frame.width * height / frame.height), 1)
    small = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA")
    return np.asarray(small, dtype=np.uint8)


def _joined(frames: list[_Pixels]) -> _Pixels:
    """Return frames side by side, on white; a phone that was turned gives frames of two sizes."""
    height, width = max(frame.shape[0] for frame in frames), sum(frame.shape[1] + _GAP for frame in frames) - _GAP
    joined = np.full((height, width, 3), 255, np.uint8)
    left = 0
    for frame in frames:
        joined[: frame.shape[0], left : left + frame.shape[1]] = frame
        left += frame.shape[1] + _GAP
    return joined
