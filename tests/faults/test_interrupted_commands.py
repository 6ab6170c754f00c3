"""Ctrl-C, SIGTERM and SIGHUP at any moment of a command: an exit code that is documented, and never a traceback."""

import asyncio
import contextlib
import itertools
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import pytest

from streamer import emulator
from tests.faults.stages import SMALL
from tests.support.commands import environment
from tests.support.recordings import frame_count

LIMIT_S: Final = 60.0
NUMBERS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WAYS: Final = ((sys.executable, "-m", "streamer"), (str(Path(sys.executable).with_name("streamer")),))

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="there is no /proc here, which tells when a process takes signals"
)


async def interrupt(
    way: Sequence[str],
    words: Sequence[object],
    number: signal.Signals,
    moments_s: Sequence[float],
    env: dict[str, str],
) -> tuple[int, str]:
    """Run a command, signal it after this delay, and again; return its exit code and its output."""
    process = await asyncio.create_subprocess_exec(
        *(*way, *map(str, words)),
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(LIMIT_S):
            while process.returncode is None and not _takes(process.pid, signal.SIGTERM):
                await asyncio.sleep(0)  # before that it is the interpreter that starts
            for before_s, moment_s in itertools.pairwise((0.0, *moments_s)):
                await asyncio.sleep(moment_s - before_s)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, number)  # Popen.send_signal would take the exit code away from asyncio
            _, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


def _takes(pid: int, number: signal.Signals) -> bool:
    """Whether a process handles a signal itself."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return bool((int(fields["SigCgt"], 16) | int(fields["SigIgn"], 16)) >> (number - 1) & 1)


async def at_many_moments(
    step_s: float, one: Callable[[int, float, signal.Signals, Sequence[str]], Awaitable[None]]
) -> None:
    """Interrupt within the first second, by each signal and for each way of starting; two at a time."""
    turns = asyncio.Semaphore(2)
    kinds = itertools.cycle(itertools.product(NUMBERS, WAYS))

    async def in_turn(index: int, kind: tuple[signal.Signals, Sequence[str]]) -> None:
        async with turns:
            await one(index, index * step_s, *kind)

    await asyncio.gather(*(in_turn(index, next(kinds)) for index in range(round(1 / step_s) + 1)))


def assert_quiet(said: str) -> None:
    for word in ("Traceback", "Exception ignored", "Warning"):
        assert word not in said, said


@pytest.mark.parametrize("times", [1, 2])
async def test_a_recording_interrupted_at_any_moment_prints_no_traceback_and_leaves_no_half_file(
    tmp_path: Path, times: int
) -> None:
    async def one(index: int, moment_s: float, number: signal.Signals, way: Sequence[str]) -> None:
        path = tmp_path / f"{index}.mp4"
        async with emulator.serve(**SMALL) as phone:
            moments_s = [moment_s + 0.03 * again for again in range(times)]
            words = ("record", phone.instance_id, "-o", path)
            code, said = await interrupt(way, words, number, moments_s, environment(phone))
        assert_quiet(said)
        assert code in {0, 6, 130}, said  # frames, none yet, at once
        assert path.exists() or code != 0
        assert not path.exists() or frame_count(path) > 0

    await at_many_moments(0.05, one)
    assert all(path.suffix == ".mp4" for path in tmp_path.iterdir())


@pytest.mark.parametrize("command", ["info", "screenshot", "--help"])
async def test_a_command_that_ends_by_itself_is_done_or_interrupted(tmp_path: Path, command: str) -> None:
    async def one(index: int, moment_s: float, number: signal.Signals, way: Sequence[str]) -> None:
        path = tmp_path / f"{index}.png"
        async with emulator.serve(**SMALL) as phone:
            words: dict[str, list[object]] = {
                "info": [phone.instance_id],
                "screenshot": [phone.instance_id, "-o", path],
                "--help": [],
            }
            code, said = await interrupt(way, (command, *words[command]), number, [moment_s], environment(phone))
        assert_quiet(said)
        assert code in {0, 130}, said
        assert path.exists() or code == 130 or command != "screenshot"

    await at_many_moments(0.1, one)
