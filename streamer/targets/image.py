"""Finds an image on frames: by the correlation of luma, at a fourth of the size, then at half, then at full size.

What correlates is compared once more in color. Correlation alone sees no difference between two icons of other colors,
between a button and the same one grayed out, or between two wide buttons whose labels differ in a letter.
"""

import importlib.util
import itertools
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from streamer.errors import ConfigurationError, MissingExtraError
from streamer.media.playback.images import rgb_of
from streamer.media.playback.video_frames import VideoFrame
from streamer.targets.matches import Found, Match, in_reading_order
from streamer.watch.region import Region

Pixels: TypeAlias = npt.NDArray[np.uint8]

THRESHOLD: Final = 0.8  # measured: see docs/performance.md
LEAST_SIDE: Final = 8  # pixels of an image each way: smaller ones are found anywhere
LEAST_DEVIATION: Final = 4.0  # of luma, of 255: below it there is nothing but noise to correlate
SCALES: Final = tuple(2 ** (step / 6) for step in (-1, 1, -2, 2, -3, 3, -4, 4, -5, 5, -6, 6))  # from 0.5 to 2
LIKELY: Final = 3  # of them that are looked at more closely
COARSE_SIDE: Final = 10  # pixels of the image, at least, at the size at which it is looked for first
COARSE_SIDE_SCALED: Final = 6  # the same, where another size is tried
COARSE: Final = 0.5  # correlation there, at least: what lies between the pixels has no more
FINE: Final = 0.6  # correlation at half and at full size, at least
BLUR: Final = 5  # pixels each way over which colors are averaged: an encoder changes what is finer
WINDOW: Final = 24  # pixels each way in which a difference must not stand out: as large as a letter of a label
NOISE: Final = 1000.0  # variance of a color, of 255 squared, that counts as nothing: an encoder's
WEIGHT: Final = 0.625  # of a difference: where two fifths of what is to be seen differ, the score is 0.8
CANDIDATES_LIMIT: Final = 100  # on one frame


class ImageFinder:
    """Finds an image on frames; `mask` is 0 where anything may be. Another size than the image's own is remembered."""

    def __init__(self, name: str, rgb: Pixels, mask: Pixels | None, threshold: float) -> None:
        self.name = name
        self._threshold = threshold
        self._own = _Image(rgb, mask)
        self._scaled: list[_Image] = []  # in the sizes to try
        self._usual = self._own  # in the size in which it was found last

    def find(self, frame: VideoFrame, within: Region | None) -> Found:
        """Return where the image is on a frame. If it is not there in its usual size, others are tried."""
        screen = _Screen(frame, within)
        found = self._find(screen, self._usual)
        nearest = found.nearest
        for image in () if found.matches else self._likely(screen):
            found = self._find(screen, image)
            if found.matches:
                self._usual = image
                break
            nearest = _better(nearest, found.nearest)
        return found if found.matches else Found((), nearest)

    def _find(self, screen: "_Screen", image: "_Image") -> Found:
        """Return where the image is in this size."""
        matches: list[Match] = []
        nearest: Match | None = None
        for candidate in screen.candidates(image):
            place = screen.refined(image, candidate)
            if nearest is not None and place.score < min(FINE, self._threshold):
                continue
            match = screen.compared(image, place)
            nearest = _better(nearest, match)
            if match.score >= self._threshold:
                matches = [*(other for other in matches if not _overlap(other, match)), match]
        return Found(in_reading_order(matches), None if matches else nearest)

    def _likely(self, screen: "_Screen") -> "Iterator[_Image]":
        """Yield the image in the sizes in which it correlates best with anything on the screen."""
        self._scaled = self._scaled or [self._own.scaled(scale, COARSE_SIDE_SCALED) for scale in SCALES]
        tries = []
        for number, image in enumerate(self._scaled):
            tries += [(place, number) for place in itertools.islice(screen.candidates(image), 1)]
        for place, number in sorted(tries, reverse=True)[:LIKELY]:
            image = self._scaled[number]
            refined = screen.near(image, place, 2, image.factor)
            if refined.score >= COARSE:
                yield self._fitted(screen, image, refined)

    def _fitted(self, screen: "_Screen", image: "_Image", place: "_Place") -> "_Image":
        """Return the image in the exact size that it has at a place."""
        center_x, center_y = place.x + image.width / 2, place.y + image.height / 2
        for factor, steps in ((2, (-6, -3, 0, 3, 6)), (1, (-1.5, 0, 1.5)), (1, (-0.75, 0, 0.75)), (1, (-0.4, 0, 0.4))):
            fits = []
            for step in steps:
                other = self._own.scaled(image.scale * (1 + step / 100)) if step else image
                at = _Place(0.0, round(center_x - other.width / 2), round(center_y - other.height / 2))
                if screen.holds(other):
                    fits.append((screen.near(other, at, factor, 3).score, step, other))
            _, _, image = max(fits, key=lambda fit: fit[:2])
        return image


