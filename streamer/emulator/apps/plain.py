"""An app that was installed: its name, its version, and a button that counts."""

from collections.abc import Hashable, Mapping

from streamer.emulator.apps.app import App, Stage
from streamer.emulator.apps.home import draw_icon
from streamer.emulator.apps.paint import INK, QUIET, Paint, Rect
from streamer.emulator.device import Package


class Plain(App):
    """Count how often its button was tapped."""

    def __init__(self, package: Package, stage: Stage) -> None:
        super().__init__(package, stage)
        self.title = package.label
        self._count = 0

    def buttons(self) -> Mapping[str, Rect]:
        """Return the button."""
        return {"Count": Rect(20, self.stage.body + 150, self.stage.width - 40, 50)}

    def tap(self, name: str, now: float) -> None:
        """Count."""
        self._count += 1

    def look(self, now: float) -> Hashable:
        """Return the count."""
        return self.pressed, self._count

    def draw(self, paint: Paint, now: float) -> None:
        """Draw the app."""
        middle, top = self.stage.width / 2, self.stage.body
        draw_icon(paint, self.package, middle - 34, top + 20, 68)
        paint.text(middle, top + 110, f"{self.package.label} {self.package.version}", 20, INK, anchor="mm")
        paint.text(middle, top + 134, self.package.name, 14, QUIET, anchor="mm")
        self.draw_button(paint, "Count", f"Tapped {self._count} times")
        self.draw_bar(paint)
