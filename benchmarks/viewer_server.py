"""The viewer's server as a process of its own: connects to the phone of the first line, and says the viewer's address.

Each further line is answered with the processor time that it has used, in seconds.
"""

import asyncio
import time

import streamer
from tests.support.processes import listen, say


async def main() -> None:
    """Serve until the input ends."""
    place = await listen()
    async with (
        streamer.connect(
            place["instance"], endpoint=place["endpoint"], credentials=streamer.Token(place["token"])
        ) as session,
        session.view() as viewer,
    ):
        await session.wait_input()
        say(viewer.url)
        while await listen() is not None:
            say(time.process_time())


if __name__ == "__main__":
    asyncio.run(main())
