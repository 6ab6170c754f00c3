"""Animations whose every frame is known: one that is smooth, two that drop frames, a fade that hardly changes."""

from collections.abc import Hashable, Mapping
from typing import Final

from streamer.emulator.apps.app import App, Stage, rows
from streamer.emulator.apps.paint import ACCENT, LINE, Paint, Rect
from streamer.emulator.device import Package
from streamer.emulator.picture import Picture, gray_of

LENGTH_S: Final = 1.0  # how long the ball is under way
FADE_FROM, FADE_TO = 231, 141  # the fade's levels, of luma; each frame is one darker
_DROPPED: Final = {"Play": 0, "Drop 1 frame": 1, "Drop 3 frames": 3}
_BUTTONS: Final = (*_DROPPED, "Slow fade")
_BALL: Final = 46.0


class Motion(App):
    """A ball that goes across the screen within a second, a step a frame. A dropped frame repeats the one before it."""

    title = "Motion"
    shows_presses = False  # the first frame that changes is the animation's first

    def __init__(self, package: Package, stage: Stage) -> None:
        super().__init__(package, stage)
        self._played = ""
        self._began: float | None = None  # when the frame before its first was shown
        self._is_right = False  # where the ball rests

    def buttons(self) -> Mapping[str, Rect]:
        """Return the buttons."""
        buttons = rows(self.stage, _BUTTONS, top=0, height=48, gap=10)
        height = max(rect.y + rect.height for rect in buttons.values())
        top = self.stage.bottom - height - 14
        return {name: Rect(rect.x, rect.y + top, rect.width, rect.height) for name, rect in buttons.items()}

    def tap(self, name: str, now: float) -> None:
        """Play an animation."""
        self.motion(now)
        self._played, self._began = name, None

    def look(self, now: float) -> Hashable:
        """Return what the buttons and the track depend on."""
        return self.pressed

    def motion(self, now: float) -> Hashable:
        """Return where the ball is, and the fade's level."""
        return self._place(now), self._level(now)

    def _frame(self, now: float) -> int:
        """Return the number of the animation's frame; its first is 1."""
        if self._began is None:
            self._began = now - self.stage.frame_s
        return int((now - self._began) / self.stage.frame_s + 0.5)

    def _place(self, now: float) -> float:
        """Return how far the ball is from the left: 0 to 1."""
        if self._played in _DROPPED:
            frame, last, dropped = self._frame(now), round(LENGTH_S / self.stage.frame_s), _DROPPED[self._played]
            if frame < last:
                if last // 2 <= frame < last // 2 + dropped:
                    frame = last // 2 - 1
                return abs(self._is_right - frame / last)
            self._played, self._is_right = "", not self._is_right
        return float(self._is_right)

    def _level(self, now: float) -> int:
        """Return the fade's level."""
        if self._played == "Slow fade":
            if (level := FADE_FROM - self._frame(now)) >= FADE_TO:
                return level
            self._played = ""
        return FADE_FROM

    @property
    def _track(self) -> Rect:
        bottom = min(rect.y for rect in self.buttons().values()) - 16
        return Rect(20, self.stage.body + 16, self.stage.width - 40, bottom - self.stage.body - 16)

    def draw(self, paint: Paint, now: float) -> None:
        """Draw the track and the buttons; the ball comes with `move`."""
        self.draw_bar(paint)
        paint.outline(self._track, LINE, 16, inside=gray_of(FADE_FROM))
        for name in _BUTTONS:
            self.draw_button(paint, name, name, is_filled=name == "Play")

    def move(self, picture: Picture, paint: Paint, now: float) -> None:
        """Copy the ball, and the fade."""
        track, place, level = self._track, self._place(now), self._level(now)
        if level != FADE_FROM:
            edges = (track.x + 18, track.y + 18, track.x + track.width - 18, track.y + track.height - 18)
            left, top, right, bottom = map(paint.px, edges)
            picture.fill(left, top, right, bottom, gray_of(level))
        ball = paint.sprite("ball", _BALL, _BALL, ACCENT, _BALL / 2)
        x = track.x + 14 + place * (track.width - 28 - _BALL)
        ball.put(picture, paint.px(x), paint.px(track.y + track.height / 2 - _BALL / 2))
