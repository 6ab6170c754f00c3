"""A phone in the browser, to be seen and touched, until you close the page.

Set STREAMER_ENDPOINT to the API's URL and STREAMER_AUTH_TOKEN to a tenant token, then:

    python examples/viewer.py INSTANCE
"""

import argparse
import asyncio
import os
import sys

import streamer


async def main(instance: str) -> None:
    endpoint = os.environ.get("STREAMER_ENDPOINT", "")
    credentials = streamer.credentials_from_environment()
    async with (
        streamer.connect(instance, endpoint=endpoint, credentials=credentials) as phone,
        phone.view(open_browser=True) as viewer,
    ):
        print(f"{viewer.url}\nClose the page to end.")
        await viewer.wait_closed()


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
