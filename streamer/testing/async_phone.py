"""A phone's session in the event loop of a test."""

import contextlib
from collections.abc import AsyncIterator, Mapping
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
    async with streamer.connect(phones.instance_id, **options) as session:
        await make_ready(session, phones.settings)
        with running_test(item).watching(session, lambda act: act()):
            app, clears = app_of(item)
            if app is not None:
                with session.step(f"start {app}"):
                    await start_app(session, app, clears=clears)
            yield session
