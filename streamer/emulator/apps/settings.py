"""The settings: a long list that scrolls with inertia and bounces at its ends."""

from collections.abc import Hashable, Mapping
from typing import Final

from streamer.emulator.apps.app import App, Stage
from streamer.emulator.apps.paint import ACCENT, INK, LINE, PRESSED, QUIET, SURFACE, Paint, Rect, put_layer
from streamer.emulator.apps.scrolling import Scroller
from streamer.emulator.device import Package
from streamer.emulator.picture import Picture

TURN: Final = "Turn the screen"
_ROWS: Final = (
    (TURN, "The frame's width and height change places"),
    ("Wi-Fi", "emulator-5G"),
    ("Bluetooth", "Headphones"),
    ("Aeroplane mode", "All radios"),
    ("Mobile data", "5 GB a month"),
    ("Hotspot", "4 devices at most"),
    ("Notifications", "From every app"),
    ("Sound", "Melody at 60 %"),
    ("Vibration", "With each key"),
    ("Dark mode", "From sunset to sunrise"),
    ("Adaptive brightness", "By the light around"),
    ("Night light", "Warmer colors"),
    ("Large text", "115 %"),
    ("Screen saver", "While charging"),
    ("Battery saver", "Below 20 %"),
    ("Backup", "Every night"),
    ("Location", "3 apps"),
    ("Screen lock", "PIN"),
    ("Fingerprint", "2 fingers"),
    ("Automatic updates", "Over Wi-Fi"),
    ("Developer options", "For those who build"),
    ("Show touches", "On this screen"),
    ("USB debugging", "While plugged in"),
    ("About the phone", "emulator, Android 11"),
)
_HEIGHT: Final = 68.0


class Settings(App):
    """Rows that switch something; the first one turns the screen."""

    title = "Settings"

    def __init__(self, package: Package, stage: Stage) -> None:
        super().__init__(package, stage)
        self._on = frozenset({"Wi-Fi", "Notifications", "Backup"})
        self._scroller = Scroller()
        self._offset = 0.0
        self.set_stage(stage)

    def set_stage(self, stage: Stage) -> None:
        """Take over another size."""
        self.stage = stage
        self._scroller.set_end(_HEIGHT * len(_ROWS) - (stage.bottom - stage.body))

    def buttons(self) -> Mapping[str, Rect]:
        """Return the rows of which the middle is visible."""
        top = self.stage.body - self._offset
        found = {
            name: Rect(0, top + _HEIGHT * index, self.stage.width, _HEIGHT) for index, (name, _) in enumerate(_ROWS)
        }
        return {name: row for name, row in found.items() if self.stage.body < row.center[1] < self.stage.bottom}

    def tap(self, name: str, now: float) -> None:
        """Switch a row."""
        if name == TURN:
            self.wish = "turn"
        else:
            self._on ^= {name}

    def drag(self, phase: str, distance: float, now: float) -> None:
        """Scroll."""
        self._scroller.follow(phase, distance, now)

    def look(self, now: float) -> Hashable:
        """Return what the rows depend on."""
        return self.pressed, self._on

    def motion(self, now: float) -> Hashable:
        """Return how far the list is scrolled."""
        self._offset = self._scroller.offset(now)
        return round(self._offset * 8)

    def draw(self, paint: Paint, now: float) -> None:
        """Draw the title; the rows come with `move`."""
        self.draw_bar(paint)

    def move(self, picture: Picture, paint: Paint, now: float) -> None:
        """Copy the rows."""
        page = paint.picture(("settings", self.look(now)), _HEIGHT * len(_ROWS), lambda: self._draw_rows(paint))
        put_layer(picture, page, paint.px(self.stage.body), paint.px(self.stage.bottom), paint.px(self._offset))

    def _draw_rows(self, paint: Paint) -> None:
        paint.fill(Rect(0, 0, self.stage.width, _HEIGHT * len(_ROWS)), SURFACE)
        right = self.stage.width - 20
        for index, (name, about) in enumerate(_ROWS):
            top = _HEIGHT * index
            if self.pressed == name:
                paint.fill(Rect(0, top, self.stage.width, _HEIGHT), PRESSED)
            paint.text(20, top + 24, name, 17, INK)
            paint.text(20, top + 46, about, 13, QUIET)
            paint.fill(Rect(20, top + _HEIGHT - 1, self.stage.width - 40, 1), LINE)
            middle = top + _HEIGHT / 2
            if name == TURN:
                paint.line([(right - 10, middle - 7), (right - 3, middle), (right - 10, middle + 7)], QUIET)
                continue
            is_on = name in self._on
            paint.box(Rect(right - 44, middle - 12, 44, 24), ACCENT if is_on else (176, 181, 191), 12)
            paint.dot(right - 12 if is_on else right - 32, middle, 9, SURFACE)
