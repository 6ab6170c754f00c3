"""`streamer frames`, `screenshot` and `clip`: pictures off the screen, and out of a recording."""

import asyncio
import sys
import tempfile
from pathlib import Path

from rich.markup import escape

import streamer
from streamer.cli.connecting import Connect, connected
from streamer.cli.display import file_size, stats_table
from streamer.cli.output import err, out, refuse_terminal, writing_into
from streamer.cli.running import stop_on_signal
from streamer.media.images import image_format_of
from streamer.media.whole import check_whole, unwritable, write_whole


async def save_frames(
    connect: Connect,
    output: Path,
    *,
    fps: float,
    count: int | None,
    suffix: str,
    show_stats: bool,
) -> None:
    """Save the newest picture so many times a second, each in a file of its own."""
    connecting = connect()  # what is wrong with the settings is said before a directory is made
    with writing_into(output):
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output):
            pass
    number = 0
    async with stop_on_signal() as stopped, connected(connecting) as session:
        with err.status("connected") as status:
            pictures = session.frames(max_fps=fps)
            stopping = asyncio.ensure_future(stopped.wait())
            stopping.add_done_callback(lambda _: pictures.close())
            try:
                async for frame in pictures:
                    path = output / f"{number:06d}.{suffix}"
                    await asyncio.to_thread(frame.save, path)
                    number += 1
                    status.update(f"{path}  {frame.width}x{frame.height}")
                    if number == count:
                        break
            finally:
                stopping.cancel()
                pictures.close()
                if show_stats:
                    out.print(stats_table(session.stats()))
    out.print(f"[bold]{escape(str(output))}[/]  {number} pictures", highlight=False)


async def save_screenshot(
    connect: Connect,
    output: Path,
    suffix: str | None,
    *,
    size: tuple[int, int] | None,
    timeout_s: float,
) -> None:
    """Save one picture, or write it to the standard output."""
    is_pipe = str(output) == "-"
    if is_pipe:
        refuse_terminal()
    image_format = image_format_of(Path(f"-.{suffix or 'png'}") if suffix or is_pipe else output)
    if not is_pipe:
        check_whole(output)  # before connecting, which may take the phone over from somebody
    async with connect() as session:
        frame = await session.screenshot(timeout_s=timeout_s)
    data = frame.encode(image_format, size=size)
    if is_pipe:
        try:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except OSError as error:
            raise unwritable(output, error) from error
        return
    write_whole(output, data)
    width, height = size or (frame.width, frame.height)
    out.print(f"[bold]{escape(str(output))}[/]  {width}x{height}  {file_size(len(data))}", highlight=False)


async def cut_clip(
    recording: Path, output: Path, start_s: float, end_s: float | None, *, width: int, fps: float
) -> None:
    """Cut a clip out of a recording."""
    with err.status(f"{output}"):
        await streamer.clip(recording, start_s, end_s, output, width=width, fps=fps)
    out.print(f"[bold]{escape(str(output))}[/]  {file_size(output.stat().st_size)}", highlight=False)
