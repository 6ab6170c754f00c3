"""What a test has left in its folder: its timeline and its video; pages of it, and two of them compared."""

import base64
import importlib.resources
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

import av
import numpy as np
import numpy.typing as npt

from streamer.atomic_file import write_atomically
from streamer.errors import ConfigurationError
from streamer.media.playback.images import encode_image, yuv_of
from streamer.timeline.comparison import Pair, PictureDifference, compare
from streamer.timeline.pages import compare_page, show_page
from streamer.timeline.records import decode
from streamer.timeline.runs import Run, Stage, run_of
from streamer.watch.difference import Difference, difference_of, draw_difference
from streamer.watch.region import Region

TIMELINE: Final = "timeline.jsonl"
EMBED_LIMIT: Final = 24 * 1024 * 1024  # bytes of a video that is put into a page; a larger one stays beside it
REST_S: Final = 0.2  # a screen is at rest if it looked the same so long before; less than the quiet that waits want
BEFORE_S: Final = 0.02  # the answer to an action does not come sooner: the frame of then is what the action found
CARET: Final = (0.012, 0.06)  # of the screen's width and height: what is no larger may be a caret, which blinks


@dataclass(frozen=True, slots=True)
class Replay:
    """A run, and the video of it, if there is one."""

    run: Run
    video: Path | None


@dataclass(frozen=True, slots=True)
class Picture:
    """What the screen showed at a moment, as RGB of shape (height, width, 3), and whether it was at rest."""

    pixels: npt.NDArray[np.uint8]
    is_at_rest: bool


def _lack(path: Path) -> str:
    if not path.exists():
        return "which does not exist: check its name"
    if inner := sorted(path.glob(f"*/{TIMELINE}")):
        return f"which holds the folders of {len(inner)} tests: name one of them, such as {inner[0].parent}"
    return "which has none: run pytest with --phone-timeline on"


def read_replay(folder: str | os.PathLike[str]) -> Replay:
    """Read a test's folder, or its `timeline.jsonl`. Raises ConfigurationError if there is no timeline."""
    path = Path(folder)
    file = path / TIMELINE if path.is_dir() else path
    try:
        with file.open("rb") as lines:
            run = run_of(decode(lines))
    except FileNotFoundError:
        raise ConfigurationError(f"expected a test's folder with {TIMELINE}, got {path}, {_lack(path)}") from None
    except OSError as error:
        raise ConfigurationError(f"cannot read {file}: {error.strerror or error}") from error
    video = None if run.video is None else file.parent / run.video.path
    return Replay(run, video if video is not None and video.is_file() else None)


def write_page(replay: Replay, page: Path, *, embed_limit: int = EMBED_LIMIT) -> None:
    """Write the page of a run. It has the video in it, unless that is larger than `embed_limit`, in bytes.

    Raises RecordingError if it cannot be written.
    """
    text = show_page(_template(), replay.run, _address(replay.video, page, embed_limit))
    write_atomically(page, text.encode())


def write_comparison(
    good: Replay,
    bad: Replay,
    pairs: tuple[Pair, ...],
    page: Path,
    *,
    ignore: Iterable[Region],
    embed_limit: int = EMBED_LIMIT,
) -> None:
    """Write the page of two runs. Raises RecordingError if it cannot be written."""
    videos = _address(good.video, page, embed_limit), _address(bad.video, page, embed_limit)
    text = compare_page(_template(), (good.run, bad.run), videos, pairs, _pictures_of(good, bad, pairs, tuple(ignore)))
    write_atomically(page, text.encode())


def compare_replays(
    good: Replay, bad: Replay, *, ignore: Iterable[Region], least_s: float, share: float
) -> tuple[Pair, ...]:
    """Compare two runs, with their pictures if both have a video. The regions of `ignore` do not count in pictures."""
    ignored = tuple(ignore)
    if good.video is None or bad.video is None:
        return compare(good.run, bad.run, least_s=least_s, share=share)
    seen_good, seen_bad = _seen(good, good.run.stages), _seen(bad, bad.run.stages)

    def look(one: Stage, other: Stage) -> PictureDifference | Literal["alike", "unknown"]:
        first, second = seen_good(one), seen_bad(other)
        if first is None or second is None or not (first.is_at_rest and second.is_at_rest):
            return "unknown"
        found = _difference(first.pixels, second.pixels, ignored)
        if found is None:
            return PictureDifference(1.0, (0.0, 0.0, 1.0, 1.0))
        if found.region is None:
            return "alike"
        height, width = found.pixels.shape
        left, top, right, bottom = found.region.pixels(width, height)
        area = left / width, top / height, (right - left) / width, (bottom - top) / height
        return PictureDifference(found.share, area)

    return compare(good.run, bad.run, look, least_s=least_s, share=share)


