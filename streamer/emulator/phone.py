"""The emulated phone: its state, what its API and its signaling say, and what a test can do to it."""

import asyncio
import contextlib
import json
import secrets
import time
import uuid
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection

from streamer.emulator.api import Reply, Request
from streamer.emulator.client import Client
from streamer.emulator.device import Boot, Device, LetGo
from streamer.emulator.input_frames import Input, Text
from streamer.emulator.management import RUNNING, Management
from streamer.emulator.media import PhoneMedia
from streamer.emulator.options import PhoneOptions
from streamer.emulator.peer import PhonePeer
from streamer.emulator.provisioning import Lifecycle
from streamer.emulator.socketio import ServerSocket
from streamer.protocol_constants import (
    AUTHORIZE_INVALID_TOKEN,
    AUTHORIZE_OK,
    AUTHORIZE_TOKEN_EXPIRED,
    CLOSE_TAKEN_OVER,
    CLOSE_USER_LEFT,
    INPUT_TEXT,
    PREPARE_PATH,
    PROGRESS_PATH,
    RELEASE_PATH,
    REQUEST_ID_HEADER,
    SOCKETIO_PATH,
    STOP_PATH,
    TENANT_TOKEN_HEADER,
)

CLIENTS_LIMIT: Final = 32  # WebSockets at once, whether or not they stream; one more is refused
TOKENS_LIMIT: Final = 1000  # device tokens that were given out; the oldest are forgotten
INPUTS_LIMIT: Final = 1000  # input frames that are remembered; the oldest are forgotten
_STARTING: Final = 4  # [doc] status of an instance
_LIFECYCLE: Final = {PREPARE_PATH, PROGRESS_PATH, STOP_PATH, RELEASE_PATH}
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - addresses to listen on → one of them


