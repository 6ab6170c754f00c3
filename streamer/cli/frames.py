"""`streamer frames`, `screenshot` and `clip`: frames off the screen, and out of a recording."""

import asyncio
import re
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from rich.text import Text

import streamer
from streamer.atomic_file import check_writable, unwritable, write_atomically
from streamer.cli.connecting import Connect, connected
from streamer.cli.display import bar, file_size, final_stats, live, stats_facts, with_interruptions
from streamer.cli.options import Output
from streamer.cli.output import notes, refuse_terminal, show_result, styled, writing_into
from streamer.cli.runtime import stop_on_signal
from streamer.media.playback.images import image_format_of

_NUMBERED: Final = re.compile(r"(\d{6,18})\.(?:png|jpg)", re.ASCII)


async def save_frames(
    connect: Connect,
    output: Path,
    *,
    say: Output,
    fps: float,
    count: int | None,
    suffix: str,
    show_stats: bool,
) -> None:
    """Save the newest frame so many times a second, each in a file of its own."""
    connecting = connect()  # what is wrong with the settings is said before a directory is made
    with writing_into(output):
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output):
            pass
        first = number = next_number(path.name for path in output.iterdir())
    last = "no frame yet"

    def progress() -> Text:
        done = number - first
        line = styled(f" {done} {'frame' if done == 1 else 'frames'}  {last}")
        return line if count is None else Text("\n").join([line, bar(done / fps, count / fps)])

    async with stop_on_signal() as stopped, connected(connecting) as session:
        frames = session.frames(max_fps=fps)
        stopping = asyncio.ensure_future(stopped.wait())
        stopping.add_done_callback(lambda _: frames.close())
        try:
            async with live(progress, refresh_per_second=5):
                async for frame in frames:
                    path = output / f"{number:06d}.{suffix}"
                    await asyncio.to_thread(frame.save, path)
                    number += 1
                    last = f"{path}  {frame.width}x{frame.height}"
                    if number - first == count:
                        break
        finally:
            stopping.cancel()
            frames.close()
            stats = final_stats(session, show=show_stats and not say.as_json)
    names = [f"{each:06d}.{suffix}" for each in (first, number - 1)] if number > first else []
    facts = {
        "output": str(output),
        "frames": number - first,
        "first": names[0] if names else None,
        "last": names[1] if names else None,
        **stats_facts(stats, has_all=show_stats),
    }
    words = styled(
        (str(output), "bold"),
        f"  {number - first} frames",
        f"  {names[0]} to {names[1]}" if names else "",
    )
    show_result(facts, with_interruptions(words, stats), as_json=say.as_json)


def next_number(names: Iterable[str]) -> int:
    """Return the number that follows those of the images with these names; others do not count."""
    return max((int(found[1]) + 1 for name in names if (found := _NUMBERED.fullmatch(name))), default=0)


async def save_screenshot(
    connect: Connect,
    output: Path,
    suffix: str | None,
    *,
    say: Output,
    overwrite: bool,
    size: tuple[int, int] | None,
    timeout_s: float,
) -> None:
    """Save one frame, or write it to the standard output."""
    is_pipe = str(output) == "-"
    if is_pipe:
        refuse_terminal()
    image_format = image_format_of(Path(f"-.{suffix or 'png'}") if suffix or is_pipe else output)
    if not is_pipe:
        check_writable(output, overwrite=overwrite)  # before connecting, which may take the phone over from somebody
    async with connected(connect()) as session:
        frame = await session.screenshot(timeout_s=timeout_s)
    data = frame.encode(image_format, size=size)
    width, height = size or (frame.width, frame.height)
    if is_pipe:
        try:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except OSError as error:
            raise unwritable(output, error) from error
        if not say.as_json:
            return
    else:
        write_atomically(output, data, overwrite=overwrite)
    facts = {"output": str(output), "width": width, "height": height, "size_bytes": len(data)}
    words = styled((str(output), "bold"), f"  {width}x{height}  {file_size(len(data))}")
    show_result(facts, words, as_json=say.as_json, is_pipe=is_pipe)


async def cut_clip(
    recording: Path, output: Path, start_s: float, end_s: float | None, *, say: Output, **options: Any
) -> None:
    """Cut a clip out of a recording."""
    with notes.status(styled(str(output))):
        await streamer.clip(recording, start_s, end_s, output, **options)
    size = output.stat().st_size
    words = styled((str(output), "bold"), f"  {file_size(size)}")
    show_result({"output": str(output), "size_bytes": size}, words, as_json=say.as_json)
