"""Record ten seconds of a phone's screen and sound into an MP4 file, without encoding anything again.

python examples/record.py INSTANCE phone.mp4
"""

import asyncio
import os
import sys

import streamer


async def main(instance_id: str, path: str, seconds: float = 10) -> None:
    async with streamer.connect(
        instance_id, endpoint=os.environ["STREAMER_ENDPOINT"], credentials=streamer.credentials_from_environment()
    ) as phone:
        async with phone.record(path) as recording:
            await asyncio.sleep(seconds)
        print(f"{path}: {recording.pictures} pictures, {recording.duration_s:.1f} s, {recording.size_bytes} bytes")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
