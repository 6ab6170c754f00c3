"""What a recording is made of, and what libavformat and libavcodec find in it."""

import contextlib
import io
import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame

from streamer.media.access_unit import AccessUnit
from streamer.tracks import Codec
from tests.support.senders import OPUS, access_unit, content, encoded, encoded_as, made_once

SUFFIXES = (".mp4", ".mkv", ".webm", ".ts")
START = 900_000  # the RTP time of the first frame: ten seconds after the clock's zero, when it arrives too
STREAM = encoded(12, keyframe_every=6)


def video(
    stream: Sequence[bytes] = STREAM, *, start: int = START, codec: str = "h264", keyframe_every: int = 6
) -> list[AccessUnit]:
    """Return units of 30 frames a second."""
    kind = Codec(name=codec, clock_rate=90_000)
    keyframe = None if codec == "h264" else True
    units = []
    for number, data in enumerate(stream):
        is_key = keyframe if keyframe is None else number % keyframe_every == 0
        units.append(access_unit(data, start + 3000 * number, codec=kind, keyframe=is_key))
    return units


def video_as(codec: str, frames: int = 12, *, start: int = START) -> list[AccessUnit]:
    """Return units of a codec, every sixth a keyframe."""
    return video(encoded_as(codec, frames, keyframe_every=6), start=start, codec=codec)


@made_once
def audio(packets: int, *, start: int = 480_000) -> list[AccessUnit]:
    """Return packets of 20 ms that begin when `video` does."""
    context = av.AudioCodecContext.create("libopus", "w")
    context.sample_rate, context.layout, context.format = 48_000, "stereo", "s16"
    made: list[bytes] = []
    for number in range(packets):
        samples = (8000 * np.sin(np.arange(1920) / 40 + number)).astype(np.int16).reshape(1, -1)
        frame = AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
        frame.sample_rate, frame.pts = 48_000, 960 * number
        made += [bytes(packet) for packet in context.encode(frame)]
    return [access_unit(data, start + 960 * number, codec=OPUS, ssrc=2) for number, data in enumerate(made)]


def interleaved(*streams: Sequence[AccessUnit]) -> list[AccessUnit]:
    """Return units in the order of their arrival."""
    return sorted((unit for stream in streams for unit in stream), key=lambda unit: unit.arrival_ns)


class Found(NamedTuple):
    """One packet of a file."""

    time: Fraction  # seconds
    data: bytes
    is_keyframe: bool
    duration: Fraction


def packets(source: Path | bytes, kind: str = "video", *, format_name: str | None = None) -> list[Found]:
    """Return what a file holds of a kind."""
    with av.open(io.BytesIO(source) if isinstance(source, bytes) else source, "r", format=format_name) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        base = stream.time_base or Fraction(0)
        return [
            Found(packet.pts * base, bytes(packet), packet.is_keyframe, (packet.duration or 0) * base)
            for packet in container.demux(stream)
            if packet.pts is not None
        ]


def times(path: Path, kind: str = "video") -> list[float]:
    """Return when each packet of a kind is shown or heard, in seconds; of a file of days, too."""
    with av.open(path) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        base = float(stream.time_base or 0)
        return [packet.pts * base for packet in container.demux(stream) if packet.pts is not None]


def pieces(codec: str, data: bytes) -> list[bytes]:
    """Return what a packet of a file holds, in the form in which `content` gives what an access unit holds."""
    if codec == "av1":
        return [data.removeprefix(b"\x12\x00")]
    if codec not in {"h264", "h265"}:
        return [data]
    found, position = [], 0
    while position + 4 < len(data):
        (size,) = struct.unpack_from(">I", data, position)
        found.append(data[position + 4 : position + 4 + size])
        position += 4 + size
    return found if position == len(data) else content(codec, data)  # lengths that do not fit are start codes


def sent(unit: AccessUnit) -> list[bytes]:
    """Return what an access unit holds, to be set beside `pieces`."""
    return pieces(unit.codec.name, unit.data)


def streams(path: Path) -> list[str]:
    with av.open(path) as container:
        return [
            {"hevc": "h265", "libdav1d": "av1"}.get(s.codec_context.name, s.codec_context.name)
            for s in container.streams
        ]


def duration_s(path: Path) -> float:
    with av.open(path) as container:
        return (container.duration or 0) / av.time_base


def frames(path: Path) -> list[npt.NDArray[np.uint8]]:
    """Return the decoded frames; a part of the file that is missing at its end is passed over."""
    shown: list[npt.NDArray[np.uint8]] = []
    with av.open(path) as container, contextlib.suppress(av.FFmpegError):
        container.streams.video[0].thread_count = 1
        shown.extend(frame.to_ndarray().astype(np.uint8) for frame in container.decode(video=0))
    return shown


def boxes(path: Path) -> list[str]:
    """Return the names of an MP4's outermost boxes."""
    data, position, names = path.read_bytes(), 0, []
    while position < len(data):
        size, name = struct.unpack_from(">I4s", data, position)
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, position + 8)
        names.append(name.decode())
        position += size
    assert position == len(data)
    return names


def frame_count(path: Path) -> int:
    """Return how many frames of a file decode."""
    with av.open(path) as container:
        return sum(1 for _ in container.decode(video=0))
