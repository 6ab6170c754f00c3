"""Several emulators behind one auth API, as a tenant has them."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from streamer.emulator.api import ApiServer, Request
from streamer.emulator.json_text import parse_json
from streamer.emulator.management import Management
from streamer.emulator.phone import EmulatedPhone, url_of
from streamer.emulator.server import serve
from streamer.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Phones that run, and the one endpoint and tenant token under which each is reached by its instance id."""

    endpoint: str  # of the API
    tenant_token: str  # that clients bring
    phones: tuple[EmulatedPhone, ...]  # those that run


@contextlib.asynccontextmanager
async def serve_fleet(
    count: int, *, host: str = "127.0.0.1", ports: Sequence[int] = (0,), instance_id: str = "demo-phone", **options: Any
) -> AsyncIterator[Fleet]:
    """Run several emulated phones behind one endpoint; leaving the block ends them.

    Args:
        count: How many phones.
        host: The address to listen on.
        ports: The ports to try for the auth API, in turn; 0 is any that is free.
        instance_id: The id of the only phone. Several add a number to it, from 1: `demo-phone-1`.
        **options: Those of `serve`, for each phone.

    Raises:
        ConfigurationError: No port is free, or `serve` raises it.
    """
    names = [instance_id] if count == 1 else [f"{instance_id}-{number}" for number in range(1, count + 1)]
    async with contextlib.AsyncExitStack() as stack:
        phones = []
        for name in names:
            phone = await stack.enter_async_context(serve(host=host, instance_id=name, **options))
            options["tenant_token"] = phone.tenant_token  # of the first, if none was given
            phones.append(phone)
        management = Management(phones, phones[0].faults)
        for phone in phones:
            phone.management = management
        by_name = {phone.instance_id: phone for phone in phones}
        api = ApiServer(lambda request: by_name.get(_addressed(request), phones[0]).answer(request))
        stack.push_async_callback(api.close)
        endpoint = url_of(host, await _listen(api, host, ports))
        yield Fleet(endpoint=endpoint, tenant_token=phones[0].tenant_token, phones=tuple(phones))


async def _listen(api: ApiServer, host: str, ports: Sequence[int]) -> int:
    *others, last = ports
    for port in others:
        with contextlib.suppress(ConfigurationError):
            return await api.start(host, port)
    return await api.start(host, last)


def _addressed(request: Request) -> str:
    """Return the instance id that a request is for; "" if it names none."""
    instance_id, separator, verb = request.path.rpartition("/v1/instances/")[2].partition("/")
    if separator and verb == "auth":
        return instance_id
    asked = parse_json(request.body)
    try:
        return str(asked["instance_id"] if "instance_id" in asked else asked["instance_ids"][0])
    except (KeyError, IndexError, TypeError):
        return ""
