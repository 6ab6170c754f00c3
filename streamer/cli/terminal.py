"""The terminal as a whole: its size, its keys, its other screen. It is left as it was found."""

import asyncio
import contextlib
import os
import struct
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final, Self

from streamer.cli.terminal_graphics import CELL_LIMIT, QUESTIONS, RESTORED, Abilities, Grid, read_answers, typed
from streamer.errors import ConfigurationError

ANSWER_WITHIN_S: Final = 1.0  # also over a slow connection
_ENTER: Final = b"\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"  # the other screen, no cursor, no new line at the edge
_LEAVE: Final = b"\x1b[?7h\x1b[?25h\x1b[?1049l"
_ANSWER_LIMIT: Final = 4096


def require_terminal() -> None:
    """Raise ConfigurationError unless the standard output is a terminal that can place its cursor."""
    if not sys.stdout.isatty():
        raise ConfigurationError(
            "expected a terminal as standard output, got a pipe or a file: use `streamer screenshot` or "
            "`streamer record` there"
        )
    if os.environ.get("TERM", "dumb") == "dumb":
        raise ConfigurationError("expected a terminal that can place its cursor, got TERM=dumb: set TERM as it is")
    if sys.platform == "win32":
        raise ConfigurationError("expected a POSIX terminal, got Windows' console: use `streamer view`")


class Terminal:
    """The terminal at the standard output. Its keys come from the standard input if that is a terminal, too."""

    def __init__(self, on_key: Callable[[bytes], object]) -> None:
        self._output = sys.stdout.fileno()
        self._input = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None
        self.has_gone = False  # as a window does that is closed
        self._on_key = on_key
        self._answers = b""
        self._answered: asyncio.Future[Abilities] | None = None

    @classmethod
    @contextlib.contextmanager
    def opened(cls, on_key: Callable[[bytes], object]) -> Iterator[Self]:
        """Take the terminal over within the block; `on_key` gets what is typed. Ctrl-C stays a signal."""
        terminal = cls(on_key)
        loop = asyncio.get_running_loop()
        with terminal._unbuffered_keys():
            try:
                terminal.write(_ENTER)
                if terminal._input is not None:
                    loop.add_reader(terminal._input, terminal._read)
                yield terminal
            finally:
                if terminal._input is not None:
                    loop.remove_reader(terminal._input)
                with contextlib.suppress(OSError):  # the terminal may have gone
                    terminal.write(RESTORED + _LEAVE)

    def write(self, data: bytes) -> None:
        """Write everything; it blocks as long as the terminal does. Raises OSError if the terminal has gone."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._output, rest) :]
            except BlockingIOError:  # another program that shares the terminal has set O_NONBLOCK
                os.set_blocking(self._output, True)
            except OSError:
                self.has_gone = True
                raise

    async def ask(self) -> Abilities:
        """Ask the terminal what it can do. One that does not answer can do nothing special."""
        if self._input is None:
            return Abilities()
        self._answered = asyncio.get_running_loop().create_future()
        self.write(QUESTIONS)
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await self._answered
        except TimeoutError:
            return Abilities()
        finally:
            self._answered = None
            self.write(b"\x1b[2J")  # a question that a terminal does not know may be on the screen

    def grid(self, cell: tuple[int, int] | None) -> Grid:
        """Return the terminal's size; the size of a cell is what it has answered, or what the system knows."""
        import fcntl  # noqa: PLC0415 - Windows has none
        import termios  # noqa: PLC0415

        packed = fcntl.ioctl(self._output, termios.TIOCGWINSZ, bytes(8))
        rows, columns, width, height = struct.unpack("HHHH", packed)
        rows, columns = rows or 24, columns or 80
        if cell is None and width >= columns and height >= rows:
            cell = (width // columns, height // rows)
        return Grid(columns, rows) if cell is None or max(cell) > CELL_LIMIT else Grid(columns, rows, cell)

    def _read(self) -> None:
        assert self._input is not None  # noqa: S101 - it is read
        try:
            data = os.read(self._input, 1024)
        except OSError:
            data = b""
        if not data:
            self.has_gone = True
            asyncio.get_running_loop().remove_reader(self._input)
            self._on_key(b"")
        elif self._answered is None or self._answered.done():
            if keys := typed(data):
                self._on_key(keys)
        else:
            self._answers = (self._answers + data)[-_ANSWER_LIMIT:]
            if (abilities := read_answers(self._answers)) is not None:
                self._answered.set_result(abilities)

    @contextlib.contextmanager
    def _unbuffered_keys(self) -> Iterator[None]:
        """Take keys one by one and unseen within the block."""
        if self._input is None:
            yield
            return
        import termios  # noqa: PLC0415 - Windows has none

        before = termios.tcgetattr(self._input)
        termios.tcsetattr(self._input, termios.TCSADRAIN, _with_keys_unbuffered(before, termios))
        try:
            yield
        finally:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._input, termios.TCSAFLUSH, before)


def _with_keys_unbuffered(attributes: list[Any], termios: Any) -> list[Any]:
    """Return a terminal's attributes so that keys come one by one, unseen; Ctrl-C stays, Ctrl-Z and Ctrl-S do not."""
    input_flags, output_flags, control_flags, local_flags, *speeds, characters = attributes
    input_flags &= ~termios.IXON
    local_flags &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN)
    characters = list(characters)
    characters[termios.VSUSP] = b"\x00"
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    return [input_flags, output_flags, control_flags, local_flags, *speeds, characters]
