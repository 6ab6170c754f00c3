"""Golden images as files: read, compared with a frame, written; and what shows a difference."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from streamer.atomic_file import absolute, write_atomically
from streamer.errors import ConfigurationError
from streamer.media.playback.images import decode_image, encode_image, yuv_of
from streamer.media.playback.video_frames import VideoFrame
from streamer.watch.difference import Difference, Planes, difference_of, draw_difference
from streamer.watch.region import Region

Pixels: TypeAlias = npt.NDArray[np.uint8]  # RGB, shape (height, width, 3)

REACH: Final = 4  # pixels each way: so far a place may be beside the one that the image was cut from
UPDATE_VARIABLE: Final = "STREAMER_PHONE_UPDATE_IMAGES"  # as the option of the pytest plugin is called, too


@dataclass(slots=True)
class Defaults:
    """What holds in this process where a call does not say; the pytest plugin sets it.

    Attributes:
        update: Write golden images instead of comparing with them.
        folder: Where files go that show a difference; None is the folder of the golden image.
    """

    update: bool
    folder: Path | None = None


defaults: Final = Defaults(os.environ.get(UPDATE_VARIABLE, "").lower() in {"1", "true", "yes", "on"})


@dataclass(frozen=True, slots=True)
class Mismatch:
    """How a frame, or a part of it, differs from a golden image.

    Attributes:
        frame: The frame.
        pixels: What was compared of it.
        sentence: How it differs.
        difference: What differs; None if one is larger than the other.
    """

    frame: VideoFrame
    pixels: Pixels
    sentence: str
    difference: Difference | None


class Golden:
    """A golden image. Any thread may use it, one at a time.

    Raises ConfigurationError if it is no PNG, or cannot be read; that it is missing is no error for an update.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, ignore: Iterable[Region], max_difference: float, update: bool | None
    ) -> None:
        self.path = absolute(path)
        self.is_update = defaults.update if update is None else update
        self._ignore = tuple(ignore)
        self._max_difference = max_difference
        if self.path.suffix.lower() != ".png":
            raise ConfigurationError(f"expected the name of a PNG file, got {self.path.name!r}")
        if not 0 <= max_difference <= 1:
            raise ConfigurationError(f"expected max_difference as a share from 0.0 to 1.0, got {max_difference}")
        self._planes = self._read()

    def compare(self, frame: VideoFrame, place: Region | None = None, *, what: str = "the screen") -> Mismatch | None:
        """Return how a frame, or a place on it, differs; None if it shows the same.

        A place need not be exact: what is compared is as large as the golden image, and is looked for around it.
        """
        golden, screen = self._planes, frame.to_ndarray()
        pixels = _cut(screen, place)
        if golden is None:
            return Mismatch(frame, pixels, f"there is no image {self.path}", None)
        aligned = None if place is None else _aligned(screen, place, golden)
        pixels, planes = aligned or (pixels, yuv_of(pixels))
        if golden.shape != planes.shape:
            sizes = f"{_size(planes)} pixels, and {self.path.name} {_size(golden)}"
            return Mismatch(frame, pixels, f"{what} had {sizes}", None)
        found = difference_of(golden, planes, self._ignore)
        if found.region is None or found.share <= self._max_difference:
            return None
        share = f"{100 * max(found.share, 0.0001):.2f} %"
        sentence = f"{what} was not {self.path.name}: {share} of it differed, in {found.region}"
        return Mismatch(frame, pixels, sentence, found)

    def save(self, frame: VideoFrame, place: Region | None = None) -> None:
        """Make a frame, or a place on it, the golden image. Raises RecordingError if it cannot be written."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, encode_image(_cut(frame.to_ndarray(), place), "png"))

    def show(self, mismatch: Mismatch) -> tuple[Path, ...]:
        """Write `<name>.actual.png`, and `<name>.diff.png` unless the sizes differ; return where they are.

        Raises RecordingError if they cannot be written.
        """
        folder = defaults.folder or self.path.parent
        folder.mkdir(parents=True, exist_ok=True)
        images = {"actual": mismatch.pixels}
        if mismatch.difference is not None:
            images["diff"] = draw_difference(yuv_of(mismatch.pixels), mismatch.difference)
        paths = []
        for name, image in images.items():
            paths.append(folder / f"{self.path.stem}.{name}.png")
            write_atomically(paths[-1], encode_image(image, "png"))
        return tuple(paths)

    def _read(self) -> Planes | None:
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            if self.is_update:
                return None
            raise ConfigurationError(
                f"there is no image {self.path} to compare the screen with: run pytest once with "
                "--phone-update-images, or pass update=True once, then look at the image and keep it"
            ) from None
        except OSError as error:
            raise ConfigurationError(f"cannot read the image {self.path}: {error.strerror or error}") from error
        return yuv_of(decode_image(data, str(self.path)))


def _cut(screen: Pixels, place: Region | None) -> Pixels:
    if place is None:
        return screen
    left, top, right, bottom = place.pixels(screen.shape[1], screen.shape[0])
    return np.ascontiguousarray(screen[top:bottom, left:right])


def _size(planes: Planes) -> str:
    return f"{planes.shape[2]}x{planes.shape[1]}"


def _aligned(screen: Pixels, place: Region, golden: Planes) -> tuple[Pixels, Planes] | None:
    """Return what is as large as the golden image, around a place, and most like it; None if the sizes are far apart.

    What finds a text places it with an error of some pixels.
    """
    height, width = golden.shape[1:]
    left, top, right, bottom = place.pixels(screen.shape[1], screen.shape[0])
    if max(abs(right - left - width), abs(bottom - top - height)) > 2 * REACH:
        return None
    x, y = (left + right - width) // 2, (top + bottom - height) // 2
    around = yuv_of(screen[max(y - REACH, 0) : y + height + REACH, max(x - REACH, 0) : x + width + REACH])
    wanted, found = golden[0].astype(np.int16), around[0].astype(np.int16)
    nearest = None
    for down in range(around.shape[1] - height + 1):
        for across in range(around.shape[2] - width + 1):
            apart = int(np.abs(found[down : down + height, across : across + width] - wanted).sum())
            if nearest is None or apart < nearest[0]:
                nearest = apart, down, across
    if nearest is None:
        return None
    _, down, across = nearest
    y, x = max(y - REACH, 0) + down, max(x - REACH, 0) + across
    cut = np.ascontiguousarray(screen[y : y + height, x : x + width])
    return cut, yuv_of(cut)
