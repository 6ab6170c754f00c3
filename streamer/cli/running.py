"""How a command runs to its end: the loop, signals, exit codes, the log, errors for people."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Final

import typer
from rich.text import Text

from streamer import errors
from streamer.cli.output import err

EXIT_CODES: Final = (
    (errors.ConfigurationError, 2),
    (errors.CloudError, 3),
    (errors.SignalingError, 4),
    (errors.ConnectionFailedError, 5),
    (errors.ConnectionLostError, 5),
    (errors.RecordingError, 6),
    (errors.StreamerError, 1),
)
EPILOG: Final = (
    "Exit codes: 0 done; 1 another error; 2 wrong arguments or settings; 3 the cloud API failed or refused; "
    "4 signaling failed; 5 the WebRTC connection failed or was lost; 6 the recording could not be written; "
    "130 interrupted at once, by Ctrl-C, SIGTERM or SIGHUP."
)


def run(work: Coroutine[Any, Any, None], *, debug: bool) -> None:
    """Do a command's work to its end; an error of ours becomes one sentence and an exit code."""
    _configure_logging(debug)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_interruptible(work))
    except errors.StreamerError as error:
        err.print(Text.assemble(("error: ", "bold red"), str(error)))
        raise typer.Exit(next(code for kind, code in EXIT_CODES if isinstance(error, kind))) from None
    except asyncio.CancelledError:
        raise typer.Exit(130) from None


async def _interruptible(work: Coroutine[Any, Any, None]) -> None:
    """Do some work, which Ctrl-C, SIGTERM and SIGHUP cancel, so that it closes what it has opened."""
    with _on_signal(_current_task().cancel):
        await work


@contextlib.asynccontextmanager
async def stop_on_signal() -> AsyncIterator[asyncio.Event]:
    """Give an event that the first Ctrl-C, SIGTERM or SIGHUP sets; the second one interrupts at once."""
    stopped = asyncio.Event()
    task = _current_task()

    def on_signal() -> None:
        if stopped.is_set():
            task.cancel()
        stopped.set()

    with _on_signal(on_signal):
        yield stopped


@contextlib.contextmanager
def _on_signal(call: Callable[[], object]) -> Iterator[None]:
    """Have Ctrl-C, SIGTERM and SIGHUP call something in the running loop; KeyboardInterrupt is raised nowhere in it."""
    loop = asyncio.get_running_loop()
    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # which `nohup` ignores
        numbers.append(signal.SIGHUP)
    # Not `loop.add_signal_handler`, which Windows lacks, and which cannot give back what was there before.
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


def _configure_logging(debug: bool) -> None:
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.ERROR, format="%(relativeCreated)7.0f ms  %(name)-20s %(message)s"
    )
    for noisy in ("asyncio", "aioice", "aiortc", "httpcore", "httpx", "websockets"):
        logging.getLogger(noisy).setLevel(logging.WARNING if debug else logging.ERROR)
