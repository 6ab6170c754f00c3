"""Dialogs and toasts: what comes over an app, and what goes by itself."""

from collections.abc import Hashable, Mapping
from typing import Final

from streamer.emulator.apps.app import App, Stage, rows
from streamer.emulator.apps.paint import ACCENT, DANGER, INK, PRESSED, QUIET, SURFACE, Paint, Rect
from streamer.emulator.device import Package

SHORT_S: Final = 0.2  # how long toasts are visible
LONG_S: Final = 2.0
_BUTTONS: Final = ("Toast of 0.2 s", "Toast of 2 s", "Delete a note")


class Notices(App):
    """Two toasts, one of which is shorter than most tools' look, and a dialog."""

    title = "Notices"

    def __init__(self, package: Package, stage: Stage) -> None:
        super().__init__(package, stage)
        self._toast = ("", 0.0)  # its text, and when it goes
        self._asks = False
        self._notes = 3

    def buttons(self) -> Mapping[str, Rect]:
        """Return the buttons, or the dialog's while it asks."""
        if not self._asks:
            return rows(self.stage, _BUTTONS, top=self.stage.body + 64)
        dialog = self._dialog
        width = (dialog.width - 60) / 2
        return {
            "Cancel": Rect(dialog.x + 20, dialog.y + 104, width, 46),
            "Delete": Rect(dialog.x + 40 + width, dialog.y + 104, width, 46),
        }

    @property
    def _dialog(self) -> Rect:
        width = min(self.stage.width - 48, 320.0)
        middle = (self.stage.top + self.stage.bottom) / 2
        return Rect((self.stage.width - width) / 2, middle - 85, width, 170)

    def tap(self, name: str, now: float) -> None:
        """Show a toast, ask, or take an answer."""
        if name == _BUTTONS[0]:
            self._toast = ("Saved", now + SHORT_S)
        elif name == _BUTTONS[1]:
            self._toast = ("Sent to Ann", now + LONG_S)
        elif name == _BUTTONS[2]:
            self._asks = True
        else:
            self._asks = False
            if name == "Delete":
                self._notes = max(self._notes - 1, 0)
                self._toast = ("Note deleted", now + LONG_S)

    def back(self, now: float) -> bool:
        """Close the dialog."""
        asked, self._asks = self._asks, False
        return asked

    def look(self, now: float) -> Hashable:
        """Return what is open."""
        text, until = self._toast
        return self.pressed, self._asks, self._notes, text if now < until else ""

    def draw(self, paint: Paint, now: float) -> None:
        """Draw the page, then what is over it."""
        stage = self.stage
        self.draw_bar(paint)
        paint.text(20, stage.body + 34, f"{self._notes} notes", 18, QUIET)
        for name, rect in rows(stage, _BUTTONS, top=stage.body + 64).items():
            if self._asks:
                paint.outline(rect, PRESSED, 14)
                paint.text(*rect.center, name, 16, QUIET, anchor="mm")
            else:
                self.draw_button(paint, name, name, is_filled=False)
        if self._asks:
            paint.box(_grown(self._dialog, 3), (190, 195, 205), 19)
            paint.box(self._dialog, SURFACE, 16)
            paint.text(self._dialog.x + 22, self._dialog.y + 36, "Delete this note?", 20, INK)
            paint.text(self._dialog.x + 22, self._dialog.y + 70, "This cannot be undone.", 15, QUIET)
            self.draw_button(paint, "Cancel", "Cancel", color=ACCENT, is_filled=False)
            self.draw_button(paint, "Delete", "Delete", color=DANGER)
        text, until = self._toast
        if now < until:
            width = paint.text_width(text, 15) + 44
            toast = Rect((stage.width - width) / 2, stage.bottom - 64, width, 40)
            paint.box(toast, (48, 51, 58), 20)
            paint.text(*toast.center, text, 15, SURFACE, anchor="mm")


def _grown(rect: Rect, by: float) -> Rect:
    return Rect(rect.x - by, rect.y - by, rect.width + 2 * by, rect.height + 2 * by)
