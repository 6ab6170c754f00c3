"""`Cloud`: the calls of the API that need no stream, for any phone of a tenant."""

import os
import ssl
from collections.abc import Sequence
from typing import Self

from streamer.cloud import calls
from streamer.cloud.client import CloudClient
from streamer.cloud.credentials import Credentials
from streamer.cloud.phone import LIST_LIMIT, CloudPhone, all_pages
from streamer.cloud.results import InstanceInfo, Job
from streamer.errors import ConfigurationError
from streamer.own_loop import OwnLoop
from streamer.tls import check_verify


class Cloud:
    """The calls of the API that need no stream: apps, shell, state, lists. Use it with `async with`.

    It disturbs no stream. It belongs to the event loop that makes the first call.

    Args:
        endpoint: The API's base URL, as `connect` takes it.
        credentials: Who the tenant is, as `connect` takes it. Everything that shares this object shares the limit of
            commands, too.
        verify: How TLS certificates are verified, as `connect` takes it.
        timeout_s: How long one call may take, in seconds. A command may take 40 s.
        calls_per_minute: How many commands a minute are sent with these credentials. None leaves it as it is: 6 at
            first, which is what the vendor allows in a sister product [assumed].

    Raises:
        ConfigurationError: An argument is wrong.
    """

    def __init__(
        self,
        *,
        endpoint: str,
        credentials: Credentials | str,
        verify: bool | ssl.SSLContext | str | os.PathLike[str] = True,
        timeout_s: float = 10.0,
        calls_per_minute: int | None = None,
    ) -> None:
        if not timeout_s > 0:
            raise ConfigurationError(f"expected timeout_s above 0, got {timeout_s}")
        self._loop = OwnLoop()
        self._client = CloudClient(
            endpoint,
            credentials,
            timeout_s=timeout_s,
            verify=check_verify(verify),
            calls_per_minute=calls_per_minute,
        )

    async def __aenter__(self) -> Self:
        self._loop.check()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections to the API."""
        self._loop.check()
        await self._client.aclose()

    def phone(self, instance_id: str) -> CloudPhone:
        """Return a phone by its instance id; nothing is asked yet."""
        return CloudPhone(self._client, instance_id, self._loop)

    async def list(self, *, limit: int = LIST_LIMIT) -> Sequence[InstanceInfo]:
        """Return the instances of the tenant.

        Args:
            limit: How many at most.

        Raises:
            CloudError: The API failed or refused.
        """
        self._loop.check()
        return await all_pages(lambda page: self._client.call(calls.instances(page)), limit=limit)

    async def task(self, task_id: str) -> Sequence[Job]:
        """Return how far a task is, such as one that a CloudUnclearError names.

        Args:
            task_id: The vendor's id of the task.

        Raises:
            CloudError: The API failed or refused, such as for an unknown task.
        """
        self._loop.check()
        return await self._client.call(calls.task(task_id))