class _Place(NamedTuple):
    """A place on the screen, in pixels of full size from its upper left corner, and the correlation there."""

    score: float
    x: int
    y: int


class _Image:
    """An image in one size."""

    def __init__(self, rgb: Pixels, mask: Pixels | None, scale: float = 1.0, coarse_side: int = COARSE_SIDE) -> None:
        self.rgb = rgb
        self.mask = mask
        self.scale = scale
        self.height, self.width = rgb.shape[:2]
        side = min(self.width, self.height)
        self.factor = next((factor for factor in (4, 2) if side >= factor * coarse_side), 1)  # of the first look
        self._luma = _luma_of_rgb(rgb)

    def scaled(self, scale: float, coarse_side: int = COARSE_SIDE) -> "_Image":
        """Return the image in another size."""
        import cv2  # noqa: PLC0415 - an extra

        size = max(round(self.width * scale), 1), max(round(self.height * scale), 1)
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        rgb = np.asarray(cv2.resize(self.rgb, size, interpolation=way), np.uint8)
        mask = None if self.mask is None else _resized_mask(self.mask, size)
        return _Image(rgb, mask, scale, coarse_side)

    def correlation(self, luma: Pixels, factor: int) -> npt.NDArray[np.float32]:
        """Return how well it correlates at each place of a screen; both are reduced by a factor."""
        import cv2  # noqa: PLC0415 - an extra

        size = self.width // factor, self.height // factor
        image = cv2.resize(self._luma, size, interpolation=cv2.INTER_AREA)
        mask = None if self.mask is None else _resized_mask(self.mask, size)
        scores = cv2.matchTemplate(luma, image, cv2.TM_CCOEFF_NORMED, mask=mask)
        scores[~(np.abs(scores) <= 1.001)] = 0.0  # of one color
        return np.asarray(scores, np.float32)


