"""A page that answers as late as it is told: the reaction time of each pad is known."""

from collections.abc import Hashable, Mapping
from typing import Final

from streamer.emulator.apps.app import App, Stage
from streamer.emulator.apps.home import COLORS
from streamer.emulator.apps.paint import INK, LINE, QUIET, SURFACE, Paint, Rect
from streamer.emulator.device import Package

WAITING_LIMIT: Final = 100  # answers that are not yet due; a further touch has none


class Slow(App):
    """A pad for each reaction time: so long after a finger went down on it, the field changes its color, once.

    Nothing else changes: no pad shows that it is pressed. `delays` are the reaction times in milliseconds.
    """

    title = "Slow page"
    shows_presses = False

    def __init__(self, package: Package, stage: Stage, delays: tuple[int, ...]) -> None:
        super().__init__(package, stage)
        self._delays = delays
        self._due: list[float] = []
        self._answers = 0

    def buttons(self) -> Mapping[str, Rect]:
        """Return the pads."""
        stage = self.stage
        columns = 1 if stage.height > stage.width else len(self._delays)
        rows = -(-len(self._delays) // columns)
        top = stage.body + (stage.bottom - stage.body) * 0.36
        width, height = (stage.width - 28) / columns, (stage.bottom - top - 12) / rows
        return {
            str(delay): Rect(20 + width * (index % columns), top + height * (index // columns), width - 12, height - 10)
            for index, delay in enumerate(self._delays)
        }

    def down(self, name: str, now: float) -> None:
        """Answer later."""
        if name and len(self._due) < WAITING_LIMIT:
            self._due.append(now + int(name) / 1000)

    def look(self, now: float) -> Hashable:
        """Return how many answers are due."""
        self._answers += sum(due <= now for due in self._due)
        self._due = [due for due in self._due if due > now]
        return self._answers

    def draw(self, paint: Paint, now: float) -> None:
        """Draw the field and the pads."""
        stage, pads = self.stage, self.buttons()
        self.draw_bar(paint)
        field_bottom = min(pad.y for pad in pads.values()) - 14
        field = Rect(20, stage.body + 14, stage.width - 40, field_bottom - stage.body - 14)
        paint.box(field, COLORS[self._answers % len(COLORS)], 16)
        paint.text(*field.center, f"{self._answers}", 44, SURFACE, anchor="mm")
        for name, pad in pads.items():
            paint.outline(pad, LINE, 12)
            x, y = pad.center
            paint.text(x, y - 8, f"{name} ms", 18, INK, anchor="mm")
            paint.text(x, y + 13, "after the touch", 12, QUIET, anchor="mm")
