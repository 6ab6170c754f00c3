"""One client's signaling: the server's side of the conversation, and the stream that comes of it."""

import asyncio
import base64
import contextlib
import json
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from streamer.emulator.faults import Faults
from streamer.emulator.json_text import parse_json
from streamer.emulator.media import PhoneMedia
from streamer.emulator.peer import PhonePeer
from streamer.emulator.socketio import ServerSocket
from streamer.protocol_constants import AUTHORIZE_OK, CLOSE_IDLE, CLOSE_TAKEN_OVER, CLOSE_TRIAL_OVER, CLOSE_USER_LEFT

UNAUTHORIZED_S: Final = 30.0  # a client that is not authorized is sent away after so long
_REASONS: Final = {
    str(CLOSE_IDLE): f"nobody touched it ({CLOSE_IDLE})",
    str(CLOSE_TAKEN_OVER): f"another client took the phone over ({CLOSE_TAKEN_OVER})",
    str(CLOSE_TRIAL_OVER): f"its time was up ({CLOSE_TRIAL_OVER})",
    str(CLOSE_USER_LEFT): f"the API was told to stop the stream ({CLOSE_USER_LEFT})",
}


class Phone(Protocol):
    """What a client's conversation needs of the phone."""

    faults: Faults
    media: PhoneMedia
    expires_in_s: float | None
    on_client: Callable[[str], None]

    def judge(self, query: dict[str, str]) -> int:
        """Return the code of `authorize` for a client's query."""

    def make_peer(self) -> PhonePeer:
        """Return a peer for a client."""

    async def take_over(self, newcomer: "Client") -> None:
        """Close the stream of every other client."""

    async def restart(self) -> None:
        """Drop every client without a word, and forget the device tokens."""


