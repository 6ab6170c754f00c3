"""The texts on the screen, for models that read better than they see. They need the extra `ocr`."""

import contextlib
import importlib.util
import re
from typing import Any, Final, NamedTuple

import av

from streamer.errors import StreamerError
from streamer.media.playback.video_frames import VideoFrame
from streamer.session import Session
from streamer.targets.matches import Match

_LINE: Final = re.compile(r".+")


class Text(NamedTuple):
    """A line of text and the middle of it, as fractions of the screen."""

    text: str
    x: float
    y: float


def can_read() -> bool:
    """Whether the extra `ocr` is installed."""
    return all(importlib.util.find_spec(name) for name in ("rapidocr", "onnxruntime", "cv2"))


class Texts:
    """Reads the texts of a screen, if `is_on`. A frame that is still on the screen is read once."""

    def __init__(self, *, is_on: bool) -> None:
        self._is_on = is_on
        self._last: tuple[av.VideoFrame | None, list[Text]] = None, []

    async def all(self, session: Session, frame: VideoFrame) -> dict[str, Any]:
        """Return all texts, in reading order."""
        return {"texts": await self._read(session, frame)} if self._is_on else {}

    async def changes(self, session: Session, frame: VideoFrame) -> dict[str, Any]:
        """Return the texts that came, or moved, and those that went since the last reading."""
        if not self._is_on:
            return {}
        before = self._last[1]
        now = await self._read(session, frame)
        left = {each.text for each in now}
        return {
            "texts_came": [each for each in now if each not in before],
            "texts_gone": list(dict.fromkeys(each.text for each in before if each.text not in left)),
        }

    async def _read(self, session: Session, frame: VideoFrame) -> list[Text]:
        """Return the texts on the newest frame; those of the last reading if it cannot be read any more."""
        if self._last[0] is not frame.av_frame:
            with contextlib.suppress(StreamerError):
                matches = await session.get_by_text(_LINE).find_all()
                read = matches[0].frame if matches else frame
                self._last = read.av_frame, [_text_of(match) for match in matches]
        return self._last[1]


def _text_of(match: Match) -> Text:
    x, y = match.center
    return Text(match.text or "", round(x / match.frame.width, 3), round(y / match.frame.height, 3))
