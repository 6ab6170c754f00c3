"""Options that several commands have, and what the words given for one mean."""

import dataclasses
import functools
import inspect
import math
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, get_type_hints

import typer

from streamer.cli.help import API, CONNECTION, MESSAGES

_TIME: Final = re.compile(
    r"(?=.)(?:(?P<d>\d+(?:\.\d+)?)d)?(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m)?(?:(?P<s>\d+(?:\.\d+)?)s)?",
    re.ASCII,
)
_SECONDS: Final = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
OUTPUT: Final = "Output"
_DIGITS: Final = 16  # of a whole number, at most
_NAME_LIMIT: Final = 64  # characters of an instance id in a file name


def number(least: float, most: float = math.inf) -> Callable[[object], float]:
    """Return what reads a number within these limits."""

    def read(given: object) -> float:
        value = _float(given)
        if not (math.isfinite(value) and least <= value <= most):
            raise typer.BadParameter(f"expected a number {_limits(least, most)}, got {given}")
        return value

    return read


def whole(least: float, most: float = math.inf, step: int = 1) -> Callable[[object], int]:
    """Return what reads a whole number within these limits that `step` divides."""

    def read(given: object) -> int:
        text = str(given)
        is_number = text.isascii() and text.isdecimal() and len(text) < _DIGITS
        if not (is_number and least <= int(text) <= most and int(text) % step == 0):
            steps = f" in steps of {step}" if step > 1 else ""
            raise typer.BadParameter(f"expected a whole number {_limits(least, most)}{steps}, got {given}")
        return int(text)

    return read


def _limits(least: float, most: float) -> str:
    return f"of at least {least:g}" if most == math.inf else f"from {least:g} to {most:g}"


def one_of(choices: Sequence[str]) -> Callable[[object], str]:
    """Return what reads one of these words."""

    def read(given: object) -> str:
        if given not in choices:
            raise typer.BadParameter(f"expected {_series(choices)}, got {given}")
        return str(given)

    return read


def _series(choices: Sequence[str]) -> str:
    *first, last = choices
    return f"{', '.join(first)} or {last}"


def _float(given: object) -> float:
    try:
        return float(str(given))
    except ValueError:
        return math.nan


def seconds(least: float = 0.0) -> Callable[[object], float]:
    """Return what reads a time of at least so many seconds: 90, 1.5, 90s, 15m, 1h30m or 7d."""

    def read(given: object) -> float:
        if found := _TIME.fullmatch(str(given)):
            value = sum(_SECONDS[unit] * float(part or 0) for unit, part in found.groupdict().items())
        else:
            value = _float(given)
        if not (math.isfinite(value) and value >= least):
            raise typer.BadParameter(f"expected a time of at least {least:g}s, such as 90s, 15m or 1h30m, got {given}")
        return value

    return read


def time_option(text: str, panel: str, *names: str, least: float = 0.0, default: str | bool = False) -> Any:
    """Return an option that takes a time, for the section `panel` of the help."""
    return option(text, panel, *names, parser=seconds(least), metavar="TIME", show_default=default)


def number_option(
    text: str,
    panel: str,
    *names: str,
    least: float,
    most: float = math.inf,
    default: str | bool = False,
    is_whole: bool = False,
    step: int = 1,
) -> Any:
    """Return an option that takes a number, for the section `panel` of the help."""
    limits = "" if most == math.inf else f" From {least:g} to {most:g}."
    parser = whole(least, most, step) if is_whole else number(least, most)
    return option(text + limits, panel, *names, parser=parser, metavar="NUMBER", show_default=default)


def choice_option(
    text: str, panel: str, *names: str, of: Sequence[str], metavar: str, default: str | bool = False
) -> Any:
    """Return an option that takes one of some words, for the section `panel` of the help."""
    return option(
        f"{text}: {_series(of)}.",
        panel,
        *names,
        parser=one_of(of),
        autocompletion=lambda incomplete: [word for word in of if word.startswith(incomplete)],
        metavar=metavar,
        show_default=default,
    )


def output_option(text: str, metavar: str, default: str) -> Any:
    """Return the option that says where a command writes to."""
    return typer.Option("--output", "-o", help=text, metavar=metavar, show_default=default, rich_help_panel=OUTPUT)


