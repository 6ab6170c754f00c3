"""A phone's session in the event loop of a test."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import pytest

import streamer
from streamer.testing.phones import Phones, make_ready
from streamer.testing.running import app_of, running_test
from streamer.testing.starting import start_app


@contextlib.asynccontextmanager
async def connected(item: pytest.Item, phones: Phones, options: Mapping[str, Any]) -> AsyncIterator[streamer.Session]:
    """Connect for one test. The connection that other tests share is closed first: a phone serves one."""
    phones.leave()
    async with streamer.connect(phones.instance_id, **options) as session, phones.showing(session):
        await make_ready(session, phones.settings)
        with running_test(item).watching(session, lambda act: act()):
            app, clears = app_of(item)
            if app is not None:
                with session.step(f"start {app}"):
                    await start_app(session, app, clears=clears)
            yield session


@contextlib.asynccontextmanager
async def connecting(
    item: pytest.Item, phones: Phones, options: Mapping[str, Any]
) -> AsyncIterator[Callable[[], Awaitable[streamer.Session]]]:
    """Give a function that connects to another phone. At the end, close what it has connected."""
    async with contextlib.AsyncExitStack() as stack:
        count = 0

        async def connect() -> streamer.Session:
            nonlocal count
            count += 1
            # It may start an emulator, in the loop of `streamer.sync`.
            instance_id, more = await asyncio.to_thread(phones.another_options, count, options)
            session = await stack.enter_async_context(streamer.connect(instance_id, **more))
            await stack.enter_async_context(phones.showing(session))
            await make_ready(session, phones.settings)
            stack.enter_context(running_test(item).watching(session, lambda act: act()))
            return session

        yield connect
