"""Several emulators behind one API, and what a phone reports about its clients."""

import asyncio
import re
import socket
from typing import Any

import httpx
import pytest

import streamer
from streamer.emulator import Fleet, serve_fleet
from streamer.errors import ConfigurationError
from tests.support.everywhere import Connect
from tests.support.phone_client import LIMIT_S, signaling

SMALL: dict[str, Any] = {"width": 360, "height": 640}


def connecting(fleet: Fleet, instance_id: str) -> streamer.Connecting:
    return streamer.connect(instance_id, endpoint=fleet.endpoint, credentials=streamer.Token(fleet.tenant_token))


async def test_each_phone_of_a_fleet_streams_under_its_own_name_and_disturbs_no_other() -> None:
    async with serve_fleet(2, **SMALL) as fleet, asyncio.timeout(LIMIT_S):
        assert [phone.instance_id for phone in fleet.phones] == ["demo-phone-1", "demo-phone-2"]
        async with connecting(fleet, "demo-phone-1") as first, connecting(fleet, "demo-phone-2") as second:
            assert [first.device_id, second.device_id] == ["box-demo-phone-1", "box-demo-phone-2"]
            await anext(second.frames())
            await anext(first.frames())
            assert (first.state, second.state) == ("streaming", "streaming")
        with pytest.raises(streamer.CloudRefusalError, match="not under this tenant"):
            async with connecting(fleet, "demo-phone-3"):
                pass


async def test_each_phone_of_a_fleet_is_prepared_and_released_alone() -> None:
    async with serve_fleet(2, prepare_s=0.2, **SMALL) as fleet, asyncio.timeout(LIMIT_S):
        async with streamer.connect(
            "demo-phone-2",
            endpoint=fleet.endpoint,
            credentials=streamer.Token(fleet.tenant_token),
            prepare_for="me",
            release=True,
        ):
            pass
        assert not fleet.phones[0].lifecycle.calls
        assert fleet.phones[1].lifecycle.calls


async def test_a_single_phone_has_no_number_and_nonsense_is_refused() -> None:
    async with serve_fleet(1, tenant_token="mine") as fleet, httpx.AsyncClient(verify=False) as client:
        assert [phone.instance_id for phone in fleet.phones] == ["demo-phone"]
        assert fleet.tenant_token == "mine"
        for body in (b"", b"[]", b'{"instance_ids": []}', b'"instance_id"', b"3"):
            reply = await client.post(
                f"{fleet.endpoint}/v1/instances/prepare",
                content=body,
                headers={"x-auth-token": "mine", "x-request-id": "1"},
            )
            assert reply.status_code == 400


async def test_the_first_free_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        async with serve_fleet(1, ports=(taken, 0)) as fleet:
            assert not fleet.endpoint.endswith(f":{taken}")
        with pytest.raises(
            ConfigurationError, match=rf"^cannot listen on 127.0.0.1, port {taken}: Address already in "
        ):
            async with serve_fleet(1, ports=(taken,)):
                pass


@pytest.mark.parametrize("host", ["203.0.113.77", "nowhere.invalid"])  # nobody's (RFC 5737, RFC 6761)
async def test_an_address_of_another_machine_is_refused(host: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^cannot listen on {host}: .*: choose another address$"):
        async with serve_fleet(1, host=host, tenant_token="a-token-of-your-own-32"):
            pass


async def test_a_phone_reports_each_client_that_arrives_streams_and_leaves(connect: Connect) -> None:
    async with serve_fleet(1, **SMALL) as fleet, asyncio.timeout(LIMIT_S):
        (phone,) = fleet.phones
        told: list[str] = []
        phone.on_client = told.append
        async with connect(phone, reconnect=None) as session:
            await anext(session.frames())
            await phone.close_clients("1402")
            with pytest.raises(streamer.TakenOverError):
                await session.wait_ended()
        async with signaling(phone, token="nonsense") as conversation:
            assert not (await conversation.event("authorize"))["authorized"]
        while len(told) < 5:
            await asyncio.sleep(0.01)
    patterns = [
        r"client 1 connected from 127\.0\.0\.1:\d+",
        "client 1 streams",
        r"client 1 left after \d+\.\d s: another client took the phone over \(1402\)",
        r"client 2 connected from 127\.0\.0\.1:\d+",
        r"client 2 left after \d+\.\d s: its device token was refused \(code -1\)",
    ]
    assert len(told) == len(patterns)
    for line, pattern in zip(told, patterns, strict=True):
        assert re.fullmatch(pattern, line), line
