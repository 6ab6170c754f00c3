"""How many commands a minute are sent, and to whom the calls belong, over real sockets."""

import asyncio
import io
import time
from typing import Any

import pytest

import streamer
from streamer.cloud.client import COMMAND_RETRIES
from streamer.errors import ConfigurationError
from tests.support.cloud_calls import NEVER_S, TENANT_TOKEN, TYPED, failing_with
from tests.support.scripted_http import reply
from tests.support.vendor_api import PHONE, VendorApi, serve_vendor_api
from tests.support.vendor_calls import open_cloud

# The limit of commands a minute


async def wait_until_idle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_credentials_serve_one_loop_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamer.cloud.call_rate._WINDOW_S", 0.01)
    credentials = streamer.Token(TENANT_TOKEN)

    async def run_two() -> list[str]:
        async with serve_vendor_api() as api, open_cloud(api.server.url, credentials, calls_per_minute=1) as cloud:
            await asyncio.gather(*(cloud.phone(PHONE).shell(f"echo {number}") for number in range(2)))
            return api.commands

    assert [asyncio.run(run_two()) for _ in range(2)] == [["echo 0", "echo 1"]] * 2


async def test_a_command_beyond_the_limit_waits_and_the_first_wait_is_logged(api: VendorApi, log: io.StringIO) -> None:
    credentials = streamer.Token(TENANT_TOKEN)
    async with (
        open_cloud(api.server.url, credentials, calls_per_minute=2) as cloud,
        open_cloud(api.server.url, credentials, calls_per_minute=None) as other,
    ):
        await cloud.phone(PHONE).shell("ls")
        await other.phone(PHONE).shell("ls")
        waiting = [asyncio.create_task(each.phone(PHONE).shell("ls")) for each in (cloud, other)]
        await other.phone(PHONE).status()  # which is no command
        assert not any(task.done() for task in waiting)
        assert len(api.server.seen("/sync-command")) == 2
        waiting[0].cancel()
        await wait_until_idle()
        assert log.getvalue().count("a command waits") == 2
        assert log.getvalue().count("commands wait for their turn: at most 2 are sent a minute") == 1
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_commands_go_on_when_their_minute_is_over(api: VendorApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamer.cloud.call_rate._WINDOW_S", 0.05)
    async with open_cloud(api.server.url, calls_per_minute=1) as cloud:
        phone = cloud.phone(PHONE)
        await asyncio.gather(*(phone.shell(f"echo {number}") for number in range(4)))
    assert api.commands == [f"echo {number}" for number in range(4)]


async def test_a_cancelled_command_takes_no_turn(api: VendorApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamer.cloud.call_rate._WINDOW_S", 0.2)
    async with open_cloud(api.server.url, calls_per_minute=1) as cloud:
        phone = cloud.phone(PHONE)
        await phone.shell("echo 0")
        waiting = [asyncio.create_task(phone.shell(f"echo {number}")) for number in (1, 2)]
        await wait_until_idle()
        waiting[0].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    assert api.commands == ["echo 0", "echo 2"]


async def test_after_too_many_commands_the_others_wait_too(api: VendorApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamer.cloud.client.COMMAND_RETRIES", COMMAND_RETRIES)
    monkeypatch.setattr("streamer.retry_policy.FIRST_DELAY_S", NEVER_S)
    api.answer_first("sync-command", reply(429))
    credentials = streamer.Token(TENANT_TOKEN)
    async with open_cloud(api.server.url, credentials) as cloud:
        phone = cloud.phone(PHONE)
        waiting = [asyncio.create_task(phone.shell("echo first"))]
        while not credentials.turns.rate.delay(time.monotonic()):
            await asyncio.sleep(0.01)
        waiting.append(asyncio.create_task(phone.shell("echo second")))
        await phone.status()  # which is no command
        assert len(api.server.seen("/sync-command")) == 1
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_other_credentials_have_a_limit_of_their_own(api: VendorApi) -> None:
    for _ in range(2):
        async with open_cloud(api.server.url, streamer.Token(TENANT_TOKEN), calls_per_minute=1) as cloud:
            await cloud.phone(PHONE).shell("ls")
    assert len(api.server.requests) == 2


# Ownership


async def test_a_closed_cloud_says_so(api: VendorApi) -> None:
    async with open_cloud(api.server.url) as cloud:
        phone = cloud.phone(PHONE)
    with failing_with(ConfigurationError, "before the block"):
        await phone.status()


def test_a_call_from_another_loop_says_so() -> None:
    async def begin() -> streamer.Cloud:
        return await open_cloud("http://127.0.0.1:1").__aenter__()

    cloud = asyncio.run(begin())

    async def go_on() -> None:
        with failing_with(ConfigurationError, "another event loop"):
            await cloud.phone(PHONE).shell("ls")

    asyncio.run(go_on())


@pytest.mark.parametrize("options", [{"timeout_s": 0}, {"calls_per_minute": 0}, {"endpoint": "ftp://x"}], ids=str)
def test_senseless_arguments_are_refused_at_once(options: dict[str, Any]) -> None:
    with failing_with(ConfigurationError):
        streamer.Cloud(**{"endpoint": "http://127.0.0.1:1", "credentials": TENANT_TOKEN, **options})


async def test_the_text_of_a_command_reaches_no_log(phone: streamer.CloudPhone, log: io.StringIO) -> None:
    await phone.shell(f"input text {TYPED}")
    assert "> POST /v1/instances/sync-command" in log.getvalue()
