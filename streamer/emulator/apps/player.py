"""A screen that never rests: a video and a clock, until it is paused."""

from collections.abc import Hashable, Mapping
from typing import Final

import numpy as np

from streamer.emulator.apps.app import App, Stage
from streamer.emulator.apps.paint import INK, LINE, QUIET, Paint, Rect
from streamer.emulator.device import Package
from streamer.emulator.picture import Picture

_SPEED: Final = 48.0  # dp a second
_DIGIT: Final = 22.0  # dp, of the clock


class Player(App):
    """A video that moves with every frame, and a clock with tenths of a second."""

    title = "Player"

    def __init__(self, package: Package, stage: Stage) -> None:
        super().__init__(package, stage)
        self._began: float | None = None  # when it would have begun, had it never been paused
        self._paused = 0.0  # how much of it was played when it was paused
        self._is_paused = False

    @property
    def _video(self) -> Rect:
        stage = self.stage
        height = min((stage.width - 40) * 0.62, stage.bottom - stage.body - 150)
        return Rect(20, stage.body + 16, stage.width - 40, height)

    @property
    def _clock(self) -> Rect:
        return Rect(20, self._video.y + self._video.height + 10, self.stage.width - 40, 46)

    def buttons(self) -> Mapping[str, Rect]:
        """Return the button that pauses."""
        return {"Pause": Rect(20, self._clock.y + 52, self.stage.width - 40, 50)}

    def tap(self, name: str, now: float) -> None:
        """Pause, or go on."""
        played = self._played(now)
        self._is_paused = not self._is_paused
        self._paused, self._began = played, now - played

    def _played(self, now: float) -> float:
        if self._is_paused:
            return self._paused
        if self._began is None:
            self._began = now
        return max(now - self._began, 0.0)

    def look(self, now: float) -> Hashable:
        """Return what the button depends on."""
        return self.pressed, self._is_paused

    def motion(self, now: float) -> Hashable:
        """Return how much was played: to the frame, while it plays."""
        return round(self._played(now) / self.stage.frame_s)

    def draw(self, paint: Paint, now: float) -> None:
        """Draw what rests."""
        self.draw_bar(paint)
        paint.box(self._video, LINE, 0)
        self.draw_button(paint, "Pause", "Play" if self._is_paused else "Pause")
        paint.text(20, self.buttons()["Pause"].y + 72, "The video and the clock never rest.", 14, QUIET)

    def move(self, picture: Picture, paint: Paint, now: float) -> None:
        """Copy the video and the clock's digits."""
        played, video = round(self._played(now) / self.stage.frame_s) * self.stage.frame_s, self._video
        top, bottom = paint.px(video.y), paint.px(video.y + video.height)
        left, right = paint.px(video.x), paint.px(video.x + video.width)
        texture = paint.picture("video", video.height * 2, lambda: _draw_video(paint))
        offset = paint.px(played * _SPEED) % max(texture.height - (bottom - top), 1)
        picture.put(texture, left, top, left=left, top=offset, width=right - left, height=bottom - top)
        digits = paint.picture("digits", 40, lambda: _draw_digits(paint))
        width, y = paint.px(_DIGIT), paint.px(self._clock.y)
        for place, each in enumerate(f"{int(played) // 60 % 100:02}:{int(played) % 60:02}.{int(played * 10) % 10}"):
            x = paint.px(20) + place * width
            picture.put(digits, x, y, left="0123456789:.".index(each) * width, width=width)


def _draw_video(paint: Paint) -> None:
    rows, columns = paint.px(2 * 420), paint.width
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32) / (90 * paint.unit)
    waves = [np.sin(x * a + y * b + phase) for a, b, phase in ((1.1, 0.7, 0.0), (-0.6, 1.3, 2.0), (0.4, 1.9, 4.0))]
    colors = np.stack([128 + 80 * wave for wave in waves], axis=-1)
    paint.put_image(colors.astype(np.uint8), 0)


def _draw_digits(paint: Paint) -> None:
    for place, each in enumerate("0123456789:."):
        paint.text((place + 0.5) * _DIGIT, 22, each, 34, INK, anchor="mm")
