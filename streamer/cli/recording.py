"""`streamer record`: the screen and the audio into files, or into the standard output."""

import asyncio
import contextlib
import sys
from collections import deque
from pathlib import Path
from typing import IO, Any, Final

from rich.text import Text

import streamer
from streamer import errors
from streamer.cli.connecting import Connect, connected
from streamer.cli.display import (
    duration,
    file_size,
    final_stats,
    live,
    progress,
    stats_facts,
    with_interruptions,
)
from streamer.cli.options import Output
from streamer.cli.output import notes, refuse_terminal, show_result, styled
from streamer.cli.runtime import SCREENSHOT, on_signal, stop_on_signal
from streamer.media.recording.recording import check_target

GENERATIONS_LIMIT: Final = 1000  # files that JSON lists: the last ones


async def record(connect: Connect, output: Path, *, say: Output, **options: Any) -> None:
    """Record into a file, into several of a pattern, or into the standard output, which then is no place for words."""
    is_pipe = str(output) == "-"
    if is_pipe:
        refuse_terminal()
        with open(sys.stdout.fileno(), "wb", buffering=0, closefd=False) as pipe:  # noqa: ASYNC230 - it is open
            facts, words = await into(connect, output, pipe, say=say, **options)
    else:
        facts, words = await into(connect, output, output, say=say, **options)
    show_result(facts, words, as_json=say.as_json, is_pipe=is_pipe)


async def into(
    connect: Connect,
    output: Path,
    target: Path | IO[bytes],
    *,
    say: Output,
    screenshots_at: Path = Path("phone"),
    show_stats: bool = False,
    screenshot_every_s: float | None = None,
    changes: dict[str, Any] | None = None,
    overwrite: bool = False,
    **options: Any,
) -> tuple[dict[str, Any], Text]:
    """Record into a file or a pipe; return what came of it, as facts and in words."""
    asked = {name: value for name, value in (changes or {}).items() if value is not None}
    if asked:
        options["transcode"] = streamer.Transcode(**asked)
    check_target(target, overwrite=overwrite)  # before connecting, which may take the phone over from somebody
    is_pipe = target is not output
    shoot = asyncio.Event()
    recording: streamer.Recording | None = None
    try:
        async with contextlib.AsyncExitStack() as stack:
            if SCREENSHOT is not None:
                stack.enter_context(on_signal(shoot.set, numbers=[SCREENSHOT]))
            stopped = await stack.enter_async_context(stop_on_signal())
            session = await stack.enter_async_context(connected(connect()))
            recording = await stack.enter_async_context(session.record(target, overwrite=overwrite, **options))
            screenshots = _Screenshots(session, recording, screenshots_at if is_pipe else None)
            taking = [asyncio.create_task(screenshots.take_when(shoot), name="screenshots on a signal")]
            if screenshot_every_s is not None:
                taking.append(asyncio.create_task(screenshots.take_every(screenshot_every_s), name="screenshots"))
            try:
                lines = live(lambda: progress(session, recording, options.get("max_duration_s")), refresh_per_second=5)
                async with lines:
                    await _until(session, stopped, recording)
            finally:
                for task in taking:
                    task.cancel()
                stats = final_stats(session, show=show_stats and not say.as_json, is_pipe=is_pipe)
    except errors.StreamerError:
        if recording is not None and recording.frames and not is_pipe:
            notes.print(_words(output, recording))  # what is kept
        raise
    facts: dict[str, Any] = {
        "output": str(output),
        "files": [str(segment.path) for segment in recording.segments],
        "duration_s": round(recording.duration_s, 3),
        "frames": recording.frames,
        "size_bytes": recording.size_bytes,
        "dropped": recording.dropped,
        "screenshots": [str(path) for path in screenshots.paths],
        **stats_facts(stats, has_all=show_stats),
    }
    words = _words(output, recording)
    if screenshots.count:
        words.append(f"  {screenshots.count} screenshots")
    return facts, with_interruptions(words, stats)


def _words(output: Path, recording: streamer.Recording) -> Text:
    paths = [segment.path for segment in recording.segments]
    return styled(
        (str(paths[0] if "{" in output.name and len(paths) == 1 else output), "bold"),
        f"  {len(paths)} files" if len(paths) > 1 else "",
        f"  {duration(recording.duration_s)}  {recording.frames} frames  {file_size(recording.size_bytes)}",
    )


class _Screenshots:
    """Screenshots during a recording, beside its file: each is named after that, and after its place in it.

    One that cannot be taken or saved is told, and the recording goes on.
    """

    def __init__(self, session: streamer.Session, recording: streamer.Recording, beside: Path | None) -> None:
        self.count = 0
        self.paths: deque[Path] = deque(maxlen=GENERATIONS_LIMIT)
        self._session = session
        self._recording = recording
        self._beside = beside

    async def take_when(self, asked: asyncio.Event) -> None:
        """Take one each time that it is asked for, and say where it is."""
        while True:
            await asked.wait()
            asked.clear()
            if await self._take():
                notes.print(styled((str(self.paths[-1]), "bold")))

    async def take_every(self, interval_s: float) -> None:
        """Take one each time so long has passed, the first at once."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await self._take()
            due = max(due + interval_s, loop.time())
            await asyncio.sleep(due - loop.time())

    async def _take(self) -> bool:
        try:
            if self._session.state == "interrupted":
                raise errors.ConnectionLostError("the stream is interrupted")
            frame = await self._session.screenshot()
            path = self._next_path()
            await asyncio.to_thread(frame.save, path)
        except errors.StreamerError as error:
            notes.print(styled((f"no screenshot: {error}", "yellow")))
            return False
        self.count += 1
        self.paths.append(path)
        return True

    def _next_path(self) -> Path:
        beside = self._beside or self._recording.path
        path = beside.with_name(f"{beside.stem if self._beside is None else beside.name}-{self._seconds}s.png")
        number = 2
        while path.exists():
            path = path.with_stem(f"{path.stem.rpartition('s')[0]}s-{number}")
            number += 1
        return path

    @property
    def _seconds(self) -> str:
        return f"{self._recording.duration_s:07.1f}"


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
