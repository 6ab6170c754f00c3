"""Finds an image on frames by the normalized correlation of their luma, at half size first."""

import importlib.util
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from streamer.errors import ConfigurationError, MissingExtraError
from streamer.media.playback.video_frames import VideoFrame
from streamer.targets.matches import Found, Match, in_reading_order
from streamer.watch.region import Region

Gray = npt.NDArray[np.uint8]

THRESHOLD: Final = 0.9
LEAST_SIDE: Final = 8  # pixels of an image each way: smaller ones are found anywhere
LEAST_DEVIATION: Final = 4.0  # of luma, of 255: below it there is nothing but noise to correlate
COARSE_MARGIN: Final = 0.2  # by which the score at half size may be below that at full size
NEAR: Final = 3  # pixels around a candidate of half size in which it is refined
MATCHES_LIMIT: Final = 100  # on one frame


class ImageFinder:
    """Finds an image on frames."""

    def __init__(self, name: str, luma: Gray, threshold: float) -> None:
        self.name = name
        self._luma = luma
        self._threshold = threshold

    def find(self, frame: VideoFrame, within: Region | None) -> Found:
        """Return where the image is on a frame."""
        import cv2  # noqa: PLC0415 - an extra

        size = frame.width, frame.height
        left, top, right, bottom = (0, 0, *size) if within is None else within.pixels(*size)
        screen, image = luma_of(frame)[top:bottom, left:right], self._luma
        rows, columns = image.shape
        if rows > screen.shape[0] or columns > screen.shape[1]:
            return Found()
        small = cv2.resize(
            screen, (max(screen.shape[1] // 2, 1), max(screen.shape[0] // 2, 1)), interpolation=cv2.INTER_AREA
        )
        half = cv2.resize(image, (columns // 2, rows // 2), interpolation=cv2.INTER_AREA)
        scores = cv2.matchTemplate(small, half, cv2.TM_CCOEFF_NORMED)
        matches: list[Match] = []
        nearest: Match | None = None
        while len(matches) < MATCHES_LIMIT:
            _, coarse, _, (x, y) = cv2.minMaxLoc(scores)
            if nearest is not None and coarse < self._threshold - COARSE_MARGIN:
                break
            x0, y0 = max(2 * x - NEAR, 0), max(2 * y - NEAR, 0)
            around = screen[y0 : 2 * y + rows + NEAR, x0 : 2 * x + columns + NEAR]
            if around.shape[0] < rows or around.shape[1] < columns:
                x0, y0 = min(x0, screen.shape[1] - columns), min(y0, screen.shape[0] - rows)
                around = screen[y0 : y0 + rows, x0 : x0 + columns]
            _, score, _, (dx, dy) = cv2.minMaxLoc(cv2.matchTemplate(around, image, cv2.TM_CCOEFF_NORMED))
            match = Match(
                region=Region(left + x0 + dx, top + y0 + dy, columns, rows),
                score=float(np.clip(score, 0.0, 1.0)),
                frame=frame,
            )
            if match.score >= self._threshold:
                matches.append(match)
            if nearest is None or match.score > nearest.score:
                nearest = match
            scores[max(y - rows // 4, 0) : y + rows // 4 + 1, max(x - columns // 4, 0) : x + columns // 4 + 1] = -1.0
        return Found(in_reading_order(matches), None if matches else nearest)


def image_finder(pixels: npt.NDArray[Any], threshold: float, name: str) -> ImageFinder:
    """Return a finder of an image: RGB or RGBA of shape (height, width, 3 or 4), or gray of shape (height, width).

    Raises:
        MissingExtraError: The extra `vision` is not installed.
        ConfigurationError: The image is too small or of one color, or the threshold is wrong.
    """
    if importlib.util.find_spec("cv2") is None:
        raise MissingExtraError("get_by_image()", "vision")
    if not 0 < threshold <= 1:
        raise ConfigurationError(f"expected a threshold above 0 and up to 1, got {threshold}")
    if pixels.dtype != np.uint8 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in {3, 4})):
        raise ConfigurationError(
            "expected uint8 pixels of shape (height, width), (height, width, 3) or (height, width, 4), "
            f"got {pixels.dtype} of shape {pixels.shape}"
        )
    height, width = pixels.shape[:2]
    if min(height, width) < LEAST_SIDE:
        raise ConfigurationError(f"expected an image of at least {LEAST_SIDE} pixels each way, got {width}x{height}")
    luma = pixels if pixels.ndim == 2 else np.rint(pixels[..., :3] @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
    if luma.std() < LEAST_DEVIATION:
        raise ConfigurationError(
            f"expected an image with something on it, got {name}, which is of one color: cut out more"
        )
    return ImageFinder(name, luma, threshold)


def luma_of(frame: VideoFrame) -> Gray:
    """Return the luma of a frame, of shape (height, width): the decoder's own plane if it has 8 bits."""
    av_frame = frame.av_frame
    component = av_frame.format.components[0]
    if component.bits != 8 or not av_frame.format.name.startswith(("yuv", "nv12", "gray")):
        return frame.to_ndarray("gray")
    plane = av_frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: frame.height, : frame.width]
