"""Every screen of the emulator's apps at 720x1280, as a frame, with the labels that are on it."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import av

from streamer.emulator.apps import Desktop
from streamer.emulator.apps.paint import Image
from streamer.emulator.device import BUILT_IN, Animations, Launch, Package, Packages
from streamer.emulator.input_frames import DOWN, UP, Key, Point, Touch
from streamer.media.playback.video_frames import VideoFrame

WIDTH, HEIGHT = 720, 1280
KEY_BACK, KEY_ENTER, KEY_RECENTS = 4, 66, 187
SHOP: Final = Package(name="com.example.shop", label="Shop", version="3.2.1")


class Screen(NamedTuple):
    """A screen, and every label on it, each as often as it is there."""

    name: str
    image: Image
    labels: tuple[str, ...]


class Hand:
    """Draws the emulator's apps, and touches them. Places are in dp: the screen is 360 wide."""

    def __init__(self, app: str = "") -> None:
        self.desktop = Desktop(WIDTH, HEIGHT, fps=30)
        self.now = 0.0
        self.desktop.receive(Animations(are_on=False), self.now)
        self.desktop.receive(Packages((*BUILT_IN, SHOP)), self.now)
        if app:
            self.desktop.receive(
                Launch(next(package for package in (*BUILT_IN, SHOP) if package.name.endswith(app))), self.now
            )
        self.draw()

    def draw(self, after_s: float = 1.0) -> Image:
        """Return what is on the screen a while later."""
        self.now += after_s
        return self.desktop.draw(self.now)

    def tap(self, x: float, y: float) -> None:
        """Tap a place."""
        for action in (DOWN, UP):
            self.desktop.receive(Touch(action, (Point(0, x / 360, y / 640),)), self.now)

    def press(self, code: int) -> None:
        """Press a key of Android."""
        for action in (DOWN, UP):
            self.desktop.receive(Key(action, code), self.now)

    def type(self, text: str) -> None:
        """Type small letters, "@" and "."."""
        for character in text:
            self.press({"@": 77, ".": 56}.get(character) or 29 + ord(character) - ord("a"))


_NOTICES: Final = ("Notices", "Toast of 0.2 s", "Toast of 2 s", "Delete a note")
_KEYS: Final = ("space", "Enter")  # a letter alone is not a label: there is nothing to tell an l from an I by


def screens() -> Iterator[Screen]:
    """Draw every screen."""
    yield _screen(
        "launcher",
        Hand(),
        ("Good to see you", "Settings", "Sign in", "Notices", "Slow page", "Motion", "Canvas", "Player", "Shop"),
    )
    yield _screen(
        "settings",
        Hand("settings"),
        (
            *("Settings", "Turn the screen", "The frame's width and height change places", "Wi-Fi", "emulator-5G"),
            *("Bluetooth", "Headphones", "Aeroplane mode", "All radios", "Mobile data", "5 GB a month"),
            *("Hotspot", "4 devices at most", "Notifications", "From every app", "Sound"),
        ),
    )
    hand = Hand("settings")
    hand.press(KEY_RECENTS)
    yield _screen("recents", hand, ("Recent apps", "Settings", "Open"))
    yield from _sign_in()
    yield from _notices()
    yield _screen(
        "slow",
        Hand("slow"),
        ("Slow page", *("after the touch",) * 5, "0 ms", "50 ms", "100 ms", "300 ms", "1000 ms"),
    )
    yield _screen("motion", Hand("motion"), ("Motion", "Play", "Drop 1 frame", "Drop 3 frames", "Slow fade"))
    yield _screen("canvas", Hand("canvas"), ("Draw here", "Clear"))
    yield _screen("player", Hand("player"), ("Player", "Pause", "The video and the clock never rest."))
    yield _screen("shop", Hand("shop"), ("Shop", "Shop 3.2.1", "com.example.shop", "Tapped 0 times"))


def _sign_in() -> Iterator[Screen]:
    email, password, submit = (180, 131), (180, 213), (180, 295)
    hand = Hand("signin")
    yield _screen("sign in", hand, ("Sign in", "E-mail", "Password", "Sign in"))
    hand.tap(*submit)
    errors = ("Enter an e-mail address, such as ann@example.com", "Enter at least 4 characters")
    yield _screen("errors", hand, ("Sign in", "E-mail", "Password", "Sign in", *errors))
    hand.tap(*email)
    yield _screen("keyboard", hand, ("Sign in", "Password", "Sign in", *_KEYS))
    hand.type("ann@example.com")
    hand.tap(*password)
    hand.type("secret")
    yield _screen("typed", hand, ("Sign in", "ann@example.com", "Sign in", *_KEYS))
    hand.press(KEY_ENTER)
    yield _screen("signing in", hand, ("Sign in", "Signing in …"), after_s=0.1)
    yield _screen("welcome", hand, ("Account", "Welcome, Ann", "You are signed in.", "Sign out"))


def _notices() -> Iterator[Screen]:
    short, long, delete, yes = (180, 172), (180, 236), (180, 300), (253, 354)
    hand = Hand("notices")
    yield _screen("notices", hand, (*_NOTICES, "3 notes"))
    hand.tap(*short)
    yield _screen("short toast", hand, (*_NOTICES, "3 notes", "Saved"), after_s=0.1)
    hand.draw()
    hand.tap(*long)
    yield _screen("long toast", hand, (*_NOTICES, "3 notes", "Sent to Ann"))
    hand.draw(3.0)
    hand.tap(*delete)
    hidden = ("Notices", "3 notes", "Toast of 0.2 s")
    yield _screen("dialog", hand, (*hidden, "Delete this note?", "This cannot be undone.", "Cancel", "Delete"))
    hand.tap(*yes)
    yield _screen("deleted", hand, (*_NOTICES, "2 notes", "Note deleted"))


def _screen(name: str, hand: Hand, labels: tuple[str, ...], *, after_s: float = 1.0) -> Screen:
    return Screen(name, hand.draw(after_s), (*labels, "12:00"))


def frame_of(image: Image) -> VideoFrame:
    """Return an image as a frame."""
    height, width = image.shape[:2]
    return VideoFrame(
        width=width,
        height=height,
        sequence=0,
        rtp_time=0,
        arrival_ns=0,
        received_at=0.0,
        decoded_ns=0,
        captured_at=None,
        is_keyframe=True,
        discontinuity=False,
        av_frame=av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p"),
    )


def without_spaces(text: str) -> str:
    """Return a text as readers of text are trusted with it."""
    return "".join(text.replace("…", "...").split())
