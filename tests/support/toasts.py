"""The emulator's app with the toasts, which notes what it draws: on a busy machine it may be late for a short one."""

from streamer.emulator.apps.app import Stage
from streamer.emulator.apps.notices import Notices
from streamer.emulator.apps.paint import Paint
from streamer.emulator.device import Package

PACKAGE = "com.example.notices"
SHORT = "Saved"  # what the toast of 0.2 s says


class NotedNotices(Notices):
    """The app. `drawn` has the text of the toast on each frame that was drawn, "" without one.

    Put it into `desktop._APPS` before the app is opened.
    """

    drawn: list[str]
    last: "NotedNotices"  # that was opened

    def __init__(self, package: Package, stage: Stage) -> None:
        super().__init__(package, stage)
        self.drawn = []
        NotedNotices.last = self

    def draw(self, paint: Paint, now: float) -> None:
        """Draw the page."""
        super().draw(paint, now)
        text, until = self._toast
        self.drawn.append(text if now < until else "")
