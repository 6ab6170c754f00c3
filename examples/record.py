"""Record ten seconds of a phone's screen and audio into an MP4 file, without encoding anything again.

Set STREAMER_ENDPOINT to the API's URL and STREAMER_AUTH_TOKEN to a tenant token, then:

    python examples/record.py INSTANCE phone.mp4
"""

import argparse
import asyncio
import os
import sys

import streamer


async def main(instance_id: str, path: str, seconds: float = 10) -> None:
    async with streamer.connect(
        instance_id,
        endpoint=os.environ.get("STREAMER_ENDPOINT", ""),
        credentials=streamer.credentials_from_environment(),
    ) as phone:
        async with phone.record(path) as recording:
            await asyncio.sleep(seconds)
        print(f"{path}: {recording.frames} frames, {recording.duration_s:.1f} s, {recording.size_bytes} bytes")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("instance", help="the phone's instance id")
    parser.add_argument("path", help="the file: .mp4, .mkv, .webm or .ts")
    given = parser.parse_args()
    try:
        asyncio.run(main(given.instance, given.path))
    except streamer.StreamerError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
