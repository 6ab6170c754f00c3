"""`streamer mcp` as an agent's client runs it: a process of its own, driven by the official SDK's client.

The SDK takes long to import: it is imported where it is used, and not by each worker that collects the tests.
"""

import asyncio
import base64
import importlib
import io
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import av
import httpx
import numpy as np
import pytest

from streamer import emulator
from streamer.agent.arguments import TOOLS
from streamer.cli import agent
from streamer.cli.options import Connection, Output
from streamer.emulator import EmulatedPhone
from streamer.errors import ConfigurationError, MissingExtraError
from tests.support import prepared
from tests.support.commands import LIMIT_S, end, environment, running

if TYPE_CHECKING:
    from mcp import Client

pytestmark = pytest.mark.edge
EMAIL = (0.5, 0.205)  # where the field is
PASSWORD = "open sesame"
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
ACCEPT = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-06-18"}


@pytest.fixture
async def phone() -> AsyncIterator[EmulatedPhone]:
    async with emulator.serve(width=360, height=640, fps=15, audio=False, screen="apps") as running_phone:
        yield running_phone


class Said(NamedTuple):
    facts: dict[str, Any]
    pictures: list[bytes]


def is_signed_in(picture: bytes) -> bool:
    """Whether a picture has the green words of the app that is signed in."""
    with av.open(io.BytesIO(picture), "r") as container:
        pixels = np.asarray(next(container.decode(video=0)).to_ndarray(format="rgb24"), dtype=int)[64:320]
    return int(((pixels[..., 1] - pixels[..., 0] > 40) & (pixels[..., 1] - pixels[..., 2] > 20)).sum()) > 50


async def call(client: "Client", name: str, **given: Any) -> Said:
    """Call a tool that succeeds."""
    from mcp import types  # noqa: PLC0415

    result = await client.call_tool(name, given)
    text, *pictures = result.content
    assert isinstance(text, types.TextContent)
    assert not result.is_error, text.text
    images = [each for each in pictures if isinstance(each, types.ImageContent) and each.mime_type == "image/jpeg"]
    assert len(images) == len(pictures)
    return Said(json.loads(text.text), [base64.b64decode(each.data) for each in images])


def over_stdio(phone: EmulatedPhone, folder: Path) -> "Client":
    from mcp import Client, StdioServerParameters  # noqa: PLC0415
    from mcp.client.stdio import stdio_client  # noqa: PLC0415

    command, *words = [*prepared.COMMAND, "mcp", phone.instance_id, "--no-texts", "--output", str(folder)]
    return Client(stdio_client(StdioServerParameters(command=command, args=words, env=environment(phone))))


async def test_an_agent_signs_in_through_every_tool(phone: EmulatedPhone, tmp_path: Path) -> None:
    used = set()

    async def use(name: str, **given: Any) -> Said:
        used.add(name)
        return await call(client, name, **given)

    async with asyncio.timeout(2 * LIMIT_S), over_stdio(phone, tmp_path) as client:
        assert client.instructions is not None
        listed = {tool.name for tool in (await client.list_tools()).tools}
        assert not phone.clients, "nothing is connected before the first tool"
        apps = (await use("list_apps")).facts["apps"]
        assert {"package": "com.example.signin", "name": "Sign in", "version": "1.0.0"} in apps
        assert "com.android.settings" not in [app["package"] for app in apps]
        recording = (await use("record", action="start")).facts["recording"]
        assert (await use("look")).pictures
        assert (await use("long_press", x=0.9, y=0.6)).pictures
        assert (await use("swipe", direction="down")).pictures
        assert (await use("start_app", package="com.example.signin")).facts["changed"]
        assert (await use("tap", x=EMAIL[0], y=EMAIL[1])).facts["changed"]
        assert (await use("type", text="ann@example.com")).facts["changed"]
        assert (await use("press", key="ENTER")).facts["changed"]
        assert (await use("type", text=f"{PASSWORD}\n")).facts["changed"]
        while not is_signed_in((await use("wait_for", what="change")).pictures[0]):
            pass
        assert (await use("wait_for", what="still")).facts["came"]
        assert (await use("clip", seconds=10)).pictures
        assert (await use("record", action="stop")).facts["file"] == recording
        assert used == listed == set(TOOLS)
    assert len(list(tmp_path.glob("*.mp4"))) == 2


