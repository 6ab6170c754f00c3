"""Commands for Android's own tools, and what their output says; all of it is [assumed] on a KooPhone."""

import re
from typing import Final, NamedTuple

from streamer.errors import ConfigurationError

ANIMATION_SCALES: Final = ("window_animation_scale", "transition_animation_scale", "animator_duration_scale")
COMMAND_LIMIT: Final = 1024  # bytes [doc]
_SIGNS: Final = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:- "
)  # [doc] and spaces [seen]
_NAME: Final = r"[A-Za-z]\w*(?:\.[A-Za-z]\w*)"
_PACKAGE: Final = re.compile(rf"{_NAME}+", re.ASCII)
_PERMISSION: Final = re.compile(rf"{_NAME}*", re.ASCII)
_ACTIVITY: Final = re.compile(rf"\.?{_NAME}*", re.ASCII)
_SCALE: Final = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_FAILURE: Final = re.compile(r"^(?:Error\b|Exception occurred|[\w.]+Exception\b|\*\* .*aborted)", re.MULTILINE)
_SUCCESS: Final = re.compile(r"^Success\b", re.MULTILINE)


class AppCommand(NamedTuple):
    """A command about an app, and how its output says that it has failed.

    The API passes a command's output on, and it is not known whether it looks at the command's exit code too.
    """

    text: str
    what: str  # for people: "start of com.example.shop"
    says_success: bool = False  # whether it prints "Success" if all is well; others print a failure only

    def has_failed(self, output: str) -> bool:
        """Whether this output is that of a failure."""
        return _SUCCESS.search(output) is None if self.says_success else _FAILURE.search(output) is not None


def check_command(command: str) -> str:
    """Return a command that the API can carry. Raises ConfigurationError, which names the sign that it cannot carry."""
    for position, sign in enumerate(command, 1):
        if sign not in _SIGNS:
            raise ConfigurationError(
                f"expected letters, digits, spaces and _ . / : - in a command, got {sign!a} at position "
                f"{position}: the API carries no other signs"
            )
    if not command.strip():
        raise ConfigurationError("expected a command, got nothing")
    if len(command) > COMMAND_LIMIT:
        raise ConfigurationError(f"expected a command of at most {COMMAND_LIMIT} bytes, got {len(command)}")
    return command


def start(package: str, activity: str | None) -> AppCommand:
    """Start an app by its launcher's intent, or an activity of it."""
    check_package(package)
    what = f"start of {package}"
    if activity is None:
        return AppCommand(f"monkey -p {package} -c android.intent.category.LAUNCHER 1", what)
    return AppCommand(f"am start -n {package}/{_checked(activity, _ACTIVITY, 'an activity such as .Main')}", what)


def stop(package: str) -> AppCommand:
    """End an app."""
    return AppCommand(f"am force-stop {check_package(package)}", f"stop of {package}")


def clear(package: str) -> AppCommand:
    """Delete an app's data, and end it."""
    return AppCommand(f"pm clear {check_package(package)}", f"clearing of {package}", says_success=True)


def grant(package: str, permission: str) -> AppCommand:
    """Give an app a permission."""
    _checked(permission, _PERMISSION, "a permission such as android.permission.CAMERA")
    return AppCommand(f"pm grant {check_package(package)} {permission}", f"grant to {package}")


def uninstall(package: str) -> AppCommand:
    """Remove an app."""
    return AppCommand(f"pm uninstall {check_package(package)}", f"removal of {package}", says_success=True)


def get_scale(name: str) -> str:
    """Return the command that prints one of ANIMATION_SCALES: a number, or "null" for the default."""
    return f"settings get global {name}"


def set_scale(name: str, value: str | None) -> str:
    """Return the command that sets one of ANIMATION_SCALES; None is the default."""
    return f"settings delete global {name}" if value is None else f"settings put global {name} {value}"


def read_scale(output: str) -> str | None:
    """Return what `get_scale` has printed; None for the default, which is not 0."""
    value = output.strip()
    return value if _SCALE.fullmatch(value) else None


def check_package(package: str) -> str:
    """Return a name that can be that of a package. Raises ConfigurationError."""
    return _checked(package, _PACKAGE, "a package such as com.example.shop")


def _checked(name: str, pattern: re.Pattern[str], expected: str) -> str:
    if not pattern.fullmatch(name):
        raise ConfigurationError(f"expected {expected}, got {name[:100]!a}")
    return name
