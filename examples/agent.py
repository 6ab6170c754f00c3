"""Sign in to an app through `streamer mcp`, as an AI agent does: by tools alone, deciding by what they answer.

There is no model in it. It is for the app "Sign in" of the emulator. Install the extra `mcp`, start the emulator with
`streamer phone --screen apps`, set STREAMER_ENDPOINT and STREAMER_AUTH_TOKEN as it says, then:

    python examples/agent.py demo-phone
"""

import argparse
import asyncio
import base64
import io
import json
import os
import sys
from typing import Any

import av
import numpy as np
from mcp import Client, StdioServerParameters, types
from mcp.client.stdio import stdio_client

import streamer


class Tools:
    """The tools of the server, and the last picture that one of them gave."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.picture = b""

    async def __call__(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Use a tool; return what it says. An error is a sentence that a model would read."""
        result = await self._client.call_tool(name, arguments)
        text, *pictures = result.content
        assert isinstance(text, types.TextContent)
        for picture in pictures:
            assert isinstance(picture, types.ImageContent)
            self.picture = base64.b64decode(picture.data)
        print(f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())}): {text.text}")
        if result.is_error:
            raise streamer.StreamerError(text.text)
        facts: dict[str, Any] = json.loads(text.text)
        return facts

    def shows_success(self) -> bool:
        """Whether the picture has the green words of a phone that is signed in. A model would read them."""
        with av.open(io.BytesIO(self.picture), "r") as picture:
            pixels = np.asarray(next(picture.decode(video=0)).to_ndarray(format="rgb24"), dtype=int)
        red, green, blue = (pixels[pixels.shape[0] // 10 : pixels.shape[0] // 2, :, channel] for channel in range(3))
        return int(((green - red > 40) & (green - blue > 20)).sum()) > 50


async def main(instance_id: str) -> None:
    if not os.environ.get("STREAMER_ENDPOINT"):
        raise streamer.ConfigurationError("expected an endpoint such as https://… in STREAMER_ENDPOINT, got none")
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "streamer", "mcp", instance_id], env=dict(os.environ)
    )
    async with Client(stdio_client(server)) as client:
        use = Tools(client)
        if "com.example.signin" not in [app["package"] for app in (await use("list_apps"))["apps"]]:
            raise streamer.ConfigurationError(f"expected a phone with the app com.example.signin, got {instance_id}")
        await use("record", action="start")
        await use("start_app", package="com.example.signin")
        for _ in range(3):  # a tap may come to nothing: then nothing has changed, and it is tried again
            if (await use("tap", x=0.5, y=0.205))["changed"]:
                break
        await use("type", text="ann@example.com")
        await use("press", key="ENTER")  # goes on to the next field
        await use("type", text="open sesame")
        await use("press", key="ENTER")
        while not use.shows_success():  # the app thinks for a while, and its screen is still meanwhile
            if not (await use("wait_for", what="change", timeout_s=20))["came"]:
                raise streamer.StreamerError("the app has not signed in")
        await use("clip", seconds=10)
        recording = await use("record", action="stop")
        print(f"signed in; the recording is {recording['file']}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("instance", help="the phone's instance id")
    given = parser.parse_args()
    try:
        asyncio.run(main(given.instance))
    except streamer.StreamerError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