class _Screen:
    """A frame, or a part of it, on which images are looked for."""

    def __init__(self, frame: VideoFrame, within: Region | None) -> None:
        self._frame = frame
        size = frame.width, frame.height
        self._left, self._top, right, bottom = (0, 0, *size) if within is None else within.pixels(*size)
        self._luma = {1: luma_of(frame)[self._top : bottom, self._left : right]}

    def holds(self, image: _Image) -> bool:
        """Whether the image is not larger."""
        height, width = self._luma[1].shape
        return bool(image.width <= width and image.height <= height)

    def luma(self, factor: int) -> Pixels:
        """Return the luma, reduced by a factor."""
        import cv2  # noqa: PLC0415 - an extra

        if factor not in self._luma:
            height, width = self._luma[1].shape
            size = max(width // factor, 1), max(height // factor, 1)
            self._luma[factor] = np.asarray(
                cv2.resize(self._luma[1][: size[1] * factor, : size[0] * factor], size, interpolation=cv2.INTER_AREA),
                np.uint8,
            )
        return self._luma[factor]

    def candidates(self, image: _Image) -> Iterator[_Place]:
        """Yield the places at which the image correlates at reduced size, the best one first, and one in any case."""
        import cv2  # noqa: PLC0415 - an extra

        if not self.holds(image):
            return
        scores = image.correlation(self.luma(image.factor), image.factor)
        across, down = max(image.width // image.factor // 3, 1), max(image.height // image.factor // 3, 1)
        for number in range(CANDIDATES_LIMIT):
            _, score, _, (x, y) = cv2.minMaxLoc(scores)
            if number and score < COARSE:
                return
            yield _Place(score, x * image.factor, y * image.factor)
            scores[max(y - down, 0) : y + down + 1, max(x - across, 0) : x + across + 1] = -1.0

    def refined(self, image: _Image, place: _Place) -> _Place:
        """Return the place more exactly, with the correlation there."""
        if image.factor > 2:
            place = self.near(image, place, 2, image.factor)
        return self.near(image, place, 1, 3) if place.score >= FINE or image.factor == 1 else place

    def near(self, image: _Image, place: _Place, factor: int, reach: int) -> _Place:
        """Return where the image correlates best at full size divided by `factor`, up to `reach` pixels around."""
        import cv2  # noqa: PLC0415 - an extra

        luma = self.luma(factor)
        width, height = image.width // factor, image.height // factor
        left = max(min((place.x - reach) // factor, luma.shape[1] - width), 0)
        top = max(min((place.y - reach) // factor, luma.shape[0] - height), 0)
        across, down = width + 2 * reach // factor + 1, height + 2 * reach // factor + 1
        scores = image.correlation(luma[top : top + down, left : left + across], factor)
        _, score, _, (x, y) = cv2.minMaxLoc(scores)
        return _Place(score, (left + x) * factor, (top + y) * factor)

    def compared(self, image: _Image, place: _Place) -> Match:
        """Return a match with its score: the correlation, or less if a color differs somewhere."""
        left, top = self._left + place.x, self._top + place.y
        there = rgb_of(self._frame.av_frame, left, top, left + image.width, top + image.height)
        score = min(place.score, 1 / (1 + WEIGHT * _most_difference(image.rgb, there, image.mask)))
        return Match(
            region=Region(left, top, image.width, image.height), score=min(max(score, 0.0), 1.0), frame=self._frame
        )


def _most_difference(rgb: Pixels, other: Pixels, mask: Pixels | None) -> float:
    """Return how much two images differ in color where they do most: 0.0 if nowhere, 1.0 if nothing there is alike.

    In each window, what differs is set against how much there is to see. A difference of color alone may be above 1.0.
    """
    import cv2  # noqa: PLC0415 - an extra

    def mean(values: npt.NDArray[np.float32], side: int = WINDOW) -> npt.NDArray[np.float32]:
        return np.asarray(cv2.blur(values, (side, side)), np.float32)

    a, b = (mean(pixels.astype(np.float32), BLUR) for pixels in (rgb, other))
    difference = a - b
    if mask is not None:
        difference[mask == 0] = 0.0
    variance = mean(a * a) - mean(a) ** 2 + mean(b * b) - mean(b) ** 2
    return float((mean(difference * difference) / (np.maximum(variance, 0.0) + NOISE)).max())


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
    rgb = np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else np.ascontiguousarray(pixels[..., :3])
    mask = None
    if pixels.ndim == 3 and pixels.shape[2] == 4 and (pixels[..., 3] < 128).any():
        mask = np.where(pixels[..., 3] < 128, 0, 255).astype(np.uint8)
    seen = rgb if mask is None else rgb[mask > 0]
    if not seen.size or _luma_of_rgb(seen).std() < LEAST_DEVIATION:
        raise ConfigurationError(
            f"expected an image with something on it, got {name}, which is of one color: cut out more"
        )
    return ImageFinder(name, rgb, mask, threshold)


def luma_of(frame: VideoFrame) -> Pixels:
    """Return the luma of a frame, of shape (height, width): the decoder's own plane if it has 8 bits."""
    av_frame = frame.av_frame
    component = av_frame.format.components[0]
    if component.bits != 8 or not av_frame.format.name.startswith(("yuv", "nv12", "gray")):
        return frame.to_ndarray("gray")
    plane = av_frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: frame.height, : frame.width]


def _luma_of_rgb(rgb: Pixels) -> Pixels:
    return np.asarray(np.rint(rgb @ np.array([0.299, 0.587, 0.114])), np.uint8)


def _resized_mask(mask: Pixels, size: tuple[int, int]) -> Pixels:
    import cv2  # noqa: PLC0415 - an extra

    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), np.uint8)


def _better(match: Match | None, other: Match | None) -> Match | None:
    if match is None or other is None:
        return match or other
    return other if other.score > match.score else match


def _overlap(match: Match, other: Match) -> bool:
    """Whether two matches of one size cover each other by more than half each way."""
    (x, y), (other_x, other_y) = match.center, other.center
    return abs(x - other_x) < match.region.width / 2 and abs(y - other_y) < match.region.height / 2
