"""The phone of the twenty steps: where things are on its screen, and what can be read off a frame."""

from typing import Any, Final

import numpy as np

import streamer
from streamer import emulator

WIDTH, HEIGHT = 360, 640  # a density-independent pixel is a pixel
OPTIONS: Final[dict[str, Any]] = {"width": WIDTH, "height": HEIGHT, "fps": 30, "audio": False, "screen": "apps"}
LIMIT_S: Final = 60.0  # of each wait: none ends well because its time is up

LAUNCHER: Final = "com.android.launcher3"
SETTINGS: Final = "com.android.settings"
SIGN_IN: Final = "com.example.signin"
NOTICES: Final = "com.example.notices"
CANVAS: Final = "com.example.canvas"

# The launcher
SETTINGS_ICON: Final = (45, 149)
SIGN_IN_ICON: Final = (135, 149)
NOTICES_ICON: Final = (225, 149)
BESIDE_THE_S: Final = (114, 131, "#c53929")  # on the icon of Sign in: a place and its color
# Sign in
EMAIL, PASSWORD, SUBMIT = (180, 131), (180, 213), (180, 295)
EMAIL_FIELD: Final = streamer.Region(20, 100, 320, 62)
PASSWORD_FIELD: Final = streamer.Region(20, 182, 320, 62)
FORM: Final = streamer.Region(0, 90, 360, 290)
BESIDE_THE_A: Final = (8, 494)  # on the soft keyboard, if it is there
KEYBOARD, PAGE = "#d6dae2", "#f6f7fa"
SUBMIT_BUTTON: Final = (40, 280, "#1967d2")
# Settings
WIFI_SWITCH: Final = (302, 184, "#1967d2")  # at the top of the list
LIST: Final = streamer.Region(0, 82, 360, 516)
# Canvas
PAPER: Final = streamer.Region(0, 90, 360, 470)
MIDDLE: Final = (180, 340)
WHITE: Final = "#ffffff"
# Notices
TOAST_BUTTON, DIALOG_BUTTON, CANCEL_BUTTON = (180, 236), (180, 300), (107, 354)
TOAST: Final = (133, 554, "#30333a")
DELETE_BUTTON: Final = (202, 354, "#c5221f")
BAR: Final = (340, 40)  # an app's title bar: when it slides in, this comes last
# Recent apps
SECOND_CARD: Final = (180, 218)
SECOND_ICON: Final = (40, 218, "#b53266")

RED, GREEN, BLUE = (197, 34, 31), (19, 115, 51), (25, 103, 210)
_DOWN, _UP = 0, 1


def count(frame: streamer.VideoFrame, color: tuple[int, int, int], region: streamer.Region) -> int:
    """Return how many pixels of a region have about that color."""
    left, top, right, bottom = region.pixels(frame.width, frame.height)
    pixels = np.asarray(frame)[top:bottom, left:right].astype(int)
    return int((np.abs(pixels - color).max(axis=2) < 60).sum())


def difference(frame: streamer.VideoFrame, other: streamer.VideoFrame, region: streamer.Region) -> float:
    """Return by how much two frames differ in a region, from 0 to 255, on average."""
    left, top, right, bottom = region.pixels(frame.width, frame.height)
    pixels = (np.asarray(each)[top:bottom, left:right].astype(int) for each in (frame, other))
    return float(np.abs(next(pixels) - next(pixels)).mean())


def check_answer(shown: streamer.Settled) -> None:
    """Check that what `settled` says of an answer agrees with itself."""
    assert 0 < shown.first_change_s <= shown.settled_s, shown
    assert shown.frames == len(shown.gaps_s) + 1, shown


class Inputs:
    """What the phone got on its data channel since the last look."""

    def __init__(self, phone: emulator.EmulatedPhone) -> None:
        self._phone = phone

    def clear(self) -> None:
        """Forget what came."""
        self._phone.inputs.clear()

    def touches(self) -> list[tuple[str, int]]:
        """Return which finger went "down" and "up", in order."""
        touches = [each for each in self._phone.inputs if isinstance(each, emulator.Touch)]
        names = {_DOWN: "down", _UP: "up"}
        return [
            (names[touch.action], point.finger) for touch in touches if touch.action in names for point in touch.points
        ]

    def keys(self) -> int:
        """Return how many keys went down."""
        return sum(isinstance(each, emulator.Key) and each.action == _DOWN for each in self._phone.inputs)
