"""Print a phone's audio ports, and the one in force when each of the first frames came.

Set STREAMER_ENDPOINT to the API's URL and STREAMER_AUTH_TOKEN to a tenant token, then:

    python examples/audio_ports.py INSTANCE
"""

import argparse
import asyncio
import os
import sys

import streamer


async def main(instance_id: str) -> None:
    async with streamer.connect(
        instance_id,
        endpoint=os.environ.get("STREAMER_ENDPOINT", ""),
        credentials=streamer.credentials_from_environment(),
    ) as phone:
        print("internal:", phone.audio_ports.internal)
        print("external:", phone.audio_ports.external)
        async for frame in phone.frames(max_fps=2):
            print(f"frame {frame.sequence} came while the audio port was {frame.audio_port}")
            if frame.sequence >= 30:
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
