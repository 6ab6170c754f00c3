"""Connects as the options say, and shows the progress and later changes of the connection."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import typer
from rich.text import Text

import streamer
from streamer import errors
from streamer.cli.display import duration, live
from streamer.cli.options import Api, Connection
from streamer.cli.output import note, styled, warnings

Connect = Callable[[], streamer.Connecting]


def later(instance: str, connection: Connection, *, preroll_s: float = 0.0) -> Connect:
    """Return a function that connects. It reads the environment only when it is called."""
    patience = streamer.Reconnect(give_up_after_s=connection.give_up_after or None) if connection.reconnect else None
    return lambda: streamer.connect(
        instance,
        endpoint=endpoint_of(connection),
        credentials=streamer.credentials_from_environment(),
        verify=verify(connection),
        relay_only=connection.relay_only,
        preroll_s=preroll_s,
        volume=connection.volume,
        reconnect=patience,
        keep_awake=connection.keep_awake,
        prepare_for=connection.prepare_for,
        release=connection.release,
    )


def endpoint_of(api: Api) -> str:
    """Return the endpoint; raise `ConfigurationError` if none was given."""
    if api.endpoint is None:
        raise errors.ConfigurationError(
            "expected an endpoint, got none: set STREAMER_ENDPOINT or pass --endpoint, the API's base URL "
            "(Huawei's own is https://koophone.myhuaweicloud.com)"
        )
    return api.endpoint


def verify(api: Api) -> bool | Path:
    """Return how TLS certificates are verified, as `streamer.connect` takes it."""
    if api.ca is not None and api.insecure:
        raise typer.BadParameter("expected --ca or --insecure, got both", param_hint="'--ca'")
    return api.ca or not api.insecure


@contextlib.asynccontextmanager
async def connected(connecting: streamer.Connecting) -> AsyncIterator[streamer.Session]:
    """Connect, with a progress line; once connected, print changes of the connection."""
    async with contextlib.AsyncExitStack() as stack:
        began = time.monotonic()
        stage = "connecting"

        async def follow() -> None:
            nonlocal stage
            async for event in connecting.events():
                stage = f"{event.kind}{f': {event.reason}' if event.reason else ''}"

        def progress() -> Text:
            return styled(f" {stage}  {duration(time.monotonic() - began)}")

        following = asyncio.create_task(follow(), name="follow the connecting")
        try:
            with warnings.held():
                async with live(progress, refresh_per_second=5, is_transient=True):
                    session = await stack.enter_async_context(connecting)
        finally:
            following.cancel()
        telling = asyncio.create_task(_tell_changes(session), name="tell of the connection")
        try:
            yield session
        finally:
            if session.error is None:  # else "closed" comes at once, and ends it
                telling.cancel()
            await asyncio.wait({telling})


async def _tell_changes(session: streamer.Session) -> None:
    """Print a line when the stream is interrupted, when it is resumed or not, and when something does not work."""
    since: float | None = None
    async for event in session.events():
        match event.kind:
            case "interrupted" if since is None:
                since = event.at
                note(f"interrupted: {event.reason}", "yellow")
            case "resumed" if since is not None:
                note(f"resumed after {duration(event.at - since)}", "green")
                since = None
            case "closed" if since is not None:
                note(f"not resumed within {duration(event.at - since)}", "yellow")
            case "problem":
                warnings.add(event.reason or event.kind)