def pictures_at(video: Path, times_s: Sequence[float]) -> list[Picture | None]:
    """Return what a video shows at each moment, in seconds from its beginning; None before its first frame.

    Raises ConfigurationError if it cannot be decoded.
    """
    moments = sorted({moment for time_s in times_s for moment in (time_s - REST_S, time_s)})
    shown: dict[float, av.VideoFrame | None] = {}
    last: av.VideoFrame | None = None
    try:
        with av.open(video) as container:
            begin_s = float((container.streams.video[0].start_time or 0) * (container.streams.video[0].time_base or 0))
            for frame in container.decode(video=0):
                while len(shown) < len(moments) and (frame.time or 0.0) - begin_s > moments[len(shown)]:
                    shown[moments[len(shown)]] = last
                last = frame
    except (av.FFmpegError, IndexError) as error:
        raise ConfigurationError(f"cannot decode the video {video}: {error}") from error
    shown |= dict.fromkeys(moments[len(shown) :], last)
    return [_picture(shown[time_s - REST_S], shown[time_s]) for time_s in times_s]


def _picture(before: av.VideoFrame | None, now: av.VideoFrame | None) -> Picture | None:
    if now is None:
        return None
    pixels = _pixels(now)
    is_same = before is now or (before is not None and _is_alike(_pixels(before), pixels))
    return Picture(pixels, is_same)


def _is_alike(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> bool:
    found = _difference(one, other, ())
    return found is not None and found.region is None


def _pixels(frame: av.VideoFrame) -> npt.NDArray[np.uint8]:
    return np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)


def _difference(
    one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8], ignore: tuple[Region, ...]
) -> Difference | None:
    """Return how two pictures differ, but for a caret; None if they are not of one size."""
    if one.shape != other.shape:
        return None
    found = difference_of(yuv_of(one), yuv_of(other), ignore)
    if found.region is not None:
        height, width = found.pixels.shape
        if found.region.width <= max(CARET[0] * width, 4) and found.region.height <= CARET[1] * height:
            return Difference(0.0, None, np.zeros_like(found.pixels))
    return found


def _seen(replay: Replay, stages: Sequence[Stage]) -> Callable[[Stage], Picture | None]:
    """Return what the screen showed once each stage was over."""
    assert replay.video is not None and replay.run.video is not None  # noqa: S101, PT018 - the caller looked
    begin = replay.run.video.at
    pictures = pictures_at(replay.video, [stage.shown_at - begin - BEFORE_S for stage in stages])
    return dict(zip(stages, pictures, strict=True)).get


def _pictures_of(good: Replay, bad: Replay, pairs: tuple[Pair, ...], ignore: tuple[Region, ...]) -> dict[str, str]:
    """Return the pictures of the first step whose pictures differ, and what differs, as addresses."""
    pair = next((pair for pair in pairs if pair.picture is not None), None)
    if pair is None or pair.good is None or pair.bad is None:
        return {}
    first, second = _seen(good, [pair.good])(pair.good), _seen(bad, [pair.bad])(pair.bad)
    if first is None or second is None:
        return {}
    images = {"good": first.pixels, "bad": second.pixels}
    if (found := _difference(first.pixels, second.pixels, ignore)) is not None:
        images["difference"] = draw_difference(yuv_of(second.pixels), found)
    return {name: _data_address("image/png", encode_image(pixels, "png")) for name, pixels in images.items()}


def _address(video: Path | None, page: Path, embed_limit: int) -> str | None:
    if video is None:
        return None
    if video.stat().st_size <= embed_limit:
        kind = "webm" if video.suffix == ".webm" else "mp4"
        return _data_address(f"video/{kind}", video.read_bytes())
    return quote(os.path.relpath(video.resolve(), page.resolve().parent).replace(os.sep, "/"))


def _data_address(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _template() -> str:
    return importlib.resources.files("streamer.timeline").joinpath("page.html").read_text(encoding="utf-8")
