"""Programs that end without leaving the block: their recordings are whole, and they print no traceback."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import streamer
from streamer import emulator
from tests.faults.stages import SMALL
from tests.support.commands import end, environment, running
from tests.support.everywhere import Connect
from tests.support.prepared import PYTHON
from tests.support.recordings import frame_count

LIMIT_S = 40.0

_BEGIN = """
import asyncio, os, sys
import streamer

async def begin():
    session = await streamer.connect(
        "demo-phone", endpoint=os.environ["STREAMER_ENDPOINT"], credentials=streamer.Token()
    )
    recording = session.record(sys.argv[1])
    async for _ in session:
        if recording.frames >= 10:
            return session
"""

_ENDINGS = {
    "asyncio.run ends": "asyncio.run(begin())",
    "the interpreter ends, and the loop just stands still": "kept = asyncio.new_event_loop(); "
    "session = kept.run_until_complete(begin())",
    "sys.exit": "async def main():\n    await begin()\n    sys.exit(0)\nasyncio.run(main())",
}


@pytest.fixture
async def small() -> AsyncIterator[emulator.EmulatedPhone]:
    async with emulator.serve(**SMALL) as phone:
        yield phone


@pytest.mark.parametrize("ending", _ENDINGS)
async def test_a_program_that_ends_with_an_open_session_leaves_its_file_and_prints_nothing(
    small: emulator.EmulatedPhone, tmp_path: Path, ending: str
) -> None:
    path = tmp_path / "a.mp4"
    async with asyncio.timeout(LIMIT_S):
        process = await asyncio.create_subprocess_exec(
            *(*PYTHON, "-c", _BEGIN + _ENDINGS[ending], str(path)),
            env=environment(small),
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await process.communicate()
    assert process.returncode == 0
    assert said.decode() == ""
    assert frame_count(path) > 0  # without its end it holds what was written by then, as a killed process leaves it


async def test_a_repeated_call_logs_no_warning(small: emulator.EmulatedPhone, tmp_path: Path) -> None:
    small.faults.auth_code, small.faults.auth_status, small.faults.auth_times = "KOOPHONE.API.9999", 500, 2
    await test_a_program_that_ends_with_an_open_session_leaves_its_file_and_prints_nothing(small, tmp_path, "sys.exit")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_command_that_is_interrupted_at_any_moment_leaves_a_whole_file_or_none(
    tmp_path: Path, number: signal.Signals
) -> None:
    rng = random.Random(number)
    turns = asyncio.Semaphore(3)

    async def interrupt(path: Path, moment_s: float) -> None:
        async with (
            turns,
            emulator.serve(**SMALL) as phone,
            running("record", phone.instance_id, "-o", path, env=environment(phone)) as process,
        ):
            while not phone.device_tokens:
                await asyncio.sleep(0.01)
            await asyncio.sleep(moment_s)
            process.send_signal(number)
            ended = await end(process)
        assert ended.code in {0, 6, 130}, ended  # frames, none yet, not even a connection
        assert (ended.code == 0) == (path.exists() and frame_count(path) > 0)

    await asyncio.gather(*(interrupt(tmp_path / f"{index}.mp4", rng.uniform(0, 1)) for index in range(6)))
    assert all(path.suffix == ".mp4" for path in tmp_path.iterdir())


async def test_a_full_disk_ends_the_recording_alone(small: emulator.EmulatedPhone, connect: Connect) -> None:
    async with connect(small) as session, asyncio.timeout(LIMIT_S):
        frames = session.frames("every", limit=1000)
        await anext(frames)
        with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(streamer.RecordingError) as caught:
            async with session.record(full) as recording:
                while not recording.is_closed:
                    await anext(frames)
        assert caught.value.reason == "disk-full"
        for _ in range(10):
            await anext(frames)
        assert session.state == "streaming"


async def test_an_error_in_the_consumer_leaves_a_whole_recording(
    small: emulator.EmulatedPhone, connect: Connect, tmp_path: Path
) -> None:
    async with asyncio.timeout(LIMIT_S):
        with pytest.raises(ZeroDivisionError):
            async with connect(small) as session, session.record(tmp_path / "a.mp4") as recording:
                async for _ in session:
                    if recording.frames >= 10:
                        raise ZeroDivisionError
    assert frame_count(tmp_path / "a.mp4") == recording.frames
