"""`streamer record`: the screen and the sound into files, or into the standard output."""

import asyncio
import sys
from pathlib import Path
from typing import IO, Any

from rich.console import Console
from rich.markup import escape

import streamer
from streamer.cli.connecting import Connect, connected
from streamer.cli.display import file_size, live, progress, stats_table
from streamer.cli.output import err, out, refuse_terminal
from streamer.cli.running import stop_on_signal
from streamer.media.mux import check_target


async def into_file(connect: Connect, output: Path, **options: Any) -> None:
    """Record into a file, or into several of a pattern."""
    await _record(connect, output, output, out, **options)


async def into_pipe(connect: Connect, output: Path, **options: Any) -> None:
    """Record into the standard output, which then is no place for words."""
    refuse_terminal()
    with open(sys.stdout.fileno(), "wb", buffering=0, closefd=False) as pipe:  # noqa: ASYNC230 - it is open
        await _record(connect, output, pipe, err, **options)


async def _record(
    connect: Connect,
    output: Path,
    target: Path | IO[bytes],
    console: Console,
    *,
    show_stats: bool = False,
    changes: dict[str, Any] | None = None,
    **options: Any,
) -> None:
    asked = {name: value for name, value in (changes or {}).items() if value is not None}
    if asked:
        options["transcode"] = streamer.Transcode(**asked)
    check_target(target)  # before connecting, which may take the phone over from somebody
    async with (
        stop_on_signal() as stopped,
        connected(connect()) as session,
        session.record(target, **options) as recording,
    ):
        try:
            with live(lambda: progress(session, recording), refresh_per_second=5):
                await _until(session, stopped, recording)
        finally:
            if show_stats:
                console.print(stats_table(session.stats()))
    files = f"{len(recording.segments)} files  " if len(recording.segments) > 1 else ""
    console.print(
        f"[bold]{escape(str(output))}[/]  {files}{recording.duration_s:.1f} s  {recording.pictures} pictures  "
        f"{file_size(recording.size_bytes)}",
        highlight=False,
    )


async def _until(session: streamer.Session, stopped: asyncio.Event, recording: streamer.Recording) -> None:
    """Return when the recording has ended or a signal came; raise what ended the stream before that."""
    ended = asyncio.ensure_future(session.wait_ended())
    others = [asyncio.ensure_future(stopped.wait()), asyncio.ensure_future(recording.closed())]
    try:
        await asyncio.wait({ended, *others}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            ended.result()
    finally:
        for waiting in (ended, *others):
            waiting.cancel()
