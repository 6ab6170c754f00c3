"""`streamer view`: the page is there until Ctrl-C, or until the phone's stream has ended."""

import asyncio
import json
import signal

import httpx
import pytest

from streamer.emulator import EmulatedPhone
from tests.support.commands import end, environment, run, running


@pytest.mark.parametrize("ending", ["Ctrl-C", "taken over"])
async def test_the_page_is_there_until_the_end(phone: EmulatedPhone, ending: str) -> None:
    words = ("view", phone.instance_id, "--no-open", "--no-reconnect", "--json")
    async with running(*words, env=environment(phone)) as process:
        assert process.stdout is not None
        said = b""
        while not said.rstrip().endswith(b"}"):
            said += await process.stdout.readline()
        url = json.loads(said)["url"]
        assert url.startswith("http://127.0.0.1:")
        async with httpx.AsyncClient(trust_env=False) as client:
            assert "<title>Phone</title>" in (await client.get(url)).text
        if ending == "Ctrl-C":
            process.send_signal(signal.SIGINT)
        else:
            await phone.close_clients("1402")
        ended = await end(process)
    assert (ended.code, ended.out) == (0 if ending == "Ctrl-C" else 4, "")
    assert ("end the other one, then connect again" in ended.err) == (ending == "taken over")


async def test_a_port_that_is_taken_is_told(phone: EmulatedPhone) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        ended = await run("view", phone.instance_id, "--no-open", "--port", port, env=environment(phone))
    assert ended.code == 2
    words = "Address already in use: choose another port, or 0 for a free one"
    assert ended.err == f"error: cannot listen on port {port} of 127.0.0.1: {words}\n"


async def test_an_origin_that_is_none_is_told_before_a_phone_is_taken(phone: EmulatedPhone) -> None:
    words = ("view", phone.instance_id, "--no-open", "--embed-from", "https://lab.example", "--embed-from", "lab")
    ended = await run(*words, env=environment(phone))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: expected an origin that may embed the viewer, such as https://lab.example:8443")
    assert phone.frames_sent == 0
