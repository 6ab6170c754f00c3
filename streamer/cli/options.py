"""Options that several commands have, and what the words given for one mean."""

import dataclasses
import functools
import inspect
import math
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, get_type_hints

import typer

_TIME: Final = re.compile(
    r"(?=.)(?:(?P<d>\d+(?:\.\d+)?)d)?(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m)?(?:(?P<s>\d+(?:\.\d+)?)s)?",
    re.ASCII,
)
_SECONDS: Final = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
_NAME_LIMIT: Final = 64  # characters of an instance id in a file name


def number(least: float, most: float = math.inf) -> Callable[[object], float]:
    """Return what reads a number within these limits."""

    def read(given: object) -> float:
        value = _float(given)
        if not (math.isfinite(value) and least <= value <= most):
            limits = f"of at least {least:g}" if most == math.inf else f"from {least:g} to {most:g}"
            raise typer.BadParameter(f"expected a number {limits}, got {given}")
        return value

    return read


def _float(given: object) -> float:
    try:
        return float(str(given))
    except ValueError:
        return math.nan


def seconds(least: float = 0.0) -> Callable[[object], float]:
    """Return what reads a time of at least so many seconds: 90, 1.5, 10s, 1m30s, 2h or 7d."""

    def read(given: object) -> float:
        if found := _TIME.fullmatch(str(given)):
            value = sum(_SECONDS[unit] * float(part or 0) for unit, part in found.groupdict().items())
        else:
            value = _float(given)
        if not (math.isfinite(value) and value >= least):
            raise typer.BadParameter(
                f"expected a time of at least {least:g} s, such as 90, 10s, 1m30s or 2h, got {given}"
            )
        return value

    return read


def time_option(text: str, *names: str, least: float = 0.0, default: str | bool = False) -> Any:
    """Return an option that takes a time."""
    return typer.Option(*names, help=text, parser=seconds(least), metavar="TIME", show_default=default)


def number_option(text: str, *names: str, least: float, most: float = math.inf, default: str | bool = False) -> Any:
    """Return an option that takes a number."""
    return typer.Option(*names, help=text, parser=number(least, most), metavar="NUMBER", show_default=default)


def default_name(instance: str, suffix: str = "") -> Path:
    """Return the name of what a command writes if none is given: the phone's instance id and the time."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", instance).lstrip(".-_")[:_NAME_LIMIT] or "phone"
    return Path(f"{safe}-{time.strftime('%Y%m%d-%H%M%S')}{suffix}")


def pixels_of(size: str) -> tuple[int, int]:
    """Return the width and the height that `WxH` says."""
    width, _, height = size.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise typer.BadParameter(f"expected a size such as 720x1280, got {size}", param_hint="--size")
    return int(width), int(height)


def bytes_of(megabytes: float | None) -> int | None:
    """Return how many bytes that are, if it was given."""
    return None if megabytes is None else round(megabytes * 1e6)


Instance = Annotated[
    str,
    typer.Argument(help="The phone's instance id.", metavar="INSTANCE", envvar="STREAMER_INSTANCE", show_default=False),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")]
ShowStats = Annotated[
    bool, typer.Option("--stats", help="Print at the end what came, what was lost and asked for, how long it took.")
]
_CONNECTION: Final = "Connection"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How the API is reached."""

    endpoint: Annotated[
        str | None,
        typer.Option(
            help="The API's base URL, such as https://koophone.myhuaweicloud.com; it may carry a path.",
            metavar="URL",
            envvar="STREAMER_ENDPOINT",
            show_default=False,
            rich_help_panel=_CONNECTION,
        ),
    ] = None
    ca: Annotated[
        Path | None,
        typer.Option(
            help="Trust the authorities in this PEM file, and no others: the API, signaling and TURN over TLS.",
            metavar="FILE",
            show_default=False,
            rich_help_panel=_CONNECTION,
        ),
    ] = None
    insecure: Annotated[
        bool,
        typer.Option("--insecure", help="Do not verify TLS certificates.", rich_help_panel=_CONNECTION),
    ] = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Connection(Access):
    """How a phone is connected to, and what is done when that breaks."""

    reconnect: Annotated[
        bool,
        typer.Option(
            "--reconnect/--no-reconnect",
            help="Go on with a new connection when one is lost.",
            rich_help_panel=_CONNECTION,
        ),
    ] = True
    give_up_after: Annotated[
        float,
        typer.Option(
            help="For how long to try to reconnect; 0 never gives up.",
            parser=seconds(),
            metavar="TIME",
            show_default="10m",
            rich_help_panel=_CONNECTION,
        ),
    ] = 600.0
    relay_only: Annotated[
        bool,
        typer.Option("--relay-only", help="Stream through TURN servers alone.", rich_help_panel=_CONNECTION),
    ] = False
    prepare_for: Annotated[
        str | None,
        typer.Option(
            help="Have the instance brought up first, for this user id of the tenant's own.",
            metavar="USER",
            show_default=False,
            rich_help_panel=_CONNECTION,
        ),
    ] = None
    release: Annotated[
        bool,
        typer.Option(
            "--release", help="Give the instance back at the end, whatever happened.", rich_help_panel=_CONNECTION
        ),
    ] = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """How much a command says, and how."""

    as_json: Annotated[bool, typer.Option("--json", help="Print the result as a line of JSON.")] = False
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing but errors, and what --json asks for.")
    ] = False
    debug: Annotated[
        bool, typer.Option("--debug", help="Log every step to the error output; no secret is among it.")
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
