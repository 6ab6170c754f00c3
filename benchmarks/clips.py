"""Screen-like H.264 clips, made on the spot: scrolling text in a still frame, a readable counter in each frame."""

import fractions
import functools
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import numpy as np
import numpy.typing as npt
from av.video.frame import PictureType

from streamer.emulator import draw_barcode

DIRECTORY: Final = Path("out/bench")
_HEAD: Final = struct.Struct("!?I")
_RECIPE: Final = zlib.crc32(Path(__file__).read_bytes())  # clips that were made otherwise are made anew


@dataclass(frozen=True, slots=True)
class Clip:
    """What a clip should be; `path` is where it lies once it is made."""

    name: str
    width: int
    height: int
    fps: int
    crf: float
    seconds: int = 10

    @property
    def path(self) -> Path:
        return DIRECTORY / f"{self.name}-{_RECIPE:08x}.units"


CLIPS: Final = (
    Clip("720p30", 720, 1280, 30, 22.5),
    Clip("1080p60", 1080, 1920, 60, 18.5),
)


def clip_named(name: str) -> Clip:
    """Return the clip of that name."""
    return next(clip for clip in CLIPS if clip.name == name)


@functools.cache
def access_units(clip: Clip) -> list[tuple[bool, bytes]]:
    """Return (is keyframe, Annex B) for each frame of a clip, making it first if need be."""
    if not clip.path.exists():
        DIRECTORY.mkdir(parents=True, exist_ok=True)
        for stale in DIRECTORY.glob(f"{clip.name}-*.units"):
            stale.unlink()
        partial = clip.path.with_suffix(".partial")
        with partial.open("wb") as file:
            for is_keyframe, data in _encode(clip):
                file.write(_HEAD.pack(is_keyframe, len(data)) + data)
        partial.rename(clip.path)
    units = []
    content = clip.path.read_bytes()
    position = 0
    while position < len(content):
        is_keyframe, size = _HEAD.unpack_from(content, position)
        position += _HEAD.size
        units.append((is_keyframe, content[position : position + size]))
        position += size
    return units


def _encode(clip: Clip) -> Iterator[tuple[bool, bytes]]:
    encoder = av.CodecContext.create("libx264", "w")
    if not isinstance(encoder, av.VideoCodecContext):
        raise TypeError("libx264 is no video encoder")
    encoder.width, encoder.height, encoder.pix_fmt = clip.width, clip.height, "yuv420p"
    encoder.time_base = fractions.Fraction(1, 90_000)
    encoder.framerate = fractions.Fraction(clip.fps)
    encoder.options = {
        "preset": "veryfast",
        "tune": "zerolatency",
        "profile": "baseline",
        # One long GOP, as a screen encoder sends; slices stay whole, so a keyframe is one long NAL unit.
        "x264-params": f"keyint=600:scenecut=0:repeat-headers=1:annexb=1:sliced-threads=0:crf={clip.crf}",
    }
    for number, image in enumerate(_frames(clip)):
        frame = av.VideoFrame.from_ndarray(image, format="gray").reformat(format="yuv420p")
        frame.pts = number * 90_000 // clip.fps
        if number % (5 * clip.fps) == 0:
            frame.pict_type = PictureType.I
        yield from ((packet.is_keyframe, bytes(packet)) for packet in encoder.encode(frame))
    yield from ((packet.is_keyframe, bytes(packet)) for packet in encoder.encode(None))


def _frames(clip: Clip) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield gray frames: a page of text-like noise that scrolls in the middle, a still border, and the barcode."""
    random = np.random.default_rng(7)
    letter_rows = random.integers(0, 2, (clip.height // 2, clip.width // 2), dtype=np.uint8)
    letter_rows[np.arange(clip.height // 2) % 12 < 6] = 0  # the space between lines
    page = (235 - 200 * np.kron(letter_rows, np.ones((2, 2), dtype=np.uint8))).astype(np.uint8)
    border = clip.height // 6
    screen = np.full((clip.height, clip.width), 200, dtype=np.uint8)
    screen[:border], screen[-border:] = page[:border], page[-border:]
    for number in range(clip.seconds * clip.fps):
        window = np.roll(page, -3 * number, axis=0)[border : clip.height - border]
        screen[border : clip.height - border] = window
        # A film in a corner: something that no motion vector explains.
        film = random.integers(0, 200, (clip.height // 32, clip.width // 16), dtype=np.uint8)
        film = np.kron(film, np.ones((8, 8), dtype=np.uint8))
        screen[border : border + film.shape[0], : film.shape[1]] = film
        draw_barcode(screen, number, 0)
        yield screen
