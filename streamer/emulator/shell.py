"""The emulated phone's shell: the few commands that tests of apps need, with what Android's print."""

import math
from collections.abc import Callable
from typing import Final, NamedTuple

from streamer.emulator.device import LAUNCHER, Clear, Device, Launch, Package, Stop
from streamer.emulator.input_frames import DOWN, MOVE, UP, Key, Point, Touch

_LAUNCH: Final = "android.intent.category.LAUNCHER"
_SWIPE_STEPS: Final = 12


class Printed(NamedTuple):
    """What a command printed, and whether it failed."""

    text: str
    has_failed: bool = False


def run(line: str, device: Device) -> Printed:
    """Carry out one command line."""
    device.commands.append(line)
    name, *words = line.split() or [""]
    command = _COMMANDS.get(name)
    if command is None:
        return Printed(f"/system/bin/sh: {name}: inaccessible or not found", has_failed=True)
    return command(words, device)


def _am(words: list[str], device: Device) -> Printed:
    match words:
        case ["start", *options] if "-n" in options[:-1]:
            component = options[options.index("-n") + 1]
            name, _, activity = component.partition("/")
            package = device.packages.get(name)
            if package is None or activity not in {package.activity, name + package.activity}:
                full = name + activity if activity.startswith(".") else activity
                failure = f"Error type 3\nError: Activity class {{{name}/{full}}} does not exist."
                return Printed(f"Starting: Intent {{ cmp={component} }}\n{failure}", has_failed=True)
            device.emit(Launch(package))
            return Printed(f"Starting: Intent {{ cmp={component} }}")
        case ["force-stop", name]:
            device.emit(Stop(name))
            return Printed("")
    return Printed("Error: Activity not started, unable to resolve Intent", has_failed=True)


def _pm(words: list[str], device: Device) -> Printed:
    match words:
        case ["list", "packages", *options]:
            return Printed(
                "\n".join(f"package:{package.name}" for package in device.packages.values() if _is_in(package, options))
            )
        case ["clear", name]:
            if name not in device.packages:
                return Printed("Failed", has_failed=True)
            device.emit(Clear(name))
            return Printed("Success")
        case ["uninstall", name]:
            if device.uninstall(name):
                return Printed("Success")
            return Printed("Failure [DELETE_FAILED_INTERNAL_ERROR]", has_failed=True)
        case ["grant" | "revoke", name, _]:
            if name in device.packages:
                return Printed("")
            return Printed(f"java.lang.IllegalArgumentException: Unknown package: {name}", has_failed=True)
    return Printed(f"Unknown command: {' '.join(words[:1])}", has_failed=True)


def _is_in(package: Package, options: list[str]) -> bool:
    return not (("-3" in options and package.is_system) or ("-s" in options and not package.is_system))


def _monkey(words: list[str], device: Device) -> Printed:
    match words:
        case ["-p", name, "-c", category, "1"] if category == _LAUNCH and name != LAUNCHER and name in device.packages:
            device.emit(Launch(device.packages[name]))
            return Printed("Events injected: 1")
    return Printed("** No activities found to run, monkey aborted.", has_failed=True)


def _getprop(words: list[str], device: Device) -> Printed:
    return Printed(device.properties.get(words[0], "") if words else "")


def _settings(words: list[str], device: Device) -> Printed:
    match words:
        case ["put", ("global" | "system" | "secure") as namespace, key, value]:
            device.put_setting(namespace, key, value)
            return Printed("")
        case ["get", namespace, key]:
            return Printed(device.settings.get(f"{namespace} {key}", "null"))
        case ["delete", namespace, key]:
            rows = int(f"{namespace} {key}" in device.settings)
            device.put_setting(namespace, key, None)
            return Printed(f"Deleted {rows} rows")
    return Printed("Invalid command", has_failed=True)


def _wm(words: list[str], device: Device) -> Printed:
    if words == ["size"]:
        width, height = device.size
        return Printed(f"Physical size: {width}x{height}")
    return Printed("Unknown command", has_failed=True)


def _input(words: list[str], device: Device) -> Printed:
    try:
        match words:
            case ["tap", x, y]:
                _swipe([float(x), float(y)] * 2, device)
            case ["swipe", *numbers] if len(numbers) in {4, 5}:
                _swipe([float(number) for number in numbers[:4]], device)
            case ["keyevent", code]:
                device.emit(Key(DOWN, int(code)), Key(UP, int(code)))
            case _:
                return Printed("Error: Invalid arguments", has_failed=True)
    except ValueError:
        return Printed("Error: Invalid arguments for command", has_failed=True)
    return Printed("")


def _swipe(pixels: list[float], device: Device) -> None:
    """Move one finger, all at once: the command takes no time here, as there is nobody who would wait for it."""
    if not all(map(math.isfinite, pixels)):
        raise ValueError
    width, height = device.size
    x1, y1, x2, y2 = (value / side for value, side in zip(pixels, (width, height) * 2, strict=True))
    device.emit(Touch(DOWN, (Point(0, x1, y1),)))
    if (x1, y1) != (x2, y2):
        for step in range(1, _SWIPE_STEPS + 1):
            share = step / _SWIPE_STEPS
            device.emit(Touch(MOVE, (Point(0, x1 + (x2 - x1) * share, y1 + (y2 - y1) * share),)))
    device.emit(Touch(UP, (Point(0, x2, y2),)))


def _echo(words: list[str], _: Device) -> Printed:
    return Printed(" ".join(words))


_COMMANDS: Final[dict[str, Callable[[list[str], Device], Printed]]] = {
    "am": _am,
    "echo": _echo,
    "getprop": _getprop,
    "input": _input,
    "monkey": _monkey,
    "pm": _pm,
    "settings": _settings,
    "wm": _wm,
}
