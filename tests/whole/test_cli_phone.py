"""`streamer phone` as a user runs it: in a process of its own."""

import re
import signal

import streamer
from streamer.emulator import Faults
from tests.support.commands import end, environment, run, running


async def test_the_emulator_says_how_to_reach_it_and_ends_with_ctrl_c() -> None:
    words = ("phone", "--port", 0, "--size", "360x640", "--fps", 15)
    async with running(*words, env=environment()) as process:
        assert process.stdout is not None
        lines = []
        while "Ctrl-C" not in (line := (await process.stdout.readline()).decode()):
            assert line, "it ended before it said so"
            lines.append(line.strip())
        exports = dict(line.removeprefix("export ").split("=", 1) for line in lines if line.startswith("export "))
        (command,) = (line.split() for line in lines if line.startswith("streamer record "))
        async with streamer.connect(
            command[2],
            endpoint=exports["STREAMER_ENDPOINT"],
            credentials=streamer.Token(exports["STREAMER_AUTH_TOKEN"]),
        ) as session:
            frame = await anext(session.frames())
            assert (frame.width, frame.height) == (360, 640)
            process.send_signal(signal.SIGINT)
            ended = await end(process)
    assert ended.code == 0
    told = [re.sub(r"^[\d:]{8}  demo-phone: client 1 | from .*| after .*", "", line) for line in ended.err.splitlines()]
    assert told == ["connected", "streams", "left"]


async def test_an_emulator_whose_port_is_taken_says_so() -> None:
    async with running("phone", "--size", "90x90", env=environment()) as first:
        assert first.stdout is not None
        await first.stdout.readline()  # it has the port, or somebody else has
        async with running("phone", "--size", "90x90", env=environment()) as second:
            assert second.stdout is not None
            lines = [(await second.stdout.readline()).decode() for _ in range(5)]
            assert lines[0] == "Port 8470 is taken, perhaps by another emulator.\n"
            assert "export STREAMER_ENDPOINT=" in lines[4]
            assert ":8470" not in lines[4]


async def test_the_emulator_lists_its_faults() -> None:
    ended = await run("phone", "--fault", "list", env=environment())
    assert ended.code == 0
    for name in Faults.describe():
        assert name in ended.out