async def test_the_end_of_its_input_and_a_signal_end_the_server_and_leave_the_phone(phone: EmulatedPhone) -> None:
    for by_signal in (False, True):
        process = await asyncio.create_subprocess_exec(
            *(*prepared.COMMAND, "mcp", phone.instance_id, "--no-texts"),
            env=environment(phone),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(LIMIT_S):
                assert process.stdin is not None
                assert process.stdout is not None
                for message in (
                    {
                        "jsonrpc": "2.0",
                        "id": 0,
                        "method": "initialize",
                        "params": {
                            "protocolVersion": "2025-06-18",
                            "capabilities": {},
                            "clientInfo": {"name": "test", "version": "1"},
                        },
                    },
                    {"jsonrpc": "2.0", "method": "notifications/initialized"},
                    {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "look", "arguments": {}}},
                    {
                        "jsonrpc": "2.0",
                        "id": 2,
                        "method": "tools/call",
                        "params": {"name": "wait_for", "arguments": {"what": "change", "timeout_s": 120}},
                    },
                ):
                    process.stdin.write(json.dumps(message).encode() + b"\n")
                assert json.loads(await process.stdout.readline())["id"] == 0
                answer = json.loads(await process.stdout.readuntil(b"\n"))
                assert answer["id"] == 1
                assert phone.clients
                if by_signal:
                    process.send_signal(signal.SIGTERM)
                    assert await process.wait() == 0
                process.stdin.close()
                ended = await end(process)
                assert (ended.code, ended.err) == (0, "")
                while phone.clients:
                    await asyncio.sleep(0.01)
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()


async def test_over_http_only_the_tokens_owner_on_this_machine_is_served(phone: EmulatedPhone) -> None:
    import httpx2  # noqa: PLC0415
    from mcp import Client  # noqa: PLC0415
    from mcp.client.streamable_http import streamable_http_client  # noqa: PLC0415

    words = ("mcp", phone.instance_id, "--transport", "http", "--port", 0, "--no-texts", "--json", "--debug")
    async with running(*words, env=environment(phone)) as process:
        assert process.stderr is not None
        while not (line := await process.stderr.readline()).startswith(b"{"):
            assert line
        facts = json.loads(line)
        url, token, port = facts["url"], facts["token"], httpx.URL(facts["url"]).port
        assert len(token) >= 32
        right = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient() as client:
            for headers, status in (
                ({}, 401),
                ({"Authorization": f"Bearer {token}x"}, 401),
                ({"Authorization": token}, 401),
                (right | {"Host": f"attacker.example:{port}"}, 421),
                (right | {"Origin": "https://attacker.example"}, 403),
            ):
                reply = await client.post(url, json=PING, headers=ACCEPT | headers)
                assert reply.status_code == status, headers
                assert token not in reply.text
            reply = await client.post(url, content=b"[" * 2_000_000, headers=ACCEPT | right)
            assert reply.status_code == 413
        assert not phone.clients
        async with (
            httpx2.AsyncClient(headers=right) as http,
            Client(streamable_http_client(url, http_client=http)) as client,
        ):
            assert (await call(client, "start_app", package="com.example.signin")).facts["changed"]
            assert (await call(client, "tap", x=EMAIL[0], y=EMAIL[1])).pictures
            assert (await call(client, "type", text=PASSWORD)).pictures
        assert phone.clients, "the phone stays connected for the next client"
        process.send_signal(signal.SIGTERM)
        ended = await end(process)
        assert (ended.code, ended.out) == (0, "")
        while phone.clients:
            await asyncio.sleep(0.01)
    assert "streamer.signaling" in ended.err, "what is logged at all"
    assert PASSWORD not in ended.err
    assert token not in ended.err


async def test_what_is_wrong_is_said_before_anybody_is_served(
    phone: EmulatedPhone, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("STREAMER_")]:
        monkeypatch.delenv(name)

    async def serve(
        endpoint: str | None, transport: Literal["stdio", "http"] = "http", port: int = 0, *, quiet: bool = False
    ) -> None:
        connection = Connection(endpoint=endpoint)
        await agent.serve(
            phone.instance_id,
            connection,
            transport,
            port=port,
            reads_texts=False,
            directory=None,
            say=Output(quiet=quiet),
        )

    with pytest.raises(ConfigurationError, match="expected an endpoint"):
        await serve(None)
    with pytest.raises(ConfigurationError, match="STREAMER_AUTH_TOKEN"):
        await serve(phone.endpoint)
    monkeypatch.setenv("STREAMER_AUTH_TOKEN", phone.tenant_token)
    with pytest.raises(ConfigurationError, match="expected a token in STREAMER_MCP_TOKEN: with --quiet"):
        await serve(phone.endpoint, quiet=True)
    monkeypatch.setenv("STREAMER_MCP_TOKEN", "a-small-one")
    with pytest.raises(ConfigurationError, match="expected a token of at least 16") as caught:
        await serve(phone.endpoint)
    assert "a-small-one" not in str(caught.value)
    monkeypatch.setenv("STREAMER_MCP_TOKEN", "a-token-that-is-long-enough")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"cannot listen on port {port} of 127.0.0.1: "):
            await serve(phone.endpoint, port=port)
    monkeypatch.setattr("sys.stdin", Terminal())
    with pytest.raises(ConfigurationError, match="expected an MCP client at the standard input, got a terminal"):
        await serve(phone.endpoint, "stdio")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


async def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp", None)
    monkeypatch.delitem(sys.modules, "streamer.agent.serving", raising=False)
    with pytest.raises(MissingExtraError, match=r"pip install 'koophone-streamer\[mcp\]'"):
        importlib.import_module("streamer.agent.serving")
