"""A resolver or a mount that does not answer delays neither the time limit of a wait nor the end of the program."""

import asyncio
import os
from pathlib import Path
from typing import Final

import pytest

from tests.support.commands import environment
from tests.support.prepared import PYTHON

HANGS_S: Final = 60.0  # the resolver, in the program below
LIMIT_S: Final = 40.0  # for the whole program, on a busy machine

_PROGRAM: Final = f"""
import asyncio, socket, sys, time
import streamer
from streamer.cloud import credentials
from streamer.cloud.client import CloudClient
from streamer.secret import Secret
from streamer.signaling.client import SignalingClient
from streamer.signaling.messages import SignalingRequest

credentials.READ_TIMEOUT_S = 0.3
socket.getaddrinfo = lambda *_, **__: time.sleep({HANGS_S})
what, where = sys.argv[1:]

async def attempt():
    if what == "API":
        proof = streamer.TokenFile(where) if where.startswith("/") else "token"
        endpoint = "http://127.0.0.1:9" if where.startswith("/") else where
        async with CloudClient(endpoint, proof, timeout_s=0.3) as cloud:
            await cloud.fetch_ticket("instance")
    else:
        request = SignalingRequest(
            signaling_url=where, device_id="d", device_token=Secret("t"), streaming_id="s", client_uuid="u"
        )
        async with SignalingClient(request, open_timeout_s=0.3, open_attempts=1):
            pass

try:
    asyncio.run(attempt())
except streamer.StreamerError as error:
    print(error)
"""
_SLOW: Final = "slow.example"
_FAR: Final = "192.0.2.1"  # an address of no host


async def _said(*arguments: str, proxy: str | None = None) -> str:
    surroundings = {name: value for name, value in environment().items() if not name.lower().endswith("_proxy")}
    program = await asyncio.create_subprocess_exec(
        *PYTHON,
        "-c",
        _PROGRAM,
        *arguments,
        env=surroundings | ({"all_proxy": proxy} if proxy else {}),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(LIMIT_S):
            return (await program.communicate())[0].decode()
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("what", ["API", "signaling"])
async def test_a_slow_host_name_does_not_delay_the_time_out(what: str, scheme: str) -> None:
    said = await _said(what, f"{scheme}://{_SLOW}:9")
    assert ("timed out" if what == "API" else "no answer within 0.3 s") in said


@pytest.mark.parametrize("what", ["API", "signaling"])
async def test_the_slow_name_of_a_proxy_does_not_delay_the_time_out(what: str) -> None:
    said = await _said(what, f"http://{_FAR}:9", proxy=f"http://{_SLOW}:9")
    assert f"through the proxy {_SLOW}" in said


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a file whose opening hangs")
async def test_a_token_file_that_does_not_open_does_not_delay_the_time_out(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "token")
    assert "timed out" in await _said("API", str(tmp_path / "token"))
