"""A pytest plugin for every test: an embedded phone, and the certainty that nothing is left running and no secret told.

Whatever the embedded phone makes as a token begins with a mark. After each test the mark is looked for in what the
package logged at DEBUG, in what was printed and logged besides, and in the files that were written. What a test itself
took away (by `capsys`, `pytest.raises` or `pytest.warns`, or as the output of another process) is not seen here: that
is for tests/whole/test_secrets.py.
"""

import asyncio
import contextlib
import logging
import secrets
import socket
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest

import streamer
from streamer import phone as embedded

MARK: Final = "TRIPWIRE-"  # of each token that the embedded phone makes
_RECORDS: Final = pytest.StashKey[list[str]]()


@pytest.fixture(autouse=True)
def _tokens_are_marked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Mark tokens, and listen to the package's own loggers."""
    make = secrets.token_urlsafe
    monkeypatch.setattr(secrets, "token_urlsafe", lambda size=None: MARK + make(size))
    listener = _Listener()
    request.node.stash[_RECORDS] = listener.lines
    logger = logging.getLogger("streamer")
    level = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(listener)
    yield
    logger.removeHandler(listener)
    logger.setLevel(level)


class _Listener(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter())

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that told a secret."""
    report = yield
    if call.when == "call" and MARK in str(report.longrepr or ""):
        report.longrepr = f"{report.longrepr}\n\na token of the embedded phone stands in this failure"
    if call.when == "teardown" and (places := _told(item, report)):
        report.outcome = "failed"
        report.longrepr = f"a token of the embedded phone stands in: {', '.join(places)}"
    return report


def _told(item: pytest.Item, report: pytest.TestReport) -> list[str]:
    """Return where a token stands."""
    texts = {f"captured {name}": text for name, text in report.sections}
    lines = item.stash.get(_RECORDS, [])
    texts["the log"] = "\n".join(lines)
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    places = [name for name, text in texts.items() if MARK in text]
    if isinstance(folder, Path) and folder.is_dir():
        files = (path for path in folder.rglob("*") if path.is_file())
        places += [path.name for path in files if MARK.encode() in path.read_bytes()]
    return places


def _has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp:
        udp.bind(("::1", 0))
        return True
    return False


HAS_IPV6: Final = _has_ipv6()  # on loopback


@pytest.fixture
async def phone() -> AsyncIterator[embedded.EmbeddedPhone]:
    """A running embedded phone, small enough for a busy machine."""
    async with embedded.serve(width=360, height=640) as running:
        yield running


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
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
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith(("decode ", "record ", "phone "))]


Connect: TypeAlias = Callable[..., streamer.Connecting]


@pytest.fixture
def connect() -> Connect:
    """Return a function that connects to an embedded phone."""

    def connect_to(phone: embedded.EmbeddedPhone, **options: Any) -> streamer.Connecting:
        return streamer.connect(
            phone.instance_id, endpoint=phone.endpoint, credentials=streamer.Token(phone.tenant_token), **options
        )

    return connect_to
