"""Cancellation at every point where a program waits: a driver that counts them, and what is left afterwards."""

import asyncio
import contextlib
import contextvars
import gc
import tempfile
import threading
import weakref
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import av

import streamer
from streamer import emulator
from streamer.protocol_constants import RELEASE_PATH, STOP_PATH

FRAMES: Final = 3
SOON_S: Final = 5.0  # until the phone, in the same process, has closed its side too

_counter: contextvars.ContextVar["Counter | None"] = contextvars.ContextVar("counter", default=None)


class Counter:
    """Counts the waits of the client's tasks, and at the `nth` cancels `main`. The client's context carries it.

    The waits of all its tasks count if `is_whole`, else those of `main` alone.
    """

    def __init__(self, nth: int, *, is_whole: bool) -> None:
        self.waits = 0
        self.main: asyncio.Task[Any] | None = None
        self.tasks: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
        self._nth = nth
        self._is_whole = is_whole

    def wait(self) -> None:
        """A task of the client's is about to wait."""
        if self.main is not None and (self._is_whole or asyncio.current_task() is self.main):
            self.waits += 1
            if self.waits == self._nth:
                self.main.cancel()


class _Counted(Coroutine[Any, Any, Any]):
    """A coroutine whose waits are counted. A task that is cancelled as it begins to wait is cancelled in that wait."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], counter: Counter) -> None:
        self._coroutine = coroutine
        self._counter = counter

    def send(self, value: Any) -> Any:
        waited_for = self._coroutine.send(value)
        self._counter.wait()
        return waited_for

    def throw(self, *error: Any) -> Any:
        waited_for = self._coroutine.throw(*error)
        self._counter.wait()
        return waited_for

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._coroutine.__await__()


def _make_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> "asyncio.Task[Any]":
    counter = _counter.get()
    if counter is None:
        return asyncio.Task(coroutine, loop=loop, **options)
    task: asyncio.Task[Any] = asyncio.Task(_Counted(coroutine, counter), loop=loop, **options)
    counter.tasks.add(task)
    return task


@dataclass
class Sweep:
    """The results of cancelling at one point after the other."""

    points: int = 0  # how many were tried
    waits: int = 0  # how many there are, in the run that nothing cancelled
    faults: list[str] = field(default_factory=list)


async def sweep(
    phone: emulator.EmulatedPhone, *, is_whole: bool, release: bool = False, reconnects: bool = False, every: int = 1
) -> Sweep:
    """Connect, record and take a few frames, and leave; cancelled at the first wait, then at the `every`-th after it,
    and so on, until nothing is left to cancel. After each, nothing may be left of it, and its file must be whole.
    If it `reconnects`, the phone cuts the WebSocket after the first frame, and the program leaves after the first one
    that came on another connection.
    """
    loop = asyncio.get_running_loop()
    result, fallen = Sweep(), list[str]()
    former = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: fallen.append(str(context.get("exception") or context["message"])))
    loop.set_task_factory(_make_task)
    try:
        nth = 1
        while True:
            counter = Counter(nth, is_whole=is_whole)
            faults = await _cancelled(phone, counter, release=release, reconnects=reconnects)
            result.faults += [f"at wait {nth}: {fault}" for fault in faults]
            if counter.waits < nth:
                break
            result.points, nth = result.points + 1, nth + every
    finally:
        loop.set_task_factory(None)
        gc.collect()  # errors that nobody retrieved are reported when they are freed
        await asyncio.sleep(0)
        loop.set_exception_handler(former)
    result.waits = counter.waits
    result.faults += fallen
    return result


async def _cancelled(phone: emulator.EmulatedPhone, counter: Counter, *, release: bool, reconnects: bool) -> list[str]:
    """Return what is wrong afterwards."""
    files, threads, calls = _files(), _threads(), len(phone.lifecycle.calls)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.mp4"
        connecting = streamer.connect(
            phone.instance_id,
            endpoint=phone.endpoint,
            credentials=streamer.Token(phone.tenant_token),
            release=release,
            reconnect=streamer.Reconnect(max_delay_s=0.05),
        )
        is_streaming = asyncio.Event()
        cutting = asyncio.create_task(_cut(phone, is_streaming), name="the phone's fault") if reconnects else None
        use = _use(connecting, path, is_streaming, until_it_reconnected=reconnects)
        token = _counter.set(counter)
        try:
            counter.main = asyncio.create_task(use, name="the user's task")
        finally:
            _counter.reset(token)
        await asyncio.wait({counter.main})
        if cutting is not None:
            cutting.cancel()
            await asyncio.wait({cutting})
        faults = list(_what_is_wrong(folder, path))
        if not counter.main.cancelled() and (error := counter.main.exception()):
            faults.append(f"not a cancellation but {error!r}")
        for _ in range(3):  # what was cancelled last has yet to hear of it
            await asyncio.sleep(0)
        faults += [f"{task.get_name()} still runs" for task in counter.tasks if not task.done()]
    if not await _soon(lambda: not phone.clients and _files() <= files):
        faults.append(f"{_files() - files} files or sockets are open")
    if not await _soon(lambda: _threads() <= threads):
        faults.append(f"{_threads() - threads} still run")
    if release and list(phone.lifecycle.calls)[calls:] != [STOP_PATH, RELEASE_PATH]:
        faults.append(f"given back by {list(phone.lifecycle.calls)[calls:]}")
    return faults


async def _cut(phone: emulator.EmulatedPhone, is_streaming: asyncio.Event) -> None:
    await is_streaming.wait()
    await phone.cut_signaling()


async def _use(
    connecting: streamer.Connecting, path: Path, is_streaming: asyncio.Event, *, until_it_reconnected: bool
) -> None:
    async with connecting as session, session.record(path) as recording:
        seen, has_reconnected = 0, not until_it_reconnected
        async for frame in session:
            has_reconnected = has_reconnected or (frame.discontinuity and seen > 0)
            seen += 1
            is_streaming.set()
            if seen >= FRAMES and recording.frames and has_reconnected:
                break


def _what_is_wrong(folder: str, path: Path) -> Generator[str]:
    others = {entry.name for entry in Path(folder).iterdir()} - {path.name}
    if others:
        yield f"{others} are left"
    if path.exists():
        try:
            with av.open(path) as container:
                if not any(True for _ in container.decode(video=0)):
                    yield "the file has no frame"
        except av.FFmpegError as error:
            yield f"the file cannot be read: {error}"


def _files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith(("decode ", "record "))}


async def _soon(condition: Callable[[], bool]) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SOON_S):
            while not condition():
                await asyncio.sleep(0.005)
    return condition()
