"""The emulated phone's screen: which app is in front, and what becomes of touches and keys."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Final

from streamer.emulator.apps import keyboard
from streamer.emulator.apps.app import NAVIGATION_BAR, STATUS_BAR, App, Stage
from streamer.emulator.apps.home import Home, Recents
from streamer.emulator.apps.motion import Motion
from streamer.emulator.apps.notices import Notices
from streamer.emulator.apps.paint import INK, LINE, SURFACE, Image, Paint, Rect
from streamer.emulator.apps.plain import Plain
from streamer.emulator.apps.player import Player
from streamer.emulator.apps.settings import Settings
from streamer.emulator.apps.signin import SignIn
from streamer.emulator.apps.slow import Slow
from streamer.emulator.apps.touches import Canvas
from streamer.emulator.device import (
    BUILT_IN,
    LAUNCHER,
    Animations,
    Boot,
    Clear,
    DeviceEvent,
    Launch,
    LetGo,
    Package,
    Packages,
    Stop,
    Turn,
)
from streamer.emulator.input_frames import DOWN, FINGERS_LIMIT, MOVE, UP, Key, Touch
from streamer.emulator.picture import Picture

RUNNING_LIMIT: Final = 16  # apps that run; the one that was not in front for longest is ended
TRANSITION_S: Final = 0.25  # how long an app slides in or out; touches that begin meanwhile are lost
SLOP: Final = 10.0  # dp that a finger may move and still tap
REACTIONS_MS: Final = (0, 50, 100, 300, 1000)
KEY_HOME, KEY_BACK, KEY_RECENTS = 3, 4, 187  # of Android
_BACK, _HOME, _RECENTS = "back", "home", "recents"  # the navigation bar's buttons


@dataclass(slots=True)
class _Transition:
    """One app slides in over another one, or out."""

    began: float | None  # when its first frame is shown; None before that
    leaving: App
    opens: bool
    picture: Picture | None = None  # of the app that leaves


@dataclass(slots=True)
class _Press:
    """The first finger, from where it went down to where it is."""

    finger: int
    button: str
    is_on_bar: bool  # the navigation bar
    x: float
    y: float
    is_drag: bool = False


class Desktop:
    """The screen as a machine: `receive` tells it what happens, `draw` gives the frame of a moment.

    Times are in seconds and never go back. `has_changed` says whether `draw` would give another frame than before.
    `reactions_ms` are the reaction times of the slow page's pads.
    """

    def __init__(self, width: int, height: int, *, fps: int, reactions_ms: tuple[int, ...] = REACTIONS_MS) -> None:
        self._paints = {(width, height): Paint(width, height)}
        self.size = width, height
        self._fps = fps
        self._reactions_ms = reactions_ms
        self._packages = {package.name: package for package in BUILT_IN}
        self._stage = self._make_stage()
        self._home = Home(self._packages[LAUNCHER], self._stage, tuple(self._packages.values()))
        self._running: dict[str, App] = {}  # the last one was in front last
        self._front: App = self._home
        self._transition: _Transition | None = None
        self._fingers: dict[int, tuple[float, float]] = {}
        self._press: _Press | None = None
        self._shifts: set[int] = set()
        self._is_animated = True
        self._now = 0.0
        self._shown: Hashable = None
        self._base: tuple[Hashable, Picture] | None = None

    @property
    def in_front(self) -> str:
        """The package of the app that is in front."""
        return self._front.package.name

    def set_fps(self, fps: int) -> None:
        """Move animations on by another share of a second with each frame."""
        if fps != self._fps:
            self._fps = fps
            self._set_stage()

    def receive(self, event: DeviceEvent, now: float) -> None:
        """Take an event."""
        now = self._go_on(now)
        match event:
            case Touch():
                self._touch(event, now)
            case Key():
                self._key(event, now)
            case Launch(package) if package.name in self._packages:
                self._open(package.name)
            case Stop(name) | Clear(name):
                self._end(name)
            case Packages(packages):
                self._packages = {package.name: package for package in packages}
                self._home.set_packages(packages)
            case Animations(are_on):
                self._is_animated = are_on
            case Turn():
                self._turn()
            case LetGo():
                self._let_go()
            case Boot():
                self._boot()
        self._grant_wish()

    def _boot(self) -> None:
        self._running.clear()
        self._is_animated = True
        self._show(self._home, opens=False)
        self._transition = None

    def has_changed(self, now: float) -> bool:
        """Whether the frame of this moment is another one than the last one that was drawn."""
        return self._look(self._go_on(now)) != self._shown

    def draw(self, now: float) -> Image:
        """Return the frame of a moment, of shape (height, width, 3), RGB. It is the caller's to keep."""
        picture = Picture(*self.size)
        self.draw_into(picture, now)
        return picture.to_rgb()

    def draw_into(self, picture: Picture, now: float) -> None:
        """Draw the frame of a moment, over the whole of a picture of this `size`."""
        now = self._go_on(now)
        self._shown = self._look(now)
        transition = self._transition
        if transition is not None:
            self._slide(transition, picture, now)
        else:
            self._draw_app(picture, self._front, now)

    def _go_on(self, now: float) -> float:
        """Return the time, which never goes back, and end a transition whose time is up."""
        self._now = max(now, self._now)
        transition = self._transition
        if transition is not None and transition.began is not None and self._progress(self._now) >= 1:
            self._transition = None
        return self._now

    def _look(self, now: float) -> Hashable:
        """Return all that the frame depends on."""
        transition = self._transition
        if transition is not None and transition.began is None:
            transition.began = now
        step = None if transition is None else (id(transition), round(self._progress(now) * 1000))
        front = self._front
        return self.size, type(front), front.package, front.look(now), front.motion(now), step

    def _progress(self, now: float) -> float:
        """Return how much of the transition is over: it begins fast and ends slowly."""
        transition = self._transition
        if transition is None or transition.began is None:
            return 0.0
        share = (now - transition.began + 1 / self._fps) / TRANSITION_S
        return 1.0 if share >= 1 else 1 - (1 - share) ** 3

    def _draw_app(self, picture: Picture, app: App, now: float, *, is_kept: bool = True) -> None:
        paint = self._paints[self.size]
        key = self.size, type(app), app.package, app.look(now)
        if self._base is not None and self._base[0] == key:
            base = self._base[1]
        else:
            base = Picture.from_rgb(paint.frame(lambda: self._draw_base(paint, app, now)))
            if is_kept:
                self._base = key, base
        picture.put(base)
        app.move(picture, paint, now)

    def _draw_base(self, paint: Paint, app: App, now: float) -> None:
        app.draw(paint, now)
        stage, is_home = self._stage, app is self._home
        ink = SURFACE if is_home else INK
        if not is_home:
            paint.fill(Rect(0, 0, stage.width, STATUS_BAR), SURFACE)
            paint.fill(Rect(0, stage.bottom, stage.width, NAVIGATION_BAR), SURFACE)
            paint.fill(Rect(0, stage.bottom, stage.width, 1), LINE)
        middle, right = STATUS_BAR / 2, stage.width - 14
        paint.text(14, middle, "12:00", 13, ink)
        paint.box(Rect(right - 20, middle - 5, 18, 10), ink, 2)
        paint.fill(Rect(right - 2, middle - 2, 2, 4), ink)
        for bar in range(4):
            paint.fill(Rect(right - 46 + 5 * bar, middle + 5 - 2.5 * (bar + 1), 3, 2.5 * (bar + 1)), ink)
        for name, rect in self._bar().items():
            x, y = rect.center
            if name == _BACK:
                paint.line([(x + 5, y - 8), (x - 6, y), (x + 5, y + 8)], ink, 2.4)
            elif name == _HOME:
                paint.dot(x, y, 8, ink)
            else:
                paint.box(Rect(x - 7, y - 7, 14, 14), ink, 3)

    def _slide(self, transition: _Transition, picture: Picture, now: float) -> None:
        """Draw the app in front and the one that leaves, the upper one of them on its way."""
        leaving, progress = transition.picture, self._progress(now)
        if leaving is None:
            leaving = transition.picture = Picture(*self.size)
            self._draw_app(leaving, transition.leaving, now, is_kept=False)
        front = Picture(*self.size)
        self._draw_app(front, self._front, now)
        lower, upper = (leaving, front) if transition.opens else (front, leaving)
        picture.put(lower)
        picture.put(upper, y=round(picture.height * (1 - progress if transition.opens else progress)))

    def _make_stage(self) -> Stage:
        width, height = self.size
        unit = min(self.size) / 360
        return Stage(width=width / unit, height=height / unit, frame_s=1 / self._fps)

    def _set_stage(self) -> None:
        self._stage = self._make_stage()
        for app in {id(app): app for app in (self._home, self._front, *self._running.values())}.values():
            app.set_stage(self._stage)

    def _turn(self) -> None:
        self.size = self.size[1], self.size[0]
        if self.size not in self._paints:
            self._paints[self.size] = Paint(*self.size)
        self._transition = None
        self._let_go()
        self._set_stage()

    def _bar(self) -> dict[str, Rect]:
        """Return the navigation bar's buttons."""
        stage = self._stage
        width = min(stage.width, 360.0) / 3
        left = (stage.width - 3 * width) / 2
        return {
            name: Rect(left + width * index, stage.bottom, width, NAVIGATION_BAR)
            for index, name in enumerate((_BACK, _HOME, _RECENTS))
        }

    def _touch(self, touch: Touch, now: float) -> None:
        width, height = self._stage.width, self._stage.height
        for point in touch.points:
            x, y = min(max(point.x, 0.0), 1.0) * width, min(max(point.y, 0.0), 1.0) * height
            if touch.action == DOWN:
                self._finger_down(point.finger, x, y, now)
            elif point.finger in self._fingers and touch.action == MOVE:
                self._finger_moves(point.finger, x, y, now)
            elif touch.action == UP:
                self._finger_up(point.finger, x, y, now)
        front, stage = self._front, self._stage
        within = {finger: place for finger, place in self._fingers.items() if stage.top <= place[1] < stage.bottom}
        front.fingers(within, now)

    def _finger_down(self, finger: int, x: float, y: float, now: float) -> None:
        if self._transition is not None or finger in self._fingers or len(self._fingers) >= FINGERS_LIMIT:
            return
        self._fingers[finger] = x, y
        if self._press is not None:
            return
        button = _at(self._bar(), x, y)
        self._press = _Press(finger, button, bool(button), x, y)
        if not button:
            self._press.button = self._front.pressed = _at(self._front.buttons(), x, y)
            self._front.down(self._press.button, now)

    def _finger_moves(self, finger: int, x: float, y: float, now: float) -> None:
        self._fingers[finger] = x, y
        press = self._press
        if press is None or finger != press.finger or press.is_on_bar:
            return
        if not press.is_drag and max(abs(x - press.x), abs(y - press.y)) > SLOP:
            press.is_drag, self._front.pressed = True, ""
            self._front.drag("begin", 0.0, now)
        if press.is_drag:
            self._front.drag("move", press.y - y, now)

    def _finger_up(self, finger: int, x: float, y: float, now: float) -> None:
        if finger in self._fingers and self._fingers[finger] != (x, y):  # the moves to there were lost
            self._finger_moves(finger, x, y, now)
        place, press = self._fingers.pop(finger, None), self._press
        if place is None or press is None or finger != press.finger:
            return
        self._press, front = None, self._front
        front.pressed = ""
        if press.is_drag:
            front.drag("end", press.y - place[1], now)
        elif press.is_on_bar:
            if _at(self._bar(), *place) == press.button:
                self._navigate(press.button, now)
        elif press.button and _at(front.buttons(), *place) == press.button:
            front.tap(press.button, now)

    def _key(self, key: Key, now: float) -> None:
        if key.code in keyboard.SHIFT_KEYS:
            (self._shifts.discard if key.action == UP else self._shifts.add)(key.code)
        if key.action != DOWN:
            return
        names = {KEY_BACK: _BACK, KEY_HOME: _HOME, KEY_RECENTS: _RECENTS}
        if key.code in names:
            self._navigate(names[key.code], now)
        else:
            has_shift = bool(key.modifiers & keyboard.SHIFT or self._shifts)
            if text := keyboard.character(key.code, has_shift=has_shift):
                self._front.write(text, now)

    def _navigate(self, button: str, now: float) -> None:
        front = self._front
        if button == _RECENTS and not isinstance(front, Recents):
            running = [app.package for app in reversed(self._running.values())]
            self._show(Recents(self._packages[LAUNCHER], self._stage, running), opens=True)
        elif button == _HOME or (button == _BACK and not front.back(now)):
            self._show(self._home, opens=False)

    def _grant_wish(self) -> None:
        wish, self._front.wish = self._front.wish, ""
        if wish == "turn":
            self._turn()
        elif wish:
            self._open(wish)

    def _open(self, name: str) -> None:
        if name == LAUNCHER:
            self._show(self._home, opens=False)
            return
        app = self._running.pop(name, None) or self._make_app(self._packages[name])
        self._running[name] = app
        while len(self._running) > RUNNING_LIMIT:
            del self._running[next(iter(self._running))]
        self._show(app, opens=True)

    def _make_app(self, package: Package) -> App:
        if package.name == "com.example.slow":
            return Slow(package, self._stage, self._reactions_ms)
        return _APPS.get(package.name, Plain)(package, self._stage)

    def _end(self, name: str) -> None:
        app = self._running.pop(name, None)
        if app is not None and app is self._front:
            self._show(self._home, opens=False)

    def _show(self, app: App, *, opens: bool) -> None:
        """Bring an app to the front."""
        if app is self._front:
            return
        self._let_go()
        self._transition = _Transition(None, self._front, opens) if self._is_animated else None
        self._front = app

    def _let_go(self) -> None:
        """Lift the fingers that are down, so that none of them taps."""
        press, self._press = self._press, None
        self._front.pressed = ""
        if press is not None and press.is_drag:
            self._front.drag("end", press.y - self._fingers[press.finger][1], self._now)
        if self._fingers:
            self._fingers.clear()
            self._front.fingers({}, self._now)


def _at(buttons: Mapping[str, Rect], x: float, y: float) -> str:
    """Return the button at a place; "" if there is none."""
    return next((name for name, rect in buttons.items() if rect.contains(x, y)), "")


_APPS: Final[dict[str, Callable[[Package, Stage], App]]] = {
    "com.android.settings": Settings,
    "com.example.signin": SignIn,
    "com.example.notices": Notices,
    "com.example.motion": Motion,
    "com.example.canvas": Canvas,
    "com.example.player": Player,
}
