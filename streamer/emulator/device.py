"""The emulated phone's software, without a picture: its apps, settings and properties, and what its shell is told."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from streamer.emulator.input_frames import Key, Touch

COMMANDS_LIMIT: Final = 1000  # command lines that are remembered; the oldest are forgotten
PACKAGES_LIMIT: Final = 200  # apps; a further one is not installed
SETTINGS_LIMIT: Final = 1000  # values that were put; a further one is not kept
LAUNCHER: Final = "com.android.launcher3"
ANIMATION_SCALES: Final = ("window_animation_scale", "transition_animation_scale", "animator_duration_scale")


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """An app that is installed."""

    name: str  # such as com.example.shop
    label: str  # below its icon
    version: str = "1.0.0"
    activity: str = ".Main"
    is_system: bool = False


class Launch(NamedTuple):
    """An app is started, or comes to the front."""

    package: Package


class Stop(NamedTuple):
    """An app is ended."""

    name: str


class Clear(NamedTuple):
    """An app loses its data, and is ended."""

    name: str


class Packages(NamedTuple):
    """Other apps are installed now: these."""

    packages: tuple[Package, ...]


class Animations(NamedTuple):
    """Animations are switched on or off."""

    are_on: bool


class Boot(NamedTuple):
    """The phone starts again."""


class Turn(NamedTuple):
    """The phone is turned by a quarter."""


class LetGo(NamedTuple):
    """All fingers leave the screen: nobody is left who could lift them."""


DeviceEvent = Launch | Stop | Clear | Packages | Animations | Boot | Turn | LetGo | Touch | Key

BUILT_IN: Final = (
    Package(name=LAUNCHER, label="Launcher", activity=".Launcher", is_system=True),
    Package(name="com.android.settings", label="Settings", activity=".Settings", is_system=True),
    Package(name="com.example.signin", label="Sign in"),
    Package(name="com.example.notices", label="Notices"),
    Package(name="com.example.slow", label="Slow page"),
    Package(name="com.example.motion", label="Motion"),
    Package(name="com.example.canvas", label="Canvas"),
    Package(name="com.example.player", label="Player"),
)
_PROPERTIES: Final = {
    "ro.build.version.release": "11",
    "ro.build.version.sdk": "30",
    "ro.product.manufacturer": "streamer",
    "ro.product.model": "emulator",
    "sys.boot_completed": "1",
}


class Device:
    """One phone's software. `on_event` hears of all that changes what is on the screen.

    Attributes:
        packages: The apps that are installed, by name.
        settings: The values that were put, by "namespace key".
        properties: What `getprop` says, by name.
        commands: The last 1000 command lines that were carried out.
        on_event: Called with each event, in the event loop.
    """

    def __init__(self, *, size: Callable[[], tuple[int, int]]) -> None:
        self.packages: dict[str, Package] = {}
        self.settings: dict[str, str] = {}
        self.properties = dict(_PROPERTIES)
        self.commands: deque[str] = deque(maxlen=COMMANDS_LIMIT)
        self.on_event: Callable[[DeviceEvent], None] = lambda _: None
        self._size = size
        self._set_up()

    @property
    def size(self) -> tuple[int, int]:
        """The screen's width and height in pixels."""
        return self._size()

    def emit(self, *events: DeviceEvent) -> None:
        """Let the screen hear of events."""
        for event in events:
            self.on_event(event)

    def install(self, package: Package) -> bool:
        """Install an app, or another version of it; false if there is no room."""
        if package.name not in self.packages and len(self.packages) >= PACKAGES_LIMIT:
            return False
        self.packages[package.name] = package
        self.emit(Packages(tuple(self.packages.values())))
        return True

    def uninstall(self, name: str) -> bool:
        """Remove an app; false if it is not there, or part of the system."""
        package = self.packages.get(name)
        if package is None or package.is_system:
            return False
        del self.packages[name]
        self.emit(Stop(name), Packages(tuple(self.packages.values())))
        return True

    def put_setting(self, namespace: str, key: str, value: str | None) -> None:
        """Set a value, or delete it."""
        name = f"{namespace} {key}"
        if value is None:
            self.settings.pop(name, None)
        elif name in self.settings or len(self.settings) < SETTINGS_LIMIT:
            self.settings[name] = value
        if key in ANIMATION_SCALES:
            scales = (self.settings.get(f"global {scale}", "1") for scale in ANIMATION_SCALES)
            self.emit(Animations(not any(scale in {"0", "0.0"} for scale in scales)))

    def reset(self) -> None:
        """Go back to the factory's state."""
        self._set_up()
        self.emit(Boot(), Packages(tuple(self.packages.values())))

    def _set_up(self) -> None:
        self.packages = {package.name: package for package in BUILT_IN}
        self.settings.clear()
