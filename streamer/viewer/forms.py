"""The forms in which a page gets an encoded stream: the access units themselves, or MP4 fragments of one frame each.

A form takes the units in their order and returns what the page is sent. Taking a keyframe may block for some
milliseconds: do it in a thread.
"""

from typing import Final, Protocol

import av

from streamer import AccessUnit, StreamerError
from streamer.codec_table import CODECS
from streamer.media.recording.mp4 import Mp4, Track, video_sample
from streamer.media.recording.muxers import video_track
from streamer.viewer import messages

_LASTS_NS: Final = 3_600_000_000_000  # a frame lasts until the next one: a still screen must not run out of buffer


class StreamForm(Protocol):
    """A form of one page's stream."""

    def take(self, unit: AccessUnit, *, is_old: bool = False) -> list[str | bytes]:
        """Return what the page is sent of a unit; an old one is from before the page came."""


class Units:
    """The units as they are, for WebCodecs."""

    def __init__(self) -> None:
        self._codec = ""

    def take(self, unit: AccessUnit, *, is_old: bool = False) -> list[str | bytes]:
        """Return the unit's message; before the first keyframe of a codec, the codec."""
        sent: list[str | bytes] = [messages.media_message(unit, is_old=is_old)]
        if unit.kind == "video" and unit.is_keyframe and (codec := messages.codec_string(unit)) != self._codec:
            self._codec = codec
            sent.insert(0, messages.said("format", codec=codec))
        return sent


class Mp4Fragments:
    """MP4 fragments of one frame each, for Media Source Extensions. Audio comes as it is.

    A new head precedes a keyframe whose parameter sets or size are others than before. A stream that MP4 cannot hold
    has no type, and neither has one that reorders frames: the page places each frame when it comes.
    """

    def __init__(self) -> None:
        self._mp4: Mp4 | None = None
        self._track: Track | None = None
        self._type: str | None = ""
        self._frames = 0
        self._newest: int | None = None

    def take(self, unit: AccessUnit, *, is_old: bool = False) -> list[str | bytes]:
        """Return a fragment of the frame; before a keyframe, what has changed."""
        if unit.kind == "audio":
            return [messages.media_message(unit, is_old=is_old)]
        is_back = self._newest is not None and unit.rtp_time < self._newest and not unit.is_keyframe
        self._newest = unit.rtp_time
        sent: list[str | bytes] = []
        if unit.is_keyframe or is_back:
            sent += self._begin(unit, None if is_back else _open_track(unit))
        if self._mp4 is not None and self._track is not None:
            self._frames += 1
            sample = video_sample(unit.codec.name, unit.data)
            self._mp4.add(self._track, sample, self._frames, is_key=unit.is_keyframe)
            now_ns = self._frames * 1_000_000_000 // self._track.clock_rate
            fragment = self._mp4.fragment(0, now_ns + _LASTS_NS)
            sent.append(messages.fragment_message(unit, fragment, is_old=is_old))
        return sent

    def _begin(self, unit: AccessUnit, track: Track | None) -> list[str | bytes]:
        sent: list[str | bytes] = []
        before = self._track
        codec = messages.codec_string(unit) if unit.is_keyframe else ""
        kind = None if track is None else f'video/mp4; codecs="{codec.replace("hev1", "hvc1")}"'
        if kind != self._type:
            self._type = kind
            sent.append(messages.said("format", codec=codec, type=kind))
        if track is None:
            self._track = self._mp4 = None
        elif before is None or _description(track) != _description(before):
            self._track, self._mp4 = track, Mp4([track])
            self._mp4.is_indexed = False  # there is no file to be completed
            sent.append(messages.head_message(self._mp4.head()))
        return sent


def _description(track: Track) -> tuple[bytes, int, int]:
    return track.entry, track.width, track.height


def _open_track(keyframe: AccessUnit) -> Track | None:
    """Return the track of a keyframe's stream; None if an MP4 cannot hold it."""
    if ".mp4" not in CODECS[keyframe.codec.name].containers:
        return None
    try:
        return video_track(keyframe)
    except (StreamerError, av.FFmpegError):  # the next keyframe may be better
        return None
