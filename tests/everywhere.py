"""A pytest plugin for every test: an embedded phone, and the certainty that nothing is left running."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

import pytest

import streamer
from streamer import phone as embedded


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
