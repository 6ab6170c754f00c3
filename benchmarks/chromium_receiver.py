"""A receiver of what Chromium sends, in a process of its own: streamer through its public face, or aiortc.

argv: which, the signaling server's origin, the device's id, seconds. Prints how many frames came in that time from
the moment of connection, and how old they were.
"""

import asyncio
import contextlib
import json
import statistics
import sys
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import av
from aiortc.sdp import candidate_from_sdp
from websockets.asyncio.client import connect

import streamer
from benchmarks.rivals import Aiortc
from streamer.emulator import read_barcode
from tests.support.evidence import luma
from tests.support.processes import say


class Count:
    """How many frames came before the end, and how old each was by the clock in its barcode."""

    def __init__(self, seconds: float) -> None:
        self.frames = 0
        self.ages_ms: list[int] = []
        self._end = time.monotonic() + seconds

    def add(self, frame: av.VideoFrame) -> bool:
        """Count a frame; false if time is up."""
        if time.monotonic() >= self._end:
            return False
        self.frames += 1
        if (barcode := read_barcode(luma(frame))) is not None:
            self.ages_ms.append((int(time.time() * 1000) - barcode.clock_ms) % 2**32)
        return True


async def by_streamer(origin: str, device_id: str, seconds: float) -> Count:
    """Connect as any user does."""
    async with (
        _auth_api(origin, device_id) as endpoint,
        streamer.connect("bench", endpoint=endpoint, credentials=streamer.Token("token")) as phone,
    ):
        count = Count(seconds)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds + 1):
                async for frame in phone.frames("every"):
                    if not count.add(frame.av_frame):
                        break
    return count


async def by_aiortc(origin: str, device_id: str, seconds: float) -> Count:
    """Speak just as much of the signaling as it takes."""
    receiver = Aiortc()
    connected = asyncio.Event()

    def look() -> None:
        if receiver.connection.connectionState == "connected":
            connected.set()

    receiver.connection.on("connectionstatechange", look)
    query = urlencode({"EIO": 3, "transport": "websocket", "boxid": device_id, "token": "device-token"})
    async with connect(f"{origin.replace('http', 'ws')}/socket.io/?{query}") as websocket:
        talking = asyncio.create_task(_talk(websocket, receiver, device_id))
        await connected.wait()
        count = Count(seconds)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds + 1):
                async for frame in receiver.decoded_frames():
                    if not count.add(frame):
                        break
        talking.cancel()
        await asyncio.wait({talking})
        await receiver.aclose()
    return count


async def _talk(websocket: Any, receiver: Aiortc, device_id: str) -> None:
    stream_id = ""

    async def emit(event: str, payload: Any) -> None:
        await websocket.send(f"42{json.dumps([event, payload])}")

    async for frame in websocket:
        if not frame.startswith("42"):
            continue
        event, payload = json.loads(frame[2:])
        if event == "authorize":
            await emit("start", {"room": device_id, "times": 0})
        elif event == "start":
            stream_id = payload["streamId"]
            await emit("message", {"to": stream_id, "type": "init", "data": "e30="})
        elif payload["type"] == "offer":
            answer = await receiver.answer(payload["payload"]["sdp"])
            content = {"type": "answer", "sdp": answer}
            await emit("message", {"to": stream_id, "type": "answer", "payload": content})
        elif payload["type"] == "candidate":
            content = payload["payload"]
            candidate = candidate_from_sdp(content["candidate"].removeprefix("candidate:"))
            candidate.sdpMid, candidate.sdpMLineIndex = content["id"], content["label"]
            await receiver.connection.addIceCandidate(candidate)


@contextlib.asynccontextmanager
async def _auth_api(signaling_url: str, device_id: str) -> AsyncIterator[str]:
    """Answer every auth call with a ticket to `signaling_url`; give the API's endpoint."""
    signaling: dict[str, Any] = {"signaling_url": signaling_url, "expired_time": None, "ice_servers": []}
    data = {"device_token": "device-token", "resource": {"device_id": device_id, "rtc": {"ice_signaling": signaling}}}
    body = json.dumps({"error_code": "0", "error_msg": "", "data": data}).encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}"


def main(which: str, origin: str, device_id: str, seconds: str) -> None:
    """Receive and say what came."""
    receive = by_streamer if which == "streamer" else by_aiortc
    count = asyncio.run(receive(origin, device_id, float(seconds)))
    say({"frames": count.frames, "age_ms": statistics.median(count.ages_ms) if count.ages_ms else None})


if __name__ == "__main__":
    main(*sys.argv[1:])
