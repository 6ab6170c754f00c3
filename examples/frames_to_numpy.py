"""Read a phone's screen as numpy arrays, always the newest frame, and print how bright each is.

Set STREAMER_ENDPOINT to the API's URL and STREAMER_AUTH_TOKEN to a tenant token, then:

    python examples/frames_to_numpy.py INSTANCE
"""

import argparse
import asyncio
import os
import sys

import streamer


async def main(instance_id: str, count: int = 30) -> None:
    async with streamer.connect(
        instance_id,
        endpoint=os.environ.get("STREAMER_ENDPOINT", ""),
        credentials=streamer.credentials_from_environment(),
    ) as phone:
        async for frame in phone:
            pixels = frame.to_ndarray("bgr24")  # (height, width, 3) uint8, as OpenCV wants it
            print(f"frame {frame.sequence}: {pixels.shape}, mean brightness {pixels.mean():.1f}")
            count -= 1
            if count == 0:
                break


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
