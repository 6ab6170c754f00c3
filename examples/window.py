"""A phone in a window of its own, to be seen and touched. Needs the extra `window`.

The mouse is a finger, and its wheel scrolls. The right button is Back, the middle one Home. Keys type. The phone keeps
its shape in a window of any size.

Set STREAMER_ENDPOINT to the API's URL and STREAMER_AUTH_TOKEN to a tenant token, then:

    python examples/window.py INSTANCE
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import sys
from collections.abc import Awaitable, Callable, Sequence

import streamer

try:
    import pygame
except ImportError:
    sys.exit("error: this example needs pygame-ce: pip install '.[window]' in the checkout of streamer")

KEYS = {
    pygame.K_RETURN: "ENTER",
    pygame.K_BACKSPACE: "DEL",
    pygame.K_DELETE: "FORWARD_DEL",
    pygame.K_ESCAPE: "BACK",
    pygame.K_UP: "DPAD_UP",
    pygame.K_DOWN: "DPAD_DOWN",
    pygame.K_LEFT: "DPAD_LEFT",
    pygame.K_RIGHT: "DPAD_RIGHT",
}
BUTTONS = {pygame.BUTTON_MIDDLE: "HOME", pygame.BUTTON_RIGHT: "BACK"}
LONGEST = 900  # pixels of a new window's longer side, at most
NOTCH = 0.15  # of the screen, that a notch of the wheel scrolls
Place = tuple[float, float]  # fractions of the screen


class Window:
    """What is in the window, and what the person in front of it does."""

    def __init__(self) -> None:
        self.picture: pygame.Surface | None = None  # the newest frame
        self.place = pygame.Rect(0, 0, 1, 1)  # where it is in the window
        self.finger: asyncio.Queue[Place | None] = asyncio.Queue()  # where it goes; None lifts it
        self.acts: asyncio.Queue[Callable[[streamer.Session], Awaitable[object]]] = asyncio.Queue()

    async def run(self, instance: str) -> None:
        """Show the phone, and act on it, until the stream ends."""
        endpoint = os.environ.get("STREAMER_ENDPOINT", "")
        async with streamer.connect(
            instance, endpoint=endpoint, credentials=streamer.credentials_from_environment()
        ) as phone:
            hands = [asyncio.create_task(each(phone)) for each in (self.name, self.touch, self.act)]
            try:
                async for frame in phone.frames(max_fps=60):
                    self.show(frame)
            finally:
                for hand in hands:
                    hand.cancel()

    async def name(self, phone: streamer.Session) -> None:
        async for _ in phone.events():
            pygame.display.set_caption(f"{phone.instance_id}: {phone.state}")

    def show(self, frame: streamer.VideoFrame) -> None:
        size = (frame.width, frame.height)
        if self.picture is None or size != self.picture.get_size():  # the first frame, or the phone was turned
            longest = LONGEST if self.picture is None else max(self.place.size)
            scale = min(1.0, longest / max(size))
            pygame.display.set_mode((round(frame.width * scale), round(frame.height * scale)), pygame.RESIZABLE)
        self.picture = pygame.image.frombuffer(frame.to_ndarray("rgb24").data, size, "RGB")
        self.draw()

    def draw(self) -> None:
        window = pygame.display.get_surface()
        if window is None or self.picture is None:
            return
        self.place = self.picture.get_rect().fit(window.get_rect())
        window.fill("black")
        window.blit(pygame.transform.smoothscale(self.picture, self.place.size), self.place)
        pygame.display.flip()

    def take(self, events: Sequence[pygame.Event]) -> bool:
        """Do what the events ask for. Returns False when the window is to be closed."""
        for event, following in itertools.zip_longest(events, events[1:]):
            if event.type == pygame.QUIT:
                return False
            if event.type in {pygame.VIDEORESIZE, pygame.VIDEOEXPOSE}:
                self.draw()
            elif self.picture is None:
                continue  # there is nothing to act on
            elif event.type in {pygame.MOUSEBUTTONDOWN, pygame.MOUSEBUTTONUP, pygame.MOUSEMOTION}:
                if following is None or following.type != pygame.MOUSEMOTION or event.type != pygame.MOUSEMOTION:
                    self.take_mouse(event)
            elif event.type == pygame.MOUSEWHEEL:
                self.scroll(event.y * NOTCH)
            elif event.type == pygame.KEYDOWN and event.key in KEYS:
                self.press(KEYS[event.key])
            elif event.type == pygame.TEXTINPUT:
                self.type(event.text)
        return True

    def take_mouse(self, event: pygame.Event) -> None:
        if event.type == pygame.MOUSEMOTION:
            if event.buttons[0]:
                self.finger.put_nowait(self.at(event.pos))
        elif event.button == pygame.BUTTON_LEFT:
            self.finger.put_nowait(self.at(event.pos))
            if event.type == pygame.MOUSEBUTTONUP:
                self.finger.put_nowait(None)
        elif event.type == pygame.MOUSEBUTTONDOWN and event.button in BUTTONS:
            self.press(BUTTONS[event.button])

    def scroll(self, by: float) -> None:
        x, y = self.at(pygame.mouse.get_pos())
        self.acts.put_nowait(
            lambda phone: phone.swipe((x, y), (x, min(max(y + by, 0.0), 1.0)), duration_s=0.1, hold_s=0.1)
        )

    def press(self, key: str) -> None:
        self.acts.put_nowait(lambda phone: phone.press(key))

    def type(self, text: str) -> None:
        self.acts.put_nowait(lambda phone: phone.type(text))

    def at(self, pixel: tuple[int, int]) -> Place:
        """Return which place of the phone's screen a pixel of the window shows, or the nearest one."""
        x, y = (pixel[0] - self.place.x) / self.place.w, (pixel[1] - self.place.y) / self.place.h
        return min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)

    async def touch(self, phone: streamer.Session) -> None:
        """Let a finger follow the mouse, as long as its button is held."""
        while True:
            place = await self.finger.get()
            try:
                async with phone.finger() as finger:  # which is lifted at its end
                    if place:
                        await finger.down(*place)
                    while place := await self.finger.get():
                        await finger.move(*place)
            except streamer.StreamerError as error:
                print(f"error: {error}", file=sys.stderr)
                while place:
                    place = await self.finger.get()

    async def act(self, phone: streamer.Session) -> None:
        """Do the rest, one after another."""
        while True:
            do = await self.acts.get()
            try:
                await do(phone)
            except streamer.StreamerError as error:
                print(f"error: {error}", file=sys.stderr)


async def main(instance: str) -> None:
    pygame.display.init()
    pygame.display.set_caption(f"{instance}: connecting")
    pygame.display.set_mode((360, 640), pygame.RESIZABLE)
    window = Window()
    running = asyncio.create_task(window.run(instance))
    try:
        # A window answers only while its events are taken, also while the phone connects or its screen is still.
        while not running.done() and window.take(pygame.event.get()):  # noqa: ASYNC110
            await asyncio.sleep(1 / 60)
        if running.done():
            await running  # which raises what ended it
    finally:
        running.cancel()
        pygame.quit()  # at once: to leave the phone may take a moment
        with contextlib.suppress(asyncio.CancelledError, streamer.StreamerError):
            await running


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
