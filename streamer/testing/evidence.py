"""What is kept of a test: a video, an image, and a timeline. Every function blocks, and may raise OSError."""

import time
from collections.abc import Iterable, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt

from streamer.atomic_file import write_atomically
from streamer.errors import ExpectationError, SeveralMatchesError, WaitTimeoutError
from streamer.media.access_unit import AccessUnit
from streamer.media.frame_decoder import DecodedFrame, FrameDecoder
from streamer.media.playback.images import encode_image
from streamer.media.recording.containers import container_of, refusal
from streamer.media.recording.segment_writer import Destination, Writer
from streamer.media.recording.segments import Limits
from streamer.testing.footage import Footage
from streamer.timeline.records import Record, Start, Step, Video, encode

MISS: Final = (255, 64, 64)  # the color of what came nearest
MOVING: Final = (255, 176, 0)  # and of what had not come to rest
LEAST_CHAPTER_NS: Final = 50_000_000

Pixels = npt.NDArray[np.uint8]


def save_video(folder: Path, prefix: str, footage: Footage, records: Sequence[Record]) -> Video | None:
    """Write the video of a test with a chapter for each step, by copying what the phone sent; None without a frame.

    Raises RecordingError and OSError.
    """
    units, now_ns = footage.units, time.monotonic_ns()
    wall_ns = time.time_ns() - time.monotonic_ns()
    first = next((unit for unit in units if unit.kind == "video"), None)
    if first is None:
        return None
    suffix = ".mp4" if refusal(container_of(Path("video.mp4")), first.codec.name) is None else ".webm"
    path = folder / f"{prefix}video{suffix}"
    writer = Writer(
        Destination(path, overwrite=True),
        has_audio=any(unit.kind == "audio" for unit in units),
        limits=Limits(),
        manifest=None,
        start_ns=max(footage.begin_ns, first.arrival_ns),
        now_ns=now_ns,
        wall_ns=wall_ns,
        ask_keyframe=lambda: None,
    )
    try:
        for unit in units:
            writer.put(unit)
        writer.chapters = _chapters(records, wall_ns, begin_ns=max(footage.begin_ns, first.arrival_ns))
        writer.close(now_ns, "stopped")
    except BaseException:
        writer.abandon()
        raise
    if not writer.segments:
        return None
    # When its first frame arrived is not when it is shown: it may have been slower on its way than those after it.
    at = (now_ns + wall_ns) / 1e9 - writer.duration_s
    return Video(at=at, path=writer.segments[0].path.name, duration_s=round(writer.duration_s, 3))


def _chapters(records: Iterable[Record], wall_ns: int, *, begin_ns: int) -> list[tuple[int, str]]:
    """Return when each chapter begins, on the clock of arrivals, and its title. Chapters of no length are left out."""
    marks = [(begin_ns, "before the test")]
    for record in records:
        at_ns = max(round(record.at * 1e9) - wall_ns, begin_ns)
        match record:
            case Start():
                marks.append((at_ns, record.test.rpartition("::")[2]))
            case Step():
                marks.append((at_ns, record.name))
    marks.sort(key=itemgetter(0))
    ends = [at_ns for at_ns, _ in marks[1:]] + [marks[-1][0] + LEAST_CHAPTER_NS]
    return [mark for mark, end_ns in zip(marks, ends, strict=True) if end_ns - mark[0] >= LEAST_CHAPTER_NS]


def save_timeline(path: Path, records: Iterable[Record], *, with_text: bool) -> None:
    """Write a timeline."""
    write_atomically(path, encode(records, with_text=with_text), overwrite=True)


def save_image(path: Path, footage: Footage, error: BaseException | None) -> bool:
    """Write the frame that an error has, with the place that it is about drawn in, else the last frame.

    Return whether there is one.
    """
    found = _seen_by(error)
    if found is None:
        if (frame := last_frame(footage.last_group)) is None:
            return False
        found = np.ascontiguousarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8), []
    pixels, boxes = found
    for box, color in boxes:
        draw_box(pixels, box, color)
    write_atomically(path, encode_image(pixels, "png"), overwrite=True)
    return True


def _seen_by(error: BaseException | None) -> tuple[Pixels, list[tuple[Any, tuple[int, int, int]]]] | None:
    """Return the frame of the first error in the chain that has one, and its places with their colors."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        match error:
            case SeveralMatchesError(matches=[first, *_] as matches):
                return first.frame.to_ndarray(), [(match.region, MISS) for match in matches]
            case WaitTimeoutError(frame=frame, best=best) if frame is not None:
                moving = [(region, MOVING) for region in error.moving]
                if best is None:
                    return frame.to_ndarray(), moving
                return best.frame.to_ndarray(), [*moving, (best.region, MISS)]
        error = error.__cause__ or error.__context__
    return None


def last_frame(group: Iterable[AccessUnit]) -> av.VideoFrame | None:
    """Return the last frame of a group that begins with a keyframe."""
    decoder = FrameDecoder(lambda: None)
    frames: list[DecodedFrame] = []
    for unit in group:
        frames = decoder.decode(unit) or frames
    frames = decoder.drain() or frames
    return frames[-1].av_frame if frames else None


def draw_box(pixels: Pixels, region: Any, color: tuple[int, int, int]) -> None:
    """Draw the outline of a Region into RGB pixels of shape (height, width, 3), in place."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = region.pixels(width, height)
    line = max(min(width, height) // 180, 2)
    outer = slice(max(top - line, 0), bottom + line), slice(max(left - line, 0), right + line)
    inside = pixels[top:bottom, left:right].copy()
    pixels[outer] = color
    pixels[top:bottom, left:right] = inside


def sentence_of(error: BaseException) -> str:
    """Return the first line of an error's message."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def files_of(error: BaseException | None) -> tuple[Path, ...]:
    """Return the files that an error of `expect` names."""
    return error.files if isinstance(error, ExpectationError) else ()
