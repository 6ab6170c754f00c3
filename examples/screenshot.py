"""Save what is on a phone's screen now, as a PNG and as a small JPEG.

Set STREAMER_ENDPOINT to the API's URL and STREAMER_AUTH_TOKEN to a tenant token, then:

    python examples/screenshot.py INSTANCE screen.png
"""

import argparse
import asyncio
import os
import sys
from pathlib import Path

import streamer


async def main(instance_id: str, path: str) -> None:
    async with streamer.connect(
        instance_id,
        endpoint=os.environ.get("STREAMER_ENDPOINT", ""),
        credentials=streamer.credentials_from_environment(),
    ) as phone:
        frame = await phone.screenshot()  # the last frame, also if the screen stands still
    frame.save(path)
    small = Path(path).with_suffix(".jpg")
    small.write_bytes(frame.encode("jpeg", quality=75, size=(frame.width // 2, frame.height // 2)))
    print(f"{path}: {frame.width}x{frame.height}; {small}: {small.stat().st_size} bytes")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("instance", help="the phone's instance id")
    parser.add_argument("path", help="the file: .png or .jpg")
    given = parser.parse_args()
    try:
        asyncio.run(main(given.instance, given.path))
    except streamer.StreamerError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
