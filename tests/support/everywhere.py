"""A pytest plugin for every test: an emulator, and a check that nothing is left running and no secret shown.

Each token that the emulator makes begins with a mark. The mark is looked for in what the package logs at
DEBUG; in each of its errors, with what caused it, whoever catches it; in what is printed and logged besides, also where
a test takes it away by `capsys`; in what other processes say to `communicate`; and in the files that a test leaves.
"""

import asyncio
import contextlib
import gc
import logging
import os
import secrets
import signal
import socket
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextvars import Context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVarTuple, Unpack

import pytest
import pytest_asyncio

import streamer
from tests.support.prepared import prepared_commands

if TYPE_CHECKING:
    from streamer.emulator import EmulatedPhone

Ts = TypeVarTuple("Ts")
Look: TypeAlias = Callable[..., None]  # takes the name of a place, and texts that stand there
MARK: Final = "TRIPWIRE-"  # of each token that the emulator makes
_PLACES: Final = pytest.StashKey[set[str]]()  # where a test told a token


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Set profiles of Hypothesis, save in the process that only hands tests to workers: importing it takes time."""
    if config.getoption("numprocesses", None) and not config.getoption("hypothesis_profile"):
        return
    from hypothesis import settings  # noqa: PLC0415

    # How long an example takes tells of the machine. What else the profile in force says stays: CI's repeats itself.
    settings.register_profile("patient", parent=settings(), deadline=None)
    settings.register_profile("quick", deadline=None, max_examples=10)  # `make quick` asks for it
    settings.load_profile("patient")


@pytest.fixture(autouse=True)
def _tokens_are_marked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Mark tokens, and from the first one on listen wherever one could be shown."""
    places = request.node.stash[_PLACES] = set[str]()

    def look(place: str, *texts: str | bytes | None) -> None:
        if any(MARK.encode() in text if isinstance(text, bytes) else MARK in (text or "") for text in texts):
            places.add(place)

    make, is_listening = secrets.token_urlsafe, False
    with contextlib.ExitStack() as stack:

        def make_marked(size: int | None = None) -> str:
            nonlocal is_listening
            if not is_listening:  # most tests make no token, and listening takes time with each error and each line
                stack.enter_context(_listening_to_errors(monkeypatch, look))
                stack.enter_context(_listening_to_log(look))
                _listen_to_what_is_taken_away(monkeypatch, look)
                is_listening = True
            return MARK + make(size)

        monkeypatch.setattr(secrets, "token_urlsafe", make_marked)
        yield


@contextlib.contextmanager
def _listening_to_errors(monkeypatch: pytest.MonkeyPatch, look: Look) -> Iterator[None]:
    """Look at the package's errors when they are freed, or at the end: only then their causes are known."""
    alive = weakref.WeakSet[streamer.StreamerError]()

    def init(error: streamer.StreamerError, *arguments: object) -> None:
        super(streamer.StreamerError, error).__init__(*arguments)
        alive.add(error)

    def look_at(error: streamer.StreamerError) -> None:
        for cause in causes_of(error):
            look("an error", str(cause), repr(cause), repr(vars(cause)))

    monkeypatch.setattr(streamer.StreamerError, "__init__", init)
    monkeypatch.setattr(streamer.StreamerError, "__del__", look_at, raising=False)
    yield
    for error in list(alive):
        look_at(error)


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """Return an error and what is printed with it: what caused it, what it came up in, the members of a group."""
    seen, left = set[int](), [error]
    while left:
        error = left.pop()
        if id(error) not in seen:
            seen.add(id(error))
            yield error
            members = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
            left.extend(filter(None, (error.__cause__, error.__context__, *members)))


@contextlib.contextmanager
def _listening_to_log(look: Look) -> Iterator[None]:
    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            look("the log", self.format(record))

    listener = Listener(logging.DEBUG)
    listener.setFormatter(logging.Formatter())
    logger = logging.getLogger("streamer")
    level = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(listener)
    yield
    logger.removeHandler(listener)
    logger.setLevel(level)


def _listen_to_what_is_taken_away(monkeypatch: pytest.MonkeyPatch, look: Look) -> None:
    read, communicate = pytest.CaptureFixture.readouterr, asyncio.subprocess.Process.communicate

    def read_and_look(capture: pytest.CaptureFixture[Any]) -> Any:
        taken = read(capture)
        look("what was printed", *taken)
        return taken

    async def communicate_and_look(process: asyncio.subprocess.Process, given: Any = None) -> Any:
        said = await communicate(process, given)
        look("what another process said", *said)
        return said

    monkeypatch.setattr(pytest.CaptureFixture, "readouterr", read_and_look)
    monkeypatch.setattr(asyncio.subprocess.Process, "communicate", communicate_and_look)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage while tests are collected: nearly all that is made stays."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """Let no collection of garbage look at modules and tests again: they stay, and there are many."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that showed a secret."""
    report = yield
    if call.when == "call" and MARK in str(report.longrepr or ""):
        report.longrepr = f"{report.longrepr}\n\na token of the emulator stands in this failure"
    if call.when == "teardown" and (places := _told(item, report)):
        report.outcome = "failed"
        report.longrepr = f"a token of the emulator stands in: {', '.join(places)}"
    return report


