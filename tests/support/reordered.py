"""Streams whose frames are shown in another order than they are decoded in, as a phone sends them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from streamer.media.access_unit import AccessUnit
from streamer.media.recording.segment_writer import Writer
from streamer.media.recording.segments import Limits
from streamer.tracks import Codec
from tests.support.recordings import START
from tests.support.segment_writers import FRAME_NS, S, feed, new
from tests.support.senders import access_unit

FRAME = 3000  # ticks


def as_sent(codec: str, made: Iterable[tuple[int, bytes]], keyframes: Iterable[int] = (0,)) -> list[AccessUnit]:
    """Return units that arrive as a phone sends them: a B-frame right after the frame that it refers to."""
    kind, newest, units = Codec(name=codec, clock_rate=90_000), 0, []
    for position, (number, data) in enumerate(made):
        newest = max(newest, number)
        arrival_ns = (START + FRAME * newest) * S // 90_000 + position
        rtp_time = START + FRAME * number
        units.append(access_unit(data, rtp_time, codec=kind, keyframe=position in keyframes, arrival_ns=arrival_ns))
    return units


def record(
    target: Path,
    units: Sequence[AccessUnit],
    *,
    limits: Limits | None = None,
    has_audio: bool = False,
    start_ns: int | None = None,
) -> tuple[Writer, bytes]:
    """Record units; return with the writer what a process that is killed right before the end leaves."""
    writer = new(target, has_audio=has_audio, limits=limits, start_ns=start_ns)
    feed(writer, units)
    left = writer.path.read_bytes()
    writer.close(units[-1].arrival_ns + FRAME_NS, "stopped")
    return writer, left
