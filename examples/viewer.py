"""A live window of a phone's screen: the freshest picture, whichever way the phone is turned. Needs the extra `window`.

python examples/viewer.py INSTANCE
"""

import asyncio
import os
import sys

import pygame

import streamer


async def main(instance_id: str) -> None:
    async with streamer.connect(
        instance_id, endpoint=os.environ["STREAMER_ENDPOINT"], credentials=streamer.credentials_from_environment()
    ) as phone:
        pygame.display.init()
        pygame.display.set_caption(f"phone {instance_id}")
        try:
            async for frame in phone.frames(max_fps=60):
                picture = pygame.image.frombuffer(frame.to_ndarray("rgb24").data, (frame.width, frame.height), "RGB")
                scale = min(1.0, 900 / max(picture.get_size()))
                size = (round(frame.width * scale), round(frame.height * scale))
                window = pygame.display.get_surface()
                if window is None or window.get_size() != size:  # the first picture, or the phone was turned
                    window = pygame.display.set_mode(size)
                window.blit(pygame.transform.smoothscale(picture, size), (0, 0))
                pygame.display.flip()
                if pygame.event.get(pygame.QUIT):
                    break
        finally:
            pygame.quit()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
