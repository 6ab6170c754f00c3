"""Programs that look as pages do, and read all that they are sent. argv: the viewer's address, and how many.

Says how many frames came so far, of all of them, for each line of input.
"""

import asyncio
import json
import sys

from websockets.asyncio.client import connect
from websockets.typing import Origin

from tests.support.processes import listen, say

_VIDEO = 1
frames = 0


async def look(url: str) -> None:
    """Read one page's stream."""
    global frames  # noqa: PLW0603 - the sum of all
    place, _, token = url.partition("#")
    stream = place.replace("http", "ws") + "stream"
    async with connect(stream, origin=Origin(place.rstrip("/")), proxy=None, max_size=None) as websocket:
        await websocket.send(json.dumps({"token": token}))
        await websocket.send(json.dumps({"do": "show", "visible": True}))
        async for message in websocket:
            frames += isinstance(message, bytes) and message[0] == _VIDEO


async def main(url: str, count: str) -> None:
    """Look until the input ends."""
    looking = [asyncio.create_task(look(url)) for _ in range(int(count))]
    while await listen() is not None:
        say(frames)
    for task in looking:
        task.cancel()
    await asyncio.gather(*looking, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
