"""Runs a command: the event loop, signals, exit codes, logging, error messages."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from typing import Any, Final

import typer

from streamer import errors
from streamer.cli.exit_codes import EXIT_CODES, INTERRUPTED
from streamer.cli.options import Output
from streamer.cli.output import be_quiet, err, escaped, styled, warnings

_NOISY: Final = ("asyncio", "aioice", "aiortc", "httpcore", "httpx", "mcp", "sse_starlette", "uvicorn", "websockets")
SCREENSHOT: Final = getattr(signal, "SIGUSR1", None)  # Windows has none


def run(work: Coroutine[Any, Any, None], say: Output) -> None:
    """Run a command. An error of the package becomes one sentence and an exit code.

    If the reader of a pipe has closed it, there is an exit code without a sentence: the reader wanted no more.
    """
    _configure_logging(say.debug)
    be_quiet(say.quiet)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_interruptible(work))
    except errors.StreamerError as error:
        if not isinstance(error.__cause__, BrokenPipeError):
            err.print(styled(("error: ", "bold red"), str(error)))
        raise typer.Exit(next(code for kind, code in EXIT_CODES if isinstance(error, kind))) from None
    except asyncio.CancelledError:
        raise typer.Exit(INTERRUPTED) from None


async def _interruptible(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine. Ctrl-C, SIGTERM and SIGHUP cancel it, so that it closes what it has opened."""
    with on_signal(_current_task().cancel):
        await work


@contextlib.asynccontextmanager
async def stop_on_signal() -> AsyncIterator[asyncio.Event]:
    """Yield an event that the first Ctrl-C, SIGTERM or SIGHUP sets; a second one interrupts at once."""
    stopped = asyncio.Event()
    task = _current_task()

    def stop() -> None:
        if stopped.is_set():
            task.cancel()
        stopped.set()

    with on_signal(stop):
        yield stopped


def _endings() -> list[int]:
    """Return the signals that ask a program to end."""
    endings = [int(signal.SIGINT), int(signal.SIGTERM)]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # which `nohup` ignores
        endings.append(signal.SIGHUP)
    return endings


@contextlib.contextmanager
def on_signal(call: Callable[[], object], *, numbers: Sequence[int] | None = None) -> Iterator[None]:
    """Call `call` in the running loop on signals: by default on Ctrl-C, SIGTERM and SIGHUP."""
    loop = asyncio.get_running_loop()
    numbers = _endings() if numbers is None else numbers
    # Not `loop.add_signal_handler`: Windows lacks it, and it cannot restore the previous handler.
    before = [signal.signal(number, lambda *_: loop.call_soon_threadsafe(call)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - it is called in one
    return task


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - the extra `fast`
    except ImportError:
        return None
    return uvloop.new_event_loop


class _Formatter(logging.Formatter):
    """Escapes log messages: a log is read in a terminal, and may quote peers."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        record.message = escaped(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's own name
        return "\n".join(map(escaped, super().formatException(ei).split("\n")))


class _Warnings(logging.Handler):
    """Prints the package's warnings. Its errors are raised too, so `run` prints those."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == logging.WARNING:
            warnings.add(record.getMessage().removeprefix("= "))


def _configure_logging(debug: bool) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter("%(relativeCreated)7.0f ms  %(name)-20s %(message)s"))
    logging.basicConfig(level=logging.DEBUG if debug else logging.ERROR, handlers=[handler])
    if not debug:
        ours = logging.getLogger("streamer")
        ours.setLevel(logging.WARNING)
        ours.propagate = False
        ours.handlers = [_Warnings()]
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING if debug else logging.ERROR)
