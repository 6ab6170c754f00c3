"""What every app of the emulator is: buttons, keys, a look, and how it is drawn."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Final

from streamer.emulator.apps.paint import (
    ACCENT,
    ACCENT_PRESSED,
    INK,
    LINE,
    PRESSED,
    SURFACE,
    Paint,
    Rect,
)
from streamer.emulator.device import Package
from streamer.emulator.picture import Color, Picture

STATUS_BAR: Final = 26.0  # dp
NAVIGATION_BAR: Final = 42.0
APP_BAR: Final = 56.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where apps are shown: the screen's size in dp, and how long a frame is shown, in seconds."""

    width: float
    height: float
    frame_s: float

    @property
    def top(self) -> float:
        """Where an app begins."""
        return STATUS_BAR

    @property
    def body(self) -> float:
        """Where an app with a title bar begins below that."""
        return STATUS_BAR + APP_BAR

    @property
    def bottom(self) -> float:
        """Where an app ends."""
        return self.height - NAVIGATION_BAR


class App:
    """One app that runs. Subclasses say what is on the screen; all of it is in dp and in seconds.

    `draw` depends on `look` alone, and what `move` then copies over it on `motion` alone. While neither changes,
    the screen is still.
    """

    title = ""
    shows_presses = True  # a button is drawn darker while a finger is on it

    def __init__(self, package: Package, stage: Stage) -> None:
        self.package = package
        self.stage = stage
        self.pressed = ""  # the button that a finger is on
        self.wish = ""  # what it wants of the phone: a package to open, or "turn"

    def set_stage(self, stage: Stage) -> None:
        """Take over another size."""
        self.stage = stage

    def buttons(self) -> Mapping[str, Rect]:
        """Return what can be tapped now."""
        return {}

    def down(self, name: str, now: float) -> None:
        """A finger goes down on a button, or on "" beside all of them."""

    def tap(self, name: str, now: float) -> None:
        """A button was tapped: the finger went up where it went down."""

    def drag(self, phase: str, distance: float, now: float) -> None:
        """A finger that is no tap any more moves the screen up by `distance`: phases "begin", "move" and "end"."""

    def fingers(self, fingers: Mapping[int, tuple[float, float]], now: float) -> None:
        """Fingers that are down have changed or moved; for apps that want every touch."""

    def write(self, text: str, now: float) -> None:
        """A character was typed; "\\b" deletes, "\\n" is Enter and "\\t" is Tab."""

    def back(self, now: float) -> bool:
        """Go back within the app; false if there is nothing to go back to."""
        return False

    def look(self, now: float) -> Hashable:
        """Return all that `draw` depends on."""
        return self.pressed

    def motion(self, now: float) -> Hashable:
        """Return all that `move` depends on."""
        return None

    def draw(self, paint: Paint, now: float) -> None:
        """Draw the app between `stage.top` and `stage.bottom`."""

    def move(self, picture: Picture, paint: Paint, now: float) -> None:
        """Copy what moves into a picture that has the rest."""

    def draw_bar(self, paint: Paint, title: str = "") -> None:
        """Draw the title bar."""
        paint.fill(Rect(0, self.stage.top, self.stage.width, APP_BAR), SURFACE)
        paint.fill(Rect(0, self.stage.body - 1, self.stage.width, 1), LINE)
        paint.text(20, self.stage.top + APP_BAR / 2, title or self.title, 21, INK)

    def draw_button(self, paint: Paint, name: str, text: str, *, color: Color = ACCENT, is_filled: bool = True) -> None:
        """Draw one of `buttons`."""
        rect = self.buttons()[name]
        is_pressed = self.shows_presses and self.pressed == name
        if is_filled:
            paint.box(rect, ACCENT_PRESSED if is_pressed else color, min(rect.height / 2, 14))
        else:
            paint.outline(rect, LINE, min(rect.height / 2, 14), inside=PRESSED if is_pressed else SURFACE)
        paint.text(*rect.center, text, 16, SURFACE if is_filled else color, anchor="mm")


def rows(
    stage: Stage, names: tuple[str, ...], *, top: float, height: float = 52.0, gap: float = 12.0
) -> dict[str, Rect]:
    """Return buttons below each other; in two columns on a wide screen."""
    columns = 2 if stage.width > stage.height else 1
    width = (stage.width - 40 - 16 * (columns - 1)) / columns
    return {
        name: Rect(20 + (width + 16) * (index % columns), top + (height + gap) * (index // columns), width, height)
        for index, name in enumerate(names)
    }
