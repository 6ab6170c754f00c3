"""The launcher and the list of recent apps."""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Final

import numpy as np

from streamer.emulator.apps.app import App, Stage
from streamer.emulator.apps.paint import ACCENT, INK, PRESSED, QUIET, SURFACE, Image, Paint, Rect
from streamer.emulator.apps.scrolling import Scroller
from streamer.emulator.device import BUILT_IN, LAUNCHER, Package
from streamer.emulator.picture import Color

COLORS: Final[tuple[Color, ...]] = (
    (25, 103, 210),
    (19, 115, 51),
    (197, 57, 41),
    (176, 96, 0),
    (132, 48, 206),
    (0, 121, 140),
    (181, 50, 102),
    (74, 84, 160),
)
_PLACES: Final = {package.name: place for place, package in enumerate(BUILT_IN)}
_ICON: Final = 58.0
_ROW: Final = 104.0
_HEAD: Final = 76.0


def color_of(package: Package) -> Color:
    """Return the color of an app's icon."""
    return COLORS[_PLACES.get(package.name, sum(package.name.encode())) % len(COLORS)]


def draw_icon(paint: Paint, package: Package, x: float, y: float, size: float, *, is_pressed: bool = False) -> None:
    """Draw an app's icon with its upper left corner at a place."""
    color = color_of(package)
    dark = tuple(channel * 3 // 4 for channel in color)
    paint.box(Rect(x, y, size, size), (dark[0], dark[1], dark[2]) if is_pressed else color, size * 0.27)
    paint.text(x + size / 2, y + size / 2, package.label[:1], size * 0.5, SURFACE, anchor="mm")


class Home(App):
    """The launcher: an icon for each app that is installed, which opens it."""

    def __init__(self, package: Package, stage: Stage, packages: Sequence[Package]) -> None:
        super().__init__(package, stage)
        self._scroller = Scroller()
        self._offset = 0.0  # as it was looked at last
        self._packages: tuple[Package, ...] = ()
        self.set_packages(packages)

    def set_packages(self, packages: Sequence[Package]) -> None:
        """Show other apps."""
        self._packages = tuple(package for package in packages if package.name != LAUNCHER)
        self.set_stage(self.stage)

    def set_stage(self, stage: Stage) -> None:
        """Take over another size."""
        self.stage = stage
        self._scroller.set_end(self._height - (stage.bottom - stage.top))

    @property
    def _columns(self) -> int:
        return max(int(self.stage.width // 88), 1)

    @property
    def _height(self) -> float:
        return _HEAD + _ROW * math.ceil(len(self._packages) / self._columns)

    def buttons(self) -> Mapping[str, Rect]:
        """Return the icons with their labels."""
        stage, across = self.stage, self.stage.width / self._columns
        top = stage.top + _HEAD - self._offset
        found = {
            package.name: Rect(
                across * (index % self._columns), top + _ROW * (index // self._columns), across, _ROW - 10
            )
            for index, package in enumerate(self._packages)
        }
        return {name: icon for name, icon in found.items() if stage.top < icon.center[1] < stage.bottom}

    def tap(self, name: str, now: float) -> None:
        """Open an app."""
        self.wish = name

    def drag(self, phase: str, distance: float, now: float) -> None:
        """Scroll."""
        self._scroller.follow(phase, distance, now)

    def look(self, now: float) -> Hashable:
        """Return which icons there are, and how far they are scrolled."""
        self._offset = self._scroller.offset(now)
        return self.pressed, self._packages, round(self._offset * 8)

    def draw(self, paint: Paint, now: float) -> None:
        """Draw the icons on the wallpaper."""
        wallpaper, stage = _wallpaper(paint), self.stage
        paint.put_image(wallpaper, 0)
        paint.text(20, stage.top + 34 - self._offset, "Good to see you", 24, SURFACE)
        labels = {package.name: package for package in self._packages}
        for name, place in self.buttons().items():
            x, _ = place.center
            draw_icon(paint, labels[name], x - _ICON / 2, place.y, _ICON, is_pressed=self.pressed == name)
            paint.text(x, place.y + _ICON + 16, labels[name].label, 13, SURFACE, anchor="mm")
        paint.put_image(wallpaper[: paint.px(stage.top)], 0)
        paint.put_image(wallpaper[paint.px(stage.bottom) :], stage.bottom)


def _wallpaper(paint: Paint) -> Image:
    def draw() -> None:
        y, x = np.mgrid[0 : paint.height, 0 : paint.width].astype(np.float32)
        y, x = y / paint.height, x / paint.width
        waves = 0.5 + 0.5 * np.sin(3 * x + 5 * y + 0.8 * np.sin(6 * x - 3 * y))
        mix = (0.75 * y + 0.25 * waves)[..., None]
        mixed = np.array((24, 48, 104)) * (1 - mix) + np.array((104, 44, 92)) * mix
        paint.put_image(mixed.astype(np.uint8), 0)

    return paint.layer("wallpaper", paint.height / paint.unit, draw)


class Recents(App):
    """The apps that run, the newest first."""

    title = "Recent apps"

    def __init__(self, package: Package, stage: Stage, running: Sequence[Package]) -> None:
        super().__init__(package, stage)
        self._running = tuple(running)
        self._scroller = Scroller()
        self._offset = 0.0
        self.set_stage(stage)

    def set_stage(self, stage: Stage) -> None:
        """Take over another size."""
        self.stage = stage
        self._scroller.set_end(16 + 84 * len(self._running) - (stage.bottom - stage.body))

    def buttons(self) -> Mapping[str, Rect]:
        """Return a card for each app."""
        top = self.stage.body + 16 - self._offset
        cards = {
            package.name: Rect(20, top + 84 * index, self.stage.width - 40, 72)
            for index, package in enumerate(self._running)
        }
        return {name: card for name, card in cards.items() if card.y + 36 > self.stage.body}

    def tap(self, name: str, now: float) -> None:
        """Open an app again."""
        self.wish = name

    def drag(self, phase: str, distance: float, now: float) -> None:
        """Scroll."""
        self._scroller.follow(phase, distance, now)

    def look(self, now: float) -> Hashable:
        """Return what the cards depend on."""
        self._offset = self._scroller.offset(now)
        return self.pressed, self._running, round(self._offset * 8)

    def draw(self, paint: Paint, now: float) -> None:
        """Draw the cards."""
        for package in self._running:
            card = self.buttons().get(package.name)
            if card is not None and card.y < self.stage.bottom:
                paint.box(card, PRESSED if self.pressed == package.name else SURFACE)
                draw_icon(paint, package, card.x + 14, card.y + 14, 44)
                paint.text(card.x + 74, card.y + 36, package.label, 18, INK)
                paint.text(card.x + card.width - 16, card.y + 36, "Open", 15, ACCENT, anchor="rm")
        if not self._running:
            middle = (self.stage.body + self.stage.bottom) / 2
            paint.text(self.stage.width / 2, middle, "No recent apps", 17, QUIET, anchor="mm")
        self.draw_bar(paint)
