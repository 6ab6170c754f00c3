"""Fits frames of any size into one size: scaled and centered, with black bars."""

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, VideoReformatter

_BLACK, _GREY = 16, 128


def fitted_size(width: int, height: int, within: tuple[int, int]) -> tuple[int, int]:
    """Return the largest even size with a frame's aspect ratio that fits into another."""
    scale = min(within[0] / width, within[1] / height)
    return max(round(width * scale / 2) * 2, 2), max(round(height * scale / 2) * 2, 2)


class Letterbox:
    """Fits one stream's frames. It keeps the scaler, whose tables take longer to make than a small frame to scale."""

    def __init__(self) -> None:
        self._scaler = VideoReformatter()

    def fit(self, frame: av.VideoFrame, width: int, height: int) -> npt.NDArray[np.uint8]:
        """Return a frame as yuv420p of limited range: a new array of shape (height * 3 // 2, width). Sizes are even."""
        inner_width, inner_height = fitted_size(frame.width, frame.height, (width, height))
        inner_width, inner_height = min(inner_width, width), min(inner_height, height)
        inner = self._scaler.reformat(
            frame,
            width=inner_width,
            height=inner_height,
            format="yuv420p",
            interpolation="AREA" if (inner_width, inner_height) != (frame.width, frame.height) else None,
            dst_color_range=ColorRange.MPEG,
            threads=1,  # to wake others takes longer than to scale a small frame, and no frame gets much faster
        ).to_ndarray()
        if (inner_width, inner_height) == (width, height):
            return np.array(inner, dtype=np.uint8)  # a copy: the caller draws into it, and the decoder needs its own
        canvas = np.full((height * 3 // 2, width), _GREY, dtype=np.uint8)
        canvas[:height] = _BLACK
        left, top = (width - inner_width) // 4 * 2, (height - inner_height) // 4 * 2
        canvas[top : top + inner_height, left : left + inner_width] = inner[:inner_height]
        chroma = canvas[height:].reshape(2, height // 2, width // 2)
        left, top = left // 2, top // 2
        chroma[:, top : top + inner_height // 2, left : left + inner_width // 2] = inner[inner_height:].reshape(
            2, inner_height // 2, inner_width // 2
        )
        return canvas


def framed(pixels: npt.NDArray[np.uint8], like: av.VideoFrame) -> av.VideoFrame:
    """Return the result of `Letterbox.fit` as a frame, with the color space of the original."""
    frame = av.VideoFrame.from_ndarray(pixels, format="yuv420p")
    frame.colorspace, frame.color_range = like.colorspace, ColorRange.MPEG
    return frame