class EmulatedPhone:
    """A running emulated phone; `serve` makes it. Everything about it may be changed while it runs.

    Attributes:
        endpoint: The API's base URL.
        instance_id: The phone's instance id.
        tenant_token: The token that clients bring.
        device_id: The phone's device id.
        signaling_url: The signaling server's URL.
        faults: What goes wrong now; change a field at any time.
        expires_in_s: After how many seconds a stream is closed; None is never.
        inputs: The last 1000 input frames that came: `Touch`, `Key` and `Text`.
        device: The phone's software: its apps, settings, and the commands that its shell was given.
        management: The calls of the API beside the stream, for all phones behind the same endpoint.
        on_client: Called with a line of text for each client that comes and goes.
    """

    def __init__(self, options: PhoneOptions, media: PhoneMedia) -> None:
        self.endpoint = ""
        self.signaling_url = ""
        self.instance_id = options.instance_id
        self.device_id = f"box-{options.instance_id}"
        self.tenant_token = options.tenant_token or secrets.token_urlsafe(24)
        self.faults = options.faults
        self.expires_in_s = options.expires_in_s
        self.media = media
        self.inputs: deque[Input] = deque(maxlen=INPUTS_LIMIT)
        self.on_client: Callable[[str], None] = lambda _: None
        self.clients: set[Client] = set()
        self.device_tokens: dict[str, float] = {}  # → when each expires, monotonic seconds
        self.lifecycle = Lifecycle(
            options.instance_id,
            prepare_s=options.prepare_s,
            lingers_s=options.session_lingers_s,
            faults=options.faults,
            stop=self._stop_streams,
        )
        self.device = Device(size=lambda: (media.width, media.height))
        self.device.on_event = media.receive
        self.management = Management([self], options.faults)
        self._options = options
        self._starts_until = 0.0
        self._came = 0
        self._auth_faults = 0
        self._token_faults = 0
        self._stopping: set[asyncio.Task[None]] = set()
        self._lingering: set[Client] = set()  # their streams go on without signaling

    @property
    def frames_sent(self) -> int:
        """How many frames were drawn: the next one's counter."""
        return self.media.frames_sent

    @property
    def app_in_front(self) -> str:
        """The package of the app that is in front, with `serve(screen="apps")`; "" otherwise."""
        return self.media.in_front

    @property
    def keyframe_requests(self) -> int:
        """How often clients asked for a keyframe."""
        return self.media.keyframe_requests

    def go_still(self) -> None:
        """Send no more frames, as a screen on which nothing changes."""
        self.media.is_still = True

    def wake(self) -> None:
        """Send frames again."""
        self.media.is_still = False

    def rotate(self) -> None:
        """Turn the phone by a quarter: the frame's width and height change places, without a new offer."""
        self.media.rotate()

    def set_fps(self, fps: int) -> None:
        """Send so many frames a second."""
        self.media.fps = fps

    async def push_offer(self) -> None:
        """Send every client another offer."""
        for client in list(self.clients):
            await client.offer()

    async def close_clients(self, reason: str) -> None:
        """End every client's stream for a reason, such as "1402"."""
        await asyncio.gather(*(client.end(reason) for client in self.clients))

    async def cut_signaling(self) -> None:
        """Reset every client's WebSocket without a word; the stream ends with it, or lingers as `faults` have it."""
        for client in list(self.clients):
            await client.socket.cut()

    def cut_path(self) -> None:
        """Lose every datagram to and from the clients of now, until `mend_path`."""
        for client in self.clients:
            if client.peer is not None:
                client.peer.path.is_cut = True

    def mend_path(self) -> None:
        """Let datagrams pass again."""
        for client in self.clients:
            if client.peer is not None:
                client.peer.path.is_cut = False

    def move_clients(self) -> None:
        """Let every client of now have another address, as behind a router that forgets it; the former one is gone."""
        for client in self.clients:
            if client.peer is not None:
                client.peer.path.has_moved = True

    async def restart_ice(self) -> None:
        """Send every client an offer that restarts ICE: the stream moves to another path once that is up."""
        for client in list(self.clients):
            await client.restart_ice()

    @property
    def status(self) -> int:
        """What batch-query-status says of the phone: 2 runs, 4 starts [doc]."""
        return RUNNING if time.monotonic() >= self._starts_until else _STARTING

    def set_video(self, fps: int, bitrate_bps: int) -> None:
        """Encode so many frames a second, and so many bits a second; 0 bits are as many as before."""
        self.media.fps = fps
        self.media.bitrate_bps = bitrate_bps or self.media.bitrate_bps

    def reboot(self) -> None:
        """Restart, and be unable to stream for as long as `serve(reboot_s=)` says."""
        self._starts_until = time.monotonic() + self._options.reboot_s
        self.device.emit(Boot())
        self._spawn(self.restart(), "phone: reboot")

    def reset(self) -> None:
        """Go back to the factory's state, and restart."""
        self.device.reset()
        self.reboot()

    async def restart(self) -> None:
        """Drop every client without a word and forget the device tokens, as a phone that restarts does."""
        self.device_tokens.clear()
        self.cut_path()
        await self.cut_signaling()

    def take_input(self, read: Input) -> None:
        """Take a client's input: every frame of every client's data channels comes here."""
        self.inputs.append(read)
        if not isinstance(read, Text):
            self.device.emit(read)

    def send_message(self, message: dict[str, Any]) -> None:
        """Send a message to every client on the data channel `input`, as an app on the phone can."""
        body = json.dumps(message).encode()
        for client in self.clients:
            if client.peer is not None:
                client.peer.send_input_frame((len(body) + 5).to_bytes(4) + bytes((INPUT_TEXT,)) + body)

    def answer(self, request: Request) -> Reply:
        """Answer a call of the API."""
        prefix, separator, rest = request.path.partition("/v1/instances/")
        instance_id, _, verb = rest.partition("/")
        path = separator + rest
        managed = self.management.method_of(path)
        if (verb != "auth" and path not in _LIFECYCLE and managed is None) or prefix.count("/") > 3:
            return Reply(404, {"error_code": "APIGW.0101", "error_msg": "The API does not exist."})
        if request.method != (managed or "POST"):
            return Reply(405, {"error_code": "APIGW.0101", "error_msg": "The API does not take this method."})
        token = request.headers.get(TENANT_TOKEN_HEADER, "")
        if not secrets.compare_digest(token.encode(), self.tenant_token.encode()):
            return Reply(401, {"error_code": "APIGW.0301", "error_msg": "Incorrect IAM authentication information."})
        if REQUEST_ID_HEADER not in request.headers:
            return Reply(200, {"error_code": "KOOPHONE.API.0002", "error_msg": "x-request-id is missing"})
        if managed is not None:
            return self.management.answer(path, request, time.monotonic())
        if path in _LIFECYCLE:
            return self.lifecycle.answer(path, request.body)
        if (fault := self._auth_fault()) is not None:
            return fault
        if instance_id != self.instance_id:
            return Reply(200, {"error_code": "KOOPHONE.API.1012", "error_msg": "the instance is not yours"})
        if self.status != RUNNING:
            return Reply(200, {"error_code": "KOOPHONE.API.2005", "error_msg": "the instance is restarting"})
        return self.lifecycle.refusal() or self._shape(self._ticket(self._signaling_url_for(request)))

    def _stop_streams(self) -> None:
        if not self._stopping:
            self._spawn(self.close_clients(str(CLOSE_USER_LEFT)), "phone: streaming/stop")

    def _spawn(self, ending: Coroutine[Any, Any, None], name: str) -> None:
        """Let streams end without waiting for it; `close` does."""
        task = asyncio.create_task(ending, name=name)
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)

    async def close(self) -> None:
        """Let go of every client."""
        for client in self._lingering:
            client.is_done.set()
        await asyncio.gather(*self._stopping, *(client.close() for client in list(self.clients)))

    def _auth_fault(self) -> Reply | None:
        faults = self.faults
        if not (faults.auth_code or faults.auth_status != 200 or faults.auth_body in {"html", "empty", "silence"}):
            return None
        self._auth_faults += 1
        if faults.auth_times and self._auth_faults > faults.auth_times:
            return None
        if faults.auth_body == "html":
            return Reply(faults.auth_status, b"<html><body>Bad gateway</body></html>", "text/html")
        if faults.auth_body == "empty":
            return Reply(faults.auth_status, b"")
        if faults.auth_body == "silence":
            return Reply(faults.auth_status, b"", is_silent=True)
        body = {"error_code": faults.auth_code, "error_msg": "as injected"} if faults.auth_code else {}
        return Reply(faults.auth_status, body)

    def _signaling_url_for(self, request: Request) -> str:
        """Return the URL as a client can reach it: listening everywhere, by the name by which it reached the API."""
        name = None
        with contextlib.suppress(ValueError):
            name = urlsplit(f"//{request.headers.get('host', '')}").hostname
        if self._options.host not in _EVERYWHERE or not name:
            return self.signaling_url
        return f"http://{_in_url(name)}:{urlsplit(self.signaling_url).port}"

    def _ticket(self, signaling_url: str) -> dict[str, Any]:
        token = secrets.token_urlsafe(32)
        self.device_tokens[token] = time.monotonic() + self._options.token_lifetime_s
        while len(self.device_tokens) > TOKENS_LIMIT:
            del self.device_tokens[next(iter(self.device_tokens))]
        return {
            "data": {
                "device_token": token,
                "streamingId": str(uuid.uuid4()),
                "resource": {
                    "device_id": self.device_id,
                    "kp_id": self.instance_id,
                    "sdk": {
                        "internal": {"address": "192.168.0.12", "aport": "10030", "atype": "1", "address_ipv6": None},
                        "external": {"address": "10.83.71.187", "aport": 10030, "atype": 1, "address_ipv6": None},
                    },
                    "rtc": {
                        "ice_signaling": {
                            "signaling_url": signaling_url,
                            "expired_time": None if self.expires_in_s is None else f"{self.expires_in_s:g}",
                            "ice_servers": self._options.ice_servers,
                        }
                    },
                },
            },
            "error_code": "0",
            "error_msg": "success",
        }

    def _shape(self, reply: dict[str, Any]) -> Reply:
        resource = reply["data"]["resource"]
        match self.faults.auth_body:
            case "flat":
                resource["rtc"] = resource["rtc"]["ice_signaling"]
            case "nulls":
                resource.update(sdk=None, kp_id=None)
                reply["data"]["streamingId"] = None
                resource["rtc"]["ice_signaling"].update(expired_time=None, ice_servers=None)
            case "truncated":
                return Reply(200, reply, truncated=True)
        return Reply(200, reply)

    async def accept(self, websocket: ServerConnection) -> None:
        """Serve one client's WebSocket to its end."""
        socket = ServerSocket(
            websocket,
            ping_interval_s=self._options.ping_interval_s,
            ping_timeout_s=self._options.ping_timeout_s,
        )
        path, _, parameters = (websocket.request.path if websocket.request is not None else "").partition("?")
        query = {name: values[0] for name, values in parse_qs(parameters).items()}
        if path != SOCKETIO_PATH or query.get("EIO") != "3":
            await socket.close(1008, "unknown transport")
            return
        if len(self.clients) >= CLIENTS_LIMIT:
            await socket.open()
            await socket.refuse(
                f"this phone serves {CLIENTS_LIMIT} clients at once, and they are here: leave with one first"
            )
            await socket.close(1013, "too many clients")
            return
        self._came += 1
        client = Client(self, socket, query, number=self._came)
        self.clients.add(client)
        client.report(f"connected from {_address(websocket)}")
        try:
            await client.run()
        finally:
            self.clients.discard(client)
            client.report_end()
            if client.peer is not None:
                self.lifecycle.ended(client.began_at)
            try:
                await self._linger(client)
            finally:
                await client.close()
                self.device.emit(LetGo())

    async def _linger(self, client: Client) -> None:
        """Let a stream go on without its signaling, if `faults` say so."""
        if client.peer is None or client.peer.is_closed or not self.faults.outlives_signaling_s:
            return
        self._lingering.add(client)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.faults.outlives_signaling_s):
                await client.is_done.wait()
        self._lingering.discard(client)

    def judge(self, query: dict[str, str]) -> int:
        """Return the code of `authorize` for a client's query."""
        expires = self.device_tokens.get(query.get("token", ""))
        self._token_faults += bool(self.faults.token)
        fault = "" if 0 < self.faults.token_times < self._token_faults else self.faults.token
        if fault == "expired":
            return AUTHORIZE_TOKEN_EXPIRED
        if fault == "invalid" or expires is None or query.get("boxid") != self.device_id:
            return AUTHORIZE_INVALID_TOKEN
        return AUTHORIZE_OK if time.monotonic() < expires else AUTHORIZE_TOKEN_EXPIRED

    async def take_over(self, newcomer: Client) -> None:
        """A second device takes the phone: the first is told, with code 1402."""
        if not self._options.allow_many:
            for client in [client for client in self.clients if client is not newcomer and client.peer is not None]:
                await client.end(str(CLOSE_TAKEN_OVER))
            for client in self._lingering:
                client.is_done.set()

    def make_peer(self) -> PhonePeer:
        """Return a peer for a client."""
        return PhonePeer(
            self.media,
            faults=self.faults,
            host=self._options.host,
            announce_input=self._options.announce_input,
            on_input=self.take_input,
        )


def url_of(host: str, port: int) -> str:
    """Return the URL at which this machine reaches what listens there."""
    return f"http://{_in_url(_EVERYWHERE.get(host, host))}:{port}"


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _address(websocket: ServerConnection) -> str:
    host, port = websocket.remote_address[:2]
    return f"{_in_url(host)}:{port}"
