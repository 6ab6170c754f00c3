"""Connecting as the options ask for: endpoint, credentials, trust, patience; and telling how far it is."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import typer
from rich.markup import escape
from rich.status import Status

import streamer
from streamer import errors
from streamer.cli.output import err

Connect = Callable[[], streamer.Connecting]


def later(instance: str, endpoint: str | None, *, verify: bool | Path, **options: Any) -> Connect:
    """Return what connects when it is called: only then is what the environment gives looked at."""
    return lambda: streamer.connect(
        instance,
        endpoint=check_endpoint(endpoint),
        credentials=streamer.credentials_from_environment(),
        verify=verify,
        **options,
    )


def check_endpoint(endpoint: str | None) -> str:
    """Return the endpoint; raise `ConfigurationError` if none was given."""
    if endpoint is None:
        raise errors.ConfigurationError(
            "no endpoint: set STREAMER_ENDPOINT or give --endpoint, the API's base URL "
            "(Huawei's own is https://koophone.myhuaweicloud.com)"
        )
    return endpoint


def verify(ca: Path | None, insecure: bool) -> bool | Path:
    """Return how TLS certificates are verified, as `streamer.connect` takes it; warn if they are not."""
    if ca is not None and insecure:
        raise typer.BadParameter("expected --ca or --insecure, got both", param_hint="--ca")
    if insecure:
        err.print("TLS certificates are not verified", style="yellow")
    return ca or not insecure


def reconnect(wanted: bool, give_up_after_s: float) -> streamer.Reconnect | None:
    """Return what is done about a lost connection, as `streamer.connect` takes it."""
    return streamer.Reconnect(give_up_after_s=give_up_after_s or None) if wanted else None


@contextlib.asynccontextmanager
async def connected(connecting: streamer.Connecting) -> AsyncIterator[streamer.Session]:
    """Connect, and show how far it is meanwhile."""
    async with contextlib.AsyncExitStack() as stack:
        with err.status("connecting") as status:
            telling = asyncio.create_task(_tell(connecting.events(), status))
            try:
                session = await stack.enter_async_context(connecting)
            finally:
                telling.cancel()
        yield session


async def _tell(events: streamer.EventIterator, status: Status) -> None:
    async for event in events:
        status.update(f"{event.kind}{f': {escape(event.reason)}' if event.reason else ''}")
