"""A client of the emulator made of public libraries alone: httpx, websockets and a plain aiortc peer."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import urlencode

import av
import httpx
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from websockets.asyncio.client import ClientConnection, connect

from streamer.emulator import Barcode, EmulatedPhone, read_barcode

LIMIT_S: Final = 20.0  # generous: nothing here is a measurement


async def call_auth(phone: EmulatedPhone, instance_id: str | None = None, **headers: str) -> httpx.Response:
    """Call the auth API; headers are given with underscores, and an empty one is left out."""
    named = {"x_auth_token": phone.tenant_token, "x_request_id": "request-1"} | headers
    async with httpx.AsyncClient(verify=False) as client:
        return await client.post(
            f"{phone.endpoint}/v1/instances/{instance_id or phone.instance_id}/auth",
            headers={name.replace("_", "-"): value for name, value in named.items() if value},
        )


async def fetch_token(phone: EmulatedPhone) -> str:
    """Return a fresh device token."""
    return str((await call_auth(phone)).json()["data"]["device_token"])


class Signaling:
    """The client's end of the conversation, frame by frame."""

    def __init__(self, websocket: ClientConnection) -> None:
        self.websocket = websocket
        self.stream_id = ""

    async def frame(self) -> str:
        """Return the next frame."""
        async with asyncio.timeout(LIMIT_S):
            return str(await self.websocket.recv())

    async def event(self, name: str, kind: str | None = None) -> Any:
        """Return the payload of the next event of this name, and of this message type; others are passed over."""
        while True:
            frame = await self.frame()
            if frame.startswith("42"):
                event = json.loads(frame[2:])
                if event[0] == name and (kind is None or event[1].get("type") == kind):
                    return event[1]

    async def emit(self, name: str, payload: Any) -> None:
        """Send an event."""
        await self.websocket.send("42" + json.dumps([name, payload]))

    async def send(self, kind: str, payload: dict[str, Any]) -> None:
        """Send a message to the stream."""
        await self.emit("message", {"to": self.stream_id, "type": kind, "payload": payload})

    async def start(self) -> dict[str, Any]:
        """Go from `authorize` to the phone's offer; return its message."""
        assert (await self.event("authorize"))["authorized"]
        await self.emit("start", {"room": "box", "times": 0})
        self.stream_id = (await self.event("start"))["streamId"]
        init = base64.b64encode(json.dumps({"sole": True}).encode()).decode()
        await self.emit("message", {"to": self.stream_id, "type": "init", "data": init})
        message: dict[str, Any] = await self.event("message", "offer")
        return message


@contextlib.asynccontextmanager
async def signaling(phone: EmulatedPhone, token: str | None = None) -> AsyncIterator[Signaling]:
    """Open the WebSocket with a fresh device token, or this one."""
    query = {
        "EIO": "3",
        "transport": "websocket",
        "authtype": "token",
        "boxid": phone.device_id,
        "token": await fetch_token(phone) if token is None else token,
    }
    url = f"{phone.signaling_url.replace('http', 'ws', 1)}/socket.io/?{urlencode(query)}"
    async with connect(url, compression=None) as websocket:
        yield Signaling(websocket)


class Viewer:
    """A connected client: decoded frames, audio, and the data channel `input`."""

    def __init__(self, conversation: Signaling) -> None:
        self.signaling = conversation
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.tracks: dict[str, MediaStreamTrack] = {}
        self.channels: list[RTCDataChannel] = []
        self.connection.on("track", lambda track: self.tracks.__setitem__(track.kind, track))
        self.connection.on("datachannel", self.channels.append)
        self.input: RTCDataChannel | None = None

    async def answer(self, offer: dict[str, Any], *, opens_input: bool = True) -> None:
        """Answer an offer of the phone's."""
        await self.connection.setRemoteDescription(RTCSessionDescription(offer["sdp"], "offer"))
        if opens_input and self.input is None:
            self.input = self.connection.createDataChannel("input", ordered=False, maxRetransmits=0)
        for transceiver in self.connection.getTransceivers():
            _gather_on_loopback(transceiver.receiver.transport.transport)
        await self.connection.setLocalDescription(await self.connection.createAnswer())
        await self.signaling.send("answer", {"type": "answer", "sdp": self.connection.localDescription.sdp})

    async def frame(self) -> tuple[av.VideoFrame, Barcode]:
        """Return the next decoded frame and what its strip says."""
        async with asyncio.timeout(LIMIT_S):
            frame = await self.tracks["video"].recv()
        assert isinstance(frame, av.VideoFrame)
        barcode = read_barcode(frame.to_ndarray(format="gray").astype(np.uint8))
        assert barcode is not None, "the strip cannot be read"
        return frame, barcode


@contextlib.asynccontextmanager
async def viewing(phone: EmulatedPhone, *, opens_input: bool = True) -> AsyncIterator[Viewer]:
    """Connect to the phone and stream from it."""
    async with signaling(phone) as conversation:
        offer = await conversation.start()
        viewer = Viewer(conversation)
        try:
            await viewer.answer(offer["payload"], opens_input=opens_input)
            yield viewer
        finally:
            await viewer.connection.close()


def _gather_on_loopback(transport: Any) -> None:
    # aioice leaves loopback out, and a machine without a network has nothing else (aioice 0.13).
    connection = transport._connection

    async def gather_candidates() -> None:
        if not connection._local_candidates_start:
            connection._local_candidates_start = True
            found = await connection.get_component_candidates(component=1, addresses=["127.0.0.1"])
            connection._local_candidates += found
            connection._local_candidates_end = True

    vars(connection)["gather_candidates"] = gather_candidates
