"""Save what is on a phone's screen twice a second, without asyncio, until Ctrl-C.

Set STREAMER_ENDPOINT to the API's URL and STREAMER_AUTH_TOKEN to a tenant token, then:

    python examples/without_asyncio.py INSTANCE
"""

import argparse
import os
import sys

import streamer
from streamer import sync


def main(instance_id: str, count: int | None = None) -> None:
    with sync.connect(
        instance_id,
        endpoint=os.environ.get("STREAMER_ENDPOINT", ""),
        credentials=streamer.credentials_from_environment(),
    ) as phone:
        for number, frame in enumerate(phone.frames(max_fps=2), 1):
            frame.save(f"screen-{number:04d}.png")
            print(f"screen-{number:04d}.png: {frame.width}x{frame.height}")
            if number == count:
                break


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("instance", help="the phone's instance id")
    given = parser.parse_args()
    try:
        main(given.instance)
    except streamer.StreamerError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
