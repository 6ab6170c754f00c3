"""An auth API that sends every client to one signaling server."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final

DEVICE_ID: Final = "device-1"


@contextlib.asynccontextmanager
async def auth_api(signaling_url: str, ice_servers: Sequence[Any] = ()) -> AsyncGenerator[str]:
    """Answer every auth call with a ticket to `signaling_url`; give the API's endpoint."""
    data = {
        "device_token": "device-token",
        "resource": {
            "device_id": DEVICE_ID,
            "rtc": {
                "ice_signaling": {
                    "signaling_url": signaling_url,
                    "expired_time": None,
                    "ice_servers": list(ice_servers),
                }
            },
        },
    }
    body = json.dumps({"error_code": "0", "error_msg": "", "data": data}).encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: *(\d+)", head.lower())
            await reader.readexactly(int(length[1]) if length else 0)
            writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\n")
            writer.write(b"content-length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}"
