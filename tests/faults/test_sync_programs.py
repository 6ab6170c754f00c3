"""Programs with `streamer.sync` that are interrupted, that end with a phone open, or that fork."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from streamer import emulator
from streamer.emulator import Faults
from streamer.protocol_constants import RELEASE_PATH, STOP_PATH
from tests.faults.stages import SMALL
from tests.support.commands import environment
from tests.support.prepared import PYTHON
from tests.support.recordings import frame_count
from tests.support.waiting import until

LIMIT_S = 40.0

_BEGIN = """
import os, sys, threading, time
import streamer
from streamer import sync

def connect(release=True):
    endpoint = os.environ["STREAMER_ENDPOINT"]
    return sync.connect("demo-phone", endpoint=endpoint, credentials=streamer.Token(), release=release)

def say(text):
    print(text, flush=True)
"""

_WAITS = {
    "connecting": """
say("waiting")
with connect() as phone:
    pass
""",
    "a wait": """
with connect() as phone:
    next(iter(phone))
    say("waiting")
    phone.wait_ended()
""",
    "frames": """
with connect() as phone:
    with phone.record(sys.argv[1]) as recording:
        for frame in phone.frames():
            if recording.frames >= 5:
                say("waiting")
""",
}

_FORK = """
phone = connect(release=False)
phone.screenshot()
child = os.fork()
try:
    phone.screenshot()
    say("parent")
except streamer.ConfigurationError as error:
    say(f"child: {error}")
    phone.close()
    with connect(release=False) as own:
        say(f"child: {own.screenshot().width}")
    os._exit(0)
finally:
    assert os.getpid() and (not child or os.waitpid(child, 0)[1] == 0)
say(phone.screenshot().width)
phone.close()
say([thread.name for thread in threading.enumerate() if thread.name == "streamer sync"])
"""


@pytest.fixture
async def small() -> AsyncIterator[emulator.EmulatedPhone]:
    async with emulator.serve(**SMALL, allow_many=True) as phone:
        yield phone


async def run(
    phone: emulator.EmulatedPhone, program: str, *arguments: object, interrupt: bool = False
) -> tuple[int, str, str]:
    """Run a program to its end, with one Ctrl-C when it says that it waits; return its code and what it said."""
    async with asyncio.timeout(LIMIT_S):
        process = await asyncio.create_subprocess_exec(
            *(*PYTHON, "-W", "always::ResourceWarning", "-c", _BEGIN + program, *map(str, arguments)),
            env=environment(phone),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            if interrupt:
                assert await process.stdout.readline() == b"waiting\n"
                if phone.faults.silent_at:
                    await until(lambda: phone.clients)
                process.send_signal(signal.SIGINT)
            out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


@pytest.mark.parametrize("where", _WAITS)
async def test_ctrl_c_ends_a_wait_and_leaves_the_phone_clean(
    small: emulator.EmulatedPhone, tmp_path: Path, where: str
) -> None:
    if where == "connecting":
        small.faults = Faults(silent_at="offer")
    code, _, said = await run(small, _WAITS[where], tmp_path / "a.mp4", interrupt=True)
    assert code == -signal.SIGINT
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert "ResourceWarning" not in said
    assert list(small.lifecycle.calls) == [STOP_PATH, RELEASE_PATH]
    await until(lambda: not small.clients)
    if where == "frames":
        assert frame_count(tmp_path / "a.mp4") >= 5


@pytest.mark.parametrize("ending", ["", "sys.exit()", "raise SystemExit"])
async def test_a_program_that_ends_with_a_phone_open_closes_it_and_its_file(
    small: emulator.EmulatedPhone, tmp_path: Path, ending: str
) -> None:
    program = f"""
phone = connect()
recording = phone.record(sys.argv[1])
for _ in phone:
    if recording.frames >= 5:
        break
{ending}
"""
    code, _, said = await run(small, program, tmp_path / "a.mp4")
    assert code == 0
    assert said.count("ResourceWarning: the phone demo-phone was never closed") == 1
    assert "Traceback" not in said
    assert frame_count(tmp_path / "a.mp4") >= 5
    assert list(small.lifecycle.calls) == [STOP_PATH, RELEASE_PATH]


async def test_a_fork_says_so_and_connects_anew(small: emulator.EmulatedPhone) -> None:
    code, out, said = await run(small, _FORK)
    assert (code, said) == (0, ""), said
    lines = sorted(out.splitlines())
    width = SMALL["width"]
    assert lines == [
        str(width),
        "[]",
        f"child: {width}",
        "child: expected a call in the process that connected to the phone, got one in a fork of it: connect in each "
        "process",
        "parent",
    ]
