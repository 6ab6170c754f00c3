"""A canvas that shows every touch."""

from collections import deque
from collections.abc import Hashable, Mapping
from typing import Final

from streamer.emulator.apps.app import App, Stage
from streamer.emulator.apps.home import COLORS
from streamer.emulator.apps.paint import ACCENT, QUIET, SURFACE, Paint, Rect
from streamer.emulator.device import Package

POINTS_LIMIT: Final = 600  # places that are remembered; the oldest vanish


class Canvas(App):
    """Draw with all fingers: a line for each, a ring where each is now, and the numbers of the last one."""

    title = "Canvas"

    def __init__(self, package: Package, stage: Stage) -> None:
        super().__init__(package, stage)
        self._points: deque[tuple[int, int, float, float]] = deque(maxlen=POINTS_LIMIT)  # stroke, finger, x, y
        self._down: dict[int, tuple[float, float]] = {}
        self._strokes: dict[int, int] = {}  # of the fingers that are down
        self._touches = 0  # fingers that went down
        self._changes = 0

    def set_stage(self, stage: Stage) -> None:
        """Take over another size, on an empty canvas."""
        self.stage = stage
        self._points.clear()

    def buttons(self) -> Mapping[str, Rect]:
        """Return the button that clears."""
        return {"Clear": Rect(self.stage.width - 96, self.stage.top + 9, 80, 38)}

    def tap(self, name: str, now: float) -> None:
        """Begin again."""
        self._points.clear()
        self._touches = 0
        self._changes += 1

    def fingers(self, fingers: Mapping[int, tuple[float, float]], now: float) -> None:
        """Draw where the fingers are."""
        self._changes += 1
        for finger, (x, y) in fingers.items():
            if finger not in self._down:
                self._touches += y >= self.stage.body
                self._strokes[finger] = self._changes
            if self._down.get(finger) != (x, y) and y >= self.stage.body:
                self._points.append((self._strokes[finger], finger, x, y))
        self._down = dict(fingers)
        self._strokes = {finger: stroke for finger, stroke in self._strokes.items() if finger in fingers}

    def look(self, now: float) -> Hashable:
        """Return what was drawn."""
        return self.pressed, self._changes

    def draw(self, paint: Paint, now: float) -> None:
        """Draw the lines and the fingers."""
        stage = self.stage
        paint.fill(Rect(0, stage.body, stage.width, stage.bottom - stage.body), SURFACE)
        strokes: dict[tuple[int, int], list[tuple[float, float]]] = {}
        for stroke, finger, x, y in self._points:
            strokes.setdefault((stroke, finger), []).append((x, y))
        for (_, finger), points in strokes.items():
            color = COLORS[finger % len(COLORS)]
            for x, y in points:
                paint.dot(x, y, 3, color)
            if len(points) > 1:
                paint.line(points, color, 6)
        for finger, (x, y) in self._down.items():
            paint.box(Rect(x - 24, y - 24, 48, 48), COLORS[finger % len(COLORS)], 24)
            paint.box(Rect(x - 20, y - 20, 40, 40), SURFACE, 20)
        if self._points:
            _, finger, x, y = self._points[-1]
            text = f"finger {finger}   x {x / stage.width:.3f}   y {y / stage.height:.3f}"
            paint.text(20, stage.bottom - 22, text, 14, QUIET)
        count = f"{self._touches} touch{'' if self._touches == 1 else 'es'}"
        self.draw_bar(paint, count if self._touches else "Draw here")
        self.draw_button(paint, "Clear", "Clear", color=ACCENT, is_filled=False)
