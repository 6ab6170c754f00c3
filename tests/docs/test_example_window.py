"""The example with a window is run as it stands, in a window that nobody sees."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pygame
import pytest

from streamer import emulator
from streamer.emulator import EmulatedPhone, Faults, Key, Touch, read_barcode
from tests.support.example_programs import load
from tests.support.waiting import until

LIMIT_S = 60.0


OpenWindow = Callable[[EmulatedPhone], contextlib.AbstractAsyncContextManager[Any]]


@pytest.fixture
def open_window(monkeypatch: pytest.MonkeyPatch) -> OpenWindow:
    """Give a function that runs the example within a block, and closes it with the window's button."""
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")

    @contextlib.asynccontextmanager
    async def open_window(phone: EmulatedPhone) -> AsyncIterator[Any]:
        monkeypatch.setenv("STREAMER_ENDPOINT", phone.endpoint)
        monkeypatch.setenv("STREAMER_AUTH_TOKEN", phone.tenant_token)
        example = load("window")
        windows = list[Any]()

        class Window(example.Window):  # type: ignore[misc,name-defined]
            def __init__(self) -> None:
                super().__init__()
                windows.append(self)

        example.Window = Window
        async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as tasks:
            running = tasks.create_task(example.main(phone.instance_id))
            await until(lambda: windows)
            yield windows[0]
            assert not running.done()
            pygame.event.post(pygame.event.Event(pygame.QUIT))
        assert not pygame.display.get_init()

    return open_window


async def test_the_window_has_any_size_and_follows_a_rotation(phone: EmulatedPhone, open_window: OpenWindow) -> None:
    async with open_window(phone) as window:
        await until(lambda: shows(pygame.Rect(0, 0, 360, 640)))
        resize(640, 640)
        await until(lambda: shows(pygame.Rect(140, 0, 360, 640)))
        assert window.at((320, 320)) == (0.5, 0.5)
        assert window.at((0, 640)) == (0.0, 1.0)
        phone.rotate()
        await until(lambda: shows(pygame.Rect(0, 0, 640, 360)))


async def test_the_window_closes_on_a_still_screen_and_before_it_is_connected(
    phone: EmulatedPhone, open_window: OpenWindow
) -> None:
    for faults in (Faults(), Faults(silent_at="offer")):
        phone.faults = faults
        async with open_window(phone) as window:
            await until(lambda: pygame.display.get_init() and (phone.faults.silent_at or window.picture))
            phone.go_still()
            sent = -1
            while sent != (sent := phone.frames_sent):
                await asyncio.sleep(0.2)
        phone.wake()


async def test_the_window_s_mouse_and_keys_act_on_the_phone(open_window: OpenWindow) -> None:
    async with (
        emulator.serve(width=360, height=640, fps=15, audio=False, screen="apps") as phone,
        open_window(phone) as window,
    ):
        await until(lambda: window.picture)
        click(43, 141)
        await until(lambda: phone.app_in_front.endswith("settings"))
        click(0, 0, pygame.BUTTON_RIGHT)
        click(0, 0, pygame.BUTTON_MIDDLE)
        post(pygame.TEXTINPUT, text="a")
        post(pygame.KEYDOWN, key=pygame.K_RETURN)
        back, home, a, enter = 4, 3, 29, 66
        await until(lambda: [key.code for key in keys(phone) if key.action == 0] == [back, home, a, enter])

        phone.inputs.clear()
        post(pygame.MOUSEBUTTONDOWN, pos=(180, 500), button=pygame.BUTTON_LEFT)
        for y in (450, 400, 320):
            post(pygame.MOUSEMOTION, pos=(180, y), buttons=(1, 0, 0))
        post(pygame.MOUSEBUTTONUP, pos=(180, 320), button=pygame.BUTTON_LEFT)
        await until(lambda: [touch.action for touch in touches(phone)][-1:] == [1])
        assert touches(phone)[-1].points[0][1:] == (0.5, 0.5)

        phone.inputs.clear()
        pygame.mouse.set_pos((180, 320))
        post(pygame.MOUSEWHEEL, x=0, y=-1)
        await until(lambda: [touch.action for touch in touches(phone)][-1:] == [1])
        assert [touch.points[0].y for touch in touches(phone) if touch.action != 2] == pytest.approx([0.5, 0.35])


def post(kind: int, **facts: Any) -> None:
    pygame.event.post(pygame.event.Event(kind, **facts))


def click(x: int, y: int, button: int = pygame.BUTTON_LEFT) -> None:
    for kind in (pygame.MOUSEBUTTONDOWN, pygame.MOUSEBUTTONUP):
        post(kind, pos=(x, y), button=button)


def touches(phone: EmulatedPhone) -> list[Touch]:
    """Return what the mouse's finger did; another one says that nothing more comes."""
    return [read for read in phone.inputs if isinstance(read, Touch) and read.points[0].finger == 0]


def keys(phone: EmulatedPhone) -> list[Key]:
    return [read for read in phone.inputs if isinstance(read, Key)]


def resize(width: int, height: int) -> None:
    """Resize the window as a person does."""
    with pytest.deprecated_call():
        pygame.Window.from_display_module().size = (width, height)


def shows(place: pygame.Rect) -> bool:
    """Whether a frame of the phone is in this part of the window, and fills its width or its height."""
    window = pygame.display.get_surface() if pygame.display.get_init() else None
    if window is None or place != place.fit(window.get_rect()):
        return False
    part = window.subsurface(place)
    if max(part.get_at((4, 4))[:3]) >= 60:  # the status bar is dark
        return False
    return read_barcode(np.ascontiguousarray(pygame.surfarray.array3d(part).swapaxes(0, 1))) is not None
