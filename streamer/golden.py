"""Golden images as files: read, compared with a frame, written; and what shows a difference."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from streamer.atomic_file import absolute, write_atomically
from streamer.errors import ConfigurationError
from streamer.media.playback.images import decode_image, encode_image, planes_of
from streamer.media.playback.video_frames import VideoFrame
from streamer.watch.difference import Difference, Planes, difference_of, draw_difference
from streamer.watch.region import Region

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
    """How a frame differs from a golden image. `difference` is None if one is larger than the other."""

    frame: VideoFrame
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

    def compare(self, frame: VideoFrame) -> Mismatch | None:
        """Return how a frame differs; None if it shows the same."""
        golden = self._planes
        if golden is None:
            return Mismatch(frame, f"there is no image {self.path}", None)
        if golden.shape[1:] != (frame.height, frame.width):
            sizes = f"{frame.width}x{frame.height} pixels, and {self.path.name} {golden.shape[2]}x{golden.shape[1]}"
            return Mismatch(frame, f"the screen had {sizes}", None)
        found = difference_of(golden, planes_of(frame.to_ndarray()), self._ignore)
        if found.region is None or found.share <= self._max_difference:
            return None
        share = f"{100 * max(found.share, 0.0001):.2f} %"
        return Mismatch(frame, f"the screen was not {self.path.name}: {share} of it differed, in {found.region}", found)

    def save(self, frame: VideoFrame) -> None:
        """Make a frame the golden image. Raises RecordingError if it cannot be written."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, frame.encode("png"))

    def show(self, mismatch: Mismatch) -> tuple[Path, ...]:
        """Write `<name>.actual.png`, and `<name>.diff.png` unless the sizes differ; return where they are.

        Raises RecordingError if they cannot be written.
        """
        folder = defaults.folder or self.path.parent
        folder.mkdir(parents=True, exist_ok=True)
        pixels = mismatch.frame.to_ndarray()
        images = {"actual": pixels}
        if mismatch.difference is not None:
            images["diff"] = draw_difference(planes_of(pixels), mismatch.difference)
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
        return planes_of(decode_image(data, str(self.path)))
