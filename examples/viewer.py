"""A live window of a phone's screen: the freshest frame, whichever way the phone is turned. Needs the extra `window`.

Set STREAMER_ENDPOINT to the API's URL and STREAMER_AUTH_TOKEN to a tenant token, then:

    python examples/viewer.py INSTANCE
"""

import argparse
import asyncio
import contextlib
import os
import sys

import pygame

import streamer


async def main(instance: str) -> None:
    pygame.display.init()
    pygame.display.set_caption(f"phone {instance}")
    pygame.display.set_mode((360, 640))
    showing = asyncio.create_task(show(instance))
    try:
        # A window answers only while its events are taken, also while the phone connects or its screen is still.
        while not (showing.done() or any(event.type == pygame.QUIT for event in pygame.event.get())):  # noqa: ASYNC110
            await asyncio.sleep(1 / 60)
        if showing.done():
            await showing  # which raises what ended it
    finally:
        showing.cancel()
        with contextlib.suppress(asyncio.CancelledError, streamer.StreamerError):
            await showing  # until the phone is left
        pygame.quit()


async def show(instance: str) -> None:
    """Show each frame that comes."""
    async with streamer.connect(
        instance, endpoint=os.environ.get("STREAMER_ENDPOINT", ""), credentials=streamer.credentials_from_environment()
    ) as phone:
        async for frame in phone.frames(max_fps=60):
            image = pygame.image.frombuffer(frame.to_ndarray("rgb24").data, (frame.width, frame.height), "RGB")
            scale = min(1.0, 900 / max(image.get_size()))
            size = (round(frame.width * scale), round(frame.height * scale))
            window = pygame.display.get_surface()
            if window is None or window.get_size() != size:  # the first frame, or the phone was turned
                window = pygame.display.set_mode(size)
            window.blit(pygame.transform.smoothscale(image, size), (0, 0))
            pygame.display.flip()


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
