"""An encoder that stands still."""

import threading
from collections.abc import Callable
from typing import Any

import av

from streamer.media.recording.transcode import Transcode, open_encoder

GOOD = 30  # frames that the encoder takes before it stands still


class StandingStill:
    """An encoder that takes so many frames, and then waits for something that does not come."""

    def __init__(self, encoder: av.VideoCodecContext, come: threading.Event) -> None:
        self._encoder = encoder
        self._come = come
        self._taken = 0
        self.width, self.height, self.time_base = encoder.width, encoder.height, encoder.time_base

    def encode(self, frame: av.VideoFrame | None) -> "list[av.Packet[Any]]":
        self._taken += 1
        if self._taken > GOOD or frame is None:
            self._come.wait()
            return []
        return self._encoder.encode(frame)


def stand_still(come: threading.Event) -> Callable[[Transcode, av.VideoFrame], StandingStill]:
    """Return what opens such an encoder, in place of `open_encoder`."""
    return lambda options, first: StandingStill(open_encoder(options, first), come)
