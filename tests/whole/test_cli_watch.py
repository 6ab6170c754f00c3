"""`streamer watch` in a terminal of each kind: it shows the phone's screen, and leaves the terminal as it was."""

import asyncio
import contextlib
import errno
import fcntl
import os
import pty
import signal
import struct
import termios
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from streamer import emulator
from streamer.emulator import EmulatedPhone
from tests.support import prepared
from tests.support.commands import environment, run
from tests.support.terminal_screen import CELL, Persona, Screen
from tests.support.waiting import LIMIT_S

# A terminal in which half blocks, and sixels and images of four pixels each, show every pixel of this phone.
PHONE = (90, 160)
HALF_BLOCKS = (90, 81)
IMAGES = (90, 81)
IMAGE = (PHONE[0] * 4, PHONE[1] * 4)  # so large that a strip of its counter has cells of eight pixels


class Watching:
    """`streamer watch` in a terminal of its own."""

    def __init__(self, process: asyncio.subprocess.Process, master: int, screen: Screen) -> None:
        self.process = process
        self.screen = screen
        self._master = master

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def resize(self, columns: int, rows: int) -> None:
        """Change the terminal's size, and tell the program."""
        self.screen.resize(columns, rows)
        set_size(self._master, columns, rows)
        self.process.send_signal(signal.SIGWINCH)

    def hang_up(self) -> None:
        """Take the terminal away, as a window does that is closed."""
        asyncio.get_running_loop().remove_reader(self._master)
        with Path(os.devnull).open("rb") as nothing:
            os.dup2(nothing.fileno(), self._master)

    @property
    def attributes(self) -> list[object]:
        return termios.tcgetattr(self._master)

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not true():
                await asyncio.sleep(0.05)

    async def shows(self, counter: int) -> None:
        """Wait until the terminal shows this frame of the emulator, or a later one."""
        await self.until(lambda: (self.counter or -1) >= counter)

    @property
    def counter(self) -> int | None:
        barcode = emulator.read_barcode(self.picture)
        return None if barcode is None else barcode.counter

    @property
    def picture(self) -> npt.NDArray[np.uint8]:
        """What the terminal shows, without what is beside it."""
        if self.screen.images:
            return next(iter(self.screen.images.values()))
        shown = self.screen.canvas if self.screen.sixels else self.screen.colors
        tall = CELL[1] if self.screen.sixels else 2
        shown = shown[: (self.screen.rows - 1) * tall]
        columns = np.flatnonzero(shown.any(axis=(0, 2)))
        rows = np.flatnonzero(shown.any(axis=(1, 2)))
        return shown[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if len(columns) else shown


def set_size(terminal: int, columns: int, rows: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@contextlib.asynccontextmanager
async def watching(
    phone: EmulatedPhone, *options: str, persona: Persona = "blocks", size: tuple[int, int], **env: str
) -> AsyncIterator[Watching]:
    """Run `streamer watch` within the block."""
    master, slave = pty.openpty()
    loop = asyncio.get_running_loop()
    screen = Screen(*size, persona)
    set_size(master, *size)
    os.set_blocking(master, False)

    def take() -> None:
        with contextlib.suppress(BlockingIOError):
            try:
                data = os.read(master, 1 << 16)
            except OSError as error:
                if error.errno != errno.EIO:  # the program has ended
                    raise
                loop.remove_reader(master)
                return
            if answer := screen.answer(data):
                os.write(master, answer)
            screen.write(data)

    try:
        process = await asyncio.create_subprocess_exec(
            *prepared.COMMAND, "watch", phone.instance_id, *options,
            stdin=slave, stdout=slave, stderr=asyncio.subprocess.PIPE,
            env=environment(phone) | {"COLORTERM": ""} | env,
        )  # fmt: skip
        os.close(slave)  # the program has it
        slave = -1
        loop.add_reader(master, take)
        try:
            yield Watching(process, master, screen)
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()
            loop.remove_reader(master)
    finally:
        if slave >= 0:
            os.close(slave)
        os.close(master)


@pytest.fixture
async def small() -> AsyncIterator[EmulatedPhone]:
    async with emulator.serve(width=PHONE[0], height=PHONE[1]) as phone:
        yield phone


@pytest.mark.parametrize("colors", ["truecolor", ""])
async def test_half_blocks_show_each_frame_and_the_last_one_of_a_still_screen(
    small: EmulatedPhone, colors: str
) -> None:
    async with watching(small, size=HALF_BLOCKS, COLORTERM=colors) as terminal:
        await terminal.shows(small.frames_sent)
        await terminal.shows(small.frames_sent + 10)
        small.go_still()
        last = -1
        while last != (last := small.frames_sent - 1):
            await asyncio.sleep(0.3)
        await terminal.shows(last)
        assert terminal.screen.text.startswith(f" {small.instance_id}  streaming  ")


@pytest.mark.parametrize("persona", ["sixel", "kitty"])
async def test_a_terminal_that_says_so_gets_images(persona: Persona) -> None:
    async with (
        emulator.serve(width=IMAGE[0], height=IMAGE[1]) as phone,
        watching(phone, persona=persona, size=IMAGES) as terminal,
    ):
        await terminal.shows(phone.frames_sent)
        await terminal.shows(phone.frames_sent + 10)
        assert bool(terminal.screen.images) == (persona == "kitty")
        assert bool(terminal.screen.sixels) == (persona == "sixel")
        terminal.type(b"q")
        assert await terminal.process.wait() == 0
        await terminal.until(lambda: "1049" not in terminal.screen.modes)
        assert terminal.screen.images == {}


async def test_a_terminal_that_answers_nothing_gets_half_blocks(small: EmulatedPhone) -> None:
    async with watching(small, persona="silent", size=HALF_BLOCKS) as terminal:
        await terminal.shows(small.frames_sent)


async def test_what_the_user_asks_for_counts(small: EmulatedPhone) -> None:
    async with watching(small, "--graphics", "blocks", persona="kitty", size=HALF_BLOCKS) as terminal:
        await terminal.shows(small.frames_sent)
        assert not terminal.screen.images


async def test_it_follows_the_terminal_s_size_and_the_phone_s(small: EmulatedPhone) -> None:
    async with watching(small, size=HALF_BLOCKS, COLORTERM="truecolor") as terminal:
        await terminal.shows(small.frames_sent)
        assert terminal.picture.shape == (160, 90, 3)
        terminal.resize(45, 41)
        await terminal.until(lambda: terminal.picture.shape == (80, 45, 3))
        await terminal.until(lambda: terminal.screen.text.startswith(f" {small.instance_id}  streaming  "))
        small.rotate()
        await terminal.until(lambda: terminal.picture.shape == (26, 45, 3))
        terminal.resize(160, 46)
        await terminal.until(lambda: terminal.picture.shape == (90, 160, 3))
        await terminal.shows(small.frames_sent)


@pytest.mark.parametrize("ending", ["q", "SIGINT", "SIGTERM", "SIGHUP", "taken over"])
async def test_the_terminal_is_left_as_it_was(small: EmulatedPhone, ending: str) -> None:
    options = ["--no-reconnect"] if ending == "taken over" else []
    async with watching(small, *options, size=HALF_BLOCKS, COLORTERM="truecolor") as terminal:
        before = {"7", "25"}  # lines that break, and a cursor
        terminal.screen.modes |= before
        attributes = terminal.attributes
        await terminal.shows(small.frames_sent)
        assert terminal.attributes != attributes
        assert "1049" in terminal.screen.modes
        if ending == "q":
            terminal.type(b"q")
        elif ending == "taken over":
            await small.close_clients("1402")
        else:
            terminal.process.send_signal(getattr(signal, ending))
        _, said = await terminal.process.communicate()
        assert terminal.process.returncode == (4 if ending == "taken over" else 0)
        assert ("another device" in said.decode()) == (ending == "taken over")
        await terminal.until(lambda: "1049" not in terminal.screen.modes)
        assert terminal.screen.modes == before
        assert terminal.attributes == attributes


async def test_it_ends_with_its_terminal(small: EmulatedPhone) -> None:
    async with watching(small, size=HALF_BLOCKS, COLORTERM="truecolor") as terminal:
        await terminal.shows(small.frames_sent)
        terminal.hang_up()
        _, said = await terminal.process.communicate()
        assert (terminal.process.returncode, said) == (0, b"")


async def test_the_status_line_says_that_it_reconnects(small: EmulatedPhone) -> None:
    async with watching(small, size=HALF_BLOCKS, COLORTERM="truecolor") as terminal:
        await terminal.shows(small.frames_sent)
        await small.restart()
        await terminal.until(lambda: any("interrupted" in line for line in terminal.screen.lines))
        await terminal.until(lambda: "streaming" in terminal.screen.text)
        await terminal.shows(small.frames_sent)
        assert "interrupted" not in terminal.screen.said


async def test_anything_but_a_terminal_is_refused(phone: EmulatedPhone) -> None:
    ended = await run("watch", phone.instance_id, env=environment(phone))
    assert ended.code == 2
    assert ended.err.startswith("error: expected a terminal as standard output, got a pipe or a file: use `streamer")
    assert ended.out == ""


async def test_a_terminal_that_cannot_place_its_cursor_is_refused(phone: EmulatedPhone) -> None:
    async with watching(phone, size=(80, 24), TERM="dumb") as terminal:
        _, said = await terminal.process.communicate()
        assert terminal.process.returncode == 2
        assert said.decode().startswith("error: expected a terminal that can place its cursor, got TERM=dumb")
