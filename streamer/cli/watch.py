"""`streamer watch`: a phone in the terminal, until q, Ctrl-C or the end of the session."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from typing import Final, cast

from rich.cells import set_cell_size

import streamer
from streamer.cli.connecting import connected, later
from streamer.cli.display import duration, interruption, stats_facts, with_interruptions
from streamer.cli.options import Connection, Output
from streamer.cli.output import escaped, notes, show_result, styled, warnings
from streamer.cli.runtime import on_signal, stop_on_signal
from streamer.cli.terminal import Terminal, require_terminal
from streamer.cli.terminal_graphics import Graphics, Layout, Picture, picture

MAX_FPS: Final = 10
STATUS_EVERY_S: Final = 0.5
REST: Final = 2.0  # after drawing, in multiples of the CPU time that it took: the session needs the core, too
_RESIZED: Final = getattr(signal, "SIGWINCH", None)  # Windows has none


async def show(instance: str, connection: Connection, *, graphics: str, say: Output) -> None:
    """Connect to the phone and show it. `graphics` is "auto", or one of `Graphics`."""
    require_terminal()
    async with connected(later(instance, connection)()) as session, stop_on_signal() as stopped:
        with _messages_held(), Terminal.opened(lambda keys: _press(keys, stopped)) as terminal:
            kind, truecolor, cell = await _abilities(terminal, graphics)
            watching = _Watching(session, terminal, picture(kind, truecolor=truecolor), cell)
            await watching.run(stopped)
        stats = session.stats()
    if terminal.has_gone:
        return  # nobody reads it
    words = styled((instance, "bold"), f"  watched for {duration(stats.duration_s)}, as {kind}")
    facts = {"graphics": kind, **stats_facts(stats, has_all=False)}
    show_result(facts, with_interruptions(words, stats), as_json=say.as_json)


def _press(keys: bytes, stopped: asyncio.Event) -> None:
    if not keys or b"q" in keys.lower():
        stopped.set()


async def _abilities(terminal: Terminal, graphics: str) -> tuple[Graphics, bool, tuple[int, int] | None]:
    """Return how to draw, whether there are 24 bits of color, and the size of a cell."""
    truecolor = os.environ.get("COLORTERM", "") in {"truecolor", "24bit"}
    if graphics == "blocks" and truecolor:
        return "blocks", truecolor, None
    abilities = await terminal.ask()
    kind = abilities.best if graphics == "auto" else cast("Graphics", graphics)
    return kind, truecolor or abilities.truecolor, abilities.cell


@contextlib.contextmanager
def _messages_held() -> Iterator[None]:
    """Print no messages within the block: the status line tells of interruptions. Warnings are printed after it."""
    before, notes.quiet = notes.quiet, True
    with warnings.held():
        try:
            yield
        finally:
            notes.quiet = before


class _Watching:
    """Draws the newest frame, and the status line below it."""

    def __init__(
        self, session: streamer.Session, terminal: Terminal, drawn: Picture, cell: tuple[int, int] | None
    ) -> None:
        self._session = session
        self._terminal = terminal
        self._picture = drawn
        self._cell = cell
        self._frame: streamer.VideoFrame | None = None
        self._layout: Layout | None = None
        self._size = (0, 0)
        self._status = ""
        self._changed = asyncio.Event()

    async def run(self, stopped: asyncio.Event) -> None:
        """Draw until told to stop, or until the session ends. Raises what ended it."""
        frames = self._session.frames(max_fps=MAX_FPS)
        taking = asyncio.create_task(self._take(frames), name="take frames")
        others = [asyncio.create_task(work) for work in (self._tick(), self._follow(), stopped.wait())]
        for task in (taking, *others):
            task.add_done_callback(lambda _: self._changed.set())
        with on_signal(self._changed.set, numbers=[] if _RESIZED is None else [_RESIZED]):
            try:
                while not stopped.is_set() and not taking.done():
                    await self._changed.wait()
                    self._changed.clear()
                    try:
                        spent_s = await asyncio.to_thread(self._draw, self._frame, self._line())
                    except OSError:  # the terminal has gone
                        return
                    await asyncio.wait({taking, *others}, timeout=REST * spent_s, return_when=asyncio.FIRST_COMPLETED)
                if taking.done():
                    taking.result()
            finally:
                frames.close()
                for task in (taking, *others):
                    task.cancel()
                await asyncio.wait({taking, *others})
                with contextlib.suppress(OSError):
                    self._terminal.write(self._picture.erase())

    async def _take(self, frames: streamer.FrameIterator) -> None:
        async for frame in frames:
            self._frame = frame
            self._changed.set()

    async def _follow(self) -> None:
        async for _ in self._session.events():
            self._changed.set()

    async def _tick(self) -> None:
        while True:
            self._changed.set()
            await asyncio.sleep(STATUS_EVERY_S)

    def _draw(self, frame: streamer.VideoFrame | None, line: str) -> float:
        """Draw what has changed; return the CPU time that it took, in seconds."""
        began_s = time.thread_time()
        grid = self._terminal.grid(self._cell)
        data = b""
        if (grid.columns, grid.rows) != self._size:
            self._size = (grid.columns, grid.rows)
            self._layout, self._status = None, ""
            data = self._picture.erase() + b"\x1b[2J"
        if frame is not None and (layout := self._picture.layout((frame.width, frame.height), grid)) is not None:
            if layout != self._layout and self._layout is not None:
                data += self._picture.erase() + b"\x1b[2J"
                self._status = ""
            self._layout = layout
            data += self._picture.draw(frame.to_ndarray("rgb24", size=layout.pixels), layout)
        if line != self._status:
            self._status = line
            shown = set_cell_size(line, grid.columns)
            data += f"\x1b[{grid.rows};1H\x1b[7m{shown}\x1b[m".encode()
        self._terminal.write(data)
        return time.thread_time() - began_s

    def _line(self) -> str:
        stats = self._session.stats()
        parts = [f" {self._session.instance_id}", stats.state]
        if stats.state == "interrupted":
            parts[1] = interruption(self._session.status)
        else:
            parts += [f"{stats.frames_per_second:.0f} fps", f"{stats.bitrate_bps / 1e6:.2f} Mbit/s"]
        return escaped("  ".join([*parts, "q quits"]))
