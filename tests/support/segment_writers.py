"""Streams put into a segment writer as their clock says."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

from streamer.media.access_unit import AccessUnit
from streamer.media.recording.containers import container_of
from streamer.media.recording.segment_writer import Between, Destination, Writer
from streamer.media.recording.segments import Limits, Manifest
from tests.support.recordings import START, SUFFIXES
from tests.support.senders import VIDEO_CODECS, access_unit, encoded

S = 1_000_000_000
HELD = [
    (suffix, codec) for suffix in SUFFIXES for codec in VIDEO_CODECS if codec in container_of(Path(f"a{suffix}")).codecs
]
FRAME_NS = S // 30
WALL_NS = 1_800_000_000 * S


class Asked:
    """Counts the keyframes that are asked for."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def new(
    target: Path | IO[bytes],
    *,
    has_audio: bool = False,
    limits: Limits | None = None,
    manifest: Path | None = None,
    start_ns: int | None = None,
    now_ns: int = 0,
    asked: Callable[[], None] = lambda: None,
    interruptions: Between = lambda *_: (),
) -> Writer:
    return Writer(
        Destination(target),
        has_audio=has_audio,
        limits=limits or Limits(),
        manifest=None if manifest is None else Manifest(manifest),
        start_ns=start_ns,
        now_ns=now_ns,
        wall_ns=WALL_NS,
        ask_keyframe=asked,
        interruptions=interruptions,
    )


def write(writer: Writer, units: Sequence[AccessUnit], *, still_ns: int = FRAME_NS) -> None:
    """Write units, and close `still_ns` after the last frame."""
    feed(writer, units)
    last_ns = max(unit.arrival_ns for unit in units if unit.kind == "video")
    writer.close(last_ns + still_ns, "stopped")


def feed(writer: Writer, units: Sequence[AccessUnit]) -> None:
    """Put units, with four ticks a second."""
    ticked_ns = units[0].arrival_ns
    for unit in units:
        while ticked_ns + S // 4 <= unit.arrival_ns:
            ticked_ns += S // 4
            writer.tick(ticked_ns)
        writer.put(unit)


def long_video(seconds: int, *, keyframe_every: int = 10, noise: bool = False) -> list[AccessUnit]:
    """Return ten frames a second."""
    stream = encoded(40, keyframe_every=10, noise=noise)
    units = [access_unit(stream[number % 40], START + 9000 * number) for number in range(10 * seconds)]
    return [replace(unit, is_keyframe=number % keyframe_every == 0) for number, unit in enumerate(units)]
