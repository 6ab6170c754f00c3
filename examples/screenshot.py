"""Save what is on a phone's screen now, as a PNG and as a small JPEG.

python examples/screenshot.py INSTANCE screen.png
"""

import asyncio
import os
import sys
from pathlib import Path

import streamer


async def main(instance_id: str, path: str) -> None:
    async with streamer.connect(
        instance_id, endpoint=os.environ["STREAMER_ENDPOINT"], credentials=streamer.credentials_from_environment()
    ) as phone:
        frame = await phone.screenshot()  # the last picture, also if the screen stands still
    frame.save(path)
    small = Path(path).with_suffix(".jpg")
    small.write_bytes(frame.encode("jpeg", quality=75, size=(frame.width // 2, frame.height // 2)))
    print(f"{path}: {frame.width}x{frame.height}; {small}: {small.stat().st_size} bytes")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
