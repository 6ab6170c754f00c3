"""A process that records the emulator into several files at once, to be killed.

argv: where the emulator is, and the files, as one JSON object.
"""

import asyncio
import json
import sys

import streamer
from tests.support.processes import say


async def session(place: dict[str, str], paths: list[str]) -> None:
    """Record the phone into several files at once, and say so once there is a frame for each; until it is killed."""
    async with connected(place) as phone:
        recordings = [phone.record(path, overwrite=True) for path in paths]
        while not all(recording.frames for recording in recordings):  # they have no event for it
            await asyncio.sleep(0.01)
        say("recording")
        await phone.wait_ended()


def connected(place: dict[str, str]) -> streamer.Connecting:
    """Connect to a phone that runs as a process of its own."""
    return streamer.connect(
        place["instance"], endpoint=place["endpoint"], credentials=streamer.Token(place["token"]), timeout_s=30
    )


if __name__ == "__main__":
    asyncio.run(session(**json.loads(sys.argv[1])))