def _told(item: pytest.Item, report: pytest.TestReport) -> list[str]:
    """Return where a token stands."""
    places = item.stash.get(_PLACES, set[str]()) | {
        f"captured {name}" for name, text in report.sections if MARK in text
    }
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    if isinstance(folder, Path) and folder.is_dir():
        files = (path for path in folder.rglob("*") if path.is_file())
        places |= {path.name for path in files if MARK.encode() in path.read_bytes()}
    return sorted(places)


def _has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp:
        udp.bind(("::1", 0))
        return True
    return False


HAS_IPV6: Final = _has_ipv6()  # on loopback


@pytest.fixture
async def phone() -> "AsyncIterator[EmulatedPhone]":
    """A running emulator, small enough for a busy machine."""
    from streamer import emulator  # noqa: PLC0415 - a process that hands tests to workers needs none

    async with emulator.serve(width=360, height=640) as running:
        yield running


@pytest.fixture(autouse=True, scope="session")
def _commands_are_prepared() -> Iterator[None]:
    with prepared_commands():
        yield


@pytest.fixture(autouse=True, scope="session")
def _programs_can_be_interrupted() -> Iterator[None]:
    """Hear SIGINT and SIGHUP also if a shell began pytest in the background, or `nohup` did: programs inherit it."""
    handlers: dict[signal.Signals, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    deaf = [number for number in handlers if signal.getsignal(number) == signal.SIG_IGN]
    for number in deaf:
        signal.signal(number, handlers[number])
    yield
    for number in deaf:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves one of our threads or another scheduling behind; an async one also for its loop."""
    if pytest_asyncio.is_async_test(request.node):
        request.getfixturevalue("nothing_is_left_in_the_loop")
    scheduling = _scheduling()
    yield
    assert _scheduling() == scheduling, "what runs with another priority may keep everything else from running"
    if not pytest_asyncio.is_async_test(request.node):
        _assert_no_thread_is_left()


@pytest.fixture
async def nothing_is_left_in_the_loop() -> AsyncIterator[None]:
    """Fail a test that leaves a task or one of our threads behind, or that let an exception fall into the loop."""
    loop = asyncio.get_running_loop()
    fallen: list[str] = []

    def fall(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if "incoming connection" not in context["message"]:  # a test's own server, whose client went away
            fallen.append(str(context))

    loop.set_exception_handler(fall)
    before = asyncio.all_tasks()
    yield
    deadline = loop.time() + 10
    while (left := asyncio.all_tasks() - before - {asyncio.current_task()}) and loop.time() < deadline:
        await asyncio.wait(left, timeout=0.5)
    assert not left
    assert not fallen
    _assert_no_thread_is_left()


def _assert_no_thread_is_left() -> None:
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith(("decode ", "record ", "phone "))]


def _scheduling() -> int | None:
    return os.sched_getscheduler(0) if hasattr(os, "sched_getscheduler") else None


class StrictLoop(asyncio.SelectorEventLoop):
    """The default loop, which refuses calls from other threads, as asyncio's debug mode does.

    That mode formats a stack for each callback and each future: a test that streams took twice the processor time.
    """

    _runs_in: int | None = None

    def run_forever(self) -> None:
        self._runs_in = threading.get_ident()
        try:
            super().run_forever()
        finally:
            self._runs_in = None

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        self._check()
        return super().call_soon(callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        self._check()
        return super().call_at(when, callback, *args, context=context)

    def _check(self) -> None:
        if self._runs_in not in (None, threading.get_ident()):
            raise RuntimeError("expected a call from the loop's own thread: use call_soon_threadsafe")


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run each async test in a strict loop."""
    return {"strict": StrictLoop}


Connect: TypeAlias = "Callable[..., streamer.Connecting]"


@pytest.fixture
def connect() -> Connect:
    """Return a function that connects to an emulator."""

    def connect_to(phone: "EmulatedPhone", **options: Any) -> streamer.Connecting:
        return streamer.connect(
            phone.instance_id, endpoint=phone.endpoint, credentials=streamer.Token(phone.tenant_token), **options
        )

    return connect_to