def option(text: str, panel: str, *names: str, metavar: str | None = None, **more: Any) -> Any:
    """Return another option, for the section `panel` of the help."""
    more.setdefault("show_default", False)
    return typer.Option(*names, help=text, metavar=metavar, rich_help_panel=panel, **more)


def default_name(instance: str, suffix: str = "") -> Path:
    """Return the name of what a command writes if none is given: the phone's instance id and the time."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", instance).lstrip(".-_")[:_NAME_LIMIT] or "phone"
    return Path(f"{safe}-{time.strftime('%Y%m%d-%H%M%S')}{suffix}")


def pixels_of(size: str) -> tuple[int, int]:
    """Return the width and the height that `WxH` says."""
    width, _, height = size.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise typer.BadParameter(f"expected a size such as 720x1280, got {size}", param_hint="'--size'")
    return int(width), int(height)


def bytes_of(megabytes: float | None) -> int | None:
    """Return how many bytes that are, if it was given."""
    return None if megabytes is None else round(megabytes * 1e6)


Instance = Annotated[
    str,
    typer.Argument(help="The phone's instance id.", metavar="INSTANCE", envvar="STREAMER_INSTANCE", show_default=False),
]
Overwrite = Annotated[bool, option("Replace a file that exists.", OUTPUT, "--overwrite")]
ShowStats = Annotated[
    bool, option("Print statistics at the end: packets, losses, requests, frames and delays.", MESSAGES, "--stats")
]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """How the API is reached."""

    endpoint: Annotated[
        str | None,
        option(
            "The API's base URL, such as https://koophone.myhuaweicloud.com. It may include a path.",
            API,
            metavar="URL",
            envvar="STREAMER_ENDPOINT",
        ),
    ] = None
    ca: Annotated[
        Path | None,
        option(
            "Trust only the certificate authorities in this PEM file: for the API, signaling, and TURN over TLS.",
            API,
            metavar="FILE",
        ),
    ] = None
    insecure: Annotated[bool, option("Do not verify TLS certificates.", API, "--insecure")] = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Connection(Api):
    """How the phone is reached too, and what is done when the connection breaks."""

    reconnect: Annotated[
        bool,
        option("Reconnect when the connection is lost.", CONNECTION, "--reconnect/--no-reconnect", show_default=True),
    ] = True
    give_up_after: Annotated[
        float, time_option("Stop trying to reconnect after this time; 0 never gives up.", CONNECTION, default="10m")
    ] = 600.0
    relay_only: Annotated[bool, option("Send all media through TURN servers.", CONNECTION, "--relay-only")] = False
    volume: Annotated[
        int, number_option("The phone's volume.", CONNECTION, least=0, most=100, default=True, is_whole=True)
    ] = 100
    keep_awake: Annotated[
        bool, option("Send an input that does nothing every 20 s, against the idle close.", CONNECTION, "--keep-awake")
    ] = False
    prepare_for: Annotated[
        str | None,
        option("Bring the instance up first, for this user id of your own.", CONNECTION, metavar="USER"),
    ] = None
    release: Annotated[
        bool, option("Give the instance back at the end, also after an error.", CONNECTION, "--release")
    ] = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """How much a command says, and how."""

    as_json: Annotated[bool, option("Print the result as one line of JSON.", MESSAGES, "--json")] = False
    quiet: Annotated[
        bool, option("Print only errors, and the result if --json is given.", MESSAGES, "--quiet", "-q")
    ] = False
    debug: Annotated[
        bool, option("Log every step to standard error. Secrets are never logged.", MESSAGES, "--debug")
    ] = False


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of each dataclass among its parameters, in the place of that parameter."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if dataclasses.is_dataclass(hint)}
    parameters = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name not in groups:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[name]))
            continue
        of_group = get_type_hints(groups[name], include_extras=True)
        parameters += [
            inspect.Parameter(
                field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=of_group[field.name]
            )
            for field in dataclasses.fields(groups[name])
        ]

    @functools.wraps(command)
    def call(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in dataclasses.fields(group)})
        command(**given)

    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    vars(call)["__signature__"] = inspect.Signature(parameters)
    return call
