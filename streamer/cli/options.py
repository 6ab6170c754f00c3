"""Options that several commands have, and what the words given for one mean."""

from pathlib import Path
from typing import Annotated

import typer

Instance = Annotated[str, typer.Argument(help="The phone's instance id.", metavar="INSTANCE", show_default=False)]
Endpoint = Annotated[
    str | None,
    typer.Option(
        help="The API's base URL, such as https://koophone.myhuaweicloud.com; it may carry a path.",
        envvar="STREAMER_ENDPOINT",
        show_default=False,
    ),
]
RelayOnly = Annotated[bool, typer.Option("--relay-only", help="Stream through TURN servers alone.")]
Authority = Annotated[
    Path | None,
    typer.Option(
        "--ca",
        help="Trust the authorities in this PEM file, and no others: the API, signaling and TURN over TLS.",
        metavar="FILE",
        show_default=False,
    ),
]
Insecure = Annotated[bool, typer.Option("--insecure", help="Do not verify TLS certificates.")]
ShowStats = Annotated[
    bool, typer.Option("--stats", help="Print at the end what came, what was lost and asked for, how long it took.")
]
Reconnecting = Annotated[
    bool, typer.Option("--reconnect/--no-reconnect", help="Go on with a new connection when one is lost.")
]
GiveUpAfter = Annotated[
    float, typer.Option(help="Seconds after which a connection that was lost is given up; 0 never does.", min=0)
]
PrepareFor = Annotated[
    str | None,
    typer.Option(help="Have the instance brought up first, for this user id of the tenant's own.", show_default=False),
]
Release = Annotated[bool, typer.Option("--release", help="Give the instance back at the end, whatever happened.")]
Debug = Annotated[bool, typer.Option("--debug", help="Log every step to the error output; no secret is among it.")]


def pixels_of(size: str) -> tuple[int, int]:
    """Return the width and the height that `WxH` says."""
    width, _, height = size.partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise typer.BadParameter(f"expected a size such as 720x1280, got {size}", param_hint="--size")
    return int(width), int(height)


def bytes_of(megabytes: float | None) -> int | None:
    """Return how many bytes that are, if it was given."""
    return None if megabytes is None else round(megabytes * 1e6)
