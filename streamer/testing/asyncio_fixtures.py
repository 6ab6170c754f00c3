"""What `async_phone` and `new_async_phone` are made of under pytest-asyncio: a fixture for each scope of event loops.

The plugin registers this module if pytest-asyncio is there, at each start. Each fixture runs in the loop of its test.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import pytest
import pytest_asyncio

if TYPE_CHECKING:
    import streamer
    from streamer.testing.phones import Phones

SCOPES: Final = ("function", "class", "module", "package", "session")


def _fixture_for(scope: Any) -> Any:
    name = f"_phone_in_{scope}_loop"

    @pytest_asyncio.fixture(loop_scope=scope, name=name)
    async def phone_in_loop(
        request: pytest.FixtureRequest, _phones: "Phones", phone_connect_options: Mapping[str, Any]
    ) -> AsyncIterator["streamer.Session"]:
        from streamer.testing.async_phone import connected  # noqa: PLC0415 - pytest starts without it

        async with connected(request.node, _phones, phone_connect_options) as session:
            yield session

    return phone_in_loop


def _factory_for(scope: Any) -> Any:
    name = f"_new_phone_in_{scope}_loop"

    @pytest_asyncio.fixture(loop_scope=scope, name=name)
    async def new_phone_in_loop(
        request: pytest.FixtureRequest, _phones: "Phones", phone_connect_options: Mapping[str, Any]
    ) -> AsyncIterator[Callable[[], Awaitable["streamer.Session"]]]:
        from streamer.testing.async_phone import connecting  # noqa: PLC0415 - pytest starts without it

        async with connecting(request.node, _phones, phone_connect_options) as connect:
            yield connect

    return new_phone_in_loop


globals().update({f"_phone_in_{scope}_loop": _fixture_for(scope) for scope in SCOPES})
globals().update({f"_new_phone_in_{scope}_loop": _factory_for(scope) for scope in SCOPES})
