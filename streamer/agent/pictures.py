"""The pictures that a model gets: small JPEGs of frames."""

import asyncio
from typing import Final

import av
import numpy as np

from streamer.media.playback.images import encode_image
from streamer.media.playback.video_frames import VideoFrame
from streamer.watch.region import Region

SIDE_LIMIT: Final = 768  # pixels of the longer side
QUALITY: Final = 80
_STRIP_HEIGHT: Final = 480
_GAP: Final = 4  # pixels between the frames of a strip


class Pictures:
    """Makes pictures of frames. It keeps the last one: a frame that is still on the screen is encoded once."""

    def __init__(self) -> None:
        self._last: tuple[av.VideoFrame, Region | None, bytes] | None = None

    async def of(self, frame: VideoFrame, region: Region | None = None) -> bytes:
        """Return a JPEG of a frame, or of a region of it, at most 768 pixels high and wide."""
        if self._last is not None and self._last[0] is frame.av_frame and self._last[1] == region:
            return self._last[2]
        made = await asyncio.to_thread(_encoded, frame, region)
        self._last = frame.av_frame, region, made
        return made


def _encoded(frame: VideoFrame, region: Region | None) -> bytes:
    if region is None:
        return frame.encode("jpeg", quality=QUALITY, size=_fitted(frame.width, frame.height))
    left, top, right, bottom = region.pixels(frame.width, frame.height)
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    cut = np.ascontiguousarray(frame.to_ndarray()[top:bottom, left:right])
    width, height = _fitted(right - left, bottom - top)
    if (width, height) != (right - left, bottom - top):
        scaled = av.VideoFrame.from_ndarray(cut, format="rgb24").to_ndarray(
            format="rgb24", width=width, height=height, interpolation="BICUBIC"
        )
        cut = np.ascontiguousarray(scaled, dtype=np.uint8)
    return encode_image(cut, "jpeg", quality=QUALITY)


def _fitted(width: int, height: int) -> tuple[int, int]:
    scale = min(SIDE_LIMIT / max(width, height), 1.0)
    return max(round(width * scale), 1), max(round(height * scale), 1)