class Client:
    """One client's way through the conversation."""

    def __init__(self, phone: Phone, socket: ServerSocket, query: dict[str, str], *, number: int) -> None:
        self.socket = socket
        self.peer: PhonePeer | None = None
        self.began_at = time.monotonic()
        self.is_done = asyncio.Event()  # nobody wants its stream any more
        self._number = number
        self._ended_by = ""  # what the phone ended it for, in words
        self._phone = phone
        self._query = query
        self._stream_id = str(uuid.uuid4())
        self._is_authorized = False
        self._former: list[PhonePeer] = []  # that another one takes over from
        self._endings: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Say what the server says first, then follow the client."""
        faults = self._phone.faults
        self.socket.answers_pings = not faults.no_pong
        if await self._reach("open"):
            await self.socket.open()
            if faults.refuse:
                await self.socket.refuse(faults.refuse)
            elif await self._reach("connect"):
                await self.socket.connect()
                if await self._reach("authorize"):
                    code = self._phone.judge(self._query)
                    if code != AUTHORIZE_OK:
                        self._ended_by = f"its device token was refused (code {code})"
                    self._is_authorized = code == AUTHORIZE_OK
                    await self.socket.emit("authorize", {"authorized": code == AUTHORIZE_OK, "code": code})
        try:
            async with asyncio.timeout(None if self._is_authorized else UNAUTHORIZED_S):
                await self.socket.serve(self._handle)
        except TimeoutError:
            await self.socket.close(1008, "not authorized")

    def report(self, what: str) -> None:
        """Report what this client does, to `on_client` of the phone."""
        self._phone.on_client(f"client {self._number} {what}")

    def report_end(self) -> None:
        """Report that it has left, after how long, and why if the phone knows."""
        why = f": {self._ended_by}" if self._ended_by else ""
        self.report(f"left after {time.monotonic() - self.began_at:.1f} s{why}")

    async def offer(self) -> None:
        """Send an offer, the first or another."""
        if self.peer is None or self.peer.is_closed:
            return
        sdp = await self.peer.offer()
        candidates = self.peer.candidates()
        faults = self._phone.faults
        if faults.early_candidates:
            for payload in candidates:
                await self.send("candidate", payload)
            sdp = "".join(
                f"{line}\r\n"
                for line in sdp.splitlines()
                if not line.startswith(("a=candidate:", "a=end-of-candidates"))
            )
        await self.send("offer", {"type": "offer", "sdp": "v=0 nonsense" if faults.bad_offer else sdp})
        if not faults.early_candidates:
            for payload in candidates:
                await self.send("candidate", payload)

    async def restart_ice(self) -> None:
        """Offer a fresh connection in place of the one there is, which is closed when the other one is up.

        aiortc 1.16 cannot restart ICE, so DTLS begins again with it, which RFC 8842 section 4 allows.
        """
        if self.peer is None or self.peer.is_closed:
            return
        former, self.peer = self.peer, self._phone.make_peer()
        self._former.append(former)
        await self.offer()
        self._endings.append(asyncio.create_task(self._leave(former, self.peer), name="phone: another path"))

    async def _leave(self, former: PhonePeer, peer: PhonePeer) -> None:
        await peer.connected.wait()
        await asyncio.sleep(self._phone.faults.former_lingers_s)
        await former.close()
        self._former.remove(former)

    async def send(self, kind: str, payload: dict[str, Any]) -> None:
        """Send a message of the phone's."""
        message: dict[str, Any] = {"from": self._stream_id, "type": kind}
        if self._phone.faults.data_payload:
            message["data"] = base64.b64encode(json.dumps(payload).encode()).decode()
        else:
            message["payload"] = payload
        await self.socket.emit("message", message)

    async def end(self, reason: str) -> None:
        """End the stream for a reason."""
        self._ended_by = _REASONS.get(reason, f"the phone ended the stream, with {reason}")
        await self.socket.emit("close", {"reason": reason})
        if self.peer is not None:
            await self.peer.close()

    async def close(self) -> None:
        """Let go of everything."""
        endings = [task for task in self._endings if task is not asyncio.current_task()]
        for task in endings:
            task.cancel()
        await asyncio.gather(*endings, return_exceptions=True)
        for peer in (*self._former, self.peer):
            if peer is not None:
                await peer.close()

    async def _reach(self, step: str) -> bool:
        """Come to a step of the conversation; false if a fault stops it there."""
        faults = self._phone.faults
        if faults.drop_at == step:
            await self.socket.cut()
            return False
        return faults.silent_at != step

    async def _handle(self, event: str, payload: Any) -> None:
        if not self._is_authorized:
            return
        if event == "start":
            await self._on_start(payload)
        elif event == "message" and isinstance(payload, dict):
            match payload.get("type"):
                case "init":
                    await self._on_init(_payload(payload))
                case "answer":
                    await self._on_answer(_payload(payload))
                case "candidate" if self.peer is not None and not self._phone.faults.no_media:
                    await self.peer.take_candidate(_payload(payload))

    async def _on_start(self, payload: Any) -> None:
        if not await self._reach("start"):
            return
        times = payload.get("times", 0) if isinstance(payload, dict) else 0
        if self._phone.faults.refuse_start:
            refusal = {"code": self._phone.faults.refuse_start, "message": "the phone is busy", "times": times}
            await self.socket.emit("start", refusal)
        else:
            await self.socket.emit("start", {"streamId": self._stream_id, "vcodec": "h264"})

    async def _on_init(self, payload: dict[str, Any]) -> None:
        if not await self._reach("offer") or self.peer is not None:
            return
        volume = payload.get("volume")
        if isinstance(volume, int) and 0 <= volume <= 100:
            self._phone.media.volume = volume
        await self._phone.take_over(self)
        self.peer = self._phone.make_peer()
        await self.offer()

    async def _on_answer(self, payload: dict[str, Any]) -> None:
        faults = self._phone.faults
        if self.peer is None or not await self._reach("answer") or faults.no_media:
            return
        await self.peer.take_answer(str(payload.get("sdp", "")))
        if not self._endings:
            self._endings = [asyncio.create_task(self._tell_stream(self.peer), name="phone: a stream's beginning")]
            self._endings += [
                asyncio.create_task(self._later(after_s, end), name="phone: the stream's end")
                for after_s, end in (
                    (faults.close_after_s, lambda: self.end(faults.close_reason)),
                    (faults.idle_close_s, self._end_when_idle),
                    (faults.disconnect_after_s, self.socket.disconnect),
                    (faults.cut_after_s, self.socket.cut),
                    (faults.lose_path_after_s, self._lose_path),
                    (faults.restart_ice_after_s, self.restart_ice),
                    (faults.restart_after_s, self._phone.restart),
                    (self._phone.expires_in_s, lambda: self.end(str(CLOSE_TRIAL_OVER))),  # [assumed]: the code
                )
                if after_s
            ]

    async def _tell_stream(self, peer: PhonePeer) -> None:
        await peer.connected.wait()
        self.report("streams")

    async def _end_when_idle(self) -> None:
        idle_s = self._phone.faults.idle_close_s
        while self.peer is not None and (left_s := self.peer.input_at + idle_s - time.monotonic()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(left_s)
        await self.end(str(CLOSE_IDLE))

    async def _lose_path(self) -> None:
        if self.peer is not None:
            self.peer.path.is_cut = True
            if self._phone.faults.lose_path_for_s:
                await asyncio.sleep(self._phone.faults.lose_path_for_s)
                self.peer.path.is_cut = False

    async def _later(self, after_s: float, end: Callable[[], Awaitable[None]]) -> None:
        await asyncio.sleep(after_s)
        await end()


def _payload(message: dict[str, Any]) -> dict[str, Any]:
    payload = message.get("payload")
    if payload is None and isinstance(message.get("data"), str):
        with contextlib.suppress(ValueError):
            payload = parse_json(base64.b64decode(message["data"]))
    return payload if isinstance(payload, dict) else {}
