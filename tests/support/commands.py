"""The command line as a user runs it, in a process of its own."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import av

from streamer.emulator import EmulatedPhone
from tests.support import prepared

LIMIT_S = 40.0


class Ended(NamedTuple):
    """The result of a command."""

    code: int | None
    out: str
    err: str


def environment(phone: EmulatedPhone | None = None, **more: str) -> dict[str, str]:
    """Return this process's environment with the phone's endpoint and token, or with neither."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STREAMER_")}
    given = {"STREAMER_ENDPOINT": phone.endpoint, "STREAMER_AUTH_TOKEN": phone.tenant_token} if phone else {}
    return kept | {"COLUMNS": "400", "TERM": "xterm"} | given | more


@contextlib.asynccontextmanager
async def running(*words: object, env: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a command; it does not outlive the block."""
    process = await asyncio.create_subprocess_exec(
        *prepared.COMMAND,
        *map(str, words),
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(LIMIT_S):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def end(process: asyncio.subprocess.Process) -> Ended:
    """Wait for a command's end. No command may show a traceback."""
    out, err = (text.decode() for text in await process.communicate())
    assert "Traceback" not in out + err
    return Ended(process.returncode, out, err)


async def run(*words: object, env: dict[str, str]) -> Ended:
    async with running(*words, env=env) as process:
        return await end(process)


def size_of(path: Path) -> int:
    """Return a file's size; 0 if it is not there, or was there only to see whether it can be written."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


async def until_written(process: asyncio.subprocess.Process, path: Path, size: int = 20_000) -> None:
    """Wait until a running command has written so many bytes to a file."""
    while size_of(path) < size:
        assert process.returncode is None
        await asyncio.sleep(0.05)


def streams(path: Path) -> tuple[list[str], int]:
    """Return the names of a file's codecs, and how many frames decode."""
    with av.open(path) as container:
        names = [stream.codec_context.name for stream in container.streams]
        return names, sum(1 for _ in container.decode(video=0))
